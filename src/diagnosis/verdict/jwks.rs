//! A JWKS as go-jose reads it, which distribution 3 and zot do.
//!
//! Owns why an entry makes the whole file unreadable. Decision: a private half is looked at only as far as it
//! makes a program stumble, and is not kept.

use super::go;
use crate::ground::digest;
use crate::ground::fold::folds_to;
use crate::ground::percent::hex_byte;
use crate::key::x509::X509;
use crate::key::{PublicKey, base64url};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A key that a program was given.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// One that can check a token.
    Key(PublicKey),
    /// It is read, and checks no token: what it is.
    Useless(&'static str),
    /// It is read there and not here: why.
    Unread(String),
}

/// An entry of a JWKS.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `kid`; empty if there is none.
    pub(super) kid: String,
    /// Its key, whatever its `alg` and `use` say: no program looks at these.
    pub(super) held: Held,
    /// Whether it holds a private half, too.
    pub(super) private: bool,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The program does not read it.
    Refused(String),
    /// Whether the program reads it is not known here.
    Unknown(String),
}

/// Every entry of a JWKS, or why a program does not take it.
pub(super) fn entries(json: &[u8]) -> Result<Vec<Entry>, Trouble> {
    let json = String::from_utf8_lossy(json);
    let members = go::members(&json).map_err(|error| Trouble::Refused(format!("not a JWKS: {error}")))?;
    let mut entries = Vec::new();
    for (_, keys) in members.iter().filter(|(name, _)| folds_to(name, "keys")) {
        let list: Option<Vec<&RawValue>> = serde_json::from_str(keys.get())
            .map_err(|_| Trouble::Refused("`keys` is not a list".to_owned()))?;
        let list = list.unwrap_or_default().into_iter();
        entries = list.map(|entry| Entry::read(entry.get())).collect::<Result<_, _>>()?;
    }
    Ok(entries)
}

impl Entry {
    /// Reads one.
    pub(super) fn read(json: &str) -> Result<Entry, Trouble> {
        let raw = Raw::read(json)?;
        for name in ["use", "alg"] {
            raw.text(name)?;
        }
        let (held, private) = raw.key()?;
        let leaf = raw.leaf(&held)?;
        raw.thumbprints(leaf.as_deref())?;
        raw.url()?;
        Ok(Entry { kid: raw.kid, held, private })
    }
}

/// The members of an entry as they stand.
struct Raw<'j> {
    members: Vec<(String, &'j RawValue)>,
    kid: String,
}

impl<'j> Raw<'j> {
    fn read(json: &'j str) -> Result<Self, Trouble> {
        let members =
            go::members(json).map_err(|_| Trouble::Refused("an entry is not an object".to_owned()))?;
        let mut raw = Raw { members, kid: String::new() };
        raw.kid = raw.text("kid")?;
        let mut names: Vec<&String> = raw.members.iter().map(|(name, _)| name).collect();
        names.sort();
        let twice = names.windows(2).any(|pair| pair.first() == pair.last());
        if twice { raw.refused("has a name twice") } else { Ok(raw) }
    }

    fn refused<T>(&self, what: &str) -> Result<T, Trouble> {
        Err(Trouble::Refused(format!("the entry with the kid `{}` {what}", self.kid)))
    }

    fn unknown<T>(&self, what: &str) -> Result<T, Trouble> {
        Err(Trouble::Unknown(format!("the entry with the kid `{}` {what}", self.kid)))
    }

    fn get(&self, name: &str) -> Option<&'j str> {
        let value = self.members.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
        value.filter(|value| *value != "null")
    }

    /// A text; empty if it is missing.
    fn text(&self, name: &str) -> Result<String, Trouble> {
        match self.get(name).map(go::text) {
            None => Ok(String::new()),
            Some(Some(text)) => Ok(text),
            Some(None) => self.refused(&format!("has a `{name}` that is not a string")),
        }
    }

    /// Bytes in base64url; `None` if they are missing.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        match go::base64(self.text(name)?.as_bytes(), true, false) {
            None => self.refused(&format!("has a `{name}` that is not base64url")),
            bytes => Ok(bytes),
        }
    }

    /// The key, and whether its private half is there.
    fn key(&self) -> Result<(Held, bool), Trouble> {
        let mut numbers = BTreeMap::new();
        for name in ["k", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
            if let Some(bytes) = self.bytes(name)? {
                numbers.insert(name, bytes);
            }
        }
        let has = |names: &[&str]| names.iter().all(|name| numbers.contains_key(name));
        let long =
            |name: &str, length| numbers.get(name).is_some_and(|bytes: &Vec<u8>| bytes.len() == length);
        let private = has(&["d"]);
        let (kty, crv) = (self.text("kty")?, self.text("crv")?);
        let point = |length| long("x", length) && long("y", length) && (!private || long("d", length));
        let fits = match (kty.as_str(), crv.as_str()) {
            ("EC", "P-256") => point(32),
            ("EC", "P-384") => point(48),
            ("EC", "P-521") => point(66),
            ("RSA", _) => has(&["n", "e"]) && (!private || has(&["p", "q"])),
            ("OKP", "Ed25519") => has(&["x"]),
            ("oct", _) => has(&["k"]),
            _ => return self.refused("is of a kind that it does not know"),
        };
        if !fits {
            return self.refused("lacks a number, or has one of another length");
        }
        if private && kty == "RSA" {
            return self.unknown("holds a private RSA key, whose numbers are not checked here");
        }
        let public = numbers.iter().filter(|(name, _)| ["n", "e", "x", "y"].contains(name));
        let mut jwk: Map<String, Value> =
            public.map(|(name, bytes)| ((*name).to_owned(), base64url(bytes).into())).collect();
        jwk.insert("kty".to_owned(), kty.as_str().into());
        jwk.insert("crv".to_owned(), crv.as_str().into());
        let held = match PublicKey::from_jwk(&jwk.into()) {
            _ if kty == "oct" => Held::Useless("a shared secret"),
            Ok(key) => Held::Key(key),
            Err(_) if kty == "EC" && crv != "P-521" => return self.refused("is not a point of its curve"),
            Err(error) => Held::Unread(error.to_string()),
        };
        Ok((held, private))
    }

    /// The first certificate's DER, which must be for the same key.
    fn leaf(&self, held: &Held) -> Result<Option<Vec<u8>>, Trouble> {
        let chain: Result<Option<Vec<String>>, _> = self.get("x5c").map(serde_json::from_str).transpose();
        let Ok(chain) = chain else { return self.refused("has an `x5c` that is not a list of strings") };
        let read = |text: &String| {
            let der = go::base64(text.as_bytes(), false, true)?;
            X509::from_der(&der).ok().map(|certificate| (der, certificate))
        };
        let chain: Option<Vec<_>> = chain.iter().flatten().map(read).collect();
        let Some(chain) = chain else { return self.refused("has an `x5c` that is not a certificate") };
        let Some((der, certificate)) = chain.into_iter().next() else { return Ok(None) };
        match (held, certificate.key()) {
            (Held::Key(own), Ok(key)) if own.matches(key) => Ok(Some(der)),
            (Held::Unread(_), _) | (_, Err(_)) => {
                self.unknown("has an `x5c` for a key that is not known here")
            }
            _ => self.refused("has an `x5c` for another key"),
        }
    }

    fn thumbprints(&self, leaf: Option<&[u8]>) -> Result<(), Trouble> {
        for (name, length) in [("x5t", 20), ("x5t#S256", 32)] {
            let mut print = self.bytes(name)?.unwrap_or_default();
            if print.len() == 2 * length {
                let hex: Option<Vec<u8>> = print.as_chunks().0.iter().map(|pair| hex_byte(*pair)).collect();
                // Anything but hexadecimal has the wrong length.
                print = hex.unwrap_or(print);
            }
            let other = length == 32 && leaf.is_some_and(|der| digest::sha256(der) != *print);
            if !print.is_empty() && (print.len() != length || other) {
                return self.refused(&format!("has an `{name}` that does not fit"));
            }
            if !print.is_empty() && length == 20 && leaf.is_some() {
                return self.unknown("has both `x5c` and `x5t`, whose SHA-1 is not computed here");
            }
        }
        Ok(())
    }

    fn url(&self) -> Result<(), Trouble> {
        let url = self.text("x5u")?;
        if url.starts_with(':') || url.contains(|c: char| c.is_ascii_control()) {
            return self.refused("has an `x5u` that is not a URL");
        }
        let plain = |url: &str| url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/~".contains(&b));
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if url.is_empty() || rest.is_some_and(plain) {
            return Ok(());
        }
        self.unknown("has an `x5u` whose form is not judged here")
    }
}
