//! `keypebble keys retire`: drops keys whose tokens have all ended.

use super::super::args::{Arguments, Spec, usage};
use super::super::print;
use super::{Place, fernet};
use crate::cli::error::Error;
use crate::ground::disk::System;
use crate::ground::file::Files;
use crate::ground::time::{Lifetimes, Ttl, UnixTime};
use crate::keystore::{Editor, KeystoreError, LEEWAY_SECONDS};
use crate::load::setup;
use std::fmt::Write;
use std::path::Path;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "keys retire", operands: 0, help: include_str!("../help/keys-retire.txt"), run };

/// What is to be dropped.
struct Retire {
    place: Place,
    longest: Option<Ttl>,
    id: Option<String>,
    force: bool,
    fernet: bool,
}

fn read(mut arguments: Arguments) -> Result<Retire, Error> {
    let place = super::place(&mut arguments)?;
    let longest = arguments.parsed("max-ttl")?;
    let (id, force) = (arguments.name("id")?, arguments.switch("force"));
    let fernet = arguments.switch("fernet");
    if longest.is_none() && !force && matches!(place, Place::Named(_)) {
        let error = arguments.missing("--max-ttl TIME beside --dir");
        return Err(error.with_hint("or --config PATH, which says how long tokens live"));
    }
    if force && id.is_none() {
        return Err(usage("--force needs the --id of the key whose tokens are to be refused"));
    }
    Ok(Retire { place, longest, id, force, fernet })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    if command.place.is_fernet(command.fernet) {
        return fernet::retire(&command.place, command.longest, command.id.as_deref(), command.force);
    }
    let folder = command.place.folder()?;
    let (longest, setting) = match (command.longest, &command.place) {
        (Some(longest), _) => (longest, "--max-ttl"),
        (None, Place::Config(path)) if !command.force => longest_of(path)?,
        _ => (Ttl::DEFAULT, ""), // forced: it plays no part
    };
    let now = UnixTime::now();
    let done = Editor::open(&folder, &System)
        .and_then(|mut editor| editor.retire(command.id.as_deref(), longest, command.force, now))
        .map_err(Error::Keys)?;
    let mut text = String::new();
    for entry in &done.retired {
        // Writing to a String does not fail.
        let _ = writeln!(text, "retired   {:<9}  {}  its file is removed", entry.algorithm.name(), entry.id);
    }
    if !done.retired.is_empty() && !command.force {
        let _ = writeln!(
            text,
            "no token of {longest} or less ({setting}) ends early; a longer one, from issue --ttl, would"
        );
    }
    if !done.retired.is_empty() {
        let flag = command.place.flag();
        let _ = writeln!(
            text,
            "remove it from every verifier, too: keypebble keys export {flag} --format jwks|cert --out FILE"
        );
    }
    if done.retired.is_empty() && done.kept.is_empty() {
        text.push_str("no key is previous: nothing to retire\n");
    }
    print(&text)?;
    match done.kept.iter().min_by_key(|(_, until)| *until) {
        Some((entry, until)) if done.retired.is_empty() => Err(Error::Keys(KeystoreError::refused(
            format!("tokens of {} can be valid until {until}", entry.id),
            format!(
                "wait: it stopped signing at {}, tokens live up to {longest} ({setting}), and verifiers get {LEEWAY_SECONDS} s more",
                entry.stopped.unwrap_or(now)
            ),
        ))),
        _ => Ok(()),
    }
}

/// The longest life of a token that these keys sign, and the setting that says so.
fn longest_of(config: &Path) -> Result<(Ttl, &'static str), Error> {
    let config = setup::config(config, &mut Files::default())?;
    // Refresh tokens are signed by these keys, too, unless they have a secret of their own.
    let refresh = config.logins.as_ref().filter(|logins| logins.refresh_secret.is_none());
    let refresh = refresh.and_then(|logins| logins.refresh_ttl).map(|ttl| (ttl, "refresh_ttl_seconds"));
    let Lifetimes { default, max } = config.lifetimes;
    // The default is never more than the most, which it sets where nothing else does.
    let longest = (max, if default == max { "default_ttl_seconds" } else { "max_ttl_seconds" });
    Ok(refresh
        .into_iter()
        .fold(longest, |longest, refresh| if refresh.0 > longest.0 { refresh } else { longest }))
}
