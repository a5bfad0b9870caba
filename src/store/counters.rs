//! What the store counts of itself; `telemetry` writes it.

use crate::ground::time::UnixTime;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of how long a commit takes, in seconds and in nanoseconds; a last one has none.
pub const COMMIT_BOUNDS: [(&str, u64); 8] = [
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.5", 500_000_000),
    ("2.5", 2_500_000_000),
];

/// Numbers of one store, of this process.
#[derive(Debug, Default)]
pub struct Counters {
    dropped: AtomicU64,
    failures: AtomicU64,
    written: AtomicU64,
    /// Commits by how long they took; one more than the bounds: the last has none.
    commits: [AtomicU64; COMMIT_BOUNDS.len() + 1],
    commit_nanoseconds: AtomicU64,
    rows: AtomicU64,
    last_success: AtomicU64,
}

/// The numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Records that are lost: the queue had no room, or the database refused them.
    pub dropped: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Tokens written.
    pub written: u64,
    /// Transactions that were committed, by how long they took: as [`COMMIT_BOUNDS`], and those beyond.
    pub commits: [u64; COMMIT_BOUNDS.len() + 1],
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
            commits: std::array::from_fn(|at| read(&self.commits[at])),
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
        let bucket = COMMIT_BOUNDS.iter().position(|(_, bound)| nanoseconds <= *bound);
        for (counter, amount) in [
            (&self.commits[bucket.unwrap_or(COMMIT_BOUNDS.len())], 1),
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
