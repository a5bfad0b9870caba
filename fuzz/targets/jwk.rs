//! JWK files: whatever is read signs, or opens what is encrypted to its public half; and messages say nothing of it.

use keypebble::ground::secret::Secret;
use keypebble::key::encryption::{DecryptionKey, EncryptionKey, Management, Stated};
use keypebble::key::{Key, KeyError, PublicKey};
use serde_json::Value;

pub fn check(bytes: &[u8]) {
    // A new RSA signer takes its time, and is the target `keys`' business, too.
    let secret = || Secret::new(bytes.to_vec());
    match Key::read(&secret(), None, None) {
        Ok(key) => signs(&key),
        Err(error) => message(&error, bytes),
    }
    match PublicKey::read(bytes, None) {
        Ok((key, _)) => {
            let again = PublicKey::read(key.jwk(Some("id")).to_string().as_bytes(), None).unwrap();
            assert!(again.0 == key && again.1.as_deref() == Some("id"));
        }
        Err(error) => message(&error, bytes),
    }
    match EncryptionKey::from_jwk(bytes, None, None) {
        Ok(key) => {
            let wrapped = key.wrap(&[7; 32]).unwrap();
            assert_eq!((wrapped.key.len(), wrapped.ephemeral.is_none()), (40, key.management().is_shared()));
        }
        Err(error) => message(&error, bytes),
    }
    match DecryptionKey::read(&secret()) {
        Ok(key) => opens(&key, bytes),
        Err(error) => message(&error, bytes),
    }
}

fn signs(key: &Key) {
    let signature = key.sign(b"input").unwrap();
    assert!(key.verify(b"input", &signature) && !key.verify(b"other", &signature));
    if let Some(public) = key.public() {
        let jwk = public.jwk(None).to_string();
        assert!(PublicKey::read(jwk.as_bytes(), None).unwrap().0 == *public);
    }
}

/// The public half of the same JWK wraps what this key unwraps.
fn opens(key: &DecryptionKey, bytes: &[u8]) {
    let Ok(Value::Object(mut jwk)) = serde_json::from_slice(bytes) else { return };
    if jwk.get("kty").is_none_or(|kty| kty != "oct") {
        jwk.remove("d");
    }
    jwk.remove("key_ops");
    let Ok(public) = EncryptionKey::from_jwk(Value::Object(jwk).to_string().as_bytes(), None, None) else {
        return;
    };
    let wrapped = public.wrap(&[7; 32]).unwrap();
    for management in Management::ALL {
        let stated =
            Stated { management, ephemeral: wrapped.ephemeral.as_ref(), producer: None, consumer: None };
        let opened = key.unwrap(&stated, &wrapped.key);
        assert_eq!(opened.is_some(), management == public.management(), "{management:?}");
    }
}

/// A message for a terminal, of bounded length, that holds no part of the file that could be a key.
fn message(error: &KeyError, bytes: &[u8]) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 400 && !text.chars().any(char::is_control), "{text:?}");
    // In base64url, so that the file cannot simply hold the message.
    let coded = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let secrets = bytes.split(|byte| *byte == b'"').filter(|part| part.len() > 20 && part.iter().all(coded));
    for secret in secrets.filter_map(|part| std::str::from_utf8(part).ok()) {
        assert!(!text.contains(secret), "{text:?}");
    }
}
