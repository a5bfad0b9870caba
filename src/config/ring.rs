//! Several keys: `keys`, a list in the configuration, and `key_dir`, a folder that the `keys` commands
//! manage.
//!
//! Owns the list's keys and what may not stand beside either. Decision: what belongs to a single key
//! (`algorithm`, `kid`, `x5c_chain_path`) is refused beside a ring, because it would be silent about which
//! key it means.

use super::key::{self, checked_id, folder_error, key_error, named_algorithm, warn_if_weak};
use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::key::keyring::{Keyring, RingKey, State};
use crate::key::{Key, PublicKey};
use crate::keystore::Keystore;

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 2] = ["keys", "key_dir"];

/// Reads `keys` or `key_dir`; `None` where neither stands.
pub(super) fn load(root: &Node<'_>, files: &mut Files) -> Result<Option<Keyring>, DocumentError> {
    match source(root)? {
        None => Ok(None),
        Some(("keys", node)) => list(&node, files).map(Some),
        Some((_, node)) => folder(&node, files).map(Some),
    }
}

/// `keys` or `key_dir`, where one of them stands, and nothing that contradicts it.
pub(super) fn source<'n>(root: &'n Node<'n>) -> Result<Option<(&'static str, Node<'n>)>, DocumentError> {
    let (name, node) = match (root.get("keys"), root.get("key_dir")) {
        (None, None) => return Ok(None),
        (Some(_), Some(node)) => {
            let error = node.error("`keys` and `key_dir` both name the signing keys");
            return Err(error.hint("leave one of them out"));
        }
        (Some(node), None) => ("keys", node),
        (None, Some(node)) => ("key_dir", node),
    };
    if let Some((single, at)) = key::KEYS.into_iter().find_map(|single| Some((single, root.get(single)?))) {
        return Err(at
            .error(format!("`{single}` belongs to a single key, but `{name}` names several"))
            .hint(format!("leave `{single}` out, or `{name}`")));
    }
    Ok(Some((name, node)))
}

fn list(node: &Node<'_>, files: &mut Files) -> Result<Keyring, DocumentError> {
    let mut active: Option<Key> = None;
    let mut others = Vec::new();
    for item in node.items()? {
        item.allow_keys(&["id", "algorithm", "path", "state"])?;
        let state = state(&item)?;
        match read(&item, state, files)? {
            Read::Private(key) if state == State::Active => {
                if active.replace(*key).is_some() {
                    return Err(item
                        .error("a second key is `active`, but only one key signs")
                        .hint("set its state to `next` or `previous`"));
                }
            }
            Read::Private(key) => others.push(RingKey::own(*key, state)),
            Read::Public(key, id) => others.push(RingKey::public_only(*key, id, state)),
        }
    }
    let active = active.ok_or_else(|| {
        node.error("no key is `active`, so none can sign").hint("set the state of one to `active`")
    })?;
    Keyring::new(active, others).map_err(|error| key_error(node, &error))
}

enum Read {
    Private(Box<Key>),
    Public(Box<PublicKey>, Option<String>),
}

fn read(item: &Node<'_>, state: State, files: &mut Files) -> Result<Read, DocumentError> {
    let path = item.get("path").ok_or_else(|| item.error("`path` is missing"))?;
    let id = item.get("id").map(|node| checked_id(&node)).transpose()?;
    let algorithm = item.get("algorithm").map(|node| named_algorithm(&node)).transpose()?;
    if let Some(algorithm) = algorithm.filter(|algorithm| algorithm.is_hmac()) {
        let secret = path.secret(files)?;
        let key = Key::from_secret(algorithm, &secret, id).map_err(|error| key_error(&path, &error))?;
        warn_if_weak(&key, files);
        return Ok(Read::Private(Box::new(key)));
    }
    let bytes = path.contents(files)?;
    if state == State::Previous
        && let Ok((public, kid)) = PublicKey::read(&bytes, algorithm)
    {
        return Ok(Read::Public(Box::new(public), id.or(kid)));
    }
    path.private(files)?;
    let key = Key::read(&bytes.into(), algorithm, id).map_err(|error| key_error(&path, &error))?;
    warn_if_weak(&key, files);
    Ok(Read::Private(Box::new(key)))
}

fn state(item: &Node<'_>) -> Result<State, DocumentError> {
    let node = item.required("state", "one of next, active, previous")?;
    let name = node.string()?;
    State::named(name).ok_or_else(|| {
        node.error(format!("expected next, active or previous, found {}", node.quoted())).hint(
            "next: published, does not sign yet; active: signs; previous: no longer signs, still verifies",
        )
    })
}

fn folder(node: &Node<'_>, files: &mut Files) -> Result<Keyring, DocumentError> {
    let store = Keystore::load(&node.path(files)?, files);
    let keyring = store.map_err(|error| folder_error(error, |text| node.error(text)))?.into_keyring();
    for key in keyring.verifiers().iter().filter_map(RingKey::own_key) {
        warn_if_weak(key, files);
    }
    Ok(keyring)
}
