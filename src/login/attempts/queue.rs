//! Who checks a password now, and who waits: a core is kept free and every client gets his turn.
//!
//! Decision: a waiting check has a turn, the number of its client's checks before it. The least turn is
//! next, then the first come: a client with one check waits for one of each other client at most, however
//! many those have. Requests with the same user and password share one check.

use super::{Client, Seal};

/// The most checks that run or wait.
pub(super) const MAX_CHECKS: usize = 64;
/// The most of them of one client.
pub(super) const MAX_OF_CLIENT: usize = 8;
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
    client: Client,
    turn: usize,
    followers: usize,
    state: State,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Runs,
    Done(End),
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The password is right.
    Right,
    /// It is wrong, or the user unknown.
    Wrong,
    /// It came to no result.
    Nothing,
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

    /// Comes for a check.
    pub(super) fn enter(&mut self, seal: Seal, client: Client) -> Entered {
        let followers: usize = self.checks.iter().map(|check| check.followers).sum();
        if let Some(same) = self.pending().find(|check| check.seal == seal) {
            if followers >= MAX_FOLLOWERS {
                return Entered::Full;
            }
            same.followers += 1;
            return Entered::Joined(same.id);
        }
        let turn = self.pending().filter(|check| check.client == client).count();
        if turn >= MAX_OF_CLIENT || self.pending().count() >= MAX_CHECKS {
            return Entered::Full;
        }
        let id = self.next;
        self.next += 1;
        self.checks.push(Check { id, seal, client, turn, followers: 0, state: State::Waits });
        Entered::Leads(id)
    }

    /// Starts this check, if it is its turn.
    pub(super) fn starts(&mut self, id: u64) -> bool {
        let running = self.checks.iter().filter(|check| check.state == State::Runs).count();
        let waiting = self.checks.iter_mut().filter(|check| check.state == State::Waits);
        match waiting.min_by_key(|check| (check.turn, check.id)) {
            Some(next) if next.id == id && running < self.at_once => {
                next.state = State::Runs;
                true
            }
            _ => false,
        }
    }

    /// Ends a check that has not ended.
    pub(super) fn finish(&mut self, id: u64, end: End) {
        if let Some(check) = self.pending().find(|check| check.id == id) {
            check.state = State::Done(end);
        }
        self.forget();
    }

    /// How a check ended; `None` while it has not.
    pub(super) fn end(&self, id: u64) -> Option<End> {
        match self.checks.iter().find(|check| check.id == id).map(|check| check.state) {
            Some(State::Done(end)) => Some(end),
            Some(State::Waits | State::Runs) => None,
            None => Some(End::Nothing),
        }
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
        self.checks.iter_mut().filter(|check| !matches!(check.state, State::Done(_)))
    }

    fn forget(&mut self) {
        self.checks.retain(|check| check.followers > 0 || !matches!(check.state, State::Done(_)));
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

    fn enter(queue: &mut Queue, password: u8, from: u8) -> u64 {
        match queue.enter([password; 32], client(from)) {
            Entered::Leads(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_with_many_checks_does_not_go_before_one_with_few() {
        let mut queue = Queue::new(1);
        let greedy: Vec<u64> = (0..5).map(|password| enter(&mut queue, password, 1)).collect();
        assert!(queue.starts(greedy[0]) && !queue.starts(greedy[1]));
        let modest = enter(&mut queue, 100, 2);
        queue.finish(greedy[0], End::Wrong);
        let late = enter(&mut queue, 101, 1);
        assert!(!queue.starts(late) && !queue.starts(greedy[1]));
        assert!(queue.starts(modest));
        queue.finish(modest, End::Right);
        assert!(queue.starts(greedy[1]));
        queue.finish(greedy[1], End::Nothing);
        assert!(queue.starts(greedy[2]));
    }

    #[test]
    fn so_many_run_so_many_wait_and_no_more() {
        let mut queue = Queue::new(3);
        let mut entered = Vec::new();
        for from in 0..20 {
            for password in 0..20 {
                let mut seal = [from; 32];
                seal[0] = password;
                let entry = queue.enter(seal, client(from));
                if let Entered::Leads(id) = entry {
                    entered.push((from, id));
                }
            }
        }
        assert_eq!(entered.len(), MAX_CHECKS.min(20 * MAX_OF_CLIENT));
        assert!((0..7).all(|from| entered.iter().filter(|(of, _)| *of == from).count() == MAX_OF_CLIENT));
        let mut started = 0;
        while let Some(next) = entered.iter().position(|(_, id)| queue.starts(*id)) {
            entered.swap_remove(next);
            started += 1;
        }
        assert_eq!(started, 3);
    }

    #[test]
    fn the_same_password_is_checked_once_for_all_who_ask() {
        let mut queue = Queue::new(1);
        let id = enter(&mut queue, 1, 1);
        for _ in 0..MAX_FOLLOWERS {
            assert_eq!(queue.enter([1; 32], client(2)), Entered::Joined(id));
        }
        assert_eq!(queue.enter([1; 32], client(2)), Entered::Full);
        assert_eq!(queue.end(id), None);
        assert!(queue.starts(id));
        queue.finish(id, End::Right);
        queue.finish(id, End::Nothing);
        for _ in 0..MAX_FOLLOWERS {
            assert_eq!(queue.end(id), Some(End::Right));
            queue.leave(id);
        }
        assert_eq!((queue.len(), queue.end(id)), (0, Some(End::Nothing)));
        assert!(matches!(queue.enter([1; 32], client(1)), Entered::Leads(_)));
    }
}
