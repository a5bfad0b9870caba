//! What an operator does to a store: make it, look at it, copy it.
//!
//! Owns the acts behind `keypebble store`. Decision: `init` alone creates, and leaves alone whatever it did not
//! create.

use super::config::StoreConfig;
use super::engine::Connection;
use super::fault::StoreFault;
use super::{schema, statements, writer};
use crate::ground::time::UnixTime;
use std::fmt;
use std::path::Path;

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

/// What is in a store that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The version of its schema.
    pub version: usize,
    /// Tokens in it.
    pub tokens: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema version {}", self.version)?;
        if self.version < schema::VERSION {
            write!(f, " (`serve` and `store init` make it {})", schema::VERSION)?;
        }
        write!(f, ", {} token(s)", self.tokens)
    }
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

/// Looks whether a store can be used: its version, and whether it lets itself be written. Changes nothing.
pub fn check(config: &StoreConfig) -> Result<Report, StoreFault> {
    look(&mut schema::reach(config)?, config)
}

/// The same, and looks through all of it for damage.
pub fn examine(config: &StoreConfig) -> Result<Report, StoreFault> {
    let mut connection = schema::reach(config)?;
    connection.examine()?;
    look(&mut connection, config)
}

fn look(connection: &mut Connection, config: &StoreConfig) -> Result<Report, StoreFault> {
    schema::refuse_newer(connection, config)?;
    connection.begin(false)?;
    connection.commit()?;
    connection.rows("SELECT 1 FROM token, revocation, event WHERE 1 = 0", &[])?; // every table is there
    let version = connection.version()?.unwrap_or(0);
    Ok(Report { version, tokens: statements::count(connection)? })
}

/// Copies the store to a file that does not exist yet, as it is at one moment.
pub fn backup(config: &StoreConfig, file: &Path) -> Result<(), StoreFault> {
    schema::reach(config)?.backup(file)
}

/// Takes away what expired longer ago than the store keeps it; gives how many tokens.
pub fn prune(config: &StoreConfig, now: UnixTime) -> Result<u64, StoreFault> {
    let mut connection = schema::open(config)?;
    schema::refuse_newer(&mut connection, config)?;
    writer::prune(&mut connection, config.keep_days, now, || true)
}
