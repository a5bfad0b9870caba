//! What the `keys` commands do with a folder of Fernet keys, which Keystone can share.

use super::super::args::usage;
use super::super::print;
use super::Place;
use crate::cli::error::Error;
use crate::config::{Config, FernetFolder};
use crate::ground::disk::System;
use crate::ground::file::Files;
use crate::ground::text::quoted;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::fernet::{ENABLED, NOT_ENABLED};
use crate::keystore::fernet::{Done, Editor, Entry, Folder, MAX_ACTIVE_KEYS};
use crate::keystore::{KeystoreError, MANIFEST};
use crate::load::{LoadError, setup};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Whether a folder holds Fernet keys and no manifest.
pub(super) fn is_folder(path: &Path) -> bool {
    !path.join(MANIFEST).exists() && ["0", "1", "0.tmp"].iter().any(|name| path.join(name).is_file())
}

fn folder(place: &Place) -> Result<FernetFolder, Error> {
    if !ENABLED {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    match place {
        Place::Named(path) => Ok(FernetFolder { path: path.clone(), most: MAX_ACTIVE_KEYS }),
        Place::Config(path) => {
            let folder = Config::fernet_folder(path).map_err(LoadError::of("configuration"))?;
            folder.ok_or_else(|| {
                usage("this configuration has no `fernet`")
                    .with_hint("add `fernet: {key_dir: PATH}`, or use --dir")
            })
        }
    }
}

/// The longest life of a token; of a folder alone nobody knows it.
fn longest(place: &Place, given: Option<Ttl>) -> Result<Ttl, Error> {
    Ok(match (given, place) {
        (Some(longest), _) => longest,
        (None, Place::Named(_)) => Ttl::MAX,
        (None, Place::Config(path)) => {
            let lifetimes = setup::terms(path, &mut Files::default())?.lifetimes;
            lifetimes.max.max(lifetimes.default)
        }
    })
}

/// Refuses flags that are for keys that sign, if they were given.
pub(super) fn refuse(flags: &[(&str, bool)]) -> Result<(), Error> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(usage(format!("--{flag} is for keys that sign, and these are Fernet keys"))
            .with_hint("leave it out")),
        None => Ok(()),
    }
}

pub(super) fn generate(place: &Place) -> Result<(), Error> {
    let folder = folder(place)?;
    let editor = Editor::create(&folder.path, &System).map_err(Error::Keys)?;
    print(&lines(&editor.entries().map_err(Error::Keys)?))
}

pub(super) fn list(place: &Place, json: bool) -> Result<(), Error> {
    let loaded = Folder::load(&folder(place)?.path, &mut Files::default()).map_err(Error::Keys)?;
    if !json {
        return print(&lines(loaded.entries()));
    }
    let object = |entry: &Entry| {
        json!({
            "id": entry.number.to_string(),
            "algorithm": "Fernet",
            "state": state(entry, loaded.entries()).0,
            "written": entry.written.to_string(),
        })
    };
    let all: Vec<_> = loaded.entries().iter().map(object).collect();
    print(&format!("{:#}\n", serde_json::Value::Array(all)))
}

pub(super) fn rotate(place: &Place) -> Result<(), Error> {
    let folder = folder(place)?;
    let longest = longest(place, None)?;
    let editor = Editor::open(&folder.path, &System).map_err(Error::Keys)?;
    let done = editor.rotate(folder.most, longest, UnixTime::now()).map_err(Error::Keys)?;
    let entries = editor.entries().map_err(Error::Keys)?;
    let mut text = lines(&entries) + &removed(&done);
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "\nBefore the next rotation, every host that shares these keys must get the new key 0."
    );
    if let Some((number, until)) = done.kept.first() {
        let why = if matches!(place, Place::Named(_)) {
            "how long tokens live is not known here: keypebble keys retire --max-ttl SECONDS".to_owned()
        } else {
            format!("tokens of key {number} can be valid until {until}")
        };
        let _ = writeln!(text, "More than {} keys are kept: {why}", folder.most);
    }
    print(&text)
}

pub(super) fn retire(place: &Place, given: Option<Ttl>, id: Option<&str>, force: bool) -> Result<(), Error> {
    let folder = folder(place)?;
    let editor = Editor::open(&folder.path, &System).map_err(Error::Keys)?;
    let done = match id {
        None => editor.remove(None, longest(place, given)?, UnixTime::now()),
        Some(_) if !force => {
            return Err(usage("--id of a Fernet key needs --force: its tokens are refused from then on"));
        }
        Some(id) => {
            let number = id
                .parse()
                .map_err(|_| usage(format!("--id: expected a key's number, found {}", quoted("", id))))?;
            editor.remove_one(number)
        }
    };
    let done = done.map_err(Error::Keys)?;
    let mut text = removed(&done);
    if done.removed.is_empty() && done.kept.is_empty() {
        text.push_str("no key is previous: nothing to retire\n");
    }
    print(&text)?;
    match done.kept.first() {
        Some((number, until)) if done.removed.is_empty() => Err(Error::Keys(KeystoreError::refused(
            format!("tokens of key {number} can be valid until {until}"),
            "wait, or give --id and --force if the key was stolen",
        ))),
        _ => Ok(()),
    }
}

fn state(entry: &Entry, entries: &[Entry]) -> (&'static str, &'static str) {
    match entry.number {
        0 => ("next", "staged: opens, and encrypts after the next rotation"),
        number if entries.first().is_some_and(|first| first.number == number) => {
            ("active", "encrypts and opens")
        }
        _ => ("previous", "opens"),
    }
}

fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let (state, note) = state(entry, entries);
        format!("{state:<8}  {:<9}  {}  {note}\n", "Fernet", entry.number)
    };
    entries.iter().map(line).collect()
}

fn removed(done: &Done) -> String {
    let line = |number: &u64| format!("removed   {:<9}  {number}\n", "Fernet");
    done.removed.iter().map(line).collect()
}
