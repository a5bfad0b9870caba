//! The names of JWE's key management (RFC 7518, 4.1), those that are done here and those that are refused.

/// How the key of a token's content reaches its recipient: the `alg` of a JWE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// A shared secret of 256 bits wraps it.
    A256Kw,
    /// A shared secret of 128 bits wraps it.
    A128Kw,
    /// A secret that is agreed with the recipient's public key wraps it, 256 bits.
    EcdhEsA256Kw,
    /// The same with 128 bits.
    EcdhEsA128Kw,
}

/// Known only to be named in a refusal: how the name begins, and why.
const REFUSED: [(&str, &str); 8] = [
    ("RSA1_5", "it leaks what it decrypts to whoever may ask often (RFC 8725, 3.2)"),
    ("RSA-OAEP", "no RSA decryption in constant time is at hand (RUSTSEC-2023-0071)"),
    ("dir", "one key would encrypt every token, and a repeated nonce would break them all"),
    ("PBES2", "a sender could choose how much work a password takes"),
    ("ECDH-ES+A192KW", "ECDH-ES+A256KW does it as well"),
    ("ECDH-ES", "the agreed secret encrypts nothing by itself here: ECDH-ES+A256KW does"),
    ("A192KW", "A256KW does it as well"),
    ("A", "only A256KW and A128KW are known of its family"),
];

impl Management {
    /// Every one, the default first.
    pub const ALL: [Management; 4] =
        [Management::A256Kw, Management::A128Kw, Management::EcdhEsA256Kw, Management::EcdhEsA128Kw];

    /// The `alg` value.
    pub const fn name(self) -> &'static str {
        match self {
            Management::A256Kw => "A256KW",
            Management::A128Kw => "A128KW",
            Management::EcdhEsA256Kw => "ECDH-ES+A256KW",
            Management::EcdhEsA128Kw => "ECDH-ES+A128KW",
        }
    }

    /// The algorithm of this name, or why it is refused.
    pub fn named(name: &str) -> Result<Management, &'static str> {
        let known = Management::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| {
            let refused = REFUSED.iter().find(|(begin, _)| name.starts_with(begin));
            refused.map_or("it is not known here", |(_, why)| why)
        })
    }

    /// Whether both sides have the same secret. Only then does a token that opens say who could have made it.
    pub fn is_shared(self) -> bool {
        matches!(self, Management::A256Kw | Management::A128Kw)
    }

    /// The length of the wrapping key, in bytes.
    pub(super) fn key_bytes(self) -> usize {
        match self {
            Management::A256Kw | Management::EcdhEsA256Kw => 32,
            Management::A128Kw | Management::EcdhEsA128Kw => 16,
        }
    }
}
