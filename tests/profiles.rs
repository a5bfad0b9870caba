//! The tokens beside those of registries, through the real binary: commands, service accounts, `/auth` with an
//! audience, a life and mapped claims, and tokens that are wrong on purpose.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{
    Answer, Folder, JSON, Server, claims, done, finish, line, metric, run, said, serve, stderr, stdout,
};
use serde_json::{Value, json};
use std::process::Command;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const POLICY: &str = "users:\n  alice: {repos: [a], actions: [pull]}\n";
const COMMAND: &str = "/command/token";
const ACCOUNT: &str = "/apis/authentication.k8s.io/v1/namespaces/build/serviceaccounts/deployer/token";
const BASIC: &str = "issuer: i\naudience: registry.example.com\n";

/// A server with this in its configuration, in `service`, and perhaps a users file with alice in it.
fn served(rest: &str, service: &str) -> (Folder, Server) {
    let config = format!(
        "{BASIC}hs256_secret: {SECRET}\ndefault_ttl_seconds: 900\nmax_ttl_seconds: 7200\n{rest}\n\
         service: {{host: 127.0.0.1, port: 0, allowed_services: [mirror.example.com]{service}}}\n"
    );
    let folder = common::folder(&config, POLICY);
    let server = serve(&folder);
    (folder, server)
}

fn with_profiles() -> (Folder, Server) {
    served(
        "profiles: [command, kubernetes]\ncommand_targets: ['edge-*', t]\nstatic_claims: {zone: 7, scope: s, access: [], command: rm}",
        "",
    )
}

/// From a users file with one user, and nobody who is trusted but the Unix socket.
#[cfg(feature = "passwords")]
fn with_passwords(trusted: &str) -> (Folder, Server) {
    let folder = Folder::new();
    // The password is `sesame`.
    folder.write("users", include_str!("docs/users.htpasswd"));
    folder.write(
        "config.yaml",
        &format!(
            "{BASIC}hs256_secret: {SECRET}\nusers_file: users\nprofiles: [command, kubernetes]\ncommand_targets: [t]\n\
             service: {{host: 127.0.0.1, port: 0, trusted_proxies: [{trusted}]}}\n"
        ),
    );
    folder.write("policy.yaml", POLICY);
    let server = serve(&folder);
    (folder, server)
}

fn message(answer: &Answer) -> String {
    let body = answer.json();
    let message = body.get("message").unwrap_or(&body["errors"][0]["message"]);
    message.as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn names(claims: &Value) -> Vec<&str> {
    claims.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_profile_that_is_not_switched_on_is_nowhere() {
    let (_folder, server) = served("", "");
    for path in [COMMAND, ACCOUNT] {
        for method in ["POST", "GET", "DELETE"] {
            let answer = server.request(method, path, &[JSON], Some("{}"));
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    let (_folder, server) = served("profiles: [command]", "");
    assert_eq!(server.post(ACCOUNT, &[JSON], "{}").status, 404);
    assert_eq!(server.get(COMMAND, &[]).header("Allow"), Some("POST"));
}

#[test]
fn a_command_token_says_who_wants_what_of_whom() {
    let (_folder, server) = with_profiles();
    let answer = server.post(
        COMMAND,
        &[JSON],
        r#"{"target": "edge-7", "command": "  reboot --now\n", "user": "alice", "expirationSeconds": 60}"#,
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(names(&body), ["expires_in", "issued_at", "jti", "token"]);
    assert_eq!(body["expires_in"], 60);
    let said = claims(body["token"].as_str().unwrap());
    assert_eq!(names(&said), ["aud", "command", "exp", "iat", "iss", "jti", "nbf", "sub", "zone"]);
    assert_eq!(
        (&said["iss"], &said["aud"], &said["sub"], &said["command"], &said["zone"]),
        (&json!("i"), &json!("edge-7"), &json!("alice"), &json!("  reboot --now\n"), &json!(7))
    );
    assert_eq!(said["jti"], body["jti"]);
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 60);
    assert!(body["issued_at"].as_str().unwrap().ends_with('Z'), "{body}");
    let nobody = server.post(COMMAND, &[JSON], r#"{"target": "edge-7", "command": "ls", "user": null}"#);
    let said = claims(nobody.json()["token"].as_str().unwrap());
    assert_eq!((&said["sub"], nobody.json()["expires_in"].as_i64()), (&json!("unknown"), Some(900)));
    let route = "{route=\"command_token\",algorithm=\"HS256\"}";
    assert_eq!(metric(&server, &format!("keypebble_tokens_issued_total{route}")), 2);
    let (_, log) = server.stop("TERM");
    assert!(log.contains("profile=command") && log.contains("audience=edge-7"), "{log}");
    assert!(!log.contains("reboot"), "a command may hold a secret: {log}");
}

#[test]
fn a_command_is_for_a_listed_target() {
    let of = |target: &str| format!(r#"{{"target": "{target}", "command": "ls"}}"#);
    let alice = [JSON, ("X-Authenticated-User", "alice")];
    let (_folder, server) = with_profiles();
    for (target, status) in [("edge-7", 200), ("t", 200), ("vault", 403), ("T", 403)] {
        assert_eq!(server.post(COMMAND, &[JSON], &of(target)).status, status, "{target}");
        assert_eq!(server.post(COMMAND, &alice, &of(target)).status, status, "{target}");
    }
    let (_folder, server) = served("profiles: [command]", "");
    assert_eq!(server.post(COMMAND, &[JSON], &of("vault")).status, 200, "a trusted peer chooses");
    assert_eq!(server.post(COMMAND, &alice, &of("vault")).status, 403, "a user does not");
}

#[test]
fn each_bad_request_for_a_command_has_its_answer() {
    let (_folder, server) = with_profiles();
    let long = json!({ "target": "t", "command": "x".repeat(4097) }).to_string();
    let long_user = json!({ "target": "t", "command": "x", "user": "x".repeat(257) }).to_string();
    for (body, code, part) in [
        ("", "INVALID_CLAIMS", "not valid JSON"),
        ("[]", "INVALID_CLAIMS", "expected a JSON object"),
        ("{}", "INVALID_REQUEST", "`target` is missing"),
        (r#"{"command": "ls"}"#, "INVALID_REQUEST", "`target` is missing"),
        (r#"{"target": "", "command": ""}"#, "INVALID_REQUEST", "`target` is missing"),
        (r#"{"target": null, "command": "ls"}"#, "INVALID_REQUEST", "`target` is missing"),
        (r#"{"target": "t"}"#, "INVALID_REQUEST", "`command` is missing"),
        (r#"{"target": "t", "command": ""}"#, "INVALID_REQUEST", "`command` is missing"),
        (r#"{"target": ["t"], "command": "ls"}"#, "INVALID_REQUEST", "`target` is not a text"),
        (r#"{"target": "t", "command": 7}"#, "INVALID_REQUEST", "`command` is not a text"),
        (r#"{"target": "t", "command": "ls", "user": 7}"#, "INVALID_REQUEST", "`user` is not a text"),
        (r#"{"target": "t", "command": "ls", "user": "a\n"}"#, "INVALID_REQUEST", "`user` holds a control"),
        (r#"{"target": "t", "command": "ls", "user": "u\u0308"}"#, "INVALID_REQUEST", "composed form"),
        (&long_user, "INVALID_REQUEST", "`user` is longer than 256 bytes"),
        (&long, "INVALID_REQUEST", "more than 4096 bytes"),
        (r#"{"target": "t", "command": "ls", "usr": "a"}"#, "INVALID_REQUEST", "something else than target"),
        (r#"{"target": "t", "command": "ls", "Target": "u"}"#, "INVALID_REQUEST", "something else than"),
        (r#"{"target": "t", "target": "u", "command": "ls"}"#, "INVALID_CLAIMS", "appears twice"),
        (r#"{"target": "t u", "command": "ls"}"#, "INVALID_SERVICE", "`target` is no name"),
        (r#"{"target": "registry.example.com", "command": "ls"}"#, "INVALID_SERVICE", "is a service of"),
        (r#"{"target": "REGISTRY.example.com", "command": "ls"}"#, "INVALID_SERVICE", "is a service of"),
        (r#"{"target": "mirror.example.com", "command": "ls"}"#, "INVALID_SERVICE", "is a service of"),
        (r#"{"target": "keypebble-refresh", "command": "ls"}"#, "INVALID_SERVICE", "is a service of"),
    ] {
        let answer = server.post(COMMAND, &[JSON], body);
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}: {answer:?}");
        assert!(message(&answer).contains(part), "{body}: {answer:?}");
    }
    for seconds in ["0", "-1", "7201", "60.5", "\"60\"", "1e9", "true", "18446744073709551616"] {
        let body = format!(r#"{{"target": "t", "command": "ls", "expirationSeconds": {seconds}}}"#);
        let answer = server.post(COMMAND, &[JSON], &body);
        assert_eq!(answer.status, 400, "{seconds}: {answer:?}");
        assert!(message(&answer).contains("expected whole seconds from 1 to 7200"), "{seconds}: {answer:?}");
    }
    let good = r#"{"target": "t", "command": "ls", "expirationSeconds": 7200}"#;
    assert_eq!(server.post(COMMAND, &[JSON], good).status, 200);
    assert_eq!(server.post(COMMAND, &[], good).status, 415);
    assert_eq!(server.post("/command/token?user=root", &[JSON], good).status, 400);
    assert_eq!(server.post("/command//token", &[JSON], good).status, 404);
    assert_eq!(server.request("POST", COMMAND, &[JSON], None).status, 411);
}

#[test]
fn a_service_account_s_token_is_a_cluster_s() {
    let (_folder, server) = with_profiles();
    for path in [ACCOUNT, "/api/v1/namespaces/build/serviceaccounts/deployer/token?pretty=true&timeout=5s"] {
        let answer = server.post(
            path,
            &[JSON],
            r#"{"spec": {"audiences": ["vault", "https://b"], "expirationSeconds": 1200}}"#,
        );
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        assert_eq!(
            (&body["kind"], &body["apiVersion"]),
            (&json!("TokenRequest"), &json!("authentication.k8s.io/v1"))
        );
        assert_eq!(body["metadata"]["name"], "deployer");
        assert_eq!(
            body["spec"],
            json!({ "audiences": ["vault", "https://b"], "expirationSeconds": 1200, "boundObjectRef": null })
        );
        let said = claims(body["status"]["token"].as_str().unwrap());
        assert_eq!(
            names(&said),
            ["aud", "command", "exp", "iat", "iss", "jti", "kubernetes.io", "nbf", "sub", "zone"]
        );
        assert_eq!(said["aud"], json!(["vault", "https://b"]));
        assert_eq!(said["sub"], "system:serviceaccount:build:deployer");
        assert_eq!(
            said["kubernetes.io"],
            json!({ "namespace": "build", "serviceaccount": { "name": "deployer" } })
        );
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 1200);
        assert!(body["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'), "{body}");
    }
    // What is not asked, and what is more than is configured: the answer says what it came to.
    for (spec, seconds) in [("", 900), (r#", "expirationSeconds": 4294967296"#, 7200)] {
        let answer = server.post(ACCOUNT, &[JSON], &format!(r#"{{"spec": {{"audiences": ["a"]{spec}}}}}"#));
        assert_eq!(answer.json()["spec"]["expirationSeconds"], seconds, "{answer:?}");
    }
}

#[test]
fn each_bad_token_request_is_answered_with_a_status() {
    let (_folder, server) = with_profiles();
    let good = r#"{"spec": {"audiences": ["vault"]}}"#;
    let of =
        |namespace: &str, name: &str| format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let long = "x".repeat(64);
    for (path, body, status, reason, part) in [
        (ACCOUNT.to_owned(), "{}", 422, "Invalid", "spec.audiences is required"),
        (ACCOUNT.to_owned(), r#"{"spec": {"audiences": []}}"#, 422, "Invalid", "spec.audiences is required"),
        (ACCOUNT.to_owned(), r#"{"spec": {"audiences": "vault"}}"#, 422, "Invalid", "is not a list"),
        (ACCOUNT.to_owned(), r#"{"spec": {"audiences": ["a", "a"]}}"#, 422, "Invalid", "twice"),
        (ACCOUNT.to_owned(), r#"{"spec": {"audiences": ["a", ""]}}"#, 422, "Invalid", "is no name"),
        (
            ACCOUNT.to_owned(),
            r#"{"spec": {"audiences": ["a", "registry.example.com"]}}"#,
            422,
            "Invalid",
            "is a service of this issuer's",
        ),
        (
            ACCOUNT.to_owned(),
            r#"{"spec": {"audiences": ["Mirror.example.com"]}}"#,
            422,
            "Invalid",
            "is a service",
        ),
        (
            ACCOUNT.to_owned(),
            r#"{"spec": {"audiences": ["a"], "expirationSeconds": 599}}"#,
            422,
            "Invalid",
            "may not be less than 600",
        ),
        (
            ACCOUNT.to_owned(),
            r#"{"spec": {"audiences": ["a"], "boundObjectRef": {"kind": "Pod", "name": "p"}}}"#,
            422,
            "Invalid",
            "spec.boundObjectRef is not supported",
        ),
        (ACCOUNT.to_owned(), "{", 400, "BadRequest", "not valid JSON"),
        (ACCOUNT.to_owned(), r#"{"spec": {}, "spec": {}}"#, 400, "BadRequest", "appears twice"),
        (ACCOUNT.to_owned() + "?dryRun=All", good, 400, "BadRequest", "dryRun is not supported"),
        (ACCOUNT.to_owned() + "?audience=a", good, 400, "BadRequest", "not known here"),
        (of("Build", "d"), good, 400, "BadRequest", "is no DNS label"),
        (of("b.c", "d"), good, 400, "BadRequest", "is no DNS label"),
        (of("%62", "d"), good, 400, "BadRequest", "is no DNS label"),
        (of(&long, "d"), good, 400, "BadRequest", "is no DNS label"),
        (of("", "d"), good, 400, "BadRequest", "is no DNS label"),
        (of("b", "d%2Fe"), good, 400, "BadRequest", "is no DNS subdomain"),
        (of("b", "d:e"), good, 400, "BadRequest", "is no DNS subdomain"),
        (of("b", ".."), good, 400, "BadRequest", "is no DNS subdomain"),
        (of("other", "deployer"), r#"{"metadata": {"namespace": "build"}}"#, 400, "BadRequest", "another"),
    ] {
        let answer = server.post(&path, &[JSON], body);
        let said = answer.json();
        assert_eq!((answer.status, &said["code"]), (status, &json!(status)), "{path} {body}: {answer:?}");
        assert_eq!(
            (&said["kind"], &said["reason"]),
            (&json!("Status"), &json!(reason)),
            "{path} {body}: {answer:?}"
        );
        assert!(message(&answer).contains(part), "{path} {body}: {answer:?}");
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(server.post(ACCOUNT, &[form], good).json()["reason"], "UnsupportedMediaType");
    assert_eq!(server.post(ACCOUNT, &[], good).status, 201, "the Python client names no type");
    let protobuf = ("Content-Type", "application/vnd.kubernetes.protobuf");
    assert_eq!(server.post(ACCOUNT, &[protobuf], "k8s\0\x12\x7f").json()["reason"], "BadRequest");
    let wrong = server.get(ACCOUNT, &[]);
    assert_eq!((wrong.status, wrong.header("Allow")), (405, Some("POST")), "{wrong:?}");
    assert_eq!(wrong.json()["reason"], "MethodNotAllowed");
}

#[test]
fn who_is_not_trusted_gets_none_of_it() {
    let (_folder, server) = served("profiles: [command, kubernetes]", ", trusted_proxies: [192.0.2.1]");
    let command = r#"{"target": "t", "command": "ls"}"#;
    for headers in [&[JSON][..], &[JSON, ("X-Authenticated-User", "alice")]] {
        assert_eq!(server.post(COMMAND, headers, command).status, 403);
        let answer = server.post(ACCOUNT, headers, r#"{"spec": {"audiences": ["vault"]}}"#);
        assert_eq!((answer.status, &answer.json()["reason"]), (403, &json!("Forbidden")));
    }
}

#[test]
fn a_user_that_a_proxy_names_asks_for_themselves() {
    let (_folder, server) = with_profiles();
    let alice = [JSON, ("X-Authenticated-User", "alice")];
    let of = |user: &str| format!(r#"{{"target": "t", "command": "ls"{user}}}"#);
    for user in ["", r#", "user": "alice""#, r#", "user": """#] {
        let answer = server.post(COMMAND, &alice, &of(user));
        assert_eq!(claims(answer.json()["token"].as_str().unwrap())["sub"], "alice", "{answer:?}");
    }
    let answer = server.post(COMMAND, &alice, &of(r#", "user": "bob""#));
    assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "{answer:?}");
    let account = r#"{"spec": {"audiences": ["vault"]}}"#;
    assert_eq!(server.post(ACCOUNT, &alice, account).status, 403, "no user is a service account");
    // A proxy whose client has not logged in.
    let nobody = [JSON, ("X-Authenticated-User", "")];
    assert_eq!(server.post(COMMAND, &nobody, &of("")).status, 401);
    assert_eq!(server.post(ACCOUNT, &nobody, account).status, 401);
    let page = [JSON, ("Origin", "http://evil.example")];
    assert_eq!(server.post(COMMAND, &page, &of("")).status, 403);
}

#[test]
fn a_proxy_lends_its_trust_to_nobody_that_it_passes_on() {
    let (_folder, server) = with_profiles();
    let command = r#"{"target": "edge-7", "command": "reboot", "user": "alice"}"#;
    let account = "/api/v1/namespaces/build/serviceaccounts/deployer/token";
    for (path, body) in [("/command/token", command), (account, r#"{"spec": {"audiences": ["vault"]}}"#)] {
        for (name, value) in [
            ("X-Forwarded-For", "203.0.113.9"),
            ("Forwarded", "for=203.0.113.9"),
            ("X-Real-IP", "203.0.113.9"),
        ] {
            let answer = server.post(path, &[JSON, (name, value)], body);
            assert_eq!(answer.status, 401, "{path} {name}: {answer:?}");
        }
        assert!(server.post(path, &[JSON], body).status < 300, "the peer itself: {path}");
    }
    let named = [JSON, ("X-Forwarded-For", "203.0.113.9"), ("X-Authenticated-User", "alice")];
    assert_eq!(server.post("/command/token", &named, command).status, 200);
}

#[test]
#[cfg(feature = "passwords")]
fn a_user_with_a_password_asks_for_themselves() {
    let password = common::basic("alice", "sesame");
    let alice = [JSON, ("Authorization", &*password)];
    let wrong = common::basic("alice", "wrong");
    let of = |user: &str| format!(r#"{{"target": "t", "command": "ls"{user}}}"#);
    let account = r#"{"spec": {"audiences": ["vault"]}}"#;
    for trusted in ["", "127.0.0.1"] {
        let (_folder, server) = with_passwords(trusted);
        let answer = server.post(COMMAND, &alice, &of(""));
        assert_eq!(claims(answer.json()["token"].as_str().unwrap())["sub"], "alice", "{answer:?}");
        assert_eq!(server.post(COMMAND, &alice, &of(r#", "user": "bob""#)).status, 403);
        assert_eq!(server.post(COMMAND, &[JSON, ("Authorization", &*wrong)], &of("")).status, 401);
        let other = server.post(COMMAND, &alice, r#"{"target": "vault", "command": "ls"}"#);
        assert_eq!((other.status, other.code().as_str()), (403, "DENIED"), "{other:?}");
        assert_eq!(server.post(ACCOUNT, &alice, account).status, 403);
        let audience = server.post("/auth?audience=registry.example.com", &alice, "{}");
        assert_eq!((audience.status, audience.code().as_str()), (403, "DENIED"), "{audience:?}");
        assert_eq!(server.post("/auth?ttl_seconds=60", &alice, "{}").status, 403);
        let expected = if trusted.is_empty() { 401 } else { 200 };
        assert_eq!(server.post(COMMAND, &[JSON], &of("")).status, expected);
    }
}

#[test]
fn a_trusted_peer_chooses_audience_and_life() {
    let (_folder, server) = served("", "");
    let life = |claims: &Value| claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    for (query, audience, seconds) in [
        ("", "registry.example.com", 900),
        ("?audience=mirror.example.com", "mirror.example.com", 900),
        ("?ttl_seconds=1&audience=registry.example.com", "registry.example.com", 1),
        ("?ttl_seconds=7200", "registry.example.com", 7200),
    ] {
        let said = server.post(&format!("/auth{query}"), &[JSON], r#"{"sub": "alice"}"#).claims();
        assert_eq!((said["aud"].as_str().unwrap(), life(&said)), (audience, seconds), "{query}");
    }
    for (query, code, part) in [
        ("?audience=vault", "INVALID_SERVICE", "signs no tokens for that service"),
        ("?audience=", "INVALID_SERVICE", "signs no tokens for that service"),
        ("?audience=Mirror.example.com", "INVALID_SERVICE", "signs no tokens for that service"),
        ("?audience=mirror.example.com&audience=registry.example.com", "INVALID_REQUEST", "given twice"),
        ("?ttl_seconds=60&ttl_seconds=60", "INVALID_REQUEST", "given twice"),
        ("?ttl_seconds=0", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=7201", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=-1", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=%2B60", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=1h", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl_seconds=99999999999999999999", "INVALID_REQUEST", "from 1 to 7200"),
        ("?ttl=60", "INVALID_REQUEST", "the parameters are audience, ttl_seconds"),
        ("?Audience=vault", "INVALID_REQUEST", "the parameters are audience, ttl_seconds"),
        ("?ttl_seconds=%", "INVALID_REQUEST", "two hex digits"),
    ] {
        let answer = server.post(&format!("/auth{query}"), &[JSON], "{}");
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{query}: {answer:?}");
        assert!(message(&answer).contains(part), "{query}: {answer:?}");
    }
}

const MAPPING: &str = "allowed_custom_claims: [sub, edge_id, site, os, fixed, role]\n\
    claim_mapping:\n  edge_id: {from: $.query.edge, required: true}\n  site: $.header.X-Site\n  \
    os: $.body.device.os\n  fixed: [1, two]\n  role: $.header.X-Role\n";

#[test]
fn claims_are_mapped_out_of_a_request() {
    let (_folder, server) = served(MAPPING, "");
    let body = r#"{"sub": "alice", "role": "admin", "device": {"os": {"name": "linux", "v": 6.1}}}"#;
    let said =
        server.post("/auth?edge=7%2F8&ttl_seconds=60", &[JSON, ("x-site", "N\u{f6}rd")], body).claims();
    assert_eq!(said["edge_id"], "7/8");
    assert_eq!(said["site"], "N\u{f6}rd");
    assert_eq!(said["os"], json!({ "name": "linux", "v": 6.1 }), "types are kept");
    assert_eq!(said["fixed"], json!([1, "two"]));
    assert_eq!(said.get("role"), None, "a mapped claim comes from its source alone");
    assert_eq!(said.get("device"), None, "the allow-list holds for what is left of the body");
    let said = server.post("/auth?edge=7", &[JSON, ("X-Role", "reader")], "{}").claims();
    assert_eq!((&said["role"], said.get("os"), said.get("site")), (&json!("reader"), None, None));
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let (_folder, server) = served(MAPPING, "");
    for (query, headers, body, part) in [
        ("", &[][..], "{}", "$.query.edge is missing in the request"),
        ("?edge=", &[], "{}", "$.query.edge is missing in the request"),
        ("?edge=1&edge=1", &[], "{}", "$.query.edge may be given once"),
        ("?edge=1", &[("X-Site", "a"), ("x-site", "a")], "{}", "$.header.X-Site may be sent once"),
        ("?edge=1", &[("X-Site", "a\tb")], "{}", "$.header.X-Site holds a control character"),
        // The gate is that of a caller's claims.
        ("?edge=1", &[], r#"{"exp": 1}"#, "the claim `exp` may not be asked for"),
        ("?edge=1", &[], r#"{"kubernetes.io": {}}"#, "the claim `kubernetes.io` may not be asked for"),
        ("?edge=1", &[], r#"{"Role": "admin"}"#, ""),
        ("?edge=1", &[("X-Role", "x")], r#"{"Role": "admin"}"#, "are the same name to programs"),
        ("?edge=1", &[], r#"{"device": {"os": {"a": 1, "A": 2}}}"#, "are the same name to programs"),
        ("?edge=1", &[], r#"{"device": {"os": 1e300}}"#, "too large to be read exactly"),
    ] {
        let headers = [&[JSON], headers].concat();
        let answer = server.post(&format!("/auth{query}"), &headers, body);
        if part.is_empty() {
            assert_eq!(answer.claims().get("Role"), None, "{answer:?}");
            continue;
        }
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "INVALID_CLAIMS"),
            "{query} {body}: {answer:?}"
        );
        assert!(message(&answer).contains(part), "{query} {body}: {answer:?}");
    }
}

#[test]
fn the_command_line_makes_command_tokens() {
    let folder = Folder::new();
    // Whether the server makes them is another question.
    folder.write(
        "config.yaml",
        &format!(
            "{BASIC}hs256_secret: {SECRET}\nmax_ttl_seconds: 7200\nstatic_claims: {{scope: s, zone: 7}}\n\
             service: {{allowed_services: [mirror.example.com]}}\n"
        ),
    );
    let command = |rest: &[&str]| run(&folder, &[&["command", "--config", "config.yaml"], rest].concat());
    let output =
        command(&["--target", "edge-7", "--command", " restart  web ", "--user", "alice", "--ttl", "2h"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let token = claims(&stdout(&output));
    assert_eq!(names(&token), ["aud", "command", "exp", "iat", "iss", "jti", "nbf", "sub", "zone"]);
    assert_eq!((&token["aud"], &token["command"]), (&json!("edge-7"), &json!(" restart  web ")));
    assert_eq!(
        (&token["sub"], token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap()),
        (&json!("alice"), 7200)
    );
    let output = command(&["--target", "edge-7", "--command", "ls"]);
    assert_eq!(claims(&stdout(&output))["sub"], "unknown");
    let long = "x".repeat(4097);
    for (rest, part) in [
        (&["--target", "registry.example.com", "--command", "ls"][..], "is a service of this issuer's"),
        (&["--target", "Mirror.example.com", "--command", "ls"], "is a service of this issuer's"),
        (&["--target", "a b", "--command", "ls"], "is no name of 1 to 256 bytes"),
        (&["--target", "edge-7", "--command", &long], "more than 4096 bytes"),
        (&["--target", "edge-7", "--command", "ls", "--ttl", "7201"], "more than `max_ttl_seconds`, 7200 s"),
    ] {
        let (code, text) = said(&command(rest));
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_token_that_is_wrong_on_purpose_says_so_and_is_wrong() {
    let folder = Folder::new();
    folder.write("config.yaml", &format!("{BASIC}hs256_secret: {SECRET}\ndefault_ttl_seconds: 900\n"));
    for (flags, warning, verdict) in [
        ("--expired", "wrong on purpose: it expired at ", "expired"),
        ("--not-yet", "wrong on purpose: it is not valid before ", "not-yet"),
        ("--wrong-signature", "wrong on purpose: its signature does not stand", "signature"),
        ("--wrong-audience", "audience is wrong.registry.example.com.invalid", "audience"),
        (
            "--at 2020-01-01T00:00:00Z",
            "made at 2020-01-01T00:00:00Z and is valid until 2020-01-01T00:15:00Z",
            "expired",
        ),
        ("--at 1577836800 --ttl 1d", "valid until 2020-01-02T00:00:00Z", "expired"),
    ] {
        let output = line(&folder, &format!("issue --config config.yaml {flags}"));
        let (code, told) = (output.status.code(), stderr(&output));
        assert_eq!(code, Some(0), "{flags}: {told}");
        assert!(told.contains("keypebble: warning: ") && told.contains(warning), "{flags}: {told}");
        let token = stdout(&output);
        assert_eq!(token.lines().count(), 1, "{flags}: only the token is on standard output");
        let (code, judged) = said(&line(&folder, &format!("verify --config config.yaml {token}")));
        assert_eq!(code, 1, "{flags}: {judged}");
        assert!(judged.contains(verdict), "{flags}: {judged}");
    }
    // All at once, and none.
    let all = line(&folder, "issue --config config.yaml --expired --wrong-signature --wrong-audience");
    assert_eq!(stderr(&all).matches("wrong on purpose").count(), 3, "{}", stderr(&all));
    let token = done(&folder, "issue --config config.yaml");
    assert_eq!(said(&line(&folder, &format!("verify --config config.yaml {token}"))).0, 0);
}

#[test]
#[ignore = "needs kubectl 1.32 or newer, which sends protobuf: see .ci/run"]
fn kubectl_creates_a_token() {
    let (folder, server) = with_profiles();
    let kubectl = |rest: &str| {
        let mut command = Command::new("kubectl");
        // No configuration of whoever runs this, and nothing kept in their home.
        command.env("HOME", folder.path()).env("KUBECONFIG", "/dev/null");
        command.args(["--server", &server.address, "-n", "build", "create", "token"]);
        said(&finish(command.args(rest.split(' ')), ""))
    };
    let (code, token) = kubectl("deployer --audience vault --audience https://b --duration 20m");
    assert_eq!(code, 0, "{token}");
    let token = claims(&token);
    assert_eq!(
        (&token["aud"], &token["sub"]),
        (&json!(["vault", "https://b"]), &json!("system:serviceaccount:build:deployer"))
    );
    assert_eq!(token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap(), 1200);
    let (code, object) = kubectl("deployer --audience vault -o json");
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        (code, &object["kind"], &object["spec"]["expirationSeconds"]),
        (0, &json!("TokenRequest"), &json!(900))
    );
    for (rest, part) in [
        ("deployer", "spec.audiences is required"),
        ("deployer --audience registry.example.com", "is a service of this issuer's"),
        ("deployer --audience vault --duration 5m", "may not be less than 600"),
        (
            "deployer --audience vault --bound-object-kind Pod --bound-object-name p --bound-object-uid u",
            "spec.boundObjectRef is not supported",
        ),
    ] {
        let (code, text) = kubectl(rest);
        assert!(code != 0 && text.contains(part), "{rest}: {text}");
    }
}
