//! `inspect`, `verify` and `doctor` as black boxes: arguments, stdout, stderr, exit code.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Folder, run, run_with_input, stderr, stdout};
use serde_json::{Value, json};

const CHAIN: &str = include_str!("data/x509/chain.pem");
const CONFIG: &str = "issuer: https://i\naudience: s\nprivate_key_path: key.pem\n";
const REGISTRY: &str = "version: 0.1\nauth:\n  token:\n    realm: https://auth.example.com/v2/token\n    service: s\n    issuer: https://i\n    rootcertbundle: bundle.pem\n";
const POLICY: &str = "users:\n  alice: {namespace: a, repos: [app], actions: [pull]}\n";

fn folder() -> Folder {
    let folder = common::folder(CONFIG, POLICY);
    folder.write_key("key.pem", "p256.pem");
    folder.write_key("other.pem", "p384.pem");
    folder.write("bundle.pem", CHAIN);
    folder.write("registry.yml", REGISTRY);
    folder
}

fn issued(folder: &Folder, extra: &[&str]) -> String {
    let output = run(folder, &[&["issue", "--config", "config.yaml"], extra].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

/// The exit code and all that is printed, with that on the standard input.
fn said(folder: &Folder, line: &str, input: &str) -> (i32, String) {
    common::said(&run_with_input(folder, &line.split_whitespace().collect::<Vec<_>>(), input))
}

#[test]
fn inspect_says_what_a_token_says_and_that_it_was_not_checked() {
    let folder = folder();
    let access = "{\"sub\":\"alice\",\"access\":[{\"type\":\"repository\",\"name\":\"a/app\",\"actions\":[\"pull\",\"push\"]}]}";
    let token = issued(&folder, &["--claims", access, "--ttl", "3300"]);
    let (code, text) = said(&folder, "inspect -", &format!("  {token}\r\n"));
    assert_eq!(code, 0, "{text}");
    for part in [
        "No signature was checked",
        "  alg     ES256",
        "libtrust form",
        "  iss     https://i",
        "(expires in 5", // 54 or 55 min
        "repository:a/app:pull,push",
        "64 bytes, not checked",
        "fits through nginx's default of 8 kB",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(&token));
    for (line, code) in [("-c nosuch", 3), ("--decrypt-key nosuch", 1)] {
        let (found, text) = said(&folder, &format!("inspect {line} -"), &token);
        assert!(found == code && text.contains("nosuch"), "{line}: {found} {text}");
    }
    let output = run(&folder, &["inspect", "--json", &token]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["signature_checked"], &json["header"]["alg"]), (&false.into(), &"ES256".into()));
    assert_eq!(
        (&json["key_id"]["form"], &json["access"][0]),
        (&"libtrust".into(), &"repository:a/app:pull,push".into())
    );
    assert!((3290..=3300).contains(&json["times"]["exp"]["in_seconds"].as_i64().unwrap()));
}

#[test]
fn what_is_no_token_is_refused_with_its_reason_and_1() {
    let folder = folder();
    for (input, part) in [
        ("", "cannot read the token: there is no token: the input is empty"),
        ("a.b", "2 part(s) between dots, not three"),
        ("a.b.c.d.e", "the header is not base64url: 1 characters"),
        ("!.e30.AA", "the header is not base64url: `!` at character 1"),
        ("AAAA.e30.AA", "the header is not JSON"),
        ("{\"token\":\"x\"}", "not a token: JSON"),
        ("a\u{1b}[2J.b.c", "another unexpected byte at character 2"),
    ] {
        let (code, text) = said(&folder, "inspect -", input);
        assert_eq!(code, 1, "{input}: {text}");
        assert!(text.contains(part) && text.starts_with("keypebble: error: "), "{input}: {text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    let (code, text) = said(&folder, "inspect -", &"A".repeat(1 << 20));
    assert!(code == 1 && text.contains("longer than 65536 bytes"), "{text}");
    folder.write("tok", "a.b.c");
    for (line, part) in [
        (
            "inspect tok",
            "expected a token, found `tok`\nkeypebble: hint: that is a file: give - in its place, and the file on \
             standard input: - < tok\n",
        ),
        ("verify --config config.yaml tok", "that is a file"),
        ("inspect", "`keypebble inspect` needs a token, or - to read it from standard input"),
        ("inspect a.b.c d", "one argument too many"),
        ("verify -", "needs --config PATH, --jwks FILE or --key FILE"),
        ("verify --config c --jwks j -", "one of --config, --jwks and --key"),
        ("verify --config c", "needs a token"),
        ("verify --for registry-9 -", "expected one of registry-2.8, registry-3, zot, found `registry-9`"),
        (
            "verify --for registry-3 -",
            "needs --rootcertbundle FILE, --jwks FILE or --config PATH: KEYPEBBLE_CONFIG",
        ),
        ("verify --for registry-3 --config c --jwks j -", "both say what it trusts"),
        ("verify --for registry-3 --config c --audience a -", "--for knows neither --audience"),
        ("verify --jwks j --service s -", "name it: --for"),
        ("verify --jwks j --algorithm RS256 -", "--algorithm is for --key"),
        ("doctor", "needs --config PATH"),
        ("doctor --config c --for x", "--for: expected one of"),
        ("doctor --config c --ca x", "--ca is for --url"),
    ] {
        let (code, text) = said(&folder, line, "");
        assert!(code == 2 && text.contains(part), "{line}: {code} {text}");
    }
}

#[test]
fn verify_gives_every_reason() {
    let folder = folder();
    folder.write("other.yaml", &CONFIG.replace("key.pem", "other.pem"));
    let token = issued(&folder, &[]);
    let public = run(&folder, &["keys", "export", "--config", "config.yaml", "--format", "jwks"]);
    folder.write("jwks.json", &stdout(&public));
    // Readers differ on which of two counts, so that one file would be two sets of keys.
    let keys = &stdout(&public).trim().trim_start_matches('{').to_owned();
    folder.write("keys-twice.json", &format!("{{\"keys\": [], {keys}"));
    folder.write("member-twice.json", &stdout(&public).replacen("\"kty\":", "\"kty\": \"oct\", \"kty\":", 1));
    folder.write("list.json", "[]");
    let old = run(&folder, &["issue", "--config", "config.yaml", "--audience", "t"]);
    for (line, token, code, parts) in [
        ("--config config.yaml", token.as_str(), 0, &["valid: the token holds\n"][..]),
        (
            "--config config.yaml --audience t --issuer x",
            &token,
            1,
            &["`iss` is `https://i`, expected `x`", "`aud` is `s`, expected `t`"],
        ),
        (
            "--config config.yaml",
            stdout(&old).as_str(),
            1,
            &["refused: the token does not hold", "`aud` is `t`, expected `s`"],
        ),
        ("--config other.yaml", &token, 1, &["no key has the id", "the keys here are"]),
        (
            "--key key.pem",
            &token,
            0,
            &["valid", "the issuer was not compared", "the audience was not compared"],
        ),
        ("--key bundle.pem --issuer https://i --audience s", &token, 0, &["valid: the token holds\n"]),
        ("--key other.pem", &token, 1, &["the header says ES256, but the key is for ES384"]),
        ("--jwks jwks.json", &token, 0, &["valid"]),
        ("--config none.yaml", &token, 3, &["cannot load configuration"]),
        ("--key none.pem", &token, 1, &["cannot read none.pem"]),
        ("--key config.yaml", &token, 3, &["cannot use config.yaml"]),
        ("--jwks config.yaml", &token, 3, &["cannot use config.yaml: not valid JSON"]),
        (
            "--jwks keys-twice.json",
            &token,
            3,
            &["cannot use keys-twice.json", "the name `keys` appears twice"],
        ),
        ("--jwks member-twice.json", &token, 3, &["cannot use member-twice.json", "`kty` appears twice"]),
        ("--jwks list.json", &token, 3, &["cannot use list.json: unusable JWK: a JWKS has a list `keys`"]),
        ("--key key.pem --algorithm RS256", &token, 3, &["can't sign RS256"]),
    ] {
        let (found, text) = said(&folder, &format!("verify {line} -"), token);
        assert_eq!(found, code, "{line}: {text}");
        for part in parts {
            assert!(text.contains(part), "{line}: {part}: {text}");
        }
    }
    let mut forged = token.clone();
    forged.replace_range(token.len() - 6..token.len() - 4, if token.ends_with("AA") { "BB" } else { "AA" });
    let (code, text) = said(&folder, "verify --config config.yaml --json -", &forged);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &json["accepted"], &json["findings"][0]["code"]),
        (1, &false.into(), &"signature".into())
    );
}

#[test]
fn verify_for_a_registry_gives_its_verdict() {
    let folder = folder();
    folder.write("shared.yaml", "issuer: https://i\naudience: s\nsecret: 0123456789abcdef0123456789abcdef\n");
    common::done(&folder, "keys generate --dir other");
    folder.write("other.yaml", "issuer: https://i\naudience: s\nkey_dir: other\n");
    let token = issued(&folder, &[]);
    for (line, code, part) in [
        (
            "registry-2.8 --rootcertbundle bundle.pem --service s --issuer https://i",
            0,
            "accepted: distribution 2.8 would take this token\n",
        ),
        ("registry-2.8 --rootcertbundle bundle.pem", 0, "the service was not compared"),
        ("registry-2.8 --config config.yaml", 0, "accepted: distribution 2.8 would take this token\n"),
        ("registry-3 --config config.yaml", 0, "accepted: distribution 3 would take this token\n"),
        ("zot --config config.yaml", 0, "accepted: zot would take this token\n"),
        (
            "zot --config config.yaml --issuer x",
            0,
            "warning  issuer           zot does not compare the issuer",
        ),
        ("zot --key bundle.pem --service x", 0, "zot does not compare the service"),
        ("registry-3 --config config.yaml --service t", 1, "`aud` is `s`, expected `t`"),
        (
            "registry-3 --config config.yaml --issuer https://x",
            1,
            "`iss` is `https://i`, expected `https://x`",
        ),
        ("registry-3 --config other.yaml", 1, "refused: distribution 3 would not take this token"),
        ("registry-3 --config shared.yaml", 1, "a shared secret (HS256, HS384, HS512) has no public half"),
        (
            "registry-3 --rootcertbundle bundle.pem --service s --issuer https://i",
            1,
            "is the libtrust id of a trusted key, but distribution 3 does not use that",
        ),
        ("registry-2.8 --rootcertbundle bundle.pem --service t", 1, "`aud` is `s`, expected `t`"),
        ("zot --key bundle.pem", 0, "accepted: zot would take this token"),
        (
            "registry-2.8 --rootcertbundle key.pem",
            1,
            "does not start: it finds no certificate in its rootcertbundle",
        ),
        ("registry-3 --jwks bundle.pem", 1, "does not start: it does not read its jwks: not a JWKS"),
    ] {
        let (found, text) = said(&folder, &format!("verify --for {line} -"), &token);
        assert!(found == code && text.contains(part), "{line}: {found} {text}");
    }
}

#[test]
fn doctor_compares_both_sides() {
    let folder = folder();
    let doctor = "doctor --config config.yaml --policy policy.yaml --registry-config registry.yml";
    let (code, text) = said(&folder, doctor, "");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("distribution 2.8 would take a token made now"), "{text}");
    assert!(text.contains("\n0 error(s), "), "{text}");
    folder.write("env", "REGISTRY_AUTH_TOKEN_SERVICE=other\nREGISTRY_AUTH_TOKEN_ISSUER=https://i/\n");
    for (line, parts) in [
        (
            format!("{doctor} --registry-env env"),
            &[
                "the registry's service is `other`, Keypebble's `s`",
                "a slash at the end",
                "would refuse a token made now",
            ][..],
        ),
        (format!("{doctor} --for registry-3"), &["distribution 3: `", "is the libtrust id of a trusted key"]),
        (format!("{doctor} --rootcertbundle none.pem"), &["cannot read none.pem", "--rootcertbundle"]),
        (
            format!("{doctor} --registry-env registry.yml"),
            &["cannot use registry.yml: its line 1 has no `=`"],
        ),
        (
            "doctor --config config.yaml --jwks jwks.json".to_owned(),
            &["--rootcertbundle and --jwks are a registry's, and its configuration is missing"],
        ),
        (
            "doctor --config none.yaml --registry-config registry.yml".to_owned(),
            &["error    config", "cannot load configuration"],
        ),
        (
            "doctor --config config.yaml --policy registry.yml".to_owned(),
            &["error    policy", "unknown key `version`"],
        ),
        (
            "doctor --config config.yaml --registry-config policy.yaml".to_owned(),
            &["the registry asks for no token"],
        ),
    ] {
        let (code, text) = said(&folder, &line, "");
        assert_eq!(code, 1, "{line}: {text}");
        for part in parts {
            assert!(text.contains(part), "{line}: {part}: {text}");
        }
    }
    let (_, text) = said(&folder, "doctor --config config.yaml --jwks jwks.json", "");
    assert!(!text.contains("no registry configuration was given"), "once is enough: {text}");
    let (code, text) = said(&folder, &format!("{doctor} --json"), "");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["healthy"]), (0, &true.into()));
    for finding in json["findings"].as_array().unwrap() {
        let bad = finding["level"] != "ok";
        assert!(!bad || finding["why"].is_string() || finding["hint"].is_string(), "{finding}");
    }
    folder.write("users.yaml", &format!("{CONFIG}users_file: none\n"));
    let (code, text) = said(&folder, "doctor --config users.yaml", "");
    // A build without passwords refuses the key itself.
    assert!(code == 1 && (text.contains("error    users") || text.contains("users_file")), "{text}");
    folder.write("key.pem", "rubbish");
    let (code, text) = said(&folder, doctor, "");
    assert!(code == 1 && text.contains("config.yaml:3:"), "an unreadable key is a finding: {text}");
}

#[test]
fn doctor_reads_the_configuration_of_zot() {
    let folder = folder();
    let zot = |service: &str| {
        json!({ "distSpecVersion": "1.1.0", "http": { "port": "5000", "auth": { "bearer": {
            "realm": "https://k/v2/token", "service": service, "cert": "bundle.pem" } } } })
        .to_string()
    };
    folder.write("zot.json", &zot("s"));
    folder.write("open.json", &zot(""));
    let doctor = "doctor --config config.yaml --policy policy.yaml --registry-config";
    for (line, code, part) in [
        ("zot.json", 0, "zot would take a token made now"),
        ("zot.json --for zot", 0, "zot does not look at the issuer"),
        (
            "zot.json --for registry-3",
            1,
            "--for names distribution, and the file of --registry-config is zot's",
        ),
        ("registry.yml --for zot", 1, "does not start: its file has a `version`, as distribution's has"),
        ("open.json", 1, "anybody who reaches it may pull, push and delete"),
        ("zot.json --for zot --registry-env env", 2, "--registry-env is for distribution"),
        ("zot.json --registry-env env", 1, "--registry-env is for distribution"),
    ] {
        let (found, text) = said(&folder, &format!("{doctor} {line}"), "");
        assert!(found == code && text.contains(part), "{line}: {found} {text}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_says_so_by_name() {
    let (code, text) = said(&folder(), "doctor --config config.yaml --url http://localhost:1", "");
    assert!(
        code == 3 && text.contains("without the feature `tls`") && text.contains("--features tls"),
        "{text}"
    );
}
