//! A connection's bytes, under a deadline.
//!
//! Owns how long a read or a write may take. Must not know HTTP. Decision: `connection` takes any [`Stream`], so
//! that tests need no socket. A TLS session is one more, around a [`Wire`], and whoever shuts the socket down
//! from another thread needs to know nothing of it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::guard::Watched;

/// Bytes from and to one client.
pub(super) trait Stream: Read + Write {
    /// From now on, reads and writes together may take so long; then they fail with `TimedOut`.
    fn set_patience(&mut self, patience: Duration);

    /// Tells the client that nothing more will come.
    fn end_writing(&mut self) -> io::Result<()>;

    /// Whether something has come of which nothing can be read yet: a request may have begun.
    fn is_midway(&self) -> bool {
        false
    }
}

/// What came of opening a connection.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "a socket is open"))]
pub(super) enum Opened {
    Stream(Box<dyn Stream + Send>),
    /// Its client says nothing: it may rest.
    Silent,
    /// It is over.
    Ended,
}

/// A blocking socket whose reads and writes end at a deadline.
#[derive(Debug)]
pub(super) struct Wire {
    connection: Arc<Watched>,
    patience: Duration,
    deadline: Instant,
    /// Something was read or written since the deadline was set.
    begun: bool,
    /// The socket's timeouts for reads and for writes: a system call only where they change.
    timeouts: [Duration; 2],
}

impl Wire {
    pub(super) fn new(connection: Arc<Watched>) -> Self {
        let (patience, deadline) = (Duration::ZERO, Instant::now());
        Self { connection, patience, deadline, begun: true, timeouts: [Duration::ZERO; 2] }
    }

    /// Does a call whose timeout is `timeouts[which]`, within the time that is left.
    fn within(
        &mut self,
        which: usize,
        set_timeout: fn(&Socket, Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let mut left = self.patience;
            if std::mem::replace(&mut self.begun, true) {
                left = self.deadline.saturating_duration_since(Instant::now());
            }
            if left < Duration::from_millis(1) {
                // A timeout of zero would be none.
                return Err(io::ErrorKind::TimedOut.into());
            }
            if self.timeouts[which] != left {
                set_timeout(&self.connection.socket, Some(left))?;
                self.timeouts[which] = left;
            }
            match call(&self.connection.socket) {
                // A signal came, or the kernel's timer ran out: the deadline decides.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                result => return result,
            }
        }
    }
}

impl Stream for Wire {
    fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        self.deadline = Instant::now() + patience;
        self.begun = false;
    }

    fn end_writing(&mut self) -> io::Result<()> {
        self.connection.socket.shutdown(Shutdown::Write)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.within(0, Socket::set_read_timeout, |mut socket| socket.read(buffer))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(1, Socket::set_write_timeout, |mut socket| socket.write(bytes))
    }

    /// All parts of one flight in one packet.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.within(1, Socket::set_write_timeout, |mut socket| socket.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Peer;

    #[test]
    fn a_deadline_bounds_all_reads_together() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = Socket::from(std::os::fd::OwnedFd::from(ours));
        let mut wire = Wire::new(Arc::new(Watched::new(socket, Peer::Unix)));
        wire.set_patience(Duration::from_millis(100));
        let started = Instant::now();
        let dripping = std::thread::spawn(move || {
            while (&theirs).write(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut read = 0;
        let error = loop {
            match wire.read(&mut [0; 1]) {
                Ok(count) => read += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(read > 1 && started.elapsed() >= Duration::from_millis(90), "{read}");
        drop(wire);
        dripping.join().unwrap();
    }
}
