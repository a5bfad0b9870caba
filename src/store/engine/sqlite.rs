//! SQLite: a file on this host.
//!
//! Owns how the file is opened, and what its errors mean. Decision: the file must exist, since a mistyped path
//! would otherwise be a new and empty memory; and it is looked at again before each transaction, because a
//! restored backup is another file under the same name.

use super::{INIT, Row, Value};
use crate::ground::disk::{Disk, System};
use crate::ground::file::folder_of;
use crate::ground::sys;
use crate::store::config::{Place, StoreConfig};
use crate::store::fault::StoreFault;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// `application_id`: the file is ours ("Kpeb").
const APPLICATION: i64 = 0x4b70_6562;

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(2);

/// Between two tries where SQLite does not wait of itself.
const PAUSE: Duration = Duration::from_millis(5);

/// The most memory for pages, in KiB as SQLite has it: room for the ends of the indexes, one for each user.
const CACHE: i64 = -8192;

/// How many pages of 4 KiB the log takes before it is written back: each page once, however often it changed.
const LOG: i64 = 4096;

/// The words in which the schema and the statements differ.
pub(super) const WORDS: [(&str, &str); 4] = [
    ("{number}", "INTEGER PRIMARY KEY"),
    ("{integer}", "INTEGER"),
    ("{table}", " STRICT"),
    ("{position}", "instr"),
];

/// Whose database it is, of which version, and whether nothing was ever made in it.
struct Mark {
    application: i64,
    version: i64,
    empty: bool,
}

/// An open file.
#[derive(Debug)]
pub(in crate::store) struct Sqlite {
    connection: Connection,
    config: StoreConfig,
    path: PathBuf,
    /// Device and inode: which file it is.
    file: (u64, u64),
    /// Whether transactions are synced as they stand.
    full: bool,
}

impl Sqlite {
    pub(super) fn open(config: &StoreConfig, path: &Path, create: bool) -> Result<Self, StoreFault> {
        let failed = |error: &io::Error| system(config, error);
        if create {
            // Only the owner reads who got what. SQLite gives its other files the same permissions.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
                Err(_) => {}
                // Its name must be there after a power failure, too.
                Ok(_) => System.sync_folder(folder_of(path)).map_err(|error| failed(&error))?,
            }
        }
        let there = fs::metadata(path).map_err(|error| failed(&error))?;
        if !there.is_file() {
            return Err(StoreFault::lasting(config, "it is not a regular file").hint(NO_STORE));
        }
        refuse_strange_log(config, path, (there.dev(), there.ino()))?;
        if let Some(kind) = sys::network_file_system(path) {
            let what = format!("it is on a network file system ({kind}), where locks and shared memory fail");
            return Err(StoreFault::lasting(config, what)
                .hint("put the file on a local disk, or use PostgreSQL for several nodes"));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fault = |error| fault(config, &error);
        let connection = Connection::open_with_flags(literal(path), flags).map_err(fault)?;
        connection.busy_timeout(BUSY).map_err(fault)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(fault)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(fault)?;
        if connection.is_readonly("main").map_err(fault)? {
            return Err(StoreFault::lasting(config, "it may only be read, not written").hint(PERMISSIONS));
        }
        let settings = [("cell_size_check", 1), ("cache_size", CACHE), ("wal_autocheckpoint", LOG)];
        for (name, value) in settings {
            connection.pragma_update(None, name, value).map_err(fault)?;
        }
        let mut opened = Self {
            connection,
            config: config.clone(),
            path: path.to_owned(),
            file: (there.dev(), there.ino()),
            full: false,
        };
        if create {
            opened.keep_a_log()?;
        }
        opened.sync_each(config.required)?;
        Ok(opened)
    }

    /// Gives a database in which nothing was made yet its write-ahead log. SQLite does not wait here for another
    /// that does the same: it refuses one of the two at once.
    fn keep_a_log(&self) -> Result<(), StoreFault> {
        let end = Instant::now() + BUSY;
        while self.mark()?.empty {
            match self.connection.pragma_update(None, "journal_mode", "wal") {
                Err(error) if is_busy(&error) && Instant::now() < end => thread::sleep(PAUSE),
                result => return result.map_err(|error| self.fault(&error)),
            }
        }
        Ok(())
    }

    /// What says whose database it is: one statement, so that another's transaction is in all of it or in none.
    fn mark(&self) -> Result<Mark, StoreFault> {
        let sql = "SELECT application_id, user_version, NOT EXISTS (SELECT 1 FROM sqlite_schema)
            FROM pragma_application_id, pragma_user_version";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Mark { application: row.get(0)?, version: row.get(1)?, empty: row.get(2)? })
        };
        self.connection.query_row(sql, [], read).map_err(|error| self.fault(&error))
    }

    fn sync_each(&mut self, full: bool) -> Result<(), StoreFault> {
        let mode = if full { "full" } else { "normal" };
        self.full = full;
        self.connection.pragma_update(None, "synchronous", mode).map_err(|error| self.fault(&error))
    }

    pub(super) fn version(&mut self) -> Result<Option<usize>, StoreFault> {
        let mark = self.mark()?;
        if mark.application != APPLICATION {
            return Ok(mark.empty.then_some(0));
        }
        Ok(usize::try_from(mark.version).ok())
    }

    pub(super) fn set_version(&mut self, version: usize) -> Result<(), StoreFault> {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        for (name, value) in [("application_id", APPLICATION), ("user_version", version)] {
            self.connection.pragma_update(None, name, value).map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, durable: bool) -> Result<(), StoreFault> {
        self.is_in_place()?;
        let full = durable || self.config.required;
        if full != self.full {
            self.sync_each(full)?;
        }
        self.batch("BEGIN IMMEDIATE")
    }

    fn is_in_place(&self) -> Result<(), StoreFault> {
        let there = fs::metadata(&self.path).map_err(|error| system(&self.config, &error))?;
        if (there.dev(), there.ino()) == self.file {
            return Ok(());
        }
        Err(StoreFault::passing(&self.config, "another file was put in its place"))
    }

    pub(super) fn begin_migration(&mut self) -> Result<(), StoreFault> {
        self.begin(true)
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreFault> {
        self.batch("COMMIT")
    }

    fn batch(&self, sql: &str) -> Result<(), StoreFault> {
        self.connection.execute_batch(sql).map_err(|error| self.fault(&error))
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        let changed = self.connection.execute(sql, params_from_iter(values));
        changed.map(|changed| changed as u64).map_err(|error| self.fault(&error))
    }

    pub(super) fn insert(
        &mut self,
        table: &str,
        columns: &[(&str, bool)],
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64, StoreFault> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let names = names.join(", ");
        let sql = format!("INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING");
        let run = || {
            let mut statement = self.connection.prepare(&sql)?;
            rows.iter()
                .try_fold(0, |sum, values| Ok(sum + statement.execute(params_from_iter(values))? as u64))
        };
        run().map_err(|error| self.fault(&error))
    }

    pub(super) fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreFault> {
        self.is_in_place()?;
        let run = || {
            let mut statement = self.connection.prepare(sql)?;
            let count = statement.column_count();
            let field = |row: &rusqlite::Row<'_>, at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned().into()),
                    ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
                })
            };
            let rows = statement.query_map(params_from_iter(values), |row| {
                (0..count).map(|at| field(row, at)).collect::<rusqlite::Result<Vec<_>>>().map(Row::new)
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        run().map_err(|error| self.fault(&error))
    }

    pub(super) fn examine(&mut self) -> Result<(), StoreFault> {
        let found = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        let found = found.map_err(|error| self.fault(&error))?;
        if found == "ok" {
            return Ok(());
        }
        Err(StoreFault::lasting(&self.config, format!("it is damaged: {found}")).hint(DAMAGED))
    }

    /// One step copies all pages, so that no writer in between begins it anew; SQLite commits them at its end.
    pub(super) fn backup(&mut self, file: &Path) -> Result<(), StoreFault> {
        let target = StoreConfig { place: Place::Sqlite(file.to_owned()), ..self.config.clone() };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreFault::passing(&target, "it exists already")
                .hint("name a file that does not exist: nothing is overwritten"),
            _ => StoreFault::passing(&target, error.to_string()),
        })?;
        let copy = || {
            let mut copy = Connection::open_with_flags(literal(file), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let step = Backup::new(&self.connection, &mut copy)?.step(-1)?;
            if step == StepResult::Done { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
        };
        let copied = copy().map_err(|error| fault(&target, &error));
        copied
            .and_then(|()| System.sync_folder(folder_of(file)).map_err(|error| system(&target, &error)))
            .inspect_err(|_| {
                let _ = fs::remove_file(file);
            })
    }

    pub(super) fn strange(&self) -> StoreFault {
        StoreFault::lasting(&self.config, "it holds what Keypebble did not write").hint(DAMAGED)
    }

    fn fault(&self, error: &rusqlite::Error) -> StoreFault {
        fault(&self.config, error)
    }
}

/// A path that SQLite takes for nothing else, such as a URI or `:memory:`.
fn literal(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

const NO_STORE: &str = "name a file that does not exist, or put a backup in its place";
const PERMISSIONS: &str = "the file and its folder must belong to the user that Keypebble runs as";
const DAMAGED: &str = "stop Keypebble and put a backup in its place";

/// Refuses a file that was put in the place of another while that one's log is still there: SQLite would take
/// the log for the new file's, and write old pages into it.
fn refuse_strange_log(config: &StoreConfig, path: &Path, file: (u64, u64)) -> Result<(), StoreFault> {
    static KNOWN: Mutex<BTreeMap<PathBuf, (u64, u64)>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if known.get(path).is_some_and(|known| *known != file) && Path::new(&log).exists() {
        return Err(StoreFault::lasting(
            config,
            "another file was put in its place, beside the old one's log",
        )
        .hint("stop Keypebble, remove the files that end in -wal and -shm, and start it"));
    }
    known.insert(path.to_owned(), file);
    Ok(())
}

/// What the system said of the file.
fn system(config: &StoreConfig, error: &io::Error) -> StoreFault {
    match (error.kind(), &config.place) {
        (io::ErrorKind::NotFound, Place::Sqlite(path)) if !folder_of(path).exists() => {
            let what = format!("there is no folder {}", folder_of(path).display());
            StoreFault::lasting(config, what).hint("make that one first")
        }
        (io::ErrorKind::NotFound, _) => StoreFault::lasting(config, "there is no such file").hint(INIT),
        (io::ErrorKind::PermissionDenied, _) => {
            StoreFault::lasting(config, error.to_string()).hint(PERMISSIONS)
        }
        _ => StoreFault::passing(config, error.to_string()),
    }
}

/// Whether another process is in the way.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What SQLite said.
fn fault(config: &StoreConfig, error: &rusqlite::Error) -> StoreFault {
    let code = error.sqlite_error_code();
    let (what, hint, lasting) = match code {
        _ if is_busy(error) => {
            ("another process holds its lock", "end what holds it: `fuser FILE` shows it", false)
        }
        Some(ErrorCode::DiskFull) => ("the disk is full", "make room", false),
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => ("it may not be written", PERMISSIONS, false),
        Some(ErrorCode::NotADatabase) => ("it is not a SQLite database", NO_STORE, true),
        Some(ErrorCode::DatabaseCorrupt) => ("it is damaged", DAMAGED, true),
        Some(ErrorCode::CannotOpen) => ("it cannot be opened", PERMISSIONS, false),
        Some(ErrorCode::SystemIoFailure) => ("the disk fails", "look at the system's log", false),
        _ => ("SQLite refuses", "", false),
    };
    let refused = matches!(code, Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation));
    let fault = StoreFault { lasting, refused, ..StoreFault::passing(config, format!("{what}: {error}")) };
    if hint.is_empty() { fault } else { fault.hint(hint) }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
