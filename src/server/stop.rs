//! How a server is told to stop.
//!
//! Owns a pair of sockets whose one end wakes the accept loop. Must not know what stopping means.
//! Decision: one byte is one request to stop, so that a signal handler can make it (it may only write),
//! and a second one shows as a second byte.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Asks a running server to stop: once to finish what is in flight, twice to end at once.
#[derive(Debug, Clone)]
pub struct Stop {
    ends: Arc<(UnixStream, UnixStream)>,
}

impl Stop {
    /// A stop that only `trigger` pulls.
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self { ends: Arc::new((read, write)) })
    }

    /// A stop that SIGTERM and SIGINT pull, for the life of the process.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new()?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, stop.ends.1.try_clone()?)?;
        }
        Ok(stop)
    }

    /// Asks once.
    pub fn trigger(&self) {
        // A full pipe holds enough requests already.
        let _ = (&self.ends.1).write(b"X");
    }

    /// Readable when somebody has asked.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.ends.0.as_fd()
    }

    /// How often it was asked since the last call.
    pub(super) fn taken(&self) -> usize {
        (&self.ends.0).read(&mut [0; 16]).unwrap_or(0)
    }
}
