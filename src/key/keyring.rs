//! The keys of one issuer: one signs, all verify.
//!
//! Owns which key is which. Must not know token formats or files. Decision: the set that verifies
//! ([`KeySet`]) is a type of its own, so that `verify --jwks`, which has nothing to sign with, and the
//! issuer check a token by the same code; a ring is such a set plus exactly one key that signs.

use crate::key::algorithm::Algorithm;
use crate::key::{Key, KeyError, PublicKey};
use serde_json::{Value, json};
use std::sync::Arc;

/// The most keys that a JWKS may hold.
const MAX_KEYS: usize = 64;

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Published, so that verifiers know it; signs nothing yet.
    Next,
    /// Signs.
    Active,
    /// Signs no more; its tokens are still valid.
    Previous,
}

impl State {
    /// As configurations and listings name it.
    pub fn name(self) -> &'static str {
        match self {
            State::Next => "next",
            State::Active => "active",
            State::Previous => "previous",
        }
    }

    /// Every state, in the order of a key's life.
    pub const ALL: [State; 3] = [State::Next, State::Active, State::Previous];

    /// The state of this name.
    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A key of a ring or set. It verifies, whatever its state.
#[derive(Debug, Clone)]
pub struct RingKey {
    id: Option<String>,
    state: State,
    algorithm: Algorithm,
    own: Option<Arc<Key>>,
    public: Option<PublicKey>,
}

impl RingKey {
    /// A key that this issuer could sign with.
    pub fn own(key: Key, state: State) -> RingKey {
        RingKey::shared(Arc::new(key), state)
    }

    /// A key whose private half is not here. Without an id, [`PublicKey::default_id`].
    pub fn public_only(key: PublicKey, id: Option<String>, state: State) -> RingKey {
        let id = Some(id.unwrap_or_else(|| key.default_id()));
        RingKey { id, state, algorithm: key.algorithm(), own: None, public: Some(key) }
    }

    fn shared(key: Arc<Key>, state: State) -> RingKey {
        let (id, public) = (key.id().map(str::to_owned), key.public().cloned());
        RingKey { id, state, algorithm: key.algorithm(), own: Some(key), public }
    }

    /// The `kid` of its tokens.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole key; none where only its public half is here.
    pub fn own_key(&self) -> Option<&Key> {
        self.own.as_deref()
    }

    /// The public half; an HMAC key has none.
    pub fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// Whether the raw JWS signature over the input is this key's.
    pub fn verify(&self, input: &[u8], signature: &[u8]) -> bool {
        match (&self.own, &self.public) {
            (Some(key), _) => key.verify(input, signature),
            (None, Some(key)) => key.verify(input, signature),
            (None, None) => false,
        }
    }
}

/// Keys that verify; at least one, no two with the same id, and none without unless it is the only one.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<RingKey>,
}

impl KeySet {
    /// Refuses an empty set, two keys of one id, and a key without an id among several.
    pub fn new(keys: Vec<RingKey>) -> Result<KeySet, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::NoKeys);
        }
        if keys.len() > 1 && keys.iter().any(|key| key.id().is_none()) {
            return Err(KeyError::MISSING_ID);
        }
        let mut ids = keys.iter().filter_map(RingKey::id).enumerate();
        let twice = ids.find(|(index, id)| keys.iter().take(*index).any(|earlier| earlier.id() == Some(id)));
        match twice {
            Some((_, id)) => Err(KeyError::DuplicateId { id: id.to_owned() }),
            None => Ok(KeySet { keys }),
        }
    }

    /// Reads a JWKS (RFC 7517, 5). Keys that aren't for verifying tokens here are passed over, as the RFC
    /// asks; one key at least must be left. A key without `kid` gets its default id.
    pub fn from_jwks(jwks: &Value) -> Result<KeySet, KeyError> {
        let entries = jwks.get("keys").and_then(Value::as_array);
        let entries = entries.ok_or(KeyError::Jwk { why: "a JWKS has a list `keys`" })?;
        if entries.len() > MAX_KEYS {
            return Err(KeyError::Jwk { why: "a JWKS of more than 64 keys" });
        }
        let usable = entries.iter().filter_map(|entry| {
            let key = PublicKey::from_jwk(entry).ok()?;
            let id = entry.get("kid").and_then(Value::as_str).map(str::to_owned);
            Some(RingKey::public_only(key, id, State::Active))
        });
        KeySet::new(usable.collect())
    }

    /// Every key.
    pub fn iter(&self) -> impl Iterator<Item = &RingKey> {
        self.keys.iter()
    }

    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id() == Some(id))
    }

    /// The JWKS of all public keys (RFC 7517, 5), in the set's order. HMAC keys have none to show.
    pub fn jwks(&self) -> Value {
        jwks(self.keys.iter())
    }
}

fn jwks<'k>(keys: impl Iterator<Item = &'k RingKey>) -> Value {
    let keys = keys.filter_map(|key| Some(key.public()?.jwk(key.id())));
    json!({ "keys": keys.collect::<Vec<_>>() })
}

/// The keys of an issuer.
#[derive(Debug, Clone)]
pub struct Keyring {
    active: Arc<Key>,
    set: KeySet,
}

impl Keyring {
    /// A ring of one: the single-key form of the configuration.
    pub fn single(key: Key) -> Keyring {
        let active = Arc::new(key);
        let set = KeySet { keys: vec![RingKey::shared(Arc::clone(&active), State::Active)] };
        Keyring { active, set }
    }

    /// A ring of an active key and others, which are next or previous.
    pub fn new(active: Key, others: Vec<RingKey>) -> Result<Keyring, KeyError> {
        if others.iter().any(|other| other.state() == State::Active) {
            return Err(KeyError::SeveralActive);
        }
        let active = Arc::new(active);
        let mut keys = vec![RingKey::shared(Arc::clone(&active), State::Active)];
        keys.extend(others);
        Ok(Keyring { active, set: KeySet::new(keys)? })
    }

    /// The key that signs.
    pub fn active(&self) -> &Arc<Key> {
        &self.active
    }

    /// The keys that verify: all of them, the active one first.
    pub fn verifiers(&self) -> &KeySet {
        &self.set
    }

    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<&RingKey> {
        self.set.find(id)
    }

    /// The JWKS of all public keys, the active one first.
    pub fn jwks(&self) -> Value {
        self.set.jwks()
    }

    /// The JWKS as it is published, on the command line and over HTTP: JSON and a newline.
    pub fn jwks_text(&self) -> String {
        Self::jwks_text_of(self.set.iter())
    }

    /// The same of some keys.
    pub fn jwks_text_of<'k>(keys: impl Iterator<Item = &'k RingKey>) -> String {
        format!("{:#}\n", jwks(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;

    const P256: &[u8] = include_bytes!("../../tests/data/keys/p256.pem");
    const P384: &[u8] = include_bytes!("../../tests/data/keys/p384.pem");
    const ED25519: &[u8] = include_bytes!("../../tests/data/keys/ed25519.pem");

    fn key(pem: &[u8], id: Option<&str>) -> Key {
        Key::from_pem(&Secret::new(pem.to_vec()), None, id.map(str::to_owned)).unwrap()
    }

    fn hmac(id: Option<&str>) -> Key {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
        Key::from_secret(Algorithm::HS256, &secret, id.map(str::to_owned)).unwrap()
    }

    #[test]
    fn every_key_verifies_and_only_the_active_one_signs() {
        let next = RingKey::own(key(P384, Some("next")), State::Next);
        let previous = key(ED25519, None).public().unwrap().clone();
        let previous = RingKey::public_only(previous, Some("previous".into()), State::Previous);
        let ring = Keyring::new(key(P256, Some("active")), vec![next, previous]).unwrap();
        assert_eq!(ring.active().id(), Some("active"));
        let ids: Vec<_> = ring.verifiers().iter().map(|key| (key.id().unwrap(), key.state())).collect();
        assert_eq!(ids, [("active", State::Active), ("next", State::Next), ("previous", State::Previous)]);
        let signature = key(ED25519, None).sign(b"input").unwrap();
        assert!(ring.find("previous").unwrap().verify(b"input", &signature));
        assert!(!ring.find("active").unwrap().verify(b"input", &signature));
        assert!(ring.find("other").is_none());
    }

    #[test]
    fn ids_tell_the_keys_of_a_ring_apart() {
        let twice = Keyring::new(key(P256, Some("a")), vec![RingKey::own(key(P384, Some("a")), State::Next)]);
        assert_eq!(twice.err(), Some(KeyError::DuplicateId { id: "a".into() }));
        let nameless = Keyring::new(hmac(None), vec![RingKey::own(key(P384, None), State::Next)]);
        assert_eq!(nameless.err(), Some(KeyError::MISSING_ID));
        let two = Keyring::new(key(P256, None), vec![RingKey::own(key(P384, None), State::Active)]);
        assert_eq!(two.err(), Some(KeyError::SeveralActive));
        assert!(Keyring::single(hmac(None)).verifiers().iter().all(|key| key.id().is_none()));
    }

    #[test]
    fn a_jwks_holds_the_public_keys_alone_and_reads_back() {
        let ring = Keyring::new(hmac(Some("h")), vec![RingKey::own(key(P256, Some("p")), State::Next)]);
        let jwks = ring.unwrap().jwks();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["kid"], "p");
        for private in ["d", "k", "priv"] {
            assert_eq!(keys[0].get(private), None);
        }
        let set = KeySet::from_jwks(&jwks).unwrap();
        assert!(set.find("p").unwrap().public().unwrap().matches(key(P256, None).public().unwrap()));
        assert_eq!(Keyring::single(hmac(None)).jwks(), json!({ "keys": [] }));
    }

    #[test]
    fn a_jwks_may_hold_keys_that_are_not_for_us_but_not_only_those() {
        let good = key(P256, None).public().unwrap().jwk(None);
        let unknown = json!({ "kty": "future", "kid": "x" });
        let secret = json!({ "kty": "oct", "k": "AAAA" });
        let set = KeySet::from_jwks(&json!({ "keys": [unknown, secret, good] })).unwrap();
        let id = key(P256, None).public().unwrap().libtrust_id();
        assert_eq!(set.iter().map(|key| key.id().unwrap()).collect::<Vec<_>>(), [id]);
        assert_eq!(KeySet::from_jwks(&json!({ "keys": [unknown] })).err(), Some(KeyError::NoKeys));
        for not_a_set in [json!([]), json!({}), json!({ "keys": {} }), json!({ "keys": vec![0; 65] })] {
            assert!(matches!(KeySet::from_jwks(&not_a_set), Err(KeyError::Jwk { .. })), "{not_a_set}");
        }
    }

    #[test]
    fn a_ring_and_its_sealer_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Keyring>();
        shared::<crate::token::Sealer>();
    }
}
