//! Why a key, a certificate chain or a set of keys can't be used.
//!
//! Owns the messages and what helps. Must not know which file or which configuration key the bytes came
//! from: the caller says that. Decision: no variant holds bytes of a key, so that no message can.

use crate::key::algorithm::Algorithm;
use std::fmt;

/// A key or chain that can't be used. `Display` is one line for an operator; [`KeyError::hint`] helps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// What has nothing more to say: one of the constants, or what is wrong in `encryption`.
    Plain {
        /// What was found, or expected.
        what: &'static str,
        /// What helps.
        hint: &'static str,
    },
    /// A shared secret was given for an algorithm that needs a key pair.
    SecretForKeyPair {
        /// The asked algorithm.
        algorithm: Algorithm,
    },
    /// The text holds no PEM block.
    NotPem {
        /// What it looks like instead.
        found: &'static str,
        /// What helps.
        hint: &'static str,
    },
    /// The text is longer than any key or chain.
    TooLong {
        /// The limit, in bytes.
        most: usize,
    },
    /// A PEM block starts and doesn't end.
    Unterminated {
        /// What stands after BEGIN.
        label: String,
    },
    /// The text of a PEM block is not base64.
    Base64 {
        /// What stands after BEGIN.
        label: String,
    },
    /// A private key was expected.
    NotPrivate {
        /// What the file holds instead.
        found: String,
    },
    /// A public key was expected.
    NotPublic {
        /// What the file holds instead.
        found: String,
    },
    /// More than one private key: nothing says which is meant.
    SeveralKeys {
        /// How many there are.
        count: usize,
    },
    /// The block is not what its label says.
    Malformed {
        /// What it should be.
        what: &'static str,
    },
    /// A well-formed key of a type or curve that Keypebble doesn't sign with.
    Unsupported {
        /// What it is.
        what: String,
    },
    /// The key can't do the asked algorithm.
    WrongAlgorithm {
        /// What the key is.
        key: &'static str,
        /// The asked algorithm.
        asked: Algorithm,
        /// What it can do.
        can: &'static [Algorithm],
    },
    /// An RSA modulus that is too small to be safe, or larger than the backing crate takes.
    RsaSize {
        /// Its length, in bits.
        bits: usize,
    },
    /// An RSA public exponent other than 65537.
    RsaExponent,
    /// The numbers of a key contradict each other.
    Inconsistent {
        /// What the key is.
        key: &'static str,
    },
    /// The chain holds no certificate.
    EmptyChain,
    /// More certificates than a token can carry.
    LongChain {
        /// How many there are.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// The chain's first certificate is for another key.
    ChainOfOtherKey {
        /// Where in the chain the key's own certificate is, counted from 1, if it is there at all.
        found_at: Option<usize>,
    },
    /// A JWK that can't be used (RFC 7517).
    Jwk {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two keys of one ring have the same id.
    DuplicateId {
        /// The id.
        id: String,
    },
    /// Two keys of one ring would sign.
    SeveralActive,
    /// A set of keys has none that is usable.
    NoKeys,
    /// The backing crate failed to sign or to generate.
    Crypto {
        /// What it was asked to do.
        task: &'static str,
    },
}

impl KeyError {
    pub(crate) const EMPTY_SECRET: Self =
        plain("the secret is empty", "make a secret with: openssl rand -base64 48");
    pub(crate) const PEM_AS_SECRET: Self = plain(
        "the shared secret is a PEM text: a key or a certificate",
        "for a private key set `private_key_path`; a public key or a certificate can't sign",
    );
    pub(crate) const JWK_AS_SECRET: Self = plain(
        "the shared secret is a JWK: the text of a key, not its bytes",
        "`private_key_path` and, without `algorithm`, `keys` read JWK files of every kind",
    );
    pub(crate) const ENCRYPTED: Self = plain(
        "the private key is protected by a passphrase",
        "take the passphrase off with: openssl pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem",
    );
    pub(crate) const OPENSSH: Self = plain(
        "the private key is in OpenSSH's own format",
        "for RSA and ECDSA convert a copy with: ssh-keygen -p -m PKCS8 -f copy-of-key; \
         for Ed25519 make a new key with: openssl genpkey -algorithm ed25519 -out key.pem",
    );
    /// RFC 9881, 6.
    pub(crate) const NO_SEED: Self = plain(
        "an ML-DSA private key without its seed",
        "make the key again in a form that keeps the seed; OpenSSL 3.5 does so by default",
    );
    /// A verifier couldn't tell the keys apart.
    pub(crate) const MISSING_ID: Self =
        plain("a key of a ring of several has no id", "give every HMAC key of the ring an `id`");

    /// A key that cannot encrypt tokens, or open them.
    pub(crate) const fn encryption(what: &'static str) -> Self {
        plain(
            what,
            "make a shared secret with: openssl rand -base64 32; or a recipient's key pair with: \
             openssl genpkey -algorithm X25519 -out recipient.pem",
        )
    }

    /// What the operator can do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            KeyError::SecretForKeyPair { .. } => {
                "a shared secret signs HS256, HS384 and HS512; for this algorithm set `private_key_path`"
            }
            KeyError::Plain { hint, .. } | KeyError::NotPem { hint, .. } => hint,
            KeyError::Unterminated { .. } => "the file is cut short: copy it again, with its END line",
            KeyError::Base64 { .. } => {
                "copy the file again; in YAML, a PEM text needs `|`, its lines indented alike, and no `\\n` \
                 spelled out"
            }
            KeyError::NotPrivate { .. } => {
                "the private key is the file whose first line is -----BEGIN PRIVATE KEY-----, \
                 BEGIN RSA PRIVATE KEY or BEGIN EC PRIVATE KEY"
            }
            KeyError::NotPublic { .. } => {
                "get the public key with: openssl pkey -in key.pem -pubout -out public.pem"
            }
            KeyError::SeveralKeys { .. } => "leave one private key in the file",
            KeyError::Malformed { what: "certificate" } => {
                "see what OpenSSL says: openssl x509 -in chain.pem -noout -text"
            }
            KeyError::Malformed { .. } => {
                "see what OpenSSL says, without showing the key: openssl pkey -in key.pem -noout -check"
            }
            KeyError::Unsupported { .. } => {
                "make a key that can sign tokens with: \
                 openssl ecparam -genkey -noout -name prime256v1 -out key.pem"
            }
            KeyError::WrongAlgorithm { can, .. } => {
                return Some(format!("set `algorithm` to {}, or leave it out", list(can)));
            }
            KeyError::RsaSize { .. } | KeyError::RsaExponent => {
                "make a key with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem"
            }
            KeyError::EmptyChain => "the file must hold the key's own certificate first, as PEM",
            KeyError::LongChain { .. } => {
                "give the key's own certificate and the intermediates, and nothing else"
            }
            KeyError::ChainOfOtherKey { found_at: Some(_) } => "put the key's own certificate first",
            KeyError::ChainOfOtherKey { found_at: None } => {
                "compare: openssl x509 -in chain.pem -noout -pubkey, and openssl pkey -in key.pem -pubout"
            }
            KeyError::TooLong { .. }
            | KeyError::Inconsistent { .. }
            | KeyError::Jwk { .. }
            | KeyError::DuplicateId { .. }
            | KeyError::SeveralActive
            | KeyError::NoKeys
            | KeyError::Crypto { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Plain { what, .. } => f.write_str(what),
            KeyError::SecretForKeyPair { algorithm } => {
                write!(f, "{algorithm} needs a private key, not a shared secret")
            }
            KeyError::NotPem { found, .. } => write!(f, "no PEM block: this looks like {found}"),
            KeyError::TooLong { most } => write!(f, "longer than {most} bytes"),
            KeyError::Unterminated { label } => write!(f, "BEGIN {label} has no END {label}"),
            KeyError::Base64 { label } => write!(f, "the text of {label} is not base64, or is cut short"),
            KeyError::NotPrivate { found } => write!(f, "expected a private key, found {found}"),
            KeyError::NotPublic { found } => write!(f, "expected a public key, found {found}"),
            KeyError::SeveralKeys { count } => write!(f, "{count} private keys in one file"),
            KeyError::Malformed { what } => write!(f, "not a well-formed {what}"),
            KeyError::Unsupported { what } => write!(f, "can't sign tokens with {what}"),
            KeyError::WrongAlgorithm { key, asked, can } => {
                write!(f, "{key} can't sign {asked}, it can sign {}", list(can))
            }
            KeyError::RsaSize { bits } => {
                write!(f, "an RSA key of {bits} bits: 2048 to 4096 are accepted")
            }
            KeyError::RsaExponent => write!(f, "an RSA key whose public exponent is not 65537"),
            KeyError::Inconsistent { key } => {
                write!(f, "{key} whose parts don't belong together: the file is damaged")
            }
            KeyError::EmptyChain => write!(f, "the chain holds no certificate"),
            KeyError::LongChain { count, most } => {
                write!(f, "the chain holds {count} certificates, at most {most} are accepted")
            }
            KeyError::ChainOfOtherKey { found_at: None } => {
                write!(f, "the chain's first certificate is for another key")
            }
            KeyError::ChainOfOtherKey { found_at: Some(place) } => {
                write!(f, "the key's own certificate is number {place} of the chain, not the first")
            }
            KeyError::Jwk { why } => write!(f, "unusable JWK: {why}"),
            KeyError::DuplicateId { id } => write!(f, "two keys have the id `{}`", id.escape_debug()),
            KeyError::SeveralActive => write!(f, "more than one active key"),
            KeyError::NoKeys => write!(f, "no usable key in the set"),
            KeyError::Crypto { task } => write!(f, "the cryptographic library failed to {task}"),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<der::Error> for KeyError {
    fn from(_: der::Error) -> KeyError {
        KeyError::Malformed { what: "key" }
    }
}

const fn plain(what: &'static str, hint: &'static str) -> KeyError {
    KeyError::Plain { what, hint }
}

/// `RS256, RS384 or PS256`.
fn list(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => (*last).to_owned(),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_in_lower_case_without_a_full_stop() {
        let label = || "PRIVATE KEY".to_owned();
        for error in [
            KeyError::EMPTY_SECRET,
            KeyError::PEM_AS_SECRET,
            KeyError::JWK_AS_SECRET,
            KeyError::SecretForKeyPair { algorithm: Algorithm::ES256 },
            KeyError::NotPem { found: "other text", hint: "is this the right file?" },
            KeyError::TooLong { most: 1 },
            KeyError::Unterminated { label: label() },
            KeyError::Base64 { label: label() },
            KeyError::ENCRYPTED,
            KeyError::OPENSSH,
            KeyError::NotPrivate { found: label() },
            KeyError::NotPublic { found: label() },
            KeyError::SeveralKeys { count: 2 },
            KeyError::Malformed { what: "certificate" },
            KeyError::Malformed { what: "public key" },
            KeyError::Unsupported { what: "a DSA key".to_owned() },
            KeyError::RsaSize { bits: 1024 },
            KeyError::RsaExponent,
            KeyError::Inconsistent { key: "an RSA key" },
            KeyError::NO_SEED,
            KeyError::EmptyChain,
            KeyError::LongChain { count: 11, most: 10 },
            KeyError::ChainOfOtherKey { found_at: None },
            KeyError::ChainOfOtherKey { found_at: Some(2) },
            KeyError::Jwk { why: "not an object" },
            KeyError::encryption("a key of zeros"),
            KeyError::DuplicateId { id: "a\nb".to_owned() },
            KeyError::MISSING_ID,
            KeyError::SeveralActive,
            KeyError::NoKeys,
            KeyError::Crypto { task: "sign" },
        ] {
            for text in [Some(error.to_string()), error.hint()].into_iter().flatten() {
                assert!(!text.contains('\n') && !text.contains("  ") && !text.ends_with('.'), "{text}");
                let mut first = text.chars();
                let shouted = first.next().is_some_and(char::is_uppercase);
                assert!(!shouted || first.next().is_some_and(char::is_uppercase), "{text}");
            }
        }
        assert_eq!(list(&[Algorithm::RS256, Algorithm::PS256]), "RS256 or PS256");
        let hint = KeyError::WrongAlgorithm {
            key: "an Ed25519 key",
            asked: Algorithm::RS256,
            can: &[Algorithm::EdDSA],
        };
        assert_eq!(hint.hint().as_deref(), Some("set `algorithm` to EdDSA, or leave it out"));
    }
}
