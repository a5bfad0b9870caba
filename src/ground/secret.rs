//! Bytes that must not be seen: redacted in `Debug`, wiped when dropped.
//!
//! Owns secrets between the file they are read from and the key they become. Must not know what they
//! are for. Decision: no `Display`, no `Clone`, no `PartialEq`, so that a copy or a comparison is a
//! visible act.

use std::fmt;
use zeroize::Zeroizing;

/// Secret bytes: a shared secret or a private key's PEM text.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves: every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_bytes_nor_length() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(redacted)");
    }
}
