//! Eviction and stopping, from outside the thread that serves a connection.
//!
//! Owns what each connection is doing. Must not know HTTP. Decision: one atomic holds the phase, and whoever
//! changes it by compare-and-swap has decided, so that an answer in the making is never cut off.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::ground::sys;
use crate::http::request::Peer;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// Between requests.
    Idle,
    /// A request has begun.
    Reading,
    /// The handler has it.
    Handling,
    /// An answer is being written.
    Writing,
    /// Answered for good; what the client still sends is thrown away, so that it reads the answer.
    Lingering,
    /// Shut down to make room for another.
    Evicted,
    /// Shut down because the server stops.
    Stopped,
}

impl Phase {
    fn of(number: u8) -> Self {
        use Phase::{Evicted, Fresh, Handling, Idle, Lingering, Reading, Stopped, Writing};
        const ALL: [Phase; 8] = [Fresh, Idle, Reading, Handling, Writing, Lingering, Evicted, Stopped];
        ALL[usize::from(number) % ALL.len()]
    }

    /// Whether it was shut down from outside.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Phase::Evicted | Phase::Stopped)
    }
}

/// An answer is recent for this long, in milliseconds.
const RECENT: u64 = 1000;

/// One connection, as its thread and the accepting one share it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    phase: AtomicU8,
    accepted: Instant,
    /// Milliseconds from `accepted` to the last answer; 0 if there was none.
    answered: AtomicU64,
}

impl Watched {
    pub(super) fn new(socket: Socket, peer: Peer) -> Self {
        let (phase, answered) = (AtomicU8::new(Phase::Fresh as u8), AtomicU64::new(0));
        Self { socket, peer, phase, accepted: Instant::now(), answered }
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Acquire))
    }

    /// Goes on to `phase`; false where the connection was shut down. Only its own thread calls this.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let seen = self.phase();
        // It can only have changed to an end.
        !seen.is_end() && self.change(seen, phase)
    }

    fn change(&self, from: Phase, to: Phase) -> bool {
        self.phase.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// An answer has left.
    pub(super) fn has_answered(&self) {
        self.answered.store(self.age().max(1), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long it has had no answer, in milliseconds, weighted for eviction. Those that were answered within
    /// the last second come last, whatever they do now: one that is ended while its next answer is written
    /// loses the request after that. For one that rests longer time counts once, for any other 64-fold:
    /// clients in good standing survive a flood of newcomers, but one answer is no right to stay for ever.
    fn waited(&self, phase: Phase) -> u64 {
        let answered = self.answered.load(Ordering::Relaxed);
        let waited = (self.age() + 1).saturating_sub(answered);
        match (answered > 0, phase) {
            (true, _) if waited < RECENT => waited,
            (true, Phase::Idle) => RECENT + waited,
            _ => RECENT + waited * 64,
        }
    }

    /// Whether its thread, and not the client, is what it waits for: the request is here, or the answer has
    /// left.
    fn waits_for_us(&self, phase: Phase) -> bool {
        match phase {
            Phase::Fresh | Phase::Idle => sys::is_readable(self.socket.as_fd()),
            Phase::Writing => sys::is_writable(self.socket.as_fd(), Duration::ZERO),
            _ => false,
        }
    }

    /// Shuts the connection down if it still is in the phase that was seen. Its thread wakes up; where a
    /// request had begun, it can still say why.
    fn end(&self, seen: Phase, end: Phase) -> bool {
        let ends = self.change(seen, end);
        if ends {
            let how = if seen == Phase::Reading { Shutdown::Read } else { Shutdown::Both };
            // It fails where the peer was faster, and then there is nothing to shut down.
            let _ = self.socket.shutdown(how);
        }
        ends
    }
}

/// Every connection that is served. Only the accepting thread has it.
#[derive(Debug, Default)]
pub(super) struct Guard {
    connections: Vec<Weak<Watched>>,
}

impl Guard {
    /// Watches one more connection; of those that are gone it forgets all, once they are half.
    pub(super) fn watch(&mut self, connection: &Arc<Watched>, live: usize) {
        if self.connections.len() > 2 * live + 16 {
            self.connections.retain(|connection| connection.strong_count() > 0);
        }
        self.connections.push(Arc::downgrade(connection));
    }

    /// Ends the connections, at most `count`, that have gone longest without an answer; gives how many. One
    /// that waits for us is spared while there are others.
    pub(super) fn evict(&self, count: usize) -> usize {
        let mut candidates: Vec<(u64, Phase, Arc<Watched>)> = self
            .live()
            .map(|connection| (connection.phase(), connection))
            .filter(|(phase, _)| *phase != Phase::Handling && !phase.is_end())
            .map(|(phase, connection)| (connection.waited(phase), phase, connection))
            .collect();
        candidates.sort_unstable_by_key(|(waited, _, _)| std::cmp::Reverse(*waited));
        let mut evicted = 0;
        let mut spared = Vec::new();
        for (_, phase, connection) in candidates {
            if evicted == count {
                return evicted;
            }
            if connection.waits_for_us(phase) {
                spared.push((phase, connection));
            } else {
                evicted += usize::from(connection.end(phase, Phase::Evicted));
            }
        }
        for (phase, connection) in spared.into_iter().take(count - evicted) {
            evicted += usize::from(connection.end(phase, Phase::Evicted));
        }
        evicted
    }

    /// Ends, because the server stops, those that do what is `chosen`.
    pub(super) fn stop(&self, chosen: impl Fn(Phase) -> bool) {
        for connection in self.live() {
            let phase = connection.phase();
            if chosen(phase) && !phase.is_end() {
                connection.end(phase, Phase::Stopped);
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = Arc<Watched>> {
        self.connections.iter().filter_map(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that was accepted five seconds ago.
    fn watched() -> Watched {
        let (ours, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut watched = Watched::new(std::os::fd::OwnedFd::from(ours).into(), Peer::Unix);
        watched.accepted = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        watched
    }

    #[test]
    fn one_that_was_answered_a_moment_ago_is_evicted_after_every_newcomer() {
        let (mut good, newcomer) = (watched(), Watched::new(watched().socket, Peer::Unix));
        good.has_answered();
        for phase in [Phase::Idle, Phase::Reading, Phase::Writing] {
            assert!(good.waited(phase) < newcomer.waited(Phase::Fresh), "{phase:?}");
        }
        // Two seconds later it must be resting to come after them.
        good.accepted -= Duration::from_secs(2);
        assert!(good.waited(Phase::Writing) > good.waited(Phase::Idle));
        assert!(good.waited(Phase::Writing) > newcomer.waited(Phase::Fresh));
    }

    #[test]
    fn a_phase_is_its_number() {
        for number in 0..8 {
            assert_eq!(Phase::of(number) as u8, number);
        }
    }

    #[test]
    fn what_the_handler_has_is_not_ended_and_what_was_ended_goes_on_to_nothing() {
        let connection = Arc::new(watched());
        let mut guard = Guard::default();
        guard.watch(&connection, 0);
        assert!(connection.enter(Phase::Handling));
        assert_eq!(guard.evict(1), 0);
        assert!(connection.enter(Phase::Reading));
        assert_eq!(guard.evict(1), 1);
        assert_eq!(connection.phase(), Phase::Evicted);
        assert!(!connection.enter(Phase::Handling));
    }
}
