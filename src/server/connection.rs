//! One connection, from its first byte to its last answer.
//!
//! Owns the order of things: examine a head, let `tiny_http` read it, read the body, ask the handler,
//! write the answer. Must not know where connections come from. Decision: a request that will not be read
//! to its end never reaches `tiny_http`, which would drain it; it is answered from the examined head, and
//! the connection ends.

mod body;
mod head;

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::answer::{self, Date, Envelope};
use super::budget::Permit;
use super::event::{ConnectionEvent, EventKind};
use super::framing::Head;
use super::guard::{Phase, Watched};
use super::inbox::Inbox;
use super::transport::Requests;
use crate::http::request::{Body, Method, Request};
use crate::http::response::Response;
use head::NoHead;

/// How long, and how much, a client that was refused may go on sending before the socket is closed, so
/// that it reads the refusal instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

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
