//! `keypebble policy explain`: which rule grants or denies, before a push fails.

use super::super::args::{Arguments, Spec, usage};
use super::super::print;
use super::{Named, Setting, overview, pretty};
use crate::cli::error::Error;
use crate::ground::text::quoted;
use crate::policy::scope;
use crate::policy::{Asker, Explanation, Who};
use serde_json::json;
use std::fmt::Write;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "policy explain", operands: 0, help: include_str!("../help/policy-explain.txt"), run };

/// What is to be explained.
struct Explain {
    named: Named,
    /// `None` for the anonymous.
    user: Option<String>,
    /// `None` for all that the user has.
    scope: Option<String>,
    service: Option<String>,
    audience: Option<String>,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Explain, Error> {
    let user = arguments.name("user")?;
    if user.is_some() == arguments.switch("anonymous") {
        return Err(match user {
            Some(_) => usage("--user and --anonymous exclude each other").with_hint("leave one of them out"),
            None => arguments.missing("--user NAME or --anonymous"),
        });
    }
    Ok(Explain {
        named: Named::read(&mut arguments)?,
        user,
        scope: arguments.text("scope")?,
        service: arguments.name("service")?,
        audience: arguments.name("audience")?,
        json: arguments.switch("json"),
    })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let parse = |text: &String| {
        scope::parse_all([text.as_str()]).map_err(|error| {
            usage(format!("--scope: {error}, found {}", quoted("", text)))
                .with_hint("such as repository:alice-space/app-api:pull,push")
        })
    };
    let asked = command.scope.as_ref().map(parse).transpose()?;
    let setting = command.named.load()?;
    let audience = command.audience.as_deref().or(setting.audience.as_deref());
    let hosts: Vec<&str> = command.service.as_deref().into_iter().chain(audience).collect();
    let who = command.user.as_deref().map_or(Who::Anonymous, Who::User);
    let asker = Asker { who, hosts: &hosts, default_ttl: setting.lifetimes.default };
    let explanation = setting.file.policy.explain(&asker, asked.as_deref().unwrap_or_default());
    print(&match (&asked, command.json) {
        (Some(_), false) => text(&setting, &asker, &explanation),
        (Some(_), true) => pretty(&as_json(&setting, &asker, &explanation)),
        (None, false) => overview::text(&setting, &asker, &explanation),
        (None, true) => pretty(&overview::json(&setting, &asker, &explanation)),
    })
}

fn text(setting: &Setting, asker: &Asker<'_>, explanation: &Explanation<'_>) -> String {
    let mut text = setting.file.head(asker.who, explanation);
    for explained in &explanation.scopes {
        text.push_str(&setting.file.lines(explained, asker.hosts));
    }
    // Writing to a String does not fail.
    let _ = if explanation.grant.refused {
        writeln!(text, "token     none: `mode: deny` refuses a request that is not granted in full")
    } else {
        let access = scope::join_or_nothing(&explanation.grant.access);
        writeln!(
            text,
            "token     grants {access}, for {}",
            setting.lifetimes.of_rule(Some(explanation.grant.ttl))
        )
    };
    text
}

fn as_json(setting: &Setting, asker: &Asker<'_>, explanation: &Explanation<'_>) -> serde_json::Value {
    let scopes = explanation.scopes.iter();
    let life = setting.lifetimes.of_rule(Some(explanation.grant.ttl)).seconds();
    let token = (!explanation.grant.refused)
        .then(|| json!({"access": explanation.grant.access, "ttl_seconds": life}));
    let mut object = setting.file.head_json(asker.who, explanation);
    object["scopes"] = scopes.map(|scope| setting.file.scope_json(scope, asker.hosts)).collect();
    object["complete"] = explanation.grant.complete.into();
    object["refused"] = explanation.grant.refused.into();
    object["token"] = token.into();
    object
}
