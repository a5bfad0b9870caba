//! Which key checks a token, and whether its signature stands.
//!
//! Owns `alg`, `kid`, `x5c` and `jwk`. Decision: the algorithm must fit the key that the program found,
//! never the other way round.

use super::Case;
use super::rules::{KeyIds, Program};
use super::trust::thumbprint_of_registry_3;
use crate::algorithm::Algorithm;
use crate::finding::{Finding, shortened};
use crate::key::PublicKey;
use crate::key::x509::{PathError, X509, verify_path};
use crate::time::UnixTime;
use serde_json::Value;

/// Everything that the header decides.
pub(super) fn check(case: &mut Case<'_>) {
    let alg = case.token.header_text("alg").unwrap_or_default().to_owned();
    let known = algorithm(case, &alg);
    if case.rules.refuses_crit && case.token.header.contains_key("crit") {
        case.say(Finding::error("crit", "the header has `crit`, which names something it must understand"));
    }
    let Some(key) = find(case) else { return };
    if known {
        signature(case, &key, &alg);
    }
}

/// Whether the program takes the algorithm at all.
fn algorithm(case: &mut Case<'_>, alg: &str) -> bool {
    let shown = shortened(alg, 40);
    let taken = case.rules.algorithms;
    let configured = case.expected.algorithms;
    let title = case.program.title();
    if !taken.contains(&alg) {
        let finding = match alg {
            "" => Finding::error("algorithm", "the header names no algorithm (`alg`)"),
            "HS256" | "HS384" | "HS512" => Finding::error(
                "algorithm",
                format!("{shown} is made with a shared secret, and no registry takes that"),
            )
            .mend("sign with an RSA or P-256 key: private_key_path"),
            "none" => Finding::error("algorithm", "the token is not signed (alg none)"),
            _ => {
                let list = taken.join(", ");
                Finding::error("algorithm", format!("{title} does not know {shown}; it takes {list}"))
                    .mend("sign with RS256 or ES256, which every registry takes")
            }
        };
        case.say(finding);
        return false;
    }
    if case.program == Program::Registry3
        && !configured.is_empty()
        && !configured.iter().any(|name| name == alg)
    {
        let list = shortened(&configured.join(", "), 200);
        case.say(
            Finding::error("algorithm", format!("{shown} is not in its signingalgorithms: {list}"))
                .mend(format!("add {shown} to auth.token.signingalgorithms, or leave the list out")),
        );
    }
    true
}

/// The key that the program takes for this token; `None` where it finds none, which is said.
fn find(case: &mut Case<'_>) -> Option<PublicKey> {
    if case.rules.key_ids == KeyIds::OneKey {
        return case.trust.only_key().cloned(); // without one it does not start, which is said there
    }
    if case.rules.x5c
        && let Some(Value::Array(x5c)) = case.token.header.get("x5c")
        && !x5c.is_empty()
    {
        let x5c: Vec<&str> = x5c.iter().filter_map(Value::as_str).collect();
        return by_chain(case, &x5c);
    }
    if let Some(jwk) = case.token.header.get("jwk").filter(|jwk| !jwk.is_null()) {
        return by_jwk(case, jwk);
    }
    match case.token.header_text("kid") {
        Some(kid) if !kid.is_empty() => by_id(case, kid),
        _ => {
            case.say(Finding::error("key-id", "the header names no key: neither `kid` nor `x5c`").mend(
                "leave `kid` out of the configuration: Keypebble then writes the id that registries know",
            ));
            None
        }
    }
}

/// `x5c`: the leaf's key, where its chain ends in the bundle.
fn by_chain(case: &mut Case<'_>, x5c: &[&str]) -> Option<PublicKey> {
    let chain: Result<Vec<X509>, _> = x5c.iter().take(20).map(|text| X509::from_base64(text)).collect();
    let Ok(chain) = chain else {
        case.say(Finding::error("x5c", "x5c holds something that is no certificate in base64"));
        return None;
    };
    let empty = Vec::new();
    let roots = case.trust.certificates.as_ref().unwrap_or(&empty);
    if let Some(finding) =
        verify_path(&chain, roots, case.now.0).err().map(|error| path_finding(case, &chain, &error))
    {
        case.say(finding);
    }
    if let Some(last) = chain.last()
        && chain.len() > 1
        && last.is_self_signed()
    {
        case.say(
            Finding::warning(
                "x5c-root",
                "x5c includes its root, which every verifier has: it only makes tokens longer",
            )
            .mend("leave the last certificate out of x5c_chain_path's file"),
        );
    }
    match chain.first()?.key() {
        Ok(key) => Some(key.clone()),
        Err(error) => {
            let finding = Finding::unknown("x5c", format!("the leaf's key is not known here: {error}"));
            case.say(finding);
            None
        }
    }
}

fn path_finding(case: &Case<'_>, chain: &[X509], error: &PathError) -> Finding {
    let name = |place: usize| match chain.get(place) {
        Some(certificate) => {
            format!("certificate {} of x5c (`{}`)", place + 1, shortened(&certificate.name(), 60))
        }
        None => "a certificate of the bundle".to_owned(),
    };
    match error {
        PathError::Expired(place, end) => {
            Finding::error("x5c-expired", format!("{} expired at {}", name(*place), UnixTime(*end)))
                .mend("make a new certificate for the same key, for x5c and the registry's bundle, and restart it")
        }
        PathError::NotYet(place, start) => {
            Finding::error("x5c-expired", format!("{} is not valid before {}", name(*place), UnixTime(*start)))
                .mend("check the clocks of both hosts")
        }
        PathError::NotAuthority => Finding::error(
            "x5c-authority",
            "the certificate that signed the chain may not sign certificates (no CA:TRUE, or no keyCertSign)",
        )
        .mend("put the signing key's own certificate into the bundle, or make the root with basicConstraints=CA:TRUE"),
        PathError::Unsupported => {
            Finding::unknown("x5c", "a certificate of the chain is signed in a way that is not checked here")
        }
        PathError::Unknown if case.trust.certificates.is_none() => Finding::error(
            "x5c-untrusted",
            "the token carries x5c, and the registry has no rootcertbundle to check it with; `kid` is then not looked at",
        )
        .mend("leave x5c_chain_path out, so that `kid` counts, or give the registry a rootcertbundle too"),
        PathError::Unknown => Finding::error(
            "x5c-untrusted",
            format!("{} does not lead to a certificate of the registry's bundle", name(0)),
        )
        .mend("put the certificate that signed it (or itself) into rootcertbundle, and restart the registry"),
    }
}

/// `jwk` in the header: only a key that is trusted already.
fn by_jwk(case: &mut Case<'_>, jwk: &Value) -> Option<PublicKey> {
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

fn by_id(case: &mut Case<'_>, kid: &str) -> Option<PublicKey> {
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

fn signature(case: &mut Case<'_>, key: &PublicKey, alg: &str) {
    let fitting = alg.parse::<Algorithm>().ok().filter(|known| known.name() == alg);
    let fitting = fitting.and_then(|algorithm| PublicKey::from_spki(key.spki_der(), Some(algorithm)).ok());
    let Some(key) = fitting else {
        let what = format!("the header says {}, which the trusted key cannot check", shortened(alg, 40));
        case.say(
            Finding::error("algorithm", what).mend("the token names another key than the one that signed it"),
        );
        return;
    };
    if case.token.signature.is_empty() {
        case.say(Finding::error("signature", "the token has no signature"));
    } else if !key.verify(case.token.signed.as_bytes(), &case.token.signature) {
        case.say(
            Finding::error("signature", "the signature is not the trusted key's over this text")
                .why("another key signed it, or the token was changed on its way")
                .mend("where x5c is sent, its first certificate must be for the signing key"),
        );
    }
}
