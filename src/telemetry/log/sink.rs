//! Where lines go: stderr, and what becomes of those that it does not take.
//!
//! Owns the writing and the count of what was lost. Must not know what a line says. Decision: a log that
//! takes nothing more (a full disk, a reader that is gone or asleep) costs lines, never answers: where a
//! write could wait, it is asked first whether it would. What was lost is counted, and once the log takes
//! lines again the first one says how many.

use crate::ground::sys;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a reader that has fallen behind is waited for, once: after that, lines are dropped at once
/// until it goes on. Longer than a journal takes to sync its file, so that a flood of requests hides nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a pipe takes without waiting when it has any room at all (`PIPE_BUF` on Linux; the least that a
/// system may have is 512).
const PIECE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// Standard error.
#[derive(Debug)]
pub(super) struct Sink {
    /// A pipe, a socket or a terminal: who reads it may leave a writer waiting.
    waits: bool,
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Lines that were lost since the log last said so.
    unsaid: u64,
    /// A line was written in part, without its end.
    torn: bool,
    patience: Duration,
}

impl Sink {
    pub(super) fn stderr() -> Self {
        let state = State { unsaid: 0, torn: false, patience: PATIENCE };
        Self { waits: may_wait().unwrap_or(true), state: Mutex::new(state), lost: AtomicU64::new(0) }
    }

    /// Lines lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes a text of so many whole lines, or none of it counts. `said` makes the line that tells of
    /// lost ones.
    pub(super) fn write(&self, text: &str, lines: u64, said: impl FnOnce(u64) -> String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.unsaid;
        if before > 0 && self.put(&mut state, &said(before)) {
            state.unsaid = 0;
        }
        if state.unsaid > 0 || !self.put(&mut state, text) {
            state.unsaid = state.unsaid.saturating_add(lines);
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Whether all of it was taken.
    fn put(&self, state: &mut State, text: &str) -> bool {
        let whole = if state.torn { &*format!("\n{text}") } else { text };
        let mut rest = whole.as_bytes();
        let mut stderr = io::stderr().lock();
        while !rest.is_empty() {
            if self.waits && !sys::is_writable(stderr.as_fd(), state.patience) {
                state.patience = Duration::ZERO;
                break;
            }
            // What cannot wait is written with one call, so that another program's lines do not mix in.
            let piece = if self.waits { rest.len().min(PIECE) } else { rest.len() };
            match stderr.write(rest.get(..piece).unwrap_or(rest)) {
                Ok(taken @ 1..) => rest = rest.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        if rest.is_empty() {
            *state = State { torn: false, patience: PATIENCE, ..*state };
        } else if rest.len() < whole.len() {
            state.torn = true;
        }
        rest.is_empty()
    }
}

/// Whether writing to stderr may wait for somebody.
fn may_wait() -> io::Result<bool> {
    let stderr = io::stderr();
    let kind = File::from(stderr.as_fd().try_clone_to_owned()?).metadata()?.file_type();
    Ok(kind.is_fifo() || kind.is_socket() || stderr.is_terminal())
}
