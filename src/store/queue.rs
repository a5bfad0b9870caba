//! What waits to be written: bounded, and drained many at a time.
//!
//! Owns the queue between requests and the writer. Must not know databases. Decision: bounded by count and by
//! bytes, since a grant may be long; whoever leaves something never waits for the lock longer than it takes to
//! push, and wakes the writer only where it sleeps.

use super::config::StoreConfig;
use super::entry::{Entry, Event, Revocation};
use super::fault::StoreFault;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that wait.
const MAX_JOBS: usize = 16 * 1024;
/// The most memory that they take, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The most in one transaction.
const BATCH: usize = 1024;
/// How long a request waits until what it left is durable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something to be written.
#[derive(Debug)]
pub(super) enum Act {
    Token(Box<Entry>),
    Event(Box<Event>),
    Revoke(Box<Revocation>),
    /// Only to know when what came before is written.
    Nothing,
}

/// Acts that are written together, and whoever waits for them.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) acts: Vec<Act>,
    pub(super) done: Option<SyncSender<Result<u64, StoreFault>>>,
}

impl Job {
    fn bytes(&self) -> usize {
        let bytes = |act: &Act| match act {
            Act::Token(entry) => entry.bytes(),
            Act::Event(event) => 256 + event.detail.len(),
            Act::Revoke(_) | Act::Nothing => 256,
        };
        self.acts.iter().map(bytes).sum()
    }
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Problem {
    Full,
    Closed,
    Late,
    Fault(StoreFault),
}

impl Problem {
    pub(super) fn fault(self, config: &StoreConfig) -> StoreFault {
        let what = match self {
            Problem::Full => "more waits to be written than there is room for".to_owned(),
            Problem::Closed => "it is being closed".to_owned(),
            Problem::Late => format!("no answer within {} s", PATIENCE.as_secs()),
            Problem::Fault(fault) => return fault,
        };
        StoreFault::passing(config, what)
    }
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Somebody waits for one of the jobs.
    urgent: bool,
    closed: bool,
    /// Why nothing can be written now: whoever would wait is told so at once.
    down: Option<StoreFault>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the writer alone: a wake is for one.
    wake: Condvar,
    /// For whoever rests until the queue is closed.
    closing: Condvar,
    /// Jobs that are queued or being written.
    pending: AtomicU64,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            closing: Condvar::new(),
            pending: AtomicU64::new(0),
        }
    }

    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves something, and does not wait.
    pub(super) fn leave(&self, act: Act) -> Result<(), Problem> {
        self.push(Job { acts: vec![act], done: None })
    }

    /// Leaves something, and waits until it is durable.
    pub(super) fn wait(&self, acts: Vec<Act>) -> Result<u64, Problem> {
        let (done, answer): (_, Receiver<Result<u64, StoreFault>>) = sync_channel(1);
        self.push(Job { acts, done: Some(done) })?;
        match answer.recv_timeout(PATIENCE) {
            Ok(written) => written.map_err(Problem::Fault),
            Err(RecvTimeoutError::Timeout) => Err(Problem::Late),
            Err(RecvTimeoutError::Disconnected) => Err(Problem::Closed),
        }
    }

    fn push(&self, job: Job) -> Result<(), Problem> {
        let bytes = job.bytes();
        let mut state = self.state();
        if state.closed {
            return Err(Problem::Closed);
        }
        if let (Some(fault), Some(_)) = (&state.down, &job.done) {
            return Err(Problem::Fault(fault.clone()));
        }
        if state.jobs.len() >= MAX_JOBS || state.bytes + bytes > MAX_BYTES {
            return Err(Problem::Full);
        }
        let sleeps = state.jobs.is_empty();
        state.bytes += bytes;
        state.urgent |= job.done.is_some();
        state.jobs.push_back(job);
        self.pending.fetch_add(1, Ordering::Release);
        let wakes = sleeps || state.urgent || state.jobs.len() == BATCH;
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The next jobs, once there are some; they gather for `linger` unless somebody waits. Nothing where none
    /// came for `idle`; `None` once the queue is closed and empty.
    pub(super) fn take(&self, linger: Duration, idle: Duration) -> Option<Vec<Job>> {
        let waiting = self
            .wake
            .wait_timeout_while(self.state(), idle, |state| state.jobs.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = waiting.0;
        if !state.jobs.is_empty() {
            let gather = |state: &mut State| state.jobs.len() < BATCH && !state.urgent && !state.closed;
            let gathered = self.wake.wait_timeout_while(state, linger, gather);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.jobs.is_empty() {
            return if state.closed { None } else { Some(Vec::new()) };
        }
        let count = state.jobs.len().min(BATCH);
        let jobs: Vec<Job> = state.jobs.drain(..count).collect();
        state.bytes = state.bytes.saturating_sub(jobs.iter().map(Job::bytes).sum());
        state.urgent = state.jobs.iter().any(|job| job.done.is_some());
        Some(jobs)
    }

    /// These jobs are done with.
    pub(super) fn finished(&self, count: usize) {
        self.pending.fetch_sub(count as u64, Ordering::Release);
    }

    /// Nothing can be written from now on: whoever waits is told, and what nobody waits for stays, in order.
    pub(super) fn down(&self, fault: &StoreFault, failed: Vec<Job>) {
        let mut state = self.state();
        let all: Vec<Job> = failed.into_iter().chain(mem::take(&mut state.jobs)).collect();
        let (waited, left): (Vec<Job>, Vec<Job>) = all.into_iter().partition(|job| job.done.is_some());
        state.bytes = left.iter().map(Job::bytes).sum();
        state.jobs = left.into();
        state.urgent = false;
        state.down = Some(fault.clone());
        drop(state);
        self.finished(waited.len());
        for job in waited {
            // Whoever waited may have gone.
            let _ = job.done.map(|done| done.send(Err(fault.clone())));
        }
    }

    /// It can be written again.
    pub(super) fn up(&self) {
        self.state().down = None;
    }

    /// Waits; not, once the queue is closed. Gives whether it is.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let rested = self.closing.wait_timeout_while(self.state(), time, |state| !state.closed);
        rested.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
        self.closing.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn fault() -> StoreFault {
        StoreFault { place: "p".to_owned(), what: "w".to_owned(), hint: None, lasting: false, refused: false }
    }

    #[test]
    fn who_waits_is_told_and_wakes_the_writer_at_once() {
        let queue = Queue::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.wait(vec![Act::Nothing]));
            let jobs = queue.take(LONG, LONG).unwrap();
            assert_eq!((jobs.len(), queue.pending()), (1, 1));
            queue.finished(jobs.len());
            jobs[0].done.as_ref().unwrap().send(Ok(7)).unwrap();
            assert!(matches!(waiting.join().unwrap(), Ok(7)));
        });
        assert_eq!(queue.pending(), 0);
    }

    #[test]
    fn while_it_is_down_who_waits_is_refused_and_the_rest_stays_in_order() {
        let queue = Queue::new();
        queue.leave(Act::Nothing).unwrap();
        let jobs = queue.take(Duration::ZERO, LONG).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.wait(vec![Act::Nothing]));
            while queue.pending() < 2 {
                thread::yield_now();
            }
            queue.down(&fault(), jobs);
            assert!(matches!(waiting.join().unwrap(), Err(Problem::Fault(_))));
        });
        assert!(matches!(queue.wait(vec![Act::Nothing]), Err(Problem::Fault(_))));
        queue.leave(Act::Nothing).unwrap();
        assert_eq!(queue.pending(), 2);
        queue.up();
        assert_eq!(queue.take(Duration::ZERO, LONG).unwrap().len(), 2);
    }

    #[test]
    fn it_is_bounded_and_drained_in_batches() {
        let queue = Queue::new();
        let left = (0..MAX_JOBS + 5).filter(|_| queue.leave(Act::Nothing).is_ok()).count();
        assert_eq!(left, MAX_JOBS);
        assert!(matches!(queue.wait(vec![Act::Nothing]), Err(Problem::Full)));
        assert_eq!(queue.take(LONG, LONG).unwrap().len(), BATCH);
        assert!(queue.leave(Act::Nothing).is_ok());
    }

    #[test]
    fn closed_it_gives_what_is_left_and_then_nothing() {
        let queue = Queue::new();
        queue.leave(Act::Nothing).unwrap();
        queue.close();
        assert!(matches!(queue.leave(Act::Nothing), Err(Problem::Closed)));
        assert_eq!(queue.take(LONG, LONG).unwrap().len(), 1);
        assert!(queue.take(LONG, LONG).is_none() && queue.rest(LONG));
    }
}
