//! A token as an argument or on standard input, as `inspect` and `verify` take it.
//!
//! Decision: one of the two must be said: a program that waits for input that nobody means to give looks
//! as if it hung.

use super::args::{Arguments, usage};
use crate::cli::error::Error;
use crate::diagnosis::unverified::{MAX_BYTES, Malformed};
use crate::ground::input;
use crate::ground::text::{quoted, word};
use std::io::ErrorKind;
use std::path::Path;

/// `TOKEN` or `-`.
pub(super) fn read(arguments: &mut Arguments) -> Result<String, Error> {
    arguments.operand()?.ok_or_else(|| arguments.missing("a token, or - to read it from standard input"))
}

/// The token itself: the argument's, or that of standard input, without the white space around it.
pub(super) fn load(argument: &str) -> Result<String, Error> {
    if argument != "-" {
        if Path::new(argument).is_file() {
            let error = usage(format!("expected a token, found {}", quoted("", argument)));
            let hint = "that is a file: give - in its place, and the file on standard input: - <";
            return Err(error.with_hint(format!("{hint} {}", word(argument))));
        }
        return Ok(argument.trim().to_owned());
    }
    // A little more than a token may have is left to whoever judges it.
    let bytes = input::stdin("the token", 2 * MAX_BYTES as u64).map_err(|source| match source.kind() {
        ErrorKind::FileTooLarge => Error::NoToken(Malformed::TooLong),
        _ => Error::file("read", Path::new("-"), source),
    })?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
