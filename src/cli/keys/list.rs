//! `keypebble keys list`: which key is which.

use super::super::args::{Arguments, Spec};
use super::super::{print, warn};
use super::{Place, fernet};
use crate::cli::error::Error;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::time::UnixTime;
use crate::key::keyring::RingKey;
use crate::keystore::Entry;
use serde_json::json;
use std::fmt::Write;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "keys list", operands: 0, help: include_str!("../help/keys-list.txt"), run };

/// What is to be shown.
struct List {
    place: Place,
    json: bool,
    fernet: bool,
}

fn read(mut arguments: Arguments) -> Result<List, Error> {
    let place = super::place(&mut arguments)?;
    let (json, fernet) = (arguments.switch("json"), arguments.switch("fernet"));
    Ok(List { place, json, fernet })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    if command.place.is_fernet(command.fernet) {
        return fernet::list(&command.place, command.json);
    }
    let loaded = command.place.load()?;
    let now = UnixTime::now();
    let keys: Vec<(&RingKey, Option<&Entry>)> = loaded
        .keyring
        .verifiers()
        .iter()
        .map(|key| (key, key.id().and_then(|id| loaded.manifest.find(id))))
        .collect();
    for stray in &loaded.strays {
        warn(&[Diagnostic::advice(
            "keys",
            format!("nothing uses {}: a command was interrupted", stray.display()),
            "remove it; it holds a private key that never signed, or one that was retired",
        )]);
    }
    if command.json {
        let all: Vec<_> = keys.iter().map(|(key, entry)| object(key, *entry, now)).collect();
        return print(&format!("{:#}\n", serde_json::Value::Array(all)));
    }
    let mut text = format!(
        "{:<8}  {:<9}  {:<10}  {:<10}  {:>4}  ID\n",
        "STATE", "ALGORITHM", "CREATED", "EXPORTED", "DAYS"
    );
    for (key, entry) in keys {
        let day = |time: Option<UnixTime>, none: &str| {
            time.map_or(none.to_owned(), |time| time.to_string().chars().take(10).collect())
        };
        let unexported = if key.public().is_none() { "secret" } else { "never" };
        let (created, exported, days) = match entry {
            Some(entry) => {
                (day(Some(entry.created), ""), day(entry.exported, unexported), days(entry, now).to_string())
            }
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:<8}  {:<9}  {created:<10}  {exported:<10}  {days:>4}  {}",
            key.state().name(),
            key.algorithm().name(),
            key.id().unwrap_or("none (tokens carry no kid)"),
        );
    }
    print(&text)
}

fn object(key: &RingKey, entry: Option<&Entry>, now: UnixTime) -> serde_json::Value {
    let time = |time: Option<UnixTime>| time.map(|time| time.to_string());
    json!({
        "id": key.id(),
        "algorithm": key.algorithm().name(),
        "state": key.state().name(),
        "created": time(entry.map(|entry| entry.created)),
        "exported": time(entry.and_then(|entry| entry.exported)),
        "stopped": time(entry.and_then(|entry| entry.stopped)),
        "days": entry.map(|entry| days(entry, now)),
    })
}

/// Its age.
fn days(entry: &Entry, now: UnixTime) -> i64 {
    now.0.saturating_sub(entry.created.0).max(0) / 86_400
}
