//! A whole request, from the bytes of its head to the answer. The first byte is who sends it: an even one a
//! trusted proxy, an odd one somebody else. A chunked body is taken as it stands.
//!
//! Whatever is sent, the answer is one that a client knows, and a token says no more than its holder proved.

use super::keys_folder;
use keypebble::config::{Config, LogFormat};
use keypebble::ground::document::Document;
use keypebble::ground::limits::{Limits, MAX_BODY_BYTES};
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::http::handler::Handler;
use keypebble::http::request::{Body, Peer, Request};
use keypebble::http::response::Response;
use keypebble::http::{Service, Sources, State};
use keypebble::login::Logins;
use keypebble::login::refresh::Refresh;
use keypebble::login::users::Users;
use keypebble::policy::{Enforcement, Policy};
use keypebble::server::head::{Framing, Head, head_end};
use keypebble::telemetry::log::Log;
use keypebble::token;
use serde_json::Value;
use std::path::Path;

const CONFIG: &str = "issuer: i\naudience: registry.example.com\nhs256_secret: 0123456789abcdef0123456789abcdef\n\
                      profiles: [command, kubernetes]\ncommand_targets: [edge-*]\n\
                      claim_mapping: { edge: $.query.edge, site: $.header.X-Site, os: $.body.device.os }\n\
                      service: { allowed_services: [b], trusted_proxies: [127.0.0.1] }\n";
const POLICY: &str = "users:\n  alice: { namespace: alice, repos: ['**'], actions: [pull, push] }\n  \
                      root: { repos: ['**'], actions: ['*'], catalog: true }\n\
                      anonymous: { repos: ['public/*'], actions: [pull] }\n";
/// The password of `alice` is "a secret"; nobody knows that of `root`.
const USERS: &[u8] = b"alice:$2b$04$abcdefghijklmnopqrstuuptX35pdqP/yflhzg5TSsMy0N7LlPqh2\n\
                       root:$2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

pub fn check(bytes: &[u8]) {
    let [peer, sent @ ..] = bytes else { return };
    let trusted = peer % 2 == 0;
    let Ok(Some(end)) = head_end(sent, &mut 0) else { return };
    let peer = Peer::Ip(if trusted { [127, 0, 0, 1].into() } else { [192, 0, 2, 1].into() });
    let Ok(head) = Head::parse(&sent[..end], peer, &Limits::default()) else { return };
    let rest = &sent[end..];
    let body = match head.body {
        Framing::None => Body::Absent,
        Framing::Malformed(problem) => Body::Malformed(problem),
        Framing::Length(length) if length > MAX_BODY_BYTES as u64 => Body::TooLarge,
        Framing::Length(_) | Framing::Chunked => Body::Bytes(rest),
    };
    let request = Request { body, ..head.request };
    let names_user = request.header_values("x-authenticated-user").next().is_some();
    let response = service().handle(&request);
    answered(&response, trusted, names_user, request.target);
}

fn config() -> Config {
    let path = keys_folder().join("config.yaml");
    Config::read(&Document::parse(&path, CONFIG.to_owned()).unwrap()).unwrap()
}

fn service() -> Service {
    let mut config = config();
    let (clients, profiles) = (std::mem::take(&mut config.clients), std::mem::take(&mut config.profiles));
    let settings = config.service.clone();
    let policy = Document::parse(Path::new("policy.yaml"), POLICY.to_owned()).unwrap();
    let enforcement = Enforcement::Policy(Policy::compile(&policy).unwrap());
    let users = Users::parse(Path::new("users"), USERS).unwrap();
    let logins = Logins { users, refresh: Some(Refresh::new(None, Ttl::DEFAULT)) };
    let state = State::new(config.into_issuer(), enforcement, Some(logins), clients, profiles, &settings);
    let sources = Sources { clock: || UnixTime(1_000_000), id: || Some("the id".to_owned()) };
    Service::new(state, Log::new(LogFormat::Json), sources, None)
}

fn answered(response: &Response, trusted: bool, names_user: bool, target: &str) {
    let known = [200, 201, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 429, 503];
    assert!(known.contains(&response.status), "{response:?}");
    for (name, value) in &response.headers {
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name}: {value:?}");
    }
    let has = |name: &str| response.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    assert!(response.status != 401 || has("WWW-Authenticate"), "{response:?}");
    assert!(response.status != 405 || has("Allow"), "{response:?}");
    if target.split('?').next() == Some("/metrics") && response.status == 200 {
        return;
    }
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(body["active"] != true || (trusted && !names_user), "there are no clients");
    let account = body["status"]["token"].as_str();
    let Some(text) = account.or(body["token"].as_str()).or(body["access_token"].as_str()) else { return };
    assert_eq!(response.status, if account.is_some() { 201 } else { 200 });
    let issuer = config().into_issuer();
    let payload = token::verify(text, issuer.keyring().verifiers()).expect("a token that stands");
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let user = claims["sub"].as_str();
    if account.is_some() || target == "/command/token" {
        return of_profile(&claims, trusted, names_user);
    }
    assert_eq!(claims, body["claims"]);
    assert!(claims["aud"] == "registry.example.com" || claims["aud"] == "b");
    let generic = target.split('?').next() == Some("/auth");
    if trusted && (generic || names_user) {
        return; // it may speak for anybody
    }
    assert!(matches!(user, Some("alice" | "")), "nobody proved to be {user:?}");
    for entry in claims["access"].as_array().expect("access") {
        let name = entry["name"].as_str().unwrap();
        let space = if user == Some("alice") { "alice/" } else { "public/" };
        let bare = name.strip_prefix("registry.example.com/").or(name.strip_prefix("b/")).unwrap_or(name);
        assert!(bare.starts_with(space) && entry["type"] == "repository", "{entry}");
        for action in entry["actions"].as_array().unwrap() {
            assert!(action == "pull" || (action == "push" && user == Some("alice")), "{entry}");
        }
    }
}

/// A token of a profile is for no registry, and a service account's is a trusted peer's alone.
fn of_profile(claims: &Value, trusted: bool, names_user: bool) {
    let audiences = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
    assert!(!audiences.is_empty());
    for audience in audiences {
        let name = audience.as_str().expect("a text").to_lowercase();
        assert!(!["registry.example.com", "b", "keypebble-refresh", ""].contains(&&*name), "{name}");
    }
    assert!(claims.get("access").is_none() && claims.get("scope").is_none(), "{claims}");
    let subject = claims["sub"].as_str().expect("a subject");
    if claims.get("kubernetes.io").is_some() {
        assert!(trusted && !names_user && subject.starts_with("system:serviceaccount:"), "{claims}");
        assert!(claims.get("command").is_none());
    } else {
        assert!(claims["command"].is_string());
        assert!(trusted || subject == "alice", "nobody proved to be {subject}");
    }
}
