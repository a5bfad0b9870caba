//! The first part of a request: waiting for a head, and what is said where none comes.
//!
//! Owns the patience with a head and the order in which clients of a crowd are served. Must not know what
//! a head says. Decision: every refusal of a connection is made in one place, from a closed set of reasons.

use super::{Next, Serving};
use crate::server::answer::{self, Envelope};
use crate::server::event::EventKind;
use crate::server::framing::{self, HeadError};
use crate::server::guard::{Ended, Phase};
use crate::server::inbox::Filled;
use crate::server::{CROWD, send_now, sys};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// In a crowd, so many pipelined requests are answered before a pause of so long per connection.
const BURST: u32 = 16;
const TURN: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Why no head came.
pub(super) enum NoHead {
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
    /// Waits for a whole head; gives its length.
    pub(super) fn await_head(&mut self, number: u32) -> Result<usize, NoHead> {
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
    pub(super) fn may_grow(&mut self) -> bool {
        if self.inbox.outgrows() {
            self.take_permit();
        }
        self.permit.is_some() || !self.inbox.outgrows()
    }

    pub(super) fn take_permit(&mut self) {
        self.permit = self.permit.take().or_else(|| self.shared.budget.permit());
    }

    fn enter(&self, phase: Phase, patience: Duration) -> Result<(), NoHead> {
        self.connection.enter(phase, patience).map_err(NoHead::Ended)
    }

    pub(super) fn no_head(&mut self, why: &NoHead) -> Next {
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
        let _ = send_now(&self.connection.socket, &self.out);
    }
}
