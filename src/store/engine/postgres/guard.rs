//! What a server may ask for before anybody answers it: no password in clear text, nor as MD5.
//!
//! Owns the look at a server's first messages (PostgreSQL manual, 55.2.1 and 55.7). Decision: at the stream,
//! because the client answers whatever it is asked; here the question does not reach it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// In every refusal.
pub(super) const REFUSED: &str = "which is not sent";

/// A stream whose server is watched until it has let us in.
pub(super) struct Watched<S> {
    stream: S,
    watch: Watch,
}

/// How much of the first messages was seen.
#[derive(Default)]
struct Watch {
    /// The beginning of the message under way: kind, length and the first four bytes.
    head: Vec<u8>,
    /// Bytes of it that do not matter.
    skip: usize,
    done: bool,
}

impl Watch {
    /// Looks at bytes that the server sent.
    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !self.done && !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip > 0 || bytes.is_empty() {
                return Ok(());
            }
            let (first, rest) = bytes.split_at((9 - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(first);
            bytes = rest;
            let &[kind, a, b, c, d, ref code @ ..] = &*self.head else { return Ok(()) };
            if code.len() < 4 {
                return Ok(());
            }
            match (kind, code) {
                (b'R', [0, 0, 0, 3]) => return Err(refused("in clear text")),
                (b'R', [0, 0, 0, 5]) => return Err(refused("as MD5, which is as good as clear text")),
                // Let in; or an error: there is nothing more to be asked.
                (b'R', [0, 0, 0, 0]) | (b'E', _) => self.done = true,
                _ => {}
            }
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            // Of a shorter one these bytes are not all, and what follows would be read askew.
            self.skip = length.checked_sub(8).ok_or_else(|| refused("in a message that none is"))?;
            self.head.clear();
        }
        Ok(())
    }
}

fn refused(how: &str) -> io::Error {
    let what = format!("the server asks for the password {how}, {REFUSED}: let it ask by scram-sha-256");
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, watch: Watch::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let looked = self.watch.look(&buffer.filled()[before..]);
        if looked.is_err() {
            buffer.set_filled(before);
        }
        Poll::Ready(looked)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// TLS, and within it a server that is watched.
pub(super) struct GuardedTls<T>(pub(super) T);

impl<S, T> TlsConnect<S> for GuardedTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.0.connect(stream);
        Box::pin(async { connecting.await.map(Watched::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_could_be_read_is_refused_however_the_question_is_cut() {
        let negotiate = b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0";
        let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        let cases: [(&[&[u8]], bool); 8] = [
            (&[b"R\0\0\0\x08\0\0\0\x03"], false),
            (&[b"R\0\0\0\x0c\0\0\0\x05salt"], false),
            (&[negotiate, b"R\0\0\0\x08\0\0\0\x03"], false),
            (&[scram, b"R\0\0\0\x08\0\0\0\x03"], false),
            (&[b"N\0\0\0\x05\0", b"R\0\0\0\x08\0\0\0\x03"], false),
            (&[scram, b"R\0\0\0\x08\0\0\0\0"], true),
            // Behind the end of the login, a row may look like anything.
            (&[b"R\0\0\0\x08\0\0\0\0", b"R\0\0\0\x08\0\0\0\x03"], true),
            (&[b"E\0\0\0\x08FATAL", b"R\0\0\0\x08\0\0\0\x03"], true),
        ];
        for (messages, fine) in cases {
            let bytes = messages.concat();
            for piece in 1..=bytes.len() {
                let mut watch = Watch::default();
                let looked = bytes.chunks(piece).try_for_each(|part| watch.look(part));
                assert_eq!(looked.is_ok(), fine, "{bytes:?} in pieces of {piece}");
            }
        }
    }
}
