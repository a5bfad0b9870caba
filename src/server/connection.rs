//! One connection, from its first byte to its last answer.
//!
//! Owns the order of things: read a head, read its body, ask the handler, write the answer. Must not know
//! where connections come from. Decision: each step has a bound and a deadline of its own, and an answer is
//! written before the next request is looked at, so that answers can only come in order.

mod reading;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Shared;
use super::answer::{self, Date, Envelope};
use super::budget::Permit;
use super::guard::{Phase, Watched};
use super::head::Head;
use super::inbox::Inbox;
use super::stream::Stream;
use crate::http::refusal::Refusal;
use crate::http::request::{Body, Method, Request};
use crate::http::response::Response;
use crate::telemetry::event::EventKind;

/// How long, and how much, a client that was refused may go on sending before the socket is closed, so
/// that it reads the refusal instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// The room that is kept for an answer from one to the next, in bytes.
const KEPT_ANSWER: usize = 4096;

/// Serves one connection until it ends.
pub(super) fn serve(stream: impl Stream, connection: &Watched, shared: &Shared) {
    let mut serving = Serving {
        stream,
        connection,
        shared,
        inbox: Inbox::new(),
        permit: None,
        out: Vec::new(),
        date: Date::default(),
    };
    for number in 1..=shared.limits.requests_per_connection.max(1) {
        match serving.one(number) {
            Next::Request => {}
            Next::Close => return,
            Next::Linger => return serving.linger(),
        }
    }
}

struct Serving<'s, S> {
    stream: S,
    connection: &'s Watched,
    shared: &'s Shared,
    inbox: Inbox,
    /// Held while the inbox is a large one.
    permit: Option<Permit>,
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

/// Why there is no request to answer.
enum Failure {
    /// Nobody waits for an answer.
    Quiet,
    /// The same, and it is counted.
    Untold(EventKind),
    /// The client is told.
    Refused(EventKind, Refusal),
}

impl<S: Stream> Serving<'_, S> {
    fn one(&mut self, number: u32) -> Next {
        match self.read(number) {
            Ok((head, read)) => self.answer(number, &head, &read),
            Err(failure) => self.fail(&failure),
        }
    }

    fn answer(&mut self, number: u32, head: &Head, read: &reading::Read) -> Next {
        // It cannot be ended any more until the answer is there.
        if !self.connection.enter(Phase::Handling) {
            return Next::Close;
        }
        let bytes = self.inbox.bytes();
        let body = match &read.body {
            Ok(None) => Body::Absent,
            Ok(Some(place)) => Body::Bytes(&bytes[place.clone()]),
            Err(body) => *body,
        };
        let request = head.request(bytes, body, self.connection.peer);
        let response = self.handle(&request);
        let head_only = request.method == Method::Head;
        let secret = !matches!(body, Body::Absent) || request.header_values("Authorization").next().is_some();
        let close = read.body.is_err()
            || response.close
            || head.last
            || number >= self.shared.limits.requests_per_connection
            || self.shared.is_stopping();
        self.inbox.consume(read.length, secret);
        let written = self.respond(&response, Envelope { head_only, close, old: head.old });
        match (written, close) {
            (false, _) => Next::Close,
            (true, false) => Next::Request,
            // The client knows that this was the last, and has sent nothing else.
            (true, true) if head.last && read.body.is_ok() && self.inbox.bytes().is_empty() => Next::Close,
            (true, true) => Next::Linger,
        }
    }

    fn handle(&self, request: &Request<'_>) -> Response {
        catch_unwind(AssertUnwindSafe(|| self.shared.handler.handle(request))).unwrap_or_else(|_| {
            self.event(EventKind::HandlerPanicked, "".into());
            Refusal::Internal.response()
        })
    }

    /// Writes the answer; false if it did not leave whole.
    fn respond(&mut self, response: &Response, envelope: Envelope) -> bool {
        if !self.connection.enter(Phase::Writing) {
            return false;
        }
        self.stream.set_patience(self.shared.limits.write_deadline);
        let written = self.write(response, envelope);
        if let Err(error) = &written {
            self.event(EventKind::WriteFailed, error.to_string().into());
        } else {
            self.connection.has_answered();
        }
        written.is_ok()
    }

    fn write(&mut self, response: &Response, envelope: Envelope) -> std::io::Result<()> {
        self.out.clear();
        answer::write(&mut self.out, response, envelope, &mut self.date);
        let written = self.stream.write_all(&self.out).and_then(|()| self.stream.flush());
        self.out.clear();
        self.out.shrink_to(KEPT_ANSWER);
        written
    }

    /// Ends a connection that has no request to answer.
    fn fail(&mut self, failure: &Failure) -> Next {
        match failure {
            Failure::Quiet => Next::Close,
            Failure::Untold(kind) => {
                self.event(*kind, "".into());
                Next::Close
            }
            Failure::Refused(kind, refusal) => {
                self.event(*kind, refusal.message());
                // A client that doesn't read gets no more of our time.
                self.stream.set_patience(LINGER);
                let envelope = Envelope { head_only: false, close: true, old: false };
                let written = self.write(&refusal.response(), envelope);
                if written.is_ok() && *kind != EventKind::Evicted { Next::Linger } else { Next::Close }
            }
        }
    }

    /// Throws away what the client still sends, for a while.
    fn linger(&mut self) {
        if !self.connection.enter(Phase::Lingering) || self.stream.end_writing().is_err() {
            return;
        }
        self.stream.set_patience(LINGER);
        let mut left = LINGER_BYTES;
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = self.stream.read(&mut piece) {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    }

    fn event(&self, kind: EventKind, detail: Cow<'static, str>) {
        self.shared.tell(kind, Some(self.connection.peer), detail);
    }
}
