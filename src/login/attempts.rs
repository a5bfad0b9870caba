//! Whether a password is right, at a price that nobody can run up.
//!
//! Owns what is remembered between requests: verified passwords (`memory`), failures (`throttle`), and who
//! checks now and who waits (`queue`). Must not know requests. Decision: these stand behind one lock, so
//! that "is this one slowed, is it remembered, is the same being checked already" is one question with one
//! answer; bcrypt itself runs outside of it. A remembered password is asked for only after the throttle:
//! else guesses against it would be free.

mod memory;
mod queue;
mod throttle;

use crate::ground::digest;
use crate::login::password::Password;
use crate::login::users::Users;
use memory::Memory;
use queue::{End, Entered, Queue};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use throttle::{Keys, Throttle};
use zeroize::Zeroizing;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the user's.
    Right,
    /// It is the user's, as was found shortly before.
    Remembered,
    /// There is no such user, or it is another password.
    Wrong,
    /// Too many were wrong; not looked at. The seconds until the next may be tried.
    Throttled(u32),
    /// Too many are being checked; not looked at.
    Busy,
}

impl Outcome {
    /// Every outcome's label, for counters that start at zero.
    pub const LABELS: [&'static str; 5] = ["right", "remembered", "wrong", "throttled", "busy"];

    /// The outcome as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Right => "right",
            Outcome::Remembered => "remembered",
            Outcome::Wrong => "wrong",
            Outcome::Throttled(_) => "throttled",
            Outcome::Busy => "busy",
        }
    }
}

/// Who is slowed together: an IPv4 address, an IPv6 network of 64 bits (what one customer has), or all that
/// come through the Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(Option<u128>);

impl Client {
    /// The client at this address; `None` is the Unix socket.
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
            IpAddr::V6(address) => u128::from(address) >> 64 << 64,
        }))
    }
}

/// A password under a key that lives as long as the process: what is compared instead of it.
type Seal = [u8; 32];

/// Time since some moment.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Checks passwords. Lives as long as the process, whatever users files come and go.
pub struct Passwords {
    inner: Mutex<Inner>,
    /// Someone finished, or gave up.
    changed: Condvar,
    clock: Clock,
    key: Zeroizing<[u8; 32]>,
}

#[derive(Debug)]
struct Inner {
    memory: Memory,
    throttle: Throttle,
    queue: Queue,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let start = Instant::now();
        // One core is left to everything else, where there is more than one.
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new(Box::new(move || start.elapsed()), cores.saturating_sub(1).max(1))
    }
}

impl Passwords {
    fn new(clock: Clock, at_once: usize) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        if getrandom::fill(&mut *key).is_err() {
            // The standard library has keys of its own for its hash tables.
            for (at, part) in (0_u8..).zip(key.chunks_exact_mut(8)) {
                part.copy_from_slice(&RandomState::new().hash_one(at).to_be_bytes());
            }
        }
        let inner =
            Inner { memory: Memory::default(), throttle: Throttle::default(), queue: Queue::new(at_once) };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), clock, key }
    }

    /// Whether this is the user's password. Waits for its turn, a few seconds at most.
    pub fn check(&self, users: &Users, user: &str, password: &Password, client: Client) -> Outcome {
        let seal = self.seal(users, user, password);
        let mut inner = self.lock();
        let keys = inner.throttle.keys(client, user);
        let known = inner.memory.has_met(keys.pair, self.now());
        if let Some(wait) = inner.throttle.wait(&keys, known, self.now()) {
            return Outcome::Throttled(wait);
        }
        if inner.memory.recalls(&seal, self.now()) {
            inner.memory.meet(keys.pair, self.now());
            return Outcome::Remembered;
        }
        match inner.queue.enter(seal, client) {
            Entered::Full => Outcome::Busy,
            Entered::Joined(id) => self.follow(inner, id),
            Entered::Leads(id) => {
                // Paid before it is known to be wrong, so that many at once pay as many in a row.
                inner.throttle.charge(&keys, known, self.now());
                self.lead(inner, id, seal, (keys, known), || users.check(user, password))
            }
        }
    }

    /// Waits for a turn, checks, and tells those who follow.
    fn lead(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        id: u64,
        seal: Seal,
        (keys, known): (Keys, bool),
        check: impl FnOnce() -> bool,
    ) -> Outcome {
        let patience = Instant::now() + PATIENCE;
        while !inner.queue.starts(id) {
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                inner.queue.finish(id, End::Nothing);
                inner.throttle.refund(&keys, known, self.now());
                self.changed.notify_all();
                return Outcome::Busy;
            }
            inner = self.wait(inner, left);
        }
        drop(inner);
        // Whoever is next now may have looked before this one had started, while there was room for both.
        self.changed.notify_all();
        let running = Running { passwords: self, id };
        let right = check();
        let mut inner = self.lock();
        if right {
            inner.throttle.refund(&keys, known, self.now());
            inner.memory.remember(seal, keys.pair, self.now());
        }
        inner.queue.finish(id, if right { End::Right } else { End::Wrong });
        drop(inner);
        drop(running); // which finds it finished, and wakes the others
        if right { Outcome::Right } else { Outcome::Wrong }
    }

    /// Waits for what another request finds for the same user and password.
    fn follow(&self, mut inner: MutexGuard<'_, Inner>, id: u64) -> Outcome {
        let patience = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some(end) = inner.queue.end(id) {
                inner.queue.leave(id);
                return match end {
                    End::Right => Outcome::Remembered,
                    End::Wrong => Outcome::Wrong,
                    End::Nothing => Outcome::Busy,
                };
            }
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                inner.queue.leave(id);
                return Outcome::Busy;
            }
            inner = self.wait(inner, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under the lock stops half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'i>(&self, inner: MutexGuard<'i, Inner>, time: Duration) -> MutexGuard<'i, Inner> {
        self.changed
            .wait_timeout(inner, time)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(inner, _)| inner)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from((self.clock)().as_millis()).unwrap_or(u64::MAX)
    }

    /// The user's line is part of it: when it changes, nothing that was remembered fits any more.
    fn seal(&self, users: &Users, user: &str, password: &Password) -> Seal {
        let line = users.hash_of(user).map(crate::login::password::Hash::fingerprint);
        let mut text = Zeroizing::new(Vec::with_capacity(512));
        for part in [user.as_bytes(), line.as_ref().map_or(&[], |line| line.as_slice()), password.expose()] {
            text.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            text.extend_from_slice(part);
        }
        digest::mac(&self.key, &text)
    }
}

/// A check under way: if it ends in a panic, those who wait must not wait for ever.
struct Running<'p> {
    passwords: &'p Passwords,
    id: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.passwords.lock().queue.finish(self.id, End::Nothing);
        self.passwords.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
