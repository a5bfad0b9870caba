//! Fernet tokens: what was sealed opens to the same while it is young enough, what was changed by a byte never does,
//! nor does what has a right MAC and nothing right under it. The first byte says which of these, the next two which
//! byte to change and how, or how old it is.

use super::base64::{self, URL};
use super::token::{changed, printable};
use keypebble::ground::secret::Secret;
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::key::Key;
use keypebble::key::algorithm::Algorithm;
use keypebble::key::fernet::{ENABLED, FernetKey, FernetKeys};
use keypebble::token::fernet::{is_one, made_at, open};
use keypebble::token::{MAX_TOKEN, Sealer, Typ};
use std::sync::Arc;

const NOW: UnixTime = UnixTime(1_000_000);

fn keys() -> Arc<FernetKeys> {
    let read = |text: &str| FernetKey::read(&Secret::new(text.as_bytes().to_vec())).unwrap();
    let texts =
        ["cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="];
    Arc::new(FernetKeys::new(texts.map(read).into()).unwrap())
}

pub fn check(bytes: &[u8]) {
    let [mode, place, change, rest @ ..] = bytes else { return };
    match mode % 4 {
        0 => text(rest),
        1 => key(rest),
        2 => seal(rest, *place, *change),
        _ => signed(rest),
    }
}

/// What anyone may paste.
fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (is_one(text), made_at(text));
    match open(text, &keys(), Ttl::MAX, NOW) {
        Ok(_) => assert!(ENABLED && text.len() > 90),
        Err(error) => printable(&error.to_string()),
    }
}

/// The text of a key: what is read has one form.
fn key(bytes: &[u8]) {
    if let Ok(key) = FernetKey::read(&Secret::new(bytes.to_vec())) {
        let again = FernetKey::read(&key.text()).unwrap();
        assert_eq!((again.signing(), again.encryption()), (key.signing(), key.encryption()));
        assert!(bytes.trim_ascii().starts_with(&key.text().expose()[..43]));
    }
}

fn seal(content: &[u8], place: u8, change: u8) {
    let sealed = Sealer::fernet(keys()).seal(content, Typ::Jwt, NOW);
    if !ENABLED {
        assert!(sealed.is_err());
        return;
    }
    let sealed = sealed.unwrap();
    assert!(is_one(&sealed) && made_at(&sealed) == Some(NOW));
    if sealed.len() > MAX_TOKEN {
        return;
    }
    let ttl = Ttl::new(100).unwrap();
    for (now, opens) in [(-61, false), (-60, true), (0, true), (100, true), (101, false)] {
        let opened = open(&sealed, &keys(), ttl, UnixTime(NOW.0 + now));
        assert_eq!(opened.ok().as_deref().map(Vec::as_slice), opens.then_some(content), "{now}");
    }
    if let Some(changed) = changed(&sealed, place, change)
        && sealed.trim_end_matches('=') != changed
    {
        assert!(open(&changed, &keys(), ttl, NOW).is_err(), "{sealed} to {changed}");
    }
}

/// Bytes of the fuzzer's with the MAC of a key over them: only what is whole opens, and then is sealed alike.
fn signed(bytes: &[u8]) {
    let keys = keys();
    let secret = Secret::new(keys.primary().unwrap().signing().to_vec());
    let mac = Key::from_secret(Algorithm::HS256, &secret, None).unwrap().sign(bytes).unwrap();
    let text = base64::encode(URL, true, &[bytes, &mac].concat());
    if let Ok(content) = open(&text, &keys, Ttl::MAX, NOW) {
        assert!(bytes[0] == 0x80 && bytes.len() >= 41 && (bytes.len() - 25).is_multiple_of(16));
        let padding = bytes.len() - 25 - content.len();
        assert!((1..=16).contains(&padding));
    }
}
