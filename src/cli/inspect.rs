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
    Spec { name: "inspect", values: &[], switches: &["json"], operands: 1, help: HELP, read };

const HELP: &str = "\
Print what a token says: header, claims, times, key id, certificates, access and size. The signature is
not checked; use keypebble verify for that.

Usage: keypebble inspect [--json] TOKEN|-

  -           Read the token from standard input. Prefer this: a token is a credential, and other users of
              this host can see the arguments of a program

Flags:
  --json      Print one JSON object
  -h, --help  Print this help

Exit codes: 0 done, 1 not a token (the reason is printed), 2 usage.

Examples:
  keypebble issue --config config.yaml | keypebble inspect -
  curl -s 'http://localhost:8080/v2/token' ... | jq -r .token | keypebble inspect -
";

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
