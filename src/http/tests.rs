//! The service as a function of requests, with a clock that the test sets.

use super::*;
use crate::config::{Config, LogFormat};
use crate::ground::document::Document;
use serde_json::Value;
use std::cell::Cell;
use std::path::Path;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static IDS: Cell<u32> = const { Cell::new(0) };
}

#[allow(clippy::unnecessary_wraps, reason = "as Sources has it")]
fn next_id() -> Option<String> {
    IDS.set(IDS.get().checked_add(1)?);
    Some(IDS.get().to_string())
}

/// A service whose policy is off, so that who asks gets what is asked.
fn service(more: &str) -> Service {
    let yaml = format!(
        "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\npolicy: none\n\
         service: {{ allowed_services: [b], {more} }}\n"
    );
    let config = Config::read(&Document::parse(Path::new("config.yaml"), yaml).unwrap()).unwrap();
    let service = config.service.clone();
    let state = State::new(Issuer::open(config), Enforcement::Off, None, &service);
    let sources = Sources { clock: || UnixTime(NOW.get()), id: next_id };
    Service::new(state, Log::new(LogFormat::Text), sources)
}

fn token(service: &Service, now: i64, user: &str, query: &str) -> Value {
    NOW.set(now);
    let target = format!("/v2/token?{query}");
    let request = Request {
        method: Method::Get,
        target: &target,
        headers: vec![("X-Authenticated-User", user.as_bytes())],
        body: Body::Absent,
        peer: request::Peer::Ip([127, 0, 0, 1].into()),
    };
    let response = service.handle(&request);
    assert_eq!(response.status, 200);
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn a_token_is_handed_out_again_to_the_same_user_for_the_same_grant() {
    let service = service("token_reuse_seconds: 30");
    let ask = |now, user, query| token(&service, now, user, query);
    let pull = "scope=repository:x:pull";
    let first = ask(1_000, "alice", pull);
    assert_eq!(
        (first["expires_in"].as_i64(), first["issued_at"].as_str()),
        (Some(3600), Some("1970-01-01T00:16:40Z"))
    );
    let again = ask(1_029, "alice", pull);
    assert_eq!(again["token"], first["token"]);
    assert_eq!((again["expires_in"].as_i64(), &again["issued_at"]), (Some(3571), &first["issued_at"]));
    assert_eq!(again["claims"], first["claims"]);
    // Asked in other words, and granted the same.
    assert_eq!(
        ask(1_029, "alice", "service=a&scope=repository:x:pull%20repository:x:pull")["token"],
        first["token"]
    );
    for (now, user, query) in [
        (1_030, "alice", pull),
        (999, "alice", pull),
        (1_010, "bob", pull),
        (1_010, "alice", "scope=repository:x:pull,push"),
        (1_010, "alice", "scope=repository:y:pull"),
        (1_010, "alice", "service=b&scope=repository:x:pull"),
        (1_010, "alice", ""),
    ] {
        assert_ne!(ask(now, user, query)["token"], first["token"], "{now} {user} {query}");
    }
    let metrics = service.metrics.render(0);
    assert!(metrics.contains("keypebble_tokens_reused_total 2\n"), "{metrics}");
    assert!(metrics.contains("keypebble_tokens_issued_total{route=\"v2_token\",algorithm=\"HS256\"} 8\n"));
}

#[test]
fn by_default_every_token_is_new() {
    let service = service("");
    let ask = || token(&service, 1_000, "alice", "scope=repository:x:pull")["token"].clone();
    assert_ne!(ask(), ask());
}
