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
use crate::load::setup::Paths;
use args::Spec;
use check::Check;
use command::CommandToken;
use completions::Shell;
use doctor::Doctor;
use hash_password::HashPassword;
use init::Init;
use inspect::Inspect;
use issue::Issue;
use keys::export::Export;
use keys::generate::Generate;
use keys::list::List;
use keys::retire::Retire;
use keys::rotate::Rotate;
use man::Man;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use stdout::print;
use user::User;
use verify::Verify;

/// What is to be done: plain data.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    /// Print a usage text.
    Help(String),
    /// Print the version.
    Version,
    /// Print a token.
    Issue(Issue),
    /// Print a command token.
    CommandToken(CommandToken),
    /// Answer HTTP.
    Serve(Paths),
    /// Load everything and say what was found.
    Check(Check),
    /// Ask a running server whether it is well.
    Healthcheck(Paths),
    /// Say what a token says.
    Inspect(Inspect),
    /// Judge a token.
    Verify(Verify),
    /// Find what is wrong.
    Doctor(Doctor),
    /// Make a folder that is ready to start.
    Init(Init),
    /// Make a key.
    KeysGenerate(Generate),
    /// Show the keys.
    KeysList(List),
    /// Let the staged key sign.
    KeysRotate(Rotate),
    /// Drop old keys.
    KeysRetire(Retire),
    /// Print public keys.
    KeysExport(Export),
    /// Make, check, copy or prune the store.
    Store(store::Tend),
    /// Show what was issued.
    TokensList(tokens::list::List),
    /// Show one token.
    TokensShow(tokens::show::Show),
    /// End tokens.
    TokensRevoke(tokens::revoke::Revoke),
    /// Say who got what, when and why.
    Audit(audit::Audit),
    /// Print a line for a users file.
    HashPassword(HashPassword),
    /// Set a password, or take a user out, or show who has one.
    User(User),
    /// Say which rule grants or denies.
    PolicyExplain(policy::explain::Explain),
    /// Try a policy's own expectations.
    PolicyTest(policy::test::Test),
    /// Print a shell's script.
    Completions(Shell),
    /// Print or write manual pages.
    Man(Man),
    /// Print the HTTP API.
    OpenApi,
}

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

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Help(text) => print(&text),
        Command::Version => print(&version::text()),
        Command::Issue(command) => issue::run(&command),
        Command::CommandToken(token) => command::run(&token),
        Command::Serve(command) => serve::run(&command),
        Command::Check(command) => check::run(&command),
        Command::Healthcheck(command) => healthcheck::run(&command),
        Command::Inspect(command) => inspect::run(&command),
        Command::Verify(command) => verify::run(&command),
        Command::Doctor(command) => doctor::run(&command),
        Command::PolicyExplain(command) => policy::explain::run(&command),
        Command::PolicyTest(command) => policy::test::run(&command),
        Command::Init(command) => init::run(&command),
        Command::KeysGenerate(command) => keys::generate::run(&command),
        Command::KeysList(command) => keys::list::run(&command),
        Command::KeysRotate(command) => keys::rotate::run(&command),
        Command::KeysRetire(command) => keys::retire::run(&command),
        Command::KeysExport(command) => keys::export::run(&command),
        Command::Store(command) => store::run(&command),
        Command::TokensList(command) => tokens::list::run(&command),
        Command::TokensShow(command) => tokens::show::run(&command),
        Command::TokensRevoke(command) => tokens::revoke::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::User(command) => user::run(&command),
        Command::Completions(shell) => completions::run(shell),
        Command::Man(command) => man::run(&command),
        Command::OpenApi => openapi::run(),
        Command::HashPassword(command) => hash_password::run(&command),
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
