//! Key ids: what each program knows a key by, and what an unknown one looks like.

use super::Case;
use super::jwks::{Entry, Held, Trouble};
use super::rules::{KeyIds, Program};
use super::trust::thumbprint_of_registry_3;
use crate::ground::finding::{Finding, shortened};
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::x509::X509;
use serde_json::Value;

/// The key that a program holds, where it can check a token with it and that can be told here.
pub(super) fn usable(case: &mut Case<'_>, held: &Held) -> Option<PublicKey> {
    match held {
        Held::Key(key) => return Some(key.clone()),
        Held::Useless(what) => case.say(
            Finding::error("key", format!("{} holds {what}, which checks no token", case.program.title()))
                .mend("give it the signing key's certificate or public key"),
        ),
        Held::Unread(what) => case.say(Finding::unknown(
            "key",
            format!("{} holds a key that is not known here: {what}", case.program.title()),
        )),
    }
    None
}

/// `jwk` in the header: only a key that is trusted already.
pub(super) fn by_jwk(case: &mut Case<'_>, jwk: &Value) -> Option<PublicKey> {
    let libtrust = case.rules.key_ids == KeyIds::Libtrust;
    let kid = jwk.get("kid").and_then(Value::as_str);
    let unknown = |what: &str| Finding::unknown("jwk", format!("the header's `jwk` {what}"));
    let finding = match Entry::read(&jwk.to_string()) {
        Ok(_) | Err(_) if jwk.get("x5c").is_some() => unknown("has an `x5c`, which is not judged here"),
        Ok(Entry { private: false, held: Held::Key(key), .. }) if libtrust => {
            let id = key.libtrust_id();
            if kid.is_none_or(|kid| kid == id) {
                return by_id(case, &id);
            }
            Finding::error("jwk", "the header's `jwk` has a `kid` that is not the key's libtrust id")
        }
        Ok(Entry { private: false, held: Held::Key(_) | Held::Unread(_), .. }) if !libtrust => {
            return by_id(case, kid.unwrap_or_default());
        }
        Err(Trouble::Refused(why)) if !libtrust => {
            Finding::error("jwk", format!("the header's `jwk`: {why}"))
        }
        Ok(_) if !libtrust => Finding::error("jwk", "the header's `jwk` is not a public key"),
        _ => unknown("cannot be judged here"),
    };
    case.say(finding);
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
    let finding = if case.trust.certificates().iter().any(|one| one.key().is_err()) {
        Finding::unknown("key", "the registry may know the key, but it is of a kind that is not known here")
    } else {
        unknown_id(case, kid, &known)
    };
    case.say(finding);
    None
}

/// Why an id is not known, as far as it can be told from its form.
fn unknown_id(case: &Case<'_>, kid: &str, known: &[(String, Held)]) -> Finding {
    let shown = shortened(kid, 80);
    let title = case.program.title();
    let named = |id: &str| format!("the registry knows that key as `{}`", shortened(id, 80));
    let same_key = |other: &dyn Fn(&PublicKey) -> String| {
        known.iter().find(|(_, held)| matches!(held, Held::Key(key) if other(key) == kid))
    };
    let finding = |what: String| Finding::error("key-id", what);
    if let Some((id, _)) = same_key(&PublicKey::thumbprint) {
        let why = if case.program == Program::Registry3 {
            "it pads EC coordinates wrongly for one key in 128, and this is one"
        } else {
            "it computes libtrust ids"
        };
        return finding(format!(
            "`{shown}` is the RFC 7638 thumbprint of a trusted key, but {title} does not use that"
        ))
        .why(format!("{why}; {}", named(id)))
        .mend(format!(
            "set `kid: \"{}\"`, or leave `kid` out: Keypebble's default is the libtrust id",
            shortened(id, 80)
        ));
    }
    if let Some((id, _)) = same_key(&PublicKey::libtrust_id) {
        return finding(format!(
            "`{shown}` is the libtrust id of a trusted key, but {title} does not use that"
        ))
        .why(named(id))
        .mend("give it a jwks file whose `kid` is the libtrust id, so that 2.8 and 3 take the same tokens");
    }
    let ids: Vec<String> = known.iter().take(5).map(|(id, _)| format!("`{}`", shortened(id, 80))).collect();
    let ids = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    let finding =
        finding(format!("no key of the registry's has the id `{shown}`")).why(format!("it knows {ids}"));
    match form(kid) {
        Form::Literal => finding.mend(
            "leave `kid` out of the configuration: Keypebble then writes the id that registries compute from the key",
        ),
        _ => finding.mend("its bundle or jwks is for another key: put this key's into it, and restart the registry"),
    }
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

/// By id, a registry never looks at a certificate's dates: it works, and surprises later.
fn expired_bundle(case: &mut Case<'_>, key: &PublicKey) {
    let now = case.now.0;
    let own = |one: &&X509| one.key().is_ok_and(|other| other.matches(key));
    let certificate = case.trust.certificates().iter().find(own);
    if let Some(end) = certificate.map(X509::not_after).filter(|end| now > *end) {
        case.say(
            Finding::warning(
                "bundle-expired",
                format!("its certificate in the bundle expired at {}", UnixTime(end)),
            )
            .why("by `kid` the registry does not look at dates; with x5c it would refuse")
            .mend("make a new certificate for the same key; its id stays"),
        );
    }
}
