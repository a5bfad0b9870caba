//! What a connection has received and not yet used.
//!
//! Owns the one buffer of a connection. Must not know what the bytes mean. Decision: the next request's
//! bytes stay in it, so that every byte that is read is examined, in order; and whatever it held is wiped
//! before the memory goes back, because credentials pass through here.

use std::io::{self, Read};

use zeroize::{Zeroize, Zeroizing};

/// The size for ordinary requests, in bytes; it grows for others and shrinks after them.
const SMALL: usize = 1024;

/// The size beyond which a buffer is a large one, of which there may only be so many.
pub(super) const LARGE: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct Inbox {
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer is filled.
    length: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: Zeroizing::new(vec![0; SMALL]), length: 0 }
    }

    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }

    /// Whether the next `fill` makes the buffer a large one.
    pub(super) fn outgrows(&self) -> bool {
        self.length == self.buffer.len() && self.length >= LARGE
    }

    pub(super) fn is_large(&self) -> bool {
        self.buffer.len() > LARGE
    }

    /// Reads once; gives how much, 0 at the end of the stream.
    pub(super) fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.length == self.buffer.len() {
            self.resize(self.length * 2);
        }
        let count = stream.read(&mut self.buffer[self.length..])?;
        self.length += count;
        Ok(count)
    }

    /// Forgets the first bytes, which have been used, and wipes them if they are `secret`.
    pub(super) fn consume(&mut self, used: usize, secret: bool) {
        let before = self.length;
        self.buffer.copy_within(used..before, 0);
        self.length -= used;
        if secret {
            self.buffer[self.length..before].zeroize();
        }
        if self.is_large() && self.length <= SMALL {
            self.resize(SMALL);
        }
    }

    /// By hand, because a `Vec` that grows leaves its bytes behind.
    fn resize(&mut self, size: usize) {
        let mut buffer = Zeroizing::new(vec![0; size]);
        buffer[..self.length].copy_from_slice(self.bytes());
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_request_stays_and_what_was_secret_is_gone() {
        let mut inbox = Inbox::new();
        let sent = [b"secret".repeat(2000), b"next".to_vec()].concat();
        let mut stream = &sent[..];
        while inbox.fill(&mut stream).unwrap() > 0 {}
        assert!(inbox.is_large() && inbox.bytes() == sent);
        inbox.consume(6, true);
        let rest = inbox.length;
        assert_eq!(rest, sent.len() - 6);
        assert!(inbox.buffer[rest..].iter().all(|byte| *byte == 0));
        inbox.consume(12_000 - 6, false);
        assert_eq!((inbox.bytes(), inbox.is_large()), (&b"next"[..], false));
        inbox.consume(4, true);
        assert!(inbox.buffer.iter().all(|byte| *byte == 0));
    }
}
