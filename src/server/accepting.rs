//! The thread that accepts: who is let in, who must leave for that, and the end.
//!
//! Owns the list of connections and the order at a full house. Must not know what is served. Decision: this
//! thread never waits for a client; it writes only what an empty send buffer takes.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::answer::{self, Envelope};
use super::guard::{Guard, Phase, Watched};
use super::room::Visit;
use super::stop::Stop;
use super::{Shared, most_alive};
use crate::ground::sys;
use crate::http::refusal::Refusal;
use crate::http::request::Peer;
use crate::telemetry::event::EventKind;

/// How long accepting rests after it failed for want of descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// Failures to accept are told at most this often.
const COMPLAINT: Duration = Duration::from_secs(1);

/// How long, once stopped, a connection that was just accepted may take for its first request to arrive.
const ARRIVAL: Duration = Duration::from_millis(200);

pub(super) struct Accepting {
    shared: Arc<Shared>,
    guard: Guard,
    complained: Option<Instant>,
    /// Connections evicted whose place is not taken yet.
    room: usize,
}

impl Accepting {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, guard: Guard::default(), complained: None, room: 0 }
    }

    /// Accepts until asked to stop.
    pub(super) fn serve(&mut self, listener: &Socket, stop: &Stop) {
        let mut resting: Option<Instant> = None;
        loop {
            resting = resting.filter(|until| Instant::now() < *until);
            let crowded = self.live() >= most_alive(self.shared.limits.connections);
            let accepts = resting.is_none() && !crowded;
            let patience = (!accepts).then_some(Duration::from_millis(1));
            let sources = [Some(stop.descriptor()), accepts.then(|| listener.as_fd())];
            let ready = sys::wait_readable(&sources, patience);
            if ready[0] {
                return;
            }
            if ready[1] {
                match listener.accept() {
                    Ok((socket, address)) => {
                        let address = address.as_socket().map(|address| address.ip().to_canonical());
                        self.admit(socket, address.map_or(Peer::Unix, Peer::Ip));
                    }
                    Err(error) => resting = self.accept_failed(&error),
                }
            }
        }
    }

    fn admit(&mut self, socket: Socket, peer: Peer) {
        if !cfg!(target_os = "linux") {
            // Elsewhere an accepted socket is as blocking as the listener, and has none of its options.
            let _ = (socket.set_nonblocking(false), socket.set_tcp_nodelay(true));
        }
        let live = self.live();
        if live >= self.shared.limits.connections && !self.make_room() {
            return self.refuse(&socket, peer, "every connection is busy");
        }
        let watched = Arc::new(Watched::new(socket, peer));
        self.guard.watch(&watched, live);
        let (connection, shared) = (Arc::clone(&watched), Arc::clone(&self.shared));
        let visit = Visit { connection, stream: None, next: 1, shared };
        if visit.start().is_err() {
            self.refuse(&watched.socket, peer, "no thread for a connection");
        }
    }

    /// Connections that are served: each has a share of what is shared.
    fn live(&self) -> usize {
        Arc::strong_count(&self.shared) - 1
    }

    /// Evicts a connection for a new one: some at a time, because finding them takes a look at all.
    fn make_room(&mut self) -> bool {
        if self.room == 0 {
            self.room = self.guard.evict((self.shared.limits.connections / 64).max(1));
        }
        let made = self.room > 0;
        self.room = self.room.saturating_sub(1);
        made
    }

    fn refuse(&self, mut socket: &Socket, peer: Peer, why: &'static str) {
        // There is no time for a handshake, and no other words that its client would understand.
        let answer = if self.shared.tls.is_some() {
            Vec::new()
        } else {
            answer::bytes(&Refusal::Overloaded("too many connections").response(), Envelope::LAST)
        };
        // What was read is no reason for a reset that would overtake the answer.
        let _ = socket.set_nonblocking(true);
        let _ = (socket.read(&mut [0; 4096]), socket.write(&answer), socket.shutdown(Shutdown::Write));
        self.shared.tell(EventKind::Refused, Some(peer), why.into());
    }

    /// Gives until when to rest, if the failure is ours and not that of one connection.
    fn accept_failed(&mut self, error: &io::Error) -> Option<Instant> {
        use io::ErrorKind as Kind;
        if matches!(error.kind(), Kind::WouldBlock | Kind::Interrupted | Kind::ConnectionAborted) {
            return None;
        }
        let now = Instant::now();
        if self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINT) {
            self.complained = Some(now);
            self.shared.tell(EventKind::AcceptFailed, None, Cow::Owned(error.to_string()));
        }
        let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        if error.raw_os_error().is_some_and(|code| exhausted.contains(&code)) {
            self.guard.evict(1);
            return Some(now + REST);
        }
        None
    }

    /// Lets what is in flight finish; gives the number of connections that did not.
    pub(super) fn drain(self, stop: &Stop) -> usize {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let started = Instant::now();
        let mut asked = stop.taken();
        loop {
            let late = started.elapsed() > ARRIVAL;
            self.guard.stop(|phase| match phase {
                Phase::Idle | Phase::Lingering => true,
                Phase::Fresh => late,
                _ => false,
            });
            let live = self.live();
            if live == 0 || asked > 1 || started.elapsed() > self.shared.limits.drain_deadline {
                self.guard.stop(|_| true);
                return live;
            }
            sys::wait_readable(&[Some(stop.descriptor())], Some(Duration::from_millis(10)));
            asked += stop.taken();
        }
    }
}
