//! `keypebble tokens show`: all that is recorded of one token, and of its login.

use super::super::args::{Arguments, Spec};
use super::super::print;
use super::{find, granted, object, open, some, state, table, tell_of_more, user};
use crate::cli::error::Error;
use crate::ground::diagnostic::ascii_json;
use crate::ground::text::printable;
use crate::ground::time::UnixTime;
use crate::ground::when::{Readable, distance};
use crate::issuer::REFRESH;
use crate::store::entry::{Filter, Listed};
use std::fmt::Write;
use std::path::PathBuf;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "tokens show", operands: 0, help: include_str!("../help/tokens-show.txt"), run };

/// The most tokens of one login that are shown.
const LIMIT: u32 = 100;

/// Which token is shown.
struct Show {
    config: PathBuf,
    id: String,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Show, Error> {
    let Some(id) = arguments.name("id")? else { return Err(arguments.missing("--id ID")) };
    let json = arguments.switch("json");
    Ok(Show { config: arguments.config()?, id, json })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let store = open(&command.config)?;
    let now = UnixTime::now();
    let token = find(&store, &command.id)?;
    if command.json {
        return print(&ascii_json(&object(&token, now)));
    }
    let mut text = lines(&token, now);
    let mut more = false;
    if token.entry.profile == REFRESH {
        let login = Filter { login: Some(token.entry.id.clone()), limit: LIMIT, ..Filter::default() };
        let (mut others, more_of_them) = some(&store, login)?;
        others.retain(|other| other.entry.id != token.entry.id);
        text.push_str(if others.is_empty() {
            "\nno other token of this login\n"
        } else {
            "\nother tokens of this login:\n"
        });
        if !others.is_empty() {
            text.push_str(&table(&others, now));
        }
        more = more_of_them;
    }
    print(&text)?;
    if more {
        tell_of_more(LIMIT);
    }
    Ok(())
}

fn lines(token: &Listed, now: UnixTime) -> String {
    let entry = &token.entry;
    let time = |at: UnixTime| format!("{} UTC ({})", Readable(at), distance(at, now));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let revoked = token.revoked_at.map_or_else(|| "no".to_owned(), time);
    let mut text = String::new();
    for (name, value) in [
        ("id", entry.id.clone()),
        ("profile", entry.profile.clone()),
        ("state", state(token, now).to_owned()),
        ("user", user(&entry.subject)),
        ("audience", entry.audience.clone()),
        ("granted", granted(token)),
        ("by", if entry.rules.is_empty() { "no rule".to_owned() } else { entry.rules.clone() }),
        ("policy", or_none(&entry.policy)),
        ("issued", time(entry.issued_at)),
        ("expires", time(entry.expires_at)),
        ("revoked", revoked),
        ("key id", or_none(&entry.key_id)),
        ("peer", entry.peer.clone()),
        ("for", entry.address.clone()),
        ("client", or_none(&entry.client)),
        ("login", or_none(&entry.login)),
    ] {
        let _ = writeln!(text, "{name:<9} {}", printable(&value)); // to a String: cannot fail
    }
    text
}
