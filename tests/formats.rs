//! Token formats as black boxes: what `issue`, `/auth` and `/v2/token` give, and what `inspect` and `verify` say.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Folder, JSON, claims as claims_of, header, run, serve, stderr, stdout};
use serde_json::Value;

const BASE: &str = "issuer: i\naudience: a\nprivate_key_path: key.pem\n";
const SHARED: &str = "encryption: {secret_path: jwe.secret, kid: shared}\n";
const RECIPIENT: &str = "encryption: {algorithm: ECDH-ES+A128KW, public_key_path: recipient.pem}\n";
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const POLICY: &str = "users:\n  alice: {namespace: a, repos: [app], actions: [pull]}\n";

fn folder(settings: &str) -> Folder {
    let folder = common::folder(&format!("{BASE}{settings}service: {{host: 127.0.0.1, port: 0}}\n"), POLICY);
    folder.write_key("key.pem", "p256.pem");
    folder.write_key("recipient.pem", "x25519-pub.pem");
    folder.write_key("private.pem", "x25519.pem");
    folder.write_key("other.pem", "p384.pem");
    folder.write("jwe.secret", SECRET);
    folder.write("other.secret", &SECRET.replacen("AAEC", "BBEC", 1));
    folder
}

fn issued(folder: &Folder, extra: &[&str]) -> String {
    let claims = ["issue", "--config", "config.yaml", "--claims", "{\"sub\":\"alice\"}"];
    let output = run(folder, &[&claims, extra].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

fn said(folder: &Folder, line: &str, token: &str) -> (i32, String) {
    let arguments: Vec<&str> = line.split_whitespace().chain([token]).collect();
    common::said(&run(folder, &arguments))
}

#[test]
fn each_format_opens_with_its_key_and_with_no_other() {
    for (settings, format, key, parts) in [
        (SHARED, "jwe", "jwe.secret", 5),
        (SHARED, "nested", "jwe.secret", 5),
        (RECIPIENT, "nested", "private.pem", 5),
    ] {
        let folder = folder(settings);
        let token = issued(&folder, &["--format", format]);
        assert_eq!(token.split('.').count(), parts, "{format}");
        let (code, text) = said(&folder, "inspect", &token);
        assert!(code == 0 && text.contains("only its key shows") && !text.contains("alice"), "{text}");
        let inspect = format!("inspect --decrypt-key {key}");
        let (code, text) = said(&folder, &inspect, &token);
        assert!(code == 0 && text.contains("  sub     alice"), "{text}");
        let (code, text) = said(&folder, "inspect --decrypt-key other.secret", &token);
        assert!(
            code == 1 && text.contains("does not open with this key") && !text.contains("alice"),
            "{text}"
        );
        let (code, text) = said(&folder, &format!("verify --config config.yaml --decrypt-key {key}"), &token);
        assert_eq!((code, text.as_str()), (0, "valid: the token holds\n"), "{format}");
        let (code, text) = said(&folder, "verify --jwks none.json", &token);
        assert!(code == 1 && text.contains("no key here that opens it"), "{text}");
    }
}

#[test]
fn verify_takes_what_is_signed_for_signed_and_nothing_else() {
    let folder = folder(SHARED);
    let public = run(&folder, &["keys", "export", "--config", "config.yaml", "--format", "jwks"]);
    folder.write("jwks.json", &stdout(&public));
    let (jwt, jwe, nested) = (
        issued(&folder, &[]),
        issued(&folder, &["--format", "jwe"]),
        issued(&folder, &["--format", "nested"]),
    );
    folder.write("signing.yaml", &format!("{BASE}{SHARED}token_format: nested\n"));
    folder.write("config.yaml", &format!("{BASE}{RECIPIENT}"));
    let anyone = issued(&folder, &["--format", "jwe"]);
    let all = "--issuer i --audience a";
    for (line, token, code, part) in [
        (format!("verify --jwks jwks.json {all}"), &jwt, 0, "valid"),
        (format!("verify --jwks jwks.json --decrypt-key jwe.secret {all}"), &nested, 0, "valid"),
        (format!("verify --key key.pem --decrypt-key jwe.secret {all}"), &nested, 0, "valid"),
        (
            format!("verify --key other.pem --decrypt-key jwe.secret {all}"),
            &nested,
            1,
            "but the key is for ES384",
        ),
        (format!("verify --decrypt-key jwe.secret {all}"), &jwe, 0, "valid"),
        (
            format!("verify --jwks jwks.json --decrypt-key jwe.secret {all}"),
            &jwe,
            1,
            "nothing in it is signed",
        ),
        (format!("verify --decrypt-key jwe.secret {all}"), &nested, 1, "no key to check that with"),
        (
            format!("verify --decrypt-key private.pem {all}"),
            &anyone,
            1,
            "encrypted to a public key, and not signed",
        ),
        ("verify --config config.yaml".to_owned(), &jwe, 1, "no key here that opens it"),
        ("verify --config signing.yaml".to_owned(), &jwe, 1, "nothing in it is signed"),
        ("verify --config signing.yaml".to_owned(), &nested, 0, "valid"),
        ("verify --config signing.yaml --decrypt-key jwe.secret".to_owned(), &jwe, 0, "valid"),
        (format!("verify --decrypt-key jwe.secret --audience b {all}"), &jwe, 2, "--audience is given twice"),
        ("verify --decrypt-key jwe.secret --audience b".to_owned(), &jwe, 1, "`aud` is `a`, expected `b`"),
        (
            format!("verify --decrypt-key jwe.secret --typ at+jwt {all}"),
            &jwe,
            1,
            "`typ` is `JWT`, expected `at+jwt`",
        ),
        (format!("verify --jwks jwks.json --typ at+jwt {all}"), &jwt, 1, "`typ` is `JWT`, expected `at+jwt`"),
        ("verify --decrypt-key config.yaml".to_owned(), &jwe, 3, "expected 32 bytes in base64"),
        (
            "verify --for zot --key key.pem --decrypt-key jwe.secret".to_owned(),
            &jwe,
            2,
            "--for knows neither",
        ),
    ] {
        let (found, text) = said(&folder, &line, token);
        assert!(found == code && text.contains(part), "{line}: {found} {text}");
    }
}

#[test]
fn an_access_token_says_what_rfc_9068_asks_and_is_of_its_own_kind() {
    let folder = folder(&format!("{SHARED}token_type: at+jwt\n"));
    let token = issued(&folder, &[]);
    assert_eq!(header(&token)["typ"], "at+jwt");
    for (claims, sub, client) in [
        (r#"{"sub":"alice"}"#, "alice", "alice"),
        (r#"{"sub":"alice","client_id":"app"}"#, "alice", "app"),
        ("{}", "unknown", "unknown"),
    ] {
        let output = run(&folder, &["issue", "--config", "config.yaml", "--claims", claims]);
        let claims = claims_of(stdout(&output).trim());
        assert_eq!((claims["sub"].as_str(), claims["client_id"].as_str()), (Some(sub), Some(client)));
        for name in ["iss", "exp", "aud", "iat", "jti"] {
            assert!(claims.get(name).is_some(), "{name}");
        }
    }
    // What the allow-list leaves out comes back in no other place.
    folder.write("strict.yaml", &(folder.read("config.yaml") + "allowed_custom_claims: [role]\n"));
    let named = r#"{"sub":"root","user":"root","client_id":"x","role":"r"}"#;
    let output = run(&folder, &["issue", "--config", "strict.yaml", "--claims", named]);
    let claims = claims_of(stdout(&output).trim());
    assert_eq!([&claims["sub"], &claims["client_id"], &claims["role"]], ["unknown", "unknown", "r"]);
    for (line, code) in [
        ("verify --config config.yaml --typ at+jwt", 0),
        ("verify --config config.yaml", 0),
        ("verify --config config.yaml --typ JWT", 1),
    ] {
        assert_eq!(said(&folder, line, &token).0, code, "{line}");
    }
    let nested = issued(&folder, &["--format", "nested"]);
    assert_eq!((&header(&nested)["typ"], &header(&nested)["cty"]), (&"JWT".into(), &"JWT".into()));
    assert_eq!(said(&folder, "verify --config config.yaml --typ at+jwt", &nested).0, 0);
    for (arguments, part) in [
        (&["--format", "jwe"][..], "an access token (`token_type: at+jwt`) is signed"),
        (
            &["--format", "nested", "--claims", "{\"client_id\":7}"],
            "the claim `client_id`: expected a string",
        ),
    ] {
        let output = run(&folder, &[&["issue", "--config", "config.yaml"], arguments].concat());
        let text = stderr(&output);
        assert!(output.status.code() == Some(2) && text.contains(part), "{text}");
    }
}

#[test]
fn a_registry_s_token_and_a_refresh_token_stay_what_they_are() {
    for settings in [
        format!("{SHARED}token_format: nested\ntoken_type: at+jwt\n"),
        format!("{SHARED}token_format: jwe\n"),
    ] {
        let folder = folder(&settings);
        let server = serve(&folder);
        let target = "/v2/token?service=a&scope=repository:a/app:pull";
        let answer = server.get(target, &[("X-Authenticated-User", "alice")]);
        let registry: Value = serde_json::from_str(&answer.body).unwrap();
        let token = registry["token"].as_str().unwrap();
        assert_eq!((token.split('.').count(), &header(token)["typ"]), (3, &"JWT".into()));
        let body = "{\"sub\":\"alice\"}";
        let answer = server.post("/auth", &[JSON], body);
        let auth: Value = serde_json::from_str(&answer.body).unwrap();
        let token = auth["token"].as_str().unwrap();
        assert_eq!((token.split('.').count(), &header(token)["alg"]), (5, &"A256KW".into()));
        assert_eq!(said(&folder, "verify --config config.yaml", token).0, 0);
        let metrics = server.get("/metrics", &[]).body;
        let by = if settings.contains("nested") { "ES256" } else { "A256KW" };
        let line = format!("keypebble_tokens_issued_total{{route=\"auth\",algorithm=\"{by}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn keys_are_read_from_jwk_files_wherever_pem_is() {
    let folder = folder("");
    let key = r#"{"kty":"OKP","crv":"Ed25519","kid":"rfc8037","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let public = key.replace("\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\",", "");
    folder.write("key.jwk", key);
    folder.write("public.jwk", &public);
    folder.write("oct.jwk", r#"{"kty":"oct","alg":"HS512","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#);
    folder.write(
        "recipient.jwk",
        r#"{"kty":"OKP","crv":"X25519","kid":"bob","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#,
    );
    for (settings, alg, kid) in [
        ("private_key_path: key.jwk\n", "EdDSA", Some("rfc8037")),
        ("private_key_path: key.jwk\nkid: mine\nrs256_public_key: public.jwk\n", "EdDSA", Some("mine")),
        ("keys: [{path: key.jwk, state: active}, {path: key.pem, state: next}]\n", "EdDSA", Some("rfc8037")),
        ("private_key_path: oct.jwk\n", "HS512", None),
    ] {
        folder.write("config.yaml", &format!("issuer: i\naudience: a\n{settings}"));
        let token = issued(&folder, &[]);
        assert_eq!(
            (&header(&token)["alg"], header(&token)["kid"].as_str()),
            (&alg.into(), kid),
            "{settings}"
        );
        assert_eq!(said(&folder, "verify --config config.yaml", &token).0, 0);
    }
    folder.write("config.yaml", "issuer: i\naudience: a\nkeys: [{path: key.pem, state: active}, {path: public.jwk, state: previous}]\nencryption: {jwk_path: recipient.jwk}\n");
    let token = issued(&folder, &["--format", "nested"]);
    assert_eq!((&header(&token)["kid"], &header(&token)["alg"]), (&"bob".into(), &"ECDH-ES+A256KW".into()));
    folder.write("config.yaml", "issuer: i\naudience: a\nprivate_key_path: key.jwk\n");
    let token = issued(&folder, &[]);
    for key in ["key.jwk", "public.jwk"] {
        assert_eq!(
            said(&folder, &format!("verify --issuer i --audience a --key {key}"), &token).0,
            0,
            "{key}"
        );
    }
    folder.write("config.yaml", "issuer: i\naudience: a\nprivate_key_path: public.jwk\n");
    let (code, text) = said(&folder, "check --config", "config.yaml");
    assert!(code == 3 && text.contains("expected a private key, found a public JWK"), "{text}");
}

#[cfg(feature = "fernet")]
#[test]
fn fernet_tokens_follow_their_folder_of_keys() {
    let folder = folder("token_format: fernet\nfernet: {key_dir: fernet}\n");
    let keys = |line: &str| common::said(&run(&folder, &line.split_whitespace().collect::<Vec<_>>()));
    let (code, text) = keys("check --config config.yaml");
    assert!(code == 3 && text.contains("cannot read fernet"), "{text}");
    let (code, text) = keys("keys generate --config config.yaml --fernet");
    assert!(code == 0 && text.contains("active    Fernet     1  encrypts and opens"), "{text}");
    let token = issued(&folder, &[]);
    assert!(token.starts_with("gAAAA") && token.ends_with('='));
    for (line, code, part) in [
        ("inspect", 0, "format  Fernet"),
        ("inspect --config config.yaml", 0, "  sub     alice"),
        ("inspect --decrypt-key fernet", 0, "  sub     alice"),
        ("inspect --decrypt-key fernet/1", 0, "  sub     alice"),
        ("inspect --decrypt-key fernet/0", 1, "does not open with this key"),
        ("verify --config config.yaml", 0, "valid"),
        ("verify --config config.yaml --typ JWT", 1, "`typ` is missing"),
        ("verify --decrypt-key fernet --issuer i --audience b", 1, "expected `b`"),
    ] {
        let (found, text) = said(&folder, line, &token);
        assert!(found == code && text.contains(part), "{line}: {found} {text}");
    }
    for round in 2..5 {
        let (code, text) = keys("keys rotate --config config.yaml --fernet");
        assert!(code == 0 && text.contains(&format!("active    Fernet     {round}  encrypts")), "{text}");
    }
    assert_eq!(said(&folder, "verify --config config.yaml", &token).0, 0, "its key is kept while it lives");
    for (line, code, part) in [
        ("keys list --dir fernet", 0, "previous  Fernet     1  opens"),
        ("keys list --dir fernet --json", 0, "\"state\": \"next\""),
        ("keys retire --config config.yaml --fernet", 1, "tokens of key 1 can be valid until"),
        ("keys retire --dir fernet --max-ttl 60", 1, "can be valid until"),
        ("keys retire --dir fernet --id 4 --force", 1, "the one that encrypts"),
        ("keys retire --dir fernet --id 1 --force", 0, "removed   Fernet     1"),
        ("keys export --dir fernet --format jwks", 1, "never printed"),
        ("keys generate --dir fernet", 1, "has its keys already"),
        ("keys generate --dir fernet --fernet --algorithm ES256", 2, "--algorithm is for keys that sign"),
        ("keys generate --dir fernet --algorithm ES256", 2, "--algorithm is for keys that sign"),
        ("keys rotate --dir fernet --algorithm ES256", 2, "--algorithm is for keys that sign"),
        ("keys rotate --dir fernet --dry-run", 2, "--dry-run is for keys that sign"),
        ("keys rotate --config config.yaml --fernet --force", 2, "--force is for keys that sign"),
        ("keys list --dir fernet", 0, "active    Fernet     4  encrypts"),
    ] {
        let (found, text) = keys(line);
        assert!(found == code && text.contains(part), "{line}: {found} {text}");
    }
    assert_eq!(said(&folder, "verify --config config.yaml", &token).0, 1, "its key is gone");
}

#[cfg(feature = "fernet")]
#[test]
fn a_running_server_follows_a_rotation_of_its_fernet_keys() {
    let folder = folder("token_format: fernet\nfernet: {key_dir: fernet}\n");
    let keys = |line: &str| common::done(&folder, line);
    keys("keys generate --dir fernet --fernet");
    let server = serve(&folder);
    let token = || {
        let answer = server.post("/auth", &[JSON], "{\"sub\":\"alice\"}");
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let opens =
        |key: &str, token: &str| said(&folder, &format!("inspect --decrypt-key fernet/{key}"), token).0 == 0;
    let before = token();
    assert!(opens("1", &before));
    keys("keys rotate --dir fernet");
    common::until("the staged key encrypts", || opens("2", &token()));
    assert_eq!(said(&folder, "verify --config config.yaml", &before).0, 0);
}

#[cfg(not(feature = "fernet"))]
#[test]
fn a_build_without_fernet_says_so() {
    let folder = folder("fernet: {key_dir: fernet}\n");
    for line in
        ["check --config config.yaml", "keys generate --dir fernet --fernet", "inspect --decrypt-key . gAAAA"]
    {
        let (code, text) = common::said(&run(&folder, &line.split_whitespace().collect::<Vec<_>>()));
        assert!(code == 3 && text.contains("the feature `fernet` is off"), "{line}: {text}");
    }
}
