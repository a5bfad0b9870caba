//! Where connections rest between requests, without a thread each, and their way there and back.
//!
//! Owns the thread that waits for all of them. Must not know what is read and written. Decision: a thread that has
//! answered holds some 25 KiB of stack and allocator, so it waits a second at most for the next request and then
//! leaves its connection here: hundreds of idle clients cost next to nothing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Instant;

use super::Shared;
use super::connection::{self, REST};
use super::guard::{Phase, Watched};
#[cfg(feature = "tls")]
use super::handshake;
use super::stream::{Opened, Stream, Wire};
use crate::ground::sys;
use crate::telemetry::event::EventKind;

/// A connection that is served, or rests. Its client counts as a guest for as long as this lives.
pub(super) struct Visit {
    pub(super) connection: Arc<Watched>,
    /// What it is read and written through, once that is open.
    pub(super) stream: Option<Box<dyn Stream + Send>>,
    /// The number of the next request, from 1.
    pub(super) next: u32,
    pub(super) shared: Arc<Shared>,
}

impl Visit {
    /// Serves it on a thread of the pool; an error where there is none to be had, and then it ends.
    pub(super) fn start(self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.pool.run(Box::new(move || self.serve()))
    }

    fn serve(mut self) {
        let serve = || {
            if self.stream.is_none() {
                match self.open() {
                    Opened::Stream(stream) => self.stream = Some(stream),
                    Opened::Silent => return Some(self.next),
                    Opened::Ended => return None,
                }
            }
            let stream = self.stream.as_deref_mut()?;
            connection::serve(stream, &self.connection, &self.shared, self.next)
        };
        match catch_unwind(AssertUnwindSafe(serve)) {
            Ok(None) => {}
            Ok(Some(next)) => {
                let patience = self.shared.limits.patience(next).saturating_sub(REST);
                let shared = Arc::clone(&self.shared);
                shared.room.enter(Self { next, ..self }, Instant::now() + patience);
            }
            Err(_) => self.tell(EventKind::ConnectionPanicked),
        }
    }

    /// Opens what it is read and written through: the socket itself, or TLS over it.
    fn open(&self) -> Opened {
        match &self.shared.tls {
            None => Opened::Stream(Box::new(Wire::new(Arc::clone(&self.connection)))),
            #[cfg(feature = "tls")]
            Some(tls) => handshake::accept(&tls.current(), &self.connection, &self.shared),
            #[cfg(not(feature = "tls"))]
            Some(_) => Opened::Ended, // never: nobody can make an identity
        }
    }

    /// Something has happened on it while it rested: it was ended from either side, or there is a request.
    fn resume(self) {
        if self.connection.phase() == Phase::Evicted {
            self.tell(EventKind::Evicted);
        } else if self.connection.has_bytes() {
            // Without a thread it ends.
            let _ = self.start();
        }
    }

    /// It has rested too long.
    fn expire(self) {
        if self.next == 1 {
            self.tell(EventKind::Silent);
        }
    }

    fn tell(&self, kind: EventKind) {
        self.shared.tell(kind, Some(self.connection.peer), "".into());
    }
}

/// The way in.
#[derive(Debug)]
pub(super) struct Room {
    arrivals: Sender<(Visit, Instant)>,
    bell: UnixStream,
}

impl Room {
    /// Opens it. It closes when nobody can come any more.
    pub(super) fn open() -> io::Result<Self> {
        let (bell, rung) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        let (arrivals, arrived) = channel();
        thread::Builder::new().name("resting".into()).spawn(move || attend(&arrived, &rung))?;
        Ok(Self { arrivals, bell })
    }

    /// Takes a connection, until its client says something, or until that time.
    pub(super) fn enter(&self, visit: Visit, until: Instant) {
        if self.arrivals.send((visit, until)).is_ok() {
            // A full socket rings, too.
            let _ = (&self.bell).write(&[0]);
        }
    }
}

fn attend(arrived: &Receiver<(Visit, Instant)>, mut rung: &UnixStream) {
    let mut resting: Vec<(Visit, Instant)> = Vec::new();
    loop {
        let first = resting.iter().map(|(_, until)| until.saturating_duration_since(Instant::now())).min();
        let sockets = resting.iter().map(|(visit, _)| Some(visit.connection.socket.as_fd()));
        let sources: Vec<_> = sockets.chain([Some(rung.as_fd())]).collect();
        let mut ready = sys::wait_readable(&sources, first);
        let called = ready.pop() == Some(true);
        // Backwards, because the last one takes the place of one that goes.
        for (at, speaks) in ready.into_iter().enumerate().rev() {
            if speaks {
                resting.swap_remove(at).0.resume();
            } else if resting[at].1 <= Instant::now() {
                resting.swap_remove(at).0.expire();
            }
        }
        if called {
            let _ = rung.read(&mut [0; 64]);
            loop {
                match arrived.try_recv() {
                    Ok(arrival) => resting.push(arrival),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }
}
