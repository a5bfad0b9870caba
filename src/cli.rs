//! The command line: from arguments to an exit code.
//!
//! Owns dispatch, and is the only place that prints errors and warnings. Decision: output that is a
//! result goes to stdout, everything said about it to stderr; a reader that closes its end early (`| head`)
//! is not an error.

mod args;
mod audit;
mod check;
mod colour;
mod command;
mod completions;
mod doctor;
pub mod error;
mod flags;
mod hash_password;
mod healthcheck;
mod help;
mod init;
mod inspect;
mod issue;
mod key_file;
mod keys;
mod man;
mod openapi;
mod password_input;
mod place;
mod policy;
mod progress;
mod serve;
mod stdout;
mod store;
mod token_input;
mod tokens;
mod user;
mod verify;
mod version;

use crate::cli::error::Error;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::text::{printable, sentence};
use crate::ground::time::UnixTime;
use args::{Asked, Spec};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use stdout::print;

/// Every subcommand.
const COMMANDS: &[Spec] = &[
    init::SPEC,
    issue::SPEC,
    command::SPEC,
    serve::SPEC,
    check::SPEC,
    healthcheck::SPEC,
    user::SET,
    user::REMOVE,
    user::LIST,
    hash_password::SPEC,
    keys::generate::SPEC,
    keys::list::SPEC,
    keys::rotate::SPEC,
    keys::retire::SPEC,
    keys::export::SPEC,
    inspect::SPEC,
    verify::SPEC,
    doctor::SPEC,
    store::INIT,
    store::CHECK,
    store::BACKUP,
    store::PRUNE,
    tokens::list::SPEC,
    tokens::show::SPEC,
    tokens::revoke::SPEC,
    audit::SPEC,
    policy::explain::SPEC,
    policy::test::SPEC,
    completions::SPEC,
    man::SPEC,
    openapi::SPEC,
    version::SPEC,
];

/// Runs the program on its arguments.
pub fn main() -> ExitCode {
    let done = args::parse(lexopt::Parser::from_env()).and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Error::Negative) => ExitCode::from(Error::Negative.exit_code()),
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(asked: Asked) -> Result<(), Error> {
    match asked {
        Asked::Help(text) => print(&text),
        Asked::Version => print(&version::text()),
        Asked::Command(spec, arguments) => (spec.run)(arguments),
    }
}

/// `keypebble: error: ` and the whole chain of causes, the line of the file that is wrong, a hint.
fn report(error: &Error) {
    let hint = error.hint().map(|hint| printable(&hint));
    complain("error", &printable(&sentence(error)), error.excerpt().as_deref(), hint.as_deref());
}

/// Warnings, on stderr.
fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        complain("warning", &warning.what, None, Some(&warning.hint));
    }
}

/// What was done, where stdout is not for it.
fn say_line(text: &str) {
    say(&format!("keypebble: {}\n", printable(text)));
}

fn complain(what: &str, message: &str, excerpt: Option<&str>, hint: Option<&str>) {
    let mut text = format!("keypebble: {what}: {message}\n");
    // Writing to a String does not fail.
    let _ = excerpt.map(|excerpt| writeln!(text, "{excerpt}"));
    let _ = hint.filter(|hint| !hint.is_empty()).map(|hint| writeln!(text, "keypebble: hint: {hint}"));
    say(&colour::painted(&text, &io::stderr()));
}

/// To stderr; where that is closed there is nobody to tell.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A new token id, in base64url: the second that it is made in, and 96 random bits. So the ids of an hour are
/// neighbours in a store's index, of which few pages then change.
fn new_id() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    let [.., first, second, third, fourth] = UnixTime::now().0.to_be_bytes();
    bytes[..4].copy_from_slice(&[first, second, third, fourth]);
    Some(crate::key::base64url(&bytes))
}
