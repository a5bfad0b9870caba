//! What the server asks of whatever it serves.
//!
//! Owns the border between `server`, which has sockets, and the service, which has answers.

use super::request::{Peer, Request};
use super::response::Response;
use crate::telemetry::event::EventKind;
use std::borrow::Cow;

/// What the server serves.
pub trait Handler: Send + Sync {
    /// Answers a request. Total: a panic is answered with 500, but is a defect.
    fn handle(&self, request: &Request<'_>) -> Response;

    /// Learns what happened outside of requests, to count and log it. Called on the connection's thread or
    /// the accepting one, and must not block.
    fn event(&self, event: ConnectionEvent);
}

/// Something that happened outside of `Handler::handle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// What happened.
    pub kind: EventKind,
    /// To whom, where a connection was there.
    pub peer: Option<Peer>,
    /// More for the log, perhaps empty.
    pub detail: Cow<'static, str>,
}
