//! Key ids: what each program knows a key by, and what an unknown one looks like.

use super::Case;
use super::rules::{KeyIds, Program};
use super::trust::thumbprint_of_registry_3;
use crate::ground::finding::{Finding, shortened};
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::x509::X509;
use serde_json::Value;

/// `jwk` in the header: only a key that is trusted already.
pub(super) fn by_jwk(case: &mut Case<'_>, jwk: &Value) -> Option<PublicKey> {
    let key = PublicKey::from_jwk(jwk).ok();
    let id = match case.rules.key_ids {
        KeyIds::Libtrust => key.as_ref().map(PublicKey::libtrust_id),
        _ => jwk.get("kid").and_then(Value::as_str).map(str::to_owned),
    };
    by_id(case, &id.unwrap_or_default())
}

/// Every id that the program knows, with its key.
fn known_ids(case: &Case<'_>) -> Vec<(String, PublicKey)> {
    let certificates = case.trust.certificates.iter().flatten().filter_map(|one| one.key().ok());
    match case.rules.key_ids {
        KeyIds::Libtrust => certificates.map(|key| (key.libtrust_id(), key.clone())).collect(),
        KeyIds::Thumbprint => {
            let jwks = case.trust.jwks.iter().flatten();
            let jwks = jwks.filter_map(|entry| Some((entry.kid.clone(), entry.key.clone().ok()?)));
            certificates.map(|key| (thumbprint_of_registry_3(key), key.clone())).chain(jwks).collect()
        }
        KeyIds::OneKey => Vec::new(),
    }
}

pub(super) fn by_id(case: &mut Case<'_>, kid: &str) -> Option<PublicKey> {
    let known = known_ids(case);
    // The last of one id counts: the JWKS comes after the bundle.
    if let Some((_, key)) = known.iter().rev().find(|(id, _)| id == kid) {
        expired_bundle(case, &key.clone());
        return Some(key.clone());
    }
    let unreadable = case.trust.certificates.iter().flatten().any(|one| one.key().is_err())
        || case.trust.jwks.iter().flatten().any(|entry| entry.kid == kid);
    if unreadable {
        case.say(Finding::unknown(
            "key-id",
            "the registry may know the key, but it is of a kind that is not known here",
        ));
        return None;
    }
    let finding = unknown_id(case, kid, &known);
    case.say(finding);
    None
}

/// Why an id is not known, as far as it can be told from its form.
fn unknown_id(case: &Case<'_>, kid: &str, known: &[(String, PublicKey)]) -> Finding {
    let shown = shortened(kid, 80);
    let title = case.program.title();
    let named = |id: &str| format!("the registry knows that key as `{}`", shortened(id, 80));
    let same_key = |other: &dyn Fn(&PublicKey) -> String| known.iter().find(|(_, key)| other(key) == kid);
    let finding = |what: String| Finding::error("key-id", what);
    if let Some((id, _)) = same_key(&PublicKey::thumbprint) {
        let why = if case.program == Program::Registry3 {
            "it pads EC coordinates wrongly for one key in 128, and this is one"
        } else {
            "it computes libtrust ids"
        };
        return finding(format!(
            "`{shown}` is the RFC 7638 thumbprint of a trusted key, but {title} does not go by that"
        ))
        .why(format!("{why}; {}", named(id)))
        .mend(format!(
            "set `kid: \"{}\"`, or leave `kid` out: Keypebble's default is the libtrust id",
            shortened(id, 80)
        ));
    }
    if let Some((id, _)) = same_key(&PublicKey::libtrust_id) {
        return finding(format!(
            "`{shown}` is the libtrust id of a trusted key, but {title} does not go by that"
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
        _ => finding.mend("its bundle or jwks is of another key: put this key's in, and restart the registry"),
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
    let certificate = case.trust.certificates.iter().flatten().find(own);
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
