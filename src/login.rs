//! What stands behind passwords: the users file and the refresh tokens, loaded together.
//!
//! Owns the loading, so that starting and reloading are the same. Must not know requests.

pub mod attempts;
pub mod password;
pub mod refresh;
pub mod users;

use crate::config::{LoginConfig, Warning};
use crate::ground::document::{Details, DocumentError, read_bounded};
use crate::ground::secret::Secret;
use crate::login::refresh::{MIN_SECRET_BYTES, Refresh};
use crate::login::users::{Users, readers};
use crate::token::refresh as form;
use std::io;
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
    pub fn load(config: &LoginConfig) -> Result<(Self, Vec<Warning>), DocumentError> {
        let (users, mut warnings) = Users::load(&config.users_file)?;
        let own = config.refresh_secret.as_deref().map(|path| secret(path, &mut warnings)).transpose()?;
        let refresh = config.refresh_ttl.map(|ttl| Refresh::new(own, ttl));
        Ok((Self { users, refresh }, warnings))
    }
}

/// A secret's file; line ends at its end are an editor's, not the secret's.
fn secret(path: &Path, warnings: &mut Vec<Warning>) -> Result<Secret, DocumentError> {
    let fail = |problem: &str, source: Option<io::Error>| {
        let (path, problem) = (path.to_owned(), problem.to_owned());
        DocumentError::from(Details {
            path,
            location: None,
            at: String::new(),
            problem,
            hint: None,
            line: None,
            source,
        })
    };
    let read = read_bounded(path, MAX_SECRET_FILE_BYTES);
    let mut bytes = read.map_err(|error| fail("cannot be read", Some(error)))?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    let secret = Secret::new(bytes);
    if secret.expose().len() < MIN_SECRET_BYTES {
        let problem = format!("a secret for refresh tokens has at least {MIN_SECRET_BYTES} bytes");
        return Err(fail(&problem, None).hint("make one with: openssl rand -base64 48"));
    }
    form::own_key(&secret).map_err(|error| fail(&error.to_string(), None))?;
    warnings.extend(readers(path));
    Ok(secret)
}
