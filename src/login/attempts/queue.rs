//! Who checks a password now, and who waits: a core is kept free and every site gets its turn.
//!
//! Decision: a waiting check has a turn, the number of its site's checks before it. The least turn is next,
//! then the first come; and where there is no room, the greatest turn goes. So one alone may fill the queue,
//! and yet whoever comes with one check waits for one of each other site at most. Some places are kept for
//! clients that logged in before, and come first: how often those may be wrong the throttle says. Requests
//! with the same user and password share one check.

use super::{Client, Seal};

/// The most checks that run or wait in kept places, and in places for anybody.
pub(super) const KEPT: usize = 24;
pub(super) const OPEN: usize = 40;
/// The most requests that wait for a check of another.
pub(super) const MAX_FOLLOWERS: usize = 256;

/// The checks that run or wait.
#[derive(Debug)]
pub(super) struct Queue {
    at_once: usize,
    next: u64,
    checks: Vec<Check>,
}

struct Check {
    id: u64,
    seal: Seal,
    site: Client,
    /// In one of the kept places.
    kept: bool,
    turn: usize,
    followers: usize,
    state: State,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for its turn.
    Waits,
    /// It may run.
    Runs,
    /// The password is right.
    Right,
    /// It is wrong, or the user unknown.
    Wrong,
    /// It came to no result.
    Nothing,
}

impl State {
    /// Whether it runs or waits.
    pub(super) fn is_pending(self) -> bool {
        matches!(self, State::Waits | State::Runs)
    }
}

/// What became of a request that came for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// It checks, when it may start.
    Leads(u64),
    /// Another checks the same.
    Joined(u64),
    /// There is no room.
    Full,
}

impl Queue {
    /// At most that many run at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, next: 0, checks: Vec::new() }
    }

    /// Comes for a check, from a client that logged in before or not.
    pub(super) fn enter(&mut self, seal: Seal, client: Client, known: bool) -> Entered {
        let followers: usize = self.checks.iter().map(|check| check.followers).sum();
        if let Some(same) = self.pending().find(|check| check.seal == seal) {
            if followers >= MAX_FOLLOWERS {
                return Entered::Full;
            }
            same.followers += 1;
            return Entered::Joined(same.id);
        }
        let site = client.site();
        let turn = self.pending().filter(|check| check.site == site).count();
        let mut places = [true, false].into_iter().skip(usize::from(!known));
        let free = places.clone().find(|kept| self.has_room(*kept));
        let Some(kept) = free.or_else(|| places.find(|kept| self.gives_up(*kept, turn))) else {
            return Entered::Full;
        };
        let id = self.next;
        self.next += 1;
        self.checks.push(Check { id, seal, site, kept, turn, followers: 0, state: State::Waits });
        Entered::Leads(id)
    }

    fn has_room(&mut self, kept: bool) -> bool {
        self.pending().filter(|check| check.kept == kept).count() < if kept { KEPT } else { OPEN }
    }

    /// Ends the check of the greatest turn, if that is greater than this one.
    fn gives_up(&mut self, kept: bool, turn: usize) -> bool {
        let waiting =
            self.checks.iter_mut().filter(|check| check.kept == kept && check.state == State::Waits);
        let last = waiting.max_by_key(|check| (check.turn, check.id)).filter(|check| check.turn > turn);
        last.map(|check| check.state = State::Nothing).is_some()
    }

    /// How far a check has come; starts it, if it is its turn.
    pub(super) fn turn(&mut self, id: u64) -> State {
        let running = self.checks.iter().filter(|check| check.state == State::Runs).count();
        let waiting = self.checks.iter_mut().filter(|check| check.state == State::Waits);
        if let Some(next) = waiting.min_by_key(|check| (!check.kept, check.turn, check.id))
            && next.id == id
            && running < self.at_once
        {
            next.state = State::Runs;
        }
        self.state(id)
    }

    /// How far a check has come.
    pub(super) fn state(&self, id: u64) -> State {
        self.checks.iter().find(|check| check.id == id).map_or(State::Nothing, |check| check.state)
    }

    /// Ends a check that has not ended.
    pub(super) fn finish(&mut self, id: u64, end: State) {
        if let Some(check) = self.pending().find(|check| check.id == id) {
            check.state = end;
        }
        self.forget();
    }

    /// A follower goes.
    pub(super) fn leave(&mut self, id: u64) {
        if let Some(check) = self.checks.iter_mut().find(|check| check.id == id) {
            check.followers = check.followers.saturating_sub(1);
        }
        self.forget();
    }

    /// Those that run or wait.
    fn pending(&mut self) -> impl Iterator<Item = &mut Check> {
        self.checks.iter_mut().filter(|check| check.state.is_pending())
    }

    fn forget(&mut self) {
        self.checks.retain(|check| check.followers > 0 || check.state.is_pending());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.checks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> Client {
        Client::of(Some([10, 0, 0, number].into()))
    }

    fn seal(number: usize) -> Seal {
        let mut seal = [0; 32];
        seal[..8].copy_from_slice(&number.to_be_bytes());
        seal
    }

    fn enter(queue: &mut Queue, password: usize, from: Client, known: bool) -> Option<u64> {
        match queue.enter(seal(password), from, known) {
            Entered::Leads(id) => Some(id),
            Entered::Full => None,
            Entered::Joined(id) => panic!("joined {id}"),
        }
    }

    fn starts(queue: &mut Queue, id: u64) -> bool {
        queue.turn(id) == State::Runs
    }

    #[test]
    fn a_client_with_many_checks_does_not_go_before_one_with_few() {
        let mut queue = Queue::new(1);
        let greedy: Vec<u64> =
            (0..5).map(|password| enter(&mut queue, password, client(1), false).unwrap()).collect();
        assert!(starts(&mut queue, greedy[0]) && !starts(&mut queue, greedy[1]));
        let modest = enter(&mut queue, 100, client(2), false).unwrap();
        queue.finish(greedy[0], State::Wrong);
        let late = enter(&mut queue, 101, client(1), false).unwrap();
        assert!(!starts(&mut queue, late) && !starts(&mut queue, greedy[1]));
        assert!(starts(&mut queue, modest));
        queue.finish(modest, State::Right);
        assert!(starts(&mut queue, greedy[1]));
        queue.finish(greedy[1], State::Nothing);
        assert!(starts(&mut queue, greedy[2]));
    }

    #[test]
    fn one_client_may_fill_the_queue_and_gives_way_to_others_from_its_end() {
        let mut queue = Queue::new(1);
        let crowd: Vec<u64> = (0..2 * OPEN).filter_map(|n| enter(&mut queue, n, client(1), false)).collect();
        assert_eq!(crowd.len(), OPEN, "twenty people behind one address are fewer");
        assert!(starts(&mut queue, crowd[0]));
        for other in 2..40 {
            assert!(enter(&mut queue, 100 + usize::from(other), client(other), false).is_some(), "{other}");
        }
        let states: Vec<State> = crowd.iter().map(|id| queue.state(*id)).collect();
        assert_eq!(states[..2], [State::Runs, State::Waits], "no more is taken from it than from others");
        assert!(states[2..].iter().all(|state| *state == State::Nothing), "{states:?}");
        assert_eq!(enter(&mut queue, 300, client(1), false), None);
    }

    /// Each from a network of its own: of one site, which is then one client of many checks, or of many.
    #[test]
    fn ninety_strangers_leave_room_for_clients_that_logged_in_before() {
        let flood = |number: u8, of_one_site: bool| {
            let site = if of_one_site { 1 } else { u16::from(number) };
            let address = [0x2001, 0xdb8, site, u16::from(number), 0, 0, 0, 1];
            Client::of(Some(std::net::IpAddr::from(address)))
        };
        for of_one_site in [true, false] {
            let mut queue = Queue::new(1);
            let strangers: Vec<u64> = (0..90)
                .filter_map(|n| enter(&mut queue, usize::from(n), flood(n, of_one_site), false))
                .collect();
            assert_eq!(strangers.len(), OPEN);
            assert!(starts(&mut queue, strangers[0]));
            let newcomer = enter(&mut queue, 200, client(1), false);
            assert_eq!(newcomer.is_some(), of_one_site, "another stranger");
            let known: Vec<u64> =
                (0..20).map(|n| enter(&mut queue, 300 + n, client(2), true).unwrap()).collect();
            queue.finish(strangers[0], State::Wrong);
            for id in known {
                assert!(starts(&mut queue, id), "they go first, all twenty");
                queue.finish(id, State::Right);
            }
        }
    }

    #[test]
    fn so_many_run_and_no_more() {
        let mut queue = Queue::new(3);
        let from = |number: usize| client(u8::try_from(number % 20).unwrap());
        let entered: Vec<u64> =
            (0..400).filter_map(|number| enter(&mut queue, number, from(number), number % 2 == 0)).collect();
        let running = |queue: &mut Queue| entered.iter().filter(|id| starts(queue, **id)).count();
        for _ in 0..5 {
            running(&mut queue);
        }
        assert_eq!(running(&mut queue), 3);
        assert_eq!(queue.pending().count(), KEPT + OPEN);
    }

    #[test]
    fn the_same_password_is_checked_once_for_all_who_ask() {
        let mut queue = Queue::new(1);
        let id = enter(&mut queue, 1, client(1), false).unwrap();
        for _ in 0..MAX_FOLLOWERS {
            assert_eq!(queue.enter(seal(1), client(2), false), Entered::Joined(id));
        }
        assert_eq!(queue.enter(seal(1), client(2), true), Entered::Full);
        assert_eq!(queue.state(id), State::Waits);
        assert!(starts(&mut queue, id));
        queue.finish(id, State::Right);
        queue.finish(id, State::Nothing);
        for _ in 0..MAX_FOLLOWERS {
            assert_eq!(queue.state(id), State::Right);
            queue.leave(id);
        }
        assert_eq!((queue.len(), queue.state(id)), (0, State::Nothing));
        assert!(matches!(queue.enter(seal(1), client(1), false), Entered::Leads(_)));
    }
}
