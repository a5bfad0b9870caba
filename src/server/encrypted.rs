//! A TLS session as a [`Stream`].
//!
//! Owns what lies between a client's bytes and the wire's. Must not know HTTP. Decision: what the session can
//! give is taken before the wire is read, so that nothing that was decrypted lies in it while the connection
//! rests and its socket alone is watched; and a part of a record counts as the beginning of a request, so that
//! a client that sends a byte now and then is bounded by the head's deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConnection;

use super::guard::Watched;
use super::stream::{Stream, Wire};

/// The most of an answer that is encrypted before the wire has taken what came before, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// A session whose handshake is done. When it is dropped, the client is told that nothing more comes, if the
/// kernel takes that at once.
pub(super) struct Encrypted {
    session: ServerConnection,
    wire: Wire,
    connection: Arc<Watched>,
    midway: bool,
}

impl Encrypted {
    pub(super) fn new(mut session: ServerConnection, wire: Wire, connection: Arc<Watched>) -> Self {
        session.set_buffer_limit(Some(BUFFER_BYTES));
        Self { session, wire, connection, midway: false }
    }
}

/// Sends all that a session has to say.
pub(super) fn send(session: &mut ServerConnection, wire: &mut impl Write) -> io::Result<()> {
    while session.wants_write() {
        if session.write_tls(wire)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Without a last word. HTTP tells what is whole, so this is an end like any other.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => {
                    self.midway = false;
                    return read;
                }
            }
            self.midway |= self.session.read_tls(&mut self.wire)? > 0;
            let processed = self.session.process_new_packets();
            // An alert, or the answer to a change of keys.
            send(&mut self.session, &mut self.wire)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        send(&mut self.session, &mut self.wire)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        send(&mut self.session, &mut self.wire)
    }
}

impl Stream for Encrypted {
    fn set_patience(&mut self, patience: Duration) {
        self.wire.set_patience(patience);
    }

    fn end_writing(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        send(&mut self.session, &mut self.wire)?;
        self.wire.end_writing()
    }

    fn is_midway(&self) -> bool {
        self.midway
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        self.session.send_close_notify();
        // Whoever drops it may be the one thread for all that rest.
        let _ = send(&mut self.session, &mut AtOnce(&self.connection));
    }
}

/// Writes what the kernel takes without waiting.
pub(super) struct AtOnce<'c>(pub(super) &'c Watched);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.socket.send_with_flags(bytes, libc::MSG_DONTWAIT)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
