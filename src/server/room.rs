//! Where connections rest between requests, without a thread each.
//!
//! Owns the thread that waits for all of them. Must not know what a connection is for. Decision: a thread that has
//! answered holds some 25 KiB of stack and allocator, so it waits a second at most for the next request and then
//! leaves its connection here: hundreds of idle clients cost next to nothing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Instant;

use super::visit::Visit;
use crate::ground::sys;

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
