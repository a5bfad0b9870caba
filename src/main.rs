//! The `keypebble` binary: everything is in the library.

use std::process::ExitCode;

/// In place of musl's, which halves the rate of HS256 tokens (`cargo bench --bench speed -- compare`).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    keypebble::cli::main()
}
