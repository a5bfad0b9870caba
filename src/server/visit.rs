//! A client's stay: a connection, which of its requests is next, and the server that it came to.
//!
//! Owns the way of a connection between threads: served, at rest, served again. Must not know what is read and
//! written on it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::connection::{self, REST};
use super::guard::{Phase, Watched};
use super::stream::Wire;
use crate::telemetry::event::EventKind;

/// A connection that is served, or rests. Its client counts as a guest for as long as this lives.
pub(super) struct Visit {
    pub(super) connection: Arc<Watched>,
    /// The number of the next request, from 1.
    pub(super) next: u32,
    pub(super) shared: Arc<Shared>,
}

impl Visit {
    /// Serves it on a thread of the pool; an error where there is none to be had, and then it ends.
    pub(super) fn start(self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.pool.run(Box::new(move || self.serve()))
    }

    fn serve(self) {
        let wire = Wire::new(Arc::clone(&self.connection));
        let serve = || connection::serve(wire, &self.connection, &self.shared, self.next);
        match catch_unwind(AssertUnwindSafe(serve)) {
            Ok(None) => {}
            Ok(Some(next)) => {
                let patience = self.shared.limits.patience(next).saturating_sub(REST);
                let shared = Arc::clone(&self.shared);
                shared.room.enter(Self { next, ..self }, Instant::now() + patience);
            }
            Err(_) => self.tell(EventKind::ConnectionPanicked),
        }
    }

    /// Something has happened on it while it rested.
    pub(super) fn resume(self) {
        if self.connection.phase() == Phase::Evicted {
            self.tell(EventKind::Evicted);
        } else if !self.connection.phase().is_end() {
            let _ = self.start();
        }
    }

    /// It has rested too long.
    pub(super) fn expire(self) {
        if self.next == 1 {
            self.tell(EventKind::Silent);
        }
    }

    fn tell(&self, kind: EventKind) {
        self.shared.tell(kind, Some(self.connection.peer), "".into());
    }
}
