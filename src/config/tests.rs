//! The configuration's keys, as tables.

use super::*;
use crate::key::algorithm::Algorithm;

/// The repository's test keys, so that relative paths in a configuration find them.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");

/// What is warned of.
fn warnings(yaml: &str) -> Vec<Diagnostic> {
    let document = Document::parse(Path::new(HERE), format!("issuer: i\naudience: a\n{yaml}")).unwrap();
    let mut files = Files::default();
    Config::read_with(&document, &mut files).unwrap();
    files.warnings().to_vec()
}

fn read(yaml: &str) -> Result<Config, DocumentError> {
    Config::read(&Document::parse(Path::new(HERE), yaml.to_owned())?)
}

fn base(rest: &str) -> Result<Config, DocumentError> {
    read(&format!("issuer: i\naudience: a\n{rest}"))
}

#[test]
fn the_quick_start_works_and_warns_of_its_secret() {
    let config =
        read("issuer: \"example.com\"\naudience: \"example.com\"\nalgorithm: \"HS256\"\nhs256_secret: \"change-me\"\n").unwrap();
    assert_eq!(config.lifetimes.default.seconds(), 3600);
    assert_eq!(config.service.bind, Bind::Tcp("0.0.0.0".into(), 8080));
}

#[test]
fn what_should_not_stay_as_it_is_is_warned_of() {
    for (yaml, part, hint) in [
        ("hs256_secret: change-me", "9 bytes long; RFC 7518 (3.2) asks for at least 32", "openssl rand"),
        ("private_key_path: p256.pem\nx5c_chain_path: ../x509/chain.pem", "includes its root", "leave"),
        ("private_key_path: p256.pem\nx5c_chain_path: p256-chain.pem", "expired at 2", "a new certificate"),
    ] {
        let found = warnings(yaml);
        let warning = found.iter().find(|warning| warning.what.contains(part));
        let warning = warning.unwrap_or_else(|| panic!("{yaml}: {found:?}"));
        assert!(warning.hint.contains(hint), "{warning:?}");
    }
}

#[test]
fn every_file_that_is_named_is_noted_whether_it_is_there_or_not() {
    let noted = |yaml: &str| {
        let document = Document::parse(Path::new(HERE), format!("issuer: i\naudience: a\n{yaml}")).unwrap();
        let mut files = Files::default();
        let _ = Config::read_with(&document, &mut files);
        let folder = document.folder().to_owned();
        let names =
            files.paths().iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    for (yaml, names) in [
        ("hs256_secret: x\nstatic_claims: {a_path: /dev/null}", ""),
        ("secret_path: no.txt\nusers_file: u", "no.txt"),
        (
            "private_key_path: p256.pem\nrs256_public_key: p256-pub.pem\nx5c_chain_path: p256-chain.pem",
            "p256.pem p256-pub.pem p256-chain.pem",
        ),
        ("keys: [{path: p256.pem, state: active}, {path: no.pem, state: next}]", "p256.pem no.pem"),
        ("key_dir: no", "no no/keyring.json"),
        #[cfg(feature = "passwords")]
        ("hs256_secret: x\nusers_file: u\nrefresh_secret_path: ./r", "u r"),
    ] {
        assert_eq!(noted(yaml), names, "{yaml}");
    }
}

#[test]
fn a_secret_in_place_of_a_path_is_never_repeated() {
    let pem = std::fs::read_to_string(HERE.replace("config.yaml", "p256.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for yaml in [
        format!("private_key_path: |\n  {}", pem.trim_end().replace('\n', "\n  ")),
        format!("private_key_path: {body}"),
        format!("keys: [{{path: {body}, state: active}}]"),
        format!("key_dir: {body}"),
        format!("hs256_secret: x\nusers_file: {body}"),
        "secret_path: hunter2hunter2".to_owned(),
        "hs256_sceret: hunter2hunter2".to_owned(),
    ] {
        let error = base(&yaml).expect_err(&yaml);
        let shown = format!("{error} {error:?} {:?} {:?}", error.hint, error.excerpt());
        assert!(!shown.contains("hunter2") && !shown.contains(&body[..20]), "{yaml}: {shown}");
        assert!(shown.contains("config.yaml:3:") || shown.contains("config.yaml:4:"), "{shown}");
    }
}

#[test]
fn every_way_to_name_a_key_works() {
    for (yaml, algorithm, id) in [
        ("hs256_secret: change-me", Algorithm::HS256, None),
        ("secret: change-me", Algorithm::HS256, None),
        ("secret: change-me\nalgorithm: hs512", Algorithm::HS512, None),
        ("hs256_secret: change-me\nkid: v1", Algorithm::HS256, Some("v1")),
        ("rs256_private_key: rsa2048.pem\nkey_id: v1", Algorithm::RS256, Some("v1")),
        ("rs256_private_key_path: rsa2048.pem\nkid: v1", Algorithm::RS256, Some("v1")),
        ("private_key_path: rsa2048.pem\nalgorithm: PS384\nkid: v1", Algorithm::PS384, Some("v1")),
        ("private_key_path: p256.pem\nkid: v1", Algorithm::ES256, Some("v1")),
        ("private_key_path: ed25519.pem\nkid: v1", Algorithm::EdDSA, Some("v1")),
    ] {
        let config = base(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        let key = config.keyring.active();
        assert_eq!((key.algorithm(), key.id()), (algorithm, id), "{yaml}");
    }
    let inline =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa2048.pem")).unwrap();
    let indented = inline.replace('\n', "\n  ");
    assert!(base(&format!("rs256_private_key: |\n  {indented}")).is_ok());
}

#[test]
fn the_longest_life_bounds_the_default_and_an_unset_one_follows_it() {
    for (yaml, default, max) in [
        ("", 3600, 86_400),
        ("max_ttl_seconds: 300", 300, 300),
        ("max_ttl_seconds: 7200", 3600, 7200),
        ("default_ttl_seconds: 172800", 172_800, 172_800),
        ("default_ttl_seconds: 60\nmax_ttl_seconds: 60", 60, 60),
    ] {
        let lifetimes = base(&format!("hs256_secret: x\n{yaml}")).unwrap().lifetimes;
        assert_eq!((lifetimes.default.seconds(), lifetimes.max.seconds()), (default, max), "{yaml}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    for (yaml, part) in [
        ("hs256_secret: x\nisuer: y", "config.yaml:4:1: unknown key `isuer` | did you mean `issuer`?"),
        ("", "no signing key is set | set one of key_dir, keys, hs256_secret"),
        ("hs256_secret: x\nsecret: y", "secret: `hs256_secret` and `secret` both name a signing key"),
        ("hs256_secret: \"\"", "hs256_secret: "),
        ("hs256_secret: 12345", "hs256_secret: expected a string, found a whole number"),
        ("hs256_secret: x\nalgorithm: RS256", "`RS256` contradicts the key that is set, which is for HS256"),
        ("hs256_secret: x\nalgorithm: HS512", "`HS512` contradicts the key that is set, which is for HS256"),
        (
            "secret: x\nalgorithm: ES256",
            "`ES256` contradicts the key that is set, which is for HS256, HS384 or HS512",
        ),
        (
            "private_key_path: p256.pem\nalgorithm: HS256",
            "`HS256` contradicts the key that is set, which is for a private key",
        ),
        ("private_key_path: p256.pem\nalgorithm: RS256", "private_key_path: "),
        ("private_key_path: none.pem", "cannot read"),
        ("private_key_path: rsa1024.pem", "private_key_path: "),
        ("secret: x\nalgorithm: none", "unknown algorithm `none` | the algorithms are HS256"),
        ("hs256_secret: x\nkid: a\nkey_id: b", "`kid` and `key_id` are two names for one thing"),
        ("hs256_secret: x\nrs256_public_key: p256-pub.pem", "a shared secret has no public key"),
        ("private_key_path: p256.pem\nrs256_public_key: p384-pub.pem", "rs256_public_key: "),
        ("hs256_secret: x\ndefault_ttl_seconds: 0", "expected a whole number from 1 to 315360000, found 0"),
        (
            "hs256_secret: x\ndefault_ttl_seconds: 1h",
            "default_ttl_seconds: expected a whole number from 1 to 315360000, found a string",
        ),
        (
            "hs256_secret: x\ndefault_ttl_seconds: 90\nmax_ttl_seconds: 60",
            "90 s is more than `max_ttl_seconds`, 60 s",
        ),
        (
            "hs256_secret: x\nstatic_claims: {exp: 1}",
            "static_claims.exp: the claim `exp` is the issuer's own",
        ),
        ("hs256_secret: x\nstatic_claims: {sub: a}", "static_claims.sub: the claim `sub` says whom"),
        ("hs256_secret: x\nallowed_custom_claims: [sub, aud]", "allowed_custom_claims[1]: the claim `aud`"),
        ("hs256_secret: x\npolicy: p.yaml", "policy: expected `none`"),
        (
            "hs256_secret: x\nservice: {port: 70000}",
            "service.port: expected a whole number from 0 to 65535, found 70000",
        ),
        ("hs256_secret: x\nservice: {hots: a}", "service: unknown key `hots` | did you mean `host`?"),
        ("hs256_secret: x\nservice: {hosts: [\"*\"]}", "expected a host name such as registry.example.com"),
        (
            "hs256_secret: x\nservice: {host: \"127.0.0.1:9000\"}",
            "service.host: expected an address or a name, found one with a port | the port belongs in `service.port`",
        ),
        ("hs256_secret: x\nservice: {host: \"[::1]:9000\"}", "found one with a port"),
        ("hs256_secret: x\nservice: {host: \"[::1\"}", "expected an address or a name, found `[::1`"),
        ("hs256_secret: x\nservice: {host: \"http://a\"}", "expected an address or a name, found `http://a`"),
        (
            "hs256_secret: x\nport: 9000",
            "config.yaml:4:1: unknown key `port` | `port` belongs under `service`",
        ),
        ("hs256_secret: x\nhost: a", "unknown key `host` | `host` belongs under `service`"),
        ("hs256_secret: x\nservice: {host: \"unix:a\"}", "expected an absolute path after `unix:`"),
        ("hs256_secret: x\nservice: {host: \"unix:/a\", port: 1}", "service.port: a Unix socket has no port"),
        (
            "hs256_secret: x\nservice: {trusted_proxies: [10.0.0.1/8]}",
            "service.trusted_proxies[0]: `10.0.0.1/8` is not a network",
        ),
        (
            "hs256_secret: x\nservice: {limits: {connections: 0}}",
            "service.limits.connections: expected a whole number from 1 to 100000, found 0",
        ),
        #[cfg(feature = "tls")]
        (
            "hs256_secret: x\nservice: {tls: {certificate_path: c}}",
            "service.tls: `key_path` is missing | `tls` has certificate_path and key_path",
        ),
        #[cfg(feature = "tls")]
        (
            "hs256_secret: x\nservice: {tls: {certificate_path: c, key: k}}",
            "service.tls: unknown key `key` | the keys here are certificate_path, key_path",
        ),
        #[cfg(feature = "tls")]
        (
            "hs256_secret: x\nservice: {host: 'unix:/s', tls: {certificate_path: c, key_path: k}}",
            "service.tls: a Unix socket needs no TLS: nobody but this host can come by it | leave `tls` out, \
             or listen on an address",
        ),
        (
            "hs256_secret: x\nservice: {limits: {head_second: 1}}",
            "service.limits: unknown key `head_second` | did you mean `head_seconds`?",
        ),
        ("hs256_secret: x\nservice: {log: xml}", "service.log: expected `text` or `json`, found `xml`"),
    ] {
        let error = base(yaml).expect_err(yaml);
        let text = format!("{error} | {}", error.hint.as_deref().unwrap_or(""));
        assert!(text.contains(part), "{yaml}: {text}");
    }
    for (yaml, part) in [
        ("audience: a", "`issuer` is missing"),
        ("issuer: i", "`audience` is missing"),
        ("- a", "expected a mapping"),
    ] {
        let error = read(yaml).expect_err(yaml).to_string();
        assert!(error.contains(part), "{yaml}: {error}");
    }
}

#[test]
fn a_host_is_a_name_or_an_address() {
    for host in ["localhost", "0.0.0.0", "::", "::1", "[::1]", "fe80::1%eth0", "auth.example.com"] {
        let config = base(&format!("hs256_secret: x\nservice: {{host: \"{host}\", port: 1}}")).unwrap();
        assert_eq!(config.service.bind, Bind::Tcp(host.into(), 1));
    }
}

#[cfg(feature = "passwords")]
#[test]
fn a_client_is_named_and_has_a_proof_and_something_to_ask() {
    let hash = "$2b$10$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let clients = |yaml: &str| base(&format!("hs256_secret: x\nclients: {}", yaml.replace("HASH", hash)));
    let config = clients(
        "[{name: a, hash: HASH, may: [introspect]}, {name: b, hash: HASH, may: [revoke], audiences: [x]}]",
    );
    let found = config.unwrap().clients;
    assert_eq!(found.count(), 2);
    assert_eq!(found.find("b").unwrap().audiences, Some(vec!["x".to_owned()]));
    for (yaml, part) in [
        ("{}", "clients: expected a list"),
        ("[{hash: HASH, may: [revoke]}]", "clients[0]: `name` is missing"),
        (
            "[{name: \"a:b\", hash: HASH, may: [revoke]}]",
            "clients[0].name: a client's name cannot hold a colon",
        ),
        ("[{name: a, may: [revoke]}]", "clients[0]: a client needs `hash` or `secret_path`"),
        ("[{name: a, hash: HASH, secret_path: p256.pem, may: [revoke]}]", "exclude each other"),
        ("[{name: a, hash: hunter2, may: [revoke]}]", "clients[0].hash: expected a bcrypt hash"),
        ("[{name: a, hash: \"a:HASH\", may: [revoke]}]", "behind the colon"),
        ("[{name: a, secret_path: none.txt, may: [revoke]}]", "clients[0].secret_path: cannot read"),
        ("[{name: a, secret_path: p256.pem, may: [revoke]}]", "a client's secret has 32 to 72 bytes | make"),
        ("[{name: a, hash: HASH}]", "clients[0]: `may` is missing"),
        ("[{name: a, hash: HASH, may: []}]", "clients[0].may: the client may ask nothing"),
        ("[{name: a, hash: HASH, may: [delete]}]", "expected `introspect` or `revoke`, found `delete`"),
        ("[{name: a, hash: HASH, may: [revoke], audiences: []}]", "clients[0].audiences: an empty list"),
        ("[{name: a, hash: HASH, may: [revoke], scope: x}]", "clients[0]: unknown key `scope`"),
        (
            "[{name: a, hash: HASH, may: [revoke]}, {name: a, hash: HASH, may: [introspect]}]",
            "clients[1]: there are two clients `a`",
        ),
    ] {
        let error = clients(yaml).expect_err(yaml);
        let text = format!("{error} | {}", error.hint.as_deref().unwrap_or(""));
        assert!(text.contains(part), "{yaml}: {text}");
        assert!(!format!("{text} {:?}", error.excerpt()).contains("hunter2"), "{text}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    for yaml in [
        "hs256_secret: [hunter2]",
        "secret: {a: hunter2}",
        "hs256_secret: hunter2\nsecret: hunter2",
        "secret: hunter2\nalgorithm: RS256",
    ] {
        let error = base(yaml).expect_err(yaml);
        let shown = format!("{error} {error:?} {:?} {:?}", error.hint, error.excerpt());
        assert!(!shown.contains("hunter2"), "{yaml}: {shown}");
    }
    let config = base("hs256_secret: hunter2").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
