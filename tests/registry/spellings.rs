//! Owns the proof that a claim's name is compared as registries compare it: every letter case of every name
//! that matters to a verifier is asked of the real program, and none that it takes is ever issued.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::common::encode::base64url;
use crate::common::keypebble;
use crate::judges::{ISSUER, Judge, Running, SERVICE};
use crate::tokens::spellings;
use crate::world::World;

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

/// A token that says `first` and then, under another spelling of the name, `last`; else it is a good one.
fn token(world: &World, (name, first, last): (&str, &str, &str), spelling: &str) -> String {
    let catalog = json!([{ "type": "registry", "name": "catalog", "actions": ["*"] }]);
    let mut members = vec![
        ("iss", json!(ISSUER)),
        ("aud", json!(SERVICE)),
        ("sub", json!("alice")),
        ("jti", json!("x")),
        ("exp", json!(world.now + 300)),
        ("nbf", json!(world.now - 10)),
        ("iat", json!(world.now - 10)),
        ("access", catalog),
    ];
    members.retain(|(known, _)| *known != name);
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    let members = members.collect::<Vec<_>>().join(",");
    let claims = format!("{{{members},\"{name}\":{first},{}:{last}}}", json!(spelling));
    let header = json!({ "typ": "JWT", "alg": "ES256", "kid": world.key("ec").libtrust_id() }).to_string();
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    format!("{input}.{}", base64url(&world.sign("ec", Some("ES256"), input.as_bytes())))
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
        Some("200" | "404") => true, // the storage in memory has no list of repositories
        Some("401") => false,
        _ => panic!("{answer}"),
    }
}

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn no_spelling_that_a_registry_takes_for_a_claim_is_issued() {
    let world = World::new();
    let config = format!("issuer: {ISSUER}\naudience: {SERVICE}\nprivate_key_path: ec.key\n");
    world.folder.write("config.yaml", &config);
    for judge in [Judge::Registry28, Judge::Registry3] {
        let running = Running::start(judge, &world.trust("both"), &world.folder, "spellings");
        let Running::Registry(_process, socket) = running else { panic!("{} did not start", judge.name()) };
        let mut taken = 0;
        for (name, first, last, good) in rows(world.now) {
            let open = |spelling: &str| opens(&socket, &token(&world, (name, &first, &last), spelling));
            for other in [
                "other".to_owned(),
                format!("{name} "),
                name[1..].to_owned(),
                name.replace(['i', 'a'], "\u{131}"),
            ] {
                assert_eq!(
                    other != name && open(&other),
                    other != name && !good,
                    "{name}: {other} is another name"
                );
            }
            for spelling in spellings(name) {
                if open(&spelling) != good {
                    continue;
                }
                taken += 1;
                let issued = keypebble()
                    .args(["issue", "--config", "config.yaml", "--claims"])
                    .arg(json!({ "sub": "alice", &spelling: 1 }).to_string())
                    .current_dir(world.folder.path())
                    .output()
                    .unwrap();
                assert_eq!(issued.status.code(), Some(2), "{spelling}: {issued:?}");
                assert!(issued.stdout.is_empty(), "{spelling}");
            }
        }
        // 2.8 takes all of them, 3 compares names exactly.
        let all: usize = rows(world.now).iter().map(|(name, ..)| spellings(name).len()).sum();
        assert_eq!(taken, if judge == Judge::Registry28 { all } else { 0 });
        println!("{}: {taken} of {all} spellings are taken for the claim", judge.name());
    }
}
