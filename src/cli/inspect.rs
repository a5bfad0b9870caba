//! `keypebble inspect`: what a token says, unchecked.

use super::args::{Arguments, Spec};
use super::{Command, print, token_input};
use crate::cli::error::Error;
use crate::diagnosis::inspect;
use crate::diagnosis::unverified::Unverified;
use crate::ground::finding::ascii_json;
use crate::ground::time::UnixTime;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "inspect", operands: 1, help: include_str!("help/inspect.txt"), read };

/// What is to be inspected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inspect {
    token: String,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let json = arguments.switch("json");
    Ok(Command::Inspect(Inspect { token: token_input::read(&mut arguments)?, json }))
}

pub(super) fn run(command: &Inspect) -> Result<(), Error> {
    let token = token_input::load(&command.token)?;
    let token = Unverified::parse(&token).map_err(Error::NoToken)?;
    let now = UnixTime::now();
    print(&if command.json { ascii_json(&inspect::json(&token, now)) } else { inspect::text(&token, now) })
}
