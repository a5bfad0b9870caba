//! Owns the proof that a claim's name is compared as registries compare it: every letter case of every name
//! that matters to a verifier is asked of the real program, and none that it takes is ever issued.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

use keypebble::ground::secret::Secret;
use keypebble::key::Key;
use serde_json::json;

use crate::client::have;
use crate::common::{Folder, keypebble};
use crate::keys::{Algorithm, SigningKey};
use crate::stage::{Generation, start_registry};
use crate::tools::base64url;

const SERVICE: &str = "registry.example.com";
const ISSUER: &str = "https://keypebble.example.com";

/// A name, what the token says of it first, what it says last under another spelling, and whether a
/// registry that takes the one for the other accepts the token.
fn rows(now: i64) -> Vec<(&'static str, String, String, bool)> {
    let catalog = json!([{ "type": "registry", "name": "catalog", "actions": ["*"] }]).to_string();
    let text = |text: &str| json!(text).to_string();
    vec![
        ("access", "[]".to_owned(), catalog, true),
        ("iss", text("https://other.example.com"), text(ISSUER), true),
        ("aud", text("other.example.com"), text(SERVICE), true),
        ("exp", (now - 3600).to_string(), (now + 300).to_string(), true),
        ("nbf", (now + 3600).to_string(), (now - 10).to_string(), true),
        // Nothing hangs on these, but a value of the wrong type makes the whole token malformed.
        ("sub", text("alice"), "7".to_owned(), false),
        ("jti", text("x"), "7".to_owned(), false),
        ("iat", now.to_string(), text("x"), false),
    ]
}

/// Every letter case of a name, with the two characters beyond ASCII that fold into it, and some that do not.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for c in name.chars() {
        let mut letters = vec![c, c.to_ascii_uppercase()];
        letters.extend(match c {
            's' => Some('\u{17f}'),
            'k' => Some('\u{212a}'),
            'i' => Some('\u{131}'),
            'a' => Some('\u{e1}'),
            _ => None,
        });
        all = all.iter().flat_map(|word| letters.iter().map(move |c| format!("{word}{c}"))).collect();
    }
    all.extend([format!("{name} "), name[1..].to_owned(), format!("{name}\u{301}")]);
    all.retain(|spelling| spelling != name);
    all
}

/// What `access`, `exp` and the others say in the good token.
fn token(key: &Key, kid: &str, now: i64, (name, first, last): (&str, &str, &str), spelling: &str) -> String {
    let mut members = vec![
        ("iss", json!(ISSUER).to_string()),
        ("aud", json!(SERVICE).to_string()),
        ("sub", json!("alice").to_string()),
        ("jti", json!("x").to_string()),
        ("exp", (now + 300).to_string()),
        ("nbf", (now - 10).to_string()),
        ("iat", (now - 10).to_string()),
        ("access", json!([{ "type": "registry", "name": "catalog", "actions": ["*"] }]).to_string()),
    ];
    members.retain(|(known, _)| *known != name);
    members.extend([(name, first.to_owned()), (spelling, last.to_owned())]);
    let members = members.iter().map(|(name, value)| format!("{}:{value}", json!(name)));
    let claims = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let header = json!({ "typ": "JWT", "alg": "ES256", "kid": kid }).to_string();
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    format!("{input}.{}", base64url(&key.sign(input.as_bytes()).unwrap()))
}

/// Whether the registry on that socket opens its catalog for the token.
fn opens(socket: &std::path::Path, token: &str) -> bool {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request =
        format!("GET /v2/_catalog HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    match answer.split(' ').nth(1) {
        Some("200") => true,
        Some("401") => false,
        _ => panic!("{answer}"),
    }
}

#[test]
#[ignore = "needs docker-registry and openssl: see .ci/run"]
fn no_spelling_that_a_registry_takes_for_a_claim_is_issued() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap();
    for generation in [Generation::V2, Generation::V3] {
        if generation == Generation::V3 && !have("registry") {
            continue;
        }
        let folder = Folder::new();
        let signing = SigningKey::new(&folder, "signing", Algorithm::Es256);
        let variables = [
            ("REALM", "http://localhost/token".to_owned()),
            ("SERVICE", SERVICE.to_owned()),
            ("ISSUER", ISSUER.to_owned()),
            match generation {
                Generation::V2 => ("ROOTCERTBUNDLE", signing.certificate.display().to_string()),
                Generation::V3 => ("JWKS", folder.write("jwks.json", &signing.jwks()).display().to_string()),
            },
        ];
        let variables = variables.map(|(name, value)| (format!("REGISTRY_AUTH_TOKEN_{name}"), value));
        let _registry = start_registry(&folder, generation.program(), &variables);
        let socket = folder.path().join("registry.sock");
        folder.write(
            "config.yaml",
            &format!("issuer: {ISSUER}\naudience: {SERVICE}\nprivate_key_path: signing.key\n"),
        );
        let key = Key::from_pem(&Secret::new(std::fs::read(&signing.private).unwrap()), None, None).unwrap();
        let kid = signing.libtrust_id();
        let (mut taken, mut asked) = (0, 0);
        for (name, first, last, good) in rows(now) {
            let open =
                |spelling: &str| opens(&socket, &token(&key, &kid, now, (name, &first, &last), spelling));
            assert_eq!(open("other"), !good, "{name}: the first value alone");
            for spelling in spellings(name) {
                asked += 1;
                if open(&spelling) != good {
                    continue;
                }
                taken += 1;
                let issued = keypebble()
                    .args(["issue", "--config", "config.yaml", "--claims"])
                    .arg(json!({ "sub": "alice", &spelling: 1 }).to_string())
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                assert_eq!(issued.status.code(), Some(2), "{spelling}: {issued:?}");
                assert!(issued.stdout.is_empty(), "{spelling}");
            }
        }
        println!("{}: {taken} of {asked} spellings are taken for the claim", generation.program());
        // All that fold as Go does it: 144 - 1 of `access`, and so on; 3 compares names exactly.
        let folding = 143 + 17 + 11 + 5 * 7;
        assert_eq!(taken, if generation == Generation::V2 { folding } else { 0 });
    }
}
