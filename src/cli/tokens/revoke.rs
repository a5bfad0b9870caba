//! `keypebble tokens revoke`: tokens end before their time.

use super::super::args::{Arguments, Spec, usage};
use super::super::{print, warn};
use super::{find, open};
use crate::cli::error::{Error, Exit};
use crate::ground::diagnostic::{Diagnostic, ascii_json};
use crate::ground::text::{printable, quoted};
use crate::ground::time::UnixTime;
use crate::ground::when::{FORMS, Readable, Span, distance};
use crate::store::Store;
use crate::store::entry::{Ended, Listed, Revocation, Target};
use serde_json::json;
use std::path::PathBuf;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "tokens revoke", operands: 0, help: include_str!("../help/tokens-revoke.txt"), run };

/// Which tokens end.
struct Revoke {
    config: PathBuf,
    whose: Whose,
    /// Those issued until then; now where nothing is said.
    before: Option<String>,
    json: bool,
}

enum Whose {
    Id(String),
    User(String),
    Client(String),
    Key(String),
}

fn read(mut arguments: Arguments) -> Result<Revoke, Error> {
    let mut given = Vec::new();
    given.extend(arguments.name("id")?.map(Whose::Id));
    given.extend(arguments.name("user")?.map(Whose::User));
    given.extend(arguments.name("client")?.map(Whose::Client));
    given.extend(arguments.name("key")?.map(Whose::Key));
    let Some(whose) = given.pop() else {
        return Err(arguments.missing("one of --id ID, --user NAME, --client NAME and --key ID"));
    };
    if !given.is_empty() {
        return Err(usage("--id, --user, --client and --key exclude each other")
            .with_hint("revoke one after the other"));
    }
    let before = arguments.name("before")?;
    if before.is_some() && matches!(whose, Whose::Id(_)) {
        return Err(usage("--before is for many tokens, and --id is one").with_hint("leave out --before"));
    }
    let json = arguments.switch("json");
    let config = arguments.config()?;
    Ok(Revoke { config, whose, before, json })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let now = UnixTime::now();
    let before = match &command.before {
        None => now,
        Some(text) => match Span::parse(text, now) {
            Some(span) if span.until <= now => span.until,
            Some(span) if span.from <= now => now, // the day that is not over yet
            Some(_) => return Err(usage(format!("--before: `{text}` is yet to come"))),
            None => return Err(usage(format!("--before: {FORMS}, found {}", quoted("", text)))),
        },
    };
    let store = open(&command.config)?;
    let target = target(&store, &command.whose)?;
    let revocation = Revocation { target, before, at: now, actor: "command line".to_owned() };
    store.revoke(&revocation).map_err(Error::Store)?;
    let ended = store.ended(&revocation).map_err(|fault| {
        Error::said(Exit::Failed, format!("it is revoked, but what that ended cannot be counted: {fault}"))
    })?;
    answer(command, ended, before, now)
}

fn target(store: &Store, whose: &Whose) -> Result<Target, Error> {
    Ok(match whose {
        Whose::Id(id) => {
            let Listed { entry, .. } = find(store, id)?;
            Target::Token { id: entry.id, expires_at: entry.expires_at }
        }
        Whose::User(name) => Target::User(name.clone()),
        Whose::Client(name) => Target::Client(name.clone()),
        Whose::Key(id) => Target::Key(id.clone()),
    })
}

fn answer(command: &Revoke, ended: Ended, before: UnixTime, now: UnixTime) -> Result<(), Error> {
    if command.json {
        print(&ascii_json(&json!({
            "ended": ended.tokens,
            "registries_take_them_until": ended.latest.map(|at| at.to_string()),
        })))?;
    } else {
        let until = Readable(before);
        let what = match &command.whose {
            Whose::Id(id) => format!("the token {id}, and if it is a login its other tokens"),
            Whose::User(name) => format!("the tokens of the user {name} that were issued until {until} UTC"),
            Whose::Client(name) => {
                format!("the tokens of the client {name} that were issued until {until} UTC")
            }
            Whose::Key(id) => format!("the tokens of the key {id} that were issued until {until} UTC"),
        };
        print(&format!("revoked {}; {} had not expired\n", printable(&what), ended.tokens))?;
    }
    let Some(latest) = ended.latest else { return Ok(()) };
    let hint = match &command.whose {
        Whose::User(_) => "to keep the user out, take their line out of the users file or the policy, too",
        Whose::Key(_) => {
            "to make them worthless at once, take the key from the registry, too: keypebble keys retire --force"
        }
        Whose::Id(_) | Whose::Client(_) => {
            "short lives are the cure: set default_ttl_seconds to a few minutes"
        }
    };
    warn(&[Diagnostic::advice(
        "registry",
        format!(
            "no registry asks Keypebble: one that was given a token takes it until it expires, the last of these at {} UTC ({})",
            Readable(latest),
            distance(latest, now)
        ),
        hint,
    )]);
    Ok(())
}
