//! Encrypted tokens: what was sealed opens to the same with its own key alone, what was changed by a byte never does,
//! and a header that is read says nothing that is not done. The first byte says which of these, the second which
//! key, the next two which byte to change and how.

use super::keys_folder;
use super::token::{changed, printable};
use keypebble::diagnosis::encrypted::Outer;
use keypebble::ground::diagnostic;
use keypebble::ground::secret::Secret;
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::key::Key;
use keypebble::key::encryption::{DecryptionKey, EncryptionKey, Management};
use keypebble::token::jwe::Header;
use keypebble::token::{self, Inside, MAX_TOKEN, Opener, Sealer, Typ};
use std::sync::{Arc, OnceLock};

use super::base64::{self, URL};

const NOW: UnixTime = UnixTime(1_000_000);

pub fn check(bytes: &[u8]) {
    let [mode, key, place, change, rest @ ..] = bytes else { return };
    let keys = keys();
    let own = usize::from(*key) % keys.len();
    match mode % 4 {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            read(text, keys);
        }
        1 => seal(rest, keys, own, *place, *change),
        2 => header(rest, keys),
        _ => nested(rest, &keys[own]),
    }
}

struct Pair {
    key: EncryptionKey,
    opener: Opener,
}

fn keys() -> &'static [Pair] {
    static KEYS: OnceLock<Vec<Pair>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let file = |name: &str| std::fs::read(keys_folder().join(name)).unwrap();
        let mut pairs = Vec::new();
        for (algorithm, characters) in [(Management::A256Kw, 43), (Management::A128Kw, 22)] {
            let secret = Secret::new(b"A".repeat(characters));
            let key = EncryptionKey::shared(&secret, Some(algorithm), Some("shared".to_owned())).unwrap();
            let opener = Opener::Jwe(key.opener().unwrap());
            pairs.push(Pair { key, opener });
        }
        for algorithm in [Management::EcdhEsA256Kw, Management::EcdhEsA128Kw] {
            for (public, private) in [("p256-pub.pem", "p256.pem"), ("x25519-pub.pem", "x25519.pem")] {
                let key = EncryptionKey::public(&file(public), Some(algorithm), None).unwrap();
                let opener = Opener::Jwe(DecryptionKey::read(&Secret::new(file(private))).unwrap());
                pairs.push(Pair { key, opener });
            }
        }
        pairs
    })
}

/// What anyone may paste: nobody opens it, and what is said of it is safe to print.
fn read(text: &str, keys: &[Pair]) {
    match Outer::parse(text) {
        Ok(Some(outer)) => {
            printable(&outer.text(NOW));
            let json = diagnostic::ascii_json(&outer.json());
            assert!(json.bytes().all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~')));
        }
        Ok(None) => {}
        Err(malformed) => printable(&malformed.to_string()),
    }
    for pair in keys {
        if let Err(error) = token::open(text, &pair.opener, Ttl::MAX, NOW) {
            printable(&error.to_string());
        }
    }
}

fn seal(content: &[u8], keys: &[Pair], own: usize, place: u8, change: u8) {
    let sealed = Sealer::jwe(keys[own].key.clone()).seal(content, Typ::Jwt, NOW).unwrap();
    if sealed.len() > MAX_TOKEN {
        assert!(token::open(&sealed, &keys[own].opener, Ttl::MAX, NOW).is_err());
        return;
    }
    for (other, pair) in keys.iter().enumerate() {
        match token::open(&sealed, &pair.opener, Ttl::MAX, NOW) {
            Ok(Inside::Claims { payload, authentic, .. }) => {
                // A key pair takes both algorithms of its curve.
                assert!(
                    other == own || own >= 2 && other >= 2 && (own + other).is_multiple_of(2),
                    "{own} {other}"
                );
                assert_eq!((payload.as_slice(), authentic), (content, own < 2));
            }
            Ok(Inside::Signed(_)) => panic!("nothing was signed"),
            Err(_) => assert_ne!(other, own),
        }
    }
    if let Some(changed) = changed(&sealed, place, change) {
        assert!(token::open(&changed, &keys[own].opener, Ttl::MAX, NOW).is_err(), "{sealed} to {changed}");
    }
    read(&sealed, keys);
}

/// A header of the fuzzer's before a body that nothing opens.
fn header(json: &[u8], keys: &[Pair]) {
    let part = base64::encode(URL, false, json);
    if let Ok(header) = Header::read(&part) {
        let management = header.text("alg").map(Management::named);
        assert_eq!(management, Some(Ok(header.management())));
        assert_eq!(header.text("enc"), Some("A256GCM"));
        assert!(["zip", "crit"].iter().all(|name| !header.members().contains_key(*name)));
    }
    let body =
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA";
    let text = format!("{part}.{body}");
    assert!(keys.iter().all(|pair| token::open(&text, &pair.opener, Ttl::MAX, NOW).is_err()));
    read(&text, keys);
}

/// Claims of the fuzzer's, signed and encrypted.
fn nested(claims: &[u8], pair: &Pair) {
    static SIGNING: OnceLock<Arc<Key>> = OnceLock::new();
    let signing = SIGNING.get_or_init(|| {
        let pem = Secret::new(std::fs::read(keys_folder().join("ed25519.pem")).unwrap());
        Arc::new(Key::from_pem(&pem, None, None).unwrap())
    });
    let sealer = Sealer::nested(Arc::clone(signing), pair.key.clone());
    let sealed = sealer.seal(claims, Typ::AccessToken, NOW).unwrap();
    if sealed.len() > MAX_TOKEN {
        return;
    }
    match token::open(&sealed, &pair.opener, Ttl::MAX, NOW) {
        Ok(Inside::Signed(inner)) => {
            let same = Sealer::jws(Arc::clone(signing)).seal(claims, Typ::AccessToken, NOW).unwrap();
            assert_eq!(inner, same, "Ed25519 signs one text always alike");
        }
        Ok(Inside::Claims { .. }) => panic!("what is signed came back as claims"),
        Err(error) => panic!("{error}"),
    }
}
