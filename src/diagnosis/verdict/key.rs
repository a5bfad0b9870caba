//! Which key checks a token, and whether its signature stands.
//!
//! Owns `alg`, `kid`, `x5c` and `jwk`. Decision: the algorithm must fit the key that the program found,
//! never the other way round.

use super::key_id::{by_id, by_jwk, usable};
use super::rules::{KeyIds, Program};
use super::{Case, go};
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::x509::{PathError, X509, verify_path};
use serde_json::Value;

/// Everything that the header decides.
pub(super) fn check(case: &mut Case<'_>) {
    let alg = case.token.header_text("alg").unwrap_or_default().to_owned();
    let known = algorithm(case, &alg);
    let crit = case.token.header.get("crit").filter(|crit| case.rules.jose && !crit.is_null());
    let only_b64 = |list: &Vec<Value>| list.iter().all(|name| name == "b64");
    if crit.is_some_and(|crit| !crit.as_array().is_some_and(only_b64)) {
        case.refuse("crit", "the header's `crit` names what it does not know (it knows `b64`)", "");
    }
    if let Some(key) = find(case)
        && known
    {
        signature(case, &key, &alg);
    }
}

/// Whether the program takes the algorithm at all.
fn algorithm(case: &mut Case<'_>, alg: &str) -> bool {
    let (shown, taken, title) = (shortened(alg, 40), case.rules.algorithms, case.program.title());
    if !taken.contains(&alg) {
        let (what, hint) = match alg {
            "" => ("the header names no algorithm (`alg`)".to_owned(), ""),
            "none" => ("the token is not signed (alg none)".to_owned(), ""),
            "HS256" | "HS384" | "HS512" => (
                format!("{shown} is made with a shared secret, and no registry takes that"),
                "sign with an RSA or P-256 key: private_key_path",
            ),
            _ => (
                format!("{title} does not know {shown}; it takes {}", taken.join(", ")),
                "sign with RS256 or ES256, which every registry takes",
            ),
        };
        case.refuse("algorithm", what, hint);
        return false;
    }
    let listed = case.algorithms;
    if case.program == Program::Registry3 && !listed.is_empty() && !listed.iter().any(|name| name == alg) {
        let what = format!("{shown} is not in its signingalgorithms: {}", shortened(&listed.join(", "), 200));
        let hint = format!("add {shown} to auth.token.signingalgorithms, or leave the list out");
        case.refuse("algorithm", what, &hint);
    }
    true
}

/// The key that the program takes for this token. If it finds none, the case has a finding about that.
fn find(case: &mut Case<'_>) -> Option<PublicKey> {
    if case.rules.key_ids == KeyIds::OneKey {
        // Without a key it does not start, and `Trust::start` says so.
        return case.trust.only_key().and_then(|held| usable(case, held));
    }
    let header = &case.token.header;
    if case.rules.x5c
        && let Some(Value::Array(x5c)) = header.get("x5c")
        && !x5c.is_empty()
    {
        let x5c: Vec<&str> = x5c.iter().filter_map(Value::as_str).collect();
        return by_chain(case, &x5c);
    }
    if let Some(jwk) = header.get("jwk").filter(|jwk| !jwk.is_null()) {
        return by_jwk(case, jwk);
    }
    if let Some(kid) = case.token.header_text("kid").filter(|kid| !kid.is_empty()) {
        return by_id(case, kid);
    }
    let hint = "leave `kid` out of the configuration: Keypebble then writes the id that registries know";
    case.refuse("key-id", "the header names no key: neither `kid` nor `x5c`", hint);
    None
}

/// `x5c`: the leaf's key, if its chain ends in the bundle.
fn by_chain(case: &mut Case<'_>, x5c: &[&str]) -> Option<PublicKey> {
    let certificate = |text: &&str| X509::from_der(&go::base64(text.as_bytes(), false, true)?).ok();
    let chain: Option<Vec<X509>> = x5c.iter().map(certificate).collect();
    let Some(chain) = chain else {
        case.refuse("x5c", "x5c holds something that is not a certificate in base64", "");
        return None;
    };
    if let Err(error) = verify_path(&chain, case.trust.certificates(), case.now.0) {
        say_path(case, &chain, &error);
    }
    if chain.len() > 1 && chain.last().is_some_and(X509::is_self_signed) {
        let what = "x5c includes its root, which every verifier has: it only makes tokens longer";
        let hint = "leave the last certificate out of x5c_chain_path's file";
        case.say(Diagnostic::advice("x5c-root", what, hint));
    }
    match chain.first()?.key() {
        Ok(key) => return Some(key.clone()),
        Err(error) => case.unsure("x5c", format!("the leaf's key is not known here: {error}")),
    }
    None
}

fn say_path(case: &mut Case<'_>, chain: &[X509], error: &PathError) {
    let name = |place: usize| match chain.get(place) {
        Some(certificate) => {
            format!("certificate {} of x5c (`{}`)", place + 1, shortened(&certificate.name(), 60))
        }
        None => "a certificate of the bundle".to_owned(),
    };
    let (code, what, hint) = match error {
        PathError::Expired(place, end) => (
            "x5c-expired",
            format!("{} expired at {}", name(*place), UnixTime(*end)),
            "make a new certificate for the same key, for x5c and the registry's bundle, and restart it",
        ),
        PathError::NotYet(place, start) => (
            "x5c-expired",
            format!("{} is not valid before {}", name(*place), UnixTime(*start)),
            "check the clocks of both hosts",
        ),
        PathError::NotAuthority => (
            "x5c-authority",
            "the certificate that signed the chain may not sign certificates (no CA:TRUE, or no keyCertSign)"
                .to_owned(),
            "put the signing key's own certificate into the bundle, or make the root with basicConstraints=CA:TRUE",
        ),
        PathError::Unsupported => {
            return case.unsure(
                "x5c",
                "a certificate of the chain is signed in a way that is not checked here, or has name constraints \
                 or a critical extension",
            );
        }
        PathError::Unknown if !case.trust.has_bundle() => (
            "x5c-untrusted",
            "the token carries x5c, and the registry has no rootcertbundle to check it with; `kid` is then not \
             looked at"
                .to_owned(),
            "leave x5c_chain_path out, so that `kid` counts, or give the registry a rootcertbundle too",
        ),
        PathError::Unknown => (
            "x5c-untrusted",
            format!("{} does not lead to a certificate of the registry's bundle", name(0)),
            "put the certificate that signed it (or itself) into rootcertbundle, and restart the registry",
        ),
    };
    case.refuse(code, what, hint);
}

fn signature(case: &mut Case<'_>, key: &PublicKey, alg: &str) {
    let fitting = alg.parse::<Algorithm>().ok().filter(|known| known.name() == alg);
    let fitting = fitting.and_then(|algorithm| PublicKey::from_spki(key.spki_der(), Some(algorithm)).ok());
    let Some(key) = fitting else {
        let what = format!("the header says {}, which the trusted key cannot check", shortened(alg, 40));
        return case.refuse("algorithm", what, "the token names another key than the one that signed it");
    };
    if case.token.signature.is_empty() {
        case.refuse("signature", "the token has no signature", "");
    } else if !key.verify(&case.token.signed, &case.token.signature) {
        let what = "the signature is not one of the trusted key over this text";
        case.say(
            Diagnostic::error("signature", what)
                .why("another key signed it, or the token was changed on its way")
                .hint("if x5c is sent, its first certificate must be for the signing key"),
        );
    }
}
