//! Keys of Fernet tokens: 16 bytes that sign, 16 that encrypt (the Fernet specification, "Key Format").
//!
//! Owns the text in which keys are kept, and which of several encrypts. Must not know folders or tokens.

use super::error::KeyError;
use crate::ground::base64;
use crate::ground::secret::Secret;
use std::fmt;
use zeroize::Zeroizing;

/// Whether this build has the feature `fernet`; without it no such token is made or opened.
pub const ENABLED: bool = cfg!(feature = "fernet");

/// What a build without it says, and the cure.
pub const NOT_ENABLED: [&str; 2] = [
    "this build is without Fernet tokens: the feature `fernet` is off",
    "build it with: cargo build --release --features fernet",
];

/// One key.
pub struct FernetKey(Zeroizing<[u8; 32]>);

impl FernetKey {
    /// Reads the text of a key: 32 bytes in base64url. Zeros alone, which some tools write to be replaced, are
    /// refused: everybody knows that key.
    pub fn read(text: &Secret) -> Result<FernetKey, KeyError> {
        let bytes = std::str::from_utf8(text.expose().trim_ascii()).ok().and_then(base64::read_padded);
        let bytes = bytes.map(Zeroizing::new).and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        let bytes = bytes.map(Zeroizing::new).ok_or(KeyError::Malformed { what: "Fernet key" })?;
        if *bytes == [0; 32] {
            return Err(KeyError::encryption("a Fernet key of zeros alone, which everybody knows"));
        }
        Ok(FernetKey(bytes))
    }

    /// A new key.
    pub fn generate() -> Result<FernetKey, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let filled = getrandom::fill(bytes.as_mut_slice());
        filled.map(|()| FernetKey(bytes)).map_err(|_| KeyError::Crypto { task: "generate a key" })
    }

    /// The text of the key, as every implementation reads it.
    pub fn text(&self) -> Secret {
        Secret::new(base64::padded(self.0.as_slice()).into_bytes())
    }

    /// The half that signs.
    pub fn signing(&self) -> &[u8] {
        &self.0[..16]
    }

    /// The half that encrypts.
    pub fn encryption(&self) -> &[u8] {
        &self.0[16..]
    }
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FernetKey(redacted)")
    }
}

/// The keys of an issuer: the first one encrypts, all of them open.
#[derive(Debug)]
pub struct FernetKeys(Vec<FernetKey>);

impl FernetKeys {
    /// At least one key, the one that encrypts first.
    pub fn new(keys: Vec<FernetKey>) -> Result<FernetKeys, KeyError> {
        if keys.is_empty() { Err(KeyError::NoKeys) } else { Ok(FernetKeys(keys)) }
    }

    /// The key that encrypts.
    pub fn primary(&self) -> Option<&FernetKey> {
        self.0.first()
    }

    /// Every key, the one that encrypts first.
    pub fn iter(&self) -> impl Iterator<Item = &FernetKey> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64url_and_reads_back() {
        let read = |text: &str| FernetKey::read(&Secret::new(text.as_bytes().to_vec()));
        let text = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
        let key = read(text).unwrap();
        assert_eq!(key.text().expose(), text.as_bytes());
        assert!(read(text.trim_end_matches('=')).is_ok() && read(&format!("{text}\n")).is_ok());
        assert_eq!((key.signing().len(), key.encryption().len()), (16, 16));
        assert_eq!(format!("{key:?}"), "FernetKey(redacted)");
        let zeros = base64::padded(&[0; 32]);
        for bad in ["", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4==", "AAAA", &text[1..], "!", &zeros] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let new = FernetKey::generate().unwrap();
        assert_eq!(FernetKey::read(&new.text()).unwrap().0, new.0);
    }
}
