//! `keypebble policy explain`: which rule grants or denies, before a push fails.

use super::super::args::{Arguments, Spec, usage};
use super::super::{Command, print};
use super::{File, name, pretty};
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::time::Ttl;
use crate::load::setup;
use crate::policy::scope;
use crate::policy::{Asker, Explanation, Who};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "policy explain", operands: 0, help: include_str!("../help/policy-explain.txt"), read };

/// What is to be explained.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Explain {
    policy: PathBuf,
    /// `None` for the anonymous.
    user: Option<String>,
    scope: String,
    service: Option<String>,
    audience: Option<String>,
    config: Option<PathBuf>,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let user = arguments.name("user")?;
    if user.is_some() == arguments.switch("anonymous") {
        return Err(match user {
            Some(_) => usage("--user and --anonymous exclude each other").with_hint("leave one of them out"),
            None => arguments.missing("--user NAME or --anonymous"),
        });
    }
    Ok(Command::PolicyExplain(Explain {
        policy: arguments.required_path("policy")?,
        user,
        scope: match arguments.text("scope")? {
            Some(scope) => scope,
            None => return Err(arguments.missing("--scope SCOPE")),
        },
        service: arguments.name("service")?,
        audience: arguments.name("audience")?,
        config: arguments.path("config")?,
        json: arguments.switch("json"),
    }))
}

pub(in crate::cli) fn run(command: &Explain) -> Result<(), Error> {
    let asked = scope::parse_all([command.scope.as_str()]).map_err(|error| {
        usage(format!("--scope: {error}, found `{}`", command.scope))
            .with_hint("such as repository:alice-space/app-api:pull,push")
    })?;
    let config = |path: &PathBuf| setup::config(path, &mut Files::default());
    let config = command.config.as_ref().map(config).transpose()?;
    let file = File::load(&command.policy)?;
    let audience = command.audience.as_deref().or(config.as_ref().map(|config| config.audience.as_str()));
    let hosts: Vec<&str> = command.service.as_deref().into_iter().chain(audience).collect();
    let who = command.user.as_deref().map_or(Who::Anonymous, Who::User);
    let default_ttl = config.as_ref().map_or(Ttl::DEFAULT, |config| config.lifetimes.default);
    let explanation = file.policy.explain(&Asker { who, hosts: &hosts, default_ttl }, &asked);
    let wanted = explanation.grant.ttl;
    let life = config.as_ref().map_or(wanted, |config| config.lifetimes.registry(wanted));
    let answer = Answer { file: &file, who, hosts: &hosts, explanation: &explanation, life };
    print(&if command.json { answer.json() } else { answer.text() })
}

/// Everything that is printed.
struct Answer<'a> {
    file: &'a File,
    who: Who<'a>,
    hosts: &'a [&'a str],
    explanation: &'a Explanation<'a>,
    life: Ttl,
}

impl Answer<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(text, "policy    {}, mode {}", self.file.path(), self.file.policy.mode().name());
        let _ = writeln!(text, "user      {}", name(self.who));
        if let Some(unknown) = self.file.unknown(self.who, self.explanation) {
            let _ = writeln!(text, "  note    {unknown}");
        }
        for explained in &self.explanation.scopes {
            text.push_str(&self.file.lines(explained, self.hosts));
        }
        if self.explanation.grant.refused {
            let _ =
                writeln!(text, "token     none: `mode: deny` refuses a request that is not granted in full");
        } else {
            let access = scope::join_or_nothing(&self.explanation.grant.access);
            let _ = writeln!(text, "token     grants {access}, for {}", self.life);
        }
        text
    }

    fn json(&self) -> String {
        let scopes = self.explanation.scopes.iter();
        let token = (!self.explanation.grant.refused)
            .then(|| json!({"access": self.explanation.grant.access, "ttl_seconds": self.life.seconds()}));
        pretty(&json!({
            "policy": self.file.path().to_string(),
            "mode": self.file.policy.mode().name(),
            "user": match self.who {
                Who::User(name) => Some(name),
                Who::Anonymous => None,
            },
            "known": self.explanation.known,
            "similar": self.explanation.similar,
            "scopes": scopes.map(|scope| self.file.scope_json(scope, self.hosts)).collect::<Vec<_>>(),
            "complete": self.explanation.grant.complete,
            "refused": self.explanation.grant.refused,
            "token": token,
        }))
    }
}
