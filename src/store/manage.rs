//! What an operator does to a store: make it, look at it, copy it.
//!
//! Owns the acts behind `keypebble store`. Decision: `init` alone creates, and leaves alone whatever it did not
//! create.

use super::config::StoreConfig;
use super::engine::Connection;
use super::fault::StoreFault;
use super::{schema, statements, writer};
use crate::ground::time::UnixTime;

/// What [`init`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// There was no store.
    Created,
    /// There was one, of an older version.
    Upgraded,
    /// There was one.
    Unchanged,
}

/// What [`check`] found in a store that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The version of its schema, and the one that this program makes.
    pub version: (usize, usize),
    /// Tokens in it.
    pub tokens: u64,
}

/// Makes a store where there is none, or brings one up to date.
pub fn init(config: &StoreConfig) -> Result<Prepared, StoreFault> {
    let mut connection = Connection::reach(config, true)?;
    if connection.version()?.is_none() {
        return Err(StoreFault::lasting(config, "there is a database already, and it is not Keypebble's")
            .hint("name a file that does not exist"));
    }
    schema::refuse_newer(&mut connection, config)?;
    Ok(match schema::migrate(&mut connection, &schema::MIGRATIONS)? {
        0 => Prepared::Created,
        found if found < schema::VERSION => Prepared::Upgraded,
        _ => Prepared::Unchanged,
    })
}

/// Looks whether a store can be used.
pub fn check(config: &StoreConfig) -> Result<Report, StoreFault> {
    let mut connection = schema::open(config)?;
    schema::refuse_newer(&mut connection, config)?;
    let version = connection.version()?.unwrap_or(0);
    Ok(Report { version: (version, schema::VERSION), tokens: statements::count(&mut connection)? })
}

/// Takes away what expired longer ago than the store keeps it; gives how many tokens.
pub fn prune(config: &StoreConfig, now: UnixTime) -> Result<u64, StoreFault> {
    writer::prune(&mut schema::open(config)?, config.keep_days, now)
}
