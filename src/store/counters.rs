//! What the store counts of itself; `telemetry` writes it.

use crate::ground::time::UnixTime;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Numbers of one store, of this process.
#[derive(Debug, Default)]
pub struct Counters {
    dropped: AtomicU64,
    failures: AtomicU64,
    written: AtomicU64,
    commits: AtomicU64,
    commit_nanoseconds: AtomicU64,
    rows: AtomicU64,
    last_success: AtomicU64,
}

/// The numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Records that found no room in the queue.
    pub dropped: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Tokens written.
    pub written: u64,
    /// Transactions that were committed.
    pub commits: u64,
    /// How long these took together.
    pub commit_time: Duration,
    /// Tokens in the store, as of the last count and what was written and pruned here since.
    pub rows: u64,
    /// When the store last answered.
    pub last_success: UnixTime,
}

impl Counters {
    /// The numbers now.
    pub fn read(&self) -> Reading {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            dropped: read(&self.dropped),
            failures: read(&self.failures),
            written: read(&self.written),
            commits: read(&self.commits),
            commit_time: Duration::from_nanos(read(&self.commit_nanoseconds)),
            rows: read(&self.rows),
            last_success: UnixTime(i64::try_from(read(&self.last_success)).unwrap_or(i64::MAX)),
        }
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, tokens: u64, took: Duration, now: UnixTime) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        for (counter, amount) in [
            (&self.commits, 1),
            (&self.written, tokens),
            (&self.rows, tokens),
            (&self.commit_nanoseconds, nanoseconds),
        ] {
            counter.fetch_add(amount, Ordering::Relaxed);
        }
        self.reached(now);
    }

    pub(super) fn reached(&self, now: UnixTime) {
        self.last_success.store(u64::try_from(now.0).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn counted(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }
}
