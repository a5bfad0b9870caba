//! How often may be guessed: failures of a client with one name, of a client, of its site, and of a name.
//!
//! Owns the counts, in tables of a fixed size. Decision: every failure counts in the same way, whether the
//! name exists or not and whoever logged in before, so that neither a status nor a waiting time tells which
//! names there are. A table that is full gives a newcomer the place of the one who owes least *and its debt*
//! (the "space-saving" count of Metwally et al., 2005): a count is never too low, so that nobody resets
//! their own by making others' up; it can be too high only while thousands of places owe, each of which
//! cost as many checks of a password.

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
/// All clients of one site with any name.
const SITE: Limit = Limit { burst: 400, interval: 250 };
/// One name from any client.
const NAME: Limit = Limit { burst: 100, interval: 1_000 };
/// Beyond any of these, comparing what one client sends for one name with what was right there before.
const VISIT: Limit = Limit { burst: 100, interval: 1_000 };

/// Places of a table, and how many of them a key may have.
pub(super) const SLOTS: usize = 4096;
const WAYS: usize = 8;

/// The failures of everybody.
#[derive(Debug)]
pub(super) struct Throttle {
    hasher: RandomState,
    /// By pair, client, site and name.
    guesses: [Table; 4],
    /// By pair.
    visits: Table,
}

/// A request's places in the tables: its pair's, client's, site's and name's.
pub(super) type Keys = [u64; 4];

impl Default for Throttle {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            guesses: [PAIR, CLIENT, SITE, NAME].map(Table::new),
            visits: Table::new(VISIT),
        }
    }
}

impl Throttle {
    /// The places of a client and a name.
    pub(super) fn keys(&self, client: Client, name: &str) -> Keys {
        let hash = |of: (u8, Option<Client>, Option<&str>)| self.hasher.hash_one(of);
        [
            hash((0, Some(client), Some(name))),
            hash((1, Some(client), None)),
            hash((2, Some(client.site()), None)),
            hash((3, None, Some(name))),
        ]
    }

    /// How many seconds it must wait; `None` if it need not.
    pub(super) fn wait(&self, keys: &Keys, now: u64) -> Option<u32> {
        let wait = self.guesses.iter().zip(keys).map(|(table, key)| table.wait(*key, now)).max()?;
        (wait > 0).then(|| u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Counts a failure, for as long as it is not refunded.
    pub(super) fn charge(&mut self, keys: &Keys, now: u64) {
        self.guesses.iter_mut().zip(keys).for_each(|(table, key)| table.charge(*key, now));
    }

    /// It was none.
    pub(super) fn refund(&mut self, keys: &Keys, now: u64) {
        self.guesses.iter_mut().zip(keys).for_each(|(table, key)| table.refund(*key, now));
    }

    /// Whether what waits may be compared with what was right at this client before, and counts that.
    /// Without it strangers could lock a user out; without its limit they could guess at it.
    pub(super) fn may_recall(&mut self, [pair, ..]: &Keys, now: u64) -> bool {
        let may = self.visits.wait(*pair, now) == 0;
        if may {
            self.visits.charge(*pair, now);
        }
        may
    }

    /// What was compared was right.
    pub(super) fn recalled(&mut self, [pair, ..]: &Keys, now: u64) {
        self.visits.refund(*pair, now);
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.guesses.iter().chain([&self.visits]).map(|table| table.debts.capacity()).sum()
    }
}

/// Debts by key. Without any there is no memory either.
#[derive(Debug)]
struct Table {
    limit: Limit,
    debts: Vec<Debt>,
}

/// The moment at which all is forgiven: each failure puts it off by the interval (the generic cell rate
/// algorithm, which needs one number where a bucket needs two).
#[derive(Debug, Clone, Copy, Default)]
struct Debt {
    key: u64,
    until: u64,
}

impl Table {
    fn new(limit: Limit) -> Self {
        Self { limit, debts: Vec::new() }
    }

    /// The key's own place, or the one it would take over: that of the least debt.
    fn place(&self, key: u64) -> usize {
        let sets = SLOTS / WAYS;
        let first = usize::try_from(key % sets as u64).unwrap_or(0) * WAYS;
        let set = self.debts.iter().enumerate().skip(first).take(WAYS);
        let least = set.min_by_key(|(_, debt)| (debt.key != key, debt.until));
        least.map_or(first, |(place, _)| place)
    }

    /// Milliseconds until one more failure is within the limit.
    fn wait(&self, key: u64, now: u64) -> u64 {
        let owed = self.debts.get(self.place(key)).map_or(0, |debt| debt.until.saturating_sub(now));
        (owed + self.limit.interval).saturating_sub(self.limit.burst * self.limit.interval)
    }

    fn charge(&mut self, key: u64, now: u64) {
        if self.debts.is_empty() {
            self.debts = vec![Debt::default(); SLOTS];
        }
        let place = self.place(key);
        if let Some(debt) = self.debts.get_mut(place) {
            *debt = Debt { key, until: debt.until.max(now) + self.limit.interval };
        }
    }

    fn refund(&mut self, key: u64, now: u64) {
        let place = self.place(key);
        if let Some(debt) = self.debts.get_mut(place).filter(|debt| debt.key == key) {
            debt.until = debt.until.saturating_sub(self.limit.interval).max(now.min(debt.until));
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

    /// The number-th network of 64 bits in a site of 48.
    fn neighbour(number: u32) -> Client {
        let site = u128::from(0x2001_0db8_0001_u64) << 80;
        Client::of(Some(IpAddr::V6((site | u128::from(number) << 64).into())))
    }

    /// How many of `tries` failures get through, all at one moment.
    fn passed(throttle: &mut Throttle, tries: impl Iterator<Item = (Client, String)>, now: u64) -> usize {
        let mut passed = 0;
        for (client, name) in tries {
            let keys = throttle.keys(client, &name);
            if throttle.wait(&keys, now).is_none() {
                throttle.charge(&keys, now);
                passed += 1;
            }
        }
        passed
    }

    /// What the security page promises: guesses at once, and in an hour of trying all the time.
    #[test]
    fn each_limit_lets_through_what_is_promised_in_an_hour() {
        type Tries = fn(u32) -> (Client, String);
        let table: [(&str, Tries, usize, usize); 4] = [
            ("one client, one name", |_| (client(1), "alice".to_owned()), 20, 20 + 360),
            ("one client, any name", |n| (client(1), format!("user{n}")), 100, 100 + 3600),
            ("one site, any name", |n| (neighbour(n % 65_536), format!("user{n}")), 400, 400 + 14_400),
            ("one name, any client", |n| (client(n), "alice".to_owned()), 100, 100 + 3600),
        ];
        for (what, tries, at_once, hourly) in table {
            let mut throttle = Throttle::default();
            let mut all = passed(&mut throttle, (0..2_000).map(tries), 5);
            assert_eq!(all, at_once, "{what}");
            for second in 1..=3600 {
                all += passed(
                    &mut throttle,
                    (second * 6..(second + 1) * 6).map(tries),
                    5 + u64::from(second) * 1000,
                );
            }
            assert_eq!(all, hourly, "{what}");
        }
    }

    #[test]
    fn a_limit_is_forgiven_in_time_and_holds_for_nobody_else() {
        let mut throttle = Throttle::default();
        let same = |_| (client(1), "alice".to_owned());
        assert_eq!(passed(&mut throttle, (0..1000).map(same), 5), 20);
        let keys = throttle.keys(client(1), "alice");
        assert_eq!((throttle.wait(&keys, 5), throttle.wait(&keys, 10_004)), (Some(10), Some(1)));
        assert_eq!(passed(&mut throttle, (0..9).map(same), 10_005), 1);
        assert_eq!(passed(&mut throttle, (0..1000).map(same), 1_000_000), 20);

        let mut throttle = Throttle::default();
        passed(&mut throttle, (0..1000).map(|number| (client(1), format!("user{number}"))), 5);
        assert_eq!(throttle.wait(&throttle.keys(client(1), "bob"), 5), Some(1));
        assert_eq!(throttle.wait(&throttle.keys(client(2), "bob"), 5), None);

        let mut throttle = Throttle::default();
        passed(&mut throttle, (0..1000).map(|number| (client(number), "alice".to_owned())), 5);
        assert_eq!(throttle.wait(&throttle.keys(client(5000), "alice"), 5), Some(1));
        assert_eq!(throttle.wait(&throttle.keys(client(5000), "bob"), 5), None);
    }

    #[test]
    fn recalling_has_a_limit_of_its_own() {
        let mut throttle = Throttle::default();
        let keys = throttle.keys(client(1), "alice");
        let mut may = |now| (0..1000).filter(|_| throttle.may_recall(&keys, now)).count();
        assert_eq!((may(5), may(1_005), may(3_005)), (100, 1, 2));
        for _ in 0..1000 {
            throttle.recalled(&keys, 1_000_000);
            assert!(throttle.may_recall(&keys, 1_000_000), "what was right is not counted");
        }
    }

    #[test]
    fn a_refund_takes_back_one_failure_and_no_more() {
        let mut throttle = Throttle::default();
        let keys = throttle.keys(client(1), "alice");
        for _ in 0..1000 {
            assert_eq!(throttle.wait(&keys, 5), None);
            throttle.charge(&keys, 5);
            throttle.refund(&keys, 5);
        }
        throttle.refund(&keys, 5);
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
        assert_eq!(throttle.slots(), 4 * SLOTS);
    }

    #[test]
    fn who_is_crowded_out_owes_no_less_on_coming_back() {
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
