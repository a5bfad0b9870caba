//! Whether a password is right, at a price that nobody can run up.
//!
//! Owns what is remembered between requests: verified passwords (`memory`), failures (`throttle`), and who
//! checks now and who waits (`queue`). Must not know requests. Decision: these stand behind one lock, so
//! that "is this one slowed, is it remembered, is the same being checked already" is one question with one
//! answer; bcrypt itself runs outside of it. A remembered password is asked for only after the throttle:
//! else guesses against it would be free. Where the throttle says no, only a password that was right from
//! the same client within a day gets in, so that strangers cannot lock a user out; any other is refused as
//! if it had not been looked at, so that nobody learns who logged in from there.

mod memory;
mod queue;
mod throttle;

use crate::ground::digest;
use crate::login::password::{FINGERPRINT, Hash, Password};
use crate::login::users::Users;
use memory::Memory;
use queue::{Entered, Queue, State};
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

    /// All that one site can come from: an IPv4 address, or an IPv6 network of 48 bits (RFC 6177).
    fn site(self) -> Self {
        Self(self.0.map(|bits| if bits >> 64 == 0 { bits } else { bits >> 80 << 80 }))
    }
}

/// Texts under a key that lives as long as the process: what is compared instead of a password.
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
        // The user's line is part of it: when it changes, nothing that was remembered fits any more.
        let line = users.hash_of(user).map_or([0; FINGERPRINT], Hash::fingerprint);
        let seal = self.seal(&[user.as_bytes(), &line, password.expose()]);
        let from = client.0.map(u128::to_be_bytes);
        let from = from.as_ref().map_or(&[][..], |bytes| bytes);
        let visits @ [visit, visitor] = [self.seal(&[from, &seal]), self.seal(&[from])];

        let mut inner = self.lock();
        let now = self.now();
        let keys = inner.throttle.keys(client, user);
        if let Some(wait) = inner.throttle.wait(&keys, now) {
            if !inner.throttle.may_recall(&keys, now) || !inner.memory.had(&visit, now) {
                return Outcome::Throttled(wait);
            }
            inner.throttle.recalled(&keys, now);
        } else if !inner.memory.recalls(&seal, now) {
            let known = inner.memory.had(&visitor, now);
            let outcome = match inner.queue.enter(seal, client, known) {
                Entered::Full => Outcome::Busy,
                Entered::Joined(id) => self.follow(inner, id, visits),
                Entered::Leads(id) => {
                    // Paid before it is known to be wrong, so that many at once pay as many in a row.
                    inner.throttle.charge(&keys, now);
                    self.lead(inner, id, (seal, visits, keys), || users.check(user, password))
                }
            };
            return outcome;
        }
        inner.memory.visit(visits, now);
        Outcome::Remembered
    }

    /// Waits for a turn, checks, and tells those who follow.
    fn lead(
        &self,
        inner: MutexGuard<'_, Inner>,
        id: u64,
        (seal, visits, keys): (Seal, [Seal; 2], Keys),
        check: impl FnOnce() -> bool,
    ) -> Outcome {
        // It may have displaced another, or have looked while there was room for both.
        self.changed.notify_all();
        let (mut inner, state) =
            self.wait(inner, PATIENCE, |queue| queue.turn(id), |state| state == State::Waits);
        if state != State::Runs {
            inner.queue.finish(id, State::Nothing);
            inner.throttle.refund(&keys, self.now());
            self.changed.notify_all();
            return Outcome::Busy;
        }
        drop(inner);
        self.changed.notify_all();
        let running = Running { passwords: self, id };
        let right = check();
        let mut inner = self.lock();
        if right {
            let now = self.now();
            inner.throttle.refund(&keys, now);
            inner.memory.remember(seal, now);
            inner.memory.visit(visits, now);
        }
        inner.queue.finish(id, if right { State::Right } else { State::Wrong });
        drop(inner);
        drop(running); // which finds it finished, and wakes the others
        if right { Outcome::Right } else { Outcome::Wrong }
    }

    /// Waits for what another request finds for the same user and password.
    fn follow(&self, inner: MutexGuard<'_, Inner>, id: u64, visits: [Seal; 2]) -> Outcome {
        let (mut inner, state) = self.wait(inner, 2 * PATIENCE, |queue| queue.state(id), State::is_pending);
        inner.queue.leave(id);
        match state {
            State::Right => {
                inner.memory.visit(visits, self.now());
                Outcome::Remembered
            }
            State::Wrong => Outcome::Wrong,
            State::Waits | State::Runs | State::Nothing => Outcome::Busy,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under the lock stops half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the state is such, for that long at most. Gives the last state seen.
    fn wait<'i>(
        &self,
        inner: MutexGuard<'i, Inner>,
        patience: Duration,
        mut state: impl FnMut(&mut Queue) -> State,
        waits: fn(State) -> bool,
    ) -> (MutexGuard<'i, Inner>, State) {
        let mut seen = State::Nothing;
        let waited = self.changed.wait_timeout_while(inner, patience, |inner| {
            seen = state(&mut inner.queue);
            waits(seen)
        });
        (waited.map_or_else(|poisoned| poisoned.into_inner().0, |(inner, _)| inner), seen)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from((self.clock)().as_millis()).unwrap_or(u64::MAX)
    }

    fn seal(&self, parts: &[&[u8]]) -> Seal {
        let mut text = Zeroizing::new(Vec::with_capacity(512));
        for part in parts {
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
        self.passwords.lock().queue.finish(self.id, State::Nothing);
        self.passwords.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
