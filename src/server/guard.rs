//! Eviction and stopping, from outside the thread that serves a connection.
//!
//! Owns what each connection is doing. Must not know HTTP. Decision: the phase is changed under a lock, and
//! ended only from the phase that was seen, so that an answer in the making is never cut off.

use std::cmp::Reverse;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
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
    /// A request has come, whole or in part, and a thread looks at it; or the handler has it.
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
    /// Whether it was shut down from outside.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Phase::Evicted | Phase::Stopped)
    }
}

/// An answer is recent for this long.
const RECENT: Duration = Duration::from_secs(1);
/// So long after an answer the next request may be here before it is seen: a client that goes on at once.
const AT_ONCE: Duration = Duration::from_millis(50);

/// One connection, as its thread and the accepting one share it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    accepted: Instant,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    answered: Option<Instant>,
}

impl Watched {
    pub(super) fn new(socket: Socket, peer: Peer) -> Self {
        let state = Mutex::new(State { phase: Phase::Fresh, answered: None });
        Self { socket, peer, accepted: Instant::now(), state, ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Goes on to `phase`; false where the connection was shut down.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let mut state = self.state();
        let goes_on = !state.phase.is_end();
        if goes_on {
            state.phase = phase;
        }
        goes_on
    }

    /// Waits so long, or until it is shut down.
    pub(super) fn pause(&self, pause: Duration) {
        let waits = |state: &mut State| !state.phase.is_end();
        drop(self.ended.wait_timeout_while(self.state(), pause, waits));
    }

    /// An answer has left.
    pub(super) fn has_answered(&self) {
        self.state().answered = Some(Instant::now());
    }

    /// How long it has had no answer, weighted for eviction. Those that were answered within the last second
    /// come last, whatever they do now: one that is ended while its next answer is written loses the request
    /// after that. For one that rests longer time counts once, for any other 64-fold: clients in good standing
    /// survive a flood of newcomers, but one answer is no right to stay for ever.
    fn waited(&self, State { phase, answered }: State) -> Duration {
        let waited = answered.unwrap_or(self.accepted).elapsed();
        match (answered, phase) {
            (Some(_), _) if waited < RECENT => waited,
            (Some(_), Phase::Idle) => RECENT + waited,
            _ => RECENT + waited * 64,
        }
    }

    /// Whether the client has sent something that was not read yet.
    pub(super) fn has_bytes(&self) -> bool {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        self.socket.recv_with_flags(&mut [MaybeUninit::uninit()], flags).is_ok_and(|count| count > 0)
    }

    /// Whether its thread, and not the client, is what it waits for: the request is here or on its way, or the
    /// answer has left.
    fn waits_for_us(&self, State { phase, answered }: State) -> bool {
        match phase {
            Phase::Idle if answered.is_some_and(|answered| answered.elapsed() < AT_ONCE) => true,
            Phase::Fresh | Phase::Idle => self.has_bytes(),
            Phase::Writing => sys::is_writable(self.socket.as_fd(), Duration::ZERO),
            _ => false,
        }
    }

    /// Shuts the connection down if it still is in the phase that was seen. Its thread wakes up; where a
    /// request had begun, it can still say why.
    fn end(&self, seen: Phase, end: Phase) -> bool {
        let mut state = self.state();
        if state.phase != seen {
            return false;
        }
        state.phase = end;
        self.ended.notify_one();
        // Where nobody is writing, its thread can still take leave.
        let writes = matches!(seen, Phase::Writing | Phase::Lingering);
        // It fails where the peer was faster, and then there is nothing to shut down.
        let _ = self.socket.shutdown(if writes { Shutdown::Both } else { Shutdown::Read });
        true
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
    /// that waits for us comes after all others.
    pub(super) fn evict(&self, count: usize) -> usize {
        let candidate = |connection: Arc<Watched>| {
            let state = *connection.state();
            let ends = state.phase != Phase::Handling && !state.phase.is_end();
            let order = (connection.waits_for_us(state), Reverse(connection.waited(state)));
            ends.then_some((order, state.phase, connection))
        };
        let mut candidates: Vec<_> = self.live().filter_map(candidate).collect();
        candidates.sort_unstable_by_key(|(order, ..)| *order);
        let ends = |(_, phase, connection): &(_, Phase, Arc<Watched>)| connection.end(*phase, Phase::Evicted);
        candidates.iter().filter(|candidate| ends(candidate)).take(count).count()
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

    fn watched() -> Watched {
        let (ours, _) = std::os::unix::net::UnixStream::pair().unwrap();
        Watched::new(std::os::fd::OwnedFd::from(ours).into(), Peer::Unix)
    }

    #[test]
    fn one_that_was_answered_a_moment_ago_is_evicted_after_every_newcomer() {
        let before = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let newcomer = watched();
        let new = newcomer.waited(State { phase: Phase::Fresh, answered: None });
        let mut good = watched();
        good.accepted = before(5);
        let good = |phase, seconds| good.waited(State { phase, answered: Some(before(seconds)) });
        for phase in [Phase::Idle, Phase::Reading, Phase::Writing] {
            assert!(good(phase, 0) < new, "{phase:?}");
        }
        // Two seconds later it must be resting to come after them.
        assert!(good(Phase::Writing, 2) > good(Phase::Idle, 2));
        assert!(good(Phase::Writing, 2) > new);
    }

    #[test]
    fn a_client_that_goes_on_at_once_is_not_taken_for_an_idle_one() {
        let connection = watched();
        let idle = |answered| connection.waits_for_us(State { phase: Phase::Idle, answered });
        assert!(idle(Some(Instant::now())));
        assert!(!idle(Instant::now().checked_sub(RECENT)) && !idle(None));
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
