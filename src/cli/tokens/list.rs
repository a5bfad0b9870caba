//! `keypebble tokens list`: what was issued and may still count.

use super::super::args::{Arguments, Spec};
use super::super::print;
use super::{MOST, object, open, some, table, tell_of_more};
use crate::cli::error::Error;
use crate::ground::diagnostic::ascii_json;
use crate::ground::time::UnixTime;
use crate::issuer::REFRESH;
use crate::store::entry::Filter;
use serde_json::Value;
use std::path::PathBuf;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "tokens list", operands: 0, help: include_str!("../help/tokens-list.txt"), run };

/// How many rows are shown where nothing is said.
const LIMIT: u32 = 100;

/// Which tokens are shown.
struct List {
    config: PathBuf,
    filter: Filter,
    /// Those that have expired, too.
    all: bool,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<List, Error> {
    let filter = Filter {
        subject: arguments.name("user")?,
        client: arguments.name("client")?,
        key_id: arguments.name("key")?,
        profile: arguments.switch("logins").then(|| REFRESH.to_owned()),
        limit: arguments.number("limit", 1..=MOST)?.unwrap_or(LIMIT),
        ..Filter::default()
    };
    let (all, json) = (arguments.switch("all"), arguments.switch("json"));
    Ok(List { config: arguments.config()?, filter, all, json })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let store = open(&command.config)?;
    let now = UnixTime::now();
    let expires_after = if command.all { None } else { Some(now) };
    let (tokens, more) = some(&store, Filter { expires_after, ..command.filter.clone() })?;
    if command.json {
        print(&ascii_json(&Value::Array(tokens.iter().map(|token| object(token, now)).collect())))?;
    } else {
        print(&table(&tokens, now))?;
    }
    if more {
        tell_of_more(command.filter.limit);
    }
    Ok(())
}
