//! The signing key that a configuration names.
//!
//! Owns the keys of the file that say where the key is, and how they exclude each other. Decision: exactly
//! one of them may stand, because two would leave it open which one signs.

use crate::ground::document::{Document, DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::ground::text::sentence;
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::Keyring;
use crate::key::{Chain, Key, KeyError, PublicKey};
use crate::keystore::KeystoreError;

/// The keys of the file that this reads: those of the single-key form.
pub(super) const KEYS: [&str; 12] = [
    "algorithm",
    "hs256_secret",
    "hs256_secret_path",
    "secret",
    "secret_path",
    "rs256_private_key",
    "rs256_private_key_path",
    "private_key_path",
    "rs256_public_key",
    "kid",
    "key_id",
    "x5c_chain_path",
];

/// The ways to name a key: the configuration key, what its value is, and the algorithm that it implies.
const SOURCES: [(&str, Form, Option<Algorithm>); 7] = [
    ("hs256_secret", Form::Secret, Some(Algorithm::HS256)),
    ("hs256_secret_path", Form::SecretFile, Some(Algorithm::HS256)),
    ("secret", Form::Secret, None),
    ("secret_path", Form::SecretFile, None),
    ("rs256_private_key", Form::PemOrFile, Some(Algorithm::RS256)),
    ("rs256_private_key_path", Form::PemFile, Some(Algorithm::RS256)),
    ("private_key_path", Form::PemFile, None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The secret itself.
    Secret,
    /// The path of a file that holds it.
    SecretFile,
    /// The path of a file in PEM or of a JWK.
    PemFile,
    /// A PEM text or the path of one: the original's two documents use it both ways.
    PemOrFile,
}

/// Reads the one key with its id and its chain, as a ring of one.
pub(super) fn load(
    document: &Document,
    root: &Node<'_>,
    files: &mut Files,
) -> Result<Keyring, DocumentError> {
    let (node, form, implied) = source(root)?;
    let algorithm = algorithm(root, implied, form)?;
    let id = id(root)?;
    let mut key = match form {
        Form::Secret | Form::SecretFile => {
            let secret = if form == Form::Secret {
                files.private(document.path());
                Secret::new(node.string_or_empty()?.as_bytes().to_vec())
            } else {
                node.secret(files)?
            };
            let loaded = Key::from_secret(algorithm.unwrap_or(Algorithm::HS256), &secret, id);
            loaded.map_err(|error| key_error(&node, &error))?
        }
        Form::PemFile | Form::PemOrFile => {
            let text = node.string()?;
            let pem = if form == Form::PemOrFile && text.contains("-----BEGIN") {
                files.private(document.path());
                Secret::new(text.as_bytes().to_vec())
            } else {
                node.private(files)?;
                node.contents(files)?.into()
            };
            Key::read(&pem, algorithm, id).map_err(|error| key_error(&node, &error))?
        }
    };
    warn_if_weak(&key, files);
    if let Some(node) = root.get("rs256_public_key") {
        check_public_key(&node, &key, files)?;
    }
    if let Some(node) = root.get("x5c_chain_path") {
        key = with_chain(&node, key, files)?;
    }
    Ok(Keyring::single(key))
}

/// The one way that is used.
fn source<'n>(root: &'n Node<'n>) -> Result<(Node<'n>, Form, Option<Algorithm>), DocumentError> {
    let mut used =
        SOURCES.iter().filter_map(|(name, form, implied)| Some((*name, root.get(name)?, *form, *implied)));
    let Some((first, node, form, implied)) = used.next() else {
        return Err(root.error("no signing key is set").hint(
            "set one of key_dir, keys, hs256_secret, hs256_secret_path, secret, secret_path, rs256_private_key, rs256_private_key_path, private_key_path",
        ));
    };
    match used.next() {
        None => Ok((node, form, implied)),
        Some((second, node, ..)) => Err(node
            .error(format!("`{first}` and `{second}` both name a signing key"))
            .hint("leave one of them out")),
    }
}

/// `algorithm`, or what the key's own name implies; `None` leaves it to the key.
fn algorithm(
    root: &Node<'_>,
    implied: Option<Algorithm>,
    form: Form,
) -> Result<Option<Algorithm>, DocumentError> {
    let Some(node) = root.get("algorithm") else { return Ok(implied) };
    let asked = named_algorithm(&node)?;
    let shared = matches!(form, Form::Secret | Form::SecretFile);
    if implied.is_some_and(|implied| implied != asked) || shared != asked.is_hmac() {
        let what = match implied {
            Some(implied) => implied.name(),
            None if shared => "HS256, HS384 or HS512",
            None => "a private key",
        };
        let general = if asked.is_hmac() { "secret or secret_path" } else { "private_key_path" };
        return Err(node
            .error(format!("`{asked}` contradicts the key that is set, which is for {what}"))
            .hint(format!("leave `algorithm` out, or set the key with {general}")));
    }
    Ok(Some(asked))
}

/// The algorithm of this name.
pub(super) fn named_algorithm(node: &Node<'_>) -> Result<Algorithm, DocumentError> {
    let name = node.string()?;
    name.parse().map_err(|_| {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        node.error(format!("unknown algorithm {}", node.quoted())).hint(format!("the algorithms are {names}"))
    })
}

/// `kid` or `key_id`: two names of the original's for one thing.
fn id(root: &Node<'_>) -> Result<Option<String>, DocumentError> {
    match (root.get("kid"), root.get("key_id")) {
        (Some(_), Some(second)) => {
            Err(second.error("`kid` and `key_id` are two names for one thing").hint("leave one of them out"))
        }
        (Some(node), None) | (None, Some(node)) => checked_id(&node).map(Some),
        (None, None) => Ok(None),
    }
}

/// A key id that a header can carry.
pub(super) fn checked_id(node: &Node<'_>) -> Result<String, DocumentError> {
    let id = node.string()?;
    if id.len() > 256 || id.chars().any(char::is_control) {
        return Err(node.error("expected a key id of at most 256 bytes without control characters"));
    }
    Ok(id.to_owned())
}

fn check_public_key(node: &Node<'_>, key: &Key, files: &mut Files) -> Result<(), DocumentError> {
    let Some(own) = key.public() else {
        return Err(node.error("a shared secret has no public key").hint("leave `rs256_public_key` out"));
    };
    let text = node.string()?;
    let pem =
        if text.contains("-----BEGIN") { text.as_bytes().to_vec().into() } else { node.contents(files)? };
    let (public, _) =
        PublicKey::read(&pem, Some(own.algorithm())).map_err(|error| key_error(node, &error))?;
    if own.matches(&public) {
        Ok(())
    } else {
        Err(node
            .error("this public key is not the private key's")
            .hint("make it with: openssl pkey -in private.pem -pubout -out public.pem"))
    }
}

fn with_chain(node: &Node<'_>, key: Key, files: &mut Files) -> Result<Key, DocumentError> {
    let path = node.path(files)?;
    let chain = Chain::from_pem(&node.contents(files)?).map_err(|error| key_error(node, &error))?;
    let (not_before, not_after) = chain.leaf_validity();
    let now = UnixTime::now();
    if now.0 > not_after {
        files.warn(
            format!(
                "the certificate in {} expired at {}: registries refuse its tokens",
                path.display(),
                UnixTime(not_after)
            ),
            "make a new certificate for the same key",
        );
    } else if now.0 < not_before {
        files.warn(
            format!("the certificate in {} is not valid before {}", path.display(), UnixTime(not_before)),
            "check this host's clock",
        );
    }
    let last = chain.certificates().len() - 1;
    if last > 0 && chain.is_self_signed(last) {
        files.warn(
            format!("the chain in {} includes its root, which makes every token longer", path.display()),
            "leave the self-signed certificate at the end out: verifiers have it in their bundle",
        );
    }
    key.with_chain(chain).map_err(|error| key_error(node, &error))
}

/// Warns of a secret that is shorter than its hash.
pub(super) fn warn_if_weak(key: &Key, files: &mut Files) {
    if let Some(weakness) = key.weakness() {
        files.warn(
            format!(
                "the secret for {} is {} bytes long; RFC 7518 (3.2) asks for at least {}",
                weakness.algorithm, weakness.bytes, weakness.least
            ),
            "make one with: openssl rand -base64 48",
        );
    }
}

/// The error at the place that names the key.
pub(super) fn key_error(node: &Node<'_>, error: &KeyError) -> DocumentError {
    error.hint().into_iter().fold(node.error(error.to_string()), DocumentError::hint)
}

/// The error of a folder of keys: its own place in the folder, or the place that names it.
pub(super) fn folder_error(
    error: KeystoreError,
    named: impl FnOnce(String) -> DocumentError,
) -> DocumentError {
    match error {
        KeystoreError::Document(error) => error,
        other => other.hint().into_iter().fold(named(sentence(&other)), DocumentError::hint),
    }
}
