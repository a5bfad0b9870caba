//! The `keypebble` binary: everything is in the library.

use std::process::ExitCode;

/// Over musl's allocator, whose one lock would else be what a busy server waits for
/// (`cargo bench --bench speed -- compare`).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: keypebble::memory::Keeping<std::alloc::System> =
    keypebble::memory::Keeping(std::alloc::System);

fn main() -> ExitCode {
    let _kept = keypebble::memory::keep();
    keypebble::cli::main()
}
