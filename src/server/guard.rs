//! Deadlines, eviction and stopping, enforced from outside the thread that serves a connection.
//!
//! Owns what a connection is doing and until when. Must not know HTTP or `tiny_http`. Decision: one atomic
//! word per connection holds phase and deadline; whoever changes it by compare-and-swap has decided, so
//! that an answer is never cut off by a deadline that it met. The socket is a descriptor of our own: its
//! number cannot be reused while the guard holds it.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::sys;
use crate::http::request::Peer;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Fresh = 0,
    /// Between requests.
    Idle = 1,
    /// A head has begun.
    Head = 2,
    /// A body is awaited.
    Body = 3,
    /// The handler has it.
    Handling = 4,
    /// An answer is being written.
    Writing = 5,
    /// Answered for good; what the client still sends is thrown away, so that it reads the answer.
    Lingering = 6,
    /// The guard has shut it down.
    Ended = 7,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::Fresh,
        Self::Idle,
        Self::Head,
        Self::Body,
        Self::Handling,
        Self::Writing,
        Self::Lingering,
        Self::Ended,
    ];
}

/// Why the guard shut a connection down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Expired = 0,
    Evicted = 1,
    Stopping = 2,
}

/// Milliseconds since the server was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn after(self, patience: Duration) -> u64 {
        self.now().saturating_add(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX))
    }
}

/// An answer is recent for this long, in milliseconds.
const RECENT: u64 = 1000;

/// The two low bytes of the word are phase and reason, the others the deadline.
const DEADLINE_SHIFT: u32 = 16;

fn word(phase: Phase, ended: Ended, deadline: u64) -> u64 {
    (deadline.min(u64::MAX >> DEADLINE_SHIFT) << DEADLINE_SHIFT) | ((ended as u64) << 8) | phase as u64
}

fn phase_of(word: u64) -> Phase {
    Phase::ALL[(word & 7) as usize]
}

/// One connection, as its thread and the guard share it.
#[derive(Debug)]
pub(super) struct Watched {
    /// For Unix sockets too: only socket calls are made on it, and std's `UnixStream` cannot peek.
    pub(super) socket: TcpStream,
    pub(super) peer: Peer,
    clock: Clock,
    state: AtomicU64,
    accepted: u64,
    /// When it was last answered; 0 if never.
    answered: AtomicU64,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, peer: Peer, clock: Clock, patience: Duration) -> Self {
        let state = word(Phase::Fresh, Ended::Expired, clock.after(patience));
        Self {
            socket,
            peer,
            clock,
            state: AtomicU64::new(state),
            accepted: clock.now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Goes on to `phase`, unless the guard has ended the connection.
    pub(super) fn enter(&self, phase: Phase, patience: Duration) -> Result<(), Ended> {
        let next = word(phase, Ended::Expired, self.clock.after(patience));
        let mut seen = self.state.load(Ordering::Acquire);
        loop {
            if phase_of(seen) == Phase::Ended {
                return Err(reason_of(seen));
            }
            match self.state.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Goes on to `phase` even where the guard has ended what went before: to linger after a 408.
    pub(super) fn force(&self, phase: Phase, patience: Duration) {
        self.state.store(word(phase, Ended::Expired, self.clock.after(patience)), Ordering::Release);
    }

    /// The guard's reason, if it has ended the connection.
    pub(super) fn ended(&self) -> Option<Ended> {
        let seen = self.state.load(Ordering::Acquire);
        (phase_of(seen) == Phase::Ended).then(|| reason_of(seen))
    }

    /// An answer has left.
    pub(super) fn has_answered(&self) {
        self.answered.store(self.clock.now().max(1), Ordering::Relaxed);
    }

    /// How long it has had no answer, in milliseconds, weighted for eviction.
    fn waited(&self, phase: Phase) -> u64 {
        let now = self.clock.now() + 1;
        let answered = self.answered.load(Ordering::Relaxed);
        let waited = now.saturating_sub(answered.max(self.accepted));
        match (answered > 0, phase) {
            (true, _) if waited < RECENT => waited,
            (true, Phase::Idle) => RECENT + waited,
            _ => RECENT + waited * 64,
        }
    }

    /// Whether its thread, and not the client, is what it waits for: the request is here, or the answer
    /// has left.
    fn waits_for_us(&self, phase: Phase) -> bool {
        match phase {
            Phase::Fresh | Phase::Idle => sys::bytes_unread(&self.socket).is_some_and(|unread| unread > 0),
            Phase::Writing => sys::bytes_unsent(&self.socket) == Some(0),
            _ => false,
        }
    }

    /// Ends the connection if it still is in the state that was `seen`.
    fn end(&self, seen: u64, reason: Ended) -> bool {
        let ended = word(Phase::Ended, reason, 0);
        if self.state.compare_exchange(seen, ended, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        // Its thread wakes up; where a request had begun it can still say why.
        let how = match phase_of(seen) {
            Phase::Head | Phase::Body => Shutdown::Read,
            _ => Shutdown::Both,
        };
        // It fails where the peer was faster, and then there is nothing to shut down.
        let _ = self.socket.shutdown(how);
        true
    }
}

fn reason_of(word: u64) -> Ended {
    match (word >> 8) & 0xff {
        0 => Ended::Expired,
        1 => Ended::Evicted,
        _ => Ended::Stopping,
    }
}

/// Every connection that is served. Only the accepting thread has it.
#[derive(Debug, Default)]
pub(super) struct Guard {
    connections: Vec<(u64, Weak<Watched>)>,
}

impl Guard {
    /// Watches one more connection, known to the system as `cookie`.
    pub(super) fn watch(&mut self, cookie: u64, connection: &Arc<Watched>) {
        self.connections.push((cookie, Arc::downgrade(connection)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn knows(&self, cookie: u64) -> bool {
        self.connections.iter().any(|(known, _)| *known == cookie)
    }

    /// Forgets what is closed and ends what is past its deadline.
    pub(super) fn sweep(&mut self) {
        self.connections.retain(|(_, connection)| {
            let Some(connection) = connection.upgrade() else { return false };
            let seen = connection.state.load(Ordering::Acquire);
            let late = connection.clock.now() > seen >> DEADLINE_SHIFT;
            if late && !matches!(phase_of(seen), Phase::Handling | Phase::Ended) {
                connection.end(seen, Ended::Expired);
            }
            true
        });
    }

    /// Ends the connections, at most `count`, that have gone longest without an answer; gives how many.
    /// Those that were answered within the last second come last, whatever they do now: one that is ended
    /// while its next answer is written loses the request after that. For one that rests longer
    /// time counts once, for any other 64-fold: clients in good standing survive a flood of newcomers, but
    /// one answer is no right to stay for ever. One that waits for us is spared while there are others.
    pub(super) fn evict(&self, count: usize) -> usize {
        let mut waiting: Vec<(u64, u64, Arc<Watched>)> = self
            .connections
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .map(|connection| {
                let seen = connection.state.load(Ordering::Acquire);
                (connection.waited(phase_of(seen)), seen, connection)
            })
            .filter(|(_, seen, _)| !matches!(phase_of(*seen), Phase::Handling | Phase::Ended))
            .collect();
        waiting.sort_unstable_by_key(|(waited, _, _)| std::cmp::Reverse(*waited));
        let mut evicted = 0;
        let mut end = |(_, seen, connection): &(u64, u64, Arc<Watched>)| {
            let ends = evicted < count && connection.end(*seen, Ended::Evicted);
            evicted += usize::from(ends);
            evicted < count
        };
        let (mut spared, mut room) = (Vec::new(), true);
        for candidate in &waiting {
            if !room {
                break;
            }
            if candidate.2.waits_for_us(phase_of(candidate.1)) {
                spared.push(candidate);
            } else {
                room = end(candidate);
            }
        }
        for candidate in spared {
            end(candidate);
        }
        evicted
    }

    /// Ends those between requests.
    pub(super) fn end_idle(&self) {
        self.end_where(|phase| matches!(phase, Phase::Idle | Phase::Lingering));
    }

    /// Ends those that have sent nothing.
    pub(super) fn end_fresh(&self) {
        self.end_where(|phase| phase == Phase::Fresh);
    }

    /// Ends all, whatever they do.
    pub(super) fn end_all(&self) {
        self.end_where(|phase| phase != Phase::Ended);
    }

    fn end_where(&self, chosen: impl Fn(Phase) -> bool) {
        for connection in self.connections.iter().filter_map(|(_, connection)| connection.upgrade()) {
            let seen = connection.state.load(Ordering::Acquire);
            if chosen(phase_of(seen)) {
                connection.end(seen, Ended::Stopping);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn watched() -> Watched {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut watched = Watched::new(socket, Peer::Unix, Clock::start(), Duration::from_secs(1));
        // As if the server had run for a while.
        watched.clock = Clock(Instant::now().checked_sub(Duration::from_secs(5)).unwrap());
        watched.accepted = watched.clock.now();
        watched
    }

    #[test]
    fn one_that_was_answered_a_moment_ago_is_evicted_after_every_newcomer() {
        let (mut good, newcomer) = (watched(), watched());
        good.accepted -= 3000;
        good.has_answered();
        for phase in [Phase::Idle, Phase::Head, Phase::Body, Phase::Writing] {
            assert!(good.waited(phase) < newcomer.waited(Phase::Fresh), "{phase:?}");
        }
        // Two seconds later it must be resting to come after them.
        good.answered.store(good.clock.now() - 2000, Ordering::Relaxed);
        assert!(good.waited(Phase::Writing) > good.waited(Phase::Idle));
        assert!(good.waited(Phase::Writing) > newcomer.waited(Phase::Fresh));
    }
}
