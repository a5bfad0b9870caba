//! The two databases behind one set of calls.
//!
//! Owns the values that go in and come out, and the choice. Must not know what is kept. Decision: an enum, since
//! the set is closed; parameters are `$1`, `$2`, ... in the order in which they first appear, which both engines
//! take.

#![cfg_attr(
    not(all(feature = "sqlite", feature = "postgres")),
    allow(
        unused_variables,
        unreachable_code,
        dead_code,
        reason = "what only the engine uses that is not in the build"
    )
)]

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use super::config::{Place, StoreConfig};
use super::fault::StoreFault;
use std::borrow::Cow;
use std::path::Path;

/// A parameter, or a field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'v> {
    Null,
    Integer(i64),
    Text(Cow<'v, str>),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Value::Text(text.into())
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        text.as_str().into()
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row, read from its first field to its last.
pub(super) struct Row(std::vec::IntoIter<Value<'static>>);

impl Row {
    pub(super) fn new(fields: Vec<Value<'static>>) -> Self {
        Self(fields.into_iter())
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Value::Integer(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Value::Text(text)) => Some(text.into_owned()),
            _ => None,
        }
    }
}

/// An open database, used by one thread at a time.
#[derive(Debug)]
pub(super) enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(Box<sqlite::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Postgres>),
}

/// Does the same with whichever it is. A build without both has no value of the type.
macro_rules! either {
    ($self:ident, $inner:ident => $act:expr) => {
        match *$self {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(ref mut $inner) => $act,
            #[cfg(feature = "postgres")]
            Connection::Postgres(ref mut $inner) => $act,
        }
    };
}

impl Connection {
    /// Opens a database, whatever is in it; `create` makes it where there is none.
    pub(super) fn reach(config: &StoreConfig, create: bool) -> Result<Self, StoreFault> {
        match &config.place {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(path) => {
                sqlite::Sqlite::open(config, path, create).map(Box::new).map(Connection::Sqlite)
            }
            #[cfg(not(feature = "sqlite"))]
            Place::Sqlite(_) => {
                Err(StoreFault::lasting(config, "this build is without the feature `sqlite`"))
            }
            #[cfg(feature = "postgres")]
            Place::Postgres(server) => {
                postgres::Postgres::open(config, server).map(Box::new).map(Connection::Postgres)
            }
            #[cfg(not(feature = "postgres"))]
            Place::Postgres(_) => {
                Err(StoreFault::lasting(config, "this build is without the feature `postgres`"))
            }
        }
    }

    /// The version of the schema; `None` where what is there is no store.
    pub(super) fn version(&mut self) -> Result<Option<usize>, StoreFault> {
        either!(self, inner => inner.version())
    }

    pub(super) fn set_version(&mut self, version: usize) -> Result<(), StoreFault> {
        either!(self, inner => inner.set_version(version))
    }

    /// Begins a transaction that writes; `durable` ones outlive a power failure once they are committed.
    pub(super) fn begin(&mut self, durable: bool) -> Result<(), StoreFault> {
        either!(self, inner => inner.begin(durable))
    }

    /// Begins a transaction under the lock of those who change the schema.
    pub(super) fn begin_migration(&mut self) -> Result<(), StoreFault> {
        either!(self, inner => inner.begin_migration())
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreFault> {
        either!(self, inner => inner.commit())
    }

    /// Runs a statement; gives how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        either!(self, inner => inner.execute(sql, values))
    }

    /// Inserts rows in as few round trips as it takes, and passes over those that are there; gives how many are
    /// new. A column has a name and is text, or else a number.
    pub(super) fn insert(
        &mut self,
        table: &str,
        columns: &[(&str, bool)],
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64, StoreFault> {
        either!(self, inner => inner.insert(table, columns, rows))
    }

    /// Reads.
    pub(super) fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreFault> {
        either!(self, inner => inner.rows(sql, values))
    }

    /// Looks through all of it for damage.
    pub(super) fn examine(&mut self) -> Result<(), StoreFault> {
        either!(self, inner => inner.examine())
    }

    /// Copies it to a new file.
    pub(super) fn backup(&mut self, file: &Path) -> Result<(), StoreFault> {
        either!(self, inner => inner.backup(file))
    }

    /// A statement in the engine's own words.
    pub(super) fn spell(&mut self, sql: &str) -> String {
        let words: [(&str, &str); 4] = match *self {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => sqlite::WORDS,
            #[cfg(feature = "postgres")]
            Connection::Postgres(_) => postgres::WORDS,
        };
        words.iter().fold(sql.to_owned(), |sql, (name, word)| sql.replace(name, word))
    }

    /// Something is in the database that this program did not put there.
    pub(super) fn strange(&mut self) -> StoreFault {
        either!(self, inner => inner.strange())
    }
}

/// What to do where there is no store.
pub(super) const INIT: &str = "`keypebble store init --config PATH` makes a new one";
