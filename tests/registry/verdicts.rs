//! Owns the proof that `keypebble verify --for` says what a real program does: one table of tokens and
//! trusts, good and bad, each asked of the real program (GET /v2/ with the token) and of Keypebble.
//!
//! A row expects the codes of the reasons; none means that the token is taken. What the registry answers
//! is compared with that as well, so that neither side can agree with a mistake of the other.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::encode::base64url;
use crate::common::keypebble;
use crate::judges::{ISSUER, Judge, Report, Running, SERVICE};
use crate::keys::{Algorithm, KeyId};
use crate::stage::{Generation, Plan, Stage, Trust};
use crate::world::World;

/// A change of the good token's claims.
type Claims = fn(&World, &mut Value);
/// The header, made of nothing.
type Header = fn(&World) -> Value;

/// A token, what a program is told to trust, and the reasons to refuse it: of 2.8, of 3, of zot.
struct Row {
    name: &'static str,
    trust: &'static str,
    signer: &'static str,
    header: Header,
    claims: Claims,
    expected: [&'static [&'static str]; 3],
}

/// The good token: ES256, the libtrust id, one string as audience, whole seconds.
const GOOD: Row = Row {
    name: "good",
    trust: "both",
    signer: "ec",
    header: |world| json!({ "typ": "JWT", "alg": "ES256", "kid": world.key("ec").libtrust_id() }),
    claims: |_, _| {},
    expected: [&[], &[], &[]],
};

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let claims = |name, change: Claims, expected| Row { name, claims: change, expected, ..GOOD };
    let header = |name, trust, header: Header, expected| Row { name, trust, header, expected, ..GOOD };
    let rsa = |name, trust, header: Header, expected| Row { name, trust, header, expected, signer: "rsa", ..GOOD };
    let ed = |name, trust, header: Header, expected| Row { name, trust, header, expected, signer: "ed", ..GOOD };
    vec![
        GOOD,
        // Names.
        claims("issuer typo", |_, c| c["iss"] = "https://keypebble.example.com/".into(), [&["issuer"], &["issuer"], &[]]),
        claims("no issuer", |_, c| drop(c.as_object_mut().unwrap().remove("iss")), [&["issuer"], &["issuer"], &[]]),
        claims("audience typo", |_, c| c["aud"] = "registry.exmaple.com".into(), [&["audience"], &["audience"], &[]]),
        claims("list audience", |_, c| c["aud"] = json!([SERVICE]), [&["audience-type"], &[], &[]]),
        claims("list of others", |_, c| c["aud"] = json!(["x"]), [&["audience-type"], &["audience"], &[]]),
        claims("audience a number", |_, c| c["aud"] = 1.into(), [&["audience-type"], &["audience-type"], &["audience-type"]]),
        // Times.
        claims("expired token", |w, c| c["exp"] = (w.now - 120).into(), [&["expired"], &["expired"], &["expired"]]),
        claims("expired within leeway", |w, c| c["exp"] = (w.now - 30).into(), [&[], &[], &["expired"]]),
        claims("nbf in the future: a skewed clock", |w, c| c["nbf"] = (w.now + 300).into(), [&["not-yet"], &["not-yet"], &["not-yet"]]),
        claims("nbf within leeway", |w, c| c["nbf"] = (w.now + 30).into(), [&[], &[], &["not-yet"]]),
        claims("iat in the future", |w, c| c["iat"] = (w.now + 300).into(), [&[], &[], &["not-yet"]]),
        claims("no exp", |_, c| drop(c.as_object_mut().unwrap().remove("exp")), [&["expired"], &["expired"], &[]]),
        // Types.
        claims("float exp", |w, c| c["exp"] = json!(f64::from(u32::try_from(w.now).unwrap()) + 300.5), [&["type"], &["type"], &[]]),
        claims("float with a zero", |w, c| c["iat"] = json!(f64::from(u32::try_from(w.now).unwrap())), [&["type"], &["type"], &[]]),
        claims("exp a string", |w, c| c["exp"] = (w.now + 300).to_string().into(), [&["type"], &["type"], &[]]),
        claims("subject a number", |_, c| c["sub"] = 7.into(), [&["type"], &["type"], &["type"]]),
        claims("id a number", |_, c| c["jti"] = 7.into(), [&["type"], &["type"], &["type"]]),
        claims("access an object", |_, c| c["access"] = json!({}), [&["type"], &["type"], &["type"]]),
        claims("access of strings", |_, c| c["access"] = json!(["repository:a:pull"]), [&["type"], &["type"], &["type"]]),
        claims("actions a string", |_, c| c["access"] = json!([{ "type": "repository", "name": "a", "actions": "pull" }]), [&["type"], &["type"], &["type"]]),
        claims("null members", |_, c| { c["jti"] = Value::Null; c["nbf"] = Value::Null; c["access"] = Value::Null; }, [&[], &[], &[]]),
        claims("a claim of its own", |_, c| c["roles"] = json!({ "a": [1.5] }), [&[], &[], &[]]),
        claims("a name twice", |_, c| c["TWICE"] = true.into(), [&[], &["twice"], &[]]),
        // Key ids.
        header("literal kid", "both", |_| json!({ "alg": "ES256", "kid": "prod-1" }), [&["key-id"], &["key-id"], &[]]),
        header("literal kid in the jwks", "literal", |_| json!({ "alg": "ES256", "kid": "prod-1" }), [&["no-start", "key-id"], &[], &[]]),
        header("RFC 7638 kid and a bundle", "ec", |w| json!({ "alg": "ES256", "kid": w.thumbprint }), [&["key-id"], &[], &[]]),
        header("libtrust kid and a bundle", "ec", GOOD.header, [&[], &["key-id"], &[]]),
        header("wrong bundle", "other", GOOD.header, [&["key-id"], &["key-id"], &["signature"]]),
        header("jwks without kid", "nokid", GOOD.header, [&["no-start", "key-id"], &["key-id"], &[]]),
        header("no kid", "both", |_| json!({ "alg": "ES256" }), [&["key-id"], &["key-id"], &[]]),
        header("no kid and a jwks without", "nokid", |_| json!({ "alg": "ES256" }), [&["no-start", "key-id"], &["key-id"], &[]]),
        header("kid a number", "both", |_| json!({ "alg": "ES256", "kid": 1 }), [&["type", "key-id"], &["type", "key-id"], &[]]),
        header("expired certificate, by kid", "expired", GOOD.header, [&[], &["key-id"], &[]]),
        header("expired certificate, by RFC 7638 kid", "expired", |w| json!({ "alg": "ES256", "kid": w.thumbprint }), [&["key-id"], &[], &[]]),
        header("a public key as the bundle", "public", GOOD.header, [&["no-start", "key-id"], &["no-start", "key-id"], &[]]),
        header("jwks of an unknown kind", "unreadable", GOOD.header, [&["no-start", "key-id"], &["no-start", "key-id"], &["no-start"]]),
        Row { name: "3's own thumbprint of a short coordinate", trust: "short", signer: "short", header: |w| json!({ "alg": "ES256", "kid": w.short_thumbprint(false) }), expected: [&["key-id"], &[], &[]], ..GOOD },
        Row { name: "RFC 7638 kid of a short coordinate", trust: "short", signer: "short", header: |w| json!({ "alg": "ES256", "kid": w.short_thumbprint(true) }), expected: [&["key-id"], &["key-id"], &[]], ..GOOD },
        Row { name: "signed by another key", signer: "other", expected: [&["signature"], &["signature"], &["signature"]], ..GOOD },
        // Certificates in the header.
        header("x5c", "ec", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["ec"]) }), [&[], &[], &[]]),
        header("x5c wins over a wrong kid", "ec", |w| json!({ "alg": "ES256", "kid": "x", "x5c": w.x5c(&["ec"]) }), [&[], &[], &[]]),
        header("x5c with only a jwks", "jwks", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": w.x5c(&["ec"]) }), [&["no-start", "x5c-untrusted"], &["x5c-untrusted"], &[]]),
        header("x5c of a wrong bundle", "other", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["ec"]) }), [&["x5c-untrusted"], &["x5c-untrusted"], &["signature"]]),
        header("x5c leaf of another key", "both", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["other"]) }), [&["x5c-untrusted", "signature"], &["x5c-untrusted", "signature"], &[]]),
        header("x5c leaf of another trusted key", "other", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["other"]) }), [&["signature"], &["signature"], &["signature"]]),
        header("x5c issued by the root", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["leaf"]) }), [&[], &[], &["signature"]]),
        header("x5c root included", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["leaf", "root"]) }), [&[], &[], &["signature"]]),
        header("x5c in the wrong order", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["root", "leaf"]) }), [&["signature"], &["signature"], &["signature"]]),
        header("x5c by a root that is no authority", "weak", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["weakleaf"]) }), [&["x5c-authority"], &["x5c-authority"], &["signature"]]),
        header("x5c expired", "expired", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["expired"]) }), [&["x5c-expired"], &["x5c-expired"], &[]]),
        header("x5c rubbish", "both", |_| json!({ "alg": "ES256", "x5c": ["AAAA"] }), [&["x5c"], &["x5c"], &[]]),
        header("x5c a string", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": "AAAA" }), [&["type"], &["type"], &[]]),
        header("x5c empty", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": [] }), [&[], &[], &[]]),
        // Algorithms.
        rsa("RS256", "rsa", |w| json!({ "alg": "RS256", "kid": w.key("rsa").libtrust_id() }), [&[], &[], &[]]),
        rsa("RS512", "rsa", |w| json!({ "alg": "RS512", "kid": w.key("rsa").libtrust_id() }), [&[], &[], &[]]),
        rsa("PS256", "rsa", |w| json!({ "alg": "PS256", "kid": w.key("rsa").libtrust_id() }), [&["algorithm"], &[], &[]]),
        rsa("RSA with the header of EC", "rsa", |w| json!({ "alg": "ES256", "kid": w.key("rsa").libtrust_id() }), [&["algorithm"], &["algorithm"], &["algorithm"]]),
        ed("EdDSA and a jwks", "edjwks", |w| json!({ "alg": "EdDSA", "kid": w.ed_thumbprint }), [&["no-start", "algorithm", "key-id"], &[], &[]]),
        ed("EdDSA and a bundle", "ed", |w| json!({ "alg": "EdDSA", "kid": w.ed_thumbprint }), [&["no-start", "algorithm", "key-id"], &[], &[]]),
        ed("EdDSA with an EC bundle", "both", |w| json!({ "alg": "EdDSA", "kid": w.key("ec").libtrust_id() }), [&["algorithm"], &["algorithm"], &["algorithm"]]),
        Row { name: "HS256 for a registry", signer: "hmac", header: |w| json!({ "alg": "HS256", "kid": w.key("ec").libtrust_id() }), expected: [&["algorithm"], &["algorithm"], &["algorithm"]], ..GOOD },
        Row { name: "alg none", signer: "none", header: |w| json!({ "alg": "none", "kid": w.key("ec").libtrust_id() }), expected: [&["algorithm"], &["algorithm"], &["algorithm"]], ..GOOD },
        Row { name: "no signature", signer: "none", expected: [&["signature"], &["signature"], &["signature"]], ..GOOD },
        header("algorithm of another curve", "both", |w| json!({ "alg": "ES384", "kid": w.key("ec").libtrust_id() }), [&["algorithm"], &["algorithm"], &["algorithm"]]),
        header("crit", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "crit": ["x"], "x": 1 }), [&[], &["crit"], &[]]),
        header("typ of another kind", "both", |w| json!({ "typ": "at+jwt", "alg": "ES256", "kid": w.key("ec").libtrust_id() }), [&[], &[], &[]]),
        header("typ a number", "both", |w| json!({ "typ": 1, "alg": "ES256", "kid": w.key("ec").libtrust_id() }), [&["type"], &[], &[]]),
        header("padded parts", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "pad": "" }), [&[], &["malformed"], &["malformed"]]),
    ]
}

impl Row {
    fn token(&self, world: &World) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "alice", "jti": "x",
            "exp": world.now + 300, "nbf": world.now - 10, "iat": world.now - 10,
            "access": [{ "type": "repository", "name": "alice/app", "actions": ["pull"] }],
        });
        (self.claims)(world, &mut claims);
        let header = (self.header)(world);
        let mut text = claims.to_string();
        if claims.get("TWICE").is_some() {
            text = text.replacen('{', "{\"iss\":\"x\",", 1);
        }
        let padded = |text: String| {
            let padding = text.len().next_multiple_of(4) - text.len();
            // Where a text needs none, this row would prove nothing.
            if header.get("pad").is_some() { text + &"=".repeat(padding) } else { text }
        };
        let input = format!(
            "{}.{}",
            padded(base64url(header.to_string().as_bytes())),
            padded(base64url(text.as_bytes()))
        );
        let signature = world.sign(self.signer, header["alg"].as_str(), input.as_bytes());
        format!("{input}.{}", padded(base64url(&signature)))
    }
}

#[test]
#[ignore = "needs docker-registry, distribution 3, zot-verdict and openssl: see .ci/run"]
fn a_prediction_is_what_the_program_says() {
    let world = World::new();
    let rows = rows();
    let mut report = Report::default();
    for (index, judge) in Judge::ALL.into_iter().enumerate() {
        let mut running = BTreeMap::new();
        for row in &rows {
            let trust = world.trust(row.trust);
            let running = running
                .entry(row.trust)
                .or_insert_with(|| Running::start(judge, &trust, &world.folder, row.trust));
            report.compare(row.name, (judge, running), &trust, &row.token(&world), row.expected[index]);
        }
    }
    report.end();
}

/// An operator's mistake: Keypebble's configuration, what the registry is told, and whether a token is
/// taken by 2.8, by 3.
struct Mistake {
    name: &'static str,
    config: &'static str,
    trust: &'static str,
    taken: [bool; 2],
}

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    Mistake { name: "none", config: "private_key_path: ec.key", trust: "both", taken: [true, true] },
    Mistake { name: "wrong bundle", config: "private_key_path: ec.key", trust: "other", taken: [false, false] },
    Mistake { name: "literal kid", config: "private_key_path: ec.key\nkid: prod-1", trust: "both", taken: [false, false] },
    Mistake { name: "HS256", config: "hs256_secret: 0123456789abcdef0123456789abcdef", trust: "both", taken: [false, false] },
    Mistake { name: "issuer typo", config: "private_key_path: ec.key\nissuer: https://keypebble.example.com/", trust: "both", taken: [false, false] },
    Mistake { name: "audience typo", config: "private_key_path: ec.key\naudience: registry.exmaple.com", trust: "both", taken: [false, false] },
    Mistake { name: "PS256", config: "private_key_path: rsa.key\nalgorithm: PS256", trust: "rsa", taken: [false, true] },
    Mistake { name: "no jwks for 3", config: "private_key_path: ec.key", trust: "ec", taken: [true, false] },
    Mistake { name: "x5c expired", config: "private_key_path: ec.key\nx5c_chain_path: expired.crt", trust: "expired", taken: [false, false] },
    Mistake { name: "x5c with only a jwks", config: "private_key_path: ec.key\nx5c_chain_path: ec.crt", trust: "jwks", taken: [false, false] },
    Mistake { name: "x5c and a bundle", config: "private_key_path: ec.key\nx5c_chain_path: ec.crt", trust: "ec", taken: [true, true] },
    Mistake { name: "EdDSA", config: "private_key_path: ed.key", trust: "edjwks", taken: [false, true] },
];

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn doctor_finds_what_the_registry_refuses() {
    let world = World::new();
    for (index, judge) in Judge::ALL.into_iter().enumerate().filter(|(_, judge)| *judge != Judge::Zot) {
        let mut running = BTreeMap::new();
        for mistake in MISTAKES {
            let trust = world.trust(mistake.trust);
            let process = running
                .entry(mistake.trust)
                .or_insert_with(|| Running::start(judge, &trust, &world.folder, mistake.trust));
            let mut config = mistake.config.to_owned();
            for (name, value) in [("issuer", ISSUER), ("audience", SERVICE)] {
                if !config.contains(&format!("{name}:")) {
                    config = format!("{config}\n{name}: {value}");
                }
            }
            let config = world.folder.write("config.yaml", &config);
            let issued = keypebble().args(["issue", "--config"]).arg(&config).output().unwrap();
            assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
            let token = String::from_utf8(issued.stdout).unwrap();
            let (taken, _) = process.asked(token.trim());
            let mut variables = format!(
                "REGISTRY_AUTH_TOKEN_REALM=http://localhost/v2/token\nREGISTRY_AUTH_TOKEN_SERVICE={SERVICE}\n\
                 REGISTRY_AUTH_TOKEN_ISSUER={ISSUER}\n"
            );
            for (name, path) in [("ROOTCERTBUNDLE", trust.bundle), ("JWKS", trust.jwks)] {
                if let Some(path) = path {
                    variables = format!("{variables}REGISTRY_AUTH_TOKEN_{name}={}\n", path.display());
                }
            }
            let variables = world.folder.write("registry.env", &variables);
            let mut doctor = keypebble();
            doctor
                .args(["doctor", "--for", judge.name(), "--config"])
                .arg(&config)
                .arg("--registry-env")
                .arg(variables);
            let doctor = doctor.output().unwrap();
            let said = String::from_utf8_lossy(&doctor.stdout);
            let name = mistake.name;
            assert_eq!(
                taken,
                mistake.taken[index],
                "{name} on {}: the registry's own verdict",
                judge.program()
            );
            assert_eq!(
                doctor.status.code(),
                Some(i32::from(!taken)),
                "{name} on {}: {said}",
                judge.program()
            );
            println!("{:16} {:8} {name}", judge.program(), if taken { "accepted" } else { "refused" });
        }
    }
}

/// Everything up, as README tells it, and asked over the network: the registry, nginx, the realm.
#[test]
#[ignore = "needs docker-registry, nginx and openssl: see .ci/run"]
fn doctor_finds_a_whole_arrangement_well() {
    let plan = Plan::new(Generation::V2, Algorithm::Es256, KeyId::Kid, Trust::Bundle);
    let stage = Stage::up(&plan);
    let doctor = |config: &std::path::Path| {
        let url = format!("http://{}", stage.host());
        let output = keypebble().args(["doctor", "--url", &url, "--config"]).arg(config).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = doctor(&stage.path("config.yaml"));
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "clock            this host's clock and the registry's agree",
        "ok       realm-get",
        "ok       realm-post",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The other side's service is none of ours.
    let config = std::fs::read_to_string(stage.path("config.yaml")).unwrap();
    let other = stage.write("other.yaml", &config.replace("audience: registry.example.com", "audience: x"));
    let (code, said) = doctor(&other);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error    service"), "{said}");
}
