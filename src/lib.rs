//! Keypebble issues tokens: JWTs for services, and the Docker registry token protocol.
//!
//! One core, two thin edges. Data is parsed once, into types that cannot be wrong; every effect (clock, random
//! id, file, socket, standard output) happens at an edge:
//!
//! ```text
//! socket -> server -> Request -> http (route, identity, scopes, policy) -> Issuance -> issuer -> Issued -> Response
//! argv   -> cli    -> load    ------------------------------------------> Issuance -> issuer -> Issued -> stdout
//! ```
//!
//! Each folder is a room that knows only rooms below it in the list of modules; `tests/layers.rs` holds that as a
//! table. `docs/architecture.md` follows a request, a token, a login, a reload and a rotation through them.

#[cfg(not(unix))]
compile_error!(
    "Keypebble needs Unix sockets, users and file modes: Linux, macOS or FreeBSD; on Windows, use WSL"
);

/// A test key of the repository, as bytes.
#[cfg(test)]
macro_rules! key_file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/", $name)).as_slice()
    };
}

/// Folders of the unit tests' own: the same file as the other tests use.
#[cfg(test)]
#[path = "../tests/common/folder.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other tests use the rest")]
mod scratch;

pub mod cli;
pub mod load;
pub mod server;

pub mod http;

pub mod diagnosis;
pub mod telemetry;

pub mod config;

pub mod store;

pub mod login;

pub mod issuer;

pub mod claims;
pub mod token;

pub mod keystore;

pub mod policy;

pub mod tls;

pub mod key;

pub mod ground;
