//! What a policy gives over HTTP and on the command line: the anonymous part that everyone keeps, zot's
//! catalog, denies behind the registry's name, and patterns that are refused.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Answer, Folder, Server, claims, line, run, scopes, serve, stderr, stdout};

const CONFIG: &str = "
issuer: i
audience: reg.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
service: {host: 127.0.0.1, port: 0}
";
const POLICY: &str = "
users:
  alice: {repos: [alice/app], actions: [pull, push], deny: [{repos: [public/secret]}]}
  admin: {repos: [\"**\"], actions: [\"*\"], catalog: true, deny: [{repos: [\"vault/**\"]}]}
anonymous: {repos: [\"public/*\"], actions: [pull, push], deny: [{repos: [public/draft]}]}
";

fn folder(policy: &str) -> Folder {
    common::folder(CONFIG, policy)
}

fn ask(server: &Server, user: &str, scope: &str) -> Answer {
    let named = [("X-Authenticated-User", user)];
    server.get(&format!("/v2/token?scope={scope}"), if user.is_empty() { &[] } else { &named })
}

/// The `access` of a token, as scopes.
fn access(token: &str) -> String {
    scopes(&claims(token))
}

fn given(server: &Server, user: &str, scope: &str) -> String {
    let answer = ask(server, user, scope);
    assert_eq!(answer.status, 200, "{user} {scope}: {answer:?}");
    access(answer.json()["token"].as_str().unwrap())
}

#[test]
fn whoever_logs_in_keeps_what_the_anonymous_may_pull() {
    let folder = folder(POLICY);
    let server = serve(&folder);
    for (user, scope, expected) in [
        ("", "repository:public/app:pull", "repository:public/app:pull"),
        ("alice", "repository:public/app:pull,push", "repository:public/app:pull"),
        ("mallory", "repository:public/app:pull,push", "repository:public/app:pull"),
        ("mallory", "repository:alice/app:pull", ""),
        ("alice", "repository:public/secret:pull", ""),
        ("mallory", "repository:public/draft:pull", ""),
        ("admin", "repository:public/draft:pull", "repository:public/draft:pull"),
        ("mallory", "repository:reg.example.com/public/app:pull", "repository:public/app:pull"),
    ] {
        assert_eq!(given(&server, user, scope), expected, "{user} {scope}");
        if user.is_empty() {
            continue;
        }
        let claims = format!("{{\"sub\":\"{user}\",\"scope\":\"{scope}\"}}");
        let output = run(
            &folder,
            &["issue", "--config", "config.yaml", "--policy", "policy.yaml", "--claims", &claims],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(access(&stdout(&output)), expected, "issue: {user} {scope}");
        let unnamed = stderr(&output).contains("the policy does not know user `mallory`");
        assert_eq!(unnamed, user == "mallory", "{}", stderr(&output));
    }
    let explain = |rest: &str| stdout(&line(&folder, &format!("policy explain --policy policy.yaml {rest}")));
    let text = explain("--user mallory --scope repository:public/app:pull,push");
    for part in [
        "no such user in policy.yaml: they get what `anonymous` may pull, and no more",
        "pull    granted  policy.yaml:5:1 anonymous (pattern public/*), for 3600 s",
        "push    no rule",
        "grants repository:public/app:pull,",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = explain("--user alice --scope repository:public/secret:pull");
    assert!(text.contains("pull    denied   policy.yaml:3:61 users.alice.deny[0]"), "{text}");
    let text = explain("--user alice --scope repository:publik/app:pull");
    assert!(text.contains("the nearest, policy.yaml:5:1 anonymous (pattern public/*), is 1 edit"), "{text}");
}

#[test]
fn a_policy_can_expect_and_generate_what_everyone_keeps() {
    let tests = "tests:\n  - {user: mallory, scope: \"repository:public/a:pull\", grants: \"repository:public/a:pull\"}\n";
    let folder = folder(&format!(
        "anonymous: {{repos: [public/a], actions: [pull]}}\nusers: {{alice: {{}}}}\n{tests}"
    ));
    let output = line(&folder, "policy test --policy policy.yaml");
    assert!(output.status.success(), "{}", stdout(&output));
    for user in ["alice", "mallory"] {
        let generate = format!(
            "issue --config config.yaml --policy policy.yaml --generate --claims {{\"sub\":\"{user}\"}}"
        );
        let output = line(&folder, &generate);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(access(&stdout(&output)), "repository:public/a:pull", "{user}");
    }
    folder.write("policy.yaml", "users: {alice: {}}\n");
    let output =
        line(&folder, "issue --config config.yaml --policy policy.yaml --claims {\"sub\":\"mallory\"}");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}

#[test]
fn zot_s_catalog_is_the_repository_without_a_name() {
    let folder = folder(POLICY);
    let server = serve(&folder);
    for (user, scope, expected) in [
        ("admin", "repository::pull", "repository::pull"),
        ("admin", "repository::pull,push,delete", "repository::pull"),
        ("admin", "repository::*", ""),
        ("admin", "repository::push", ""),
        ("admin", "registry:catalog:*", "registry:catalog:*"),
        ("admin", "registry:catalog:pull", ""),
        ("admin", "registry::pull", ""),
        ("alice", "repository::pull", ""),
        ("mallory", "repository::pull", ""),
        ("", "repository::pull", ""),
    ] {
        assert_eq!(given(&server, user, scope), expected, "{user} {scope}");
    }
    let output =
        line(&folder, "policy explain --policy policy.yaml --user admin --scope repository::pull,push");
    let text = stdout(&output);
    assert!(text.contains("pull    granted  policy.yaml:4:42 users.admin.catalog"), "{text}");
    assert!(text.contains("this is how zot asks for its catalog, whose only action is `pull`"), "{text}");
    folder.write("policy.yaml", "anonymous: {catalog: true}\n");
    let server = serve(&folder);
    for user in ["", "mallory"] {
        assert_eq!(given(&server, user, "repository::pull"), "repository::pull", "{user}");
        assert_eq!(given(&server, user, "registry:catalog:*"), "registry:catalog:*", "{user}");
    }
}

#[test]
fn a_deny_covers_every_spelling_of_a_name() {
    let folder = folder(POLICY);
    let server = serve(&folder);
    for (scope, expected) in [
        ("repository:vault/x:pull", ""),
        ("repository:reg.example.com/vault/x:pull", ""),
        ("repository:REG.Example.com/vault/x:pull", ""),
        ("repository:reg.example.com/reg.example.com/vault/x:pull", ""),
        ("repository:other.example.com/vault/x:pull", "repository:other.example.com/vault/x:pull"),
        ("repository:app/vault/x:pull", "repository:app/vault/x:pull"),
    ] {
        assert_eq!(given(&server, "admin", scope), expected, "{scope}");
    }
    folder.write(
        "policy.yaml",
        "users: {admin: {repos: [\"**\"], actions: [pull], deny: [{repos: [\"reg.example.com/vault/**\"]}]}}\n",
    );
    let server = serve(&folder);
    for scope in ["repository:vault/x:pull", "repository:reg.example.com/vault/x:pull"] {
        assert_eq!(given(&server, "admin", scope), "", "{scope}");
    }
}

#[test]
fn push_without_pull_is_warned_of() {
    let folder = folder("users:\n  ci: {repos: [\"ci/*\"], actions: [push], ttl_seconds: 1800}\n");
    for command in [
        "check --config config.yaml --policy policy.yaml",
        "policy test --policy policy.yaml",
        "doctor --config config.yaml --policy policy.yaml",
    ] {
        let output = line(&folder, command);
        let text = stdout(&output) + &stderr(&output);
        assert!(output.status.success(), "{command}: {text}");
        assert!(text.contains("push is granted without pull"), "{command}: {text}");
        assert!(text.contains("users.ci (pattern ci/*)"), "{command}: {text}");
    }
}
