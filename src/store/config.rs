//! Where the memory is, and how much hangs on it: what `store:` and its neighbours say.
//!
//! Owns the two kinds of place. Must not know YAML (`config` reads it).

use super::server::Server;
use std::fmt;
use std::path::PathBuf;

/// `store`, `store_required` and `store_keep_days`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where it is.
    pub place: Place,
    /// Whether a token may only be given out once it is durably recorded.
    pub required: bool,
    /// How many days a record stays after its token has expired.
    pub keep_days: u32,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `sqlite:PATH`: one file, for one node.
    Sqlite(PathBuf),
    /// `postgres://...`: a server, for several nodes.
    Postgres(Server),
}

impl fmt::Display for Place {
    /// As messages name it: without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(path) => write!(f, "{}", path.display()),
            Place::Postgres(server) => server.fmt(f),
        }
    }
}
