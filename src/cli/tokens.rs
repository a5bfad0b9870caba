//! `keypebble tokens`: what was issued, and ending it.
//!
//! Owns how a recorded token is shown, to people and to programs. Must not know how it is kept.

pub(super) mod list;
pub(super) mod revoke;
pub(super) mod show;

use super::say_line;
use super::store::configured;
use crate::cli::error::{Error, Exit};
use crate::ground::text::{printable, shortened};
use crate::ground::time::UnixTime;
use crate::ground::when::{Readable, distance};
use crate::issuer::REFRESH;
use crate::store::Store;
use crate::store::config::StoreConfig;
use crate::store::entry::{Filter, Listed};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// The store of a configuration, opened.
pub(super) fn open(config: &Path) -> Result<Store, Error> {
    opened(&configured(config)?)
}

/// A store, opened.
pub(super) fn opened(config: &StoreConfig) -> Result<Store, Error> {
    Store::open(config, Box::new(|_| ())).map_err(Error::Store)
}

/// The most rows that are held at once, and so that `--limit` allows.
pub(super) const MOST: u32 = 1_000_000;

/// At most so many tokens, and whether there are more.
pub(super) fn some(store: &Store, filter: Filter) -> Result<(Vec<Listed>, bool), Error> {
    let most = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut found =
        store.list(&Filter { limit: filter.limit.saturating_add(1), ..filter }).map_err(Error::Store)?;
    let more = found.len() > most;
    found.truncate(most);
    Ok((found, more))
}

/// Says that rows are missing.
pub(super) fn tell_of_more(limit: u32) {
    say_line(&format!("only the latest {limit} are shown; give --limit, or say more exactly which"));
}

/// Whether a token counts.
pub(super) fn state(token: &Listed, now: UnixTime) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.entry.expires_at <= now {
        "expired"
    } else {
        "active"
    }
}

/// What it grants, in words where that is no scope.
pub(super) fn granted(token: &Listed) -> String {
    let entry = &token.entry;
    match (entry.profile.as_str(), entry.granted.as_str()) {
        (REFRESH, _) => format!("a login at {}", printable(&entry.audience)),
        (_, "") => format!("no registry access, for {}", printable(&entry.audience)),
        (_, granted) => printable(granted),
    }
}

/// A user's name, or that there is none.
pub(super) fn user(name: &str) -> String {
    if name.is_empty() { "(anonymous)".to_owned() } else { shortened(name, 60) }
}

/// Rows under a heading.
pub(super) fn table(tokens: &[Listed], now: UnixTime) -> String {
    let mut text = format!(
        "{:<22}  {:<10}  {:<19}  {:<12}  {:<7}  {:<12}  GRANTED\n",
        "ID", "PROFILE", "ISSUED (UTC)", "EXPIRES", "STATE", "USER"
    );
    for token in tokens {
        let entry = &token.entry;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:<22}  {:<10}  {}  {:<12}  {:<7}  {:<12}  {}",
            printable(&entry.id),
            printable(&entry.profile),
            Readable(entry.issued_at),
            distance(entry.expires_at, now),
            state(token, now),
            user(&entry.subject),
            granted(token),
        );
    }
    text
}

/// A token as programs read it.
pub(super) fn object(token: &Listed, now: UnixTime) -> Value {
    let entry = &token.entry;
    json!({
        "id": entry.id,
        "profile": entry.profile,
        "state": state(token, now),
        "user": entry.subject,
        "audience": entry.audience,
        "granted": entry.granted,
        "issued_at": entry.issued_at.to_string(),
        "expires_at": entry.expires_at.to_string(),
        "revoked_at": token.revoked_at.map(|at| at.to_string()),
        "key_id": entry.key_id,
        "peer": entry.peer,
        "address": entry.address,
        "client": entry.client,
        "login": entry.login,
        "policy": entry.policy,
        "rules": entry.rules,
    })
}

/// The token with this id.
pub(super) fn find(store: &Store, id: &str) -> Result<Listed, Error> {
    let filter = Filter { id: Some(id.to_owned()), limit: 1, ..Filter::default() };
    store.list(&filter).map_err(Error::Store)?.pop().ok_or_else(|| {
        let message = format!("{} has no token with the id `{}`", store.config().place, shortened(id, 80));
        let hint = "keypebble tokens list --config PATH shows those that are recorded";
        Error::said(Exit::Failed, message).with_hint(hint)
    })
}
