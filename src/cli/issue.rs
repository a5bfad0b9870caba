//! `keypebble issue`: one token on stdout.

pub(super) mod claims;
pub(super) mod wrong;

use super::args::{Arguments, Spec, usage};
use super::{new_id, print, warn};
use crate::claims::Requested;
use crate::cli::error::{Error, Exit};
use crate::ground::diagnostic::Diagnostic;
use crate::ground::file::Files;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::{Issuance, IssueError, Issued, Issuer, Profile};
use crate::load::setup;
use crate::policy::scope::{self, Access};
use crate::policy::{Asker, Generated, Policy, Who};
use crate::store::Store;
use crate::store::config::StoreConfig;
use crate::store::entry::{self, Entry};
use crate::token::Format;
use claims::ClaimFlags;
use std::io;
use std::path::{Path, PathBuf};
use wrong::Wrong;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "issue", operands: 0, help: include_str!("help/issue.txt"), run };

/// What is to be issued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) config: PathBuf,
    pub(super) policy: Option<PathBuf>,
    pub(super) claims: ClaimFlags,
    pub(super) generate: bool,
    pub(super) ttl: Option<Ttl>,
    pub(super) audience: Option<String>,
    pub(super) format: Option<Format>,
    pub(super) wrong: Wrong,
}

pub(super) fn read(mut arguments: Arguments) -> Result<Issue, Error> {
    let issue = Issue {
        config: arguments.config()?,
        policy: arguments.path("policy")?,
        claims: ClaimFlags::read(&mut arguments)?,
        generate: arguments.switch("generate"),
        ttl: arguments.parsed("ttl")?,
        audience: arguments.name("audience")?,
        format: arguments.one_of("format", &Format::ALL.map(Format::name), Format::named)?,
        wrong: Wrong::read(&mut arguments)?,
    };
    if issue.audience.is_some() && issue.wrong.has_audience() {
        return Err(usage("--audience and --wrong-audience contradict each other"));
    }
    Ok(issue)
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let mut files = Files::default();
    let mut config = setup::config(&command.config, &mut files)?;
    if let Some(format) = command.format {
        config.sealing.use_format(format).map_err(|[problem, hint]| usage(problem).with_hint(hint))?;
    }
    let store = config.store.take();
    if config.policy_off {
        setup::refuse_policy(command.policy.as_deref())?;
    }
    let policy = command.policy.clone().or_else(|| config.policy_file.clone());
    if command.generate && policy.is_none() {
        let error = usage("--generate needs a policy");
        return Err(error.with_hint("add --policy PATH, or `policy_file` to the configuration"));
    }
    let requested = command.claims.load()?;
    let issuer = config.into_issuer();
    let audience = command.audience.as_deref().unwrap_or(issuer.audience());
    let user = requested.user().map_err(Error::Claims)?.to_owned();
    let grant = match &policy {
        None => None,
        Some(path) => Some(grant(&issuer, audience, &requested, path, command, &mut files)?),
    };
    warn(files.warnings());
    // With a policy these three are what it grants; nobody need list them.
    let ours = |name: &&str| grant.is_some() && matches!(*name, "sub" | "scope" | "access");
    let (claims, dropped) = issuer.filter().apply(requested);
    warn_dropped(dropped.iter().map(String::as_str).filter(|name| !ours(name)));
    let (profile, life, subject) = match &grant {
        // What the allow-list leaves out names nobody.
        None => (Profile::Generic(&claims), issuer.lifetimes().default, claims.subject()),
        Some(grant) => (Profile::Granted(&claims, &grant.access), grant.ttl, &*user),
    };
    let (wrong, ttl) = (&command.wrong, command.ttl.unwrap_or(life));
    let (audience, now) = (wrong.audience(audience), wrong.time(UnixTime::now(), ttl));
    let issuance = Issuance { profile, subject, audience: &audience, ttl };
    let issued = make(&issuer, &issuance, now)?;
    if let Some(config) = &store {
        let entry = Entry::of(&issued.record);
        remember(
            config,
            match &grant {
                None => entry,
                Some(grant) => {
                    Entry { policy: Some(grant.policy.clone()), rules: grant.rules.clone(), ..entry }
                }
            },
        )?;
    }
    warn(&wrong.warnings(now, ttl, &audience));
    print(&format!("{}\n", wrong.token(issued.token.expose())))
}

/// Makes a token with a new id.
pub(super) fn make<'i>(
    issuer: &'i Issuer,
    issuance: &Issuance<'i>,
    now: UnixTime,
) -> Result<Issued<'i>, Error> {
    let id = new_id().ok_or_else(|| Error::System {
        what: "cannot make a token id".to_owned(),
        source: io::Error::other("the system gives no random numbers"),
    })?;
    issuer.issue(issuance, now, id).map_err(|error| match error {
        IssueError::Claims(error) => Error::Claims(error),
        IssueError::Seal(error) => Error::Seal(error),
    })
}

/// Has the store keep the token; where that is required, none is printed without it.
pub(super) fn remember(config: &StoreConfig, entry: Entry) -> Result<(), Error> {
    let here = || "command line".to_owned();
    let entry = Entry { peer: here(), address: here(), ..entry };
    let kept = Store::open(config, Box::new(|_| ())).and_then(|store| store.commit(vec![entry]));
    match kept {
        Err(fault) if !config.required && !fault.lasting => {
            warn(&[Diagnostic::advice(
                "store",
                format!("the token is not recorded: {fault}"),
                fault.hint.unwrap_or_default(),
            )]);
            Ok(())
        }
        kept => kept.map_err(Error::Store),
    }
}

/// What a policy grants, and by what.
struct Granted {
    access: Vec<Access>,
    ttl: Ttl,
    policy: String,
    rules: String,
}

/// What the policy grants of what is asked, and how long that lives.
fn grant(
    issuer: &Issuer,
    audience: &str,
    requested: &Requested,
    path: &Path,
    command: &Issue,
    files: &mut Files,
) -> Result<Granted, Error> {
    let policy = setup::policy(path, files)?;
    let user = requested.user().map_err(Error::Claims)?;
    let hosts = [audience, issuer.audience()];
    let asker = Asker { who: Who::User(user), hosts: &hosts, default_ttl: issuer.lifetimes().default };
    let asked = requested.scopes().map_err(Error::Claims)?.filter(|_| !command.generate);
    check_known(&policy, user, path)?;
    let granted = |(access, ttl): (Vec<Access>, Ttl)| {
        let (policy, rules) = (entry::short(policy.digest()).to_owned(), policy.reasons(&asker, &access));
        Granted { access, ttl, policy, rules }
    };
    let Some(asked) = asked else { return Ok(granted(everything(&policy, &asker))) };
    let grant = policy.grant(&asker, &asked);
    if grant.refused {
        let (granted, asked) = (scope::join_or_nothing(&grant.access), scope::join(&asked));
        let message = format!("the policy grants user `{user}` {granted}, not all of {asked}");
        let hint =
            format!("`mode: deny` in {} refuses a request unless all of it is granted", path.display());
        return Err(Error::said(Exit::Refused, message).with_hint(hint));
    }
    Ok(granted((grant.access, grant.ttl)))
}

fn everything(policy: &Policy, asker: &Asker<'_>) -> (Vec<Access>, Ttl) {
    // Who gets nothing was refused before.
    let Some(Generated { access, ttl, skipped }) = policy.grants_of(asker) else {
        return (Vec::new(), asker.default_ttl);
    };
    if !skipped.is_empty() {
        warn(&[Diagnostic::advice(
            "scope",
            format!(
                "patterns with wildcards are left out, because registries compare names: {}",
                skipped.join(" ")
            ),
            "ask for the repositories by name in `scope`",
        )]);
    }
    (access, ttl)
}

/// Refuses a user whom the policy does not name, unless there is something that anyone may pull: a slip of
/// the pen should not pass in silence.
fn check_known(policy: &Policy, user: &str, path: &Path) -> Result<(), Error> {
    if policy.knows(Who::User(user)) {
        return Ok(());
    }
    let hint = format!("the user is the claim `sub`, else `user`; users are listed in {}", path.display());
    let message = format!("the policy does not know user `{user}`");
    if !policy.has_anonymous() {
        return Err(Error::said(Exit::Refused, message).with_hint(hint));
    }
    warn(&[Diagnostic::advice(
        "anonymous",
        message + ": they get what `anonymous` may pull, and no more",
        hint,
    )]);
    Ok(())
}

fn warn_dropped<'n>(names: impl Iterator<Item = &'n str>) {
    let names: Vec<&str> = names.collect();
    if !names.is_empty() {
        warn(&[Diagnostic::advice(
            "claims",
            format!("left out, because not in allowed_custom_claims: {}", names.join(" ")),
            "add the name to allowed_custom_claims in the configuration",
        )]);
    }
}
