//! `keypebble hash-password`: from a password on standard input to the line of a users file.

use super::args::{Arguments, Spec, usage};
use super::stdout::print_raw;
use super::{Command, progress, say};
use crate::cli::error::Error;
use crate::login::password::{DEFAULT_COST, ENABLED, Hash, MAX_COST, MIN_COST, Password, SALT};
use crate::login::users::{NOT_ENABLED, name_problem};
use std::io::{self, BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "hash-password", operands: 0, help: include_str!("help/hash-password.txt"), read };

/// More than this is no password.
const MAX_INPUT_BYTES: u16 = 4096;

/// Whose line, and how dear.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HashPassword {
    user: Option<String>,
    cost: u8,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let user = arguments.name("user")?;
    if let Some(problem) = user.as_deref().and_then(name_problem) {
        return Err(usage(format!("--user: {problem}")));
    }
    if user.as_deref().is_some_and(|user| user.starts_with('#')) {
        return Err(usage("--user: a line that begins with # is a comment in a users file"));
    }
    let cost = match arguments.text("cost")? {
        None => DEFAULT_COST,
        Some(text) => {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let cost = digits.then(|| text.parse().ok()).flatten();
            cost.filter(|cost| (MIN_COST..=MAX_COST).contains(cost)).ok_or_else(|| {
                usage(format!("--cost: expected a number from {MIN_COST} to {MAX_COST}, found `{text}`"))
            })?
        }
    };
    Ok(Command::HashPassword(HashPassword { user, cost }))
}

pub(super) fn run(command: &HashPassword) -> Result<(), Error> {
    if !ENABLED {
        return Err(Error::NotEnabled(NOT_ENABLED));
    }
    let fail = |source| Error::Read { path: "-".into(), source };
    let invalid = |text: &str| fail(io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()));
    let text = input().map_err(fail)?;
    let password = Password::new(text).map_err(|error| invalid(error.text()))?;
    let system = |source| Error::System { what: "cannot make a salt".to_owned(), source };
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|error| system(io::Error::other(error.to_string())))?;
    let make = || Hash::make(&password, command.cost, salt);
    let hash = progress::during("hashing the password", make).ok_or(Error::NotEnabled(NOT_ENABLED))?;
    match &command.user {
        Some(user) => print_raw(&format!("{user}:{hash}\n")),
        None => print_raw(&format!("{hash}\n")),
    }
}

/// Everything that is piped in, or one line of a terminal's, without the line end.
fn input() -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin().lock();
    let mut text = Zeroizing::new(String::with_capacity(usize::from(MAX_INPUT_BYTES)));
    if stdin.is_terminal() {
        say("keypebble: password (visible as you type): ");
        stdin.take(MAX_INPUT_BYTES.into()).read_line(&mut text)?;
    } else {
        stdin.take(MAX_INPUT_BYTES.into()).read_to_string(&mut text)?;
    }
    let end = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).map_or(text.len(), str::len);
    text.truncate(end);
    Ok(text)
}
