//! Owns the proof that `keypebble verify --for` says what a real registry does: one table of tokens and
//! trusts, good and bad, each asked of the real program (GET /v2/ with the token) and of Keypebble.
//!
//! A row expects the codes of the reasons; none means that the token is taken. What the registry answers
//! is compared with that as well, so that neither side can agree with a mistake of the other.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keypebble::ground::secret::Secret;
use keypebble::key::Key;
use serde_json::{Value, json};

use crate::common::encode::{base64url, from_base64url};
use crate::common::{Folder, finish, keypebble, output, said};
use crate::keys::{Algorithm, KeyId, SigningKey, thumbprint};
use crate::process::Process;
use crate::stage::{Generation, Plan, Stage, Trust};

const SERVICE: &str = "registry.example.com";
const ISSUER: &str = "https://keypebble.example.com";

/// A change of the good token's claims.
type Claims = fn(&World, &mut Value);
/// The header, made of nothing.
type Header = fn(&World) -> Value;

/// A token, what a registry is told to trust, and the reasons to refuse it: of 2.8, of 3.
struct Row {
    name: &'static str,
    trust: &'static str,
    signer: &'static str,
    header: Header,
    claims: Claims,
    expected: [&'static [&'static str]; 2],
}

/// The good token: ES256, the libtrust id, one string as audience, whole seconds.
const GOOD: Row = Row {
    name: "good",
    trust: "both",
    signer: "ec",
    header: |world| json!({ "typ": "JWT", "alg": "ES256", "kid": world.key("ec").libtrust_id() }),
    claims: |_, _| {},
    expected: [&[], &[]],
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
        claims("issuer typo", |_, c| c["iss"] = "https://keypebble.example.com/".into(), [&["issuer"], &["issuer"]]),
        claims("no issuer", |_, c| drop(c.as_object_mut().unwrap().remove("iss")), [&["issuer"], &["issuer"]]),
        claims("audience typo", |_, c| c["aud"] = "registry.exmaple.com".into(), [&["audience"], &["audience"]]),
        claims("list audience", |_, c| c["aud"] = json!([SERVICE]), [&["audience-type"], &[]]),
        claims("list of others", |_, c| c["aud"] = json!(["x"]), [&["audience-type", "audience"], &["audience"]]),
        claims("audience a number", |_, c| c["aud"] = 1.into(), [&["audience-type", "audience"], &["audience-type", "audience"]]),
        // Times.
        claims("expired token", |w, c| c["exp"] = (w.now - 120).into(), [&["expired"], &["expired"]]),
        claims("expired within leeway", |w, c| c["exp"] = (w.now - 30).into(), [&[], &[]]),
        claims("nbf in the future: a skewed clock", |w, c| c["nbf"] = (w.now + 300).into(), [&["not-yet"], &["not-yet"]]),
        claims("nbf within leeway", |w, c| c["nbf"] = (w.now + 30).into(), [&[], &[]]),
        claims("iat in the future", |w, c| c["iat"] = (w.now + 300).into(), [&[], &[]]),
        claims("no exp", |_, c| drop(c.as_object_mut().unwrap().remove("exp")), [&["expired"], &["expired"]]),
        // Types.
        claims("float exp", |w, c| c["exp"] = json!(f64::from(u32::try_from(w.now).unwrap()) + 300.5), [&["type"], &["type"]]),
        claims("float with a zero", |w, c| c["iat"] = json!(f64::from(u32::try_from(w.now).unwrap())), [&["type"], &["type"]]),
        claims("exp a string", |w, c| c["exp"] = (w.now + 300).to_string().into(), [&["type"], &["type"]]),
        claims("subject a number", |_, c| c["sub"] = 7.into(), [&["type"], &["type"]]),
        claims("id a number", |_, c| c["jti"] = 7.into(), [&["type"], &["type"]]),
        claims("access an object", |_, c| c["access"] = json!({}), [&["type"], &["type"]]),
        claims("access of strings", |_, c| c["access"] = json!(["repository:a:pull"]), [&["type"], &["type"]]),
        claims("actions a string", |_, c| c["access"] = json!([{ "type": "repository", "name": "a", "actions": "pull" }]), [&["type"], &["type"]]),
        claims("null members", |_, c| { c["jti"] = Value::Null; c["nbf"] = Value::Null; c["access"] = Value::Null; }, [&[], &[]]),
        claims("a claim of its own", |_, c| c["roles"] = json!({ "a": [1.5] }), [&[], &[]]),
        claims("a name twice", |_, c| c["TWICE"] = true.into(), [&[], &["twice"]]),
        // Key ids.
        header("literal kid", "both", |_| json!({ "alg": "ES256", "kid": "prod-1" }), [&["key-id"], &["key-id"]]),
        header("literal kid in the jwks", "literal", |_| json!({ "alg": "ES256", "kid": "prod-1" }), [&["no-start", "key-id"], &[]]),
        header("RFC 7638 kid and a bundle", "ec", |w| json!({ "alg": "ES256", "kid": w.thumbprint }), [&["key-id"], &[]]),
        header("libtrust kid and a bundle", "ec", GOOD.header, [&[], &["key-id"]]),
        header("wrong bundle", "other", GOOD.header, [&["key-id"], &["key-id"]]),
        header("jwks without kid", "nokid", GOOD.header, [&["no-start", "key-id"], &["key-id"]]),
        header("no kid", "both", |_| json!({ "alg": "ES256" }), [&["key-id"], &["key-id"]]),
        header("no kid and a jwks without", "nokid", |_| json!({ "alg": "ES256" }), [&["no-start", "key-id"], &["key-id"]]),
        header("kid a number", "both", |_| json!({ "alg": "ES256", "kid": 1 }), [&["type", "key-id"], &["type", "key-id"]]),
        header("expired certificate, by kid", "expired", GOOD.header, [&[], &["key-id"]]),
        header("expired certificate, by RFC 7638 kid", "expired", |w| json!({ "alg": "ES256", "kid": w.thumbprint }), [&["key-id"], &[]]),
        header("a public key as the bundle", "public", GOOD.header, [&["no-start", "key-id"], &["no-start", "key-id"]]),
        header("jwks of an unknown kind", "unreadable", GOOD.header, [&["no-start", "key-id"], &["no-start", "key-id"]]),
        Row { name: "3's own thumbprint of a short coordinate", trust: "short", signer: "short", header: |w| json!({ "alg": "ES256", "kid": w.short_thumbprint(false) }), expected: [&["key-id"], &[]], ..GOOD },
        Row { name: "RFC 7638 kid of a short coordinate", trust: "short", signer: "short", header: |w| json!({ "alg": "ES256", "kid": w.short_thumbprint(true) }), expected: [&["key-id"], &["key-id"]], ..GOOD },
        Row { name: "signed by another key", signer: "other", expected: [&["signature"], &["signature"]], ..GOOD },
        // Certificates in the header.
        header("x5c", "ec", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["ec"]) }), [&[], &[]]),
        header("x5c wins over a wrong kid", "ec", |w| json!({ "alg": "ES256", "kid": "x", "x5c": w.x5c(&["ec"]) }), [&[], &[]]),
        header("x5c with only a jwks", "jwks", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": w.x5c(&["ec"]) }), [&["no-start", "x5c-untrusted"], &["x5c-untrusted"]]),
        header("x5c of a wrong bundle", "other", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["ec"]) }), [&["x5c-untrusted"], &["x5c-untrusted"]]),
        header("x5c leaf of another key", "both", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["other"]) }), [&["x5c-untrusted", "signature"], &["x5c-untrusted", "signature"]]),
        header("x5c leaf of another trusted key", "other", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["other"]) }), [&["signature"], &["signature"]]),
        header("x5c issued by the root", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["leaf"]) }), [&[], &[]]),
        header("x5c root included", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["leaf", "root"]) }), [&[], &[]]),
        header("x5c in the wrong order", "root", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["root", "leaf"]) }), [&["signature"], &["signature"]]),
        header("x5c by a root that is no authority", "weak", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["weakleaf"]) }), [&["x5c-authority"], &["x5c-authority"]]),
        header("x5c expired", "expired", |w| json!({ "alg": "ES256", "x5c": w.x5c(&["expired"]) }), [&["x5c-expired"], &["x5c-expired"]]),
        header("x5c rubbish", "both", |_| json!({ "alg": "ES256", "x5c": ["AAAA"] }), [&["x5c"], &["x5c"]]),
        header("x5c a string", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": "AAAA" }), [&["type"], &["type"]]),
        header("x5c empty", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "x5c": [] }), [&[], &[]]),
        // Algorithms.
        rsa("RS256", "rsa", |w| json!({ "alg": "RS256", "kid": w.key("rsa").libtrust_id() }), [&[], &[]]),
        rsa("RS512", "rsa", |w| json!({ "alg": "RS512", "kid": w.key("rsa").libtrust_id() }), [&[], &[]]),
        rsa("PS256", "rsa", |w| json!({ "alg": "PS256", "kid": w.key("rsa").libtrust_id() }), [&["algorithm"], &[]]),
        rsa("RSA with the header of EC", "rsa", |w| json!({ "alg": "ES256", "kid": w.key("rsa").libtrust_id() }), [&["algorithm"], &["algorithm"]]),
        ed("EdDSA and a jwks", "edjwks", |w| json!({ "alg": "EdDSA", "kid": w.ed_thumbprint }), [&["no-start", "algorithm", "key-id"], &[]]),
        ed("EdDSA and a bundle", "ed", |w| json!({ "alg": "EdDSA", "kid": w.ed_thumbprint }), [&["no-start", "algorithm", "key-id"], &[]]),
        ed("EdDSA with an EC bundle", "both", |w| json!({ "alg": "EdDSA", "kid": w.key("ec").libtrust_id() }), [&["algorithm"], &["algorithm"]]),
        Row { name: "HS256 for a registry", signer: "hmac", header: |w| json!({ "alg": "HS256", "kid": w.key("ec").libtrust_id() }), expected: [&["algorithm"], &["algorithm"]], ..GOOD },
        Row { name: "alg none", signer: "none", header: |w| json!({ "alg": "none", "kid": w.key("ec").libtrust_id() }), expected: [&["algorithm"], &["algorithm"]], ..GOOD },
        Row { name: "no signature", signer: "none", expected: [&["signature"], &["signature"]], ..GOOD },
        header("algorithm of another curve", "both", |w| json!({ "alg": "ES384", "kid": w.key("ec").libtrust_id() }), [&["algorithm"], &["algorithm"]]),
        header("crit", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "crit": ["x"], "x": 1 }), [&[], &["crit"]]),
        header("typ of another kind", "both", |w| json!({ "typ": "at+jwt", "alg": "ES256", "kid": w.key("ec").libtrust_id() }), [&[], &[]]),
        header("typ a number", "both", |w| json!({ "typ": 1, "alg": "ES256", "kid": w.key("ec").libtrust_id() }), [&["type"], &[]]),
        header("padded parts", "both", |w| json!({ "alg": "ES256", "kid": w.key("ec").libtrust_id(), "pad": "" }), [&[], &["malformed"]]),
    ]
}

/// Keys and certificates, by name.
struct World {
    folder: Folder,
    now: i64,
    keys: BTreeMap<&'static str, SigningKey>,
    thumbprint: String,
    ed_thumbprint: String,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let mut keys = BTreeMap::new();
        for (name, algorithm) in [
            ("ec", Algorithm::Es256),
            ("other", Algorithm::Es256),
            ("root", Algorithm::Es256),
            ("weak", Algorithm::Es256),
            ("rsa", Algorithm::Rs256),
            ("ed", Algorithm::EdDsa),
        ] {
            keys.insert(name, SigningKey::new(&folder, name, algorithm));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let thumbprints = ["ec", "ed"].map(|name| thumbprint(&keys[name].jwk()));
        let [thumbprint, ed_thumbprint] = thumbprints;
        // One EC key in 128 has a coordinate that starts with a zero, which distribution 3 leaves out.
        let short = include_str!("../data/keys/p256-short-x.pem");
        let short = SigningKey::of_pem(&folder, "short", Algorithm::Es256, short);
        keys.insert("short", short);
        let world = World { folder, now: now.try_into().unwrap(), keys, thumbprint, ed_thumbprint };
        world.certificates();
        world
    }

    /// The thumbprint of the key with a short coordinate, as the RFC has it or as distribution 3 does.
    fn short_thumbprint(&self, padded: bool) -> String {
        let mut jwk = self.key("short").jwk();
        for name in ["x", "y"].into_iter().filter(|_| !padded) {
            let bytes = from_base64url(jwk[name].as_str().unwrap());
            let start = bytes.iter().position(|byte| *byte != 0).unwrap();
            jwk[name] = base64url(&bytes[start..]).into();
        }
        thumbprint(&jwk)
    }

    fn key(&self, name: &str) -> &SigningKey {
        &self.keys[name]
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Certificates of other shapes than a plain self-signed one.
    fn certificates(&self) {
        let path = |name: &str| self.path(name);
        let (ec, weak) = (path("ec.key"), path("weak.key"));
        let (expired, weakroot) = (path("expired.crt"), path("weak.crt"));
        let openssl = |args: &[&str]| drop(output("openssl", args, b""));
        openssl(&[
            "req",
            "-x509",
            "-key",
            &weak,
            "-subj",
            "/CN=weak",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-out",
            &weakroot,
        ]);
        let request = path("leaf.csr");
        openssl(&["req", "-new", "-key", &ec, "-subj", "/CN=leaf", "-out", &request]);
        openssl(&["x509", "-req", "-in", &request, "-signkey", &ec, "-days", "-1", "-out", &expired]);
        for (leaf, root) in [("leaf", "root"), ("weakleaf", "weak")] {
            let (crt, ca, ca_key) =
                (path(&format!("{leaf}.crt")), path(&format!("{root}.crt")), path(&format!("{root}.key")));
            openssl(&[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-set_serial",
                "7",
                "-days",
                "9",
                "-out",
                &crt,
            ]);
        }
    }

    /// The `x5c` of these certificates.
    fn x5c(&self, names: &[&str]) -> Value {
        let der = |name: &&str| {
            let pem = std::fs::read_to_string(self.folder.path().join(format!("{name}.crt"))).unwrap();
            pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()
        };
        names.iter().map(der).collect::<Vec<_>>().into()
    }

    /// The files of a trust: `rootcertbundle` and `jwks`.
    fn trust(&self, name: &str) -> (Option<PathBuf>, Option<PathBuf>) {
        let crt = |name: &str| Some(self.folder.path().join(format!("{name}.crt")));
        let jwks = |file: &str, key: &str, kid: Option<&str>| {
            let mut jwk = self.key(key).jwk();
            if let Some(kid) = kid {
                jwk["kid"] = kid.into();
            }
            Some(self.folder.write(&format!("{file}.json"), &json!({ "keys": [jwk] }).to_string()))
        };
        let libtrust = self.key("ec").libtrust_id();
        match name {
            "both" => (crt("ec"), jwks("both", "ec", Some(&libtrust))),
            "jwks" => (None, jwks("jwks", "ec", Some(&libtrust))),
            "literal" => (None, jwks("literal", "ec", Some("prod-1"))),
            "nokid" => (None, jwks("nokid", "ec", None)),
            "rsa" => (crt("rsa"), jwks("rsa", "rsa", Some(&self.key("rsa").libtrust_id()))),
            "edjwks" => (None, jwks("edjwks", "ed", Some(&self.ed_thumbprint))),
            "public" => {
                let pem = output("openssl", &["pkey", "-in", &self.path("ec.key"), "-pubout"], b"");
                (Some(self.folder.write("public.crt", &String::from_utf8(pem).unwrap())), None)
            }
            "unreadable" => {
                let jwks =
                    json!({ "keys": [{ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": libtrust }] });
                (None, Some(self.folder.write("unreadable.json", &jwks.to_string())))
            }
            name => (crt(name), None),
        }
    }

    fn token(&self, row: &Row) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "alice", "jti": "x",
            "exp": self.now + 300, "nbf": self.now - 10, "iat": self.now - 10,
            "access": [{ "type": "repository", "name": "alice/app", "actions": ["pull"] }],
        });
        (row.claims)(self, &mut claims);
        let header = (row.header)(self);
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
        let signature = match row.signer {
            "none" => Vec::new(),
            "hmac" => {
                let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
                let key =
                    Key::from_secret(keypebble::key::algorithm::Algorithm::HS256, &secret, None).unwrap();
                key.sign(input.as_bytes()).unwrap()
            }
            name => {
                let pem = Secret::new(std::fs::read(self.folder.path().join(format!("{name}.key"))).unwrap());
                let own = header["alg"].as_str().unwrap().parse().unwrap();
                let key = Key::from_pem(&pem, Some(own), None).or_else(|_| Key::from_pem(&pem, None, None));
                key.unwrap().sign(input.as_bytes()).unwrap()
            }
        };
        format!("{input}.{}", padded(base64url(&signature)))
    }

    /// A registry of this generation with this trust; `None` where it does not start with it.
    fn registry(&self, generation: Generation, trust: &str) -> Option<Process> {
        let socket = self.socket(generation, trust);
        let name = format!("{}-{trust}", generation.program());
        let config = self.folder.write(
            &format!("{name}.yaml"),
            &format!(
                "version: 0.1\nlog: {{level: info}}\nhttp: {{net: unix, addr: {}}}\n\
                 storage: {{inmemory: {{}}}}\nauth: {{token: {{}}}}\n",
                socket.display()
            ),
        );
        let (bundle, jwks) = self.trust(trust);
        let mut variables = vec![
            ("REALM", "http://localhost/token".to_owned()),
            ("SERVICE", SERVICE.to_owned()),
            ("ISSUER", ISSUER.to_owned()),
        ];
        variables.extend(bundle.map(|path| ("ROOTCERTBUNDLE", path.display().to_string())));
        variables.extend(jwks.map(|path| ("JWKS", path.display().to_string())));
        let variables: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| (format!("REGISTRY_AUTH_TOKEN_{name}"), value))
            .collect();
        let mut command = Command::new(generation.program());
        command.arg("serve").arg(config);
        let mut process = Process::start(&self.folder, "registry", &mut command, &variables);
        process.wait_for(|_| UnixStream::connect(&socket).ok()).ok().map(|_| process)
    }

    fn socket(&self, generation: Generation, trust: &str) -> PathBuf {
        self.folder.path().join(format!("{}-{trust}.sock", generation.program()))
    }

    /// Whether the real registry takes the token.
    fn asked(&self, generation: Generation, trust: &str, token: &str) -> bool {
        let mut stream = UnixStream::connect(self.socket(generation, trust)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request =
            format!("GET /v2/ HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        match answer.split(' ').nth(1) {
            Some("200") => true,
            Some("401") => false,
            _ => panic!("{answer}"),
        }
    }

    /// What `verify --for` says: the exit code, and the codes of what speaks against the token.
    fn predicted(
        &self,
        generation: Generation,
        trust: &str,
        token: &str,
    ) -> (Option<i32>, Vec<String>, String) {
        let program = if generation == Generation::V2 { "registry-2.8" } else { "registry-3" };
        let mut command = keypebble();
        command.args(["verify", "--json", "--for", program, "--service", SERVICE, "--issuer", ISSUER]);
        let (bundle, jwks) = self.trust(trust);
        for (flag, path) in [("--rootcertbundle", bundle), ("--jwks", jwks)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        let output = finish(command.arg("-"), token);
        let (_, shown) = said(&output);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{shown}"));
        let findings = answer["findings"].as_array().unwrap().iter();
        let against = findings.filter(|finding| finding["level"] == "error" || finding["level"] == "unknown");
        let codes = against.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        (output.status.code(), codes, shown)
    }
}

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn a_prediction_is_what_the_registry_says() {
    let world = World::new();
    let rows = rows();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (index, generation) in [Generation::V2, Generation::V3].into_iter().enumerate() {
        let mut running = BTreeMap::new();
        for row in &rows {
            let process = running.entry(row.trust).or_insert_with(|| world.registry(generation, row.trust));
            let token = world.token(row);
            let taken = process.is_some() && world.asked(generation, row.trust, &token);
            let (exit, codes, shown) = world.predicted(generation, row.trust, &token);
            let expected = row.expected[index];
            asked += 1;
            let log = process.as_ref().map(Process::log).unwrap_or_default();
            let said = log.lines().rev().take(3).collect::<Vec<_>>().join("\n    ");
            if taken != expected.is_empty() || (exit == Some(0)) != taken || codes != expected {
                wrong.push(format!(
                    "{} on {}: the registry {}, expected {expected:?}, predicted {codes:?} (exit {exit:?})\n{shown}    {said}",
                    row.name,
                    generation.program(),
                    if taken { "took it" } else { "refused it" },
                ));
            } else {
                let verdict = if taken { "accepted" } else { "refused" };
                println!("{:16} {verdict:9} {:42} {}", generation.program(), row.name, codes.join(", "));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} verdicts on {} tokens", rows.len());
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
    for (index, generation) in [Generation::V2, Generation::V3].into_iter().enumerate() {
        let mut running = BTreeMap::new();
        for mistake in MISTAKES {
            let process =
                running.entry(mistake.trust).or_insert_with(|| world.registry(generation, mistake.trust));
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
            let taken = process.is_some() && world.asked(generation, mistake.trust, token.trim());

            let (bundle, jwks) = world.trust(mistake.trust);
            let mut variables = format!(
                "REGISTRY_AUTH_TOKEN_REALM=http://localhost/v2/token\nREGISTRY_AUTH_TOKEN_SERVICE={SERVICE}\n\
                 REGISTRY_AUTH_TOKEN_ISSUER={ISSUER}\n"
            );
            for (name, path) in [("ROOTCERTBUNDLE", bundle), ("JWKS", jwks)] {
                if let Some(path) = path {
                    variables = format!("{variables}REGISTRY_AUTH_TOKEN_{name}={}\n", path.display());
                }
            }
            let variables = world.folder.write("registry.env", &variables);
            let program = if generation == Generation::V2 { "registry-2.8" } else { "registry-3" };
            let mut doctor = keypebble();
            doctor
                .args(["doctor", "--for", program, "--config"])
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
                generation.program()
            );
            assert_eq!(
                doctor.status.code(),
                Some(i32::from(!taken)),
                "{name} on {}: {said}",
                generation.program()
            );
            println!("{:16} {:8} {name}", generation.program(), if taken { "accepted" } else { "refused" });
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
