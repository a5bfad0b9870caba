//! The command line: from arguments to an exit code.
//!
//! Owns dispatch, and is the only place that prints errors and warnings. Decision: output that is a
//! result goes to stdout, everything said about it to stderr; a reader that closes its end early (`| head`)
//! is not an error.

mod args;
mod check;
mod healthcheck;
mod help;
mod issue;
mod policy;
mod serve;
mod setup;

use crate::config::Warning;
use crate::error::Error;
use args::Spec;
use issue::Issue;
use setup::Files;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be done: plain data.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    /// Print a usage text.
    Help(&'static str),
    /// Print the version.
    Version,
    /// Print a token.
    Issue(Issue),
    /// Answer HTTP.
    Serve(Files),
    /// Load everything and say what was found.
    Check(Files),
    /// Ask a running server whether it is well.
    Healthcheck(PathBuf),
    /// Say which rule grants or denies.
    PolicyExplain(policy::explain::Explain),
    /// Try a policy's own expectations.
    PolicyTest(policy::test::Test),
}

/// Every subcommand.
const COMMANDS: &[Spec] =
    &[issue::SPEC, serve::SPEC, check::SPEC, healthcheck::SPEC, policy::explain::SPEC, policy::test::SPEC];

/// Runs the program on its arguments.
pub fn main() -> ExitCode {
    let done = args::parse(lexopt::Parser::from_env()).and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Help(text) => print(text),
        Command::Version => print(&help::version()),
        Command::Issue(command) => issue::run(&command),
        Command::Serve(command) => serve::run(&command),
        Command::Check(command) => check::run(&command),
        Command::Healthcheck(config) => healthcheck::run(&config),
        Command::PolicyExplain(command) => policy::explain::run(&command),
        Command::PolicyTest(command) => policy::test::run(&command),
    }
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::Write)
}

/// `keypebble: error: ` and the whole chain of causes, the line of the file that is wrong, a hint.
fn report(error: &Error) {
    let mut text = format!("keypebble: error: {}\n", error.sentence());
    if let Some(excerpt) = error.excerpt() {
        let _ = writeln!(text, "{excerpt}");
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "keypebble: hint: {hint}");
    }
    say(&text);
}

/// Warnings, on stderr.
fn warn(warnings: &[Warning]) {
    for warning in warnings {
        let mut text = format!("keypebble: warning: {}\n", warning.message);
        if let Some(hint) = &warning.hint {
            let _ = writeln!(text, "keypebble: hint: {hint}");
        }
        say(&text);
    }
}

/// To stderr; where that is closed there is nobody to tell.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A new token id: 128 random bits, in base64url.
fn new_id() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(crate::key::base64url(&bytes))
}
