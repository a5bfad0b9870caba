//! The `keypebble` binary: everything is in the library.

use std::process::ExitCode;

/// Over the system's allocator. musl's has one lock, which would else be what a busy server waits for, and
/// glibc's has slow ways for what is longer than a kilobyte (`cargo bench --bench speed -- compare`).
#[global_allocator]
static ALLOCATOR: keypebble::memory::Keeping<std::alloc::System> =
    keypebble::memory::Keeping(std::alloc::System);

fn main() -> ExitCode {
    let _kept = keypebble::memory::keep();
    keypebble::cli::main()
}
