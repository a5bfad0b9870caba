//! What a connection has received and not yet used.
//!
//! Owns the one buffer that a connection reads into, and how many may be large at once: a thousand clients that
//! each stop just short of every limit would hold a thousand times the largest request. Must not know what the
//! bytes mean. Decision: the next request's bytes stay in it, so that every byte that is read is examined, in
//! order; and whatever it held is wiped before the memory goes back, because credentials pass through here.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::{Zeroize, Zeroizing};

/// The size for ordinary requests, in bytes; it grows for others and shrinks after them.
const SMALL: usize = 1024;

/// The size beyond which a buffer is a large one.
const LARGE: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct Inbox<'s> {
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer is filled.
    length: usize,
    /// How much of it holds what was received, used up or not.
    dirty: usize,
    /// How many more may be large.
    spare: &'s AtomicUsize,
    permit: Option<Permit<'s>>,
}

/// Leave for one large buffer, given back when dropped.
#[derive(Debug)]
struct Permit<'s>(&'s AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl<'s> Inbox<'s> {
    pub(super) fn new(spare: &'s AtomicUsize) -> Self {
        Self { buffer: Zeroizing::new(vec![0; SMALL]), length: 0, dirty: 0, spare, permit: None }
    }

    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }

    /// Reads once; gives how much, 0 at the end of the stream. `QuotaExceeded` where it would be one large
    /// buffer too many.
    pub(super) fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.length == self.buffer.len() {
            if self.length >= LARGE && self.permit.is_none() {
                let taken =
                    self.spare.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
                taken.map_err(|_| io::ErrorKind::QuotaExceeded)?;
                self.permit = Some(Permit(self.spare));
            }
            self.resize(self.length * 2);
        }
        let count = stream.read(&mut self.buffer[self.length..])?;
        self.length += count;
        self.dirty = self.dirty.max(self.length);
        Ok(count)
    }

    /// Forgets the first bytes, which have been used.
    pub(super) fn consume(&mut self, used: usize) {
        self.buffer.copy_within(used..self.length, 0);
        self.length -= used;
        if self.permit.is_some() && self.length <= SMALL {
            self.resize(SMALL);
            self.permit = None;
        }
    }

    /// Overwrites what has been used.
    pub(super) fn wipe(&mut self) {
        self.buffer[self.length..self.dirty].zeroize();
        self.dirty = self.length;
    }

    /// By hand, because a `Vec` that grows leaves its bytes behind.
    fn resize(&mut self, size: usize) {
        let mut buffer = Zeroizing::new(vec![0; size]);
        buffer[..self.length].copy_from_slice(self.bytes());
        self.buffer = buffer;
        self.dirty = self.length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_request_stays_and_what_was_secret_is_gone() {
        let spare = AtomicUsize::new(1);
        let mut inbox = Inbox::new(&spare);
        let sent = [b"secret".repeat(2000), b"next".to_vec()].concat();
        let mut stream = &sent[..];
        while inbox.fill(&mut stream).unwrap() > 0 {}
        assert!(spare.load(Ordering::Relaxed) == 0 && inbox.bytes() == sent);
        let mut other = Inbox::new(&spare);
        let mut stream = &sent[..];
        while other.length < LARGE {
            other.fill(&mut stream).unwrap();
        }
        let error = other.fill(&mut stream).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        inbox.consume(6);
        inbox.wipe();
        let rest = inbox.length;
        assert_eq!(rest, sent.len() - 6);
        assert!(inbox.buffer[rest..].iter().all(|byte| *byte == 0));
        inbox.consume(12_000 - 6);
        assert_eq!((inbox.bytes(), inbox.buffer.len()), (&b"next"[..], SMALL));
        assert_eq!(spare.load(Ordering::Relaxed), 1);
        inbox.consume(4);
        inbox.wipe();
        assert!(inbox.buffer.iter().all(|byte| *byte == 0));
    }
}
