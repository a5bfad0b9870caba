//! How often may be guessed: failures of a client with one name, of a client, and of a name.
//!
//! Owns the counts, in tables of a fixed size. Decision: a table that is full gives a newcomer the place of
//! the one who owes least *and his debt* (the "space-saving" count of Metwally et al., 2005): a count is
//! never too low, so that nobody resets his own by making others' up; it can be too high only while
//! thousands of places owe, each of which cost as many checks of a password.

use super::Client;
use std::hash::{BuildHasher, RandomState};

/// What may be owed, and how fast it is forgiven.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// So many failures at once.
    burst: u64,
    /// One more in as many milliseconds.
    interval: u64,
}

/// One client with one name.
const PAIR: Limit = Limit { burst: 20, interval: 10_000 };
/// One client with any name.
const CLIENT: Limit = Limit { burst: 100, interval: 1_000 };
/// One name from any client that has not logged in with it today.
const NAME: Limit = Limit { burst: 100, interval: 1_000 };

/// Places of a table, and how many of them a key may have.
pub(super) const SLOTS: usize = 4096;
const WAYS: usize = 8;

/// The failures of everybody.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    hasher: RandomState,
    pairs: Table,
    clients: Table,
    names: Table,
}

/// A request's places in the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// The client with the name.
    pub(super) pair: u64,
    client: u64,
    name: u64,
}

impl Throttle {
    /// The places of a client and a name.
    pub(super) fn keys(&self, client: Client, name: &str) -> Keys {
        let hash = |of: (Option<Client>, Option<&str>)| self.hasher.hash_one(of);
        Keys {
            pair: hash((Some(client), Some(name))),
            client: hash((Some(client), None)),
            name: hash((None, Some(name))),
        }
    }

    /// How many seconds it must wait; `None` if it need not. A pair that is known (it logged in today) is
    /// held to its own failures alone, so that strangers cannot lock a user out, nor a neighbour behind
    /// the same address.
    pub(super) fn wait(&self, keys: &Keys, known: bool, now: u64) -> Option<u32> {
        let of = |table: &Table, key, limit| if known { 0 } else { table.wait(key, limit, now) };
        let wait = self.pairs.wait(keys.pair, PAIR, now);
        let wait = wait.max(of(&self.clients, keys.client, CLIENT)).max(of(&self.names, keys.name, NAME));
        (wait > 0).then(|| u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Counts a failure, for as long as it is not refunded. A known pair owes to itself alone.
    pub(super) fn charge(&mut self, keys: &Keys, known: bool, now: u64) {
        self.pairs.charge(keys.pair, PAIR, now);
        if !known {
            self.clients.charge(keys.client, CLIENT, now);
            self.names.charge(keys.name, NAME, now);
        }
    }

    /// It was none.
    pub(super) fn refund(&mut self, keys: &Keys, known: bool, now: u64) {
        self.pairs.refund(keys.pair, PAIR, now);
        if !known {
            self.clients.refund(keys.client, CLIENT, now);
            self.names.refund(keys.name, NAME, now);
        }
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        [&self.pairs, &self.clients, &self.names].iter().map(|table| table.0.capacity()).sum()
    }
}

/// Debts by key. Without any there is no memory either.
#[derive(Debug, Default)]
struct Table(Vec<Debt>);

/// The moment at which all is forgiven: each failure puts it off by the interval (the generic cell rate
/// algorithm, which needs one number where a bucket needs two).
#[derive(Debug, Clone, Copy, Default)]
struct Debt {
    key: u64,
    until: u64,
}

impl Table {
    fn set(key: u64) -> usize {
        let sets = SLOTS / WAYS;
        usize::try_from(key % sets as u64).unwrap_or(0) * WAYS
    }

    /// The key's own debt, or the one it would take over.
    fn debt(&self, key: u64) -> u64 {
        let set = self.0.iter().skip(Self::set(key)).take(WAYS);
        let own = set.clone().find(|debt| debt.key == key);
        own.or_else(|| set.min_by_key(|debt| debt.until)).map_or(0, |debt| debt.until)
    }

    /// Milliseconds until one more failure is within the limit.
    fn wait(&self, key: u64, limit: Limit, now: u64) -> u64 {
        let owed = self.debt(key).saturating_sub(now);
        (owed + limit.interval).saturating_sub(limit.burst * limit.interval)
    }

    fn charge(&mut self, key: u64, limit: Limit, now: u64) {
        if self.0.is_empty() {
            self.0 = vec![Debt::default(); SLOTS];
        }
        let until = self.debt(key).max(now) + limit.interval;
        let Some(set) = self.0.get_mut(Self::set(key)..).and_then(|rest| rest.get_mut(..WAYS)) else {
            return;
        };
        let own = set.iter().position(|debt| debt.key == key);
        let least = || set.iter().enumerate().min_by_key(|(_, debt)| debt.until).map(|(at, _)| at);
        if let Some(place) = own.or_else(least).and_then(|at| set.get_mut(at)) {
            *place = Debt { key, until };
        }
    }

    fn refund(&mut self, key: u64, limit: Limit, now: u64) {
        let set = self.0.iter_mut().skip(Self::set(key)).take(WAYS);
        if let Some(debt) = set.into_iter().find(|debt| debt.key == key) {
            debt.until = debt.until.saturating_sub(limit.interval).max(now.min(debt.until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn client(number: u32) -> Client {
        Client::of(Some(IpAddr::V4(number.into())))
    }

    /// How many of `tries` failures get through, all at one moment.
    fn passed(throttle: &mut Throttle, tries: impl Iterator<Item = (Client, String)>, now: u64) -> usize {
        let mut passed = 0;
        for (client, name) in tries {
            let keys = throttle.keys(client, &name);
            if throttle.wait(&keys, false, now).is_none() {
                throttle.charge(&keys, false, now);
                passed += 1;
            }
        }
        passed
    }

    #[test]
    fn each_limit_holds_and_is_forgiven_in_time() {
        let mut throttle = Throttle::default();
        let same = |_| (client(1), "alice".to_owned());
        assert_eq!(passed(&mut throttle, (0..1000).map(same), 5), 20);
        let keys = throttle.keys(client(1), "alice");
        assert_eq!(throttle.wait(&keys, false, 5), Some(10));
        assert_eq!(throttle.wait(&keys, true, 5), Some(10), "a known pair is held to its own failures");
        assert_eq!(throttle.wait(&keys, false, 10_004), Some(1));
        assert_eq!(passed(&mut throttle, (0..9).map(same), 10_005), 1);
        assert_eq!(passed(&mut throttle, (0..1000).map(same), 1_000_000), 20);

        let mut throttle = Throttle::default();
        let spraying = |number| (client(1), format!("user{number}"));
        assert_eq!(passed(&mut throttle, (0..1000).map(spraying), 5), 100);
        let keys = throttle.keys(client(1), "bob");
        assert_eq!((throttle.wait(&keys, false, 5), throttle.wait(&keys, true, 5)), (Some(1), None));
        assert_eq!(throttle.wait(&throttle.keys(client(2), "bob"), false, 5), None);

        let mut throttle = Throttle::default();
        let many = |number| (client(number), "alice".to_owned());
        assert_eq!(passed(&mut throttle, (0..1000).map(many), 5), 100);
        let keys = throttle.keys(client(5000), "alice");
        assert_eq!((throttle.wait(&keys, false, 5), throttle.wait(&keys, true, 5)), (Some(1), None));
        assert_eq!(throttle.wait(&throttle.keys(client(5000), "bob"), false, 5), None);
    }

    #[test]
    fn a_refund_takes_back_one_failure_and_no_more() {
        let mut throttle = Throttle::default();
        let keys = throttle.keys(client(1), "alice");
        for _ in 0..1000 {
            assert_eq!(throttle.wait(&keys, false, 5), None);
            throttle.charge(&keys, false, 5);
            throttle.refund(&keys, false, 5);
        }
        throttle.refund(&keys, false, 5);
        assert_eq!(passed(&mut throttle, (0..99).map(|_| (client(1), "alice".to_owned())), 5), 20);
    }

    #[test]
    fn crowding_a_table_resets_no_count_and_takes_no_memory() {
        let mut throttle = Throttle::default();
        let same = || (0..50).map(|_| (client(1), "alice".to_owned()));
        assert_eq!(throttle.slots(), 0);
        assert_eq!(passed(&mut throttle, same(), 5), 20);
        for round in 0..10 {
            let crowd = (0..20_000).map(|number| (client(2 + number), format!("{round}-{number}")));
            passed(&mut throttle, crowd, 5);
            assert_eq!(passed(&mut throttle, same(), 5), 0, "round {round}");
        }
        assert_eq!(throttle.slots(), 3 * SLOTS);
    }

    #[test]
    fn who_is_crowded_out_owes_no_less_when_he_comes_back() {
        let mut throttle = Throttle::default();
        let own = |count| (0..count).map(|_| (client(1), "alice".to_owned()));
        assert_eq!(passed(&mut throttle, own(10), 5), 10);
        for number in 2..20_000 {
            let name = number.to_string();
            passed(&mut throttle, (0..15).map(|_| (client(number), name.clone())), 5);
        }
        assert!(passed(&mut throttle, own(50), 5) <= 10);
    }
}
