//! TLS of our own: the certificate and the key of the server, and the client that asks that server how it is.
//!
//! Owns what of TLS is decided before a connection: which files, whether they fit together, the versions and
//! the protocol that are offered. Must not know sockets. Decision: every connection makes a full handshake:
//! no session tickets and no cache, so nothing outlives a certificate, and an idle server keeps nothing.

#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
mod identity;
#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod itself;

pub use identity::Identity;
#[cfg(feature = "tls")]
pub(crate) use itself::connect_to_itself;

use std::fmt;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// Whether this build speaks TLS.
pub const ENABLED: bool = cfg!(feature = "tls");

/// What a build without the feature says of it, and what to do.
pub const NOT_ENABLED: [&str; 2] = [
    "this build is without the feature `tls`",
    "build with `cargo build --release --features tls`, or put a proxy with TLS in front",
];

/// `service.tls`: where the certificate and its key are. Nothing is read yet: `issue` needs neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate_path`: the server's certificate and what leads from it to a root, as PEM.
    pub certificate: PathBuf,
    /// `key_path`: its private key, as PEM.
    pub key: PathBuf,
}

/// Why a certificate and a key cannot be served.
#[derive(Debug)]
pub struct TlsError {
    /// Which of the two files is wrong: its key in the configuration.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service.tls.{}: {}: {}", self.key, self.path.display(), self.problem)
    }
}

impl std::error::Error for TlsError {}

/// The identity that new connections get. Another can take its place while the server runs.
#[derive(Debug)]
pub struct Live(RwLock<Identity>);

impl Live {
    /// Begins with this one.
    pub fn new(identity: Identity) -> Self {
        Self(RwLock::new(identity))
    }

    /// From now on it is this one; connections that are open keep theirs.
    pub fn replace(&self, identity: Identity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The one in force.
    #[cfg(feature = "tls")]
    pub(crate) fn current(&self) -> Identity {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
