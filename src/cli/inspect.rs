//! `keypebble inspect`: what a token says, unchecked.

use super::args::{Arguments, Spec};
use super::key_file::opener;
use super::{print, token_input};
use crate::cli::error::{Error, Exit};
use crate::diagnosis::encrypted::Outer;
use crate::diagnosis::inspect;
use crate::diagnosis::unverified::Unverified;
use crate::ground::diagnostic::ascii_json;
use crate::ground::file::Files;
use crate::ground::time::UnixTime;
use crate::load::setup;
use crate::token::{Inside, Opener};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "inspect", operands: 1, help: include_str!("help/inspect.txt"), run };

/// What is to be inspected.
struct Inspect {
    token: String,
    json: bool,
    config: Option<PathBuf>,
    decrypt_key: Option<PathBuf>,
}

fn read(mut arguments: Arguments) -> Result<Inspect, Error> {
    let json = arguments.switch("json");
    let (config, decrypt_key) = (arguments.path("config")?, arguments.path("decrypt-key")?);
    Ok(Inspect { token: token_input::read(&mut arguments)?, json, config, decrypt_key })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let text = token_input::load(&command.token)?;
    let now = UnixTime::now();
    let outer = Outer::parse(&text).map_err(Error::NoToken)?;
    let openers = openers(command, &text)?;
    if let Some(outer) = outer {
        return encrypted(command, &outer, &text, &openers, now);
    }
    let token = Unverified::parse(&text).map_err(Error::NoToken)?;
    print(&if command.json { ascii_json(&inspect::json(&token, now)) } else { inspect::text(&token, now) })
}

/// What it says in the open, and with a key what is inside.
fn encrypted(
    command: &Inspect,
    outer: &Outer,
    text: &str,
    openers: &[Opener],
    now: UnixTime,
) -> Result<(), Error> {
    let inside = match openers {
        [] => None,
        openers => Some(outer.open(text, openers, now)),
    };
    let mut out = outer.text(now);
    let mut json = outer.json();
    let failure = match inside {
        None => None,
        Some(Err(finding)) => Some(finding),
        Some(Ok(Inside::Signed(inner))) => {
            let inner = Unverified::parse(&inner).map_err(Error::NoToken)?;
            out.push_str("\nInside, a signed token:\n\n");
            out.push_str(&inspect::text(&inner, now));
            json["inside"] = inspect::json(&inner, now);
            None
        }
        Some(Ok(Inside::Claims { payload, .. })) => {
            let inner = Unverified::of_claims(&payload).map_err(Error::NoToken)?;
            out.push_str("\nInside, claims that nobody signed:\n");
            out.push_str(&inspect::inside(&inner, now));
            json["inside"] = json!({ "claims": Value::Object(inner.claims) });
            None
        }
    };
    print(&if command.json { ascii_json(&json) } else { out })?;
    match failure {
        None => Ok(()),
        Some(finding) => {
            Err(Error::said(Exit::Failed, format!("cannot show what is inside: {}", finding.what)))
        }
    }
}

fn openers(command: &Inspect, token: &str) -> Result<Vec<Opener>, Error> {
    let mut openers = match &command.config {
        Some(path) => setup::config(path, &mut Files::default())?.sealing.openers(),
        None => Vec::new(),
    };
    openers.extend(command.decrypt_key.as_ref().map(|path| opener(path, token)).transpose()?);
    Ok(openers)
}
