//! The files of keys that commands are given beside a configuration.
//!
//! Decision: where a key is to open a token, the token says which format it is, and so how the file is read: a
//! Fernet key, or a key of JWE.

use crate::cli::error::Error;
use crate::ground::file::{self, Files};
use crate::ground::secret::Secret;
use crate::key::KeyError;
use crate::key::encryption::DecryptionKey;
use crate::key::fernet::{ENABLED, FernetKey, FernetKeys, NOT_ENABLED};
use crate::keystore::fernet::Folder;
use crate::token::{Opener, fernet};
use std::path::Path;
use std::sync::Arc;

/// The most bytes of a key, bundle or JWKS file.
const MAX_FILE: u64 = 256 * 1024;

/// Reads a file of keys.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Error> {
    file::read(path, MAX_FILE)
        .map(|mut bytes| std::mem::take(&mut *bytes))
        .map_err(|source| Error::file("read", path, source))
}

/// A file of keys cannot be used.
pub(super) fn rejected(path: &Path, error: &KeyError) -> Error {
    let rejected = Error::key_file(path, &error.to_string());
    error.hint().into_iter().fold(rejected, Error::with_hint)
}

/// What `--decrypt-key` names: a file, or a folder of Fernet keys.
pub(super) fn opener(path: &Path, token: &str) -> Result<Opener, Error> {
    if path.is_dir() {
        if !ENABLED {
            return Err(Error::not_enabled(NOT_ENABLED));
        }
        let folder = Folder::load(path, &mut Files::default()).map_err(Error::Keys)?;
        return Ok(Opener::Fernet(Arc::new(folder.into_keys())));
    }
    let secret = Secret::new(file(path)?);
    if !fernet::is_one(token) {
        return DecryptionKey::read(&secret).map(Opener::Jwe).map_err(|error| rejected(path, &error));
    }
    if !ENABLED {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    let keys = FernetKey::read(&secret).and_then(|key| FernetKeys::new(vec![key]));
    keys.map(|keys| Opener::Fernet(Arc::new(keys))).map_err(|error| rejected(path, &error))
}
