//! The `keypebble` binary: everything is in the library.

use std::process::ExitCode;

/// For static binaries; Cargo.toml says why.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    keypebble::cli::main()
}
