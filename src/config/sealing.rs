//! `token_format`, and what belongs to it: `token_type`, `encryption` and `fernet`.
//!
//! Owns these keys and how they depend on each other. Decision: a section may stand without the format that needs
//! it, since `issue --format` chooses another; a format without its section is an error at the line that names it.

use super::key::{checked_id, folder_error, key_error};
use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::text::quoted;
use crate::key::encryption::{EncryptionKey, Management};
use crate::key::fernet::{ENABLED, FernetKeys, NOT_ENABLED};
use crate::key::keyring::Keyring;
use crate::keystore::fernet::{self, MAX_ACTIVE_KEYS};
use crate::token::{Format, Opener, Sealer, Typ};
use std::path::PathBuf;
use std::sync::Arc;

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 4] = ["token_format", "token_type", "encryption", "fernet"];

/// The ways to name a key of `encryption`.
const SOURCES: [&str; 3] = ["secret_path", "public_key_path", "jwk_path"];

/// How tokens are sealed that are no registry's.
#[derive(Debug, Default)]
pub struct Sealing {
    /// `token_format`
    pub format: Format,
    /// `token_type`
    pub typ: Typ,
    /// `encryption`
    pub encryption: Option<EncryptionKey>,
    /// `fernet`
    pub fernet: Option<Arc<FernetKeys>>,
}

/// A folder of Fernet keys, which may still have to be made.
#[derive(Debug)]
pub struct FernetFolder {
    /// `key_dir`
    pub path: PathBuf,
    /// `max_active_keys`: how many keys a rotation leaves.
    pub most: usize,
}

impl Sealing {
    pub(super) fn read(root: &Node<'_>, keyring: &Keyring, files: &mut Files) -> Result<Self, DocumentError> {
        let mut sealing = Self {
            format: format(root)?,
            typ: typ(root)?,
            encryption: encryption(root, keyring, files)?,
            fernet: fernet_keys(root, files)?,
        };
        if let Some(node) = root.get("token_format")
            && let Err([problem, hint]) = sealing.use_format(sealing.format)
        {
            return Err(node.error(problem).hint(hint));
        }
        if sealing.format == Format::Jwe
            && !sealing.encryption.as_ref().is_some_and(|key| key.management().is_shared())
        {
            files.warn(
                "anybody who has the recipient's public key can make tokens like those of `token_format: jwe`",
                "set `token_format: nested`, which signs them first",
            );
        }
        Ok(sealing)
    }

    /// Chooses a format; what is missing for it, and what to do, where something is.
    pub fn use_format(&mut self, format: Format) -> Result<(), [&'static str; 2]> {
        match format {
            Format::Jwe | Format::Fernet if self.typ == Typ::AccessToken => {
                return Err([
                    "an access token (`token_type: at+jwt`) is signed, and this format signs nothing",
                    "RFC 9068 (2.1) asks for a signature: use nested or jwt, or leave `token_type` out",
                ]);
            }
            Format::Jwe | Format::Nested if self.encryption.is_none() => {
                return Err([
                    "an encrypted token needs `encryption` in the configuration",
                    "add `encryption: {algorithm: A256KW, secret_path: PATH}`, or a recipient's `public_key_path`",
                ]);
            }
            Format::Fernet if !ENABLED => return Err(NOT_ENABLED),
            Format::Fernet if self.fernet.is_none() => {
                return Err([
                    "a Fernet token needs `fernet` in the configuration",
                    "add `fernet: {key_dir: PATH}`, and make its keys with: keypebble keys generate --fernet",
                ]);
            }
            _ => {}
        }
        self.format = format;
        Ok(())
    }

    /// What seals, where that is not the signature alone.
    pub fn sealer(&self, keyring: &Keyring) -> Option<Sealer> {
        let key = || Arc::clone(keyring.active());
        match self.format {
            Format::Jwt => None,
            Format::Jwe => self.encryption.clone().map(Sealer::jwe),
            Format::Nested => self.encryption.clone().map(|encryption| Sealer::nested(key(), encryption)),
            Format::Fernet => self.fernet.clone().map(Sealer::fernet),
        }
    }

    /// What opens the tokens that these keys seal, as far as the keys are here: no recipient's private key is.
    pub fn openers(&self) -> Vec<Opener> {
        let shared = self.encryption.as_ref().and_then(EncryptionKey::opener).map(Opener::Jwe);
        shared.into_iter().chain(self.fernet.clone().map(Opener::Fernet)).collect()
    }
}

fn format(root: &Node<'_>) -> Result<Format, DocumentError> {
    let Some(node) = root.get("token_format") else { return Ok(Format::default()) };
    let name = node.string()?;
    Format::named(name).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        // Not `node.quoted()`: a token may be a secret, and the name of its format is none.
        node.error(format!("unknown token format {}", quoted("", name)))
            .hint(format!("the formats are {names}"))
    })
}

fn typ(root: &Node<'_>) -> Result<Typ, DocumentError> {
    let Some(node) = root.get("token_type") else { return Ok(Typ::default()) };
    let name = node.string()?;
    Typ::named(name).ok_or_else(|| {
        node.error(format!("expected `JWT` or `at+jwt`, found {}", quoted("", name)))
            .hint("at+jwt: access tokens as RFC 9068 has them")
    })
}

fn encryption(
    root: &Node<'_>,
    keyring: &Keyring,
    files: &mut Files,
) -> Result<Option<EncryptionKey>, DocumentError> {
    let Some(section) = root.get("encryption") else { return Ok(None) };
    section.allow_keys(&["algorithm", "kid", "secret_path", "public_key_path", "jwk_path"])?;
    let algorithm = match section.get("algorithm") {
        None => None,
        Some(node) => Some(Management::named(node.string()?).map_err(|why| {
            let names = Management::ALL.map(Management::name).join(", ");
            node.error(format!("{} is refused: {why}", node.quoted()))
                .hint(format!("the algorithms are {names}"))
        })?),
    };
    let id = section.get("kid").map(|node| checked_id(&node)).transpose()?;
    let mut used = SOURCES.into_iter().filter_map(|name| Some((name, section.get(name)?)));
    let Some((first, node)) = used.next() else {
        return Err(section
            .error("no encryption key is set")
            .hint(format!("set one of {}", SOURCES.join(", "))));
    };
    if let Some((second, node)) = used.next() {
        let error = node.error(format!("`{first}` and `{second}` both name an encryption key"));
        return Err(error.hint("leave one of them out"));
    }
    let key = match first {
        "secret_path" => EncryptionKey::shared(&node.secret(files)?, algorithm, id),
        "public_key_path" => EncryptionKey::public(&node.contents(files)?, algorithm, id),
        _ => {
            // It may hold a secret, which others must not read.
            let key = EncryptionKey::from_jwk(&node.contents(files)?, algorithm, id);
            if key.as_ref().is_ok_and(|key| key.management().is_shared()) {
                node.private(files)?;
            }
            key
        }
    };
    let key = key.map_err(|error| key_error(&node, &error))?;
    let mut signing = keyring.verifiers().iter().filter_map(|key| key.public());
    if signing.any(|public| key.is_half_of(public)) {
        return Err(node
            .error("this is the key that signs: one key is for one purpose")
            .hint("ask the recipient for a key of their own, for encryption"));
    }
    Ok(Some(key))
}

impl FernetFolder {
    /// Reads `fernet`; the keys in the folder are not read.
    pub(super) fn read(root: &Node<'_>, files: &mut Files) -> Result<Option<Self>, DocumentError> {
        let Some(section) = root.get("fernet") else { return Ok(None) };
        section.needs(ENABLED, NOT_ENABLED)?;
        section.allow_keys(&["key_dir", "max_active_keys"])?;
        let node = section.required("key_dir", "name the folder of the Fernet keys")?;
        let most = match section.get("max_active_keys") {
            None => MAX_ACTIVE_KEYS,
            Some(node) => usize::try_from(node.integer(2, 1000)?).unwrap_or(MAX_ACTIVE_KEYS),
        };
        Ok(Some(Self { path: node.path(files)?, most }))
    }
}

fn fernet_keys(root: &Node<'_>, files: &mut Files) -> Result<Option<Arc<FernetKeys>>, DocumentError> {
    let (Some(folder), Some(section)) = (FernetFolder::read(root, files)?, root.get("fernet")) else {
        return Ok(None);
    };
    let loaded = fernet::Folder::load(&folder.path, files).map_err(|error| {
        folder_error(error, |text| section.get("key_dir").as_ref().unwrap_or(&section).error(text))
    })?;
    Ok(Some(Arc::new(loaded.into_keys())))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::ground::document::Document;
    use crate::ground::file::Files;
    use crate::token::{Format, Typ};
    use std::path::Path;

    const BASE: &str = "issuer: i\naudience: a\nprivate_key_path: tests/data/keys/p256.pem\n";

    fn read(rest: &str) -> (Result<Config, String>, Vec<String>) {
        // The keys' paths are relative to the configuration's folder.
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml");
        let mut files = Files::default();
        let document = Document::parse(&path, format!("{BASE}{rest}")).unwrap();
        let config = Config::read_with(&document, &mut files)
            .map_err(|error| format!("{error} | {}", error.hint.clone().unwrap_or_default()));
        (config, files.warnings().iter().map(|warning| warning.what.clone()).collect())
    }

    #[test]
    fn formats_and_types_are_read() {
        let (config, _) = read("");
        let sealing = config.unwrap().sealing;
        assert_eq!(
            (sealing.format, sealing.typ, sealing.encryption.is_none()),
            (Format::Jwt, Typ::Jwt, true)
        );
        let encryption = "encryption: {public_key_path: tests/data/keys/x25519-pub.pem, kid: k}\n";
        let (config, warnings) = read(&format!("{encryption}token_format: nested\ntoken_type: at+jwt\n"));
        let sealing = config.unwrap().sealing;
        assert_eq!((sealing.format, sealing.typ), (Format::Nested, Typ::AccessToken));
        assert_eq!(sealing.encryption.unwrap().id(), Some("k"));
        assert!(!warnings.iter().any(|warning| warning.contains("anybody who has")));
        let (config, warnings) = read(&format!("{encryption}token_format: jwe\n"));
        assert!(config.is_ok() && warnings.iter().any(|warning| warning.contains("anybody who has")));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        for (rest, part) in [
            ("token_format: jws\n", "unknown token format `jws` | the formats are jwt, jwe, nested, fernet"),
            ("token_format: jwe\n", "needs `encryption`"),
            ("token_format: nested\n", "needs `encryption`"),
            ("token_type: jose\n", "expected `JWT` or `at+jwt`, found `jose`"),
            ("encryption: {}\n", "set one of secret_path, public_key_path, jwk_path"),
            (
                "encryption: {algorithm: RSA-OAEP, secret_path: x}\n",
                "refused: no RSA decryption in constant time",
            ),
            ("encryption: {algorithm: dir, secret_path: x}\n", "refused: one key would encrypt every token"),
            ("encryption: {algorithm: RSA1_5, secret_path: x}\n", "refused: it leaks"),
            (
                "encryption: {algorithm: PBES2-HS256+A128KW, secret_path: x}\n",
                "refused: a sender could choose",
            ),
            ("encryption: {zip: DEF, secret_path: x}\n", "unknown key `zip`"),
            ("encryption: {secret_path: x, jwk_path: y}\n", "both name an encryption key"),
            (
                "encryption: {public_key_path: tests/data/keys/p256-pub.pem}\n",
                "this is the key that signs: one key is for one purpose",
            ),
            ("encryption: {public_key_path: tests/data/keys/p256.pem}\n", "expected a public key"),
            ("encryption: {public_key_path: tests/data/keys/rsa2048-pub.pem}\n", "on P-256 and X25519 alone"),
            (
                "encryption: {algorithm: A256KW, public_key_path: tests/data/keys/x25519-pub.pem}\n",
                "a public key is for ECDH-ES+A256KW",
            ),
            ("encryption: {secret_path: tests/data/keys/README.md}\n", "expected 32 bytes in base64"),
        ] {
            let error = read(rest).0.expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
    }

    #[cfg(feature = "fernet")]
    #[test]
    fn fernet_needs_its_folder_of_keys_and_is_no_access_token() {
        for (rest, part) in [
            ("token_format: fernet\n", "needs `fernet`"),
            ("fernet: {}\n", "`key_dir` is missing"),
            ("fernet: {key_dir: none}\n", "fernet.key_dir: cannot read"),
            ("fernet: {key_dir: none, max_active_keys: 1}\n", "a whole number from 2 to 1000, found 1"),
        ] {
            let error = read(rest).0.expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
        let encryption = "encryption: {public_key_path: tests/data/keys/x25519-pub.pem}\n";
        let error = read(&format!("{encryption}token_format: jwe\ntoken_type: at+jwt\n")).0.unwrap_err();
        assert!(error.contains("an access token (`token_type: at+jwt`) is signed"), "{error}");
    }

    #[cfg(not(feature = "fernet"))]
    #[test]
    fn a_build_without_fernet_says_so() {
        let error = read("fernet: {key_dir: none}\n").0.unwrap_err();
        assert!(error.contains("the feature `fernet` is off"), "{error}");
    }
}
