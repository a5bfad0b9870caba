//! The policy's rules, as tables.

use super::*;
use crate::document::Document;
use std::path::Path;

fn policy(yaml: &str) -> Policy {
    Policy::compile(&Document::parse(Path::new("policy.yaml"), yaml.to_owned()).unwrap()).unwrap()
}

fn refused(yaml: &str) -> String {
    let document = Document::parse(Path::new("policy.yaml"), yaml.to_owned()).unwrap();
    let error = Policy::compile(&document).unwrap_err();
    format!("{error} | {}", error.hint.as_deref().unwrap_or(""))
}

fn asker<'a>(user: &'a str, hosts: &'a [&'a str]) -> Asker<'a> {
    let who = if user.is_empty() { Who::Anonymous } else { Who::User(user) };
    Asker { who, hosts, default_ttl: Ttl::DEFAULT }
}

fn grant(policy: &Policy, user: &str, asked: &str) -> Grant {
    policy.grant(&asker(user, &["registry.example.com", "registry"]), &scope::parse_all([asked]).unwrap())
}

const SPEC: &str = "
users:
  alice:
    namespace: \"alice-space\"
    repos: [\"app-api\", \"app-ui\"]
    actions: [\"pull\"]
  bob:
    namespace: \"bob-space\"
    repos: [\"app-api\"]
    actions: [\"pull\", \"push\"]
";

#[test]
fn the_spec_s_policy_grants_what_the_spec_says() {
    let policy = policy(SPEC);
    for (user, asked, granted) in [
        ("alice", "repository:alice-space/app-api:pull", "repository:alice-space/app-api:pull"),
        ("alice", "repository:alice-space/app-api:pull,push", "repository:alice-space/app-api:pull"),
        ("alice", "repository:alice-space/app-db:pull", ""),
        ("alice", "repository:bob-space/app-api:pull", ""),
        ("alice", "repository:app-api:pull", ""),
        ("bob", "repository:bob-space/app-api:push,pull", "repository:bob-space/app-api:push,pull"),
        ("bob", "repository:bob-space/app-api:delete", ""),
        ("bob", "repository:bob-space/app-api:*", "repository:bob-space/app-api:pull,push"),
        ("mallory", "repository:alice-space/app-api:pull", ""),
        ("alice", "repository:registry/alice-space/app-api:pull", "repository:alice-space/app-api:pull"),
        (
            "alice",
            "repository:registry.example.com/alice-space/app-api:pull",
            "repository:alice-space/app-api:pull",
        ),
        ("alice", "repository:other.example.com/alice-space/app-api:pull", ""),
        ("bob", "repository:bob-space/../alice-space/app-api:pull", ""),
        ("bob", "registry:catalog:*", ""),
        ("bob", "repository:catalog:*", ""),
        ("bob", "cluster:bob-space/app-api:pull", ""),
    ] {
        assert_eq!(scope::join(&grant(&policy, user, asked).access), granted, "{user} {asked}");
    }
}

#[test]
fn a_grant_is_complete_only_where_all_that_was_asked_is_given() {
    let policy = policy(SPEC);
    for (asked, complete) in [
        ("", true),
        ("repository:bob-space/app-api:pull,push", true),
        ("repository:bob-space/app-api:*", true),
        ("repository:bob-space/app-api:pull,delete", false),
        ("repository:bob-space/app-api:pull,frobnicate", false),
        ("repository:bob-space/app-api:pull repository:x:pull", false),
    ] {
        assert_eq!(grant(&policy, "bob", asked).complete, complete, "{asked}");
    }
}

const RICH: &str = "
read: &read {actions: [pull]}
groups:
  everyone:
    rules:
      - {repos: [\"shared/**\"], <<: *read}
      - {repos: [\"${user}/**\"], actions: [\"*\"], ttl_seconds: 1800}
  ops:
    catalog: true
    repos: [\"**\"]
    actions: [pull, delete]
    deny: [{repos: [\"vault/**\"]}]
anonymous: {repos: [\"public/*\"], <<: *read}
users:
  alice: {groups: [everyone]}
  bob:
    groups: [everyone, ops]
    repos: [\"vault/app\"]
    actions: [pull, push]
    ttl_seconds: 7200
    deny: [{repos: [\"shared/secret\"], actions: [pull]}]
  idle: {}
";

#[test]
fn a_deny_wins_then_the_union_of_what_matches() {
    let policy = policy(RICH);
    for (user, asked, granted) in [
        ("alice", "repository:shared/a/b:pull,push", "repository:shared/a/b:pull"),
        ("alice", "repository:alice/x:*", "repository:alice/x:pull,push,delete"),
        ("alice", "repository:bob/x:pull", ""),
        ("bob", "repository:bob/x:push", "repository:bob/x:push"),
        ("bob", "repository:shared/secret:pull,delete", "repository:shared/secret:delete"),
        ("bob", "repository:vault/app:pull,push", ""),
        ("bob", "repository:any/thing:pull,push,delete", "repository:any/thing:pull,delete"),
        ("bob", "registry:catalog:*", "registry:catalog:*"),
        ("bob", "registry:catalog:pull", ""),
        ("alice", "registry:catalog:*", ""),
        ("idle", "repository:shared/a:pull", ""),
        ("", "repository:public/a:pull,push", "repository:public/a:pull"),
        ("", "repository:public/a/b:pull", ""),
        ("", "repository:shared/a:pull", ""),
        ("mallory", "repository:public/a:pull", ""),
    ] {
        assert_eq!(scope::join(&grant(&policy, user, asked).access), granted, "{user} {asked}");
    }
}

#[test]
fn the_life_is_the_longest_among_the_rules_that_granted() {
    let policy = policy(RICH);
    for (user, asked, seconds) in [
        ("alice", "repository:shared/a:pull", 3600),
        ("alice", "repository:alice/x:pull", 1800),
        ("alice", "repository:alice/x:pull repository:shared/a:pull", 3600),
        ("alice", "repository:nothing/x:pull", 3600),
        ("bob", "repository:vault/app:pull", 3600), // denied: its 7,200 s do not count
    ] {
        assert_eq!(grant(&policy, user, asked).ttl.seconds(), seconds, "{user} {asked}");
    }
}

#[test]
fn generating_names_what_can_be_named_and_says_what_cannot() {
    let policy = policy(RICH);
    let all = |user| policy.grants_of(&asker(user, &[]));
    let bob = all("bob").unwrap();
    assert_eq!(scope::join(&bob.access), "registry:catalog:*");
    assert_eq!(bob.skipped, ["shared/**", "${user}/**", "**"]);
    assert_eq!(all("idle").unwrap().access, []);
    assert_eq!(all("mallory"), None);
    let spec = self::policy(SPEC);
    let alice = spec.grants_of(&asker("alice", &[])).unwrap();
    assert_eq!(
        scope::join(&alice.access),
        "repository:alice-space/app-api:pull repository:alice-space/app-ui:pull"
    );
}

#[test]
fn what_generating_gives_a_request_for_it_gives_too() {
    for yaml in [SPEC, RICH] {
        let policy = policy(yaml);
        for user in ["alice", "bob", "idle", ""] {
            let Some(generated) = policy.grants_of(&asker(user, &[])) else { continue };
            assert_eq!(grant(&policy, user, &scope::join(&generated.access)).access, generated.access);
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (yaml, part) in [
        ("usrs: {}", "unknown key `usrs` | did you mean `users`?"),
        ("frobs: {}", "others may only define anchors"),
        ("users: [a]", "users: expected a mapping (key: value), found a list"),
        ("users: {alice: }", "users.alice: expected a mapping, found nothing | write `{}`"),
        ("users: {alice: {repo: [a]}}", "users.alice: unknown key `repo` | did you mean `repos`?"),
        ("users: {alice: {repos: [a]}}", "users.alice: `actions` is missing"),
        ("users: {alice: {actions: [pull]}}", "users.alice: `repos` is missing"),
        (
            "users: {alice: {namespace: a}}",
            "users.alice.namespace: a namespace without `repos` grants nothing",
        ),
        (
            "users: {alice: {repos: a, actions: [pull]}}",
            "users.alice.repos: expected a list ([a, b]), found a string",
        ),
        ("users: {alice: {repos: [a], actions: [pul]}}", "unknown action `pul` | did you mean `pull`?"),
        (
            "users: {alice: {repos: [A], actions: [pull]}}",
            "users.alice.repos[0]: `A` is no repository pattern",
        ),
        (
            "users: {alice: {groups: [devz]}}\ngroups: {devs: {}}",
            "there is no group `devz` | did you mean `devs`?",
        ),
        (
            "users: {alice: {repos: [a], actions: [pull], ttl_seconds: 30}}",
            "expected a whole number from 60 to 315360000, found 30",
        ),
        (
            "users: {alice: {deny: [{repos: [a], ttl_seconds: 90}]}}",
            "users.alice.deny[0]: unknown key `ttl_seconds`",
        ),
        ("groups: {devs: {groups: [x]}}", "groups.devs: unknown key `groups`"),
        ("mode: strict", "mode: expected `filter` or `deny`, found `strict`"),
        (
            "users: {1: {}}",
            "users: expected keys that are strings, found a whole number | put the key in quotes",
        ),
    ] {
        let error = refused(yaml);
        assert!(error.contains(part), "{yaml}: {error}");
    }
}

#[test]
fn without_a_policy_nothing_is_granted_and_with_none_all_that_is_asked() {
    let asked = scope::parse_all(["repository:a:* registry:catalog:* cluster:x:pull repository:a/../b:pull"])
        .unwrap();
    let nothing = Enforcement::Nothing.grant(&asker("alice", &[]), &asked);
    assert_eq!((nothing.access.len(), nothing.complete), (0, false));
    let all = Enforcement::Off.grant(&asker("alice", &[]), &asked);
    assert_eq!(scope::join(&all.access), "repository:a:pull,push,delete registry:catalog:*");
}
