//! Standard output, whose failures count.
//!
//! Owns how results are written. Decision: not through std's own handle, which takes an output that is
//! closed, or open for reading alone, for one that took everything: a script would go on without its token.

#![allow(unsafe_code)] // one look at the descriptor before std replaces a closed one

use super::error::Error;
use crate::ground::text::printable_lines;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a result, what could act on a terminal escaped as JSON does it.
pub(super) fn print(text: &str) -> Result<(), Error> {
    print_raw(&printable_lines(text))
}

/// Writes a result that a program reads, as it is.
pub(super) fn print_raw(text: &str) -> Result<(), Error> {
    let stdout = if CLOSED.load(Ordering::Relaxed) {
        Err(io::Error::from_raw_os_error(libc::EBADF))
    } else {
        io::stdout().as_fd().try_clone_to_owned()
    };
    stdout.map(File::from).and_then(|mut stdout| stdout.write_all(text.as_bytes())).map_err(Error::Write)
}

/// Standard output was closed when the program began. std puts /dev/null in the place of a closed one before
/// `main`, and nothing can tell it from a /dev/null that was meant.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Among the functions that the loader calls before std begins.
#[used]
// SAFETY: an array of plain C functions, as the loader expects in this section.
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: asks for the flags of a descriptor, open or not; changes nothing.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    CLOSED.store(flags == -1, Ordering::Relaxed);
}
