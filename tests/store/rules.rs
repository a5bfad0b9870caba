//! What holds for every store, whichever engine is under it.

use crate::cluster::Cluster;
use crate::common::Folder;
use crate::{in_file, on_server};
use keypebble::ground::time::UnixTime;
use keypebble::store::config::StoreConfig;
use keypebble::store::entry::{
    Ended, Entry, Event, EventFilter, EventKind, Filter, Known, Revocation, Sought, Target,
};
use keypebble::store::{self, Prepared, Store};

const NOW: UnixTime = UnixTime(1_900_000_000);
const END: UnixTime = UnixTime(NOW.0 + 300);

/// A rule, and what shows it in a store that is not made yet.
type Rule = (&'static str, fn(&StoreConfig));

const RULES: [Rule; 12] = [
    ("init makes a store once", init_makes_a_store_once),
    ("what is remembered is known until it expires", what_is_remembered_is_known_until_it_expires),
    ("a token is revoked alone", a_token_is_revoked_alone),
    ("a refresh token takes its login with it", a_refresh_token_takes_its_login_with_it),
    ("a cutoff ends what was issued before it", a_cutoff_ends_what_was_issued_before_it),
    ("lists are filtered and paged", lists_are_filtered_and_paged),
    ("every text comes back as it was", every_text_comes_back_as_it_was),
    ("events are told in order", events_are_told_in_order),
    ("what has outlived its time leaves", what_has_outlived_its_time_leaves),
    ("the policy in force stays", the_policy_in_force_stays),
    ("a login ends though its refresh token is not recorded", a_login_ends_though_it_is_not_recorded),
    ("a record that is refused costs no other", a_record_that_is_refused_costs_no_other),
];

#[test]
fn every_rule_holds_in_a_file() {
    for required in [false, true] {
        for (name, rule) in RULES {
            println!("{name}, required: {required}");
            let folder = Folder::new();
            rule(&in_file(&folder, required));
        }
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn every_rule_holds_on_a_server() {
    let cluster = Cluster::start("scram-sha-256");
    for required in [false, true] {
        for (at, (name, rule)) in RULES.iter().enumerate() {
            println!("{name}, required: {required}");
            let database = format!("rule{at}{required}");
            cluster.database(&database);
            rule(&on_server(&cluster.socket_url(&database), required));
        }
    }
}

fn open(config: &StoreConfig) -> Store {
    Store::open(config, Box::new(|notice| panic!("{notice:?}"))).unwrap()
}

fn made(config: &StoreConfig) -> Store {
    store::init(config).unwrap();
    open(config)
}

pub fn entry(id: &str, subject: &str) -> Entry {
    Entry {
        id: id.to_owned(),
        profile: "registry".to_owned(),
        subject: subject.to_owned(),
        audience: "registry.example.com".to_owned(),
        granted: "repository:a/b:pull,push".to_owned(),
        issued_at: NOW,
        expires_at: END,
        key_id: Some("k1".to_owned()),
        client: Some("docker".to_owned()),
        ..Entry::default()
    }
}

fn later(id: &str, subject: &str) -> Entry {
    Entry { issued_at: UnixTime(NOW.0 + 1), ..entry(id, subject) }
}

/// What is known of a token that is like `entry`.
fn state(store: &Store, token: &Entry) -> &'static str {
    let sought = Sought {
        id: &token.id,
        subject: &token.subject,
        key_id: token.key_id.as_deref(),
        issued_at: token.issued_at,
    };
    match store.look(&sought, NOW).unwrap() {
        Known::Active(_) => "active",
        Known::Revoked(Some(_), _) => "revoked",
        Known::Revoked(None, _) => "revoked unseen",
        Known::Expired(_) => "expired",
        Known::Unknown => "unknown",
    }
}

fn revoke(store: &Store, target: Target) -> Ended {
    let revocation = Revocation { target, before: NOW, at: NOW, actor: "test".to_owned() };
    store.revoke(&revocation).unwrap();
    store.ended(&revocation).unwrap()
}

fn token(id: &str) -> Target {
    Target::Token { id: id.to_owned(), expires_at: END }
}

fn ids(store: &Store, filter: &Filter) -> Vec<String> {
    store.flush().unwrap();
    store.list(filter).unwrap().into_iter().map(|listed| listed.entry.id).collect()
}

fn init_makes_a_store_once(config: &StoreConfig) {
    assert!(store::check(config).is_err());
    assert!(Store::open(config, Box::new(|_| ())).is_err_and(|fault| fault.lasting));
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| store::init(config));
        [store::init(config).unwrap(), other.join().unwrap().unwrap()]
    });
    assert!(both.contains(&Prepared::Created) && both.contains(&Prepared::Unchanged), "{both:?}");
    assert_eq!(store::init(config), Ok(Prepared::Unchanged));
    assert_eq!(store::examine(config).unwrap().tokens, 0);
}

fn what_is_remembered_is_known_until_it_expires(config: &StoreConfig) {
    let store = made(config);
    let a = entry("a", "alice");
    let expired = Entry { expires_at: NOW, ..entry("old", "alice") };
    store.remember(vec![a.clone(), expired.clone()]).unwrap();
    // A transaction whose end was not seen is written again.
    store.commit(vec![a.clone()]).unwrap();
    for (token, known) in [(&a, "active"), (&expired, "expired"), (&entry("x", "alice"), "unknown")] {
        assert_eq!(state(&store, token), known, "{}", token.id);
    }
    drop(store);
    assert_eq!(store::check(config).unwrap().tokens, 2);
    assert_eq!(state(&open(config), &a), "active");
}

fn a_token_is_revoked_alone(config: &StoreConfig) {
    let store = made(config);
    store.remember(vec![entry("a", "alice"), entry("b", "alice")]).unwrap();
    let ended = Ended { tokens: 1, latest: Some(END) };
    assert_eq!(revoke(&store, token("a")), ended);
    assert_eq!(revoke(&store, token("never seen")).tokens, 0);
    for (id, known) in [("a", "revoked"), ("b", "active"), ("never seen", "revoked unseen")] {
        assert_eq!(state(&store, &entry(id, "alice")), known, "{id}");
        assert_eq!(state(&open(config), &entry(id, "alice")), known, "{id}, elsewhere");
    }
}

fn a_refresh_token_takes_its_login_with_it(config: &StoreConfig) {
    let store = made(config);
    let refresh = |id: &str, login: &str| Entry {
        profile: "refresh".to_owned(),
        login: Some(login.to_owned()),
        ..entry(id, "alice")
    };
    let from = |id: &str, login: &str| Entry { login: Some(login.to_owned()), ..entry(id, "alice") };
    store
        .remember(vec![
            refresh("r1", "r1"),
            from("a1", "r1"),
            refresh("r1-again", "r1"),
            refresh("r2", "r2"),
            from("a2", "r2"),
            refresh("r3", "r3"),
            entry("a", "alice"),
        ])
        .unwrap();
    assert_eq!(revoke(&store, token("r3")), Ended { tokens: 1, latest: None }, "no registry takes it");
    // An access token takes nothing with it.
    revoke(&store, token("a2"));
    assert_eq!(state(&store, &entry("r2", "alice")), "active");
    // Any refresh token of a login ends all of it, also what is issued from it later.
    revoke(&store, token("r1-again"));
    store.remember(vec![from("a3", "r1")]).unwrap();
    for (id, known) in
        [("r1", "revoked"), ("a1", "revoked"), ("r1-again", "revoked"), ("a3", "revoked"), ("a", "active")]
    {
        assert_eq!(state(&store, &entry(id, "alice")), known, "{id}");
    }
}

fn a_cutoff_ends_what_was_issued_before_it(config: &StoreConfig) {
    let store = made(config);
    let other_key = Entry { key_id: Some("k2".to_owned()), client: None, ..entry("c2", "carol") };
    store.remember(vec![entry("a1", "alice"), entry("b1", "bob"), later("b2", "bob"), other_key]).unwrap();
    assert_eq!(revoke(&store, Target::User("bob".to_owned())).tokens, 1);
    // An earlier cutoff does not take a later one back.
    let target = Target::User("bob".to_owned());
    let early = UnixTime(NOW.0 - 100);
    store.revoke(&Revocation { target, before: early, at: early, actor: "test".to_owned() }).unwrap();
    for (token, known) in [
        (entry("b1", "bob"), "revoked"),
        (entry("b0", "bob"), "revoked unseen"),
        (later("b2", "bob"), "active"),
        (later("b3", "bob"), "unknown"),
        (entry("a1", "alice"), "active"),
    ] {
        assert_eq!(state(&store, &token), known, "{}", token.id);
    }
    assert_eq!(revoke(&store, Target::Client("docker".to_owned())).tokens, 2);
    assert_eq!(state(&store, &entry("a1", "alice")), "revoked");
    assert_eq!(state(&store, &entry("c2", "carol")), "active");
    assert_eq!(revoke(&store, Target::Key("k2".to_owned())).tokens, 1);
    assert_eq!(state(&store, &entry("c2", "carol")), "revoked");
}

fn lists_are_filtered_and_paged(config: &StoreConfig) {
    let store = made(config);
    let granted = |id: &str, granted: &str| Entry { granted: granted.to_owned(), ..entry(id, "alice") };
    store.remember(vec![entry("1", "alice"), later("2", "bob")]).unwrap();
    store.remember(vec![granted("3", "repository:a/b/c:pull repository:x:pull")]).unwrap();
    store.remember(vec![granted("4", "repository:x:pull,push"), granted("5", "")]).unwrap();
    let all = Filter { limit: 10, ..Filter::default() };
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all.clone(), "5 4 3 2 1"),
        (Filter { subject: some("bob"), ..all.clone() }, "2"),
        (Filter { subject: some("bo%"), ..all.clone() }, ""),
        (Filter { id: some("3"), ..all.clone() }, "3"),
        (Filter { repository: some("a/b"), ..all.clone() }, "2 1"),
        (Filter { repository: some("x"), ..all.clone() }, "4 3"),
        (Filter { repository: some("x"), action: some("push"), ..all.clone() }, "4"),
        (Filter { issued_from: Some(UnixTime(NOW.0 + 1)), ..all.clone() }, "2"),
        (Filter { issued_until: Some(NOW), ..all.clone() }, "5 4 3 1"),
        (Filter { expires_after: Some(END), ..all.clone() }, ""),
        (
            Filter { key_id: some("k1"), client: some("docker"), profile: some("registry"), ..all.clone() },
            "5 4 3 2 1",
        ),
        (Filter { key_id: some("k2"), ..all.clone() }, ""),
        (Filter { limit: 2, ..all.clone() }, "5 4"),
    ] {
        assert_eq!(ids(&store, &filter).join(" "), expected, "{filter:?}");
    }
    let mut page = Filter { limit: 2, subject: some("alice"), ..Filter::default() };
    let mut pages = Vec::new();
    loop {
        let found = store.list(&page).unwrap();
        let Some(last) = found.last() else { break };
        page.before = Some(last.number);
        pages.push(found.len());
    }
    assert_eq!(pages, [2, 2]);
    revoke(&store, token("5"));
    let found = store.list(&all).unwrap();
    assert_eq!((found[0].revoked_at, found[1].revoked_at), (Some(NOW), None));
}

fn every_text_comes_back_as_it_was(config: &StoreConfig) {
    let store = made(config);
    let strange = Entry {
        subject: "'; DROP TABLE token; -- \u{1b}\u{202e} \u{1f600} \\ \" % _".to_owned(),
        audience: String::new(),
        granted: "x".repeat(100_000),
        key_id: None,
        client: Some(String::new()),
        policy: Some("p".to_owned()),
        rules: "users.alice.rules[0] (pattern a/*); groups.dev".to_owned(),
        ..entry("a", "")
    };
    store.commit(vec![strange.clone()]).unwrap();
    // PostgreSQL's text has no zero byte.
    store.commit(vec![entry("zero", "a\0b")]).unwrap();
    let found = store.list(&Filter { limit: 2, ..Filter::default() }).unwrap();
    assert!(["a\0b", "a\u{fffd}b"].contains(&&*found[0].entry.subject));
    assert_eq!(found[1].entry, strange);
}

fn events_are_told_in_order(config: &StoreConfig) {
    let store = made(config);
    revoke(&store, token("a"));
    revoke(&store, Target::User("bob".to_owned()));
    store.note(Event::policy(UnixTime(NOW.0 + 5), "digest"));
    store.flush().unwrap();
    let all = EventFilter { limit: 10, ..EventFilter::default() };
    let told = |filter: &EventFilter| -> Vec<(EventKind, Option<String>)> {
        let events = store.events(filter).unwrap();
        events.into_iter().map(|event| (event.kind, event.subject)).collect()
    };
    let bob = (EventKind::Revoked, Some("bob".to_owned()));
    assert_eq!(told(&all), [(EventKind::Policy, None), bob.clone(), (EventKind::Revoked, None)]);
    assert_eq!(told(&EventFilter { subject: Some("bob".to_owned()), ..all.clone() }), [bob]);
    let policy = EventFilter { kind: Some(EventKind::Policy), until: Some(NOW), ..all.clone() };
    assert_eq!(told(&policy), []);
    assert_eq!(told(&EventFilter { from: Some(UnixTime(NOW.0 + 1)), ..all }), [(EventKind::Policy, None)]);
}

fn what_has_outlived_its_time_leaves(config: &StoreConfig) {
    let store = made(config);
    let day = 86_400;
    let until =
        |id: &str, seconds: i64| Entry { expires_at: UnixTime(NOW.0 + seconds), ..entry(id, "alice") };
    let many: Vec<Entry> = (0..4500).map(|number| until(&format!("old{number}"), -day - 1)).collect();
    store.commit(many).unwrap();
    store.commit(vec![until("kept", -day), until("live", 10)]).unwrap();
    let before = UnixTime(NOW.0 - 2 * day);
    for target in [Target::Token { id: "gone".to_owned(), expires_at: before }, Target::User("u".to_owned())]
    {
        store.revoke(&Revocation { target, before, at: before, actor: "test".to_owned() }).unwrap();
    }
    assert_eq!(store::prune(config, NOW), Ok(4500));
    assert_eq!(store::prune(config, NOW), Ok(0));
    assert_eq!(ids(&store, &Filter { limit: 9, ..Filter::default() }), ["live", "kept"]);
    // A user's cutoff stays: nobody can know how long the last token lives.
    let old = Entry { issued_at: before, ..entry("x", "u") };
    assert_eq!(state(&store, &old), "revoked unseen");
    assert_eq!(state(&store, &entry("gone", "v")), "unknown");
    assert_eq!(store.events(&EventFilter { limit: 9, ..EventFilter::default() }).unwrap(), []);
}

fn the_policy_in_force_stays(config: &StoreConfig) {
    let store = made(config);
    let days = |days: i64| UnixTime(NOW.0 - days * 86_400);
    for (at, digest) in [(days(9), "first"), (days(8), "second"), (days(0), "third")] {
        store.note(Event::policy(at, digest));
    }
    revoke(&store, token("a"));
    assert_eq!(store::prune(config, UnixTime(NOW.0 + 86_400 - 10)), Ok(0));
    let all = EventFilter { kind: Some(EventKind::Policy), limit: 9, ..EventFilter::default() };
    let left: Vec<String> = store.events(&all).unwrap().into_iter().map(|event| event.detail).collect();
    assert_eq!(left, ["third", "second"], "the second was in force when the time began that is kept");
}

fn a_login_ends_though_it_is_not_recorded(config: &StoreConfig) {
    let store = made(config);
    let from = |id: &str| Entry { login: Some("r".to_owned()), ..entry(id, "alice") };
    store.remember(vec![from("a1"), entry("a", "alice")]).unwrap();
    revoke(&store, token("r"));
    store.remember(vec![from("a2")]).unwrap();
    for (id, known) in [("a1", "revoked"), ("a2", "revoked"), ("a", "active"), ("r", "revoked unseen")] {
        assert_eq!(state(&store, &entry(id, "alice")), known, "{id}");
    }
}

fn a_record_that_is_refused_costs_no_other(config: &StoreConfig) {
    let store = made(config);
    // Longer than an index of PostgreSQL takes, and not to be compressed.
    let random = |number: &u32| Some(number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let long = |seed: u32| -> String {
        std::iter::successors(Some(seed), random)
            .take(2000)
            .flat_map(u32::to_be_bytes)
            .map(char::from)
            .collect()
    };
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (store, long) = (&store, &long);
            scope.spawn(move || {
                // Whether it is taken is the engine's affair.
                drop(store.remember(vec![entry(&format!("long{number}"), &long(number))]));
                store.remember(vec![entry(&format!("short{number}"), "alice")]).unwrap();
            });
        }
    });
    store.flush().unwrap();
    for number in 0..20 {
        assert_eq!(state(&store, &entry(&format!("short{number}"), "alice")), "active");
    }
    assert_eq!(store.queued(), 0);
    let found = store.list(&Filter { limit: 100, ..Filter::default() }).unwrap().len() as u64;
    if !config.required {
        assert_eq!(found + store.counters().read().dropped, 40, "what is not there is counted");
    }
}
