//! Wrong passwords and where they come from, through the real binary.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_collect, reason = "a test's way to fail")]
#![cfg(feature = "passwords")]

mod common;

use common::{FORM, Folder, JSON, Server, basic, line, run_with_input, serve, stderr, stdout};
use std::time::Instant;

const CONFIG: &str = "
issuer: registry.example.com
audience: registry.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
users_file: users.htpasswd
service: {host: 127.0.0.1, port: 0, forwarded_by: [127.0.0.1]}
";
const POLICY: &str = "users: {alice: {repos: [app], actions: [pull]}}\n";

/// Users of these names, whose passwords are "NAME's secret", at bcrypt's least cost.
fn folder(config: &str, users: &[&str]) -> Folder {
    let folder = common::folder(config, POLICY);
    let user = |name: &&str| {
        let arguments = ["hash-password", "--user", name, "--cost", "4"];
        let output = run_with_input(&folder, &arguments, &format!("{name}'s secret"));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    folder.write("users.htpasswd", &users.iter().map(user).collect::<String>());
    folder
}

/// A guess by its number: from where, and the number of another name.
type Attack = fn(usize) -> (String, Option<usize>);

fn ask(server: &Server, from: &str, user: &str, password: &str) -> u16 {
    let login = basic(user, password);
    server.get("/v2/token", &[("X-Forwarded-For", from), ("Authorization", &login)]).status
}

fn right(server: &Server, from: &str, user: &str) -> u16 {
    ask(server, from, user, &format!("{user}'s secret"))
}

/// A proxy that says for whom it passes a request on is not one that says who the user is.
#[test]
fn a_forwarder_is_believed_for_the_client_s_address_alone() {
    let folder = folder(CONFIG, &["alice"]);
    let server = serve(&folder);
    let named = [("X-Authenticated-User", "alice"), ("X-Forwarded-For", "10.0.0.1")];
    assert_eq!(server.get("/v2/token", &named).status, 401);
    assert_eq!(server.post("/auth", &[&[JSON][..], &named].concat(), "{}").status, 401);
    for number in 0..25 {
        let status = ask(&server, "10.0.0.1", "alice", &format!("wrong{number}"));
        assert_eq!(status, if number < 20 { 401 } else { 429 }, "{number}");
    }
    assert_eq!(right(&server, "10.0.0.2", "alice"), 200, "from elsewhere");
    let login = basic("alice", "alice's secret");
    let two = [("X-Forwarded-For", "10.0.0.3"), ("Forwarded", "for=10.0.0.4"), ("Authorization", &login)];
    assert_eq!(server.get("/v2/token", &two).status, 200);
    let (_, log) = server.stop("TERM");
    for part in [
        "level=warning event=request peer=127.0.0.1 client=10.0.0.1 ",
        "level=info event=request peer=127.0.0.1 client=10.0.0.2 ",
        " peer=127.0.0.1 client=10.0.0.2 asked=", // the token's line
        "level=info event=request peer=127.0.0.1 client=127.0.0.1 ",
        "forwarded=\"X-Forwarded-For and Forwarded name two clients: the peer counts as the client\"",
    ] {
        assert!(log.contains(part), "{part}\n{log}");
    }
    assert!(!log.contains("event=warning"), "{log}");
}

/// What the manual promises: of names that exist, of one that logged in from the same address, and of names
/// that do not exist, a guesser sees the same statuses in the same order.
#[test]
fn a_guesser_learns_no_name() {
    let folder = folder(CONFIG, &["alice", "bob"]);
    // From one address against one name; against many, so that the address is slowed; from ten addresses.
    let attacks: [Attack; 3] = [
        |_| ("10.0.0.1".into(), None),
        |number| ("10.0.0.1".into(), Some(number).filter(|number| number % 2 == 0)),
        |number| (format!("10.0.0.{}", number % 10), None),
    ];
    for attack in attacks {
        let statuses = |name: &str, logged_in: bool| -> (Vec<u16>, f64) {
            let server = serve(&folder);
            if logged_in {
                assert_eq!(right(&server, "10.0.0.1", name), 200);
            }
            let started = Instant::now();
            let guess = |number| {
                let (from, other) = attack(number);
                let name = other.map_or(name.to_owned(), |other| format!("nobody{other}"));
                ask(&server, &from, &name, &format!("wrong{number}"))
            };
            let statuses = (0..240).map(guess).collect();
            (statuses, started.elapsed().as_secs_f64())
        };
        let (unknown, time) = statuses("mallory", false);
        assert!(unknown.starts_with(&[401; 20]) && unknown.ends_with(&[429]), "{unknown:?}");
        for (name, logged_in) in [("bob", false), ("alice", true)] {
            let (known, more_time) = statuses(name, logged_in);
            let different = known.iter().zip(&unknown).filter(|(one, other)| one != other).count();
            // Each second lets one more through, which need not be the same one.
            let seconds = time + more_time;
            assert!(
                f64::from(u32::try_from(different).unwrap()) <= 2.0 * seconds,
                "{seconds} s: {known:?}\n{unknown:?}"
            );
        }
    }
}

#[test]
fn strangers_lock_nobody_out_of_where_they_logged_in() {
    let folder = folder(CONFIG, &["alice", "bob"]);
    let server = serve(&folder);
    assert_eq!(right(&server, "10.0.0.1", "alice"), 200);
    for number in 0..130 {
        ask(&server, &format!("10.0.2.{number}"), "alice", "wrong");
        ask(&server, "10.0.0.1", &format!("nobody{number}"), "wrong");
    }
    assert_eq!(ask(&server, "10.0.3.1", "alice", "wrong"), 429);
    assert_eq!(ask(&server, "10.0.0.1", "bob", "wrong"), 429);
    assert_eq!(right(&server, "10.0.0.1", "alice"), 200);
    assert_eq!(ask(&server, "10.0.0.1", "alice", "wrong"), 429, "as any other name there");
}

#[test]
fn many_clients_of_one_proxy_are_told_of_once() {
    let plain = CONFIG.replace(", forwarded_by: [127.0.0.1]", "");
    let folder = folder(&plain, &["alice"]);
    let said = "all who log in through a proxy on this host share its address";
    let checked = |config: &str| {
        folder.write("config.yaml", config);
        let output = line(&folder, "check --config config.yaml --policy policy.yaml");
        let doctor = line(&folder, "doctor --config config.yaml --policy policy.yaml");
        (stdout(&output).contains(said), stdout(&doctor).contains(said))
    };
    for (config, warned) in [
        (CONFIG.to_owned(), false),
        (plain.replace("port: 0", "port: 0, trusted_proxies: [127.0.0.1]"), false),
        (plain.replace("audience: registry.example.com", "audience: localhost:5000"), false),
        (plain.replace("127.0.0.1", "0.0.0.0"), false),
        (plain.replace("host: 127.0.0.1, port: 0", "host: \"unix:/tmp/x\""), true),
        (plain.replace("host: 127.0.0.1, port: 0", "host: \"unix:/tmp/x\", forwarded_by: [unix]"), false),
        (plain.clone(), true),
    ] {
        assert_eq!(checked(&config), (warned, warned), "{config}");
    }
    // Where a proxy says for whom it passes logins on and is not heard, or where one address is slowed.
    let login = basic("alice", "alice's secret");
    for by_header in [true, false] {
        let server = serve(&folder);
        assert_eq!(server.get("/v2/token", &[("Authorization", &login)]).status, 200);
        assert!(!server.log().contains("event=warning"), "{}", server.log());
        for number in 0..25 {
            if by_header {
                right(&server, "10.0.0.1", "alice");
            } else {
                let form = format!("grant_type=password&username=bob&password=wrong{number}");
                server.post("/v2/token", &[FORM], &form);
            }
        }
        let (_, log) = server.stop("TERM");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("event=warning")).collect();
        assert!(lines.len() == 1 && lines[0].contains(said), "{log}");
        assert!(lines[0].contains("level=warning") && lines[0].contains("forwarded_by"), "{log}");
    }
}

/// The form's other parameters are not looked at before the password is.
#[test]
fn who_asks_is_settled_before_what_is_asked() {
    let folder = folder(CONFIG, &["alice"]);
    let server = serve(&folder);
    let letters = |digits: &String| digits.bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let actions: Vec<String> = (10_000..26_000).map(|number: u32| letters(&number.to_string())).collect();
    let many: String =
        actions.chunks(160).take(64).map(|some| format!("&scope=repository:a:{}", some.join(","))).collect();
    let form = |password: &str, more: &str| {
        let body = format!("grant_type=password&username=alice&password={password}{more}");
        assert!(body.len() <= 64 * 1024);
        let answer = server.post("/v2/token", &[FORM], &body);
        (answer.status, answer.code())
    };
    let invalid = || (400, "INVALID_SCOPE".to_owned());
    let wrong = || (401, "UNAUTHORIZED".to_owned());
    for more in [many.as_str(), "&scope=nonsense", "&service=evil.example"] {
        assert_eq!(form("wrong", more), wrong(), "{}", &more[..20]);
    }
    assert_eq!(form("alice%27s+secret", &many), invalid());
    let query = "/v2/token?scope=nonsense&x=%zz";
    assert_eq!(server.get(query, &[("Authorization", &basic("alice", "wrong"))]).status, 401);
    assert_eq!(server.get(query, &[("Authorization", &basic("alice", "alice's secret"))]).status, 400);
    assert_eq!(server.get(query, &[]).status, 401);
}
