//! The registry's side: names, realm, trust, and a token made now as it would judge it.

use super::sample;
use crate::config::{Bind, Config, ServiceConfig};
use crate::diagnosis::claims::Expected;
use crate::diagnosis::registry::{Gate, RegistryConfig};
use crate::diagnosis::verdict::{Program, Trust, judge};
use crate::ground::diagnostic::{Diagnostic, Level, shortened, worst};
use crate::ground::net::{host_of, is_local};
use crate::ground::time::UnixTime;
use crate::issuer::Issuer;
use crate::key::keyring::{Keyring, RingKey, State};

/// The registry's configuration beside the issuer's.
pub fn registry(config: &Config, registry: &RegistryConfig, programs: &[Program]) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = gate(registry).into_iter().collect();
    if !registry.may_ask_for_tokens() {
        return findings;
    }
    let stops = registry.stops.iter().filter(|(program, _)| programs.contains(program));
    findings.extend(stops.map(|(program, why)| {
        Diagnostic::error("no-start", format!("{} does not start: auth.token.{why}", program.title()))
    }));
    let services: Vec<&str> = config.services().collect();
    findings.push(service(registry.service.as_deref(), &services));
    findings.push(realm(registry, &config.service));
    if registry.zot {
        findings.push(Diagnostic::ok("issuer", "zot does not look at the issuer"));
        let elsewhere =
            || Diagnostic::unknown("trust", "its keys are in AWS Secrets Manager, and were not compared");
        findings.extend(registry.bundle.is_none().then(elsewhere));
        return findings;
    }
    findings.push(issuer_name(registry.issuer.as_deref(), &config.issuer));
    if registry.bundle.is_none() && registry.jwks.is_none() {
        findings.push(
            Diagnostic::error("trust", "the registry has neither rootcertbundle nor jwks: it does not start")
                .hint("set rootcertbundle to a certificate of the signing key (2.8 and 3), or jwks (3)"),
        );
    }
    findings
}

/// What lets clients in, if it is not tokens alone.
fn gate(registry: &RegistryConfig) -> Option<Diagnostic> {
    let several =
        |types| format!("its `auth` has several types ({types}), and which one counts is left to chance");
    let (code, what, why) = match &registry.gate {
        Gate::Token => return None,
        Gate::Open(why) => (
            "open",
            "the registry asks for no token: anybody who reaches it may pull, push and delete".to_owned(),
            why.clone(),
        ),
        Gate::Chance { types, open: true } => (
            "open",
            "the registry asks for tokens after some starts, and not after others".to_owned(),
            several(types),
        ),
        Gate::Chance { types, open: false } => (
            "chance",
            "the registry asks for tokens after some starts, and at others does not start".to_owned(),
            several(types),
        ),
        Gate::Other(name) => {
            ("registry", format!("the registry asks for no token: its `auth` is {name}"), String::new())
        }
        Gate::Stops(why) => ("no-start", format!("the registry does not start: {why}"), String::new()),
    };
    Some(Diagnostic::error(code, what).why(why).hint(if registry.zot {
        "set realm, service and cert of http.auth.bearer, and restart zot"
    } else {
        "take the other REGISTRY_AUTH variables out of its environment, and set auth: {token: {realm, service, \
         issuer, rootcertbundle}} or the variables REGISTRY_AUTH_TOKEN_*"
    }))
}

/// Whether tokens are signed for the service that the registry names.
pub fn service(theirs: Option<&str>, ours: &[&str]) -> Diagnostic {
    same("service", theirs, ours, "`audience` or service.allowed_services")
}

/// Whether the registry expects tokens of this issuer.
pub(super) fn issuer_name(theirs: Option<&str>, own: &str) -> Diagnostic {
    same("issuer", theirs, &[own], "`issuer`")
}

/// A name that both sides must write alike.
fn same(code: &'static str, theirs: Option<&str>, ours: &[&str], key: &str) -> Diagnostic {
    let Some(theirs) = theirs else {
        let what = format!("auth.token.{code} is missing or not text: the registry does not start");
        let hint = format!("set it to `{}`", shortened(ours.first().unwrap_or(&""), 120));
        return Diagnostic::error(code, what).hint(hint);
    };
    if ours.contains(&theirs) {
        return Diagnostic::ok(code, format!("both sides say `{}`", shortened(theirs, 120)));
    }
    let bare = |name: &str| name.trim_end_matches('/').to_ascii_lowercase();
    let why = if ours.iter().any(|own| bare(own) == bare(theirs)) {
        "they differ in a slash at the end or in capitals only, and are compared byte by byte"
    } else {
        "every token is refused, as `unauthorized`"
    };
    let own: Vec<String> = ours.iter().map(|own| format!("`{}`", shortened(own, 120))).collect();
    let what =
        format!("the registry's {code} is `{}`, Keypebble's {}", shortened(theirs, 120), own.join(" or "));
    Diagnostic::error(code, what)
        .why(why)
        .hint(format!("make the registry's {code} and {key} the same text, and restart the registry"))
}

fn realm(registry: &RegistryConfig, service: &ServiceConfig) -> Diagnostic {
    if registry.autoredirect {
        let what = "autoredirect is on: clients are sent to https://<the registry>/auth/token";
        return Diagnostic::warning("realm", what)
            .why("then realm is ignored, and Keypebble answers at /v2/token")
            .hint("remove autoredirect, or let the proxy pass /auth/token on to /v2/token");
    }
    let address =
        "set it to the URL of /v2/token, as clients reach it, such as https://auth.example.com/v2/token";
    let Some(realm) = registry.realm.as_deref() else {
        let what = "auth.token.realm is missing or not text: the registry does not start";
        return Diagnostic::error("realm", what).hint(address);
    };
    let shown = shortened(realm, 120);
    let path = realm.strip_prefix("https://").or_else(|| realm.strip_prefix("http://"));
    match path.map(|rest| rest.split_once('/').map_or("", |(_, path)| path)) {
        None => {
            let what = format!("{}.realm is not an http or https URL: `{shown}`", registry.section());
            Diagnostic::error("realm", what).hint(address)
        }
        Some("v2/token") => match other_port(service, realm) {
            None => Diagnostic::ok("realm", format!("clients are sent to `{shown}`")),
            Some(port) => {
                let what = format!("clients are sent to `{shown}`, and Keypebble listens on port {port}");
                Diagnostic::warning("realm", what)
                    .why("they do not find it, unless a proxy or a container's port leads there")
                    .hint("make service.port and the port of realm the same, and restart both")
            }
        },
        Some(_) => Diagnostic::warning("realm", format!("clients are sent to `{shown}`"))
            .why("Keypebble answers at /v2/token")
            .hint("end it in /v2/token, unless a proxy translates the path"),
    }
}

/// The issuer's port, if the realm names another one of this host and nothing says that a proxy stands in between:
/// one that the configuration lists, or that ends TLS.
fn other_port(service: &ServiceConfig, realm: &str) -> Option<u16> {
    let Bind::Tcp(_, own @ 1..) = service.bind else { return None };
    let (scheme, rest) = realm.split_once("://")?;
    let authority = rest.split('/').next()?;
    let tls = scheme == "https";
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let listed = service.lists_proxies && !service.trusted_proxies.is_empty();
    let proxy = listed || !service.forwarded_by.is_empty() || tls != service.tls.is_some();
    let here = host_of(authority).is_some_and(is_local);
    (here && !proxy && port.unwrap_or(if tls { 443 } else { 80 }) != own).then_some(own)
}

/// Makes a token as `serve` does and judges it as the registry would.
pub fn self_check(
    issuer: &Issuer,
    services: &[String],
    registry: &RegistryConfig,
    trust: &Trust,
    programs: &[Program],
    now: UnixTime,
) -> Vec<Diagnostic> {
    // As `serve` does: the service that is asked for, if tokens are signed for it.
    let asked = registry.service.as_deref();
    let audience = asked.filter(|asked| services.iter().any(|known| known == asked));
    let issued = match sample(issuer, audience.unwrap_or(issuer.audience()), now, "doctor".to_owned()) {
        Ok(issued) => issued,
        Err(finding) => return vec![finding],
    };
    let audiences: Vec<&str> = asked.into_iter().collect();
    let expected = Expected { issuer: registry.issuer.as_deref(), audiences: &audiences };
    let judged = programs.iter().map(|program| {
        let token = issued.token.expose();
        (program.title(), judge(*program, token, trust, &expected, &registry.algorithms, now))
    });
    let judged: Vec<_> = judged.collect();
    // If one program takes it, the other's refusal is a warning: which one runs is not known.
    let any = judged.iter().any(|(_, findings)| worst(findings) < Level::Unknown);
    let refusal = if any { Level::Warning } else { Level::Error };
    let mut findings = Vec::new();
    for (title, judgement) in judged {
        let (level, says, hint) = match worst(&judgement) {
            Level::Ok | Level::Warning => (Level::Ok, "would take a token made now", ""),
            Level::Unknown => (Level::Unknown, "may or may not take a token made now", ""),
            Level::Error if any => (
                refusal,
                "would refuse a token made now",
                "if that is not the one you run, say which with --for",
            ),
            Level::Error => (refusal, "would refuse a token made now", ""),
        };
        let check = Diagnostic::ok("self-check", format!("{title} {says}")).hint(hint);
        findings.push(Diagnostic { level, ..check });
        findings.extend(judgement.into_iter().map(|finding| Diagnostic {
            level: if finding.level == Level::Error { refusal } else { finding.level },
            what: format!("{title}: {}", finding.what),
            ..finding
        }));
    }
    findings
}

/// Which programs may be meant: those that could start with this configuration.
pub fn programs(registry: &RegistryConfig) -> Vec<Program> {
    if registry.zot {
        return vec![Program::Zot];
    }
    if registry.bundle.is_none() || registry.jwks.is_some() || !registry.algorithms.is_empty() {
        // 2.8 knows neither jwks nor signingalgorithms, and needs a bundle.
        return vec![Program::Registry3];
    }
    vec![Program::Registry28, Program::Registry3]
}

/// Whether the registry knows the keys that sign next, and those whose tokens are still valid.
pub fn ring(keyring: &Keyring, trust: &Trust, registry: &RegistryConfig) -> Vec<Diagnostic> {
    let others = keyring.verifiers().iter().filter(|key| key.state() != State::Active);
    let unknown = others.filter(|key| key.public().is_some_and(|own| !trust.holds(own)));
    let finding = |key: &RingKey| {
        let state = key.state().name();
        let id = shortened(key.id().unwrap_or("no id"), 80);
        let what = format!("the registry does not know the {state} key, `{id}`");
        if key.state() == State::Previous {
            return Diagnostic::warning("previous-key", what)
                .why("its tokens that are still valid are refused");
        }
        Diagnostic::warning("next-key", what)
            .why("once `keypebble keys rotate` lets it sign, every token is refused")
            .hint(if registry.zot {
                "zot holds one key: give it the new one right after you rotate, and restart it"
            } else {
                "export it into the registry's bundle or jwks, and restart the registry, before you rotate"
            })
    };
    unknown.map(finding).collect()
}
