//! The service as a black box: the real binary on a free port of the loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::{Answer, Folder, JSON, Server, access, claims, exchange, folder, line, serve, stderr};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const CONFIG: &str = "
issuer: registry.example.com
audience: registry.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
static_claims: {roles: [edge], scope: static}
service:
  host: 127.0.0.1
  port: 0
  allowed_services: [\"other.example.com\"]
";
const POLICY: &str = "
users:
  alice: {namespace: alice-space, repos: [app-api, app-ui], actions: [pull]}
  bob: {namespace: bob-space, repos: [app-api], actions: [pull, push]}
  admin: {repos: [\"**\"], actions: [\"*\"], catalog: true}
";

fn token(server: &Server, user: &str, query: &str) -> Answer {
    server.get(&format!("/v2/token{query}"), &[("X-Authenticated-User", user)])
}

#[test]
fn a_registry_token_is_what_registries_and_clients_need() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let answer =
        token(&server, "alice", "?service=registry.example.com&scope=repository:alice-space/app-api:pull");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], json!(3600));
    let issued_at = body["issued_at"].as_str().unwrap();
    assert!(issued_at.len() == 20 && issued_at.ends_with('Z'), "{issued_at}");
    let claims = &body["claims"];
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["sub"]),
        (&json!("registry.example.com"), &json!("registry.example.com"), &json!("alice"))
    );
    let number = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!((number("iat"), number("exp") - number("iat")), (number("nbf"), 3610));
    assert_eq!((&claims["roles"], claims.get("scope")), (&json!(["edge"]), None));
    assert_eq!(access(&answer), "repository:alice-space/app-api:pull");
}

#[test]
fn scopes_are_filtered_merged_and_expanded() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for (user, query, granted) in [
        ("alice", "", ""),
        (
            "alice",
            "?service=other.example.com&scope=repository:alice-space/app-api:pull,push",
            "repository:alice-space/app-api:pull",
        ),
        ("alice", "?scope=repository:bob-space/app-api:pull", ""),
        (
            "bob",
            "?scope=repository:bob-space/app-api:push,pull&scope=repository:bob-space/app-api:pull",
            "repository:bob-space/app-api:push,pull",
        ),
        (
            "bob",
            "?scope=repository:bob-space/app-api:pull%20repository:alice-space/app-api:pull",
            "repository:bob-space/app-api:pull",
        ),
        ("bob", "?scope=repository:bob-space/app-api:*", "repository:bob-space/app-api:pull,push"),
        (
            "bob",
            "?scope=repository:registry.example.com/bob-space/app-api:push",
            "repository:bob-space/app-api:push",
        ),
        ("bob", "?scope=registry:catalog:*", ""),
        ("admin", "?scope=registry:catalog:*", "registry:catalog:*"),
        ("admin", "?scope=repository:catalog:*", "repository:catalog:pull,push,delete"),
        ("admin", "?scope=repository(plugin):a:pull", "repository:a:pull"),
        ("admin", "?scope=repository:a/../b:pull&scope=cluster:x:pull", ""),
        ("mallory", "?scope=repository:alice-space/app-api:pull", ""),
        ("alice", "?account=alice&client_id=docker&offline_token=false&whatever=x", ""),
    ] {
        let answer = token(&server, user, query);
        assert_eq!((answer.status, access(&answer).as_str()), (200, granted), "{user} {query}");
    }
    let answer = server.get(
        "/v2/token",
        &[
            ("X-Authenticated-User", "alice"),
            ("X-Scopes", "repository:alice-space/app-ui:pull repository:x:pull"),
        ],
    );
    assert_eq!(access(&answer), "repository:alice-space/app-ui:pull");
}

#[test]
fn generate_mode_gives_all_that_the_policy_gives() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let generate = |user: &str, value: &str| {
        server.get("/v2/token", &[("X-Authenticated-User", user), ("X-Policy-Generate", value)])
    };
    assert_eq!(
        access(&generate("alice", "true")),
        "repository:alice-space/app-api:pull repository:alice-space/app-ui:pull"
    );
    assert_eq!(access(&generate("alice", "false")), "");
    assert_eq!(
        (generate("mallory", "true").status, generate("mallory", "true").code()),
        (403, "DENIED".into())
    );
    assert_eq!(generate("alice", "yes").status, 400);
}

#[test]
fn mode_deny_refuses_what_is_not_granted_whole() {
    let folder = folder(CONFIG, &format!("mode: deny\n{POLICY}"));
    let server = serve(&folder);
    let scope =
        |actions: &str| token(&server, "alice", &format!("?scope=repository:alice-space/app-api:{actions}"));
    assert_eq!(scope("pull").status, 200);
    assert_eq!((scope("pull,push").status, scope("pull,push").code()), (403, "DENIED".into()));
    assert_eq!(token(&server, "alice", "").status, 200);
}

#[test]
fn every_refusal_is_json_with_the_right_status() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let alice = ("X-Authenticated-User", "alice");
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(70_000));
    for (method, target, headers, body, status, code) in [
        ("GET", "/", vec![], None, 404, "NOT_FOUND"),
        ("GET", "/v2/", vec![], None, 404, "NOT_FOUND"),
        ("GET", "/auth", vec![], None, 405, "UNSUPPORTED"),
        ("POST", "/v2/token", vec![alice], Some("grant_type=password"), 405, "UNSUPPORTED"),
        ("DELETE", "/healthz", vec![], None, 405, "UNSUPPORTED"),
        ("GET", "/v2/token", vec![], None, 401, "UNAUTHORIZED"),
        ("GET", "/v2/token", vec![("X-Authenticated-User", "")], None, 401, "UNAUTHORIZED"),
        ("GET", "/v2/token", vec![alice, alice], None, 400, "INVALID_REQUEST"),
        ("GET", "/v2/token?service=evil", vec![alice], None, 400, "INVALID_SERVICE"),
        (
            "GET",
            "/v2/token?service=other.example.com&service=registry.example.com",
            vec![alice],
            None,
            400,
            "INVALID_REQUEST",
        ),
        ("GET", "/v2/token?scope=repository", vec![alice], None, 400, "INVALID_SCOPE"),
        ("GET", "/v2/token?scope=repository:a:PULL", vec![alice], None, 400, "INVALID_SCOPE"),
        ("GET", "/v2/token?scope=%zz", vec![alice], None, 400, "INVALID_REQUEST"),
        ("POST", "/auth", vec![JSON], Some("{"), 400, "INVALID_CLAIMS"),
        ("POST", "/auth", vec![JSON], Some(""), 400, "INVALID_CLAIMS"),
        ("POST", "/auth", vec![JSON], Some("[]"), 400, "INVALID_CLAIMS"),
        ("POST", "/auth", vec![JSON], Some("{\"iss\": \"me\"}"), 400, "INVALID_CLAIMS"),
        ("POST", "/auth", vec![JSON], Some("{\"sub\": \"a\", \"sub\": \"b\"}"), 400, "INVALID_CLAIMS"),
        ("POST", "/auth", vec![JSON], None, 411, "LENGTH_REQUIRED"),
        ("POST", "/auth", vec![JSON], Some(&long), 413, "TOO_LARGE"),
        ("POST", "/auth", vec![], Some("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/auth", vec![("Content-Type", "text/plain")], Some("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let answer = server.request(method, target, &headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {target} {body:?}");
        assert!(!answer.json()["errors"][0]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(server.get("/auth", &[]).header("Allow"), Some("POST"));
    assert_eq!(server.post("/v2/token", &[], "").header("Allow"), Some("GET, HEAD"));
    let challenge = server.get("/v2/token", &[]);
    assert!(challenge.header("WWW-Authenticate").unwrap().starts_with("Basic realm="), "{challenge:?}");
}

#[test]
fn auth_issues_a_token_for_the_claims_in_the_body() {
    let folder = folder(&format!("{CONFIG}allowed_custom_claims: [sub, role]\n"), POLICY);
    let server = serve(&folder);
    let answer = server.post(
        "/auth",
        &[("Content-Type", "application/json; charset=utf-8")],
        "{\"sub\": \"alice\", \"role\": \"admin\", \"other\": 1}",
    );
    assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")));
    let body = answer.json();
    let claims = claims(body["token"].as_str().unwrap());
    assert_eq!(claims, body["claims"]);
    assert_eq!(
        (&claims["sub"], &claims["role"], claims.get("other"), &claims["scope"]),
        (&json!("alice"), &json!("admin"), None, &json!("static"))
    );
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0));
    assert!(log.contains("event=token route=auth") && log.contains("dropped=other"), "{log}");
}

#[test]
fn a_peer_that_is_not_trusted_gets_nothing_and_the_log_says_which_key_to_set() {
    let folder = folder(&format!("{CONFIG}  trusted_proxies: [10.0.0.0/8]\n"), POLICY);
    let server = serve(&folder);
    let auth = server.post("/auth", &[JSON], "{}");
    assert_eq!((auth.status, auth.code()), (403, "DENIED".into()));
    assert_eq!(token(&server, "admin", "?scope=registry:catalog:*").status, 401);
    assert_eq!(server.get("/healthz", &[]).status, 200);
    let (_, log) = server.stop("TERM");
    assert!(log.contains("127.0.0.1 is not in service.trusted_proxies"), "{log}");
}

#[test]
fn head_is_get_without_its_body() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for target in ["/healthz", "/metrics", "/v2/token"] {
        let alice = [("X-Authenticated-User", "alice")];
        let (head, get) = (server.request("HEAD", target, &alice, None), server.get(target, &alice));
        assert_eq!(
            (head.status, head.body.as_str(), head.header("Content-Type")),
            (200, "", get.header("Content-Type")),
            "{target}"
        );
        assert!(head.header("Content-Length").unwrap().parse::<usize>().unwrap() > 0, "{target}");
    }
    assert_eq!(server.get("/healthz", &[]).body, "{\"status\": \"ok\"}");
}

#[test]
fn metrics_count_what_was_answered() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    token(&server, "alice", "");
    server.get("/nowhere?x=%00", &[]);
    server.get("/v2/token?scope=x", &[("X-Authenticated-User", "alice")]);
    let answer = server.get("/metrics", &[]);
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    for line in [
        "keypebble_requests_total{route=\"v2_token\",status=\"200\"} 1",
        "keypebble_requests_total{route=\"v2_token\",status=\"400\"} 1",
        "keypebble_requests_total{route=\"other\",status=\"404\"} 1",
        "keypebble_tokens_issued_total{route=\"v2_token\",algorithm=\"HS256\"} 1",
        "keypebble_refusals_total{code=\"INVALID_SCOPE\"} 1",
        "keypebble_refusals_total{code=\"NOT_FOUND\"} 1",
    ] {
        assert!(answer.body.lines().any(|known| known == line), "{line}\n{}", answer.body);
    }
    assert!(!answer.body.contains("nowhere"), "no text of a client's becomes a label");
    let old = server.get("/metrics", &[("Accept", "text/plain;version=0.0.4;q=1,*/*;q=0.1")]);
    assert_eq!(old.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        old.body.contains("# TYPE keypebble_build_info gauge\n") && !old.body.contains("# EOF"),
        "{old:?}"
    );
}

#[test]
fn the_log_has_a_line_for_each_request_and_token_and_never_the_token() {
    for (format, part) in [("text", "event=token"), ("json", "\"event\":\"token\"")] {
        let folder = folder(&format!("{CONFIG}  log: {format}\n"), POLICY);
        let server = serve(&folder);
        let answer = token(&server, "alice", "?scope=repository:alice-space/app-api:pull,push");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let (code, log) = server.stop("INT");
        assert_eq!(code, Some(0));
        let line = log.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{log}"));
        for part in [
            "jti",
            "alice",
            "127.0.0.1",
            "registry.example.com",
            "repository:alice-space/app-api:pull,push",
            "expires",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!log.contains(&token) && !log.contains(token.rsplit('.').next().unwrap()), "{log}");
        if format == "json" {
            for line in log.lines().filter(|line| !line.starts_with("keypebble: ")) {
                assert!(serde_json::from_str::<Value>(line).unwrap()["time"].is_string(), "{line}");
            }
        }
    }
}

#[test]
fn stopping_is_quick_when_idle_and_finishes_what_is_in_flight() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    let started = Instant::now();
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(log.contains("event=stopped"), "{log}");
}

#[test]
fn healthcheck_asks_the_server_of_its_configuration() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    folder.write("fixed.yaml", &CONFIG.replace("port: 0", &format!("port: {}", server.port())));
    assert_eq!(line(&folder, "healthcheck --config fixed.yaml").status.code(), Some(0));
    server.stop("TERM");
    let output = line(&folder, "healthcheck --config fixed.yaml");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not answer"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn healthcheck_does_not_wait_for_a_server_that_takes_nobody() {
    let folder = folder(CONFIG, POLICY);
    let path = folder.path().join("s");
    folder.write(
        "config.yaml",
        &CONFIG.replace("host: 127.0.0.1\n  port: 0", &format!("host: 'unix:{}'", path.display())),
    );
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let one = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        one.set_nonblocking(true).unwrap();
        let full = one.connect(&socket2::SockAddr::unix(&path).unwrap()).is_err();
        waiting.push(one);
        if full {
            break;
        }
    }
    let output = line(&folder, "healthcheck --config config.yaml");
    assert!(output.status.code() == Some(1) && stderr(&output).contains("does not answer"), "{output:?}");
}

#[test]
fn a_target_that_is_no_path_keeps_its_query_out_of_the_log() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for target in ["http://evil/v2/token?password=hunter2", "auth?password=hunter2", "/none?password=hunter2"]
    {
        assert!(server.get(target, &[]).status >= 400, "{target}");
    }
    let (_, log) = server.stop("TERM");
    assert!(log.contains("path=/none") && !log.contains("hunter2"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_s_peer_is_trusted() {
    use std::os::unix::net::UnixStream;
    let folder = Folder::new();
    let socket = folder.path().join("s");
    let config =
        CONFIG.replace("host: 127.0.0.1\n  port: 0", &format!("host: \"unix:{}\"", socket.display()));
    folder.write("config.yaml", &config);
    folder.write("policy.yaml", POLICY);
    let server = serve(&folder);
    assert_eq!(server.address, format!("unix:{}", socket.display()));
    let connect = || UnixStream::connect(&socket).unwrap();
    let answer = exchange(connect(), "GET", "/v2/token", &[("X-Authenticated-User", "alice")], None);
    assert_eq!(answer.status, 200);
    assert_eq!(line(&folder, "healthcheck --config config.yaml").status.code(), Some(0));
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0));
    assert!(log.contains("peer=unix"), "{log}");
    assert!(!socket.exists(), "the socket is removed");
    // Where others are listed, it is trusted only if it is, too.
    for (proxies, status) in [("[]", 401), ("[10.0.0.1]", 401), ("[10.0.0.1, unix]", 200)] {
        folder.write("config.yaml", &format!("{config}  trusted_proxies: {proxies}\n"));
        let _server = serve(&folder);
        let answer = exchange(connect(), "GET", "/v2/token", &[("X-Authenticated-User", "alice")], None);
        assert_eq!(answer.status, status, "{proxies}");
    }
}

#[test]
fn a_web_page_is_not_trusted_for_running_on_this_host() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    let evil = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    for headers in [&evil[..1], &evil[1..], &evil, &[("Origin", "null")], &[("Sec-Fetch-Site", "cross-site")]]
    {
        let auth = [&[JSON], headers].concat();
        let answer = server.post("/auth", &auth, r#"{"sub": "alice"}"#);
        assert_eq!((answer.status, answer.code()), (403, "DENIED".into()), "{headers:?}");
        for name in ["X-Authenticated-User", "X-Scopes", "X-Policy-Generate"] {
            let answer = server.get("/v2/token", &[&[(name, "true")], headers].concat());
            assert!(matches!(answer.status, 401 | 403), "{headers:?} {answer:?}");
            assert_eq!(answer.status == 403, name == "X-Authenticated-User", "nobody is named: {answer:?}");
        }
        assert_eq!(server.get("/healthz", headers).status, 200);
    }
    let host = server.address.trim_start_matches("http://").to_owned();
    let own = format!("http://{host}");
    for headers in
        [&[("Host", &*host), ("Origin", &*own)][..], &[("Host", "[::1]:8080")], &[("Host", "LocalHost:1")]]
    {
        assert_eq!(server.post("/auth", &[&[JSON], headers].concat(), "{}").status, 200, "{headers:?}");
    }
    let (_, log) = server.stop("TERM");
    assert!(log.contains("level=warning event=request") && log.contains("Host: evil.example"), "{log}");
    // A name of one's own; and a proxy that is listed may pass on any.
    for more in ["hosts: [evil.example]", "trusted_proxies: [127.0.0.1]"] {
        folder.write("config.yaml", &format!("{CONFIG}  {more}\n"));
        let server = serve(&folder);
        let answer =
            server.get("/v2/token", &[("Host", "evil.example:80"), ("X-Authenticated-User", "alice")]);
        assert_eq!(answer.status, 200, "{more}");
    }
}

#[test]
fn a_user_may_have_any_name_in_unicode_s_composed_form() {
    let names = "users: {j\u{fc}rgen: {repos: [a], actions: [pull]}}\n";
    let folder = folder(CONFIG, names);
    let server = serve(&folder);
    let ask = |user: &str| token(&server, user, "?scope=repository:a:pull");
    assert_eq!(access(&ask("j\u{fc}rgen")), "repository:a:pull");
    let answer = ask("ju\u{308}rgen");
    assert_eq!((answer.status, answer.code()), (400, "INVALID_REQUEST".into()));
    assert!(
        answer.body.contains("X-Authenticated-User is not in Unicode's composed form (NFC)"),
        "{answer:?}"
    );
    folder.write("policy.yaml", &names.replace('\u{fc}', "u\u{308}"));
    let output = line(&folder, "check --config config.yaml --policy policy.yaml");
    assert!(stderr(&output).contains("composed form (NFC), so nobody has it"), "{}", stderr(&output));
}

#[test]
fn a_refused_service_is_named_in_the_log_in_bounds() {
    let folder = folder(CONFIG, POLICY);
    let server = serve(&folder);
    for service in ["registry.example.org", "a%22b%E2%80%AE", &"x".repeat(1000)] {
        let answer = token(&server, "alice", &format!("?service={service}"));
        assert_eq!((answer.status, answer.code()), (400, "INVALID_SERVICE".into()));
        assert!(!answer.body.contains("example.org"), "{answer:?}");
    }
    let (_, log) = server.stop("TERM");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("code=INVALID_SERVICE")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines.iter().all(|line| line.contains(" level=info event=request ")), "{log}");
    assert!(lines[0].contains("detail=\"asked for the service registry.example.org\""), "{log}");
    assert!(lines[1].contains("service a\\\"b\\u202e\""), "{log}");
    assert!(lines[2].contains(&"x".repeat(200)) && !lines[2].contains(&"x".repeat(201)), "{log}");
}

#[test]
fn without_a_policy_nothing_is_granted_and_serve_says_so() {
    let folder = folder(CONFIG, POLICY);
    if std::path::Path::new("/etc/keypebble/policy.yaml").exists() {
        return; // this host has one
    }
    let server = Server::start(&folder, &["--config", "config.yaml"]);
    assert_eq!(access(&token(&server, "admin", "?scope=repository:a:pull")), "");
    let (_, log) = server.stop("TERM");
    assert!(log.contains("--policy") && log.contains("policy: none"), "{log}");
    folder.write("config.yaml", &format!("{CONFIG}policy: none\n"));
    let server = Server::start(&folder, &["--config", "config.yaml"]);
    let all = access(&token(&server, "anybody", "?scope=repository:a:pull,push&scope=registry:catalog:*"));
    assert_eq!(all, "repository:a:pull,push registry:catalog:*");
}

#[test]
fn a_short_default_life_is_lengthened_for_registries_and_a_policy_s_is_capped() {
    let policy = "users: {bob: {repos: [a], actions: [push], ttl_seconds: 7200}, eve: {repos: [a], actions: [push], ttl_seconds: 900}}";
    let folder = folder(&format!("{CONFIG}default_ttl_seconds: 30\nmax_ttl_seconds: 3600\n"), policy);
    let server = serve(&folder);
    for (user, seconds) in [("alice", 60), ("bob", 3600), ("eve", 900)] {
        let body = token(&server, user, "?scope=repository:a:push").json();
        assert_eq!(body["expires_in"], seconds, "{user}");
        let number = |name: &str| body["claims"][name].as_i64().unwrap();
        assert_eq!(number("exp") - number("iat"), seconds + 10, "{user}");
    }
}
