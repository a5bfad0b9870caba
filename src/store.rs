//! The memory: every token that was issued, what was revoked, and what happened besides.
//!
//! Owns what is kept, how long, and what is known of a token. Must not know requests or the command line.
//! Decision: one thread writes, many tokens to a transaction, so that a request waits for the disk only where
//! `store_required` says so; and SQLite and PostgreSQL share one schema and one set of statements, so that what
//! holds for one holds for the other.

pub mod config;
pub mod counters;
mod engine;
pub mod entry;
pub mod fault;
mod manage;
mod queue;
mod schema;
pub mod server;
mod statements;
mod writer;

use crate::ground::time::UnixTime;
use config::StoreConfig;
use counters::Counters;
use engine::Connection;
use entry::{Entry, Event, EventFilter, Filter, Known, Listed, Revocation, Sought};
use fault::StoreFault;
pub use manage::{Prepared, Report, backup, check, examine, init, prune};
use queue::{Act, Job, Queue};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// For how long a store that could not be read is not asked again: a server that is away costs whoever asks the
/// time of a connection.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// A handle on the memory: cheap to clone. When the last one is dropped, what is queued is written.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
}

/// What the log is told of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It cannot be written, from now on.
    Down(StoreFault),
    /// It is written again; so many records were lost meanwhile.
    Up {
        /// Those that are lost since the last notice: the queue had no room, or the database refused them.
        dropped: u64,
    },
    /// It was away at the end, so that what was left is lost.
    Lost {
        /// How many records that is.
        records: u64,
    },
}

/// Whoever writes the log.
pub type Tell = Box<dyn Fn(Notice) + Send + Sync>;

/// What the handles and the writer share.
struct Shared {
    config: StoreConfig,
    queue: Queue,
    counters: Counters,
    tell: Tell,
    /// Reads have a connection of their own, so that they do not wait for the disk.
    reader: Mutex<Reader>,
}

/// What reads are made with.
#[derive(Default)]
struct Reader {
    connection: Option<Connection>,
    /// Why the last read failed, and when.
    failed: Option<(Instant, StoreFault)>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The threads that write; they end when the last handle is dropped.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    fn start(&self, name: &str, act: impl FnOnce(&Shared) + Send + 'static) -> Result<(), StoreFault> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name(name.to_owned()).spawn(move || act(&shared)).map_err(|error| {
            StoreFault::passing(&self.shared.config, format!("cannot start a thread: {error}"))
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Writes what is left, and ends.
    fn end(&self) {
        self.shared.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join(); // a panic in it was printed when it happened
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Store {
    /// Opens a store that exists; what a later version of the schema needs is added. An error is one that
    /// waiting does not mend: where the store is merely away, the handle is given, `tell` is told, and the
    /// writer goes on trying.
    pub fn open(config: &StoreConfig, tell: Tell) -> Result<Self, StoreFault> {
        let opened = schema::open(config).and_then(|mut connection| {
            schema::refuse_newer(&mut connection, config)?;
            Ok(connection)
        });
        let connection = match opened {
            Ok(connection) => Some(connection),
            Err(fault) if fault.lasting => return Err(fault),
            Err(fault) => {
                tell(Notice::Down(fault));
                None
            }
        };
        let shared = Arc::new(Shared {
            config: config.clone(),
            queue: Queue::new(),
            counters: Counters::default(),
            tell,
            reader: Mutex::default(),
        });
        let writer = Writer { shared: Arc::clone(&shared), threads: Mutex::default() };
        writer.start("store", |shared| writer::run(shared, connection))?;
        Ok(Self { shared, writer: Arc::new(writer) })
    }

    /// Takes away from now on what has outlived its time, and counts what is there: every hour.
    pub fn tend(&self) -> Result<(), StoreFault> {
        self.writer.start("store-tidy", writer::tend)
    }

    /// What it was made from.
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// How many records wait to be written.
    pub fn queued(&self) -> u64 {
        self.shared.queue.pending()
    }

    /// Keeps tokens that were just issued. Without `store_required` this never waits and never fails: what finds
    /// no room is counted as dropped. With it, this returns when they are durable; after an error, they must
    /// not be given out.
    pub fn remember(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        if self.shared.config.required {
            return self.commit(entries);
        }
        for entry in entries {
            self.shared.leave(Act::Token(Box::new(entry)));
        }
        Ok(())
    }

    /// Keeps tokens, and returns when they are durable, whatever `store_required` says.
    pub fn commit(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        let act = |entry| Act::Token(Box::new(entry));
        self.shared.wait(entries.into_iter().map(act).collect()).map(|_| ())
    }

    /// Keeps what happened, as far as there is room; never waits.
    pub fn note(&self, event: Event) {
        self.shared.leave(Act::Event(Box::new(event)));
    }

    /// Revokes; durable before it returns.
    pub fn revoke(&self, revocation: &Revocation) -> Result<(), StoreFault> {
        self.shared.wait(vec![Act::Revoke(Box::new(revocation.clone()))]).map(|_| ())
    }

    /// What a revocation ended: tokens that had not expired when it was made.
    pub fn ended(&self, revocation: &Revocation) -> Result<entry::Ended, StoreFault> {
        let Revocation { target, before, at, .. } = revocation;
        self.read(|reader| statements::ended(reader, target, *before, *at))
    }

    /// What is known of a token. Every record that was left before is seen.
    pub fn look(&self, sought: &Sought<'_>, now: UnixTime) -> Result<Known, StoreFault> {
        let known = self.read(|reader| statements::look(reader, sought, now))?;
        if known != Known::Unknown || self.queued() == 0 {
            return Ok(known);
        }
        self.flush()?;
        self.read(|reader| statements::look(reader, sought, now))
    }

    /// Returns when everything that was left before is written.
    pub fn flush(&self) -> Result<(), StoreFault> {
        self.shared.wait(vec![Act::Nothing]).map(|_| ())
    }

    /// Writes what was left, and takes nothing more from any handle.
    pub fn close(&self) {
        self.writer.end();
    }

    /// The tokens that a filter lets through, the latest first, at most `filter.limit` of them; the next page
    /// begins with `before` set to the last one's number.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StoreFault> {
        self.read(|reader| statements::list(reader, filter))
    }

    /// What happened, the latest first.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreFault> {
        self.read(|reader| statements::events(reader, filter))
    }

    /// Reads, with a new connection where the last one failed.
    fn read<T>(&self, act: impl Fn(&mut Connection) -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        let mut reader = self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, fault)) = &reader.failed
            && at.elapsed() < GIVEN_UP
        {
            return Err(fault.clone());
        }
        if let Some(mut connection) = reader.connection.take()
            && let Ok(found) = act(&mut connection)
        {
            reader.connection = Some(connection);
            return Ok(found);
        }
        let read = schema::open(&self.shared.config).and_then(|mut connection| {
            let found = act(&mut connection)?;
            Ok((connection, found))
        });
        let (connection, read) = match read {
            Ok((connection, found)) => (Some(connection), Ok(found)),
            Err(fault) => (None, Err(fault)),
        };
        let failed = read.as_ref().err().map(|fault| (Instant::now(), fault.clone()));
        *reader = Reader { connection, failed };
        read
    }
}

impl Shared {
    /// Leaves something to be written; dropped and counted where there is no room.
    fn leave(&self, act: Act) {
        if self.queue.leave(act).is_err() {
            self.counters.dropped();
        }
    }

    /// Gives up what the store refuses: whoever waits is told, and what nobody waits for is counted as dropped.
    fn lose(&self, jobs: Vec<Job>, fault: &StoreFault) {
        self.queue.finished(jobs.len());
        for job in jobs {
            match job.done {
                Some(done) => drop(done.send(Err(fault.clone()))), // whoever waited may have gone
                None => job.acts.iter().for_each(|_| self.counters.dropped()),
            }
        }
    }

    /// Has something written, and waits until it is durable.
    fn wait(&self, acts: Vec<Act>) -> Result<u64, StoreFault> {
        if acts.is_empty() {
            return Ok(0);
        }
        self.queue.wait(acts).map_err(|problem| problem.fault(&self.config))
    }
}
