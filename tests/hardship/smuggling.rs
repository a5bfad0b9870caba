//! Requests that can be read in two ways, by Keypebble alone. `tests/registry` sends the same through nginx.

use super::*;
use common::ambiguous::{AMBIGUOUS, OTHER_USERS, SECOND, VICTIM, answers, users};

/// Whoever is on this host is trusted, also under the name that these requests are for.
fn trusting() -> String {
    format!("{TCP}, hosts: [h]")
}

#[test]
fn an_ambiguous_request_is_refused_once_and_ends_the_connection() {
    assert!(AMBIGUOUS.len() >= 60);
    let server = Server::run(&mut serve(&folder(&trusting())));
    for (name, text) in AMBIGUOUS {
        let answer = server.send(format!("{text}{SECOND}"));
        assert_eq!(answers(&answer), 1, "{name}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{name}: {answer}");
        assert_eq!(users(&answer), [""; 0], "{name}: {answer}");
    }
    for (name, fields) in OTHER_USERS {
        let request = format!("GET /v2/token HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let answer = server.send(&request);
        assert_eq!(answers(&answer), 1, "{name}: {answer}");
        assert!(users(&answer).iter().all(|user| user == "alice"), "{name}: {answer}");
    }
    let (_, log) = server.stop("TERM");
    assert!(!log.contains(&format!("user={VICTIM}")), "{log}");
}

/// The control: were there a way to smuggle it in, this is what would show.
#[test]
fn two_plain_requests_are_two() {
    let server = Server::run(&mut serve(&folder(&trusting())));
    let first = SECOND.replace(VICTIM, "alice");
    let answer = server.send(format!("{first}{SECOND}"));
    assert_eq!(users(&answer), ["alice", VICTIM]);
    let (_, log) = server.stop("TERM");
    assert!(log.contains(&format!("user={VICTIM}")), "{log}");
}
