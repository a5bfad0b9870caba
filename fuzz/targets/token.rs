//! Tokens and refresh tokens: what was sealed opens to the same, what was changed by a byte never does, and
//! what anyone else wrote neither. The first byte says which of these, the second which key, the next two
//! which byte to change and how.

use super::base64::{self, URL};
use super::keys_folder;
use keypebble::config::Config;
use keypebble::diagnosis::claims::Expected;
use keypebble::diagnosis::unverified::Unverified;
use keypebble::diagnosis::verdict::{Program, Trust, judge};
use keypebble::diagnosis::verify::verify;
use keypebble::ground::diagnostic::Level;
use keypebble::ground::document::Document;
use keypebble::ground::secret::Secret;
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::issuer::Issuer;
use keypebble::key::Key;
use keypebble::key::algorithm::Algorithm;
use keypebble::key::keyring::{Keyring, RingKey, State};
use keypebble::login::refresh::Refresh;
use keypebble::login::users::Users;
use keypebble::token::{self, MAX_TOKEN, Sealer, Typ};
use keypebble::{diagnosis::inspect, ground::diagnostic};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const NOW: UnixTime = UnixTime(1_000_000);
const USERS: &[u8] = b"alice:$2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

pub fn check(bytes: &[u8]) {
    let [mode, key, place, change, rest @ ..] = bytes else { return };
    let keys = keys();
    match mode % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            read(text, &keys.ring);
            refreshed(text, keys);
        }
        1 => seal(rest, keys, *key, *place, *change),
        _ => refresh(rest, keys, *key, *place, *change),
    }
}

struct Keys {
    ring: Keyring,
    /// Seals with each key of the ring.
    sealers: Vec<Sealer>,
    issuer: Issuer,
    users: Users,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let pem = |name: &str| {
            let text = std::fs::read(keys_folder().join(name)).unwrap();
            Key::from_pem(&Secret::new(text), None, Some(name.to_owned())).unwrap()
        };
        let secret = |algorithm, id: &str| {
            let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
            Key::from_secret(algorithm, &secret, Some(id.to_owned())).unwrap()
        };
        let others = || vec![pem("ed25519.pem"), secret(Algorithm::HS512, "hs512"), pem("p256.pem")];
        let ringed = others().into_iter().map(|key| RingKey::own(key, State::Previous)).collect();
        let ring = Keyring::new(secret(Algorithm::HS256, "hs256"), ringed).unwrap();
        let mut sealers = vec![Sealer::jws(Arc::clone(ring.active()))];
        sealers.extend(others().into_iter().map(|key| Sealer::jws(Arc::new(key))));
        let yaml = "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\n";
        let config = Document::parse(Path::new("config.yaml"), yaml.to_owned());
        let issuer = Config::read(&config.unwrap()).unwrap().into_issuer();
        Keys { ring, sealers, issuer, users: Users::parse(Path::new("users"), USERS).unwrap() }
    })
}

/// What anyone may paste.
fn read(text: &str, ring: &Keyring) {
    let opened = token::verify(text, ring.verifiers());
    let expected = Expected { issuer: Some("i"), audiences: &["a"] };
    let findings = verify(text, ring.verifiers(), &expected, NOW);
    for found in &findings {
        printable(&found.text());
    }
    match &opened {
        Ok(payload) => opened_is_canonical(text, payload, ring),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(diagnostic::worst(&findings), Level::Error, "{error}");
        }
    }
    match Unverified::parse(text) {
        Ok(parsed) => {
            printable(&inspect::text(&parsed, NOW));
            let json = diagnostic::ascii_json(&inspect::json(&parsed, NOW));
            assert!(json.bytes().all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~')));
            assert!(serde_json::from_str::<Value>(&json).is_ok());
        }
        Err(malformed) => printable(&malformed.to_string()),
    }
    let trust = Trust::default().with_jwks(ring.jwks().to_string().as_bytes());
    for program in Program::ALL {
        for found in &judge(program, text, &trust, &Expected::default(), &[], NOW) {
            printable(&found.text());
        }
    }
    // What opens can be taken apart too, unless it holds no claims.
    if let (Ok(payload), Err(malformed)) = (&opened, Unverified::parse(text)) {
        assert!(
            !payload.starts_with(b"{") || serde_json::from_slice::<Value>(payload).is_err(),
            "{malformed}"
        );
    }
}

/// Nothing that a terminal would take for a command.
pub(super) fn printable(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn opened_is_canonical(text: &str, payload: &[u8], ring: &Keyring) {
    let parts: Vec<&str> = text.split('.').collect();
    assert!(parts.len() == 3 && text.len() <= MAX_TOKEN);
    let decoded: Vec<Vec<u8>> = parts.iter().map(|part| base64::decode(URL, false, part).unwrap()).collect();
    assert_eq!(decoded[1], payload);
    let header: Value = serde_json::from_slice(&decoded[0]).unwrap();
    assert!(header.get("crit").is_none());
    let key = ring.find(header["kid"].as_str().expect("several keys, so a kid")).expect("a known key");
    assert_eq!(header["alg"], key.algorithm().name());
    let signed = &text[..text.len() - parts[2].len() - 1];
    let own = key.own_key().unwrap();
    assert!(own.verify(signed.as_bytes(), &decoded[2]));
    if own.algorithm() != Algorithm::ES256 {
        assert_eq!(own.sign(signed.as_bytes()).unwrap(), decoded[2], "the one signature that there is");
    }
}

fn seal(claims: &[u8], keys: &Keys, key: u8, place: u8, change: u8) {
    let sealer = &keys.sealers[usize::from(key) % keys.sealers.len()];
    let sealed = sealer.seal(claims, Typ::Jwt, NOW).unwrap();
    let opened = token::verify(&sealed, keys.ring.verifiers());
    if sealed.len() > MAX_TOKEN {
        assert!(opened.is_err());
        return;
    }
    assert_eq!(opened.as_deref(), Ok(claims));
    if let Some(changed) = changed(&sealed, place, change) {
        assert!(token::verify(&changed, keys.ring.verifiers()).is_err(), "{sealed} was changed to {changed}");
    }
    read(&sealed, &keys.ring);
}

/// The text with one byte that is another.
pub(super) fn changed(text: &str, place: u8, change: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = usize::from(place) * (bytes.len() - 1) / 255;
    bytes[at] = change;
    String::from_utf8(bytes).ok().filter(|changed| changed != text)
}

/// A refresh token that anyone wrote: only the one that is issued stands, and that one is deterministic.
fn refreshed(text: &str, keys: &Keys) {
    let refresh = Refresh::new(None, Ttl::MAX);
    if let Ok(holder) = refresh.verify(&keys.issuer, &keys.users, text, NOW) {
        assert_eq!(holder.user, "alice");
        assert!(token::verify(text, keys.issuer.keyring().verifiers()).is_err(), "it is no token");
    }
}

fn refresh(service: &[u8], keys: &Keys, own: u8, place: u8, change: u8) {
    let Ok(service) = std::str::from_utf8(service) else { return };
    let secret = (own % 2 == 1).then(|| Secret::new([own; 32].to_vec()));
    let key_id = keys.issuer.keyring().active().id().filter(|_| secret.is_none()).map(str::to_owned);
    let refresh = Refresh::new(secret, Ttl::DEFAULT);
    let fingerprint = keys.users.hash_of("alice").unwrap().fingerprint();
    let issuance = refresh.issuance("alice", service, &fingerprint);
    let made = keys.issuer.issue(&issuance, NOW, "the id".to_owned()).unwrap();
    let text = made.token.expose();
    if text.len() > 16 * 1024 {
        return;
    }
    let holder = refresh.verify(&keys.issuer, &keys.users, text, NOW).unwrap();
    assert_eq!((&*holder.user, &*holder.service, &*holder.id), ("alice", service, "the id"));
    assert_eq!((holder.issued_at, holder.expires_at, holder.key_id), (NOW, NOW.plus(Ttl::DEFAULT), key_id));
    assert!(token::verify(text, keys.issuer.keyring().verifiers()).is_err(), "it is no token");
    if let Some(changed) = changed(text, place, change) {
        assert!(refresh.verify(&keys.issuer, &keys.users, &changed, NOW).is_err(), "{text} to {changed}");
    }
    let late = UnixTime(NOW.0 + i64::from(Ttl::DEFAULT.seconds()));
    assert!(refresh.verify(&keys.issuer, &keys.users, text, late).is_err());
}
