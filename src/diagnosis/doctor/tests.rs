//! The checks, as a table of configurations.

use super::issuer::certificates;
use super::*;
use crate::config::Config;
use crate::diagnosis::registry::{Gate, RegistryConfig};
use crate::diagnosis::verdict::{Program, Trust};
use crate::ground::diagnostic::{Diagnostic, Level};
use crate::ground::document::Document;
use crate::ground::secret::Secret;
use crate::ground::time::UnixTime;
use crate::key::keyring::{Keyring, RingKey, State};
use crate::key::{Chain, Key};
use crate::policy::Enforcement;
use std::path::Path;

/// The repository's test keys, so that relative paths in a configuration find them.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");
/// While the certificates of `tests/data/x509` are valid.
const NOW: UnixTime = UnixTime(1_700_000_000);

fn config(rest: &str) -> Config {
    let yaml = format!("issuer: https://i\naudience: s\n{rest}");
    Config::read(&Document::parse(Path::new(HERE), yaml).unwrap()).unwrap()
}

fn has(findings: &[Diagnostic], level: Level, code: &str, part: &str) -> bool {
    findings
        .iter()
        .any(|finding| finding.level == level && finding.code == code && finding.what.contains(part))
}

const EC: &str = "private_key_path: p256.pem\n";

#[test]
fn the_issuer_s_own_side_is_looked_at() {
    use Level::{Error, Ok, Warning};
    for (rest, level, code, part) in [
        (EC, Ok, "key", "signs with ES256, key id `"),
        ("hs256_secret: change-me", Warning, "key", "a shared secret"),
        ("private_key_path: mldsa44.pem", Warning, "key", "ML-DSA-44"),
        ("private_key_path: p256.pem\nkid: v1", Warning, "key-id", "`v1` is a name of your own"),
        ("private_key_path: p256.pem\nx5c_chain_path: p256-chain.pem", Error, "certificate", "expired"),
        (
            "private_key_path: p256.pem\nx5c_chain_path: ../x509/chain.pem",
            Ok,
            "certificate",
            "`x509 test leaf`) is valid for",
        ),
        (
            "private_key_path: p256.pem\ndefault_ttl_seconds: 30",
            Warning,
            "ttl",
            "default_ttl_seconds is 30 s",
        ),
        (
            "private_key_path: p256.pem\ndefault_ttl_seconds: 300\nmax_ttl_seconds: 600",
            Warning,
            "ttl",
            "lives 600 s at most",
        ),
        ("private_key_path: p256.pem\ndefault_ttl_seconds: 300", Ok, "ttl", "tokens live 300 s"),
        (EC, Ok, "ttl", "tokens live 3600 s"),
        (EC, Ok, "proxies", "trusted to name the user: 127.0.0.1, ::1, unix"),
        (EC, Ok, "auth", "only this host"),
        (
            "private_key_path: p256.pem\nservice: {trusted_proxies: [0.0.0.0/0]}",
            Error,
            "proxies",
            "0.0.0.0/0",
        ),
        ("private_key_path: p256.pem\nservice: {trusted_proxies: ['::/0']}", Error, "proxies", "::/0"),
        (
            "private_key_path: p256.pem\nservice: {forwarded_by: ['0.0.0.0/0']}",
            Error,
            "proxies",
            "forwarded_by",
        ),
        (
            "private_key_path: p256.pem\nservice: {trusted_proxies: []}",
            Warning,
            "proxies",
            "no proxy is trusted",
        ),
        (
            "private_key_path: p256.pem\nservice: {trusted_proxies: [10.0.0.5]}",
            Warning,
            "auth",
            "any claims, `access` too, for anybody who asks from 10.0.0.5",
        ),
        (
            "private_key_path: p256.pem\nallowed_custom_claims: [sub]\nservice: {trusted_proxies: [10.0.0.5]}",
            Warning,
            "auth",
            "the claims of allowed_custom_claims",
        ),
    ] {
        let findings = issuer(&config(rest), NOW);
        assert!(has(&findings, level, code, part), "{rest}: {part}: {findings:#?}");
    }
    let good = issuer(&config(EC), NOW);
    assert!(good.iter().all(|finding| finding.level == Ok || finding.code == "config"), "{good:#?}");
}

#[test]
fn a_chain_in_the_wrong_order_is_said() {
    let [leaf, middle, root] = [0, 1, 2].map(|at| {
        let pem = include_str!("../../../tests/data/x509/chain.pem");
        pem.split_inclusive("-----END CERTIFICATE-----\n").nth(at).unwrap()
    });
    for (order, expected) in
        [(&[leaf, middle, root][..], false), (&[leaf, root, middle], true), (&[leaf], false)]
    {
        let chain = Chain::from_pem(order.concat().as_bytes()).unwrap();
        let findings = certificates(&chain, NOW);
        assert_eq!(
            has(&findings, Level::Error, "chain-order", "not issued by certificate"),
            expected,
            "{findings:#?}"
        );
    }
    let soon = certificates(&Chain::from_pem(leaf.as_bytes()).unwrap(), UnixTime(1_893_456_000 - 86_400 * 7));
    assert!(has(&soon, Level::Warning, "certificate", "expires in 7 day(s)"), "{soon:#?}");
}

fn registry_config(change: impl Fn(&mut RegistryConfig)) -> RegistryConfig {
    let mut config = RegistryConfig {
        realm: Some("https://r/v2/token".into()),
        service: Some("s".into()),
        issuer: Some("https://i".into()),
        bundle: Some("b.pem".into()),
        ..RegistryConfig::default()
    };
    change(&mut config);
    config
}

#[test]
fn both_sides_must_say_the_same() {
    use Level::{Error, Ok, Warning};
    let own = config("private_key_path: p256.pem\nservice: {allowed_services: [t]}");
    let check = |change: &dyn Fn(&mut RegistryConfig), level, code: &str, part: &str| {
        let findings = registry(&own, &registry_config(change), &Program::ALL);
        assert!(has(&findings, level, code, part), "{code} {part}: {findings:#?}");
    };
    check(&|_| {}, Ok, "service", "both sides say `s`");
    check(&|r| r.service = Some("t".into()), Ok, "service", "`t`");
    check(&|r| r.service = Some("u".into()), Error, "service", "is `u`, Keypebble's `s` or `t`");
    check(&|r| r.service = None, Error, "service", "missing");
    check(&|r| r.issuer = Some("https://i/".into()), Error, "issuer", "`https://i/`");
    check(&|r| r.realm = None, Error, "realm", "missing");
    check(&|r| r.realm = Some("r/v2/token".into()), Error, "realm", "not an http or https URL");
    check(&|r| r.realm = Some("https://r/token".into()), Warning, "realm", "`https://r/token`");
    check(&|r| r.autoredirect = true, Warning, "realm", "autoredirect is on");
    check(&|r| r.bundle = None, Error, "trust", "neither rootcertbundle nor jwks");
    check(&|r| r.gate = Gate::Open(String::new()), Error, "open", "asks for no token");
    check(&|r| r.gate = Gate::Stops("x".into()), Error, "no-start", "does not start: x");
    check(&|r| r.stops = vec![(Program::Registry3, "x")], Error, "no-start", "distribution 3 does not start");
    let slash = registry(&own, &registry_config(|r| r.issuer = Some("HTTPS://i/".into())), &[]);
    assert!(slash.iter().any(|finding| finding.why.contains("a slash at the end or in capitals")));
}

#[test]
fn a_realm_on_this_host_has_the_port_that_the_issuer_listens_on_unless_a_proxy_may_be_between() {
    for (service, realm, warned) in [
        ("{port: 9000}", "http://localhost:8080/v2/token", true),
        ("{port: 9000}", "http://127.0.0.1/v2/token", true),
        ("{port: 9000, trusted_proxies: []}", "http://[::1]:8080/v2/token", true),
        ("{port: 9000}", "http://localhost:9000/v2/token", false),
        ("{port: 80}", "http://[::1]/v2/token", false),
        ("{port: 0}", "http://localhost:8080/v2/token", false),
        ("{port: 9000}", "http://auth.example.com:8080/v2/token", false),
        ("{port: 9000}", "https://localhost:8443/v2/token", false),
        ("{port: 9000, trusted_proxies: [127.0.0.1]}", "http://localhost:8080/v2/token", false),
        ("{port: 9000, forwarded_by: [127.0.0.1]}", "http://localhost:8080/v2/token", false),
        ("{host: \"unix:/s\"}", "http://localhost:8080/v2/token", false),
    ] {
        let own = config(&format!("{EC}service: {service}"));
        let findings = registry(&own, &registry_config(|r| r.realm = Some(realm.into())), &Program::ALL);
        let level = if warned { Level::Warning } else { Level::Ok };
        assert!(has(&findings, level, "realm", realm), "{service} {realm}: {findings:#?}");
    }
}

#[test]
fn a_token_made_now_is_judged_as_the_registry_would() {
    let bundle = Trust::default().with_bundle(include_bytes!("../../../tests/data/x509/chain.pem"));
    let other = Trust::default().with_bundle(include_bytes!("../../../tests/data/keys/rsa2048-cert.pem"));
    let check = |rest: &str, registry: &RegistryConfig, trust: &Trust| {
        let issuer = config(rest).into_issuer();
        self_check(&issuer, &["s".to_owned()], registry, trust, &programs(registry), NOW)
    };
    let good = check(EC, &registry_config(|_| {}), &bundle);
    assert!(has(&good, Level::Ok, "self-check", "distribution 2.8 would take"), "{good:#?}");
    assert!(has(&good, Level::Warning, "self-check", "distribution 3 would refuse"), "{good:#?}");
    assert!(good.iter().all(|finding| finding.level < Level::Unknown), "{good:#?}");
    let x5c = check(
        "private_key_path: p256.pem\nx5c_chain_path: ../x509/chain.pem",
        &registry_config(|_| {}),
        &bundle,
    );
    assert_eq!(x5c.iter().filter(|finding| finding.level == Level::Ok).count(), 2, "{x5c:#?}");
    for (rest, change, code) in [
        (EC, (|_| {}) as fn(&mut RegistryConfig), "key-id"),
        ("hs256_secret: 0123456789abcdef0123456789abcdef", |_| {}, "algorithm"),
        (EC, |r| r.service = Some("u".into()), "audience"),
        (EC, |r| r.issuer = Some("x".into()), "issuer"),
    ] {
        let findings = check(rest, &registry_config(change), if code == "key-id" { &other } else { &bundle });
        assert!(has(&findings, Level::Error, "self-check", "2.8 would refuse"), "{code}: {findings:#?}");
        assert!(has(&findings, Level::Error, code, ""), "{code}: {findings:#?}");
    }
    let three = registry_config(|r| r.algorithms = vec!["RS256".into()]);
    assert_eq!(programs(&three), [Program::Registry3]);
    assert!(has(&check(EC, &three, &bundle), Level::Error, "algorithm", "not in its signingalgorithms"));
}

#[test]
fn what_is_enforced_is_said() {
    assert_eq!(policy(&Enforcement::Off, "").level, Level::Warning);
    assert_eq!(policy(&Enforcement::Nothing, "").level, Level::Warning);
    assert!(
        policy(&Enforcement::Policy(crate::policy::Policy::default()), "p").what.contains("names no user")
    );
}

#[test]
fn a_staged_key_that_the_registry_does_not_know_is_said() {
    let key = |pem: &[u8]| Key::from_pem(&Secret::new(pem.to_vec()), None, None).unwrap();
    let active = || key(include_bytes!("../../../tests/data/keys/p256.pem"));
    let next = RingKey::own(key(include_bytes!("../../../tests/data/keys/ed25519.pem")), State::Next);
    let keyring = Keyring::new(active(), vec![next]).unwrap();
    let bundle = Trust::default().with_bundle(include_bytes!("../../../tests/data/x509/chain.pem"));
    assert!(has(
        &ring(&keyring, &bundle, &RegistryConfig::default()),
        Level::Warning,
        "next-key",
        "does not know the next key"
    ));
    let all = Trust::default().with_jwks(keyring.jwks().to_string().as_bytes());
    assert_eq!(ring(&keyring, &all, &RegistryConfig::default()), []);
    assert_eq!(ring(&Keyring::single(active()), &Trust::default(), &RegistryConfig::default()), []);
}
