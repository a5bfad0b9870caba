//! The tables, and how a database comes to have them.
//!
//! Owns the numbered migrations. Must not know which engine runs them but for the few words in which they
//! differ. Decision: a migration only ever adds, so that a program that is older by one goes on working on the
//! newer schema while nodes are replaced one by one.

use super::config::StoreConfig;
use super::engine::{Connection, INIT};
use super::fault::StoreFault;

/// Each step that made the schema what it is; the number of them is its version. Never changed once released.
/// `{number}`, `{integer}` and `{table}` are the engine's words.
pub(super) const MIGRATIONS: [&[&str]; 1] = [&[
    "CREATE TABLE token (
        number {number},
        id TEXT NOT NULL UNIQUE,
        profile TEXT NOT NULL,
        subject TEXT NOT NULL,
        audience TEXT NOT NULL,
        granted TEXT NOT NULL,
        issued_at {integer} NOT NULL,
        expires_at {integer} NOT NULL,
        key_id TEXT,
        peer TEXT NOT NULL,
        address TEXT NOT NULL,
        client TEXT,
        login TEXT,
        policy TEXT,
        rules TEXT NOT NULL
    ){table}",
    "CREATE INDEX token_subject ON token (subject, number)",
    "CREATE INDEX token_issued_at ON token (issued_at)",
    "CREATE INDEX token_expires_at ON token (expires_at)",
    "CREATE INDEX token_login ON token (login) WHERE login IS NOT NULL",
    // cutoff: tokens issued at that second or before are revoked; for one token or login, when the last of it
    // expires, after which the row may leave.
    "CREATE TABLE revocation (
        kind TEXT NOT NULL CHECK (kind IN ('token', 'login', 'user', 'client', 'key')),
        value TEXT NOT NULL,
        cutoff {integer} NOT NULL,
        revoked_at {integer} NOT NULL,
        actor TEXT NOT NULL,
        PRIMARY KEY (kind, value)
    ){table}",
    "CREATE TABLE event (
        number {number},
        happened_at {integer} NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT,
        token TEXT,
        actor TEXT,
        detail TEXT NOT NULL
    ){table}",
    "CREATE INDEX event_happened_at ON event (happened_at)",
]];

/// The version that this program makes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Opens a store that exists, as it is.
pub(super) fn reach(config: &StoreConfig) -> Result<Connection, StoreFault> {
    let mut connection = Connection::reach(config, false)?;
    match connection.version()? {
        None | Some(0) => Err(StoreFault::lasting(config, "it is not a store of Keypebble's").hint(INIT)),
        Some(_) => Ok(connection),
    }
}

/// Opens a store that exists, and brings its schema up to date. A newer one is taken as it is: this program may
/// have been running when it changed.
pub(super) fn open(config: &StoreConfig) -> Result<Connection, StoreFault> {
    let mut connection = reach(config)?;
    if connection.version()?.is_some_and(|version| version < VERSION) {
        migrate(&mut connection, &MIGRATIONS)?;
    }
    Ok(connection)
}

/// Refuses a store that a newer program has changed.
pub(super) fn refuse_newer(connection: &mut Connection, config: &StoreConfig) -> Result<(), StoreFault> {
    let version = connection.version()?.unwrap_or(0);
    if version <= VERSION {
        return Ok(());
    }
    let what = format!("its schema has version {version}, and this program knows those up to {VERSION}");
    Err(StoreFault::lasting(config, what)
        .hint("use the newer Keypebble that changed it, or restore a backup"))
}

/// Brings the schema up to date, in one transaction under a lock: of two that start at once the second finds
/// nothing to do. Gives the version that was found.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&[&str]]) -> Result<usize, StoreFault> {
    connection.begin_migration()?;
    let found = connection.version()?.unwrap_or(0);
    if found < migrations.len() {
        for step in migrations.iter().skip(found).flat_map(|steps| steps.iter()) {
            let statement = connection.spell(step);
            connection.execute(&statement, &[])?;
        }
        connection.set_version(migrations.len())?;
    }
    connection.commit()?;
    Ok(found)
}

#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::time::UnixTime;
    use crate::store::config::Place;
    use crate::store::entry::Entry;
    use crate::store::{Store, init, statements};

    /// The version after this one.
    const NEXT: [&[&str]; 2] = [MIGRATIONS[0], &["ALTER TABLE token ADD COLUMN note {integer}"]];

    #[test]
    fn who_runs_goes_on_while_the_schema_is_brought_up_to_date_and_nothing_is_lost() {
        let folder = crate::scratch::Folder::new();
        let config = StoreConfig { place: Place::Sqlite(folder.join("s.db")), required: true, keep_days: 1 };
        init(&config).unwrap();
        let running = Store::open(&config, Box::new(|notice| panic!("{notice:?}"))).unwrap();
        let migrating = || migrate(&mut reach(&config).unwrap(), &NEXT).unwrap();
        let (first, second) = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for number in 0..200 {
                    let entry = Entry { id: number.to_string(), expires_at: UnixTime(1), ..Entry::default() };
                    running.commit(vec![entry]).unwrap();
                }
            });
            let both = [scope.spawn(migrating), scope.spawn(migrating)].map(|one| one.join().unwrap());
            writing.join().unwrap();
            (both[0].min(both[1]), both[0].max(both[1]))
        });
        assert_eq!((first, second), (1, 2), "one of two did it");
        let mut connection = open(&config).unwrap();
        assert_eq!(
            (connection.version().unwrap(), statements::count(&mut connection).unwrap()),
            (Some(2), 200)
        );
        // A program that starts now is to be the newer one.
        assert!(Store::open(&config, Box::new(|_| ())).is_err_and(|fault| fault.lasting));
        drop((running, connection));
    }
}
