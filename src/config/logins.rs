//! `users_file` and the keys that say how refresh tokens are made.

use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::time::Ttl;
use crate::login::LoginConfig;
use crate::login::password::ENABLED;
use crate::login::users::NOT_ENABLED;

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 3] = ["users_file", "refresh_ttl_seconds", "refresh_secret_path"];

/// How long a refresh token lives where the file says nothing: 30 days.
const REFRESH_TTL_SECONDS: u64 = 30 * 24 * 60 * 60;

impl LoginConfig {
    /// Reads the keys from the root of a configuration.
    pub(super) fn read(root: &Node<'_>, files: &mut Files) -> Result<Option<Self>, DocumentError> {
        let Some(users) = root.get("users_file") else {
            let hint = "refresh tokens are for users who log in here with a password: add `users_file`, or leave it out";
            return root.no_key_without(&KEYS, "users_file", hint).map(|()| None);
        };
        users.needs(ENABLED, NOT_ENABLED)?;
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
