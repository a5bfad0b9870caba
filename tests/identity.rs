//! Who is believed: passwords, forms, refresh tokens and nobody, through the real binary.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::type_complexity,
    clippy::format_collect,
    reason = "a test's way to fail"
)]
#![cfg(feature = "passwords")]

mod common;

use common::encode::base64;
use common::{
    Answer, FORM, Folder, JSON, Server, access, basic, claims, exchange, line, run_with_input, said, serve,
    stderr, stdout,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const CONFIG: &str = "
issuer: registry.example.com
audience: registry.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
static_claims: {roles: [edge], scope: static}
users_file: users.htpasswd
service: {host: 127.0.0.1, port: 0, allowed_services: [other.example.com]}
";
const POLICY: &str = "
users:
  alice: {namespace: alice-space, repos: [app, ui], actions: [pull, push]}
  bob: {namespace: bob-space, repos: [app], actions: [pull]}
anonymous: {repos: [public/app], actions: [pull]}
";

/// A line for the users file, of bcrypt's least cost.
fn user(folder: &Folder, name: &str, password: &str) -> String {
    let output = run_with_input(folder, &["hash-password", "--user", name, "--cost", "4"], password);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// Alice, Bob, and Carol, whom the policy does not know.
fn folder(config: &str, policy: &str) -> Folder {
    let folder = common::folder(config, policy);
    let users = ["alice", "bob", "carol"].map(|name| user(&folder, name, &format!("{name}'s secret")));
    folder.write("users.htpasswd", &users.concat());
    folder
}

fn trusting(config: &str) -> String {
    config.replace("port: 0,", "port: 0, trusted_proxies: [127.0.0.1],")
}

/// The subject of the token in an answer, and what it may do with which repository.
fn given(answer: &Answer) -> String {
    let (claims, granted) = (answer.claims(), access(answer).replace("repository:", ""));
    let user = claims["sub"].as_str().unwrap();
    if granted.is_empty() { user.to_owned() } else { format!("{user} {granted}") }
}

/// Status and code, in the registry's form.
fn refused(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("WWW-Authenticate").is_some(), answer.status == 401, "{answer:?}");
    assert_eq!(answer.header("Retry-After").is_some(), answer.status == 429, "{answer:?}");
    (answer.status, answer.code())
}

const ASK: &str = "/v2/token?service=registry.example.com&scope=repository:alice-space/app:pull,push,delete\
                   &scope=repository:public/app:pull";

/// What of an answer a row of the table names: `200 alice ...`, `401 UNAUTHORIZED`.
fn summary(answer: &Answer) -> String {
    if answer.status == 200 {
        format!("200 {}", given(answer))
    } else {
        let (status, code) = refused(answer);
        format!("{status} {code}")
    }
}

#[test]
fn the_table_of_precedence_holds_for_get() {
    let (alice, wrong) = (basic("alice", "alice's secret"), basic("alice", "bob's secret"));
    let named = ("X-Authenticated-User", "bob");
    let alone = "200 alice alice-space/app:pull,push";
    let (as_alice, as_bob) = (&*format!("{alone} public/app:pull"), "200 bob public/app:pull");
    let nobody = "200  public/app:pull";
    // Headers; from a trusted peer; from another; from another without `anonymous` in the policy.
    let table: [(&[(&str, &str)], &str, &str, &str); 9] = [
        (&[], nobody, nobody, "401 UNAUTHORIZED"),
        (&[named], as_bob, nobody, "401 UNAUTHORIZED"),
        (&[("Authorization", &alice)], as_alice, as_alice, alone),
        (&[named, ("Authorization", &alice)], as_bob, as_alice, alone),
        (&[named, ("Authorization", &wrong)], as_bob, "401 UNAUTHORIZED", "401 UNAUTHORIZED"),
        (&[("Authorization", &wrong)], "401 UNAUTHORIZED", "401 UNAUTHORIZED", "401 UNAUTHORIZED"),
        (&[("X-Authenticated-User", ""), ("Authorization", &alice)], as_alice, as_alice, alone),
        (&[("Authorization", "Bearer x")], "401 UNAUTHORIZED", "401 UNAUTHORIZED", "401 UNAUTHORIZED"),
        (
            &[("Authorization", &alice), ("authorization", &alice)],
            "400 INVALID_REQUEST",
            "400 INVALID_REQUEST",
            "400 INVALID_REQUEST",
        ),
    ];
    let closed = POLICY.split("anonymous").next().unwrap();
    let (trusting_config, plain) = (trusting(CONFIG), CONFIG.to_owned());
    for (place, config, policy) in [(0, &trusting_config, POLICY), (1, &plain, POLICY), (2, &plain, closed)] {
        let folder = folder(config, policy);
        let server = serve(&folder);
        for (headers, trusted, other, without) in &table {
            let expected = [trusted, other, without][place];
            assert_eq!(&summary(&server.get(ASK, headers)), expected, "{place} {headers:?}");
        }
        let (_, log) = server.stop("TERM");
        assert_eq!(log.contains("is not in service.trusted_proxies"), place > 0, "{log}");
        assert!(!log.contains("secret") && !log.contains(&alice), "{log}");
    }
}

#[test]
fn what_only_a_trusted_peer_may_ask_is_passed_over_in_what_others_send() {
    let own = basic("alice", "alice's secret");
    for (config, generated) in [(CONFIG.to_owned(), false), (trusting(CONFIG), true)] {
        let folder = folder(&config, POLICY);
        let server = serve(&folder);
        let ask = |header: &str, value: &str| {
            given(&server.get("/v2/token", &[("Authorization", &own), (header, value)]))
        };
        let everything = ask("X-Policy-Generate", "true");
        assert_eq!(everything != "alice", generated, "{everything}");
        assert_eq!(ask("X-Scopes", "repository:alice-space/app:pull") != "alice", generated);
    }
}

#[test]
fn malformed_credentials_are_401_and_never_anonymous() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for value in [
        String::new(),
        "Basic".into(),
        "Basic ".into(),
        "Basic %%%".into(),
        "Basic YWxpY2U".into(),
        "Negotiate abc".into(),
        format!("Basic {}", base64(b"alice")),
        format!("Basic {}", base64(b"alice:\xff\xfe")),
        basic("", "x"),
        basic("alice", ""),
        basic("al\tice", "x"),
        basic("alice", "x\0y"),
        basic("alice", &"x".repeat(73)),
        basic(&"a".repeat(257), "x"),
        basic("alice", &"x".repeat(5000)),
        basic("mallory", "alice's secret"),
        basic("Alice", "alice's secret"),
        basic("alice", "alice's secret "),
    ] {
        let headers = [("Authorization", value.as_str())];
        assert_eq!(refused(&server.get(ASK, &headers)), (401, "UNAUTHORIZED".into()), "{value}");
        let json = [JSON, headers[0]];
        assert_eq!(refused(&server.post("/auth", &json, "{}")), (401, "UNAUTHORIZED".into()), "{value}");
    }
    // An unknown user and a wrong password get the same answer, byte for byte.
    let of = |user| server.get(ASK, &[("Authorization", &basic(user, "wrong"))]);
    let (known, unknown) = (of("bob"), of("mallory"));
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    let names = |answer: &Answer| answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
}

#[test]
fn auth_gives_a_user_his_own_token_and_no_more_than_the_policy() {
    let folder = folder(&trusting(CONFIG), POLICY);
    let server = serve(&folder);
    let alice = basic("alice", "alice's secret");
    let ask = |headers: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        server.post("/auth", &headers, body)
    };
    let with = [("Authorization", alice.as_str())];
    for (body, expected) in [
        ("{}", json!({"sub": "alice", "access": [], "scope": ""})),
        (
            r#"{"sub": "alice", "role": "admin", "roles": ["admin"]}"#,
            json!({"sub": "alice", "access": [], "scope": ""}),
        ),
        (
            r#"{"user": "alice", "scope": "repository:alice-space/app:pull,delete repository:bob-space/app:pull"}"#,
            json!({"sub": "alice", "scope": "repository:alice-space/app:pull",
                   "access": [{"type": "repository", "name": "alice-space/app", "actions": ["pull"]}]}),
        ),
        (
            r#"{"access": [{"type": "registry", "name": "catalog", "actions": ["*"]}]}"#,
            json!({"sub": "alice", "access": [], "scope": ""}),
        ),
    ] {
        let answer = ask(&with, body);
        assert_eq!(answer.status, 200, "{body} {answer:?}");
        let answer = answer.json();
        let token = claims(answer["token"].as_str().unwrap());
        assert_eq!(token, answer["claims"]);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&token[name], value, "{body}");
        }
        assert_eq!(token["roles"], json!(["edge"]), "{body}");
        assert_eq!((token.get("role"), token.get("user")), (None, None), "{body}");
    }
    for (headers, body, expected) in [
        (&with[..], r#"{"sub": "bob"}"#, "403 DENIED"),
        (&with, r#"{"user": "bob"}"#, "403 DENIED"),
        (&with, r#"{"sub": "alice", "user": "bob"}"#, "403 DENIED"),
        (&with, r#"{"aud": "x"}"#, "400 INVALID_CLAIMS"),
        (&with, r#"{"scope": "controller:read"}"#, "400 INVALID_CLAIMS"),
        (&[("Authorization", &basic("alice", "wrong"))], "{}", "401 UNAUTHORIZED"),
        (&[with[0], with[0]], "{}", "400 INVALID_REQUEST"),
    ] {
        let (status, code) = refused(&ask(headers, body));
        assert_eq!(format!("{status} {code}"), expected, "{body}");
    }
    // A trusted peer that speaks for another, or shows no password, asks for anybody's token, as ever.
    for headers in
        [&[][..], &[("X-Authenticated-User", "carol")], &[("X-Authenticated-User", "carol"), with[0]]]
    {
        let answer = ask(headers, r#"{"sub": "bob", "role": "admin"}"#);
        assert_eq!(answer.json()["claims"]["role"], "admin", "{headers:?}");
    }
}

#[test]
fn auth_from_a_peer_that_is_not_trusted_needs_a_password() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for headers in [&[JSON][..], &[JSON, ("X-Authenticated-User", "alice")]] {
        assert_eq!(refused(&server.post("/auth", headers, "{}")), (401, "UNAUTHORIZED".into()));
    }
    let alice = basic("alice", "alice's secret");
    let answer = server.post("/auth", &[JSON, ("Authorization", &alice)], "{}");
    assert_eq!((answer.status, &answer.json()["claims"]["sub"]), (200, &json!("alice")));
    // Without a users file a password changes nothing for who is not trusted; and who is trusted shows none that
    // nobody can check, unless it is another's.
    let config = CONFIG
        .replace("users_file: users.htpasswd\n", "")
        .replace("port: 0,", "port: 0, trusted_proxies: [],");
    folder.write("config.yaml", &config);
    let server = serve(&folder);
    for headers in [&[JSON][..], &[JSON, ("Authorization", &alice)]] {
        assert_eq!(refused(&server.post("/auth", headers, "{}")), (403, "DENIED".into()));
    }
    folder.write("config.yaml", &config.replace(", trusted_proxies: []", ""));
    let trusting = serve(&folder);
    for (headers, status) in [
        (&[JSON][..], 200),
        (&[JSON, ("Authorization", &alice)], 401),
        (&[JSON, ("Authorization", &alice), ("X-Authenticated-User", "")], 401),
        (&[JSON, ("Authorization", &alice), ("X-Authenticated-User", "alice")], 200),
    ] {
        assert_eq!(trusting.post("/auth", headers, "{}").status, status, "{headers:?}");
    }
    assert_eq!(summary(&server.get(ASK, &[])), "200  public/app:pull");
    assert_eq!(summary(&server.get(ASK, &[("Authorization", &alice)])), "401 UNAUTHORIZED");
    let answer =
        server.post("/v2/token", &[FORM], "grant_type=password&username=alice&password=alice%27s+secret");
    assert_eq!((refused(&answer), answer.header("Allow")), ((405, "UNSUPPORTED".into()), Some("GET, HEAD")));
}

const ALICE: &str = "grant_type=password&username=alice&password=alice%27s+secret&client_id=test\
                     &service=registry.example.com";

/// The same as an error of OAuth 2 and of the registry.
fn oauth_error(answer: &Answer) -> String {
    let (status, code) = refused(answer);
    let body = answer.json();
    assert_eq!(body["error_description"], body["errors"][0]["message"]);
    format!("{status} {} {code}", body["error"].as_str().unwrap())
}

#[test]
fn a_form_gives_the_same_token() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let scopes = "&scope=repository:alice-space/app:pull,delete+repository:bob-space/app:pull&scope=repository:alice-space/ui:pull";
    let answer = server.post("/v2/token", &[FORM], &format!("{ALICE}{scopes}"));
    assert_eq!(given(&answer), "alice alice-space/app:pull alice-space/ui:pull");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["scope"], "repository:alice-space/app:pull repository:alice-space/ui:pull");
    assert_eq!((&body["token"], &body["token_type"]), (&body["access_token"], &json!("Bearer")));
    assert_eq!((&body["expires_in"], body.get("refresh_token")), (&json!(3600), None));
    assert!(body["issued_at"].as_str().unwrap().ends_with('Z'));
    // A login asks for nothing.
    assert_eq!(given(&server.post("/v2/token", &[FORM], ALICE)), "alice");
    // As skopeo sends it: in chunks.
    let mut stream = server.connect();
    let head = "POST /v2/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
    let (first, second) = ALICE.split_at(20);
    write!(stream, "{head}Content-Type: {}\r\n\r\n", FORM.1).unwrap();
    write!(stream, "{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(given(&Answer::parse(&text)), "alice");
    // Basic in place of the two parameters.
    let alice = basic("alice", "alice's secret");
    let basic_form = server.post("/v2/token", &[FORM, ("Authorization", &alice)], "grant_type=password");
    assert_eq!(given(&basic_form), "alice");
}

#[test]
fn every_form_that_is_wrong_has_its_answer() {
    let folder = folder(CONFIG, &format!("mode: deny\n{POLICY}"));
    let server = serve(&folder);
    let alice = basic("alice", "alice's secret");
    for (body, expected) in [
        ("", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=password", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=password&username=alice", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=password&username=alice&password=", "401 invalid_grant UNAUTHORIZED"),
        ("grant_type=password&username=&password=x", "401 invalid_grant UNAUTHORIZED"),
        ("grant_type=password&username=alice&password=wrong", "401 invalid_grant UNAUTHORIZED"),
        ("grant_type=password&username=mallory&password=wrong", "401 invalid_grant UNAUTHORIZED"),
        ("grant_type=password&username=alice&password=a%00", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=password&username=alice&password=%ff", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=client_credentials", "400 unsupported_grant_type INVALID_REQUEST"),
        ("grant_type=refresh_token", "400 invalid_request INVALID_REQUEST"),
        ("grant_type=refresh_token&refresh_token=x", "401 invalid_grant UNAUTHORIZED"),
        (&format!("{ALICE}&username=alice"), "400 invalid_request INVALID_REQUEST"),
        (&format!("{ALICE}&grant_type=password"), "400 invalid_request INVALID_REQUEST"),
        (&format!("{ALICE}&service=other.example.com"), "400 invalid_request INVALID_REQUEST"),
        (&ALICE.replace("registry.example", "evil.example"), "400 invalid_request INVALID_SERVICE"),
        (&format!("{ALICE}&scope=nonsense"), "400 invalid_scope INVALID_SCOPE"),
        (&format!("{ALICE}&scope=repository:bob-space/app:pull"), "400 invalid_scope DENIED"),
    ] {
        assert_eq!(oauth_error(&server.post("/v2/token", &[FORM], body)), expected, "{body}");
    }
    for headers in [&[FORM, ("Authorization", &*alice)][..], &[JSON], &[], &[FORM, FORM]] {
        let answer = server.post("/v2/token", headers, ALICE);
        assert_eq!(oauth_error(&answer), "400 invalid_request INVALID_REQUEST", "{headers:?}");
    }
    let answer = server.request("POST", "/v2/token", &[FORM], None);
    assert_eq!(oauth_error(&answer), "400 invalid_request INVALID_REQUEST");
    let answer = server.request("PUT", "/v2/token", &[FORM], Some(ALICE));
    assert_eq!((refused(&answer).0, answer.header("Allow")), (405, Some("GET, HEAD, POST")));
}

#[test]
fn a_trusted_peer_s_word_wins_over_a_form() {
    let folder = folder(&trusting(CONFIG), POLICY);
    let server = serve(&folder);
    let ask = |headers: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = headers.iter().copied().chain([FORM]).collect();
        summary(&server.post("/v2/token", &headers, body))
    };
    let named = ("X-Authenticated-User", "bob");
    let wrong = basic("alice", "wrong");
    assert_eq!(ask(&[named], ALICE), "200 bob");
    assert_eq!(
        ask(&[named, ("Authorization", &wrong)], "grant_type=password&access_type=offline"),
        "200 bob"
    );
    assert_eq!(ask(&[named], "grant_type=refresh_token&refresh_token=x"), "200 bob");
    assert_eq!(ask(&[], ALICE), "200 alice");
    // Whom a proxy names, Keypebble cannot ask again: no refresh token.
    let answer = server.get(&format!("{ASK}&offline_token=true"), &[named]);
    assert_eq!(answer.json().get("refresh_token"), None);
}

/// The refresh token for a password.
fn refresh_token(server: &Server, form: &str) -> String {
    let answer = server.post("/v2/token", &[FORM], &format!("{form}&access_type=offline"));
    answer.json()["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn use_token(server: &Server, token: &str, more: &str) -> Answer {
    let body = format!("grant_type=refresh_token&client_id=test&refresh_token={token}{more}");
    server.post("/v2/token", &[FORM], &body)
}

const SCOPES: &str = "&service=registry.example.com&scope=repository:alice-space/app:pull,delete";

#[test]
fn a_refresh_token_stands_for_its_user_at_its_service_across_restarts() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let alice = basic("alice", "alice's secret");
    let offline = format!("{ASK}&offline_token=true");
    let got = server.get(&offline, &[("Authorization", &alice)]).json();
    let token = got["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(server.get(ASK, &[("Authorization", &alice)]).json().get("refresh_token"), None);
    assert_eq!(server.get(&offline, &[]).json().get("refresh_token"), None, "the anonymous");
    assert_eq!(
        server
            .get(&format!("{ASK}&offline_token=false"), &[("Authorization", &alice)])
            .json()
            .get("refresh_token"),
        None
    );
    let (_, log) = server.stop("TERM");
    assert!(!log.contains(&token) && log.contains("profile=refresh"), "{log}");

    let server = serve(&folder);
    for more in [SCOPES, &SCOPES.replace("&service=registry.example.com", "")] {
        let answer = use_token(&server, &token, more);
        assert_eq!(given(&answer), "alice alice-space/app:pull");
        let body = answer.json();
        assert_eq!(
            (&body["refresh_token"], &body["claims"]["aud"]),
            (&json!(token), &json!("registry.example.com"))
        );
    }
    // At no other service, in no other place, and nothing else in its place.
    let invalid = "401 invalid_grant UNAUTHORIZED";
    assert_eq!(oauth_error(&use_token(&server, &token, "&service=other.example.com")), invalid);
    assert_eq!(oauth_error(&use_token(&server, &token[..token.len() - 1], SCOPES)), invalid);
    assert_eq!(oauth_error(&use_token(&server, got["token"].as_str().unwrap(), SCOPES)), invalid);
    assert_eq!(oauth_error(&use_token(&server, "alice%27s+secret", SCOPES)), invalid);
    let both = [FORM, ("Authorization", alice.as_str())];
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    assert_eq!(server.post("/v2/token", &both, &body).status, 400);
    for value in [format!("Bearer {token}"), basic("alice", &token[..70]), basic("<token>", &token[..70])] {
        assert_eq!(server.get(ASK, &[("Authorization", &value)]).status, 401);
    }
    let metrics = server.get("/metrics", &[]).body;
    for line in ["{event=\"issued\"} 0", "{event=\"used\"} 2", "{event=\"refused\"} 4"] {
        assert!(metrics.contains(&format!("keypebble_refresh_tokens_total{line}")), "{line}\n{metrics}");
    }
}

#[test]
fn a_refresh_token_dies_with_the_password_the_user_the_policy_and_the_key() {
    let ring = |config: &str| config.replace("hs256_secret: 0123", "hs256_secret: 9999");
    let own = format!("refresh_secret_path: refresh.secret\n{CONFIG}");
    for (config, key_kills) in [(CONFIG, true), (&*own, false)] {
        let folder = folder(config, POLICY);
        folder.write("refresh.secret", "a secret of at least thirty-two bytes\n");
        let users = std::fs::read_to_string(folder.path().join("users.htpasswd")).unwrap();
        let token = refresh_token(&serve(&folder), ALICE);
        let after = |name: &str, text: &str, restored: &str| {
            folder.write(name, text);
            let status = use_token(&serve(&folder), &token, SCOPES).status;
            folder.write(name, restored);
            status
        };
        let others: String = users.lines().skip(1).map(|line| format!("{line}\n")).collect();
        let renewed = user(&folder, "alice", "alice's secret") + &others;
        assert_eq!(after("users.htpasswd", &users, &users), 200);
        assert_eq!(after("users.htpasswd", &others, &users), 401, "the user has left");
        assert_eq!(after("users.htpasswd", &renewed, &users), 401, "the line has changed");
        assert_eq!(after("policy.yaml", &POLICY.replace("alice:", "alicia:"), POLICY), 401, "no policy");
        assert_eq!(after("config.yaml", &ring(config), config), if key_kills { 401 } else { 200 });
        assert_eq!(after("config.yaml", &format!("refresh_ttl_seconds: 0\n{config}"), config), 401);
        assert_eq!(after("config.yaml", &config.replace("issuer: registry", "issuer: other"), config), 401);
        assert_eq!(after("users.htpasswd", &users, &users), 200, "and all is as it was");
    }
}

#[test]
fn no_refresh_token_is_given_that_would_not_be_taken() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let carol = ALICE.replace("alice", "carol");
    let answer = server.post("/v2/token", &[FORM], &format!("{carol}&access_type=offline"));
    assert_eq!(
        (given(&answer), answer.json().get("refresh_token").cloned()),
        ("carol".into(), None::<Value>)
    );
    folder.write("config.yaml", &format!("refresh_ttl_seconds: 0\n{CONFIG}"));
    let server = serve(&folder);
    let answer = server.post("/v2/token", &[FORM], &format!("{ALICE}&access_type=offline"));
    assert_eq!((given(&answer), answer.json().get("refresh_token").cloned()), ("alice".into(), None));
}

#[test]
fn wrong_passwords_are_slowed_and_a_good_user_is_not() {
    let folder = folder(&trusting(CONFIG), POLICY);
    let server = serve(&folder);
    let ask = |from: &str, user: &str, password: &str| {
        server.get(ASK, &[("X-Forwarded-For", from), ("Authorization", &basic(user, password))])
    };
    for number in 0..20 {
        assert_eq!(ask("10.0.0.1", "bob", &format!("wrong{number}")).status, 401);
    }
    for answer in [
        ask("10.0.0.1", "bob", "wrong"),
        ask("10.0.0.1", "bob", "bob's secret"),
        ask("evil, 10.0.0.1", "bob", "wrong"),
        ask("1.2.3.4, 10.0.0.1, 127.0.0.1", "bob", "wrong"),
        ask("10.0.0.1:4711", "bob", "wrong"),
    ] {
        assert_eq!(refused(&answer), (429, "TOOMANYREQUESTS".into()));
        let seconds: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=10).contains(&seconds), "{answer:?}");
    }
    assert_eq!(summary(&ask("10.0.0.2", "bob", "bob's secret")), "200 bob public/app:pull");
    let form = "grant_type=password&username=bob&password=wrong";
    let answer = server.post("/v2/token", &[FORM, ("X-Forwarded-For", "10.0.0.1")], form);
    assert_eq!(oauth_error(&answer), "429 temporarily_unavailable TOOMANYREQUESTS");
    let metrics = server.get("/metrics", &[]).body;
    for line in ["{result=\"wrong\"} 20", "{result=\"right\"} 1", "{result=\"throttled\"} 6"] {
        assert!(metrics.contains(&format!("keypebble_password_checks_total{line}")), "{line}\n{metrics}");
    }
    let (_, log) = server.stop("TERM");
    assert!(log.contains("wrong password of bob") && !log.contains("secret"), "{log}");
}

#[test]
fn ten_thousand_wrong_passwords_from_one_peer_keep_no_one_out() {
    let folder = folder(&trusting(CONFIG), POLICY);
    let server = serve(&folder);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: 0 kB").to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let ask = |stream: &mut std::net::TcpStream, from: &str, user: &str, password: &str| {
        let value = basic(user, password);
        let head = format!(
            "GET {ASK} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {from}\r\nAuthorization: {value}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        loop {
            // A machine that is paused and goes on interrupts a read that has a deadline.
            let read = match stream.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                return answer[9..12].parse::<u16>().unwrap();
            }
        }
    };
    ask(&mut server.connect(), "10.0.0.1", "alice", "wrong");
    let before = memory();
    std::thread::scope(|scope| {
        let attack = |thread: u32| {
            let (server, ask) = (&server, &ask);
            move || {
                let mut stream = server.connect();
                let tries = (0..1250).map(|number| {
                    let user =
                        if number % 2 == 0 { "alice".to_owned() } else { format!("u{thread}-{number}") };
                    ask(&mut stream, "10.0.0.1", &user, &format!("wrong{thread}{number}"))
                });
                tries.filter(|status| *status == 401).count()
            }
        };
        let attackers: Vec<_> = (0..8).map(|thread| scope.spawn(attack(thread))).collect();
        for number in 0..5 {
            let started = Instant::now();
            let status = ask(&mut server.connect(), &format!("10.0.1.{number}"), "alice", "alice's secret");
            assert_eq!(status, 200);
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        }
        let looked_at: usize = attackers.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!((50..1000).contains(&looked_at), "{looked_at} of 10000 were looked at");
    });
    let grown = memory().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
}

#[test]
fn hash_password_makes_lines_that_work_and_says_what_does_not() {
    let folder = Folder::new();
    let run = |arguments: &[&str], input: &str| {
        let output = run_with_input(&folder, &[&["hash-password"], arguments].concat(), input);
        (output.status.code(), stdout(&output), stderr(&output))
    };
    for input in ["hunter2", "hunter2\n", "hunter2\r\n"] {
        let (code, out, err) = run(&["--cost", "4"], input);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{input:?}");
        assert!(out.starts_with("$2b$04$") && out.len() == 61 && out.ends_with('\n'), "{out}");
        folder.write("line", &format!("x:{out}"));
    }
    let (one, two) = (run(&["--cost=4"], "hunter2").1, run(&["--cost=4"], "hunter2").1);
    assert_ne!(one, two, "each has a salt of its own");
    assert!(run(&["--user", "bob smith"], "x").1.starts_with("bob smith:$2b$10$"));
    let long = "x".repeat(73);
    for (arguments, input, code, part) in [
        (&[][..], "", 1, "the password is empty"),
        (&[], "\n", 1, "the password is empty"),
        (&[], &*long, 1, "at most 72 bytes: bcrypt reads no more"),
        (&[], "a\0b", 1, "no control characters"),
        (&[], "a\nb\n", 1, "no control characters"),
        (&[], "\u{feff}hunter2", 1, "it begins with a byte order mark"),
        (&["--user", "a:b"], "x", 2, "cannot hold a colon"),
        (&["--user", "#a"], "x", 2, "is a comment"),
        (&["--user", ""], "x", 2, "--user is empty"),
        (&["--cost", "3"], "x", 2, "expected a whole number from 4 to 14, found `3`"),
        (&["--cost", "15"], "x", 2, "found `15`"),
        (&["--cost", "+9"], "x", 2, "found `+9`"),
        (&["hunter2"], "x", 2, "one argument too many"),
    ] {
        let (found, out, err) = run(arguments, input);
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?} {err}");
        assert!(err.contains(part), "{arguments:?} {err}");
    }
}

#[test]
fn check_tells_of_the_users_file_and_what_is_wrong_with_it() {
    let folder = folder(CONFIG, POLICY);
    let checked = |config: &str| {
        folder.write("config.yaml", config);
        said(&line(&folder, "check --config config.yaml --policy policy.yaml"))
    };
    let (code, text) = checked(CONFIG);
    assert_eq!(code, 0, "{text}");
    for part in [
        "users.htpasswd: 3 user(s), bcrypt cost at most 4",
        "refresh tokens   for 2592000 s",
        "3 hash(es) of a bcrypt cost under 10",
        "trusted proxies  none\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("plain http"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert!(!text.contains("mode 06"), "{text}");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path().join("users.htpasswd"), open).unwrap();
        let (_, text) = checked(CONFIG);
        assert!(
            text.contains(
                "users.htpasswd holds a secret and can be read by every user of this host (mode 0644)"
            ),
            "{text}"
        );
    }
    let (_, text) = checked(&CONFIG.replace("host: 127.0.0.1", "host: 0.0.0.0"));
    assert!(
        text.contains("passwords come in over plain http on 0.0.0.0") && text.contains("put TLS in front"),
        "{text}"
    );
    for (config, part) in [
        (CONFIG.replace("users.htpasswd", "none"), "none: cannot be read"),
        (CONFIG.replace("users.htpasswd", "none"), "; keypebble user set NAME --users-file none makes it"),
        (CONFIG.replace("users.htpasswd", "md5"), "md5:2:3: expected a bcrypt hash"),
        (CONFIG.replace("users.htpasswd", "\"\""), "users_file: expected a string that is not empty"),
        (
            format!("refresh_secret_path: short\n{CONFIG}"),
            "short: a secret for refresh tokens has at least 32 bytes",
        ),
        (format!("refresh_secret_path: public\n{CONFIG}"), "public: the shared secret is a PEM text"),
        (format!("refresh_ttl_seconds: -1\n{CONFIG}"), "refresh_ttl_seconds: expected a whole number from 0"),
        (
            CONFIG.replace("users_file", "refresh_secret_path"),
            "`refresh_secret_path` does nothing without `users_file`",
        ),
        (CONFIG.replace("users_file", "user_file"), "did you mean `users_file`?"),
    ] {
        folder.write("md5", "# old\na:$apr1$M0RDDGLb$eMEUW6YFX./y0Ccx./K4n1\n");
        folder.write("short", "short\n");
        folder.write("public", include_str!("data/keys/p256-pub.pem"));
        let (code, text) = checked(&config);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// Through the Unix socket, who is trusted only where the configuration says so.
#[cfg(unix)]
#[test]
fn the_unix_socket_is_trusted_if_it_is_listed() {
    for (proxies, expected) in [("", "401 UNAUTHORIZED"), ("trusted_proxies: [unix],", "200 bob")] {
        let folder = folder(CONFIG, POLICY.split("anonymous").next().unwrap());
        let socket = folder.path().join("socket");
        let host = format!("host: \"unix:{}\", {proxies}", socket.display());
        folder.write("config.yaml", &CONFIG.replace("host: 127.0.0.1, port: 0,", &host));
        let _server = serve(&folder);
        let ask = |headers: &[(&str, &str)]| {
            let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            summary(&exchange(stream, "GET", ASK, headers, None))
        };
        assert_eq!(ask(&[("X-Authenticated-User", "bob")]), expected);
        assert_eq!(ask(&[("Authorization", &basic("bob", "bob's secret"))]), "200 bob");
    }
}
