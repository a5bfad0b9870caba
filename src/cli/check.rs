//! `keypebble check`: what `serve` would start with.

use super::args::{Arguments, Spec};
use super::{Command, print};
use crate::cli::error::Error;
use crate::config::Bind;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::file::Files;
use crate::ground::text::printable;
use crate::key::algorithm::Algorithm;
use crate::load::setup::{self, Loaded, Paths};
use crate::policy::Enforcement;
use crate::token::Sealer;
use std::fmt::Write;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "check", operands: 0, help: include_str!("help/check.txt"), read };

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    Ok(Command::Check(arguments.files()?))
}

pub(super) fn run(paths: &Paths) -> Result<(), Error> {
    let mut files = Files::default();
    let Loaded { state, service, tls, policy: policy_path, users: users_path } =
        setup::load(paths, &mut files)?;
    let issuer = &state.issuer;
    let key = issuer.keyring().active();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<16} {}", printable(value));
    };
    line("configuration", &paths.config.display().to_string());
    line("issuer", issuer.name());
    line("audience", issuer.audience());
    line("algorithm", key.algorithm().name());
    line("signed by", key.engine());
    line("key id", key.id().unwrap_or("none (tokens carry no kid)"));
    let others: Vec<String> = issuer
        .keyring()
        .verifiers()
        .iter()
        .skip(1) // the active one, which is named above
        .map(|key| format!("{} ({}, {})", key.id().unwrap_or_default(), key.state().name(), key.algorithm()))
        .collect();
    if !others.is_empty() {
        line("other keys", &others.join(", "));
    }
    if let Some(chain) = key.chain() {
        line("x5c", &format!("{} certificate(s) in every token", chain.certificates().len()));
    }
    if !matches!(issuer.format(), Sealer::Jws(_)) {
        line("token format", &format!("{} (registry tokens: jwt)", issuer.format().summary()));
    }
    line(
        "token life",
        &format!(
            "{}, registry tokens at most {}",
            issuer.lifetimes().default,
            issuer.lifetimes().registry(crate::ground::time::Ttl::MAX)
        ),
    );
    line(
        "listen",
        &match &service.bind {
            Bind::Tcp(host, port) => format!("{host}, port {port}"),
            Bind::Unix(path) => format!("unix:{}", path.display()),
        },
    );
    if let Some(tls) = &tls {
        line("TLS", &tls.describe());
    }
    line("trusted proxies", &service.trusted_proxies.to_string());
    if !service.forwarded_by.is_empty() {
        line("forwarded by", &service.forwarded_by.to_string());
    }
    if !service.allowed_services.is_empty() {
        line("other services", &service.allowed_services.join(", "));
    }
    if let (Some(logins), Some(path)) = (&state.logins, &users_path) {
        let (users, cost) = (logins.users.count(), logins.users.dearest());
        line("users file", &format!("{}: {users} user(s), bcrypt cost at most {cost}", path.display()));
        line(
            "refresh tokens",
            &logins.refresh.as_ref().map_or("none".to_owned(), |refresh| format!("for {}", refresh.ttl())),
        );
    }
    let policy = match (&state.enforcement, &policy_path) {
        (Enforcement::Policy(policy), Some(path)) => format!(
            "{}: {} user(s){}, mode {}",
            path.display(),
            policy.user_count(),
            if policy.has_anonymous() { " and anonymous" } else { "" },
            policy.mode().name()
        ),
        (Enforcement::Off, _) => "none: everything that is asked is granted".to_owned(),
        _ => "not found: nothing is granted".to_owned(),
    };
    line("policy", &policy);
    let registry = registry_note(key.algorithm());
    let findings = match &state.enforcement {
        Enforcement::Policy(policy) => {
            line("expectations", &format!("{} hold", policy.expectations().len()));
            policy.findings(|ttl| issuer.lifetimes().registry(ttl.unwrap_or(issuer.lifetimes().default)))
        }
        Enforcement::Nothing | Enforcement::Off => Vec::new(),
    };
    for warning in files.warnings().iter().cloned().chain(registry).chain(findings) {
        let _ = writeln!(text, "warning: {}", warning.what);
        if !warning.hint.is_empty() {
            let _ = writeln!(text, "  hint: {}", warning.hint);
        }
    }
    print(&text)
}

/// Which registries take tokens of this algorithm: the table of keys in README.
fn registry_note(algorithm: Algorithm) -> Option<Diagnostic> {
    let (who, hint) = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            ("no Docker registry accepts it", "use private_key_path with an RSA or P-256 key for a registry")
        }
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => (
            "no Docker registry accepts it yet",
            "use private_key_path with an RSA or P-256 key for a registry",
        ),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => {
            ("distribution 2.8 does not accept it, 3.x does", "use RS256 or ES256 for both")
        }
        _ => return None,
    };
    Some(Diagnostic::advice("algorithm", format!("{algorithm}: {who}"), hint))
}
