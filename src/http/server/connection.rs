//! One connection, from its first byte to its last answer.
//!
//! Owns the order of things: examine a head, let `tiny_http` read it, read the body, ask the handler,
//! write the answer. Must not know where connections come from. Decision: a request that will not be read
//! to its end never reaches `tiny_http`, which would drain it; it is answered from the examined head, and
//! the connection ends.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answer::{self, Date, Envelope};
use super::budget::Permit;
use super::event::{ConnectionEvent, EventKind};
use super::framing::{self, Chunks, Framing, Head, HeadError};
use super::guard::{Ended, Phase, Watched};
use super::inbox::{Filled, Inbox};
use super::sys;
use super::transport::{Parsed, Requests};
use super::{CROWD, Shared};
use crate::http::request::{Body, Method, Request};
use crate::http::response::Response;

/// How long, and how much, a client that was refused may go on sending before the socket is closed, so
/// that it reads the refusal instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// `tiny_http` reads bodies up to this size before it hands out the request: they must all be there.
const READ_WITH_HEAD: u64 = 1024;

/// In a crowd, so many pipelined requests are answered before a pause of so long per connection.
const BURST: u32 = 16;
const TURN: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Bodies beyond this size are large ones.
const LARGE_BODY: u64 = 8 * 1024;

/// Serves one connection until it ends.
pub(super) fn serve(connection: &Arc<Watched>, requests: Requests, shared: &Shared) {
    let mut serving = Serving {
        connection,
        shared,
        requests,
        inbox: Inbox::new(),
        burst: 0,
        permit: None,
        head: Vec::new(),
        out: Vec::new(),
        date: Date::default(),
    };
    for number in 1..=shared.limits.requests_per_connection.max(1) {
        match serving.one(number) {
            Next::Request => {}
            Next::Close => break,
            Next::Linger => return serving.linger(),
        }
    }
}

struct Serving<'s> {
    connection: &'s Watched,
    shared: &'s Shared,
    requests: Requests,
    inbox: Inbox,
    /// Requests in a row that were here before they were waited for.
    burst: u32,
    /// Held while the view, or the body, is a large one.
    permit: Option<Permit>,
    head: Vec<u8>,
    out: Vec<u8>,
    date: Date,
}

/// What follows a request.
enum Next {
    Request,
    Close,
    /// Close, but the client may still be sending.
    Linger,
}

/// Why no head came.
enum NoHead {
    /// Nothing was begun, so nothing is said.
    Quiet,
    Refuse(HeadError),
    TooLarge,
    Cut,
    Ended(Ended),
    Silent,
    /// Too many large requests at once.
    Crowded,
}

impl Serving<'_> {
    fn one(&mut self, number: u32) -> Next {
        let length = match self.await_head(number) {
            Ok(length) => length,
            Err(why) => return self.no_head(&why),
        };
        // Copied, because the view moves on while the body is read.
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        head.extend_from_slice(&self.inbox.view()[..length]);
        let next = self.request(&head, number);
        self.head = head;
        next
    }

    /// Waits for a whole head; gives its length.
    fn await_head(&mut self, number: u32) -> Result<usize, NoHead> {
        let limits = &self.shared.limits;
        let (phase, patience) = match number {
            1 => (Phase::Fresh, limits.head_deadline),
            _ => (Phase::Idle, limits.idle_deadline),
        };
        self.enter(phase, patience)?;
        if !self.inbox.is_large() {
            self.permit = None;
        }
        let (mut begun, mut waited, mut looked) = (false, false, 0);
        loop {
            match framing::head_end(self.inbox.view(), &mut looked).map_err(NoHead::Refuse)? {
                Some(length) if length > limits.head_bytes => return Err(NoHead::TooLarge),
                Some(length) => {
                    self.burst = if waited { 0 } else { self.burst + 1 };
                    return self.take_turns().map(|()| length);
                }
                None if looked > limits.head_bytes => return Err(NoHead::TooLarge),
                None => {}
            }
            if !begun && !self.inbox.view().is_empty() {
                begun = true;
                self.enter(Phase::Head, limits.head_deadline)?;
            }
            if number > 1 && !begun && self.shared.is_stopping() {
                return Err(NoHead::Quiet);
            }
            if !self.may_grow() {
                return Err(NoHead::Crowded);
            }
            waited = true;
            match self.inbox.fill(self.connection) {
                Ok(Filled::More) => {}
                Ok(Filled::End) | Err(_) => {
                    return Err(match self.connection.ended() {
                        Some(ended) if begun => NoHead::Ended(ended),
                        Some(Ended::Expired) if number == 1 => NoHead::Silent,
                        Some(Ended::Evicted) => NoHead::Ended(Ended::Evicted),
                        None if begun => NoHead::Cut,
                        _ => NoHead::Quiet,
                    });
                }
            }
        }
    }

    /// In a crowd, makes a client that pipelines without end wait for the others: hundreds of them would
    /// take the processor from those that ask one thing at a time.
    fn take_turns(&mut self) -> Result<(), NoHead> {
        let live = self.shared.live.load(Ordering::Relaxed);
        if self.burst < BURST || live < CROWD {
            return Ok(());
        }
        self.burst = 0;
        // Not idle: what has come of it already is no reason to spare it.
        self.enter(Phase::Head, self.shared.limits.head_deadline)?;
        let pause = TURN.saturating_mul(u32::try_from(live).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        // A sleep that the guard can end.
        sys::peer_closed(&self.connection.socket, pause);
        self.connection.ended().map_or(Ok(()), |_| Err(NoHead::Quiet))
    }

    /// Whether the view may be filled further; a large one takes a permit.
    fn may_grow(&mut self) -> bool {
        if self.inbox.outgrows() {
            self.take_permit();
        }
        self.permit.is_some() || !self.inbox.outgrows()
    }

    fn take_permit(&mut self) {
        self.permit = self.permit.take().or_else(|| self.shared.budget.permit());
    }

    fn enter(&self, phase: Phase, patience: Duration) -> Result<(), NoHead> {
        self.connection.enter(phase, patience).map_err(NoHead::Ended)
    }

    fn no_head(&mut self, why: &NoHead) -> Next {
        use EventKind as Kind;
        let (kind, status, detail) = match why {
            NoHead::Quiet | NoHead::Ended(Ended::Stopping) => return Next::Close,
            NoHead::Silent => {
                self.event(Kind::Silent, "");
                return Next::Close;
            }
            NoHead::Ended(Ended::Evicted) => (Kind::Evicted, 503, "too many connections"),
            NoHead::Ended(Ended::Expired) => (Kind::HeadTimedOut, 408, "the request took too long"),
            NoHead::TooLarge => (Kind::HeadTooLarge, 431, "the request head is too large"),
            NoHead::Crowded => (Kind::Refused, 503, "too many large requests"),
            NoHead::Cut => (Kind::HeadMalformed, 400, "the request head was cut off"),
            NoHead::Refuse(HeadError::Syntax(reason)) => (Kind::HeadMalformed, 400, *reason),
            NoHead::Refuse(HeadError::TooManyFields) => (Kind::HeadTooLarge, 431, "too many header fields"),
            NoHead::Refuse(HeadError::Version) => {
                (Kind::VersionUnsupported, 505, "the HTTP version is neither 1.0 nor 1.1")
            }
            NoHead::Refuse(HeadError::Expectation) => (Kind::ExpectationFailed, 417, "unknown expectation"),
        };
        self.event(kind, detail);
        self.refuse(status, detail);
        if matches!(why, NoHead::Ended(Ended::Evicted)) { Next::Close } else { Next::Linger }
    }

    /// Says why, if the socket takes it at once: a client that doesn't read gets no more of our time.
    fn refuse(&mut self, status: u16, message: &str) {
        self.out.clear();
        let envelope = Envelope { head_only: false, close: true, old: false };
        answer::write(&mut self.out, &answer::refusal(status, message), envelope, &mut self.date);
        let _ = super::send_now(&self.connection.socket, &self.out);
    }

    /// Answers the request whose head is `view`.
    fn request(&mut self, view: &[u8], number: u32) -> Next {
        let limits = &self.shared.limits;
        let mut parsed = None;
        let head = match Head::parse(view, limits) {
            Ok(head) => head,
            Err(error) => return self.no_head(&NoHead::Refuse(error)),
        };
        // From here on it waits for us: tiny_http finds all that it reads before the body.
        if self.connection.enter(Phase::Handling, limits.body_deadline).is_err() {
            return Next::Close;
        }
        let read = self.body(&head, view.len(), &mut parsed);
        let (body, total) = match read {
            Ok(read) => read,
            Err(next) => return next,
        };
        let whole = matches!(body, Body::Absent | Body::Bytes(_));
        let stays = whole && self.inbox.advance(total, self.connection);
        let request = Request {
            method: method(head.method),
            target: head.target,
            headers: head.headers,
            body,
            peer: self.connection.peer,
        };
        // The guard has no say over a handler, so a connection that it ended is seen when writing.
        let _ = self.connection.enter(Phase::Handling, limits.body_deadline);
        let response = self.handle(&request);
        let close = !stays
            || response.close
            || head.last
            || number >= limits.requests_per_connection
            || self.shared.is_stopping();
        let envelope = Envelope { head_only: request.method == Method::Head, close, old: head.old };
        let written = self.respond(&response, envelope);
        if !whole {
            // Dropping tiny_http's request reads the rest of its body: only what is here already.
            let _ = self.connection.socket.shutdown(Shutdown::Read);
        }
        drop(parsed);
        match (written, close) {
            (true, false) => Next::Request,
            (true, true) if stays => Next::Close,
            (true, true) => Next::Linger,
            (false, _) => Next::Close,
        }
    }

    /// Reads the body, through `tiny_http` where it will be read whole. Gives it with the length of the
    /// whole request; an error where there is nobody, or nothing trustworthy, to answer.
    fn body(
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

    fn handle(&self, request: &Request<'_>) -> Response {
        catch_unwind(AssertUnwindSafe(|| self.shared.handler.handle(request))).unwrap_or_else(|_| {
            self.event(EventKind::HandlerPanicked, "");
            answer::refusal(500, "internal error")
        })
    }

    /// Writes the answer; false if it did not leave whole.
    fn respond(&mut self, response: &Response, envelope: Envelope) -> bool {
        self.out.clear();
        answer::write(&mut self.out, response, envelope, &mut self.date);
        let deadline = self.shared.limits.write_deadline;
        let mut socket = &self.connection.socket;
        let written = match self.connection.enter(Phase::Writing, deadline) {
            Ok(()) => socket.write_all(&self.out),
            // Where a request had begun, the guard ended the reading side only.
            Err(_) => super::send_now(socket, &self.out),
        };
        if self.out.capacity() > 64 * 1024 {
            self.out = Vec::with_capacity(1024);
        }
        match written {
            Ok(()) => {
                self.connection.has_answered();
                true
            }
            Err(error) => {
                self.event(EventKind::WriteFailed, error.to_string());
                false
            }
        }
    }

    /// Throws away what the client still sends, for a while.
    fn linger(&mut self) {
        self.connection.force(Phase::Lingering, LINGER);
        let mut socket = &self.connection.socket;
        let mut left = LINGER_BYTES;
        let mut piece = [0; 4096];
        if socket.shutdown(Shutdown::Write).is_ok() {
            while let Ok(count @ 1..) = socket.read(&mut piece) {
                left = left.saturating_sub(count);
                if left == 0 || self.connection.ended().is_some() {
                    break;
                }
            }
        }
        // Without this, dropping tiny_http's half might wait for a body that nobody sends.
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn event(&self, kind: EventKind, detail: impl Into<Cow<'static, str>>) {
        let event = ConnectionEvent { kind, peer: Some(self.connection.peer), detail: detail.into() };
        self.shared.handler.event(event);
    }
}

fn method(text: &str) -> Method<'_> {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        other => Method::Other(other),
    }
}
