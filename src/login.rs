//! What stands behind passwords: the users file and the refresh tokens, loaded together.
//!
//! Owns the loading, so that starting and reloading are the same. Must not know requests.

pub mod attempts;
pub mod password;
pub mod refresh;
pub mod users;

use crate::config::LoginConfig;
use crate::ground::document::DocumentError;
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::login::refresh::{MIN_SECRET_BYTES, Refresh};
use crate::login::users::Users;
use crate::token::refresh as form;
use std::path::Path;

/// The longest secret's file, in bytes.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Who has a password, and what keeps a client from asking for it again.
#[derive(Debug)]
pub struct Logins {
    /// The users file.
    pub users: Users,
    /// Refresh tokens, if any are given out.
    pub refresh: Option<Refresh>,
}

impl Logins {
    /// Reads the files that a configuration names; may be called again when they change.
    pub fn load(config: &LoginConfig, files: &mut Files) -> Result<Self, DocumentError> {
        let users = Users::load(&config.users_file, files)?;
        let own = config.refresh_secret.as_deref().map(|path| secret(path, files)).transpose()?;
        let refresh = config.refresh_ttl.map(|ttl| Refresh::new(own, ttl));
        Ok(Self { users, refresh })
    }
}

/// The secret for refresh tokens.
fn secret(path: &Path, files: &mut Files) -> Result<Secret, DocumentError> {
    let read = files.secret(path, MAX_SECRET_FILE_BYTES);
    let secret = read.map_err(|error| DocumentError::unreadable(path, error))?;
    if secret.expose().len() < MIN_SECRET_BYTES {
        let problem = format!("a secret for refresh tokens has at least {MIN_SECRET_BYTES} bytes");
        return Err(DocumentError::new(path, problem).hint("make one with: openssl rand -base64 48"));
    }
    form::own_key(&secret).map_err(|error| DocumentError::new(path, error.to_string()))?;
    Ok(secret)
}
