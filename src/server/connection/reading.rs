//! A request, read whole into the inbox: its head, then its body.
//!
//! Owns the deadlines and bounds of reading. Must not know what a request asks. Decision: memory grows with
//! what has come, never with what was announced.

use std::io::ErrorKind;
use std::ops::Range;

use super::{Failure, Serving};
use crate::http::refusal::Refusal;
use crate::http::request::Body;
use crate::server::chunks::{Chunked, Chunks};
use crate::server::guard::Phase;
use crate::server::head::{self, Framing, Head};
use crate::server::stream::Stream;
use crate::telemetry::event::EventKind;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request in the inbox.
pub(super) struct Read {
    /// Where its body is, if it has one; or why it was not read, and then nothing that follows can be.
    pub(super) body: Result<Option<Range<usize>>, Body<'static>>,
    /// How long it is, with its body.
    pub(super) length: usize,
}

/// Why a body was not read.
enum NoBody {
    /// The handler is asked all the same.
    Told(Body<'static>),
    Failed(Failure),
}

impl<S: Stream> Serving<'_, S> {
    /// Reads the next request.
    pub(super) fn read(&mut self, number: u32) -> Result<(Head, Read), Failure> {
        let end = self.read_head(number)?;
        let head = Head::parse(&self.inbox.bytes()[..end], &self.shared.limits).map_err(refused)?;
        let read = match self.read_body(&head, end) {
            Ok((place, length)) => Read { body: Ok(place), length },
            Err(NoBody::Told(body)) => Read { body: Err(body), length: end },
            Err(NoBody::Failed(failure)) => return Err(failure),
        };
        Ok((head, read))
    }

    /// Waits for a whole head; gives its length.
    fn read_head(&mut self, number: u32) -> Result<usize, Failure> {
        let limits = &self.shared.limits;
        let (phase, patience) = match number {
            1 => (Phase::Fresh, limits.head_deadline),
            _ => (Phase::Idle, limits.idle_deadline),
        };
        self.enter(phase)?;
        self.stream.set_patience(patience);
        let (mut begun, mut looked) = (false, 0);
        loop {
            let bytes = self.inbox.bytes();
            let end = head::head_end(bytes, &mut looked).map_err(refused)?;
            if end.unwrap_or(looked) > limits.head_bytes {
                let is_target = !bytes[..limits.head_bytes].contains(&b'\n');
                let long = Refusal::HeadTooLarge("the request head is too large");
                return Err(refused(if is_target { Refusal::TargetTooLong } else { long }));
            }
            if let Some(end) = end {
                return Ok(end);
            }
            if !begun && !bytes.is_empty() {
                begun = true;
                self.enter(Phase::Reading)?;
                if number > 1 {
                    self.stream.set_patience(limits.head_deadline);
                }
            }
            if !begun && number > 1 && self.shared.is_stopping() {
                return Err(Failure::Quiet);
            }
            let timed_out = self.fill()?;
            match timed_out {
                None => {}
                Some(true) if begun => return Err(refused(Refusal::HeadTimeout)),
                Some(true) if number == 1 => return Err(Failure::Untold(EventKind::Silent)),
                Some(false) if begun => {
                    return Err(refused(Refusal::Malformed("the request head was cut off")));
                }
                Some(_) => return Err(Failure::Quiet),
            }
        }
    }

    /// Waits for the whole body; gives its place, and the length of the whole request.
    fn read_body(&mut self, head: &Head, end: usize) -> Result<(Option<Range<usize>>, usize), NoBody> {
        let limit = self.shared.limits.body_bytes;
        let mut chunked = Chunked::default();
        let mut begun = false;
        loop {
            let rest = &mut self.inbox.bytes_mut()[end..];
            match head.body {
                Framing::None => return Ok((None, end)),
                Framing::Malformed(problem) => return Err(NoBody::Told(Body::Malformed(problem))),
                Framing::Length(length) => match usize::try_from(length).ok().filter(|it| *it <= limit) {
                    None => return Err(NoBody::Told(Body::TooLarge)),
                    Some(length) if length <= rest.len() => {
                        return Ok((Some(end..end + length), end + length));
                    }
                    Some(_) => {}
                },
                Framing::Chunked => match chunked.decode(rest, limit) {
                    Chunks::End => return Ok((Some(end..end + chunked.data), end + chunked.read)),
                    Chunks::TooLarge => return Err(NoBody::Told(Body::TooLarge)),
                    Chunks::Malformed(problem) => return Err(NoBody::Told(Body::Malformed(problem))),
                    Chunks::Partial => {}
                },
            }
            if !begun {
                begun = true;
                self.enter(Phase::Reading).map_err(NoBody::Failed)?;
                self.stream.set_patience(self.shared.limits.body_deadline);
                let waits = head.expects_continue;
                if waits && self.stream.write_all(CONTINUE).and_then(|()| self.stream.flush()).is_err() {
                    return Err(NoBody::Failed(Failure::Quiet));
                }
            }
            if self.fill().map_err(NoBody::Failed)?.is_some() {
                return Err(NoBody::Told(Body::Incomplete));
            }
        }
    }

    /// Reads once, and says whether nothing came because the time was up.
    fn fill(&mut self) -> Result<Option<bool>, Failure> {
        if !self.inbox.is_large() {
            self.permit = None;
        }
        if self.inbox.outgrows() && self.permit.is_none() {
            self.permit = self.shared.budget.permit();
            if self.permit.is_none() {
                let refusal = Refusal::Overloaded("too many large requests at once");
                return Err(Failure::Refused(EventKind::Refused, refusal));
            }
        }
        let filled = self.inbox.fill(&mut self.stream);
        match (filled, self.connection.phase()) {
            (Ok(1..), _) => Ok(None),
            (_, phase) if phase.is_end() => Err(self.ended(phase)),
            (Ok(_), _) => Ok(Some(false)),
            (Err(error), _) => Ok(Some(error.kind() == ErrorKind::TimedOut)),
        }
    }

    fn enter(&self, phase: Phase) -> Result<(), Failure> {
        if self.connection.enter(phase) { Ok(()) } else { Err(self.ended(self.connection.phase())) }
    }

    fn ended(&self, phase: Phase) -> Failure {
        match phase {
            Phase::Evicted if self.inbox.bytes().is_empty() => Failure::Untold(EventKind::Evicted),
            Phase::Evicted => {
                Failure::Refused(EventKind::Evicted, Refusal::Overloaded("too many connections"))
            }
            _ => Failure::Quiet,
        }
    }
}

fn refused(refusal: Refusal) -> Failure {
    let kind = match refusal {
        Refusal::HeadTimeout => EventKind::HeadTimedOut,
        Refusal::HeadTooLarge(_) | Refusal::TargetTooLong => EventKind::HeadTooLarge,
        Refusal::Version => EventKind::VersionUnsupported,
        Refusal::Expectation => EventKind::ExpectationFailed,
        Refusal::Protocol(_) => EventKind::OtherProtocol,
        _ => EventKind::HeadMalformed,
    };
    Failure::Refused(kind, refusal)
}
