//! The store: one table of rules for both engines, and the program with a store that goes away and comes back.
//! What needs a PostgreSQL server is ignored: `.ci/run` installs one.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "passwords"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "which rule it was")]
#![allow(missing_docs, unreachable_pub)]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod postgres;
mod rules;
mod serving;

use common::Folder;
use keypebble::store::config::{Place, StoreConfig};
use keypebble::store::server::Server;

/// A store in a file of that folder, not made yet.
fn in_file(folder: &Folder, required: bool) -> StoreConfig {
    StoreConfig { place: Place::Sqlite(folder.join("store.db")), required, keep_days: 1 }
}

/// A store on a server, not made yet.
fn on_server(url: &str, required: bool) -> StoreConfig {
    let server = Server::parse(url, std::path::Path::new("/")).unwrap();
    StoreConfig { place: Place::Postgres(server), required, keep_days: 1 }
}
