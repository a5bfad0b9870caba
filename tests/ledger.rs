//! What was issued, who may ask about it, and how it ends: introspection, revocation, `tokens` and `audit`, through
//! the real binary.
#![cfg(all(feature = "sqlite", feature = "passwords"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::encode::base64url;
use common::{
    Answer, FORM, Folder, JSON, Server, basic, done, line, run_with_input, serve, stderr, stdout, until,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://auth.example.com";
const SECRET: &str = "6f1d2b6f0c9e4b7ab0f3c1d2e3f4a5b6";
const CONFIG: &str = "
issuer: https://auth.example.com
audience: registry.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
kid: k1
users_file: users.htpasswd
STORE
clients:
  - {name: gateway, secret_path: gateway.secret, may: [introspect], audiences: [registry.example.com]}
  - {name: admin, secret_path: admin.secret, may: [introspect, revoke]}
  - {name: other, secret_path: gateway.secret, may: [introspect, revoke], audiences: [other.example.com]}
  - {name: \"a b%c\", secret_path: odd.secret, may: [introspect]}
service: {host: 127.0.0.1, port: 0, allowed_services: [other.example.com]}
";
const POLICY: &str = "
users:
  alice: {namespace: alice, repos: [app], actions: [pull, push]}
  bob: {rules: [{repos: [\"alice/*\"], actions: [pull]}]}
";

/// A folder whose store is made, where the configuration has one.
fn folder(store: &str) -> Folder {
    let folder = common::folder(&CONFIG.replace("STORE", store), POLICY);
    folder.write("gateway.secret", &format!("{SECRET}\n"));
    folder.write("admin.secret", &format!("admin-{SECRET}\n"));
    folder.write("odd.secret", &format!("+/% {SECRET}\n"));
    let mut users = String::new();
    for user in ["alice", "bob"] {
        let made = run_with_input(&folder, &["hash-password", "--user", user, "--cost", "4"], user);
        assert!(made.status.success(), "{}", stderr(&made));
        users.push_str(&stdout(&made));
    }
    folder.write("users.htpasswd", &users);
    if !store.is_empty() {
        done(&folder, "store init --config config.yaml");
    }
    folder
}

const STORE: &str = "store: sqlite:store.db";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A token of this header and these claims, signed with that secret.
fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let input = format!("{}.{}", part(header), part(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&input);
    format!("{input}.{}", base64url(&mac.finalize().into_bytes()))
}

/// Claims of a token that counts, with some of them changed; `null` takes one away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "registry.example.com", "sub": "alice", "jti": "x",
        "iat": now(), "nbf": now(), "exp": now() + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn ours(changes: &Value) -> String {
    signed(&json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" }), &claims(changes), KEY)
}

/// A form of these parameters.
fn form(parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let one = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(one).collect()
    };
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Asks as a client, by Basic.
fn ask_as(server: &Server, client: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let secret = if client == "admin" { format!("admin-{SECRET}") } else { SECRET.to_owned() };
    server.post(path, &[FORM, ("Authorization", &basic(client, &secret))], &form(parameters))
}

fn introspect(server: &Server, client: &str, token: &str) -> Answer {
    let answer = ask_as(server, client, "/introspect", &[("token", token)]);
    assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")), "{answer:?}");
    answer
}

#[track_caller]
fn assert_inactive(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"active\": false}"), "{what}");
}

fn is_active(server: &Server, token: &str) -> bool {
    introspect(server, "admin", token).json()["active"] == json!(true)
}

#[track_caller]
fn revoke(server: &Server, token: &str) {
    let answer = ask_as(server, "admin", "/revoke", &[("token", token)]);
    assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")), "{answer:?}");
}

/// A login of alice's: a registry token and a refresh token.
fn log_in(server: &Server, service: &str) -> [String; 2] {
    let form = format!(
        "grant_type=password&username=alice&password=alice&service={service}&access_type=offline&client_id=docker&scope=repository:alice/app:pull,push"
    );
    let answer = server.post("/v2/token", &[FORM], &form);
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    ["access_token", "refresh_token"].map(|name| body[name].as_str().unwrap().to_owned())
}

fn refreshed(server: &Server, token: &str) -> Answer {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "docker")];
    server.post("/v2/token", &[FORM], &form(&parameters))
}

fn id(server: &Server, token: &str) -> String {
    introspect(server, "admin", token).json()["jti"].as_str().unwrap().to_owned()
}

#[test]
fn an_active_token_says_what_it_is_with_and_without_a_store() {
    for store in ["", STORE] {
        let folder = folder(store);
        let server = serve(&folder);
        let [registry, refresh] = log_in(&server, "registry.example.com");
        let body = introspect(&server, "gateway", &registry).json();
        assert_eq!(
            [
                &body["active"],
                &body["token_type"],
                &body["sub"],
                &body["username"],
                &body["aud"],
                &body["iss"]
            ],
            [
                &json!(true),
                &json!("Bearer"),
                &json!("alice"),
                &json!("alice"),
                &json!("registry.example.com"),
                &json!(ISSUER)
            ]
        );
        assert_eq!(
            body["access"],
            json!([{ "type": "repository", "name": "alice/app", "actions": ["pull", "push"] }])
        );
        for name in ["exp", "iat", "nbf"] {
            assert!(body[name].is_i64(), "{name}: {body}");
        }
        assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 3610);

        let login = [JSON, ("Authorization", &*basic("alice", "alice"))];
        let granted = server.post("/auth", &login, "{\"scope\": \"repository:alice/app:pull\"}").json();
        let body = introspect(&server, "gateway", granted["token"].as_str().unwrap()).json();
        assert_eq!([&body["active"], &body["scope"]], [&json!(true), &json!("repository:alice/app:pull")]);

        let body = introspect(&server, "gateway", &refresh).json();
        assert_eq!(
            [&body["active"], &body["token_type"], &body["aud"], &body["service"], &body["sub"]],
            [
                &json!(true),
                &json!("N_A"),
                &json!("keypebble-refresh"),
                &json!("registry.example.com"),
                &json!("alice")
            ]
        );
        assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 30 * 86_400);
        assert_eq!([body.get("scope"), body.get("access")], [None, None], "it opens nothing itself");

        // Whatever a token claims, these are the answer's own.
        let token = ours(
            &json!({ "active": false, "token_type": "x", "client_id": "x", "username": "x", "scope": ["a"] }),
        );
        let body = introspect(&server, "gateway", &token).json();
        assert_eq!(
            [&body["active"], &body["token_type"], &body["username"]],
            [&json!(true), &json!("Bearer"), &json!("alice")]
        );
        assert_eq!([body.get("client_id"), body.get("scope")], [None, None]);
    }
}

/// Every profile: a client learns of those that are for it, and ends one by its id.
#[test]
fn tokens_of_every_profile_are_known() {
    let folder = folder(STORE);
    let config = CONFIG
        .replace("STORE", STORE)
        .replace("users_file: users.htpasswd", "profiles: [command, kubernetes]\ncommand_targets: [edge-7]")
        .replace("[registry.example.com]", "[edge-7, vault, registry.example.com]");
    folder.write("config.yaml", &config);
    let server = serve(&folder);
    let command = server.post(
        "/command/token",
        &[JSON],
        "{\"target\": \"edge-7\", \"command\": \"reboot\", \"user\": \"alice\"}",
    );
    let account = server.post(
        "/api/v1/namespaces/build/serviceaccounts/deployer/token",
        &[JSON],
        "{\"spec\": {\"audiences\": [\"vault\", \"other\"]}}",
    );
    let generic = server.post("/auth", &[JSON], "{\"sub\": \"robot\", \"scope\": \"a b\"}");
    let registry =
        server.get("/v2/token?scope=repository:alice/app:pull", &[("X-Authenticated-User", "alice")]);
    for (answer, token, user, member, value) in [
        (&command, "/token", "alice", "command", json!("reboot")),
        (&account, "/status/token", "system:serviceaccount:build:deployer", "aud", json!(["vault", "other"])),
        (&generic, "/token", "robot", "scope", json!("a b")),
        (&registry, "/token", "alice", "aud", json!("registry.example.com")),
    ] {
        let body = answer.json();
        let token = body.pointer(token).and_then(Value::as_str).unwrap_or_else(|| panic!("{answer:?}"));
        let said = introspect(&server, "gateway", token).json();
        assert_eq!([&said["active"], &said["username"], &said[member]], [&json!(true), &json!(user), &value]);
        assert!(said["exp"].as_i64().unwrap() - now() > 50, "{said}");
        assert_inactive(&introspect(&server, "other", token), "for others");
        let id = said["jti"].as_str().unwrap();
        let shown = parsed(&done(&folder, &format!("tokens show --config config.yaml --json --id={id}")));
        assert_eq!([&shown["user"], &shown["state"]], [&json!(user), &json!("active")]);
        done(&folder, &format!("tokens revoke --config config.yaml --id={id}"));
        assert_inactive(&introspect(&server, "admin", token), "revoked");
    }
}

#[test]
fn whatever_is_not_an_active_token_of_the_caller_s_business_has_one_answer() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let none = json!({});
    let header = |changes: Value| signed(&changes, &claims(&none), KEY);
    let good = ours(&none);
    assert!(is_active(&server, &good), "the table can fail");
    let (head, rest) = good.split_once('.').unwrap();
    for (what, token) in [
        ("no token", "x".to_owned()),
        ("parts", "a.b.c".to_owned()),
        ("five parts", "a.b.c.d.e".to_owned()),
        ("space", " ".to_owned()),
        ("line end", format!("{good}\n")),
        ("control characters", "\0\u{1b}[31m".to_owned()),
        ("long", "x".repeat(40_000)),
        ("not ASCII", "\u{fc}\u{1f600}".to_owned()),
        ("Bearer", format!("Bearer {good}")),
        ("cut", good[..good.len() - 1].to_owned()),
        ("signed by nobody", format!("{head}.{}.", rest.split_once('.').unwrap().0)),
        ("alg none", signed(&json!({ "alg": "none" }), &claims(&none), KEY)),
        ("another algorithm", header(json!({ "alg": "HS512", "kid": "k1" }))),
        ("another key id", header(json!({ "alg": "HS256", "kid": "k2" }))),
        ("crit", header(json!({ "alg": "HS256", "kid": "k1", "crit": ["exp"] }))),
        ("another secret", signed(&json!({ "alg": "HS256", "kid": "k1" }), &claims(&none), "x")),
        ("expired", ours(&json!({ "exp": now() - 1 }))),
        ("expires now", ours(&json!({ "exp": now() }))),
        ("no expiry", ours(&json!({ "exp": null }))),
        ("a text for a time", ours(&json!({ "exp": "9999999999" }))),
        ("a fraction", ours(&json!({ "exp": 9_999_999_999.5 }))),
        ("not yet", ours(&json!({ "nbf": now() + 600 }))),
        ("another issuer", ours(&json!({ "iss": "https://auth.example.com/" }))),
        ("no issuer", ours(&json!({ "iss": null }))),
        ("refresh token", "kpr1_".to_owned()),
        ("refresh token", format!("kpr1_{good}")),
        ("refresh token", "kpr1_e30.e30".to_owned()),
    ] {
        assert_inactive(&introspect(&server, "admin", &token), what);
    }
    let elsewhere = ours(&json!({ "aud": "other.example.com" }));
    assert!(is_active(&server, &elsewhere));
    let [_, refresh] = log_in(&server, "other.example.com");
    for token in [&elsewhere, &refresh, &ours(&json!({ "aud": null })), &ours(&json!({ "aud": ["x", 7] }))] {
        assert_inactive(&introspect(&server, "gateway", token), "not for the gateway");
    }
    let both = ours(&json!({ "aud": ["other.example.com", "registry.example.com"] }));
    assert_eq!(introspect(&server, "gateway", &both).json()["active"], json!(true));
}

#[test]
fn a_hint_never_hides_a_token() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let [registry, refresh] = log_in(&server, "registry.example.com");
    for hint in ["access_token", "refresh_token", "id_token", "no such thing", ""] {
        for token in [&registry, &refresh] {
            let parameters = [("token", token.as_str()), ("token_type_hint", hint)];
            assert_eq!(
                ask_as(&server, "admin", "/introspect", &parameters).json()["active"],
                json!(true),
                "{hint}"
            );
        }
    }
    for (token, hint) in [(&registry, "refresh_token"), (&refresh, "access_token")] {
        let answer = ask_as(&server, "admin", "/revoke", &[("token", token), ("token_type_hint", hint)]);
        assert_eq!(answer.status, 200);
        assert!(!is_active(&server, token), "{hint}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn a_caller_proves_who_it_is_and_asks_what_it_may() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let token = ours(&json!({}));
    let of = |parameters: &[(&str, &str)]| form(&[&[("token", token.as_str())], parameters].concat());
    let secret = ("client_secret", SECRET);
    let gateway = basic("gateway", SECRET);
    let with = |authorization: &str| {
        vec![FORM, ("Authorization", authorization)]
            .into_iter()
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect::<Vec<_>>()
    };
    let plain = vec![(FORM.0.to_owned(), FORM.1.to_owned())];
    let query = format!("/introspect?token={token}");
    let odd = format!("a+b%25c:{}", form(&[("", &format!("+/% {SECRET}"))]).trim_start_matches('='));
    let odd = format!("Basic {}", common::encode::base64(odd.as_bytes()));
    for (what, path, headers, body, status, error) in [
        ("Basic", "/introspect", with(&gateway), of(&[]), 200, ""),
        ("Basic, encoded", "/introspect", with(&odd), of(&[]), 200, ""),
        ("Basic, and its own name", "/introspect", with(&gateway), of(&[("client_id", "gateway")]), 200, ""),
        ("form", "/introspect", plain.clone(), of(&[("client_id", "gateway"), secret]), 200, ""),
        (
            "form, odd",
            "/introspect",
            plain.clone(),
            of(&[("client_id", "a b%c"), ("client_secret", &format!("+/% {SECRET}"))]),
            200,
            "",
        ),
        ("empty is absent", "/introspect", with(&gateway), of(&[("client_secret", "")]), 200, ""),
        ("nobody", "/introspect", plain.clone(), of(&[]), 401, "invalid_client"),
        (
            "a name alone",
            "/introspect",
            plain.clone(),
            of(&[("client_id", "gateway")]),
            401,
            "invalid_client",
        ),
        ("a secret alone", "/introspect", plain.clone(), of(&[secret]), 400, "invalid_request"),
        ("wrong", "/introspect", with(&basic("gateway", "wrong")), of(&[]), 401, "invalid_client"),
        (
            "wrong, in a form",
            "/revoke",
            plain.clone(),
            of(&[("client_id", "admin"), secret]),
            401,
            "invalid_client",
        ),
        ("unknown", "/introspect", with(&basic("nobody", SECRET)), of(&[]), 401, "invalid_client"),
        ("a user", "/introspect", with(&basic("alice", "alice")), of(&[]), 401, "invalid_client"),
        (
            "the name inside",
            "/introspect",
            with(&basic("client:gateway", SECRET)),
            of(&[]),
            401,
            "invalid_client",
        ),
        ("Bearer", "/introspect", with(&format!("Bearer {token}")), of(&[]), 401, "invalid_client"),
        ("malformed", "/introspect", with("Basic !"), of(&[]), 401, "invalid_client"),
        ("a stray percent", "/introspect", with(&basic("gateway", "%")), of(&[]), 401, "invalid_client"),
        (
            "both",
            "/introspect",
            with(&gateway),
            of(&[("client_id", "gateway"), secret]),
            400,
            "invalid_request",
        ),
        (
            "another name",
            "/introspect",
            with(&gateway),
            of(&[("client_id", "admin")]),
            400,
            "invalid_request",
        ),
        ("may not", "/revoke", with(&gateway), of(&[]), 400, "unauthorized_client"),
        ("not about this", "/revoke", with(&basic("other", SECRET)), of(&[]), 400, "unauthorized_client"),
        ("no token", "/introspect", with(&gateway), String::new(), 400, "invalid_request"),
        ("an empty token", "/introspect", with(&gateway), "token=".to_owned(), 400, "invalid_request"),
        ("two tokens", "/introspect", with(&gateway), of(&[("token", "x")]), 400, "invalid_request"),
        (
            "two hints",
            "/introspect",
            with(&gateway),
            of(&[("token_type_hint", "a"), ("token_type_hint", "b")]),
            400,
            "invalid_request",
        ),
        (
            "two names",
            "/introspect",
            plain.clone(),
            of(&[("client_id", "a"), ("client_id", "b")]),
            400,
            "invalid_request",
        ),
        ("no form", "/introspect", with(&gateway), "token=%zz".to_owned(), 400, "invalid_request"),
        ("not UTF-8", "/introspect", with(&gateway), "token=%ff".to_owned(), 400, "invalid_request"),
        ("in the address", query.as_str(), with(&gateway), of(&[]), 400, "invalid_request"),
        (
            "JSON",
            "/introspect",
            [with(&gateway)[1..].to_vec(), vec![(JSON.0.to_owned(), JSON.1.to_owned())]].concat(),
            of(&[]),
            400,
            "invalid_request",
        ),
    ] {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = server.post(path, &headers, &body);
        assert_eq!(
            (answer.status, answer.json()["error"].as_str().unwrap_or_default()),
            (status, error),
            "{what}: {answer:?}"
        );
        assert_eq!(
            answer.header("WWW-Authenticate").is_some_and(|value| value.starts_with("Basic ")),
            status == 401,
            "{what}"
        );
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{what}");
    }
    let get = server.get("/introspect", &[]);
    assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
    assert_eq!(server.request("POST", "/revoke", &[FORM], None).status, 400);
    assert!(is_active(&server, &token), "none of these revoked it");
    let (_, log) = server.stop("TERM");
    assert!(!log.contains(&token) && !log.contains(SECRET), "{log}");
    assert!(log.contains("wrong secret of gateway") && !log.contains("nobody"), "{log}");
    assert!(log.contains("user=client:gateway"), "{log}");
}

#[test]
fn clients_come_and_go_while_it_runs() {
    let folder = folder("");
    let server = serve(&folder);
    let (token, config) = (ours(&json!({})), folder.read("config.yaml"));
    let status = |client| ask_as(&server, client, "/introspect", &[("token", &token)]).status;
    assert_eq!((status("gateway"), status("newcomer")), (200, 401));
    folder.write("config.yaml", &config.replace("name: gateway", "name: newcomer"));
    server.signal("HUP");
    common::until("the newcomer is known", || status("newcomer") == 200);
    assert_eq!(status("gateway"), 401);
}

#[test]
fn what_is_risky_about_clients_is_warned_of() {
    let folder = folder("");
    let warned = |config: &str| {
        folder.write("config.yaml", config);
        done(&folder, "check --config config.yaml --policy policy.yaml")
    };
    let config = CONFIG.replace("STORE", "");
    let said = warned(&config);
    assert!(said.contains("the secret of the client a b%c holds + or %"), "{said}");
    assert!(said.contains("clients          4\n") && !said.contains("plain http"), "{said}");
    let open = config.replace("host: 127.0.0.1", "host: 0.0.0.0").replace("users_file: users.htpasswd", "");
    assert!(warned(&open).contains("the secrets of `clients` come in over plain http on 0.0.0.0"));
    let cheap = "hash: $2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let said = warned(&config.replacen("secret_path: gateway.secret", cheap, 1));
    assert!(said.contains("the client gateway: a hash of a bcrypt cost under 10"), "{said}");
}

#[test]
fn guessing_a_secret_is_slowed_like_guessing_a_password() {
    let folder = folder("");
    let server = serve(&folder);
    let guess = |number: usize| {
        let login = basic("gateway", &format!("wrong{number}"));
        server.post("/introspect", &[FORM, ("Authorization", &login)], "token=x")
    };
    let refused = (0..40).map(guess).find(|answer| answer.status != 401).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "TOOMANYREQUESTS"));
    assert!(refused.header("Retry-After").is_some());
}

#[test]
fn a_trusted_peer_asks_for_itself_and_lends_its_trust_to_nobody() {
    let config = CONFIG.replace("STORE", STORE).replace("users_file: users.htpasswd", "");
    let folder = folder(STORE);
    folder.write("config.yaml", &config);
    let server = serve(&folder);
    let token = ours(&json!({ "aud": "nobody.example.com" }));
    let body = form(&[("token", &token)]);
    assert_eq!(server.post("/introspect", &[FORM], &body).json()["active"], json!(true));
    for (name, value) in [
        ("X-Forwarded-For", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("X-Real-IP", "10.0.0.1"),
        ("Via", "1.1 front"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Authenticated-User", "alice"),
        ("X-Authenticated-User", ""),
        ("Origin", "https://evil.example"),
        ("Authorization", "Basic YTpi"),
    ] {
        for path in ["/introspect", "/revoke"] {
            let answer = server.post(path, &[FORM, (name, value)], &body);
            assert_eq!(
                (answer.status, answer.json()["error"].clone()),
                (401, json!("invalid_client")),
                "{name}"
            );
        }
    }
    for named in [
        &[("client_id", "gateway")][..],
        &[("client_id", "gateway"), ("client_secret", "")],
        &[("client_id", ""), ("client_secret", "")],
    ] {
        let body = form(&[&[("token", token.as_str())], named].concat());
        assert_eq!(server.post("/introspect", &[FORM], &body).status, 401, "a client that shows no secret");
    }
    let behind = [FORM, ("X-Forwarded-For", "10.0.0.1"), ("Authorization", &*basic("gateway", SECRET))];
    assert_inactive(
        &server.post("/introspect", &behind, &body),
        "a client counts as itself, wherever it comes from",
    );
    assert_eq!(server.post("/revoke", &[FORM], &body).status, 200);
    assert_inactive(&server.post("/introspect", &[FORM], &body), "revoked");
}

#[test]
fn revoking_ends_a_token_and_a_login_what_came_from_it() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let [first, refresh] = log_in(&server, "registry.example.com");
    let body = refreshed(&server, &refresh).json();
    let second = body["access_token"].as_str().unwrap().to_owned();
    let [elsewhere, other_login] = log_in(&server, "registry.example.com");
    for token in [&first, &refresh, &second, &elsewhere, &other_login] {
        assert!(is_active(&server, token));
    }
    revoke(&server, &second);
    revoke(&server, &second);
    assert!(!is_active(&server, &second) && is_active(&server, &first));
    let third = refreshed(&server, &refresh).json()["access_token"].as_str().unwrap().to_owned();
    revoke(&server, &refresh);
    for (token, what) in
        [(&refresh, "itself"), (&first, "what was given with it"), (&third, "what came from it")]
    {
        assert!(!is_active(&server, token), "{what}");
    }
    assert!(is_active(&server, &elsewhere) && is_active(&server, &other_login));
    let refused = refreshed(&server, &refresh);
    assert_eq!((refused.status, refused.json()["error"].clone()), (401, json!("invalid_grant")));
    for nothing in ["x", "a.b.c", &ours(&json!({ "exp": 1 }))] {
        revoke(&server, nothing);
    }
    // A token that was never recorded is revoked all the same, and durably.
    let unrecorded = ours(&json!({ "jti": "never-seen" }));
    revoke(&server, &unrecorded);
    server.stop("KILL");
    let server = serve(&folder);
    for token in [&first, &refresh, &second, &third, &unrecorded] {
        assert!(!is_active(&server, token), "after a restart");
    }
    assert!(is_active(&server, &elsewhere));
    let nameless = ours(&json!({ "jti": null }));
    let answer = ask_as(&server, "admin", "/revoke", &[("token", &nameless)]);
    assert_eq!(answer.json()["error"], json!("unsupported_token_type"));
}

/// A refresh token that is older than the store is ended with what came from it since.
#[test]
fn a_login_can_be_ended_while_its_user_is_out_of_the_policy() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let [_, refresh] = log_in(&server, "registry.example.com");
    let [_, kept] = log_in(&server, "registry.example.com");
    folder.write("policy.yaml", "users: {}\n");
    until("alice is out", || !is_active(&server, &refresh));
    revoke(&server, &refresh);
    folder.write("policy.yaml", POLICY);
    until("alice is back", || is_active(&server, &kept));
    assert_eq!((refreshed(&server, &refresh).status, refreshed(&server, &kept).status), (401, 200));
}

#[test]
fn an_access_token_s_client_is_said() {
    let folder = folder(&format!("{STORE}\ntoken_type: at+jwt"));
    let server = serve(&folder);
    let token = done(&folder, "issue --config config.yaml --sub alice --claim client_id=app");
    let answer = introspect(&server, "admin", token.trim()).json();
    assert_eq!((&answer["client_id"], &answer["username"]), (&json!("app"), &json!("alice")));
}

#[test]
fn a_login_that_was_never_recorded_ends_whole() {
    let folder = folder("");
    let server = serve(&folder);
    let [_, refresh] = log_in(&server, "registry.example.com");
    drop(server);
    folder.write("config.yaml", &CONFIG.replace("STORE", STORE));
    done(&folder, "store init --config config.yaml");
    let server = serve(&folder);
    let body = refreshed(&server, &refresh).json();
    let newer = body["access_token"].as_str().unwrap();
    assert!(is_active(&server, newer) && is_active(&server, &refresh));
    revoke(&server, &refresh);
    assert!(!is_active(&server, newer) && !is_active(&server, &refresh));
}

#[test]
fn no_claim_stands_for_a_member_of_the_answer_in_whatever_letter_case() {
    let folder = folder("");
    let server = serve(&folder);
    let token = ours(&json!({
        "Active": false, "CLIENT_ID": "root", "UserName": "root", "to\u{212a}en_type": "N_A", "sub": null, "x": 1,
    }));
    let answer = introspect(&server, "admin", &token).json();
    let mut names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["active", "aud", "exp", "iat", "iss", "jti", "nbf", "token_type", "x"], "{answer}");
}

#[test]
fn without_a_store_nothing_can_be_revoked_and_discovery_does_not_say_so() {
    let discovery = |folder: &Folder| serve(folder).get("/.well-known/openid-configuration", &[]).json();
    let without = folder("");
    let server = serve(&without);
    let answer = ask_as(&server, "admin", "/revoke", &[("token", &ours(&json!({})))]);
    assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("unsupported_token_type")));
    let found = discovery(&without);
    assert_eq!(found["introspection_endpoint"], json!("https://auth.example.com/introspect"));
    assert_eq!(found.get("revocation_endpoint"), None);
    let found = discovery(&folder(STORE));
    assert_eq!(found["revocation_endpoint"], json!("https://auth.example.com/revoke"));
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    assert_eq!(found["revocation_endpoint_auth_methods_supported"], methods);
}

#[test]
fn a_required_store_vouches_only_for_what_it_knows() {
    let folder = folder("store: sqlite:store.db\nstore_required: true");
    let server = serve(&folder);
    let [registry, refresh] = log_in(&server, "registry.example.com");
    assert!(is_active(&server, &registry) && is_active(&server, &refresh));
    assert_inactive(&introspect(&server, "admin", &ours(&json!({}))), "not recorded");
}

#[cfg(feature = "postgres")]
#[test]
fn a_store_that_is_away_is_503_and_never_200() {
    let folder = folder("");
    let store = format!("store: postgres://keypebble@127.0.0.1:{}/keypebble", common::free_port());
    folder.write("config.yaml", &CONFIG.replace("STORE", &store));
    let server = serve(&folder);
    let token = ours(&json!({}));
    for path in ["/revoke", "/introspect"] {
        let answer = ask_as(&server, "admin", path, &[("token", &token)]);
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error), (503, json!("temporarily_unavailable")), "{path}");
        assert!(answer.header("Retry-After").is_some());
        // What cannot be a token needs no store.
        assert_eq!(ask_as(&server, "admin", path, &[("token", "x")]).status, 200, "{path}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn tokens_are_listed_shown_and_ended_from_the_command_line() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let [registry, refresh] = log_in(&server, "registry.example.com");
    let [other, other_login] = log_in(&server, "registry.example.com");
    let (login, token) = (id(&server, &refresh), id(&server, &registry));
    let body = refreshed(&server, &refresh).json();
    let second = body["access_token"].as_str().unwrap();
    let second_id = id(&server, second);

    let list =
        |flags: &str| parsed(&done(&folder, &format!("tokens list --config config.yaml --json {flags}")));
    assert_eq!(list("").as_array().unwrap().len(), 5);
    assert_eq!(list("--user bob"), json!([]));
    assert_eq!(list("--logins").as_array().unwrap().len(), 2);
    assert_eq!(list("--client docker --limit 2").as_array().unwrap().len(), 2);
    assert_eq!(list("--key k1 --user alice --all").as_array().unwrap().len(), 5);
    let more = line(&folder, "tokens list --config config.yaml --limit 4");
    assert!(stderr(&more).contains("only the latest 4 are shown"), "{}", stderr(&more));

    let shown = parsed(&done(&folder, &format!("tokens show --config config.yaml --json --id {second_id}")));
    assert_eq!(
        [
            &shown["profile"],
            &shown["state"],
            &shown["user"],
            &shown["login"],
            &shown["granted"],
            &shown["client"]
        ],
        [&json!("registry"), &json!("active"), &json!("alice"), &json!(login), &json!(""), &json!("docker")]
    );
    let shown = done(&folder, &format!("tokens show --config config.yaml --id {login}"));
    for part in [
        "a login at registry.example.com",
        "other tokens of this login:",
        second_id.as_str(),
        "client    docker",
        " days)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = done(&folder, &format!("tokens show --config config.yaml --id {token}"));
    assert!(
        shown.contains("by        users.alice (pattern alice/app)")
            && shown.contains("repository:alice/app:pull,push"),
        "{shown}"
    );

    let ended = line(&folder, &format!("tokens revoke --config config.yaml --id {login}"));
    assert!(stdout(&ended).contains("3 had not expired"), "{}", stdout(&ended));
    assert!(stderr(&ended).contains("no registry asks Keypebble"), "{}", stderr(&ended));
    for token in [&refresh, &registry, second] {
        assert!(!is_active(&server, token), "a running server knows at once");
    }
    assert!(is_active(&server, &other) && is_active(&server, &other_login));
    assert_eq!(refreshed(&server, &refresh).status, 401);

    let ended = parsed(&done(&folder, "tokens revoke --config config.yaml --user alice --before 1h --json"));
    assert_eq!(ended, json!({ "ended": 0, "registries_take_them_until": null }));
    assert!(is_active(&server, &other));
    let ended = parsed(&done(&folder, "tokens revoke --config config.yaml --user alice --json"));
    assert_eq!(ended["ended"], json!(5));
    assert!(ended["registries_take_them_until"].is_string());
    for token in [&registry, &other, &other_login, &ours(&json!({ "iat": now() - 9 }))] {
        assert!(!is_active(&server, token), "all that were issued until then, recorded or not");
    }
    let states: Vec<Value> =
        list("").as_array().unwrap().iter().map(|token| token["state"].clone()).collect();
    assert_eq!(states, vec![json!("revoked"); 5]);
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    let folder = folder(STORE);
    for (command, code, part) in [
        ("tokens list", 2, "--config PATH"),
        ("tokens list --config config.yaml --limit 0", 2, "--limit: expected a whole number from 1"),
        ("tokens show --config config.yaml", 2, "needs --id ID"),
        ("tokens show --config config.yaml --id x", 1, "has no token with the id `x`"),
        ("tokens revoke --config config.yaml", 2, "needs one of --id ID, --user NAME"),
        ("tokens revoke --config config.yaml --id x", 1, "has no token with the id `x`"),
        ("tokens revoke --config config.yaml --user a --key b", 2, "exclude each other"),
        ("tokens revoke --config config.yaml --id x --before 1h", 2, "--before is for many tokens"),
        ("tokens revoke --config config.yaml --user a --before 2999-01-01", 2, "yet to come"),
        (
            "tokens revoke --config config.yaml --user a --before tuesday",
            2,
            "expected a day or a time in UTC",
        ),
        ("audit --config config.yaml --at 1h --since 2h", 2, "--at and --since exclude each other"),
        ("audit --config config.yaml --at 2026-02-30", 2, "found `2026-02-30`"),
        ("audit --config config.yaml --action push", 2, "needs --repository NAME"),
        (
            "audit --config config.yaml --repository a --action write",
            2,
            "expected one of pull, push, delete, found `write`",
        ),
        ("audit --config config.yaml --repository repository:al/app:push", 2, "is not a repository's name"),
        ("audit --config config.yaml --repository al/app:latest", 2, "hint: such as alice/app: without"),
        ("audit --config config.yaml --repository al/APP", 2, "`al/APP` is not a repository's name"),
        ("audit --config config.yaml --repository al/*", 2, "is not a repository's name"),
        ("audit --config config.yaml --repository /al/app", 2, "is not a repository's name"),
        ("audit --config config.yaml --repository a --policy policy.yaml", 1, "was not in force then"),
    ] {
        let output = line(&folder, command);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{command}: {}", stderr(&output));
    }
    folder.write("config.yaml", &CONFIG.replace("STORE", ""));
    for command in ["tokens list", "audit"] {
        let output = line(&folder, &format!("{command} --config config.yaml"));
        assert!(stderr(&output).contains("this configuration has no store"), "{}", stderr(&output));
    }
}

#[test]
fn an_audit_says_who_got_what_when_and_by_which_rule() {
    let folder = folder(STORE);
    let server = serve(&folder);
    let [registry, refresh] = log_in(&server, "registry.example.com");
    let pulled = server
        .get("/v2/token?scope=repository:alice/app:pull,push", &[("Authorization", &basic("bob", "bob"))]);
    assert_eq!(pulled.status, 200);
    let registry_id = id(&server, &registry);
    revoke(&server, &refresh);
    assert_eq!(refreshed(&server, &refresh).status, 401);
    server.stop("TERM");

    let audit = |flags: &str| parsed(&done(&folder, &format!("audit --config config.yaml --json {flags}")));
    let users = |found: &Value| -> Vec<String> {
        let user = |token: &Value| token["user"].as_str().unwrap().to_owned();
        found["tokens"].as_array().unwrap().iter().map(user).collect()
    };
    let all = audit("--repository alice/app");
    assert_eq!(users(&all), ["bob", "alice"]);
    assert_eq!(all["tokens"][0]["rules"], json!("users.bob.rules[0] (pattern alice/*)"));
    assert_eq!(all["dropped"], json!(0));
    let hash = all["policies"][0]["sha256"].as_str().unwrap();
    assert!(hash.starts_with(all["tokens"][0]["policy"].as_str().unwrap()), "{all}");
    let pushed = audit("--repository alice/app --action push --at 0s --policy policy.yaml");
    assert_eq!(users(&pushed), ["alice"]);
    assert_eq!(pushed["tokens"][0]["id"], json!(registry_id));
    assert_eq!(
        pushed["able"],
        json!([{ "user": "alice", "action": "push", "rule": "users.alice (pattern alice/app)" }])
    );
    assert_eq!(users(&audit("--repository alice/app --since 1d")), ["bob", "alice"]);
    assert_eq!(users(&audit("--repository alice/app --at 1d")), [""; 0], "nothing was issued yet");
    assert_eq!(
        users(&audit("--repository Registry.example.com/alice/app")),
        ["bob", "alice"],
        "its own name"
    );
    assert_eq!(users(&audit("--repository other.example/alice/app")), [""; 0]);
    assert_eq!(users(&audit("--repository alice")), [""; 0], "the whole name");
    let kinds = |found: &Value| -> Vec<String> {
        let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
        let mut kinds: Vec<String> = found["events"].as_array().unwrap().iter().map(kind).collect();
        kinds.sort_unstable();
        kinds
    };
    let of_alice = audit("--user alice --since 1h");
    assert_eq!(users(&of_alice), ["alice", "alice"]);
    assert_eq!(kinds(&of_alice), ["revoked", "revoked_token_used"]);
    assert_eq!(of_alice["events"][1]["actor"], json!("client:admin"));
    assert_eq!(kinds(&audit("--user bob")), [""; 0]);
    assert_eq!(kinds(&audit("")), ["revoked", "revoked_token_used"]);
    let logins = parsed(&done(&folder, "tokens list --config config.yaml --logins --json"));
    done(&folder, &format!("tokens revoke --config config.yaml --id={}", logins[0]["id"].as_str().unwrap()));
    let of_repository = kinds(&audit("--repository alice/app"));
    assert_eq!(
        of_repository,
        ["revoked", "revoked", "revoked_token_used"],
        "with the login its tokens ended"
    );

    let text =
        done(&folder, "audit --config config.yaml --repository alice/app --action push --policy policy.yaml");
    for part in
        [hash, "these could get it:", "users.alice (pattern alice/app)", registry_id.as_str(), "1 token(s)"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(audit("--limit 1")["more"] == json!(true));
}

#[test]
fn another_policy_is_not_asked_what_it_would_have_granted() {
    let folder = folder(STORE);
    serve(&folder).stop("TERM");
    let old = folder.read("policy.yaml");
    folder.write("policy.yaml", &old.replace("[pull]", "[pull, push]"));
    let server = serve(&folder);
    server.stop("TERM");
    folder.write("old.yaml", &old);
    let able = |policy: &str| {
        let flags = "--config config.yaml --repository alice/app --action push --json --policy";
        line(&folder, &format!("audit {flags} {policy}"))
    };
    for (policy, users) in [("old.yaml", 1), ("policy.yaml", 2)] {
        let found = parsed(&stdout(&able(policy)));
        assert_eq!(found["able"].as_array().unwrap().len(), users, "{policy}");
        assert_eq!(found["policies"].as_array().unwrap().len(), 2);
    }
    // When there was none, everybody got everything, and that is said.
    let config = folder.read("config.yaml");
    folder.write("config.yaml", &format!("{config}policy: none\n"));
    Server::start(&folder, &["--config", "config.yaml"]).stop("TERM");
    folder.write("config.yaml", &config);
    serve(&folder).stop("TERM");
    let text = done(&folder, "audit --config config.yaml");
    assert!(text.contains("\npolicy   none: everything is granted since "), "{text}");
    let policies = parsed(&stdout(&able("policy.yaml")))["policies"].take();
    let hashes: Vec<_> = policies.as_array().unwrap().iter().map(|one| one["sha256"].is_string()).collect();
    assert_eq!(hashes, [true, false, true, true]);
    folder.write("old.yaml", &format!("{old}# changed\n"));
    let refused = able("old.yaml");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("find the file with this hash"), "{}", stderr(&refused));
}
