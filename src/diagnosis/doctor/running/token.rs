//! What the registry's answer to a token means, and which token it would take instead.
//!
//! Owns the guesses. A registry answers every wrong token alike. Decision: if it refuses the sample,
//! it is asked again with one part changed at a time: another name for the issuer, another id for the key, another key
//! of the ring. The one that it takes shows what differs. No guess grants anything, and each is for the same service.

use super::{Answer, host};
use crate::diagnosis::doctor::registry::issuer_name;
use crate::diagnosis::verdict::thumbprint_of_registry_3;
use crate::ground::diagnostic::{Diagnostic, Level, shortened};
use crate::issuer::{Issued, Issuer};
use crate::key::keyring::State;
use crate::key::{Key, PublicKey, base64url};
use serde_json::{Map, Value, json};

/// What the registry's answer to the sample means; `None` if it refuses it for a reason that is still to be found.
pub fn answered(answer: &Answer) -> Option<Diagnostic> {
    match answer.status {
        200 => Some(Diagnostic::ok("token", "the registry takes a token made now")),
        401 => None,
        status => Some(
            Diagnostic::error("token", format!("the registry answers {status} to a token made now"))
                .why("it is neither taken nor refused as a token is")
                .hint("is something between here and the registry that stops long header lines, or `Authorization`?"),
        ),
    }
}

/// The sample with something changed.
pub struct Guess {
    /// What is sent.
    pub token: String,
    /// What follows if the registry takes it: a finding for each change.
    pub findings: Vec<Diagnostic>,
}

/// The sample with other names and keys, the likely ones first.
pub fn guesses(issuer: &Issuer, sample: &Issued<'_>, realm: &str) -> impl Iterator<Item = Guess> {
    let claims: Map<String, Value> = serde_json::from_str(&sample.claims).unwrap_or_default();
    let names = names(issuer.name(), sample.record.audience, realm);
    headers(issuer).into_iter().flat_map(move |(key, kid, way)| {
        let claims = claims.clone();
        names.clone().into_iter().filter_map(move |(name, other)| {
            let findings: Vec<Diagnostic> = [&way, &other].into_iter().flatten().cloned().collect();
            let mut claims = claims.clone();
            claims.insert("iss".to_owned(), name.into());
            let header = json!({ "alg": key.algorithm().name(), "typ": "JWT", "kid": kid });
            let part = |value: String| base64url(value.as_bytes());
            let signed = format!("{}.{}", part(header.to_string()), part(Value::from(claims).to_string()));
            let signature = base64url(&key.sign(signed.as_bytes()).ok()?);
            (!findings.is_empty()).then(|| Guess { token: format!("{signed}.{signature}"), findings })
        })
    })
}

/// The issuer's name, and what operators write in its place.
fn names(own: &str, service: &str, realm: &str) -> Vec<(String, Option<Diagnostic>)> {
    let scheme = realm.split_once("://").map_or("", |(scheme, _)| scheme);
    let authority = realm.split('/').nth(2).unwrap_or_default();
    let origin = format!("{scheme}://{authority}");
    let bare = own.trim_end_matches('/');
    let address = bare.split_once("://").map_or(bare, |(_, rest)| rest);
    let mut list = vec![(own.to_owned(), None)];
    for name in [
        bare.to_owned(),
        format!("{bare}/"),
        origin.clone(),
        format!("{origin}/"),
        authority.to_owned(),
        host(realm).to_owned(),
        address.to_owned(),
        format!("https://{address}"),
        format!("http://{address}"),
        service.to_owned(),
        realm.to_owned(),
    ] {
        if list.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let finding = issuer_name(Some(&name), own);
        list.push((name, Some(finding)));
    }
    list
}

/// Each key that can sign here, with an id that registries may know it by, and what that would mean.
fn headers(issuer: &Issuer) -> Vec<(&Key, String, Option<Diagnostic>)> {
    let ring = issuer.keyring();
    let active: &Key = ring.active();
    // No registry knows a key that has no public half.
    let Some(public) = active.public() else { return Vec::new() };
    let own = active.id().unwrap_or_default().to_owned();
    let with_chain = active.chain().map(|_| {
        Diagnostic::error(
            "x5c-untrusted",
            "the registry takes tokens of this key by their `kid`, and not with x5c",
        )
        .why("x5c wins over `kid`, and does not lead to a certificate of its rootcertbundle")
        .hint("leave x5c_chain_path out, or put the chain's certificates into rootcertbundle and restart it")
    });
    let mut list = vec![(active, own.clone(), with_chain)];
    let other_id = |id: String, why, hint| {
        let what = format!(
            "the registry knows the key as `{}`, tokens say `{}`",
            shortened(&id, 80),
            shortened(&own, 80)
        );
        (id != own).then(|| (active, id, Some(Diagnostic::error("key-id", what).why(why).hint(hint))))
    };
    list.extend(other_id(
        thumbprint_of_registry_3(public),
        "distribution 3 computes that id from a certificate of its rootcertbundle",
        "give it `jwks` instead: keypebble keys export --format jwks",
    ));
    list.extend(other_id(
        PublicKey::libtrust_id(public),
        "distribution 2.8 computes that id from a certificate of its rootcertbundle",
        "leave `kid` out of the configuration: the default is that id",
    ));
    for key in ring.verifiers().iter().filter(|key| key.state() != State::Active) {
        let Some(signer) = key.own_key() else { continue };
        let what = format!(
            "the registry takes tokens of the {} key, and not of the one that signs",
            key.state().name()
        );
        let finding = Diagnostic::error("bundle", what)
            .why("its bundle or key set is older than the ring, or it was not restarted since: it reads them once")
            .hint("export again with `keypebble keys export`, and restart the registry");
        list.push((signer, key.id().unwrap_or_default().to_owned(), Some(finding)));
    }
    list
}

/// The finding if the registry takes the same token made at its own time.
pub fn refused_by_clock() -> Diagnostic {
    Diagnostic::error("token", "the registry refuses a token made now, and takes one made at its own time")
        .why("its clock and this host's differ by more than it tolerates")
        .hint("let both hosts keep time (chrony, systemd-timesyncd)")
}

/// The finding if the registry takes no guess either. `files` is the verdict on the sample by the files that were
/// given for the registry.
pub fn refused(files: Option<Level>) -> Diagnostic {
    let finding = Diagnostic::error("token", "the registry refuses a token made now");
    if files.is_some_and(|level| level < Level::Unknown) {
        return finding
            .why("with the files given here it would take it, so it runs with others or with older ones")
            .hint("restart it: it reads its configuration, bundle and key set once; then look for another copy of them");
    }
    finding.why("its key is another one, or `issuer` is another text; it answers alike in every case").hint(
        "name its files with --registry-config, or see its log, level info; restart it after each change",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::diagnosis::doctor::sample;
    use crate::diagnosis::unverified::Unverified;
    use crate::ground::document::Document;
    use crate::ground::time::UnixTime;
    use std::path::Path;

    const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");

    fn issuer(rest: &str) -> Issuer {
        let yaml = format!("issuer: https://i.example.com\naudience: s\n{rest}");
        Config::read(&Document::parse(Path::new(HERE), yaml).unwrap()).unwrap().into_issuer()
    }

    fn guessed(issuer: &Issuer) -> Vec<(String, String, Vec<&'static str>)> {
        let sample = sample(issuer, "s", UnixTime(1_700_000_000), "x".to_owned()).unwrap();
        let read = |guess: Guess| {
            let token = Unverified::parse(&guess.token).unwrap();
            assert_eq!((&token.claims["aud"], &token.claims["access"]), (&json!("s"), &json!([])));
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let codes = guess.findings.iter().map(|finding| finding.code).collect();
            (text(token.claims["iss"].as_str()), text(token.header_text("kid")), codes)
        };
        guesses(issuer, &sample, "http://a.example.com:8080/v2/token").map(read).collect()
    }

    #[test]
    fn a_guess_changes_the_issuer_s_name_the_key_s_id_or_both() {
        let own = issuer("private_key_path: p256.pem");
        let id = own.keyring().active().id().unwrap().to_owned();
        let guesses = guessed(&own);
        let with = |codes: &[&str]| guesses.iter().filter(|(.., found)| found == codes).count();
        assert_eq!(
            (with(&["issuer"]), with(&["key-id"]), with(&["key-id", "issuer"])),
            (9, 1, 9),
            "{guesses:?}"
        );
        assert!(
            !guesses.iter().any(|(iss, kid, _)| iss == own.name() && *kid == id),
            "the sample itself is no guess"
        );
        for name in
            ["https://i.example.com/", "http://a.example.com:8080", "a.example.com", "s", "i.example.com"]
        {
            assert!(guesses.iter().any(|(iss, ..)| iss == name), "{name}");
        }
        let chain = issuer("private_key_path: p256.pem\nx5c_chain_path: ../x509/chain.pem");
        assert_eq!(guessed(&chain)[0].2, ["x5c-untrusted"]);
        let named = issuer("private_key_path: p256.pem\nkid: v1");
        assert_eq!(guessed(&named).iter().filter(|(.., codes)| codes[..] == ["key-id"]).count(), 2);
        assert_eq!(guessed(&issuer("hs256_secret: 0123456789abcdef0123456789abcdef")), []);
    }

    #[test]
    fn files_that_fit_mean_a_registry_that_was_not_restarted() {
        assert!(refused(Some(Level::Ok)).hint.starts_with("restart it"));
        for level in [None, Some(Level::Unknown), Some(Level::Error)] {
            assert!(refused(level).hint.contains("--registry-config"), "{level:?}");
        }
    }
}
