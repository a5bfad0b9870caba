//! What takes longer than a second says so, on a terminal.
//!
//! Owns the line that comes and goes on stderr. Must not know what is done. Decision: a second thread tells, so that
//! the work need not know; and nothing is said where nobody looks, so that logs and scripts stay as they are.

use super::say;
use crate::ground::text::printable;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What takes less is over before it is read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does it, and says what it is while it lasts: `making an RSA key`.
pub(super) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (working, ends) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || tell(what, &ends, PATIENCE, say));
        let _working = working; // dropped also by a panic, which ends the other thread
        work()
    })
}

/// Tells every so often until the sender is gone, and then takes it back.
fn tell(what: &str, ends: &Receiver<()>, patience: Duration, mut say: impl FnMut(&str)) {
    let mut width = 0;
    for rounds in 1_u32.. {
        if ends.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let line = format!("keypebble: {}: {} s", printable(what), patience.as_secs() * u64::from(rounds));
        width = line.len();
        say(&format!("\r{line}"));
    }
    if width > 0 {
        // Spaces and not a terminal's own code: every terminal knows them.
        say(&format!("\r{:width$}\r", ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_said_and_taken_back_and_what_does_not_is_not() {
        let (working, ends) = channel::<()>();
        let (mut working, mut said) = (Some(working), Vec::new());
        tell("waiting", &ends, Duration::from_millis(1), |text| {
            said.push(text.to_owned());
            if said.len() == 2 {
                working = None;
            }
        });
        assert_eq!(
            said,
            ["\rkeypebble: waiting: 0 s", "\rkeypebble: waiting: 0 s", "\r                       \r"]
        );
        tell("waiting", &ends, Duration::from_secs(60), |_| panic!("it has ended"));
        assert_eq!(during("working", || 7), 7);
    }
}
