//! Owns the proof that the files of a trust are read as their readers read them: bundles and JWKS in every
//! shape, each given to the real program and to Keypebble. One good token tells what came of it: taken, refused
//! for want of a key, or a program that does not start.

use serde_json::{Value, json};

use crate::common::encode::{base64, base64url, from_base64url, hex};
use crate::common::{Folder, output, repository};
use crate::judges::{ISSUER, Judge, Report, Running, SERVICE, Trust};
use crate::tools::sha256;
use crate::world::World;

/// Texts to make files of.
struct Pieces {
    ec: String,
    other: String,
    ed: String,
    p521: String,
    rsa1024: String,
    secp256k1: String,
    ed448: String,
    /// Private, of `ec`.
    private: String,
    public: String,
    rsa_public: String,
    trusted: String,
    jwk: Value,
    other_jwk: Value,
    /// The certificates of `ec` and `other` as `x5c` has them.
    x5c: Value,
    other_x5c: Value,
}

impl Pieces {
    fn new(world: &World) -> Self {
        let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
        let openssl = |args: &[&str]| String::from_utf8(output("openssl", args, b"")).unwrap();
        let data = |name: &str| repository(&format!("tests/data/keys/{name}.pem")).display().to_string();
        let certificate = |name: &str| openssl(&["req", "-x509", "-key", &data(name), "-subj", "/CN=x"]);
        let jwk = |name: &str| {
            let mut jwk = world.key(name).jwk();
            jwk["kid"] = world.key(name).libtrust_id().into();
            jwk
        };
        Pieces {
            ec: read("ec.crt"),
            other: read("other.crt"),
            ed: read("ed.crt"),
            p521: certificate("p521"),
            rsa1024: certificate("rsa1024"),
            secp256k1: certificate("secp256k1"),
            ed448: certificate("ed448"),
            private: read("ec.key"),
            public: openssl(&["pkey", "-in", &world.path("ec.key"), "-pubout"]),
            rsa_public: openssl(&["rsa", "-in", &world.path("rsa.key"), "-RSAPublicKey_out"]),
            trusted: openssl(&["x509", "-in", &world.path("ec.crt"), "-trustout", "-addtrust", "serverAuth"]),
            jwk: jwk("ec"),
            other_jwk: jwk("other"),
            x5c: world.x5c(&["ec"]),
            other_x5c: world.x5c(&["other"]),
        }
    }

    /// A JWKS of the good key with these members more, or in place of its own.
    fn with(&self, more: &Value) -> Vec<u8> {
        let mut jwk = self.jwk.clone();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "keys": [jwk] }).to_string().into_bytes()
    }

    fn thumbprint(&self, in_hex: bool) -> String {
        let der = base64_decoded(self.x5c[0].as_str().unwrap());
        let hash = sha256(&der);
        base64url(&if in_hex { hex(&hash).into_bytes() } else { hash })
    }
}

fn base64_decoded(text: &str) -> Vec<u8> {
    from_base64url(&text.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

fn block(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

const GOOD: [&[&str]; 3] = [&[], &[], &[]];
const NO_KEY: &[&str] = &["key-id"];
const NO_START: &[&str] = &["no-start", "key-id"];
const NONE_STARTS: [&[&str]; 3] = [NO_START, NO_START, &["no-start"]];

type Bundle = (&'static str, fn(&Pieces) -> Vec<u8>, [&'static [&'static str]; 3]);

#[rustfmt::skip]
const BUNDLES: &[Bundle] = &[
    ("a certificate", |p| p.ec.clone().into(), GOOD),
    ("text before it", |p| format!("subject=x\n{}after", p.ec).into(), GOOD),
    ("two", |p| format!("{}{}", p.ec, p.other).into(), GOOD),
    ("the other first", |p| format!("{}{}", p.other, p.ec).into(), [&[], &[], &["signature"]]),
    ("three hundred", |p| format!("{}{}", p.other.repeat(300), p.ec).into(), [&[], &[], &["signature"]]),
    ("a byte order mark", |p| format!("\u{feff}{}", p.ec).into(), NONE_STARTS),
    ("a byte order mark before another", |p| format!("\u{feff}{}{}", p.other, p.ec).into(), GOOD),
    ("a byte order mark, and another behind", |p| format!("\u{feff}{}{}", p.ec, p.other).into(), [NO_KEY, NO_KEY, &["signature"]]),
    ("indented", |p| indented(&p.ec).into(), NONE_STARTS),
    ("only the base64 indented", |p| indented(&p.ec).replace("  -", "-").into(), GOOD),
    ("the second indented", |p| format!("{}{}", p.other, indented(&p.ec)).into(), [NO_KEY, NO_KEY, &["signature"]]),
    ("CRLF", |p| p.ec.replace('\n', "\r\n").into(), GOOD),
    ("CR only", |p| p.ec.replace('\n', "\r").into(), NONE_STARTS),
    ("on one line", |p| p.ec.replace('\n', " ").into(), NONE_STARTS),
    ("blanks at the ends of lines", |p| p.ec.replace('\n', "  \n").into(), GOOD),
    ("empty lines inside", |p| p.ec.replace('\n', "\n\n").into(), GOOD),
    ("no line end at the end", |p| p.ec.trim_end().into(), GOOD),
    ("glued to the next", |p| format!("{}{}", p.ec.trim_end(), p.other).into(), NONE_STARTS),
    ("glued, and a third", |p| format!("{}{}{}", p.other.trim_end(), p.other, p.ec).into(), GOOD),
    ("text behind the END", |p| format!("{} # ours\n{}", p.other.trim_end(), p.ec).into(), GOOD),
    ("a comment inside", |p| p.ec.replacen("-----\n", "-----\n# ours\n", 1).into(), NONE_STARTS),
    ("headers inside", |p| p.ec.replacen("-----\n", "-----\nName: x\n\n", 1).into(), GOOD),
    ("BEGIN twice", |p| format!("-----BEGIN CERTIFICATE-----\n{}", p.ec).into(), GOOD),
    ("no END, and another", |p| format!("{}{}", p.other.replace("-----END CERTIFICATE-----\n", ""), p.ec).into(), GOOD),
    ("another END", |p| p.ec.replace("END CERTIFICATE", "END X").into(), NONE_STARTS),
    ("a private key first", |p| format!("{}{}", p.private, p.ec).into(), [&[], &[], &["no-start"]]),
    ("a private key behind", |p| format!("{}{}", p.ec, p.private).into(), GOOD),
    ("a private key alone", |p| p.private.clone().into(), NONE_STARTS),
    ("a public key", |p| p.public.clone().into(), [NO_START, NO_START, &[]]),
    ("a public key first", |p| format!("{}{}", p.public, p.other).into(), [NO_KEY, NO_KEY, &[]]),
    ("an RSA public key", |p| p.rsa_public.clone().into(), [NO_START, NO_START, &["algorithm"]]),
    ("under an old label", |p| p.ec.replace("CERTIFICATE", "X509 CERTIFICATE").into(), [NO_START, NO_START, &[]]),
    ("under a lower-case label", |p| p.ec.replace("CERTIFICATE", "certificate").into(), [NO_START, NO_START, &[]]),
    ("a certificate under another label", |p| p.ec.replace("CERTIFICATE", "PUBLIC KEY").into(), [NO_START, NO_START, &[]]),
    ("a public key under the label", |p| p.public.replace("PUBLIC KEY", "CERTIFICATE").into(), [NO_START, NO_START, &[]]),
    ("with what it is trusted for", |p| p.trusted.clone().into(), NONE_STARTS),
    ("empty", |_| Vec::new(), NONE_STARTS),
    ("other text", |_| b"change me\n".to_vec(), NONE_STARTS),
    ("DER", |p| base64_decoded(p.x5c[0].as_str().unwrap()), NONE_STARTS),
    ("UTF-16", |p| p.ec.encode_utf16().flat_map(u16::to_le_bytes).collect(), NONE_STARTS),
    ("rubbish in it", |_| block("CERTIFICATE", &[0, 0, 0]).into(), NONE_STARTS),
    ("nothing in it", |_| b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_vec(), NONE_STARTS),
    ("rubbish behind", |p| format!("{}{}", p.ec, block("CERTIFICATE", &[0, 0, 0])).into(), [NO_START, NO_START, &[]]),
    ("bytes behind the DER", |p| block("CERTIFICATE", &[base64_decoded(p.x5c[0].as_str().unwrap()), vec![0]].concat()).into(), NONE_STARTS),
    ("Ed25519 first", |p| format!("{}{}", p.ed, p.ec).into(), [&["no-start"], &[], &["algorithm"]]),
    ("Ed25519 behind", |p| format!("{}{}", p.ec, p.ed).into(), [&["no-start"], &[], &[]]),
    ("P-521 first", |p| format!("{}{}", p.p521, p.ec).into(), [&[], &[], &["?key"]]),
    ("P-521", |p| p.p521.clone().into(), [&["?key"], &["?key"], &["?key"]]),
    ("RSA of 1024 bits", |p| p.rsa1024.clone().into(), [&["?key"], &["?key"], &["?key"]]),
    ("secp256k1", |p| p.secp256k1.clone().into(), [&["?no-start", "?key"], &["?no-start", "?key"], &["?key"]]),
    ("Ed448", |p| p.ed448.clone().into(), [&["?no-start", "?key"], &["?no-start", "?key"], &["?key"]]),
];

#[test]
#[ignore = "needs docker-registry, distribution 3, zot-verdict and openssl: see .ci/run"]
fn a_bundle_is_read_as_the_program_does() {
    let world = World::new();
    let pieces = Pieces::new(&world);
    let mut report = Report::default();
    for (index, judge) in Judge::ALL.into_iter().enumerate() {
        let kid =
            if judge == Judge::Registry3 { world.thumbprint.clone() } else { world.key("ec").libtrust_id() };
        for (name, file, expected) in BUNDLES {
            let trust = Trust { bundle: Some(write(&world.folder, "bundle", &file(&pieces))), jwks: None };
            let mut running = Running::start(judge, &trust, &world.folder, "bundle");
            report.compare(name, (judge, &mut running), &trust, &token(&world, &kid), expected[index]);
        }
    }
    report.end();
}

type Jwks = (&'static str, fn(&Pieces) -> Vec<u8>, [&'static [&'static str]; 2]);

const TAKEN: [&[&str]; 2] = [&[], &[]];
const NEITHER: [&[&str]; 2] = [NO_START, &["no-start"]];
const UNKNOWN: [&[&str]; 2] = [&["?no-start", "key-id"], &["?no-start"]];

#[rustfmt::skip]
const JWKS: &[Jwks] = &[
    ("one key", |p| p.with(&json!({})), TAKEN),
    ("two", |p| json!({ "keys": [p.jwk, p.other_jwk] }).to_string().into(), [&[], &["no-start"]]),
    ("none", |_| br#"{"keys":[]}"#.to_vec(), NEITHER),
    ("null", |_| b"null".to_vec(), NEITHER),
    ("keys null", |_| br#"{"keys":null}"#.to_vec(), NEITHER),
    ("keys no list", |_| br#"{"keys":{}}"#.to_vec(), NEITHER),
    ("KEYS", |p| json!({ "KEYS": [p.jwk] }).to_string().into(), TAKEN),
    ("keys twice", |p| format!("{{\"keys\":[{}],\"keys\":[{}]}}", p.other_jwk, p.jwk).into(), TAKEN),
    ("keys twice, the last of another", |p| format!("{{\"keys\":[{}],\"Keys\":[{}]}}", p.jwk, p.other_jwk).into(), [NO_KEY, &["signature"]]),
    ("a key alone", |p| p.jwk.to_string().into(), NEITHER),
    ("a list", |p| json!([p.jwk]).to_string().into(), NEITHER),
    ("a byte order mark", |p| [b"\xef\xbb\xbf".to_vec(), p.with(&json!({}))].concat(), NEITHER),
    ("text behind", |p| [p.with(&json!({})), b" x".to_vec()].concat(), NEITHER),
    ("no JSON", |_| b"{".to_vec(), NEITHER),
    ("other members", |p| json!({ "x": [1.5], "keys": [p.jwk] }).to_string().into(), TAKEN),
    ("an entry null", |p| json!({ "keys": [p.jwk, null] }).to_string().into(), NEITHER),
    ("an entry of an unknown kind", |p| json!({ "keys": [p.jwk, { "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }] }).to_string().into(), NEITHER),
    ("an entry for X25519", |p| json!({ "keys": [p.jwk, { "kty": "OKP", "crv": "X25519", "x": base64url(&[9; 32]) }] }).to_string().into(), NEITHER),
    ("alg of another kind", |p| p.with(&json!({ "alg": "x" })), TAKEN),
    ("use for encryption", |p| p.with(&json!({ "use": "enc", "key_ops": 1 })), TAKEN),
    ("alg a number", |p| p.with(&json!({ "alg": 1 })), NEITHER),
    ("kid a number", |p| p.with(&json!({ "kid": 1 })), NEITHER),
    ("kid null", |p| p.with(&json!({ "kid": null })), [NO_KEY, &[]]),
    ("a name twice", |p| String::from_utf8(p.with(&json!({}))).unwrap().replace("[{", "[{\"kty\":\"EC\",").into(), NEITHER),
    ("KTY", |p| String::from_utf8(p.with(&json!({}))).unwrap().replace("\"kty\"", "\"KTY\"").into(), NEITHER),
    ("KID beside kid", |p| p.with(&json!({ "KID": "x" })), TAKEN),
    ("x of standard base64", |p| p.with(&json!({ "x": format!("+{}", &p.jwk["x"].as_str().unwrap()[1..]) })), NEITHER),
    ("x padded", |p| p.with(&json!({ "x": format!("{}=", p.jwk["x"].as_str().unwrap()) })), NEITHER),
    ("x with a line end", |p| p.with(&json!({ "x": format!("{}\n", p.jwk["x"].as_str().unwrap()) })), TAKEN),
    ("x cut short", |p| p.with(&json!({ "x": &p.jwk["x"].as_str().unwrap()[..40] })), NEITHER),
    ("x of zeros", |p| p.with(&json!({ "x": base64url(&[0; 32]) })), NEITHER),
    ("x missing", |p| p.with(&json!({ "x": null })), NEITHER),
    ("another curve", |p| p.with(&json!({ "crv": "P-384" })), NEITHER),
    ("an unknown curve", |p| p.with(&json!({ "crv": "secp256k1" })), NEITHER),
    ("with a private half", |p| p.with(&json!({ "d": base64url(&[1; 32]) })), [&[], &["key"]]),
    ("with a private half cut short", |p| p.with(&json!({ "d": "AAAA" })), NEITHER),
    ("with a private half, empty", |p| p.with(&json!({ "d": "" })), NEITHER),
    ("with RSA's numbers besides", |p| p.with(&json!({ "n": "AAAA", "e": "AQAB" })), TAKEN),
    ("a shared secret", |p| json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": p.jwk["kid"] }] }).to_string().into(), [&["key"], &["key"]]),
    ("a shared secret without one", |p| json!({ "keys": [{ "kty": "oct", "kid": p.jwk["kid"] }] }).to_string().into(), NEITHER),
    ("RSA without e", |p| json!({ "keys": [{ "kty": "RSA", "n": "AAAA", "kid": p.jwk["kid"] }] }).to_string().into(), NEITHER),
    ("RSA much too small", |p| json!({ "keys": [{ "kty": "RSA", "n": "AAAA", "e": "AQAB", "kid": p.jwk["kid"] }] }).to_string().into(), [&["?key"], &["?key"]]),
    ("RSA with d alone", |p| json!({ "keys": [{ "kty": "RSA", "n": "AAAA", "e": "AQAB", "d": "AAAA", "kid": p.jwk["kid"] }] }).to_string().into(), NEITHER),
    ("RSA with a private half", |p| json!({ "keys": [{ "kty": "RSA", "n": "AAAA", "e": "AQAB", "d": "AAAA", "p": "AAAA", "q": "AAAA", "kid": p.jwk["kid"] }] }).to_string().into(), UNKNOWN),
    ("Ed25519 cut short", |p| json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": p.jwk["kid"] }] }).to_string().into(), [&["?key"], &["?key"]]),
    ("x5c", |p| p.with(&json!({ "x5c": p.x5c })), TAKEN),
    ("x5c with line ends", |p| p.with(&json!({ "x5c": [format!("{}\n", p.x5c[0].as_str().unwrap())] })), TAKEN),
    ("x5c of another", |p| p.with(&json!({ "x5c": p.other_x5c })), NEITHER),
    ("x5c rubbish", |p| p.with(&json!({ "x5c": ["AAAA"] })), NEITHER),
    ("x5c rubbish behind", |p| p.with(&json!({ "x5c": [p.x5c[0], "AAAA"] })), NEITHER),
    ("x5c a string", |p| p.with(&json!({ "x5c": p.x5c[0] })), NEITHER),
    ("x5c empty", |p| p.with(&json!({ "x5c": [] })), TAKEN),
    ("x5c null", |p| p.with(&json!({ "x5c": null })), TAKEN),
    ("x5t", |p| p.with(&json!({ "x5t": base64url(&[7; 20]) })), TAKEN),
    ("x5t in hexadecimal", |p| p.with(&json!({ "x5t": base64url("0a".repeat(20).as_bytes()) })), TAKEN),
    ("x5t in no hexadecimal", |p| p.with(&json!({ "x5t": base64url("0x".repeat(20).as_bytes()) })), NEITHER),
    ("x5t of another length", |p| p.with(&json!({ "x5t": "AAAA" })), NEITHER),
    ("x5t of standard base64", |p| p.with(&json!({ "x5t": "+".repeat(27) })), NEITHER),
    ("x5t beside x5c", |p| p.with(&json!({ "x5t": base64url(&[7; 20]), "x5c": p.x5c })), UNKNOWN),
    ("x5t#S256 beside x5c", |p| p.with(&json!({ "x5t#S256": p.thumbprint(false), "x5c": p.x5c })), TAKEN),
    ("x5t#S256 in hexadecimal", |p| p.with(&json!({ "x5t#S256": p.thumbprint(true), "x5c": p.x5c })), TAKEN),
    ("x5t#S256 of another", |p| p.with(&json!({ "x5t#S256": base64url(&[7; 32]), "x5c": p.x5c })), NEITHER),
    ("x5t#S256 alone", |p| p.with(&json!({ "x5t#S256": base64url(&[7; 32]) })), TAKEN),
    ("x5u", |p| p.with(&json!({ "x5u": "https://example.com/a-b/c.pem" })), TAKEN),
    ("x5u with a control character", |p| p.with(&json!({ "x5u": "https://example.com/\n" })), NEITHER),
    ("x5u without a scheme", |p| p.with(&json!({ "x5u": ":a" })), NEITHER),
    ("x5u with an escape that is none", |p| p.with(&json!({ "x5u": "https://example.com/%zz" })), UNKNOWN),
    ("x5u a number", |p| p.with(&json!({ "x5u": 1 })), NEITHER),
    ("a certificate", |p| p.ec.clone().into(), [NO_START, &[]]),
];

#[test]
#[ignore = "needs distribution 3, zot-verdict and openssl: see .ci/run"]
fn a_jwks_is_read_as_the_program_does() {
    let world = World::new();
    let pieces = Pieces::new(&world);
    let token = token(&world, &world.key("ec").libtrust_id());
    let mut report = Report::default();
    for (index, judge) in Judge::ALL.into_iter().enumerate().filter(|(_, judge)| *judge != Judge::Registry28)
    {
        for (name, file, expected) in JWKS {
            let trust = Trust { bundle: None, jwks: Some(write(&world.folder, "jwks", &file(&pieces))) };
            let mut running = Running::start(judge, &trust, &world.folder, "jwks");
            report.compare(name, (judge, &mut running), &trust, &token, expected[index - 1]);
        }
    }
    report.end();
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn token(world: &World, kid: &str) -> String {
    let header = json!({ "alg": "ES256", "kid": kid });
    let claims = json!({ "iss": ISSUER, "aud": SERVICE, "exp": world.now + 300 });
    let input =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    format!("{input}.{}", base64url(&world.sign("ec", Some("ES256"), input.as_bytes())))
}
