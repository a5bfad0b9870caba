//! How many lines, or events, a second strangers may cause.

use crate::ground::time::UnixTime;
use std::sync::{Mutex, PoisonError};

/// Lines of one kind in one second.
const MOST: u32 = 10;

/// So many lines a second are written, and the first of a later second says how many were not.
#[derive(Debug, Default)]
pub struct Allowance(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    begun: i64,
    written: u32,
    left_out: u64,
}

impl Allowance {
    /// Leave to write a line, with how many before it had none; `None` where it is to be left out, too.
    pub fn take(&self, now: UnixTime) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.begun != now.0 {
            (second.begun, second.written) = (now.0, 0);
        }
        if second.written == MOST {
            second.left_out += 1;
            return None;
        }
        second.written += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_are_written_and_the_next_says_how_many_were_not() {
        let allowance = Allowance::default();
        let take = |second| allowance.take(UnixTime(second));
        assert!((0..10).all(|_| take(5) == Some(0)));
        assert!((0..90).all(|_| take(5).is_none()));
        assert_eq!((take(6), take(6)), (Some(90), Some(0)));
        // A clock that is set back is another second.
        assert_eq!(take(5), Some(0));
    }
}
