//! `keypebble check`: what `serve` would start with.

use super::args::{Arguments, Spec};
use super::print;
use crate::cli::error::Error;
use crate::diagnosis::doctor;
use crate::ground::diagnostic::{Diagnostic, ascii_json};
use crate::ground::file::Files;
use crate::ground::text::{printable, sentence};
use crate::ground::time::Ttl;
use crate::load::LoadError;
use crate::load::accounts::strangers;
use crate::load::setup::{self, Loaded, Paths};
use crate::policy::Enforcement;
use crate::store::{self, config::StoreConfig};
use crate::token::Sealer;
use serde_json::{Value, json};
use std::fmt::Write;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "check", operands: 0, help: include_str!("help/check.txt"), run };

/// What is to be checked.
struct Check {
    files: Paths,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Check, Error> {
    let json = arguments.switch("json");
    Ok(Check { files: arguments.files()?, json })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let mut files = Files::default();
    let loaded = setup::load(&command.files, &mut files);
    let mut facts = loaded.as_ref().map(|loaded| facts(&command.files, loaded)).unwrap_or_default();
    let store = loaded.as_ref().ok().and_then(|loaded| loaded.store.as_ref()).map(memory).transpose();
    let store = store.map(|line| facts.extend(line));
    let mut findings = files.warnings().to_vec();
    findings.extend(loaded.as_ref().map(judged).unwrap_or_default());
    let failed = loaded.err().map(Error::Load).or(store.err());
    if command.json {
        print(&ascii_json(&document(&facts, &findings, failed.as_ref())))?;
    } else if failed.is_none() {
        print(&text(&facts, &findings))?;
    }
    failed.map_or(Ok(()), Err)
}

/// What the store says of itself.
fn memory(config: &StoreConfig) -> Result<(&'static str, String), Error> {
    let report = store::check(config).map_err(Error::Store)?;
    let required = if config.required { "required" } else { "not required" };
    Ok(("store", format!("{}: {report}, {required}", config.place)))
}

/// What was loaded, a name and a value each.
fn facts(paths: &Paths, loaded: &Loaded) -> Vec<(&'static str, String)> {
    let Loaded { state, service, tls, policy: policy_path, users: users_path, store: _ } = loaded;
    let issuer = &state.issuer;
    let key = issuer.keyring().active();
    let mut facts = vec![
        ("configuration", paths.config.display().to_string()),
        ("issuer", issuer.name().to_owned()),
        ("audience", issuer.audience().to_owned()),
        ("algorithm", key.algorithm().name().to_owned()),
        ("signed by", key.engine().to_owned()),
        ("key id", key.id().unwrap_or("none (tokens carry no kid)").to_owned()),
    ];
    let mut add = |name, value| facts.push((name, value));
    let others: Vec<String> = issuer
        .keyring()
        .verifiers()
        .iter()
        .skip(1) // the active one, which is named above
        .map(|key| format!("{} ({}, {})", key.id().unwrap_or_default(), key.state().name(), key.algorithm()))
        .collect();
    if !others.is_empty() {
        add("other keys", others.join(", "));
    }
    if let Some(chain) = key.chain() {
        add("x5c", format!("{} certificate(s) in every token", chain.certificates().len()));
    }
    if !matches!(issuer.format(), Sealer::Jws(_)) {
        add("token format", format!("{} (registry tokens: jwt)", issuer.format().summary()));
    }
    let (life, longest) = (issuer.lifetimes().default, issuer.lifetimes().registry(Ttl::MAX));
    add("token life", format!("{life}, registry tokens at most {longest}"));
    add("listen", service.bind.to_string());
    if let Some(tls) = tls {
        add("TLS", tls.describe());
    }
    add("trusted proxies", service.trusted_proxies.to_string());
    if !service.forwarded_by.is_empty() {
        add("forwarded by", service.forwarded_by.to_string());
    }
    if !service.allowed_services.is_empty() {
        add("other services", service.allowed_services.join(", "));
    }
    if !state.profiles.names().is_empty() {
        add("profiles", state.profiles.names().join(", "));
    }
    if let (Some(logins), Some(path)) = (&state.logins, users_path) {
        let (users, cost) = (logins.users.count(), logins.users.dearest());
        add("users file", format!("{}: {users} user(s), bcrypt cost at most {cost}", path.display()));
        let refresh = logins.refresh.as_ref().map(|refresh| format!("for {}", refresh.ttl()));
        add("refresh tokens", refresh.unwrap_or_else(|| "none".to_owned()));
    }
    if state.clients.count() > 0 {
        add("clients", state.clients.count().to_string());
    }
    let (policy, expectations) = match (&state.enforcement, policy_path) {
        (Enforcement::Policy(policy), Some(path)) => {
            let anonymous = if policy.has_anonymous() { " and anonymous" } else { "" };
            let (users, mode) = (policy.user_count(), policy.mode().name());
            let text = format!("{}: {users} user(s){anonymous}, mode {mode}", path.display());
            (text, Some(policy.expectations().len()))
        }
        (Enforcement::Off, _) => ("none: everything that is asked is granted".to_owned(), None),
        _ => ("not found: nothing is granted".to_owned(), None),
    };
    add("policy", policy);
    if let Some(count) = expectations {
        add("expectations", format!("{count} hold"));
    }
    facts
}

/// What there is to say of what loaded, beside what the files' readers said.
fn judged(loaded: &Loaded) -> Vec<Diagnostic> {
    let issuer = &loaded.state.issuer;
    let mut findings: Vec<Diagnostic> =
        doctor::unfit_for_registries(issuer.keyring().active().algorithm()).into_iter().collect();
    if let Enforcement::Policy(policy) = &loaded.state.enforcement {
        let lifetimes = issuer.lifetimes();
        findings.extend(policy.findings(|ttl| lifetimes.of_rule(ttl)));
        if let (Some(logins), Some(path)) = (&loaded.state.logins, &loaded.users) {
            let proxies = !loaded.service.trusted_proxies.is_empty();
            findings.extend(strangers((&logins.users, path), policy, proxies));
        }
    }
    findings
}

fn text(facts: &[(&'static str, String)], findings: &[Diagnostic]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<16} {}", printable(value));
    }
    for warning in findings {
        let _ = writeln!(text, "warning: {}", warning.what);
        if !warning.hint.is_empty() {
            let _ = writeln!(text, "  hint: {}", warning.hint);
        }
    }
    text
}

/// The same for programs, also where nothing could be loaded: then with the error, and its place if it has one.
fn document(facts: &[(&'static str, String)], findings: &[Diagnostic], failed: Option<&Error>) -> Value {
    let facts =
        facts.iter().map(|(name, value)| (name.replace(' ', "_"), Value::from(value.as_str()))).collect();
    let mut list: Vec<Value> = findings.iter().map(Diagnostic::json).collect();
    if let Some(error) = failed {
        let mut finding =
            Diagnostic::error("load", sentence(error)).hint(error.hint().unwrap_or_default()).json();
        if let Error::Load(LoadError::Document { source, .. }) = error {
            finding["file"] = source.path.display().to_string().into();
            (finding["line"], finding["column"]) = source
                .location
                .map_or((Value::Null, Value::Null), |(line, column)| (line.into(), column.into()));
        }
        list.push(finding);
    }
    json!({ "starts": failed.is_none(), "loaded": Value::Object(facts), "findings": list })
}
