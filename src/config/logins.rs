//! `users_file` and the keys that say how refresh tokens are made.

use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::time::Ttl;
use crate::login::password::ENABLED;
use crate::login::users::NOT_ENABLED;
use std::path::PathBuf;

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

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 3] = ["users_file", "refresh_ttl_seconds", "refresh_secret_path"];

/// How long a refresh token lives where the file says nothing: 30 days.
const REFRESH_TTL_SECONDS: u64 = 30 * 24 * 60 * 60;

impl LoginConfig {
    /// Reads the keys from the root of a configuration.
    pub(super) fn read(root: &Node<'_>, files: &mut Files) -> Result<Option<Self>, DocumentError> {
        let Some(users) = root.get("users_file") else {
            return match KEYS.into_iter().find_map(|key| root.get(key).map(|node| node.error(format!("`{key}` does nothing without `users_file`")))) {
                Some(error) => Err(error.hint("refresh tokens are for users who log in here with a password: add `users_file`, or leave it out")),
                None => Ok(None),
            };
        };
        if !ENABLED {
            let [problem, hint] = NOT_ENABLED;
            return Err(users.error(problem).hint(hint));
        }
        let refresh_ttl = match root.get("refresh_ttl_seconds") {
            None => Ttl::new(REFRESH_TTL_SECONDS),
            Some(node) => Ttl::new(node.integer(0, u64::from(Ttl::MAX.seconds()))?),
        };
        Ok(Some(Self {
            users_file: users.path(files)?,
            refresh_ttl,
            refresh_secret: root.get("refresh_secret_path").map(|node| node.path(files)).transpose()?,
        }))
    }
}
