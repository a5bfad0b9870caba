//! Owns the keys and certificates of the tests that compare verdicts, and what a program is told to trust.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use keypebble::ground::secret::Secret;
use keypebble::key::Key;
use serde_json::{Value, json};

use crate::common::encode::{base64url, from_base64url};
use crate::common::{Folder, output};
use crate::judges::Trust;
use crate::keys::{Algorithm, SigningKey, thumbprint};

/// Keys and certificates, by name.
pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) now: i64,
    keys: BTreeMap<&'static str, SigningKey>,
    pub(crate) thumbprint: String,
    pub(crate) ed_thumbprint: String,
}

impl World {
    pub(crate) fn new() -> Self {
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
        // The one that `SigningKey::new` never gives.
        let short = include_str!("../data/keys/p256-short-x.pem");
        let short = SigningKey::of_pem(&folder, "short", Algorithm::Es256, short);
        keys.insert("short", short);
        let world = World { folder, now: now.try_into().unwrap(), keys, thumbprint, ed_thumbprint };
        world.certificates();
        world
    }

    /// The thumbprint of the key with a short coordinate, as the RFC has it or as distribution 3 does.
    pub(crate) fn short_thumbprint(&self, padded: bool) -> String {
        let mut jwk = self.key("short").jwk();
        for name in ["x", "y"].into_iter().filter(|_| !padded) {
            let bytes = from_base64url(jwk[name].as_str().unwrap());
            let start = bytes.iter().position(|byte| *byte != 0).unwrap();
            jwk[name] = base64url(&bytes[start..]).into();
        }
        thumbprint(&jwk)
    }

    pub(crate) fn key(&self, name: &str) -> &SigningKey {
        &self.keys[name]
    }

    pub(crate) fn path(&self, name: &str) -> String {
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
        for (name, key, extension) in [
            ("critical", "ec", "1.2.3.4=critical,ASN1:UTF8String:x"),
            ("usage", "ec", "extendedKeyUsage=critical,serverAuth"),
            ("named", "root", "nameConstraints=permitted;DNS:.example.com"),
        ] {
            let (key, crt) = (path(&format!("{key}.key")), path(&format!("{name}.crt")));
            let subject = format!("/CN={name}");
            openssl(&["req", "-x509", "-key", &key, "-subj", &subject, "-addext", extension, "-out", &crt]);
        }
        std::fs::copy(path("root.key"), path("named.key")).unwrap();
        for (leaf, root) in [("leaf", "root"), ("weakleaf", "weak"), ("namedleaf", "named")] {
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
    pub(crate) fn x5c(&self, names: &[&str]) -> Value {
        let der = |name: &&str| {
            let pem = std::fs::read_to_string(self.folder.path().join(format!("{name}.crt"))).unwrap();
            pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()
        };
        names.iter().map(der).collect::<Vec<_>>().into()
    }

    /// A trust by name.
    pub(crate) fn trust(&self, name: &str) -> Trust {
        let crt = |name: &str| Some(self.folder.path().join(format!("{name}.crt")));
        let jwks = |file: &str, key: &str, kid: Option<&str>| {
            let mut jwk = self.key(key).jwk();
            if let Some(kid) = kid {
                jwk["kid"] = kid.into();
            }
            Some(self.folder.write(&format!("{file}.json"), &json!({ "keys": [jwk] }).to_string()))
        };
        let libtrust = self.key("ec").libtrust_id();
        let (bundle, jwks) = match name {
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
        };
        Trust { bundle, jwks }
    }

    /// The signature of one of the keys; none of `none`, and of `hmac` one with a shared secret.
    pub(crate) fn sign(&self, signer: &str, algorithm: Option<&str>, input: &[u8]) -> Vec<u8> {
        match signer {
            "none" => Vec::new(),
            "hmac" => {
                let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
                let key =
                    Key::from_secret(keypebble::key::algorithm::Algorithm::HS256, &secret, None).unwrap();
                key.sign(input).unwrap()
            }
            name => {
                let pem = Secret::new(std::fs::read(self.folder.path().join(format!("{name}.key"))).unwrap());
                let own = algorithm.and_then(|name| name.parse().ok());
                let key = Key::from_pem(&pem, own, None).or_else(|_| Key::from_pem(&pem, None, None));
                key.unwrap().sign(input).unwrap()
            }
        }
    }
}
