//! The registry's side: names, realm, trust, and a token made now as it would judge it.

use super::sample;
use crate::config::Config;
use crate::diagnosis::claims::Expected;
use crate::diagnosis::registry::{Gate, RegistryConfig};
use crate::diagnosis::verdict::{Program, Trust, judge};
use crate::ground::diagnostic::{Diagnostic, Level, shortened, worst};
use crate::ground::time::UnixTime;
use crate::issuer::Issuer;
use crate::key::keyring::{Keyring, State};

/// The registry's configuration beside the issuer's.
pub fn registry(config: &Config, registry: &RegistryConfig, programs: &[Program]) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = gate(&registry.gate).into_iter().collect();
    if !registry.may_ask_for_tokens() {
        return findings;
    }
    let stops = registry.stops.iter().filter(|(program, _)| programs.contains(program));
    findings.extend(stops.map(|(program, why)| {
        Diagnostic::error("no-start", format!("{} does not start: auth.token.{why}", program.title()))
    }));
    let services: Vec<&str> = std::iter::once(&config.audience)
        .chain(&config.service.allowed_services)
        .map(String::as_str)
        .collect();
    findings.push(same(
        "service",
        registry.service.as_deref(),
        &services,
        "`audience` or service.allowed_services",
    ));
    findings.push(same("issuer", registry.issuer.as_deref(), &[&config.issuer], "`issuer`"));
    findings.push(realm(registry));
    if registry.bundle.is_none() && registry.jwks.is_none() {
        findings.push(
            Diagnostic::error("trust", "the registry has neither rootcertbundle nor jwks: it does not start")
                .hint("set rootcertbundle to a certificate of the signing key (2.8 and 3), or jwks (3)"),
        );
    }
    findings
}

/// What decides who is let in, where that is not tokens alone.
fn gate(gate: &Gate) -> Option<Diagnostic> {
    let hint = "take the other REGISTRY_AUTH variables out of its environment, and set auth: {token: {realm, service, \
                issuer, rootcertbundle}} or the variables REGISTRY_AUTH_TOKEN_*";
    let finding = match gate {
        Gate::Token => return None,
        Gate::Open(why) => Diagnostic::error(
            "open",
            "the registry asks for no token: anybody who reaches it may pull, push and delete",
        )
        .why(why),
        Gate::Chance { types, open: true } => {
            Diagnostic::error("open", "the registry asks for tokens after some starts, and not after others")
                .why(format!(
                    "its `auth` has several types ({types}), and which one counts is left to chance"
                ))
        }
        Gate::Chance { types, open: false } => Diagnostic::error(
            "chance",
            "the registry asks for tokens after some starts, and at others does not start",
        )
        .why(format!("its `auth` has several types ({types}), and which one counts is left to chance")),
        Gate::Other(name) => {
            Diagnostic::error("registry", format!("the registry asks for no token: its `auth` is {name}"))
        }
        Gate::Stops(why) => Diagnostic::error("no-start", format!("the registry does not start: {why}")),
    };
    Some(finding.hint(hint))
}

/// A name that both sides must write alike.
fn same(code: &'static str, theirs: Option<&str>, ours: &[&str], key: &str) -> Diagnostic {
    let Some(theirs) = theirs else {
        return Diagnostic::error(
            code,
            format!("auth.token.{code} is missing or not text: the registry does not start"),
        )
        .hint(format!("set it to `{}`", shortened(ours.first().unwrap_or(&""), 120)));
    };
    if ours.contains(&theirs) {
        return Diagnostic::ok(code, format!("both sides say `{}`", shortened(theirs, 120)));
    }
    let near =
        ours.iter().find(|own| own.trim_end_matches('/').eq_ignore_ascii_case(theirs.trim_end_matches('/')));
    let why = if near.is_some() {
        "they differ in a slash at the end or in capitals only, and are compared byte by byte"
    } else {
        "every token is refused, as `unauthorized`"
    };
    let ours: Vec<String> = ours.iter().map(|own| format!("`{}`", shortened(own, 120))).collect();
    let what =
        format!("the registry's {code} is `{}`, Keypebble's {}", shortened(theirs, 120), ours.join(" or "));
    Diagnostic::error(code, what).why(why).hint(format!("make auth.token.{code} and {key} the same text"))
}

fn realm(registry: &RegistryConfig) -> Diagnostic {
    if registry.autoredirect {
        return Diagnostic::warning(
            "realm",
            "autoredirect is on: clients are sent to https://<the registry>/auth/token",
        )
        .why("then realm is ignored, and Keypebble answers at /v2/token")
        .hint("remove autoredirect, or let the proxy pass /auth/token on to /v2/token");
    }
    let Some(realm) = registry.realm.as_deref() else {
        return Diagnostic::error(
            "realm",
            "auth.token.realm is missing or not text: the registry does not start",
        )
        .hint("set it to the URL of /v2/token, as clients reach it");
    };
    let shown = shortened(realm, 120);
    let path = realm.strip_prefix("https://").or_else(|| realm.strip_prefix("http://"));
    match path.map(|rest| rest.split_once('/').map_or("", |(_, path)| path)) {
        None => Diagnostic::error(
            "realm",
            format!("auth.token.realm is not an http or https URL: `{shown}`"),
        )
        .hint(
            "set it to the URL of /v2/token, as clients reach it, such as https://auth.example.com/v2/token",
        ),
        Some("v2/token") => Diagnostic::ok("realm", format!("clients are sent to `{shown}`")),
        Some(_) => Diagnostic::warning("realm", format!("clients are sent to `{shown}`"))
            .why("Keypebble answers at /v2/token")
            .hint("end it in /v2/token, unless a proxy translates the path"),
    }
}

/// Makes a token as `serve` does and judges it as the registry would.
pub fn self_check(
    issuer: &Issuer,
    allowed_services: &[String],
    registry: &RegistryConfig,
    trust: &Trust,
    programs: &[Program],
    now: UnixTime,
) -> Vec<Diagnostic> {
    // As `serve` does: the service that is asked for, where tokens are signed for it.
    let asked = registry.service.as_deref();
    let audience = asked.filter(|asked| allowed_services.iter().any(|known| known == asked));
    let issued = match sample(issuer, audience.unwrap_or(issuer.audience()), now, "doctor".to_owned()) {
        Ok(issued) => issued,
        Err(finding) => return vec![finding],
    };
    let audiences: Vec<&str> = registry.service.as_deref().into_iter().collect();
    let expected = Expected { issuer: registry.issuer.as_deref(), audiences: &audiences };
    let judge = |program| judge(program, issued.token.expose(), trust, &expected, &registry.algorithms, now);
    let judged: Vec<_> = programs.iter().map(|program| (program.title(), judge(*program))).collect();
    let any = judged.iter().any(|(_, findings)| worst(findings) < Level::Unknown);
    let mut findings = Vec::new();
    for (title, judgement) in judged {
        findings.push(match worst(&judgement) {
            Level::Ok | Level::Warning => {
                Diagnostic::ok("self-check", format!("{title} would take a token made now"))
            }
            Level::Unknown => Diagnostic::unknown(
                "self-check",
                format!("what {title} would say to a token made now cannot be told"),
            ),
            // One program takes it: which one runs is not known, so that the other's refusal only warns.
            Level::Error if any => {
                Diagnostic::warning("self-check", format!("{title} would refuse a token made now"))
                    .hint("if that is not the one you run, say which with --for")
            }
            Level::Error => Diagnostic::error("self-check", format!("{title} would refuse a token made now")),
        });
        for mut finding in judgement {
            if any && finding.level == Level::Error {
                finding.level = Level::Warning;
            }
            finding.what = format!("{title}: {}", finding.what);
            findings.push(finding);
        }
    }
    findings
}

/// Which programs may be meant: those that could start with this configuration.
pub fn programs(registry: &RegistryConfig) -> Vec<Program> {
    if registry.bundle.is_none() || registry.jwks.is_some() || !registry.algorithms.is_empty() {
        // 2.8 knows neither jwks nor signingalgorithms, and needs a bundle.
        return vec![Program::Registry3];
    }
    vec![Program::Registry28, Program::Registry3]
}

/// Whether the registry knows the keys that sign next, and those whose tokens are still about.
pub fn ring(keyring: &Keyring, trust: &Trust) -> Vec<Diagnostic> {
    let others = keyring.verifiers().iter().filter(|key| key.state() != State::Active);
    let unknown = others.filter(|key| key.public().is_some_and(|own| !trust.holds(own)));
    let finding = |state, id: &str| match state {
        State::Next => Diagnostic::warning(
            "next-key",
            format!("the registry does not know the next key, `{id}`"),
        )
        .why("once `keypebble keys rotate` lets it sign, every token is refused")
        .hint("export it into the registry's bundle or jwks, and restart the registry, before you rotate"),
        _ => Diagnostic::warning(
            "previous-key",
            format!("the registry does not know the previous key, `{id}`"),
        )
        .why("its tokens that are still valid are refused"),
    };
    unknown.map(|key| finding(key.state(), &shortened(key.id().unwrap_or("no id"), 80))).collect()
}
