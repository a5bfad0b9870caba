//! Passwords checked through all that slows, remembers and queues, under a clock that the test turns.

#![cfg(feature = "passwords")]

use super::throttle::SLOTS;
use super::*;
use crate::login::password::Hash;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

/// A users file of these users and passwords, at bcrypt's least cost.
fn users(of: &[(&str, &str)]) -> Users {
    let line = |(user, text): &(&str, &str)| {
        format!("{user}:{}\n", Hash::make(&password(text), 4, [9; 16]).unwrap())
    };
    Users::parse(Path::new("users"), of.iter().map(line).collect::<String>().as_bytes()).unwrap()
}

fn client(number: u32) -> Client {
    Client::of(Some(IpAddr::V4(number.into())))
}

fn at(at_once: usize) -> (Passwords, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&time);
    let clock = Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    (Passwords::new(clock, at_once), time)
}

#[test]
fn a_right_password_is_remembered_for_a_minute_unless_its_line_changes() {
    let (passwords, time) = at(1);
    let users_now = users(&[("alice", "secret"), ("bob", "secret")]);
    let check = |users: &Users, user, text| passwords.check(users, user, &password(text), client(1));
    assert_eq!(check(&users_now, "alice", "secret"), Outcome::Right);
    assert_eq!(check(&users_now, "alice", "secret"), Outcome::Remembered);
    assert_eq!(check(&users_now, "alice", "Secret"), Outcome::Wrong);
    assert_eq!(check(&users_now, "bob", "secret"), Outcome::Right, "another user's");
    assert_eq!(check(&users(&[("alice", "changed")]), "alice", "secret"), Outcome::Wrong);
    assert_eq!(check(&users(&[]), "alice", "secret"), Outcome::Wrong);
    assert_eq!(check(&users_now, "alice", "secret"), Outcome::Remembered);
    time.fetch_add(60_000, Ordering::Relaxed);
    assert_eq!(check(&users_now, "alice", "secret"), Outcome::Right);
}

#[test]
fn right_passwords_cost_nothing_and_wrong_ones_are_slowed() {
    let (passwords, time) = at(1);
    let users = users(&[("alice", "secret")]);
    let check = |text: &str, from| passwords.check(&users, "alice", &password(text), client(from));
    for _ in 0..50 {
        assert_eq!(check("secret", 1), Outcome::Right);
        time.fetch_add(60_000, Ordering::Relaxed);
    }
    for number in 0..20 {
        assert_eq!(check(&format!("wrong{number}"), 1), Outcome::Wrong);
    }
    assert_eq!(check("wrong", 1), Outcome::Throttled(10));
    assert_eq!(check("secret", 1), Outcome::Remembered, "where it was right before");
    assert_eq!(check("secret", 2), Outcome::Right, "from elsewhere");
    time.fetch_add(10_000, Ordering::Relaxed);
    assert_eq!(check("secret", 1), Outcome::Remembered);
}

#[test]
fn what_is_remembered_cannot_be_guessed_for_free() {
    let (passwords, _) = at(1);
    let users = users(&[("alice", "secret")]);
    let check = |text: &str, from| passwords.check(&users, "alice", &password(text), client(from));
    assert_eq!(check("secret", 1), Outcome::Right);
    for number in 0..20 {
        assert_eq!(check(&format!("wrong{number}"), 2), Outcome::Wrong);
    }
    assert!(matches!(check("secret", 2), Outcome::Throttled(_)));
    // Nor where it was right: after 20 that are looked at and 100 that are compared, it is one a second.
    for number in 0..120 {
        check(&format!("wrong{number}"), 1);
    }
    assert!(matches!(check("secret", 1), Outcome::Throttled(_)));
}

/// What a guesser sees of a name that exists, of one that logged in from the guesser's own address, and of
/// one that does not exist: from one client, with other names in between, and from many clients.
#[test]
fn a_guesser_learns_nothing_from_the_outcomes() {
    /// By number: from which client, and the number of another name.
    type Guess = fn(u32) -> (u32, Option<u32>);
    let guesses: [Guess; 3] = [
        |_| (1, None),
        |number| (1, Some(number).filter(|number| number % 3 > 0)),
        |number| (1 + number % 200, None),
    ];
    for (kind, guess) in guesses.into_iter().enumerate() {
        let outcomes = |name: &str, logged_in: bool| -> Vec<Outcome> {
            let (passwords, time) = at(1);
            let users = users(&[("alice", "secret"), ("bob", "secret")]);
            if logged_in {
                assert_eq!(passwords.check(&users, name, &password("secret"), client(1)), Outcome::Right);
            }
            let check = |number| {
                time.fetch_add(100, Ordering::Relaxed);
                let (from, other) = guess(number);
                let name = other.map_or(name.to_owned(), |other| format!("user{other}"));
                passwords.check(&users, &name, &password(&format!("wrong{number}")), client(from))
            };
            (0..400).map(check).collect()
        };
        let unknown = outcomes("mallory", false);
        assert!(unknown.contains(&Outcome::Wrong) && unknown.last() != Some(&Outcome::Wrong), "{kind}");
        assert_eq!(outcomes("bob", false), unknown, "{kind}");
        assert_eq!(outcomes("alice", true), unknown, "{kind}");
    }
}

#[test]
fn strangers_cannot_lock_a_user_out_of_where_they_log_in() {
    let (passwords, time) = at(1);
    let users = users(&[("alice", "secret")]);
    let check = |text: &str, from| passwords.check(&users, "alice", &password(text), client(from));
    let guess = |name: &str, from| passwords.check(&users, name, &password("wrong"), client(from));
    assert_eq!(check("secret", 1), Outcome::Right);
    time.fetch_add(3_600_000, Ordering::Relaxed);
    let wrong = (2..200).filter(|from| guess("alice", *from) == Outcome::Wrong).count();
    assert_eq!(wrong, 100, "from many addresses");
    assert_eq!(check("secret", 300), Outcome::Throttled(1), "from a new address, after a second");
    assert_eq!(check("secret", 1), Outcome::Remembered, "from where she was before");
    // By a neighbour at the same address, of other names and of hers.
    assert_eq!((0..200).filter(|n| guess(&format!("user{n}"), 1) == Outcome::Wrong).count(), 100);
    assert_eq!(check("secret", 1), Outcome::Remembered);
    for _ in 0..90 {
        assert!(matches!(guess("alice", 1), Outcome::Throttled(_)));
    }
    assert_eq!(check("secret", 1), Outcome::Remembered);
    time.fetch_add(2_000, Ordering::Relaxed);
    assert_eq!(check("secret", 301), Outcome::Right);
    assert_eq!(check("secret", 302), Outcome::Remembered);
    assert_eq!((303..400).filter(|from| guess("alice", *from) == Outcome::Wrong).count(), 2);
    time.fetch_add(60_000 - 2_000, Ordering::Relaxed);
    for from in 500..700 {
        guess("alice", from);
    }
    assert_eq!(check("secret", 302), Outcome::Remembered, "what was remembered counts as a visit, too");
    time.fetch_add(24 * 3_600_000, Ordering::Relaxed);
    for from in 500..700 {
        guess("alice", from);
    }
    assert_eq!(check("secret", 302), Outcome::Throttled(1), "for a day");
}

/// As `docker login` on every machine of an office at nine o'clock.
#[test]
fn twenty_people_behind_one_address_all_get_in() {
    let (passwords, _) = at(1);
    let names: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    let users = users(&names.iter().map(|name| (name.as_str(), "secret")).collect::<Vec<_>>());
    let passwords = &passwords;
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let ask = |name| {
            let users = &users;
            scope.spawn(move || passwords.check(users, name, &password("secret"), client(1)))
        };
        let threads: Vec<_> = names.iter().map(String::as_str).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes, vec![Outcome::Right; 20]);
}

#[test]
fn networks_of_64_bits_are_one_client_and_of_48_one_site() {
    let of = |text: &str| Client::of(Some(text.parse().unwrap()));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("::1"), Client::of(None));
    for (one, other, same) in [
        ("2001:db8:1:2::1", "2001:db8:1:ffff::1", true),
        ("2001:db8:1:2::1", "2001:db8:2:2::1", false),
        ("10.0.0.1", "10.0.0.2", false),
        ("10.0.0.1", "::1", false),
        ("10.0.0.1", "::ffff:10.0.0.1", true),
    ] {
        assert_eq!(of(one).site() == of(other).site(), same, "{one} {other}");
    }
}

#[test]
fn ten_thousand_wrong_passwords_take_a_bounded_memory_and_no_one_else_s_turn() {
    let (passwords, time) = at(1);
    let users = users(&[("alice", "secret"), ("bob", "secret")]);
    let mut counts = [0; 5];
    for number in 0..10_000_u32 {
        let user = if number % 2 == 0 { "alice" } else { &format!("user{number}") };
        let outcome = passwords.check(&users, user, &password(&format!("wrong{number}")), client(1));
        let place = Outcome::LABELS.iter().position(|label| *label == outcome.label()).unwrap();
        counts[place] += 1;
        time.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(counts, [0, 0, 109, 9_891, 0], "a hundred at once and one more a second");
    assert_eq!(passwords.check(&users, "alice", &password("secret"), client(2)), Outcome::Right);
    for number in 0..300 {
        let user = format!("user{number}");
        let outcome = passwords.check(&users, &user, &password("wrong"), client(10 + number));
        assert_eq!(outcome, Outcome::Wrong);
    }
    let inner = passwords.lock();
    assert_eq!((inner.throttle.slots(), inner.queue.len()), (5 * SLOTS, 0));
    assert_eq!(inner.memory.sizes(), (1, 2), "of wrong passwords nothing is kept");
}

/// Many threads at once: no check is lost, no more than two run together, and the same is checked once.
#[test]
fn many_at_once_are_all_answered() {
    let (passwords, _) = at(2);
    let users = users(&[("alice", "secret"), ("bob", "other")]);
    let tallies: Vec<Outcome> = std::thread::scope(|scope| {
        let ask = |number: u32| {
            let (passwords, users) = (&passwords, &users);
            scope.spawn(move || {
                let (user, text) =
                    if number.is_multiple_of(2) { ("alice", "secret") } else { ("bob", "wrong") };
                passwords.check(users, user, &password(text), client(number % 7))
            })
        };
        let threads: Vec<_> = (0..60).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |label| tallies.iter().filter(|outcome| outcome.label() == label).count();
    assert_eq!((count("right") + count("remembered"), count("wrong")), (30, 30), "{tallies:?}");
    assert!(passwords.lock().queue.len() == 0);
}

#[test]
fn a_check_that_ends_in_a_panic_leaves_no_one_waiting() {
    let (passwords, _) = at(1);
    let mut inner = passwords.lock();
    let keys = inner.throttle.keys(client(1), "alice");
    let Entered::Leads(id) = inner.queue.enter([1; 32], client(1), false) else { panic!() };
    let Entered::Joined(same) = inner.queue.enter([1; 32], client(2), false) else { panic!() };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        passwords.lead(inner, id, ([1; 32], [[2; 32]; 2], keys), || panic!("as the test asked"))
    }));
    assert!(ended.is_err());
    assert_eq!(passwords.follow(passwords.lock(), same, [[3; 32]; 2]), Outcome::Busy);
    let users = users(&[("alice", "secret")]);
    assert_eq!(passwords.check(&users, "alice", &password("secret"), client(1)), Outcome::Right);
}
