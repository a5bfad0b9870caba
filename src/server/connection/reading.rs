//! A request, read whole: its head, then its body.
//!
//! Owns the deadlines and bounds of reading. Must not know what a request asks. Decision: memory grows with
//! what has come, never with what was announced.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Failure, REST, Serving};
use crate::http::refusal::Refusal;
use crate::http::request::Body;
use crate::server::chunks::{Chunked, Chunks};
use crate::server::guard::Phase;
use crate::server::head::{Framing, Head, head_end};
use crate::telemetry::event::EventKind;

/// In a crowd of so many, so many pipelined requests are answered before a pause of so long per connection:
/// hundreds of clients that pipeline without end would take the processor from those that ask one thing at a time.
const CROWD: usize = 64;
const BURST: u32 = 16;
const TURN: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Serving<'_> {
    /// Waits a while for a request to begin.
    pub(super) fn has_begun(&mut self, number: u32) -> Result<bool, Failure> {
        self.begun = !self.inbox.bytes().is_empty();
        self.burst = if self.begun { self.burst + 1 } else { 0 };
        let live = Arc::strong_count(self.shared);
        if self.burst >= BURST && live >= CROWD {
            self.burst = 0;
            self.enter(Phase::Reading)?;
            let pause = TURN.saturating_mul(u32::try_from(live).unwrap_or(u32::MAX));
            self.connection.pause(pause.min(LONGEST_PAUSE));
        }
        if !self.begun {
            self.enter(if number == 1 { Phase::Fresh } else { Phase::Idle })?;
            if number > 1 && self.shared.is_stopping() {
                return Err(Failure::QUIET);
            }
            self.stream.set_patience(self.shared.limits.patience(number).min(REST));
            self.begun = match self.fill()? {
                Filled::More => true,
                Filled::Late => self.stream.is_midway(),
                Filled::End => return Err(Failure::QUIET),
            };
        }
        if self.begun {
            // What is in our hands is no longer in the socket, where eviction looks for it.
            self.enter(Phase::Handling)?;
        }
        Ok(self.begun)
    }

    /// Waits for a whole head, and takes it out of the inbox.
    pub(super) fn read_head(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let limits = &self.shared.limits;
        let (mut looked, mut waits) = (0, false);
        loop {
            let bytes = self.inbox.bytes();
            let end = head_end(bytes, &mut looked)?;
            if end.unwrap_or(looked) > limits.head_bytes {
                let is_target = !bytes[..limits.head_bytes].contains(&b'\n');
                let long = Refusal::HeadTooLarge("the request head is too large");
                return Err(if is_target { Refusal::TargetTooLong } else { long }.into());
            }
            if let Some(end) = end {
                let head = Zeroizing::new(bytes[..end].to_vec());
                self.inbox.consume(end);
                return Ok(head);
            }
            if !waits {
                waits = true;
                self.enter(Phase::Reading)?;
                self.stream.set_patience(limits.head_deadline);
            }
            match self.fill()? {
                Filled::More => {}
                Filled::Late => return Err(Refusal::HeadTimeout.into()),
                Filled::End => return Err(Refusal::Malformed("the request head was cut off").into()),
            }
        }
    }

    /// Waits for the whole body.
    pub(super) fn read_body(&mut self, head: &Head<'_>) -> Result<Content, Failure> {
        let limit = self.shared.limits.body_bytes;
        let mut chunked = Chunked::default();
        let mut waits = false;
        loop {
            let bytes = self.inbox.bytes_mut();
            let body = match head.body {
                Framing::None => Some(Body::Absent),
                Framing::Malformed(problem) => Some(Body::Malformed(problem)),
                Framing::Length(length) if length > limit as u64 => Some(Body::TooLarge),
                Framing::Length(length) => match usize::try_from(length) {
                    Ok(length) if length <= bytes.len() => return Ok(Content { data: Ok(length), length }),
                    _ => None,
                },
                Framing::Chunked => match chunked.decode(bytes, limit) {
                    Chunks::End => return Ok(Content { data: Ok(chunked.data), length: chunked.read }),
                    Chunks::TooLarge => Some(Body::TooLarge),
                    Chunks::Malformed(problem) => Some(Body::Malformed(problem)),
                    Chunks::Partial => None,
                },
            };
            if let Some(body) = body {
                return Ok(Content { data: Err(body), length: 0 });
            }
            if !waits {
                waits = true;
                self.enter(Phase::Reading)?;
                self.stream.set_patience(self.shared.limits.body_deadline);
                if head.expects_continue {
                    self.send(CONTINUE)?;
                }
            }
            if self.fill()? != Filled::More {
                return Ok(Content { data: Err(Body::Incomplete), length: 0 });
            }
        }
    }

    /// Reads once.
    fn fill(&mut self) -> Result<Filled, Failure> {
        let filled = self.inbox.fill(&mut self.stream);
        match filled {
            Ok(1..) => Ok(Filled::More),
            _ if self.connection.phase().is_end() => Err(self.ended()),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(Filled::Late),
            Err(error) if error.kind() == ErrorKind::QuotaExceeded => {
                let refusal = Refusal::Overloaded("too many large requests at once");
                Err(Failure(Some(EventKind::Refused), Some(refusal)))
            }
            Ok(_) | Err(_) => Ok(Filled::End),
        }
    }

    /// Goes on to `phase`, unless the connection was shut down.
    pub(super) fn enter(&self, phase: Phase) -> Result<(), Failure> {
        if self.connection.enter(phase) { Ok(()) } else { Err(self.ended()) }
    }

    /// It was shut down from outside.
    fn ended(&self) -> Failure {
        let refusal = Refusal::Overloaded("too many connections");
        match self.connection.phase() {
            Phase::Evicted => Failure(Some(EventKind::Evicted), self.begun.then_some(refusal)),
            _ => Failure::QUIET,
        }
    }
}

/// What follows a head.
pub(super) struct Content {
    /// How much at the front of the inbox is the body's data; or what there is instead.
    pub(super) data: Result<usize, Body<'static>>,
    /// How much of the inbox is the body, with its framing.
    pub(super) length: usize,
}

/// What came of waiting for bytes.
#[derive(Debug, PartialEq, Eq)]
enum Filled {
    More,
    /// The time is up.
    Late,
    /// The client has ended its side.
    End,
}

/// A head that was refused.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::HeadTimeout => EventKind::HeadTimedOut,
            Refusal::HeadTooLarge(_) | Refusal::TargetTooLong => EventKind::HeadTooLarge,
            Refusal::Version => EventKind::VersionUnsupported,
            Refusal::Expectation => EventKind::ExpectationFailed,
            Refusal::Protocol(_) => EventKind::OtherProtocol,
            _ => EventKind::HeadMalformed,
        };
        Self(Some(kind), Some(refusal))
    }
}
