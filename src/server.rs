//! The only place that knows sockets: from a listening address to requests, and from answers to bytes.
//!
//! Owns the accept loop, in the order of the data flow: `listener` (where), `transport` (a connection, and
//! `tiny_http`), `guard` (deadlines), `pool` (threads), `connection` (one after another: `inbox`, `framing`,
//! the handler, `answer`). Must not know routes or tokens. Decision: one thread accepts and watches, and
//! one thread serves each connection, blocking; the watcher needs no lock, because it alone has the list.

mod answer;
mod budget;
mod connection;
mod event;
// Public for the fuzz targets alone.
#[doc(hidden)]
pub mod framing;
mod guard;
mod inbox;
mod limits;
mod listener;
mod pool;
mod stop;
mod sys;
#[cfg(test)]
mod tests;
mod transport;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use event::{ConnectionEvent, EventKind};
pub use limits::Limits;
pub use listener::{Address, Bind, BindError, BindErrorKind};
pub use stop::Stop;

use crate::http::request::{Peer, Request};
use crate::http::response::Response;
use budget::Budget;
use guard::{Clock, Guard, Watched};
use listener::SocketFile;
use pool::Pool;
use transport::{Accepted, Acceptor};

/// How often deadlines are looked at: they are kept to within this.
const TICK: Duration = Duration::from_millis(100);

/// How long accepting rests after it failed for want of descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// From this many connections on it is a crowd: memory is given back after it, and nobody may hurry in it.
const CROWD: usize = 64;

/// How often memory is given back.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// So few threads are no matter.
const FEW: usize = 8;

/// Failures to accept are told at most this often.
const COMPLAINT: Duration = Duration::from_secs(1);

/// Descriptors of one connection: `tiny_http` has two, we one.
const DESCRIPTORS_EACH: usize = 3;

/// Descriptors left for everything else: files, logs, and three in the making.
const DESCRIPTORS_SPARE: usize = 16;

/// What the server serves.
pub trait Handler: Send + Sync {
    /// Answers a request. Total: a panic is answered with 500, but is a defect.
    fn handle(&self, request: &Request<'_>) -> Response;

    /// Learns what happened outside of requests, to count and log it. Called on the connection's thread or
    /// the accepting one, and must not block.
    fn event(&self, event: ConnectionEvent);
}

/// A bound server, which serves when it is run.
pub struct Server {
    acceptor: Acceptor,
    address: Address,
    limits: Limits,
    file: Option<SocketFile>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What every connection's thread needs.
struct Shared {
    handler: Arc<dyn Handler>,
    limits: Limits,
    budget: Budget,
    stopping: AtomicBool,
    /// Connections being served.
    live: AtomicUsize,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Starts to listen. Clients can connect from now on; they are served by `run`.
    pub fn bind(address: &Bind, limits: Limits) -> Result<Self, BindError> {
        let bound = listener::bind(address)?;
        let other = |error| BindError { bind: address.clone(), kind: BindErrorKind::Other(error) };
        let acceptor = Acceptor::new(bound.socket).map_err(other)?;
        Ok(Self { acceptor, address: bound.address, limits, file: bound.file })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until stopped; gives the number of connections that were cut off because they did not finish
    /// within the drain deadline (or because it was asked to stop twice).
    pub fn run(self, handler: Arc<dyn Handler>, stop: &Stop) -> usize {
        sys::keep_little_memory();
        let mut limits = self.limits;
        limits.connections = affordable(limits.connections);
        let budget = Budget::new(limits.large_requests);
        let shared =
            Shared { handler, limits, budget, stopping: AtomicBool::new(false), live: AtomicUsize::new(0) };
        let mut running = Running {
            shared: Arc::new(shared),
            guard: Guard::default(),
            pool: Pool::default(),
            clock: Clock::start(),
            complained: None,
            room: 0,
            most: 0,
            gave: Instant::now(),
        };
        running.serve(&self.acceptor, stop);
        // Closed and removed before the drain, so that a successor can take the address.
        drop(self.acceptor);
        drop(self.file);
        running.drain(stop)
    }
}

/// As many connections as there are descriptors for, at least one.
fn affordable(connections: usize) -> usize {
    let open = sys::open_descriptors();
    let wanted = connections.saturating_mul(DESCRIPTORS_EACH).saturating_add(open + DESCRIPTORS_SPARE);
    let limit = sys::raise_descriptor_limit(wanted);
    let free = limit.saturating_sub(open + DESCRIPTORS_SPARE) / DESCRIPTORS_EACH;
    connections.min(free).max(1)
}

/// The accepting thread's state.
struct Running {
    shared: Arc<Shared>,
    guard: Guard,
    pool: Pool,
    clock: Clock,
    complained: Option<Instant>,
    /// Connections evicted whose place is not taken yet.
    room: usize,
    /// The most threads since memory was last given back, and when that was.
    most: usize,
    gave: Instant,
}

impl Running {
    /// Accepts and watches until asked to stop.
    fn serve(&mut self, acceptor: &Acceptor, stop: &Stop) {
        let mut swept = Instant::now();
        let mut resting: Option<Instant> = None;
        loop {
            resting = resting.filter(|until| Instant::now() < *until);
            let accepting = resting.is_none() && !self.is_crowded();
            let patience = match (accepting, self.guard.is_empty()) {
                (false, _) => Some(Duration::from_millis(1)),
                (true, true) if self.most < FEW => None,
                (true, _) => Some(TICK.saturating_sub(swept.elapsed())),
            };
            let listener = accepting.then(|| acceptor.descriptor());
            let [asked, waiting] = sys::wait_readable([Some(stop.descriptor()), listener], patience);
            if asked {
                return;
            }
            if waiting && let Err(error) = self.accept(acceptor) {
                resting = self.accept_failed(&error);
            }
            if swept.elapsed() >= TICK {
                self.guard.sweep();
                swept = Instant::now();
                self.give_back();
            }
        }
    }

    /// Gives memory back to the system: from time to time while there is a crowd, and whenever half of the
    /// threads have left, because only then is free what they had.
    fn give_back(&mut self) {
        let threads = self.shared.live.load(Ordering::Acquire) + self.pool.idle();
        self.most = self.most.max(threads);
        let halved = self.most >= FEW && threads <= self.most / 2;
        if (halved || threads >= CROWD) && self.gave.elapsed() >= GIVE_BACK {
            sys::release_memory();
            self.gave = Instant::now();
            self.most = threads;
        }
    }

    /// More connections than the cap, while those that were evicted leave.
    fn is_crowded(&self) -> bool {
        let cap = self.shared.limits.connections;
        self.shared.live.load(Ordering::Acquire) > cap + cap / 16
    }

    fn accept(&mut self, acceptor: &Acceptor) -> io::Result<()> {
        let accepted = acceptor.accept(|cookie| self.guard.knows(cookie))?;
        let full = self.shared.live.load(Ordering::Acquire) >= self.shared.limits.connections;
        if full && !self.make_room() {
            self.refuse(&accepted.socket, accepted.peer, "every connection is busy");
            return Ok(());
        }
        let patience = self.shared.limits.head_deadline;
        let Accepted { socket, peer, cookie, requests } = accepted;
        let watched = Arc::new(Watched::new(socket, peer, self.clock, patience));
        self.guard.watch(cookie, &watched);
        let count = Counted::new(&self.shared);
        let job_watched = Arc::clone(&watched);
        let job = Box::new(move || {
            let shared = &count.0;
            let served = catch_unwind(AssertUnwindSafe(|| connection::serve(&job_watched, requests, shared)));
            if served.is_err() {
                // A counter that panics must not take the thread with it either.
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    shared.handler.event(ConnectionEvent {
                        kind: EventKind::ConnectionPanicked,
                        peer: Some(peer),
                        detail: "".into(),
                    });
                }));
            }
            drop(job_watched);
        });
        if self.pool.run(job).is_err() {
            self.tell(EventKind::Refused, Some(peer), "no thread for a connection".into());
        }
        Ok(())
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

    fn refuse(&self, socket: &TcpStream, peer: Peer, why: &'static str) {
        let mut out = Vec::new();
        let envelope = answer::Envelope { head_only: false, close: true, old: false };
        let response = answer::refusal(503, "too many connections");
        answer::write(&mut out, &response, envelope, &mut answer::Date::default());
        let _ = send_now(socket, &out);
        self.tell(EventKind::Refused, Some(peer), why.into());
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
            self.tell(EventKind::AcceptFailed, None, error.to_string().into());
        }
        let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        if error.kind() == Kind::OutOfMemory || error.raw_os_error().is_some_and(|e| exhausted.contains(&e)) {
            self.guard.evict(1);
            return Some(now + REST);
        }
        None
    }

    fn tell(&self, kind: EventKind, peer: Option<Peer>, detail: Cow<'static, str>) {
        let event = ConnectionEvent { kind, peer, detail };
        // The accept loop outlives even a handler that panics here.
        let _ = catch_unwind(AssertUnwindSafe(|| self.shared.handler.event(event)));
    }

    /// Lets what is in flight finish; gives the number of connections that did not.
    fn drain(mut self, stop: &Stop) -> usize {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let started = Instant::now();
        let mut asked = stop.taken();
        loop {
            self.guard.end_idle();
            // A connection accepted a moment ago may have its request on the way.
            if started.elapsed() > 2 * TICK {
                self.guard.end_fresh();
            }
            self.guard.sweep();
            let live = self.shared.live.load(Ordering::Acquire);
            if live == 0 || asked > 1 || started.elapsed() > self.shared.limits.drain_deadline {
                self.guard.end_all();
                return live;
            }
            sys::wait_readable([Some(stop.descriptor())], Some(Duration::from_millis(10)));
            asked += stop.taken();
        }
    }
}

/// Counts a connection for as long as it is served.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.live.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sends what the socket takes at once; an error if that is not all.
fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    match socket2::SockRef::from(socket).send_with_flags(bytes, flags)? {
        sent if sent == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
