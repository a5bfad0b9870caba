//! `keypebble command`: one command token on stdout.

use super::args::{Arguments, Spec, usage};
use super::{issue, print, warn};
use crate::claims::{self, Recipient, UNKNOWN_USER};
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::name;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::{Issuance, Profile};
use crate::load::setup;
use crate::store::entry::Entry;
use std::path::PathBuf;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "command", operands: 0, help: include_str!("help/command.txt"), run };

/// What is wanted of whom, and by whom.
struct CommandToken {
    config: PathBuf,
    target: String,
    command: String,
    user: Option<String>,
    ttl: Option<Ttl>,
}

fn read(mut arguments: Arguments) -> Result<CommandToken, Error> {
    let config = arguments.config()?;
    let target = arguments.name("target")?.ok_or_else(|| arguments.missing("--target NAME"))?;
    let command = arguments.name("command")?.ok_or_else(|| arguments.missing("--command TEXT"))?;
    let user = arguments.name("user")?;
    if let Some(problem) = user.as_deref().and_then(name::problem) {
        return Err(usage(format!("--user {problem}")));
    }
    let ttl = arguments.parsed("ttl")?;
    Ok(CommandToken { config, target, command, user, ttl })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let token = &read(arguments)?;
    let mut files = Files::default();
    let mut config = setup::config(&token.config, &mut files)?;
    let store = config.store.take();
    let target = Recipient::new(&token.target, config.services()).map_err(|error| {
        let error = usage(format!("--target {error}"));
        error.with_hint("name whoever is to obey: a command token is for no registry")
    })?;
    let command = claims::TargetCommand::new(target, &token.command)
        .ok_or_else(|| usage("--command has more than 4096 bytes"))?;
    let issuer = config.into_issuer();
    let lifetimes = issuer.lifetimes();
    let ttl = token.ttl.unwrap_or(lifetimes.default);
    if ttl > lifetimes.max {
        return Err(usage(format!("--ttl: {ttl} is more than `max_ttl_seconds`, {}", lifetimes.max)));
    }
    warn(files.warnings());
    let subject = token.user.as_deref().unwrap_or(UNKNOWN_USER);
    let issuance = Issuance { profile: Profile::Command(&command), subject, audience: target.name(), ttl };
    let issued = issue::make(&issuer, &issuance, UnixTime::now())?;
    if let Some(config) = &store {
        issue::remember(config, Entry::of(&issued.record))?;
    }
    print(&format!("{}\n", issued.token.expose()))
}
