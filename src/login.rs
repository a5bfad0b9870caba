//! What stands behind passwords: the users file and the refresh tokens, loaded together.
//!
//! Owns the loading, so that starting and reloading are the same. Must not know requests.

pub mod attempts;
pub mod clients;
pub mod edit;
pub mod password;
pub mod refresh;
pub mod users;

use crate::ground::document::DocumentError;
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::ground::time::Ttl;
use crate::login::refresh::{MIN_SECRET_BYTES, Refresh};
use crate::login::users::Users;
use crate::token::refresh as form;
use std::path::{Path, PathBuf};

/// The longest secret's file, in bytes.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Where the passwords are, and how refresh tokens are made. Nothing is read yet: `issue` needs none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConfig {
    /// `users_file`: an htpasswd file.
    pub users_file: PathBuf,
    /// `refresh_ttl_seconds`: how long a refresh token lives; `None` (0 in the file) gives none out.
    pub refresh_ttl: Option<Ttl>,
    /// `refresh_secret_path`: a secret for refresh tokens alone; without it the issuer's keys sign them.
    pub refresh_secret: Option<PathBuf>,
}

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
