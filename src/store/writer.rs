//! The thread that writes.
//!
//! Owns transactions, what happens when they fail, and, on a thread beside it, what leaves by itself. Must not know who asked.
//! Decision: after any failure the connection is opened again, since that is the one state known to be good;
//! what nobody waits for is kept and written later, because writing it twice changes nothing.

use super::engine::Connection;
use super::entry::{Entry, Event, EventKind};
use super::fault::StoreFault;
use super::queue::{Act, Job};
use super::{Notice, Shared, schema, statements};
use crate::ground::time::UnixTime;
use std::time::{Duration, Instant};

/// How long records gather where nobody waits for them.
const LINGER: Duration = Duration::from_millis(20);
/// How often the store is tidied up, and its tokens counted.
const TIDY: Duration = Duration::from_secs(3600);
/// When that is tried again after it failed.
const RETRY: Duration = Duration::from_secs(60);
/// How long the writer sleeps where there is nothing to do.
const IDLE: Duration = Duration::from_secs(60);
/// The first wait after a failure; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Seconds of a day.
const DAY: u32 = 86_400;

/// Writes until the queue is closed and empty. `connection` is `None` where the store was away at the start.
pub(super) fn run(shared: &Shared, mut connection: Option<Connection>) {
    if connection.is_none() {
        let fault = StoreFault::passing(&shared.config, "it was away when Keypebble started");
        shared.queue.down(&fault, Vec::new());
    }
    let mut writer = Writing { shared, wait: FIRST_WAIT, told: connection.is_none(), reported: 0 };
    loop {
        let Some(open) = connection.as_mut() else {
            connection = writer.reopen();
            if connection.is_none() && shared.queue.rest(writer.wait) {
                // Closed while the store is away: the last attempt.
                connection = writer.reopen();
                if connection.is_none() {
                    (shared.tell)(Notice::Lost { records: shared.queue.pending() });
                    return;
                }
            }
            continue;
        };
        let Some(jobs) = shared.queue.take(LINGER, IDLE) else { return };
        if jobs.is_empty() {
            continue;
        }
        // The first failure may be the connection's alone: a server was started anew, a file replaced.
        let written = writer.write(open, jobs).or_else(|(_, jobs)| {
            shared.counters.failed();
            writer.write_again(&mut connection, jobs)
        });
        if let Err((fault, jobs)) = written {
            writer.failed(&fault, jobs);
            connection = None;
        }
    }
}

struct Writing<'s> {
    shared: &'s Shared,
    wait: Duration,
    /// The log was told that the store is away.
    told: bool,
    /// How many dropped records an event speaks of already.
    reported: u64,
}

impl Writing<'_> {
    fn reopen(&mut self) -> Option<Connection> {
        let opened = schema::open(&self.shared.config).and_then(|mut connection| {
            // A file opens though another process holds its lock.
            connection.begin(false)?;
            connection.commit()?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => {
                self.shared.queue.up();
                Some(connection)
            }
            Err(fault) => {
                self.failed(&fault, Vec::new());
                None
            }
        }
    }

    fn failed(&mut self, fault: &StoreFault, jobs: Vec<Job>) {
        self.shared.counters.failed();
        self.shared.queue.down(fault, jobs);
        if !self.told {
            (self.shared.tell)(Notice::Down(fault.clone()));
            self.told = true;
        }
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Writes on a new connection; in halves where the store refuses one of them, so that it costs no other.
    fn write_again(
        &mut self,
        connection: &mut Option<Connection>,
        jobs: Vec<Job>,
    ) -> Result<(), (StoreFault, Vec<Job>)> {
        let new = match schema::open(&self.shared.config) {
            Ok(new) => connection.insert(new),
            Err(fault) => return Err((fault, jobs)),
        };
        let Err((fault, mut first)) = self.write(new, jobs) else { return Ok(()) };
        if !fault.refused {
            return Err((fault, first));
        }
        self.shared.counters.failed();
        *connection = None;
        if first.len() == 1 {
            self.shared.lose(first, &fault);
            return Ok(());
        }
        let second = first.split_off(first.len() / 2);
        if let Err((fault, mut left)) = self.write_again(connection, first) {
            left.extend(second);
            return Err((fault, left));
        }
        self.write_again(connection, second)
    }

    /// Writes all of it in one transaction, and then tells whoever waits.
    fn write(&mut self, connection: &mut Connection, jobs: Vec<Job>) -> Result<(), (StoreFault, Vec<Job>)> {
        let began = Instant::now();
        let dropped = self.shared.counters.read().dropped;
        let written = match self.transact(connection, &jobs, dropped) {
            Ok(written) => written,
            Err(fault) => return Err((fault, jobs)),
        };
        self.shared.counters.committed(written, began.elapsed(), UnixTime::now());
        self.shared.queue.finished(jobs.len());
        for done in jobs.into_iter().filter_map(|job| job.done) {
            let _ = done.send(Ok(written)); // whoever waited may have gone
        }
        if self.told {
            (self.shared.tell)(Notice::Up { dropped: dropped - self.reported });
        }
        (self.told, self.wait, self.reported) = (false, FIRST_WAIT, dropped);
        Ok(())
    }

    fn transact(&self, connection: &mut Connection, jobs: &[Job], dropped: u64) -> Result<u64, StoreFault> {
        connection.begin(jobs.iter().any(|job| job.done.is_some()))?;
        let mut entries: Vec<&Entry> = Vec::new();
        let mut others = Vec::new();
        for act in jobs.iter().flat_map(|job| &job.acts) {
            if let Act::Token(entry) = act { entries.push(entry) } else { others.push(act) }
        }
        let written = if entries.is_empty() { 0 } else { statements::insert(connection, &entries)? };
        for act in others {
            match act {
                Act::Event(event) => statements::note(connection, event)?,
                Act::Revoke(revocation) => statements::revoke(connection, revocation)?,
                Act::Token(_) | Act::Nothing => {}
            }
        }
        if dropped > self.reported {
            let detail = format!("{} records are lost", dropped - self.reported);
            let (at, kind) = (UnixTime::now(), EventKind::Dropped);
            let event = Event { number: 0, at, kind, subject: None, token: None, actor: None, detail };
            statements::note(connection, &event)?;
        }
        connection.commit()?;
        Ok(written)
    }
}

/// Keeps the store tidy until the queue is closed, on a connection and a thread of its own: it may take long.
pub(super) fn tend(shared: &Shared) {
    loop {
        let tidied = schema::open(&shared.config).and_then(|mut connection| {
            prune(&mut connection, shared.config.keep_days, UnixTime::now(), || !shared.queue.is_closed())?;
            statements::count(&mut connection)
        });
        let wait = if let Ok(rows) = tidied {
            shared.counters.counted(rows);
            TIDY
        } else {
            shared.counters.failed();
            RETRY
        };
        if shared.queue.rest(wait) {
            return;
        }
    }
}

/// Takes away what expired more than so many days ago, a little at a time, so that others can write in
/// between, and for as long as `go_on` says so; gives how many tokens.
pub(super) fn prune(
    connection: &mut Connection,
    keep_days: u32,
    now: UnixTime,
    go_on: impl Fn() -> bool,
) -> Result<u64, StoreFault> {
    let until = now.minus_seconds(keep_days.saturating_mul(DAY));
    let mut tokens = 0;
    loop {
        connection.begin(false)?;
        let (pruned, rows) = statements::prune(connection, until)?;
        connection.commit()?;
        tokens += pruned;
        if rows == 0 || !go_on() {
            return Ok(tokens);
        }
    }
}
