//! Key ids: what each program knows a key by, and what an unknown one looks like.

use super::Case;
use super::jwks::{Entry, Held, Trouble};
use super::rules::{KeyIds, Program};
use super::trust::thumbprint_of_registry_3;
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::x509::X509;
use serde_json::Value;

/// The key that a program holds, if it can check a token and is known here.
pub(super) fn usable(case: &mut Case<'_>, held: &Held) -> Option<PublicKey> {
    let title = case.program.title();
    match held {
        Held::Key(key) => return Some(key.clone()),
        Held::Useless(what) => {
            let what = format!("{title} holds {what}, which checks no token");
            case.refuse("key", what, "give it the signing key's certificate or public key");
        }
        Held::Unread(what) => {
            case.unsure("key", format!("{title} holds a key that is not known here: {what}"));
        }
    }
    None
}

/// `jwk` in the header: it only counts if it is trusted already.
pub(super) fn by_jwk(case: &mut Case<'_>, jwk: &Value) -> Option<PublicKey> {
    let libtrust = case.rules.key_ids == KeyIds::Libtrust;
    let kid = jwk.get("kid").and_then(Value::as_str);
    match Entry::read(&jwk.to_string()) {
        _ if jwk.get("x5c").is_some() => {
            case.unsure("jwk", "the header's `jwk` has an `x5c`, which is not judged here");
        }
        Ok(Entry { private: false, held: Held::Key(key), .. }) if libtrust => {
            let id = key.libtrust_id();
            if kid.is_none_or(|kid| kid == id) {
                return by_id(case, &id);
            }
            case.refuse("jwk", "the header's `jwk` has a `kid` that is not the key's libtrust id", "");
        }
        Ok(Entry { private: false, held: Held::Key(_) | Held::Unread(_), .. }) if !libtrust => {
            return by_id(case, kid.unwrap_or_default());
        }
        Err(Trouble::Refused(why)) if !libtrust => {
            case.refuse("jwk", format!("the header's `jwk`: {why}"), "");
        }
        Ok(_) if !libtrust => case.refuse("jwk", "the header's `jwk` is not a public key", ""),
        _ => case.unsure("jwk", "the header's `jwk` cannot be judged here"),
    }
    None
}

/// Every id that the program knows, with what it holds under it.
fn known_ids(case: &Case<'_>) -> Vec<(String, Held)> {
    let (id, entries): (fn(&PublicKey) -> String, _) = match case.rules.key_ids {
        KeyIds::Libtrust => (PublicKey::libtrust_id, &[][..]),
        _ => (thumbprint_of_registry_3, case.trust.entries()),
    };
    let certificates = case.trust.certificate_keys().map(|key| (id(key), Held::Key(key.clone())));
    certificates.chain(entries.iter().map(|entry| (entry.kid.clone(), entry.held.clone()))).collect()
}

pub(super) fn by_id(case: &mut Case<'_>, kid: &str) -> Option<PublicKey> {
    let known = known_ids(case);
    // The last of one id counts: the JWKS comes after the bundle.
    if let Some((_, held)) = known.iter().rev().find(|(id, _)| id == kid) {
        let key = usable(case, held)?;
        expired_bundle(case, &key);
        return Some(key);
    }
    if case.trust.certificates().iter().any(|one| one.key().is_err()) {
        case.unsure("key", "the registry may know the key, but it is of a kind that is not known here");
    } else {
        let finding = unknown_id(case, kid, &known);
        case.say(finding);
    }
    None
}

/// Why an id is not known, as far as it can be told from its form.
fn unknown_id(case: &Case<'_>, kid: &str, known: &[(String, Held)]) -> Diagnostic {
    let (shown, title) = (shortened(kid, 80), case.program.title());
    // The id that the registry knows a key by, if the token names that key in another way.
    let known_as = |way: fn(&PublicKey) -> String| {
        let found = known.iter().find(|(_, held)| matches!(held, Held::Key(key) if way(key) == kid));
        found.map(|(id, _)| shortened(id, 80))
    };
    if let Some(id) = known_as(PublicKey::thumbprint) {
        let why = if case.program == Program::Registry3 {
            "it pads EC coordinates wrongly for one key in 128, and this is one"
        } else {
            "it computes libtrust ids"
        };
        let what =
            format!("`{shown}` is the RFC 7638 thumbprint of a trusted key, but {title} does not use that");
        return Diagnostic::error("key-id", what)
            .why(format!("{why}; the registry knows that key as `{id}`"))
            .hint(format!(
                "set `kid: \"{id}\"`, or leave `kid` out: Keypebble's default is the libtrust id"
            ));
    }
    if let Some(id) = known_as(PublicKey::libtrust_id) {
        let what = format!("`{shown}` is the libtrust id of a trusted key, but {title} does not use that");
        return Diagnostic::error("key-id", what).why(format!("the registry knows that key as `{id}`")).hint(
            "give it a jwks file whose `kid` is the libtrust id, so that 2.8 and 3 take the same tokens",
        );
    }
    let ids: Vec<String> = known.iter().take(5).map(|(id, _)| format!("`{}`", shortened(id, 80))).collect();
    let ids = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    let hint = if form(kid) == Form::Literal {
        "leave `kid` out of the configuration: Keypebble then writes the id that registries compute from the key"
    } else {
        "its bundle or jwks is for another key: put this key's into it, and restart the registry"
    };
    let what = format!("no key of the registry's has the id `{shown}`");
    Diagnostic::error("key-id", what).why(format!("it knows {ids}")).hint(hint)
}

/// What a key id looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Twelve groups of four in base32.
    Libtrust,
    /// 43 characters of base64url: a SHA-256.
    Thumbprint,
    /// Anything else.
    Literal,
}

/// The form of a key id.
pub(crate) fn form(kid: &str) -> Form {
    let group = |text: &str| {
        text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
    };
    let digit = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if kid.split(':').count() == 12 && kid.split(':').all(group) {
        Form::Libtrust
    } else if kid.len() == 43 && kid.bytes().all(digit) {
        Form::Thumbprint
    } else {
        Form::Literal
    }
}

/// Warns of an expired certificate: a registry that finds a key by its id does not look at dates.
fn expired_bundle(case: &mut Case<'_>, key: &PublicKey) {
    let now = case.now.0;
    let own = |one: &&X509| one.key().is_ok_and(|other| other.matches(key));
    let certificate = case.trust.certificates().iter().find(own);
    if let Some(end) = certificate.map(X509::not_after).filter(|end| now > *end) {
        case.say(
            Diagnostic::warning(
                "bundle-expired",
                format!("its certificate in the bundle expired at {}", UnixTime(end)),
            )
            .why("by `kid` the registry does not look at dates; with x5c it would refuse")
            .hint("make a new certificate for the same key; its id stays"),
        );
    }
}
