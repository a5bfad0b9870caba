//! Claims that two programs would read differently, through the real binary: what is refused, wherever
//! claims are named, and what `inspect` and `verify` say of a token that holds them.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Answer, Folder, JSON, Server, run, run_with_input, serve, stderr, stdout};
use keypebble::ground::secret::Secret;
use keypebble::ground::time::UnixTime;
use keypebble::key::Key;
use keypebble::key::algorithm::Algorithm;
use keypebble::token::{Sealer, Typ};
use serde_json::{Value, json};
use std::process::Output;
use std::sync::Arc;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const POLICY: &str = "users:\n  alice: {repos: [a], actions: [pull]}\n";

fn config(rest: &str) -> String {
    format!("issuer: i\naudience: a\nhs256_secret: {SECRET}\nservice: {{host: 127.0.0.1, port: 0}}\n{rest}")
}

fn folder() -> Folder {
    common::folder(&config(""), POLICY)
}

fn auth(server: &Server, body: &str) -> Answer {
    server.post("/auth", &[JSON], body)
}

fn issue(folder: &Folder, claims: &str) -> Output {
    run_with_input(folder, &["issue", "--config", "config.yaml", "--claims", "-"], claims)
}

/// Each owned name in the letter cases that Go's reader takes for it.
const DISGUISED: [(&str, &str); 14] = [
    ("ISS", "iss"),
    ("i\u{17f}s", "iss"),
    ("Sub", "sub"),
    ("\u{17f}ub", "sub"),
    ("Aud", "aud"),
    ("EXP", "exp"),
    ("nBf", "nbf"),
    ("IAT", "iat"),
    ("Jti", "jti"),
    ("ACCESS", "access"),
    ("acce\u{17f}\u{17f}", "access"),
    ("Scope", "scope"),
    ("Kubernetes.io", "kubernetes.io"),
    ("\u{212a}ubernete\u{17f}.io", "kubernetes.io"),
];

#[test]
fn a_claim_in_another_letter_case_is_refused_wherever_claims_are_named() {
    let folder = folder();
    let server = serve(&folder);
    for (name, owned) in DISGUISED {
        let claims = json!({ "sub": "alice", name: [] }).to_string();
        folder.write("claims.json", &claims);
        for arguments in [
            ["--claims", claims.as_str(), "--ttl", "60"],
            ["--claims", claims.as_str(), "--policy", "policy.yaml"],
            ["--claims", "@claims.json", "--policy", "policy.yaml"],
        ] {
            let output = run(&folder, &[&["issue", "--config", "config.yaml"][..], &arguments].concat());
            let said = stderr(&output);
            assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{name}: {said}");
            assert!(said.contains(&format!("is `{owned}` to programs")), "{name}: {said}");
        }
        let answer = auth(&server, &claims);
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_CLAIMS"), "{name}: {answer:?}");
        assert!(answer.body.contains(&format!("`{owned}`")), "{name}: {answer:?}");
        for (rest, place) in [
            (format!("static_claims: {{{name}: x}}\n"), format!("static_claims.{name}: ")),
            (format!("allowed_custom_claims: [{name}]\n"), "allowed_custom_claims[0]: ".to_owned()),
        ] {
            folder.write("other.yaml", &config(&rest));
            let output = run(&folder, &["check", "--config", "other.yaml"]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(3), "{rest}: {said}");
            assert!(said.contains(&place) && said.contains(&format!("`{owned}`")), "{rest}: {said}");
        }
    }
}

#[test]
fn two_names_that_fold_to_one_are_refused_in_any_object() {
    let folder = folder();
    let server = serve(&folder);
    for claims in [
        r#"{"Role":"a","role":"b"}"#,
        r#"{"a":{"task":1,"tas\u212a":2}}"#,
        r#"{"a":[[{"\u00c9":1,"\u00e9":2}]]}"#,
        r#"{"access":[{"type":"repository","name":"a","NAME":"b","actions":["pull"]}]}"#,
    ] {
        let output = issue(&folder, claims);
        assert_eq!(output.status.code(), Some(2), "{claims}: {}", stderr(&output));
        assert!(stderr(&output).contains("are the same name to programs"), "{claims}: {}", stderr(&output));
        let answer = auth(&server, claims);
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_CLAIMS"), "{claims}: {answer:?}");
        folder.write("other.yaml", &config(&format!("static_claims: {{x: {claims}}}\n")));
        let output = run(&folder, &["check", "--config", "other.yaml"]);
        assert_eq!(output.status.code(), Some(3), "{claims}: {}", stderr(&output));
        assert!(stderr(&output).contains("other.yaml:5:20: static_claims.x: "), "{}", stderr(&output));
    }
    // A static claim and what a caller may say end up in one object.
    folder.write("config.yaml", &config("static_claims: {roles: [reader]}\n"));
    let output = issue(&folder, r#"{"sub":"alice","Roles":["admin"]}"#);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("`roles` and `Roles`"), "{}", stderr(&output));
    assert!(issue(&folder, r#"{"sub":"alice","roles":["admin"]}"#).status.success());
    for rest in
        ["static_claims: {roles: []}\nallowed_custom_claims: [sub, Roles]\n", "static_claims: {a: 1, A: 1}\n"]
    {
        folder.write("other.yaml", &config(rest));
        let output = run(&folder, &["check", "--config", "other.yaml"]);
        assert_eq!(output.status.code(), Some(3), "{rest}: {}", stderr(&output));
        assert!(stderr(&output).contains("are the same name to programs"), "{rest}: {}", stderr(&output));
    }
}

#[test]
fn a_number_that_readers_round_is_refused_from_every_source() {
    let folder = folder();
    let server = serve(&folder);
    for (number, taken) in [
        ("9007199254740993", true), // past 2^53, but exact for whoever reads whole numbers
        ("18446744073709551615", true),
        ("-9223372036854775808", true),
        ("9007199254740991.0", true),
        ("0.1", true),
        ("18446744073709551616", false),
        ("-9223372036854775809", false),
        ("9007199254740993.0", false),
        ("-9007199254740992.5", false),
        ("1e30", false),
        ("1.7976931348623157e308", false),
    ] {
        for claims in [format!("{{\"n\":{number}}}"), format!("{{\"a\":[{{\"b\":{number}}}]}}")] {
            let output = issue(&folder, &claims);
            let code = if taken { 0 } else { 2 };
            assert_eq!(output.status.code(), Some(code), "{claims}: {}", stderr(&output));
            let answer = auth(&server, &claims);
            assert_eq!(answer.status, if taken { 200 } else { 400 }, "{claims}: {answer:?}");
            folder.write("other.yaml", &config(&format!("static_claims: {claims}\n")));
            let output = run(&folder, &["check", "--config", "other.yaml"]);
            let code = if taken { 0 } else { 3 };
            assert_eq!(output.status.code(), Some(code), "{claims}: {}", stderr(&output));
            assert!(taken || stderr(&output).contains("put it in quotes"), "{claims}: {}", stderr(&output));
        }
    }
    // What is taken is signed to the last digit.
    for number in ["18446744073709551615", "449.49106478873813", "945.2706955539223", "5e-324"] {
        let claims = format!("{{\"n\":{number}}}");
        let answer = auth(&server, &claims);
        let signed = common::encode::from_base64url(
            answer.json()["token"].as_str().unwrap().split('.').nth(1).unwrap(),
        );
        let signed = String::from_utf8(signed).unwrap();
        assert!(signed.contains(&format!("\"n\":{number}")), "{number}: {signed}");
    }
}

#[test]
fn a_byte_order_mark_before_claims_is_named() {
    let folder = folder();
    let server = serve(&folder);
    let utf16 = |claims: &str, mark: [u8; 2]| {
        let units = claims.encode_utf16().flat_map(u16::to_le_bytes);
        mark.into_iter().chain(units).collect::<Vec<u8>>()
    };
    let claims = r#"{"sub":"alice"}"#;
    for (bytes, part) in [
        (format!("\u{feff}{claims}").into_bytes(), "begins with a byte order mark"),
        (utf16(claims, [0xff, 0xfe]), "is UTF-16"),
        (utf16(claims, [0xfe, 0xff]), "is UTF-16"),
    ] {
        std::fs::write(folder.path().join("claims.json"), &bytes).unwrap();
        let output = run(&folder, &["issue", "--config", "config.yaml", "--claims", "@claims.json"]);
        assert_eq!(output.status.code(), Some(2), "{part}");
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    let answer = auth(&server, &format!("\u{feff}{claims}"));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("byte order mark"), "{answer:?}");
}

/// A token with these claims that the configuration's key signed, as only another program would make it.
fn signed(claims: &str) -> String {
    let key = Key::from_secret(Algorithm::HS256, &Secret::new(SECRET.into()), None).unwrap();
    Sealer::jws(Arc::new(key)).seal(claims.as_bytes(), Typ::Jwt, UnixTime(0)).unwrap()
}

#[test]
fn inspect_and_verify_warn_of_a_token_that_go_reads_otherwise() {
    let folder = folder();
    let claims = |rest: &str| format!(r#"{{"iss":"i","aud":"a","exp":4102444800{rest}}}"#);
    for (rest, part) in [
        (r#","ACCESS":[]"#, "is `access` to programs"),
        (r#","Exp":1"#, "is `exp` to programs"),
        (r#","x":[{"a":1,"A":2}]"#, "are the same name to programs"),
    ] {
        let token = signed(&claims(rest));
        for command in [&["inspect", "-"][..], &["verify", "--config", "config.yaml", "-"]] {
            let output = run_with_input(&folder, command, &token);
            assert_eq!(output.status.code(), Some(0), "{rest}: {}", stderr(&output));
            assert!(stdout(&output).contains(part), "{command:?} {rest}: {}", stdout(&output));
        }
        let output = run_with_input(&folder, &["verify", "--json", "--config", "config.yaml", "-"], &token);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["accepted"], true, "the token holds: {json}");
        let found = &json["findings"][0];
        assert_eq!((&found["level"], &found["code"]), (&json!("warning"), &json!("letter-case")), "{json}");
    }
    let output = run_with_input(&folder, &["inspect", "-"], &signed(&claims("")));
    assert!(!stdout(&output).contains("note"), "{}", stdout(&output));
}
