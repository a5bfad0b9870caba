//! One connection, from its first byte to its last answer.
//!
//! Owns the order of things: read a head, read its body, ask the handler, write the answer. Must not know
//! where connections come from. Decision: each step has a bound and a deadline of its own, and an answer is
//! written before the next request is looked at, so that answers can only come in order.

mod reading;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::answer::{self, Envelope};
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

/// After how long without a request a connection is left to rest.
pub(super) const REST: Duration = Duration::from_secs(1);

/// Serves one connection from its request of that number on, until it ends; or gives the number of the request
/// that doesn't come, so that another thread may wait for it.
pub(super) fn serve(
    stream: &mut dyn Stream,
    connection: &Watched,
    shared: &Arc<Shared>,
    first: u32,
) -> Option<u32> {
    let mut serving = Serving::new(stream, connection, shared);
    for number in first..=shared.limits.requests_per_connection.max(1) {
        let next = serving.one(number).unwrap_or_else(|failure| serving.fail(failure));
        match next {
            Next::Request => {}
            Next::Rest => return Some(number),
            Next::Close => break,
            Next::Linger => {
                serving.linger();
                break;
            }
        }
    }
    None
}

/// Answers what is no request with a refusal, and ends the connection.
#[cfg(feature = "tls")]
pub(super) fn refuse(stream: &mut dyn Stream, connection: &Watched, shared: &Arc<Shared>, refusal: Refusal) {
    let mut serving = Serving::new(stream, connection, shared);
    if matches!(serving.fail(Failure(None, Some(refusal))), Next::Linger) {
        serving.linger();
    }
}

struct Serving<'s> {
    stream: &'s mut dyn Stream,
    connection: &'s Watched,
    shared: &'s Arc<Shared>,
    inbox: Inbox<'s>,
    /// The client has begun a request, and is told why it gets no answer.
    begun: bool,
    /// Requests in a row that were here before they were waited for.
    burst: u32,
}

/// What follows a request.
enum Next {
    Request,
    /// Nothing, for a while.
    Rest,
    Close,
    /// Close, but the client may still be sending.
    Linger,
}

/// Why there is no request to answer: what is counted of that, and what the client is told, if anybody is there.
struct Failure(Option<EventKind>, Option<Refusal>);

impl Failure {
    const QUIET: Self = Self(None, None);
}

impl<'s> Serving<'s> {
    fn new(stream: &'s mut dyn Stream, connection: &'s Watched, shared: &'s Arc<Shared>) -> Self {
        let inbox = Inbox::new(&shared.large_spare);
        Self { stream, connection, shared, inbox, begun: false, burst: 0 }
    }

    /// Reads a request and answers it.
    fn one(&mut self, number: u32) -> Result<Next, Failure> {
        if !self.has_begun(number)? {
            return Ok(Next::Rest);
        }
        let head = self.read_head()?;
        let head = Head::parse(&head, self.connection.peer, &self.shared.limits)?;
        let content = self.read_body(&head)?;
        // It cannot be ended any more until the answer is there.
        self.enter(Phase::Handling)?;
        let body = content.data.map_or_else(|body| body, |data| Body::Bytes(&self.inbox.bytes()[..data]));
        let request = Request { body, ..head.request };
        let response = self.handle(&request);
        let is_whole = matches!(body, Body::Absent | Body::Bytes(_));
        let is_secret = body != Body::Absent || request.header_values("Authorization").next().is_some();
        let head_only = request.method == Method::Head;
        let close = !is_whole
            || response.close
            || head.last
            || number >= self.shared.limits.requests_per_connection
            || self.shared.is_stopping();
        self.inbox.consume(content.length);
        if is_secret {
            self.inbox.wipe();
        }
        self.enter(Phase::Writing)?;
        self.write(
            &response,
            Envelope { head_only, close, old: head.old },
            self.shared.limits.write_deadline,
        )?;
        self.connection.has_answered();
        Ok(match close {
            false => Next::Request,
            // The client knows that this was the last, and has sent nothing else.
            true if head.last && is_whole && self.inbox.bytes().is_empty() => Next::Close,
            true => Next::Linger,
        })
    }

    fn handle(&self, request: &Request<'_>) -> Response {
        catch_unwind(AssertUnwindSafe(|| self.shared.handler.handle(request))).unwrap_or_else(|_| {
            self.event(EventKind::HandlerPanicked, "".into());
            Refusal::Internal.response()
        })
    }

    fn write(&mut self, response: &Response, envelope: Envelope, patience: Duration) -> Result<(), Failure> {
        self.stream.set_patience(patience);
        self.send(&answer::bytes(response, envelope))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map_err(|error| {
            self.event(EventKind::WriteFailed, error.to_string().into());
            Failure::QUIET
        })
    }

    /// Ends a connection that has no request to answer.
    fn fail(&mut self, Failure(kind, refusal): Failure) -> Next {
        let message = refusal.as_ref().map(Refusal::message).unwrap_or_default();
        if let Some(kind) = kind {
            self.event(kind, message);
        }
        // A client that doesn't read gets no more of our time than this.
        let told =
            refusal.is_some_and(|refusal| self.write(&refusal.response(), Envelope::LAST, LINGER).is_ok());
        if told && kind != Some(EventKind::Evicted) { Next::Linger } else { Next::Close }
    }

    /// Throws away what the client still sends, for a while.
    fn linger(&mut self) {
        if !self.connection.enter(Phase::Lingering) || self.stream.end_writing().is_err() {
            return;
        }
        self.stream.set_patience(LINGER);
        let mut left = LINGER_BYTES;
        while left > 0 {
            self.inbox.consume(self.inbox.bytes().len());
            match self.inbox.fill(&mut self.stream) {
                Ok(count @ 1..) => left = left.saturating_sub(count),
                _ => return,
            }
        }
    }

    fn event(&self, kind: EventKind, detail: Cow<'static, str>) {
        self.shared.tell(kind, Some(self.connection.peer), detail);
    }
}
