//! The bytes of a connection that `tiny_http` is about to read, seen before it reads them.
//!
//! Owns the view of the stream from the next request on. Must not know what the bytes mean. Decision: the
//! kernel keeps the bytes (`MSG_PEEK`) and `tiny_http` reads them there. It reads ahead, though, so after
//! each request the view is set against what the kernel says it has received: bytes that `tiny_http`
//! holds and that were seen stay in the view; bytes that it took unseen end the connection after the
//! answer, because no request may be read that was not examined.

use std::io;
use std::time::Duration;

use super::guard::Watched;
use super::sys;

/// The view's size for ordinary heads, in bytes; it grows for others and shrinks after them.
const SMALL: usize = 1024;

/// The size beyond which a view is a large one, of which there may only be so many.
const LARGE: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    /// How much of `buffer` is the view.
    length: usize,
    /// How much of the view `tiny_http` has taken from the kernel already.
    held: usize,
    /// Where the view starts, counted from the connection's first byte.
    start: u64,
}

/// What waiting for bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    More,
    /// The peer has ended its side, or the guard has ended the connection.
    End,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; SMALL], length: 0, held: 0, start: 0 }
    }

    pub(super) fn view(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Whether the next `fill` makes the view a large one.
    pub(super) fn outgrows(&self) -> bool {
        self.length == self.buffer.len() && self.length >= LARGE
    }

    pub(super) fn is_large(&self) -> bool {
        self.buffer.len() > LARGE
    }

    /// Waits until the view is longer.
    pub(super) fn fill(&mut self, connection: &Watched) -> io::Result<Filled> {
        let mut patience = Duration::from_millis(1);
        loop {
            if self.length == self.buffer.len() {
                self.buffer.resize(self.length * 2, 0);
            }
            let seen = match connection.socket.peek(&mut self.buffer[self.held..]) {
                Ok(0) => return Ok(Filled::End),
                Ok(seen) => seen,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.held + seen > self.length {
                self.length = self.held + seen;
                return Ok(Filled::More);
            }
            // On TCP this wakes for one byte more; a Unix socket returns at once, and waits below.
            if wait_for(connection, seen + 1)? > seen {
                continue;
            }
            if connection.ended().is_some() || sys::peer_closed(&connection.socket, patience) {
                return Ok(Filled::End);
            }
            patience = (patience * 2).min(Duration::from_millis(50));
        }
    }

    /// Where more follows a request of `total` bytes, sees all of it that is here and that `tiny_http` may
    /// take: it reads ahead by less than 1024. For the largest requests this is left out; a client that
    /// pipelines after one finds its connection closed.
    pub(super) fn look_ahead(&mut self, total: u64, connection: &Watched) -> io::Result<()> {
        let reach = usize::try_from(total).map_or(usize::MAX, |total| total.saturating_add(1024));
        let follows = (self.length as u64) > total || self.length == self.buffer.len() || self.held > 0;
        if !follows || !(self.length..=LARGE).contains(&reach) {
            return Ok(());
        }
        let unread = sys::bytes_unread(&connection.socket).and_then(|unread| usize::try_from(unread).ok());
        if unread.is_some_and(|unread| unread > self.length - self.held) {
            self.buffer.resize(self.buffer.len().max(reach), 0);
            let seen = connection.socket.peek(&mut self.buffer[self.held..])?;
            self.length = self.length.max(self.held + seen);
        }
        Ok(())
    }

    /// `tiny_http` has read a request of `total` bytes: sets the view to what follows. False if bytes
    /// follow that were not seen; then no other request may be read.
    pub(super) fn advance(&mut self, total: u64, connection: &Watched) -> bool {
        let end = self.start + total;
        let seen_to = self.start + self.length as u64;
        self.start = end;
        // Fewer than were read is what a system says that doesn't count.
        let taken = match sys::bytes_received(&connection.socket).filter(|received| *received >= end) {
            Some(received) if received == end => Some(end),
            Some(_) => taken(connection),
            None if seen_to <= end => Some(end),
            None => None,
        };
        let Some(taken) = taken.filter(|taken| (end..=seen_to.max(end)).contains(taken)) else {
            return false;
        };
        let kept = usize::try_from(taken - end).unwrap_or(0);
        if kept > 0 {
            let from = self.length - usize::try_from(seen_to - end).unwrap_or(0);
            self.buffer.copy_within(from..from + kept, 0);
        } else if self.buffer.len() > LARGE {
            self.buffer = vec![0; SMALL];
        }
        self.length = kept;
        self.held = kept;
        true
    }
}

/// How far `tiny_http` has read: what was received, without what is unread and without the peer's FIN.
fn taken(connection: &Watched) -> Option<u64> {
    let socket = &connection.socket;
    for _ in 0..4 {
        let fin = sys::peer_closed(socket, Duration::ZERO);
        let received = sys::bytes_received(socket)?;
        let unread = sys::bytes_unread(socket)?;
        let same =
            received == sys::bytes_received(socket)? && fin == sys::peer_closed(socket, Duration::ZERO);
        // The guard's own shutdown looks like a FIN.
        if connection.ended().is_some() {
            return None;
        }
        if same {
            return received.checked_sub(unread + u64::from(fin));
        }
    }
    None
}

#[cfg(target_os = "linux")]
fn wait_for(connection: &Watched, count: usize) -> io::Result<usize> {
    let mut scratch = vec![std::mem::MaybeUninit::uninit(); count];
    let socket = socket2::SockRef::from(&connection.socket);
    match socket.recv_with_flags(&mut scratch, libc::MSG_PEEK | libc::MSG_WAITALL) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps)]
fn wait_for(_connection: &Watched, _count: usize) -> io::Result<usize> {
    Ok(0)
}
