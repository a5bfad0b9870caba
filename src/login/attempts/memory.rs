//! What was right before: passwords for a minute, and for a day which of them from which client.
//!
//! Decision: what is kept are keyed hashes, never a password, and only a right one gets in: strangers can
//! neither read this memory nor fill it.

use super::Seal;
use std::collections::HashMap;

/// How long a right password is remembered, in milliseconds: clients ask two or three times for one pull,
/// and a changed password is forgotten at once anyway.
pub(super) const PASSWORD_MS: u64 = 60_000;

/// How long it is remembered where a password was right, in milliseconds.
pub(super) const VISIT_MS: u64 = 24 * 60 * 60 * 1000;

/// The most of each that is remembered.
const MAX_PASSWORDS: usize = 1024;
const MAX_VISITS: usize = 8192;

/// Each with the time until which it counts.
#[derive(Default)]
pub(super) struct Memory {
    passwords: HashMap<Seal, u64>,
    visits: HashMap<Seal, u64>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("passwords", &self.passwords.len()).finish_non_exhaustive()
    }
}

impl Memory {
    /// Whether this password was right a short while ago, wherever that was.
    pub(super) fn recalls(&self, password: &Seal, now: u64) -> bool {
        self.passwords.get(password).is_some_and(|until| now < *until)
    }

    /// Whether there was such a visit within a day: of this password to this client, or of any.
    pub(super) fn had(&self, visit: &Seal, now: u64) -> bool {
        self.visits.get(visit).is_some_and(|until| now < *until)
    }

    /// A password was checked and right.
    pub(super) fn remember(&mut self, password: Seal, now: u64) {
        keep(&mut self.passwords, password, now, PASSWORD_MS, MAX_PASSWORDS);
    }

    /// A user logged in from somewhere.
    pub(super) fn visit(&mut self, visits: [Seal; 2], now: u64) {
        for visit in visits {
            keep(&mut self.visits, visit, now, VISIT_MS, MAX_VISITS);
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.passwords.len(), self.visits.len())
    }
}

/// Where there is no room, what has passed goes, and if nothing has, what passes first.
fn keep(map: &mut HashMap<Seal, u64>, key: Seal, now: u64, life: u64, most: usize) {
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
    fn a_password_is_remembered_for_a_minute_and_a_visit_for_a_day() {
        let mut memory = Memory::default();
        memory.remember(seal(1), 1_000);
        memory.visit([seal(7), seal(8)], 1_000);
        for (now, password, visit) in [
            (1_000, true, true),
            (60_999, true, true),
            (61_000, false, true),
            (86_400_999, false, true),
            (86_401_000, false, false),
        ] {
            let had = [7, 8].map(|number| memory.had(&seal(number), now));
            assert_eq!((memory.recalls(&seal(1), now), had), (password, [visit; 2]), "{now}");
        }
        assert!(!memory.recalls(&seal(2), 1_000) && !memory.had(&seal(1), 1_000));
    }

    #[test]
    fn it_has_an_end_and_the_oldest_goes_first() {
        let mut memory = Memory::default();
        for number in 0..10_000 {
            memory.remember(seal(number), number as u64);
            memory.visit([seal(number); 2], number as u64);
        }
        assert_eq!(memory.sizes(), (MAX_PASSWORDS, MAX_VISITS));
        assert!(
            memory.recalls(&seal(9_999), 10_000) && memory.recalls(&seal(10_000 - MAX_PASSWORDS), 10_000)
        );
        assert!(!memory.recalls(&seal(9_999 - MAX_PASSWORDS), 10_000));
        memory.remember(seal(0), 1_000_000);
        assert_eq!(memory.sizes().0, 1, "what has passed goes first");
    }
}
