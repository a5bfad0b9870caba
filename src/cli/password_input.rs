//! A password from whoever runs the command, and the flag that says how much work its hash is.
//!
//! Decision: a terminal is asked twice and shows nothing; anything else is read to its end, and is one line.

use super::args::{Arguments, usage};
use super::progress;
use crate::cli::error::Error;
use crate::ground::encoding::byte_order;
use crate::ground::input::stdin;
use crate::login::password::{DEFAULT_COST, ENABLED, Hash, MAX_COST, MIN_COST, Password, SALT};
use crate::login::users::{NOT_ENABLED, name_problem};
use std::io::{self, IsTerminal};
use zeroize::Zeroizing;

/// More than this is no password.
const MAX_INPUT_BYTES: u64 = 4096;

/// `--cost`
pub(super) fn cost(arguments: &mut Arguments) -> Result<u8, Error> {
    let cost = arguments.number("cost", MIN_COST.into()..=MAX_COST.into())?;
    Ok(cost.and_then(|cost| u8::try_from(cost).ok()).unwrap_or(DEFAULT_COST))
}

/// A name that can stand in a users file; `what` says where it was given.
pub(super) fn checked_name(name: String, what: &str) -> Result<String, Error> {
    let comment = name.starts_with('#').then_some("a line that begins with # is a comment in a users file");
    let merge = (name == "<<").then_some("`<<` is YAML's merge key, which no policy can have as a name");
    match name_problem(&name).or(comment).or(merge) {
        Some(problem) => Err(usage(format!("{what}: {problem}"))),
        None => Ok(name),
    }
}

/// Asks for a password, and hashes it.
pub(super) fn ask(user: Option<&str>, cost: u8) -> Result<Hash, Error> {
    if !ENABLED {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    let fail = |source| Error::System { what: "cannot take the password".to_owned(), source };
    let invalid = |text: &str| fail(io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()));
    let text = if io::stdin().is_terminal() {
        let hidden = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(fail);
        let whose = user.map_or(String::new(), |user| format!(" for {user}"));
        let first = hidden(format!("keypebble: password{whose} (not shown): "))?;
        // Before anything is typed a second time.
        Password::new(first.clone()).map_err(|error| invalid(error.text()))?;
        if hidden("keypebble: the same again: ".to_owned())? != first {
            return Err(invalid("the two passwords differ"));
        }
        first
    } else {
        piped().map_err(fail)?
    };
    let password = Password::new(text).map_err(|error| invalid(error.text()))?;
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|error| Error::System {
        what: "cannot make a salt".to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    let make = || Hash::make(&password, cost, salt);
    progress::during("hashing the password", make).ok_or_else(|| Error::not_enabled(NOT_ENABLED))
}

/// Everything that is piped in, without the line end.
fn piped() -> io::Result<Zeroizing<String>> {
    let mut bytes = stdin("the password", MAX_INPUT_BYTES)?;
    if let Some(problem) = byte_order(&bytes) {
        return Err(io::Error::other(format!("it {problem}")));
    }
    let text = String::from_utf8(std::mem::take(&mut bytes));
    let mut text = Zeroizing::new(text.map_err(|error| {
        let _wiped = Zeroizing::new(error.into_bytes());
        io::Error::other("a password is UTF-8")
    })?);
    let end = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).map_or(text.len(), str::len);
    text.truncate(end);
    Ok(text)
}
