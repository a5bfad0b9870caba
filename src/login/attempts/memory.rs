//! What was right before: passwords for a minute, and for a day who logged in from where.
//!
//! Decision: what is kept is a keyed hash, never a password, and only a right one gets in: strangers can
//! neither read this memory nor fill it.

use super::Seal;
use std::collections::HashMap;
use std::hash::Hash;

/// How long a right password is remembered, in milliseconds: clients ask two or three times for one pull,
/// and a changed password is forgotten at once anyway.
pub(super) const PASSWORD_MS: u64 = 60_000;

/// How long it is remembered that a user logged in from somewhere, in milliseconds.
pub(super) const MEETING_MS: u64 = 24 * 60 * 60 * 1000;

/// The most of each that is remembered.
const MAX_PASSWORDS: usize = 1024;
const MAX_MEETINGS: usize = 4096;

/// Each with the time until which it counts.
#[derive(Default)]
pub(super) struct Memory {
    passwords: HashMap<Seal, u64>,
    meetings: HashMap<u64, u64>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("passwords", &self.passwords.len()).finish_non_exhaustive()
    }
}

impl Memory {
    /// Whether this password was right a short while ago.
    pub(super) fn recalls(&self, seal: &Seal, now: u64) -> bool {
        self.passwords.get(seal).is_some_and(|until| now < *until)
    }

    /// Whether this user logged in from there today.
    pub(super) fn has_met(&self, pair: u64, now: u64) -> bool {
        self.meetings.get(&pair).is_some_and(|until| now < *until)
    }

    /// A password was right.
    pub(super) fn remember(&mut self, seal: Seal, pair: u64, now: u64) {
        keep(&mut self.passwords, seal, now, PASSWORD_MS, MAX_PASSWORDS);
        self.meet(pair, now);
    }

    /// A user logged in from somewhere.
    pub(super) fn meet(&mut self, pair: u64, now: u64) {
        keep(&mut self.meetings, pair, now, MEETING_MS, MAX_MEETINGS);
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.passwords.len(), self.meetings.len())
    }
}

/// Where there is no room, what has passed goes, and if nothing has, what passes first.
fn keep<K: Hash + Eq + Copy>(map: &mut HashMap<K, u64>, key: K, now: u64, life: u64, most: usize) {
    if map.len() >= most && !map.contains_key(&key) {
        map.retain(|_, until| now < *until);
        if map.len() >= most
            && let Some(first) = map.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            map.remove(&first);
        }
    }
    map.insert(key, now.saturating_add(life));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(number: usize) -> Seal {
        let mut seal = [0; 32];
        seal[..8].copy_from_slice(&number.to_be_bytes());
        seal
    }

    #[test]
    fn a_password_is_remembered_for_a_minute_and_a_meeting_for_a_day() {
        let mut memory = Memory::default();
        memory.remember(seal(1), 7, 1_000);
        for (now, password, meeting) in [
            (1_000, true, true),
            (60_999, true, true),
            (61_000, false, true),
            (86_400_999, false, true),
            (86_401_000, false, false),
        ] {
            assert_eq!((memory.recalls(&seal(1), now), memory.has_met(7, now)), (password, meeting), "{now}");
        }
        assert!(!memory.recalls(&seal(2), 1_000) && !memory.has_met(8, 1_000));
    }

    #[test]
    fn it_has_an_end_and_the_oldest_goes_first() {
        let mut memory = Memory::default();
        for number in 0..10_000 {
            memory.remember(seal(number), number as u64, number as u64);
        }
        assert_eq!(memory.sizes(), (MAX_PASSWORDS, MAX_MEETINGS));
        assert!(
            memory.recalls(&seal(9_999), 10_000) && memory.recalls(&seal(10_000 - MAX_PASSWORDS), 10_000)
        );
        assert!(!memory.recalls(&seal(9_999 - MAX_PASSWORDS), 10_000));
        memory.remember(seal(0), 0, 1_000_000);
        assert_eq!(memory.sizes().0, 1, "what has passed goes first");
    }
}
