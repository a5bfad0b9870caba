//! Standard output, whose failures count.
//!
//! Owns how results are written. Decision: not through std's own handle, which takes an output that is
//! closed, or open for reading alone, for one that took everything: a script would go on without its token.

use super::colour;
use super::error::Error;
use crate::ground::sys::stdout_was_closed;
use crate::ground::text::printable_lines;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Writes a result, what could act on a terminal escaped as JSON does it.
pub(super) fn print(text: &str) -> Result<(), Error> {
    print_raw(&colour::painted(&printable_lines(text), &io::stdout()))
}

/// Writes a result that a program reads, as it is.
pub(super) fn print_raw(text: &str) -> Result<(), Error> {
    let stdout = if stdout_was_closed() {
        Err(io::Error::from_raw_os_error(libc::EBADF))
    } else {
        io::stdout().as_fd().try_clone_to_owned()
    };
    stdout.map(File::from).and_then(|mut stdout| stdout.write_all(text.as_bytes())).map_err(Error::Write)
}
