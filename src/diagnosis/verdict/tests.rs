//! The verdicts, as a table over one good token.

use super::*;
use crate::ground::diagnostic::{Level, worst};
use crate::ground::secret::Secret;
use crate::key::{Chain, Key, base64url};
use crate::token::{Sealer, Typ};
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: UnixTime = UnixTime(1_600_000_000);

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/", $name)).as_slice()
    };
}

fn key(kid: Option<&str>) -> Key {
    let pem = Secret::new(file!("keys/p256.pem").to_vec());
    Key::from_pem(&pem, None, kid.map(str::to_owned)).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "i", "aud": "s", "sub": "alice", "exp": NOW.0 + 300, "nbf": NOW.0 - 10, "iat": NOW.0 - 10,
        "jti": "x", "access": [{ "type": "repository", "name": "a/b", "actions": ["pull"] }],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn sealed(key: Key, claims: &Value) -> String {
    Sealer::jws(Arc::new(key)).seal(claims.to_string().as_bytes(), Typ::Jwt, NOW).unwrap()
}

fn forged(header: &Value, claims: &Value) -> String {
    let input =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = key(None).sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url(&signature))
}

/// The bundle of the chain's leaf, which is the signing key's certificate.
fn bundle() -> Trust {
    Trust::default().with_bundle(file!("x509/chain.pem"))
}

fn with_jwks(trust: Trust, kid: &str) -> Trust {
    let jwks = json!({ "keys": [key(None).public().unwrap().jwk(Some(kid))] });
    trust.with_jwks(jwks.to_string().as_bytes())
}

fn jwks(kid: &str) -> Trust {
    with_jwks(Trust::default(), kid)
}

fn codes(program: Program, token: &str, trust: &Trust) -> Vec<&'static str> {
    let expected = Expected { issuer: Some("i"), audiences: &["s"] };
    let judgement = judge(program, token, trust, &expected, &[], NOW);
    judgement.iter().filter(|finding| finding.level >= Level::Unknown).map(|finding| finding.code).collect()
}

#[test]
fn claims_are_judged_as_each_program_does() {
    use Program::{Registry3, Registry28, Zot};
    let far = NOW.0 + 300;
    for (name, claims, expected) in [
        ("good", claims(), [&[][..], &[], &[]]),
        ("issuer", with("iss", json!("i/")), [&["issuer"], &["issuer"], &[]]),
        ("audience", with("aud", json!("t")), [&["audience"], &["audience"], &[]]),
        ("no audience", with("aud", Value::Null), [&["audience"], &["audience"], &[]]),
        ("list of one", with("aud", json!(["s"])), [&["audience-type"], &[], &[]]),
        (
            "list of others",
            with("aud", json!(["t", 1])),
            [&["audience-type"], &["audience-type"], &["audience-type"]],
        ),
        ("float exp", with("exp", json!(1_600_000_300.0)), [&["type"], &["type"], &[]]),
        ("float iat", with("iat", json!(1_599_999_999.5)), [&["type"], &["type"], &[]]),
        ("exp a string", with("exp", json!("1600000300")), [&["type"], &["type"], &[]]),
        ("no exp", with("exp", Value::Null), [&["expired"], &["expired"], &[]]),
        ("expired a while ago", with("exp", json!(NOW.0 - 60)), [&["expired"], &["expired"], &["expired"]]),
        ("just expired", with("exp", json!(NOW.0 - 59)), [&[], &[], &["expired"]]),
        ("nbf in the future", with("nbf", json!(far)), [&["not-yet"], &["not-yet"], &["not-yet"]]),
        ("nbf a little ahead", with("nbf", json!(NOW.0 + 60)), [&[], &[], &["not-yet"]]),
        ("iat ahead", with("iat", json!(far)), [&[], &[], &["not-yet"]]),
        ("sub a number", with("sub", json!(1)), [&["type"], &["type"], &["type"]]),
        ("jti a number", with("jti", json!(1)), [&["type"], &["type"], &["type"]]),
        ("access an object", with("access", json!({})), [&["type"], &["type"], &["type"]]),
        ("access of strings", with("access", json!(["a"])), [&["type"], &["type"], &["type"]]),
        (
            "actions a string",
            with("access", json!([{ "actions": "pull" }])),
            [&["type"], &["type"], &["type"]],
        ),
    ] {
        let public = key(None).public().unwrap().clone();
        // One id for both generations: the libtrust id, in the bundle and as the JWKS's `kid`.
        let trust = with_jwks(bundle(), &public.libtrust_id());
        let token = sealed(key(None), &claims);
        for (program, expected) in [Registry28, Registry3, Zot].into_iter().zip(expected) {
            assert_eq!(codes(program, &token, &trust), expected, "{name}: {program:?}");
        }
    }
}

#[test]
fn key_ids_are_found_as_each_program_does() {
    use Program::{Registry3, Registry28};
    let public = key(None).public().unwrap().clone();
    let (libtrust, thumbprint) = (public.libtrust_id(), public.thumbprint());
    let other = Trust::default().with_bundle(file!("keys/rsa2048-cert.pem"));
    let none: &[&str] = &[];
    for (name, program, kid, trust, expected) in [
        ("libtrust", Registry28, libtrust.as_str(), bundle(), none),
        ("RFC 7638", Registry28, &thumbprint, bundle(), &["key-id"]),
        ("literal", Registry28, "prod", bundle(), &["key-id"]),
        ("other bundle", Registry28, &libtrust, other.clone(), &["key-id"]),
        ("no bundle", Registry28, &libtrust, jwks(&libtrust), &["no-start", "key-id"]),
        ("libtrust", Registry3, &libtrust, bundle(), &["key-id"]),
        ("RFC 7638", Registry3, &thumbprint, bundle(), none),
        ("literal with jwks", Registry3, "prod", jwks("prod"), none),
        ("jwks of another kid", Registry3, "prod", jwks("dev"), &["key-id"]),
        ("jwks without kid", Registry3, "prod", jwks(""), &["key-id"]),
        ("no trust", Registry3, "prod", Trust::default(), &["no-start", "key-id"]),
    ] {
        assert_eq!(
            codes(program, &sealed(key(Some(kid)), &claims()), &trust),
            expected,
            "{name}: {program:?}"
        );
    }
    for (header, expected) in [
        (json!({ "alg": "ES256" }), &["key-id"][..]),
        (json!({ "alg": "ES256", "kid": "" }), &["key-id"]),
        (json!({ "alg": "ES256", "kid": 1 }), &["type", "key-id"]),
        (json!({ "alg": "ES384", "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "RS256", "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "HS256", "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "none", "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "EdDSA", "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "PS256", "kid": libtrust }), &["algorithm"]),
        (json!({ "kid": libtrust }), &["algorithm"]),
        (json!({ "alg": "ES256", "kid": libtrust, "crit": ["b64"] }), none),
        (json!({ "alg": "ES256", "typ": 1, "kid": libtrust }), &["type"]),
        (json!({ "alg": "ES256", "typ": "at+jwt", "kid": libtrust }), none),
        (json!({ "alg": "ES256", "jwk": public.jwk(None) }), none),
    ] {
        assert_eq!(codes(Registry28, &forged(&header, &claims()), &bundle()), expected, "{header}");
    }
    let crit = forged(&json!({ "alg": "ES256", "kid": "k", "crit": ["x"] }), &claims());
    assert_eq!(codes(Registry3, &crit, &jwks("k")), ["crit"]);
}

#[test]
fn x5c_wins_over_kid_and_needs_a_bundle() {
    use Program::{Registry3, Registry28, Zot};
    let chain = |pem: &[u8]| Chain::from_pem(pem).unwrap();
    let token = sealed(key(Some("any")).with_chain(chain(file!("x509/chain.pem"))).unwrap(), &claims());
    let chain_text = std::str::from_utf8(file!("x509/chain.pem")).unwrap();
    let root = &chain_text[chain_text.rfind("-----BEGIN").unwrap()..];
    let root_only = Trust::default().with_bundle(root.as_bytes());
    let other = Trust::default().with_bundle(file!("keys/rsa2048-cert.pem"));
    for program in [Registry28, Registry3] {
        assert_eq!(codes(program, &token, &bundle()), [""; 0]);
        assert_eq!(codes(program, &token, &root_only), [""; 0]);
        assert_eq!(codes(program, &token, &other), ["x5c-untrusted"]);
        let remarks = judge(program, &token, &root_only, &Expected::default(), &[], NOW);
        assert!(remarks.iter().any(|finding| finding.code == "x5c-root"));
        let late = judge(program, &token, &root_only, &Expected::default(), &[], UnixTime(2_000_000_000));
        assert!(late.iter().any(|finding| finding.code == "x5c-expired"), "{late:?}");
        // The certificate of another key than the one that signed.
        let swapped = json!({ "alg": "ES256", "x5c": [chain(file!("keys/p256-chain.pem")).x5c()[1]] });
        assert!(codes(program, &forged(&swapped, &claims()), &bundle()).contains(&"x5c-untrusted"));
        let rubbish = json!({ "alg": "ES256", "x5c": ["AAAA"] });
        assert_eq!(codes(program, &forged(&rubbish, &claims()), &bundle()), ["x5c"]);
    }
    assert_eq!(codes(Registry3, &token, &jwks("any")), ["x5c-untrusted"], "3 with jwks alone refuses x5c");
    assert_eq!(codes(Zot, &token, &bundle()), [""; 0], "zot does not look at it");
}

#[test]
fn a_signature_of_another_key_or_none_is_refused() {
    let libtrust = key(None).public().unwrap().libtrust_id();
    let good = sealed(key(None), &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for bad in [format!("{signed}."), format!("{signed}.{}", base64url(&[1; 64]))] {
        assert_eq!(codes(Program::Registry28, &bad, &bundle()), ["signature"]);
        assert_eq!(codes(Program::Registry3, &bad, &jwks(&libtrust)), ["signature"]);
        assert_eq!(codes(Program::Zot, &bad, &bundle()), ["signature"]);
    }
    assert_eq!(codes(Program::Zot, &good, &bundle()), [""; 0]);
    assert_eq!(codes(Program::Registry28, "a.b.c.d.e", &bundle()), ["malformed"]);
}

#[test]
fn a_trust_that_stops_the_registry_is_said() {
    use Program::{Registry3, Registry28, Zot};
    let start = |trust: &Trust, program| trust.start(program).len();
    let empty = Trust::default().with_bundle(file!("keys/p256-pub.pem"));
    assert_eq!([Registry28, Registry3, Zot].map(|program| start(&empty, program)), [1, 1, 0]);
    assert_eq!([Registry28, Registry3, Zot].map(|program| start(&bundle(), program)), [0, 0, 0]);
    let coordinate = base64url(&[0; 66]);
    let p521 = format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-521","kid":"a","x":"{coordinate}","y":"{coordinate}"}}]}}"#
    );
    for (file, starts) in [
        (r#"{"keys":[{"kty":"AKP","kid":"a"}]}"#, [1, 1]),
        (r#"{"keys":[{"kty":"EC","crv":"P-521","kid":"a"}]}"#, [1, 1]),
        (&p521, [0, 0]),
        (r#"{"keys":[]}"#, [1, 1]),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, [0, 0]),
        ("{}", [1, 1]),
        ("x", [1, 1]),
    ] {
        let trust = Trust::default().with_jwks(file.as_bytes());
        assert_eq!([Registry3, Zot].map(|program| start(&trust, program)), starts, "{file}");
    }
    let p521 = Trust::default().with_jwks(p521.as_bytes());
    assert_eq!(codes(Registry3, &sealed(key(Some("a")), &claims()), &p521), ["key"]);
    assert_eq!(codes(Zot, &sealed(key(Some("a")), &claims()), &p521), ["key"]);
}

#[test]
fn a_name_twice_and_an_unlisted_algorithm_are_refused_by_3_alone() {
    let libtrust = key(None).public().unwrap().libtrust_id();
    let header = base64url(json!({ "alg": "ES256", "kid": libtrust }).to_string().as_bytes());
    let twice = claims().to_string().replacen('{', "{\"iss\":\"x\",", 1);
    let input = format!("{header}.{}", base64url(twice.as_bytes()));
    let token = format!("{input}.{}", base64url(&key(None).sign(input.as_bytes()).unwrap()));
    assert_eq!(codes(Program::Registry28, &token, &bundle()), [""; 0]);
    assert_eq!(codes(Program::Registry3, &token, &jwks(&libtrust)), ["twice"]);
    let (good, only) = (sealed(key(None), &claims()), ["RS256".to_owned()]);
    let judged =
        |program, trust: &Trust| worst(&judge(program, &good, trust, &Expected::default(), &only, NOW));
    assert_eq!(judged(Program::Registry3, &jwks(&libtrust)), Level::Error);
    assert_eq!(judged(Program::Registry28, &bundle()), Level::Ok, "2.8 has no such setting");
}
