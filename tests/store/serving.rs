//! `serve` with a store.

use crate::common::{Answer, FORM, Folder, Killed, done, keypebble, line, metric, serve, until};
use crate::files::CONFIG;
use crate::rules::entry;
use keypebble::ground::time::UnixTime;
use keypebble::store::config::{Place, StoreConfig};
use keypebble::store::entry::{Event, EventFilter, EventKind, Filter, Listed, Revocation, Target};
use keypebble::store::{self, Store};
use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const POLICY: &str = "users:\n  alice:\n    rules:\n      - {repos: ['a/**'], actions: [pull, push]}\n";
const TARGET: &str = "/v2/token?client_id=docker&scope=repository:a/b:pull,delete";
const ALICE: (&str, &str) = ("X-Authenticated-User", "alice");

fn folder(more: &str) -> Folder {
    let folder = Folder::with(&[("config.yaml", &format!("{CONFIG}{more}")), ("policy.yaml", POLICY)]);
    done(&folder, "store init --config config.yaml");
    folder
}

fn config(folder: &Folder) -> StoreConfig {
    StoreConfig { place: Place::Sqlite(folder.join("store.db")), required: false, keep_days: 90 }
}

fn open(folder: &Folder) -> Store {
    Store::open(&config(folder), Box::new(|notice| panic!("{notice:?}"))).unwrap()
}

fn tokens(store: &Store) -> Vec<Listed> {
    store.list(&Filter { limit: 100_000, ..Filter::default() }).unwrap()
}

fn events(store: &Store, kind: EventKind) -> Vec<Event> {
    store.events(&EventFilter { kind: Some(kind), limit: 9, ..EventFilter::default() }).unwrap()
}

#[test]
fn what_finds_no_room_is_counted_and_told_when_the_store_is_back() {
    let folder = folder("");
    let other = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = Store::open(&config(&folder), Box::new(|_| ())).unwrap();
    for number in 0..20_000 {
        store.remember(vec![entry(&number.to_string(), "alice")]).unwrap();
    }
    let dropped = store.counters().read().dropped;
    assert!((2000..=20_000 - 16_384).contains(&dropped), "{dropped}");
    let long = keypebble::store::entry::Entry { granted: "x".repeat(40 << 20), ..entry("long", "alice") };
    store.remember(vec![long]).unwrap();
    assert_eq!(store.counters().read().dropped, dropped + 1);
    other.execute_batch("ROLLBACK").unwrap();
    until("all else is written", || store.queued() == 0);
    assert_eq!(store::check(&config(&folder)).unwrap().tokens, 20_000 - dropped);
    let told = events(&store, EventKind::Dropped);
    assert_eq!(told[0].detail, format!("{} records are lost", dropped + 1));
}

/// The `jti` of the token in an answer.
fn id(answer: &Answer) -> String {
    answer.claims()["jti"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_recorded_with_who_what_and_by_which_rule() {
    let folder = folder("");
    let server = serve(&folder);
    let id = id(&server.get(TARGET, &[ALICE]));
    let store = open(&folder);
    until("it is written", || !tokens(&store).is_empty());
    let found = tokens(&store).remove(0).entry;
    let digest = crate::common::output("sha256sum", &[], POLICY);
    let digest = std::str::from_utf8(&digest).unwrap();
    let expected = keypebble::store::entry::Entry {
        id,
        granted: "repository:a/b:pull".to_owned(),
        issued_at: found.issued_at,
        expires_at: UnixTime(found.issued_at.0 + 3600),
        key_id: None,
        peer: "127.0.0.1".to_owned(),
        address: "127.0.0.1".to_owned(),
        policy: Some(digest[..16].to_owned()),
        rules: "users.alice.rules[0] (pattern a/**)".to_owned(),
        ..entry("", "alice")
    };
    assert_eq!(found, expected);
    until("the policy is noted", || !events(&store, EventKind::Policy).is_empty());
    assert_eq!(events(&store, EventKind::Policy)[0].detail, digest[..64]);
    for (name, count) in [
        ("keypebble_store_written_total", 1),
        ("keypebble_store_dropped_total", 0),
        ("keypebble_store_failures_total", 0),
        ("keypebble_store_rows", 1),
        ("keypebble_store_queue", 0),
    ] {
        assert_eq!(metric(&server, name), count, "{name}");
    }
    assert!(metric(&server, "keypebble_store_success_time_seconds") > 1_700_000_000);
    assert!(metric(&server, "keypebble_store_commit_seconds_count") > 0);
}

#[test]
fn a_required_store_that_is_away_is_503_until_it_is_back() {
    for required in [true, false] {
        let folder = folder(&format!("store_required: {required}\n"));
        let server = serve(&folder);
        assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
        let other = rusqlite::Connection::open(folder.join("store.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let answer = server.get(TARGET, &[ALICE]);
        if required {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
            assert_eq!(answer.json()["errors"][0]["code"], "UNAVAILABLE");
            assert!(!answer.body.contains("token\""), "{answer:?}");
            until("it is said", || server.log().contains("\"what\":\"down\""));
            // What nobody got was not issued.
            assert_eq!(
                metric(&server, "keypebble_tokens_issued_total{route=\"v2_token\",algorithm=\"HS256\"}"),
                1
            );
            assert_eq!(server.log().matches("\"event\":\"token\"").count(), 1, "{}", server.log());
            // Whoever comes now need not wait for the lock.
            let began = std::time::Instant::now();
            assert_eq!(server.get(TARGET, &[ALICE]).status, 503);
            assert!(began.elapsed() < std::time::Duration::from_secs(1));
        } else {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        other.execute_batch("ROLLBACK").unwrap();
        until("it is back", || server.get(TARGET, &[ALICE]).status == 200);
        let (code, log) = server.stop("TERM");
        assert_eq!(code, Some(0), "{log}");
        // What was not required and waited was written when the lock was free.
        let kept = tokens(&open(&folder)).len();
        assert!(kept >= if required { 2 } else { 3 }, "{kept}");
    }
}

#[test]
fn a_revoked_refresh_token_is_refused_and_its_use_is_an_event() {
    let folder = folder("users_file: users\nrefresh_ttl_seconds: 1000\n");
    let hash =
        crate::common::run_with_input(&folder, &["hash-password", "--user", "alice", "--cost", "4"], "pw");
    folder.write("users", &crate::common::stdout(&hash));
    let server = serve(&folder);
    let post = |form: &str| server.post("/v2/token", &[FORM], form);
    let login = post("grant_type=password&username=alice&password=pw&access_type=offline&client_id=docker");
    let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:a/b:pull");
    let first = id(&post(&form));
    let store = open(&folder);
    until("all are written", || tokens(&store).len() == 3);
    let all = tokens(&store);
    let of = |profile: &str| all.iter().find(|token| token.entry.profile == profile).unwrap();
    let login = &of("refresh").entry;
    assert_eq!((login.login.as_ref(), login.audience.as_str()), (Some(&login.id), "registry.example.com"));
    let from_it = all.iter().find(|token| token.entry.id == first).unwrap();
    assert_eq!(from_it.entry.login, login.login);
    let now = UnixTime::now();
    let target = Target::Token { id: login.id.clone(), expires_at: login.expires_at };
    let revocation = Revocation { target, before: now, at: now, actor: "test".to_owned() };
    store.revoke(&revocation).unwrap();
    assert_eq!(
        store.ended(&revocation).unwrap().tokens,
        3,
        "itself, what was given with it, and what came from it"
    );
    let answer = post(&form);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("invalid_grant")), "{answer:?}");
    until("it is noted", || !events(&store, EventKind::RevokedTokenUsed).is_empty());
    let event = &events(&store, EventKind::RevokedTokenUsed)[0];
    assert_eq!((event.token.as_ref(), event.subject.as_deref()), (Some(&login.id), Some("alice")));
    assert_eq!(event.actor.as_deref(), Some("127.0.0.1"));
    // Whoever has a token that is worth nothing does not fill the store with it.
    let began = std::time::Instant::now();
    let uses = 200;
    (0..uses).for_each(|_| assert_eq!(post(&form).status, 401));
    let most = 10 * (began.elapsed().as_secs() + 2);
    until("what was left is written", || metric(&server, "keypebble_store_queue") == 0);
    let all = EventFilter { kind: Some(EventKind::RevokedTokenUsed), limit: 1000, ..EventFilter::default() };
    let noted = store.events(&all).unwrap().len() as u64;
    assert!((10..=most).contains(&noted), "{noted} of {uses}, at most {most}");
    // All of the user, issued until now: a new login stands from the next second on.
    let target = Target::User("alice".to_owned());
    store.revoke(&Revocation { target, before: now, at: now, actor: "test".to_owned() }).unwrap();
}

#[test]
fn every_token_that_a_client_has_is_in_a_required_store_after_a_kill() {
    kills(3);
}

#[test]
#[ignore = "takes minutes: see .ci/run"]
fn every_token_that_a_client_has_is_in_a_required_store_after_a_hundred_kills() {
    kills(100);
}

/// So many servers are killed while eight clients ask for tokens.
fn kills(rounds: usize) {
    let folder = folder("store_required: true\n");
    let had = Mutex::new(HashSet::new());
    for _ in 0..rounds {
        let server = serve(&folder);
        let over = AtomicBool::new(false);
        let enough = had.lock().unwrap().len() + 40;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let Some(token) = whole_token(server.port()) else { return };
                        had.lock().unwrap().insert(token);
                    }
                });
            }
            until("there are some more", || had.lock().unwrap().len() >= enough);
            server.signal("KILL");
            over.store(true, Ordering::Relaxed);
        });
        drop(server);
    }
    let checked = done(&folder, "store check --config config.yaml");
    assert!(checked.contains("sound"), "{checked}");
    let kept: HashSet<String> = tokens(&open(&folder)).into_iter().map(|token| token.entry.id).collect();
    let had = had.into_inner().unwrap();
    let lost: Vec<&String> = had.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {}: {lost:?}", lost.len(), had.len());
}

/// The id of a token, from an answer that came whole; `None` where the server is gone.
fn whole_token(port: u16) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!(
        "GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}: {}\r\n\r\n",
        ALICE.0, ALICE.1
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["claims"]["jti"].as_str().map(str::to_owned)
}

#[test]
fn a_restored_backup_is_taken_up_and_a_file_that_is_gone_is_said() {
    let folder = folder("store_required: true\n");
    let server = serve(&folder);
    assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
    done(&folder, "store backup --config config.yaml b.db");
    assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
    // Beside the old file's log, the new one would be spoilt.
    std::fs::copy(folder.join("b.db"), folder.join("c.db")).unwrap();
    std::fs::rename(folder.join("c.db"), folder.join("store.db")).unwrap();
    assert_eq!(server.get(TARGET, &[ALICE]).status, 503);
    until("it is said", || server.log().contains("beside the old one's log"));
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    until("that is found", || {
        server.get("/metrics", &[]).body.contains("store_failures_total")
            && server.get(TARGET, &[ALICE]).status == 503
    });
    let answer = server.get(TARGET, &[ALICE]);
    assert_eq!(answer.status, 503, "{answer:?}");
    std::fs::rename(folder.join("b.db"), folder.join("store.db")).unwrap();
    until("it is taken up", || server.get(TARGET, &[ALICE]).status == 200);
    assert_eq!(tokens(&open(&folder)).len(), 2);
}

#[test]
fn a_change_of_the_store_needs_a_restart_and_a_change_of_the_policy_is_noted() {
    let folder = folder("");
    let server = serve(&folder);
    folder.write("policy.yaml", &POLICY.replace("a/**", "c/**"));
    folder.write("config.yaml", &format!("{CONFIG}store_keep_days: 7\n"));
    server.signal("HUP");
    until("it is said", || server.log().contains("\"restart_needed_for\":\"store\""));
    let store = open(&folder);
    until("both policies are noted", || events(&store, EventKind::Policy).len() == 2);
}

#[test]
#[ignore = "needs root, to mount a disk that is full soon: see .ci/run"]
fn a_full_disk_is_said_and_what_was_written_stays() {
    let folder = folder("store_required: true\n");
    let port = crate::common::free_port();
    folder.write("config.yaml", &CONFIG.replace("port: 0", &format!("port: {port}")));
    let text = folder.read("config.yaml").replace("sqlite:store.db", "sqlite:disk/store.db");
    folder.write("config.yaml", &format!("{text}store_required: true\n"));
    std::fs::create_dir(folder.join("disk")).unwrap();
    // The mount is the child's alone, and goes with it.
    let script = "mount -t tmpfs -o size=400k tmpfs disk && \"$0\" store init --config config.yaml && \
        { \"$0\" serve --config config.yaml --policy policy.yaml 2>log; } & server=$!; \
        read line; kill -TERM $(cat pid 2>/dev/null || pgrep -P $server); wait $server; \
        \"$0\" store check --config config.yaml";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(keypebble().get_program()).current_dir(folder.path());
    let mut child = Killed(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut taken = 0;
    while whole_token_or_503(port) {
        taken += 1;
        assert!(taken < 100_000, "the disk is never full");
    }
    assert!(taken > 10, "{taken}");
    let log = folder.read("log");
    assert!(log.contains("the disk is full"), "{log}");
    drop(child.0.stdin.take());
}

/// Whether a token was given; else it must be 503.
fn whole_token_or_503(port: u16) -> bool {
    let answer = crate::common::exchange(crate::common::connect(port), "GET", TARGET, &[ALICE], None);
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

#[test]
fn commands_that_make_the_same_store_at_once_make_one() {
    for _ in 0..10 {
        let folder = Folder::with(&[("config.yaml", CONFIG)]);
        let outputs: Vec<_> = std::thread::scope(|scope| {
            let run = || line(&folder, "store init --config config.yaml");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for output in &outputs {
            assert!(output.status.success(), "{output:?}");
        }
        let made = outputs.iter().filter(|output| crate::common::stdout(output).starts_with("made")).count();
        assert_eq!(made, 1);
        assert_eq!(store::examine(&config(&folder)).unwrap().tokens, 0);
    }
}
