//! The key that opens an encrypted token, for the commands that take one.
//!
//! Decision: the token says which format it is, and so how the file is read: a Fernet key, or a key of JWE.

use super::verify::{file, rejected};
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::key::encryption::DecryptionKey;
use crate::key::fernet::{ENABLED, FernetKey, FernetKeys, NOT_ENABLED};
use crate::keystore::fernet::Folder;
use crate::token::{Opener, fernet};
use std::path::Path;
use std::sync::Arc;

/// What `--decrypt-key` names: a file, or a folder of Fernet keys.
pub(super) fn read(path: &Path, token: &str) -> Result<Opener, Error> {
    if path.is_dir() {
        if !ENABLED {
            return Err(Error::NotEnabled(NOT_ENABLED));
        }
        let folder = Folder::load(path, &mut Files::default()).map_err(Error::Keys)?;
        return Ok(Opener::Fernet(Arc::new(folder.into_keys())));
    }
    let secret = Secret::new(file(path)?);
    if !fernet::is_one(token) {
        return DecryptionKey::read(&secret).map(Opener::Jwe).map_err(|error| rejected(path, &error));
    }
    if !ENABLED {
        return Err(Error::NotEnabled(NOT_ENABLED));
    }
    let keys = FernetKey::read(&secret).and_then(|key| FernetKeys::new(vec![key]));
    keys.map(|keys| Opener::Fernet(Arc::new(keys))).map_err(|error| rejected(path, &error))
}
