//! A folder of keys on disk, as `key_dir` names it and the `keys` commands change it.
//!
//! Owns the folder's format and how it is read. Must not know the configuration, tokens or the command
//! line. Decision: each key has a file of its own that is written once and never changed, and one small
//! manifest says which key is which; every change is one rename of the manifest, so that a crash at any
//! moment, and a server that reads at any moment, find the folder before the change or after it.
//!
//! ```text
//! keys/                         0700
//!   keyring.json                0600  which key is active, next or previous; times
//!   key-3f0c1d2e4b5a6978.pem    0600  a private key (PKCS#8), named at random
//!   key-81a2c3d4e5f60718.secret 0600  an HMAC secret
//!   .lock                       0600  locked (flock) while a command changes the folder
//! ```
//!
//! A new key's file and its folder are on the disk before the manifest names it; a retired key's file is
//! removed after the manifest no longer does. What a crash can leave is a file that nothing names:
//! [`Keystore::strays`].

mod edit;
mod error;
pub mod fernet;
mod lock;
mod manifest;

pub use edit::{Editor, LEEWAY_SECONDS, Retired, Rotated, rotation};
pub use error::KeystoreError;
pub use manifest::{Entry, Manifest};

use crate::ground::document::Document;
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::key::keyring::{Keyring, RingKey, State};
use crate::key::{Key, KeyError};
use manifest::is_key_file;
use std::io;
use std::path::{Path, PathBuf};

/// The manifest's name.
pub const MANIFEST: &str = "keyring.json";

/// The lock's name.
const LOCK: &str = ".lock";

/// ML-DSA's largest key file is under ten kilobytes.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// How often a folder that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// A folder of keys, read whole.
#[derive(Debug)]
pub struct Keystore {
    folder: PathBuf,
    manifest: Manifest,
    keyring: Keyring,
}

impl Keystore {
    /// Reads the manifest and every key that it names.
    pub fn load(folder: &Path, files: &mut Files) -> Result<Self, KeystoreError> {
        let mut attempt = 1;
        loop {
            let manifest = read_manifest(folder, files)?;
            match keyring(folder, &manifest, files) {
                Ok(keyring) => return Ok(Self { folder: folder.to_owned(), manifest, keyring }),
                // A key that is gone was perhaps retired since the manifest was read.
                Err(error) => {
                    if attempt == ATTEMPTS || read_manifest(folder, files)? == manifest {
                        return Err(error);
                    }
                    attempt += 1;
                }
            }
        }
    }

    /// Which key is which.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The keys, without the rest.
    pub fn into_keyring(self) -> Keyring {
        self.keyring
    }

    /// Key files that the manifest doesn't name: a command was interrupted, and they are used by nothing.
    pub fn strays(&self) -> Vec<PathBuf> {
        let Ok(listed) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut strays: Vec<PathBuf> = listed
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_key_file(name))
            .filter(|name| !self.manifest.entries().iter().any(|entry| entry.file == *name))
            .map(|name| self.folder.join(&name))
            .collect();
        strays.sort();
        strays
    }
}

fn read_manifest(folder: &Path, files: &mut Files) -> Result<Manifest, KeystoreError> {
    let path = folder.join(MANIFEST);
    let document = Document::load(&path, files).map_err(|error| {
        let missing = error.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::NotFound);
        if missing {
            error.hint(format!(
                "make the folder's first key with: keypebble keys generate --dir {} --algorithm ES256",
                folder.display()
            ))
        } else {
            error
        }
    })?;
    Ok(Manifest::read(&document)?)
}

fn keyring(folder: &Path, manifest: &Manifest, files: &mut Files) -> Result<Keyring, KeystoreError> {
    let mut active = None;
    let mut others = Vec::new();
    for entry in manifest.entries() {
        let key = load_key(folder, entry, files)?;
        if entry.state == State::Active {
            active = Some(key);
        } else {
            others.push(RingKey::own(key, entry.state));
        }
    }
    let wrong = |source| KeystoreError::Key { path: folder.join(MANIFEST), source };
    Keyring::new(active.ok_or_else(|| wrong(KeyError::NoKeys))?, others).map_err(wrong)
}

fn load_key(folder: &Path, entry: &Entry, files: &mut Files) -> Result<Key, KeystoreError> {
    let path = folder.join(&entry.file);
    let bytes = files.read(&path, MAX_KEY_FILE_BYTES).map_err(|source| KeystoreError::System {
        what: format!("cannot read {}", path.display()),
        source,
    })?;
    files.private(&path);
    let secret = Secret::from(bytes);
    let loaded = if entry.algorithm.is_hmac() {
        Key::from_secret(entry.algorithm, &secret, Some(entry.id.clone()))
    } else {
        Key::from_pem(&secret, Some(entry.algorithm), Some(entry.id.clone()))
    };
    let key = loaded.map_err(|source| KeystoreError::Key { path: path.clone(), source })?;
    match key.public() {
        Some(public) if public.default_id() != entry.id => Err(KeystoreError::refused(
            format!(
                "{} holds a different key than {} says, whose id is {}",
                path.display(),
                MANIFEST,
                entry.id
            ),
            "restore the file, or the whole folder, from a backup",
        )),
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests;
