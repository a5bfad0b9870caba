//! A token as an argument or on standard input, as `inspect` and `verify` take it.
//!
//! Decision: one of the two must be said: a program that waits for input that nobody means to give looks
//! as if it hung.

use super::args::Arguments;
use crate::cli::error::Error;
use crate::diagnosis::unverified::MAX_BYTES;
use std::io::{self, Read};

/// `TOKEN` or `-`.
pub(super) fn read(arguments: &mut Arguments) -> Result<String, Error> {
    arguments.operand()?.ok_or_else(|| arguments.missing("a token, or - to read it from standard input"))
}

/// The token itself: the argument's, or that of standard input, without the white space around it.
pub(super) fn load(argument: &str) -> Result<String, Error> {
    if argument != "-" {
        return Ok(argument.trim().to_owned());
    }
    let fail = |source| Error::Read { path: "-".into(), source };
    let mut bytes = Vec::new();
    // Some bytes more, so that what is too long is seen to be.
    io::stdin().lock().take(MAX_BYTES as u64 + 64).read_to_end(&mut bytes).map_err(fail)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
