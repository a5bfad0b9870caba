//! The only place that knows sockets: from a listening address to requests, and from answers to bytes.
//!
//! Owns the order of the data flow: `listener` (where), `accepting` (the one thread that accepts and makes
//! room), `pool` (threads), `handshake` (where TLS is spoken), `connection` (one request after another: `inbox`,
//! `head`, `chunks`, the handler, `answer`). Must not know routes or tokens. Decision: a thread of the pool owns a
//! connection and reads and writes it, blocking, under deadlines (`stream`); what another thread may do to it is
//! shut it down (`guard`).

mod accepting;
mod answer;
mod connection;
#[cfg(feature = "tls")]
mod encrypted;
mod guard;
#[cfg(feature = "tls")]
mod handshake;
mod inbox;
mod listener;
mod pool;
mod room;
mod stop;
mod stream;
#[cfg(test)]
mod tests;

// Public for the fuzz targets alone.
#[doc(hidden)]
pub mod chunks;
#[doc(hidden)]
pub mod head;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use socket2::Socket;

pub use listener::BindError;
pub use stop::Stop;

use crate::ground::limits::Limits;
use crate::ground::net::Bind;
use crate::ground::sys;
use crate::http::handler::{ConnectionEvent, Handler};
use crate::http::request::Peer;
use crate::telemetry::event::EventKind;
use crate::tls::Live;
use accepting::Accepting;
use listener::SocketFile;
use pool::Pool;
use room::Room;

/// Descriptors for everything else than connections: files, logs, a reload, and three in the making.
const DESCRIPTORS_SPARE: usize = 16;

/// A bound server, which serves when it is run.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    address: String,
    limits: Limits,
    file: Option<SocketFile>,
    room: Room,
    tls: Option<Arc<Live>>,
}

/// What every connection's thread needs.
struct Shared {
    handler: Arc<dyn Handler>,
    limits: Limits,
    /// How many more inboxes may be large.
    large_spare: AtomicUsize,
    pool: Pool,
    room: Room,
    /// What handshakes are made with, where the server speaks TLS.
    tls: Option<Arc<Live>>,
    stopping: AtomicBool,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Tells the handler what happened; a handler that panics here takes no thread with it.
    fn tell(&self, kind: EventKind, peer: Option<Peer>, detail: Cow<'static, str>) {
        let event = ConnectionEvent { kind, peer, detail };
        let _ = catch_unwind(AssertUnwindSafe(|| self.handler.event(event)));
    }
}

impl Server {
    /// Starts to listen. Clients can connect from now on; they are served by `run`. A Unix socket's file gets
    /// the permissions `socket_mode`, under a umask of the process, so this is to be called before there are
    /// threads that make files.
    pub fn bind(address: &Bind, socket_mode: u16, limits: Limits) -> Result<Self, BindError> {
        let bound = listener::bind(address, socket_mode)?;
        let room = Room::open().map_err(|error| BindError { bind: address.clone(), error })?;
        Ok(Self { socket: bound.socket, address: bound.address, limits, file: bound.file, room, tls: None })
    }

    /// The same, but that it speaks TLS where it gets an identity for it.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Live>>) -> Self {
        let scheme = if tls.is_some() { "https://" } else { "http://" };
        let address = self.address.replacen("http://", scheme, 1);
        Self { address, tls, ..self }
    }

    /// Where it listens, with the port that was taken: `http://127.0.0.1:8080`, `https://...` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves until stopped; gives the number of connections that were cut off because they did not finish
    /// within the drain deadline (or because it was asked to stop twice).
    pub fn run(self, handler: Arc<dyn Handler>, stop: &Stop) -> usize {
        let Self { socket, limits, file, room, tls, .. } = self;
        let wanted = limits.connections;
        let affordable = affordable(wanted, sys::open_descriptors(), sys::raise_descriptor_limit);
        let limits = Limits { connections: affordable, ..limits };
        let (large_spare, stopping) = (AtomicUsize::new(limits.large_requests), AtomicBool::new(false));
        let pool = Pool::default();
        let shared = Arc::new(Shared { handler, limits, large_spare, pool, room, tls, stopping });
        let mut accepting = Accepting::new(shared);
        accepting.serve(&socket, stop);
        // Closed and removed before the drain, so that a successor can take the address.
        drop((socket, file));
        accepting.drain(stop)
    }
}

/// The most connections that live at once where `cap` are to be served: those that were evicted leave while
/// others come, and one more is accepted to be refused.
fn most_alive(cap: usize) -> usize {
    cap + cap / 16 + 1
}

/// As many connections, of those wanted, as there are descriptors for; at least one. `raise` asks for that many
/// descriptors and gives how many there may be.
fn affordable(wanted: usize, open: usize, raise: impl FnOnce(usize) -> usize) -> usize {
    let others = open + DESCRIPTORS_SPARE;
    let left = raise(others + most_alive(wanted)).saturating_sub(others);
    // The largest `cap` of which most_alive(cap) fits in what is left.
    wanted.min((left.saturating_sub(1) * 16 + 15) / 17).max(1)
}
