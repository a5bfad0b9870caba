//! The second part of a request: its body, read whole or not at all.
//!
//! Owns how a body is waited for and read. Must not know what it says. Decision: nothing is left to
//! `tiny_http` that it would not bound: what it reads by itself is there before it is asked.

use super::head::NoHead;
use super::{Next, Serving};
use crate::http::request::Body;
use crate::server::event::EventKind;
use crate::server::framing::{self, Chunks, Framing, Head};
use crate::server::guard::Phase;
use crate::server::inbox::Filled;
use crate::server::transport::Parsed;
use std::io::{self, Read, Write};

/// `tiny_http` reads bodies up to this size before it hands out the request: they must all be there.
const READ_WITH_HEAD: u64 = 1024;

/// Bodies beyond this size are large ones.
const LARGE_BODY: u64 = 8 * 1024;

impl Serving<'_> {
    /// Reads the body, through `tiny_http` where it will be read whole. Gives it with the length of the
    /// whole request; an error where there is nobody, or nothing trustworthy, to answer.
    pub(super) fn body(
        &mut self,
        head: &Head<'_>,
        length: usize,
        parsed: &mut Option<Parsed>,
    ) -> Result<(Body, u64), Next> {
        let limits = &self.shared.limits;
        let end = length as u64;
        let size = match head.body {
            Framing::Malformed(reason) => return Ok((Body::Malformed(reason), end)),
            Framing::Length(size) if size > limits.body_bytes as u64 => return Ok((Body::TooLarge, end)),
            Framing::None => {
                *parsed = Some(self.next(head, end)?);
                return Ok((Body::Absent, end));
            }
            Framing::Length(size) => Some(size),
            Framing::Chunked => None,
        };
        if self.connection.enter(Phase::Body, limits.body_deadline).is_err() {
            return Err(Next::Close);
        }
        if size.is_some_and(|size| size > LARGE_BODY) {
            self.take_permit();
            if self.permit.is_none() {
                return Err(self.no_head(&NoHead::Crowded));
            }
        }
        let total = match size {
            Some(size) => {
                let total = end + size;
                while size <= READ_WITH_HEAD
                    && !head.expects_continue
                    && (self.inbox.view().len() as u64) < total
                {
                    if !matches!(self.inbox.fill(self.connection), Ok(Filled::More)) {
                        return Ok((Body::Incomplete, end));
                    }
                }
                total
            }
            None => match self.await_chunks(head, length) {
                Ok(chunked) => end + chunked,
                Err(Some(body)) => return Ok((body, end)),
                Err(None) => return Err(self.no_head(&NoHead::Crowded)),
            },
        };
        let mut request = self.next(head, total)?;
        let bytes = match size {
            Some(0) => Some(Vec::new()),
            size => self.read(&mut request, size),
        };
        *parsed = Some(request);
        Ok(bytes.map_or((Body::Incomplete, end), |bytes| (Body::Bytes(bytes), total)))
    }

    /// Waits until a chunked body is there to its end: `tiny_http` puts no bound on the lines between
    /// chunks. `Err(None)` is no permit.
    fn await_chunks(&mut self, head: &Head<'_>, length: usize) -> Result<u64, Option<Body>> {
        let limit = self.shared.limits.body_bytes;
        let mut socket = &self.connection.socket;
        if head.expects_continue && socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return Err(Some(Body::Incomplete));
        }
        // The kernel must hold all of it; best effort, as it caps what may be asked.
        let _ = socket2::SockRef::from(&self.connection.socket).set_recv_buffer_size(3 * limit);
        loop {
            match framing::chunks(&self.inbox.view()[length..], limit) {
                Chunks::End(size) => return Ok(size as u64),
                Chunks::TooLarge => return Err(Some(Body::TooLarge)),
                Chunks::Malformed(reason) => return Err(Some(Body::Malformed(reason))),
                Chunks::Partial => {}
            }
            if !self.may_grow() {
                return Err(None);
            }
            if !matches!(self.inbox.fill(self.connection), Ok(Filled::More)) {
                return Err(Some(Body::Incomplete));
            }
        }
    }

    /// Lets `tiny_http` read the request, which has `total` bytes with its body.
    fn next(&mut self, head: &Head<'_>, total: u64) -> Result<Parsed, Next> {
        self.inbox.look_ahead(total, self.connection).map_err(|_| Next::Close)?;
        let parsed = self.requests.next(head);
        parsed.ok_or_else(|| {
            self.event(EventKind::HeadMalformed, "the parsers disagree");
            Next::Close
        })
    }

    /// Reads `size` bytes, or a chunked body to its end.
    fn read(&self, request: &mut Parsed, size: Option<u64>) -> Option<Vec<u8>> {
        let wanted = size.unwrap_or(self.shared.limits.body_bytes as u64 + 1);
        let mut bytes = Vec::new();
        let mut reader = request.body()?.take(wanted);
        let mut piece = [0; 4096];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
            if self.connection.ended().is_some() {
                return None;
            }
        }
        (size.is_none_or(|size| size == bytes.len() as u64)).then_some(bytes)
    }
}
