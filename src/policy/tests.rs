//! The policy's rules, as tables.

use super::*;
use crate::ground::document::Document;
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
        ("alice", "repository:public/a:pull,push", "repository:public/a:pull"),
        ("mallory", "repository:public/a:pull,push", "repository:public/a:pull"),
        ("mallory", "repository:public/a:*", "repository:public/a:pull"),
        ("mallory", "repository:shared/a:pull", ""),
        ("bob", "repository:registry/vault/app:pull,push", ""),
        ("bob", "repository:REGISTRY/vault/app:pull", ""),
        ("bob", "repository:registry/registry.example.com/vault/app:pull", ""),
        ("bob", "repository:registry.invalid/vault/app:pull", "repository:registry.invalid/vault/app:pull"),
        ("bob", "repository::pull,push,*", "repository::pull"),
        ("alice", "repository::pull", ""),
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
fn a_life_beside_the_catalog_is_the_catalog_s_too() {
    for text in ["catalog: true, ttl_seconds: 600", "rules: [{catalog: true, ttl_seconds: 600}]"] {
        let policy = policy(&format!("users: {{alice: {{{text}}}}}"));
        assert_eq!(grant(&policy, "alice", "registry:catalog:*").ttl.seconds(), 600, "{text}");
    }
    let error = refused("users: {alice: {ttl_seconds: 600}}");
    assert!(error.contains("`repos` is missing"), "{error}");
}

#[test]
fn generating_names_what_can_be_named_and_says_what_cannot() {
    let policy = policy(RICH);
    let all = |user| policy.grants_of(&asker(user, &[]));
    let bob = all("bob").unwrap();
    assert_eq!(scope::join(&bob.access), "registry:catalog:*");
    assert_eq!(bob.skipped, ["shared/**", "${user}/**", "**", "public/*"]);
    assert_eq!(all("idle").unwrap().access, []);
    assert_eq!(all("mallory").unwrap().skipped, ["public/*"]);
    let spec = self::policy(SPEC);
    assert_eq!(spec.grants_of(&asker("mallory", &[])), None);
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
            "users.alice.repos[0]: `A` is not a repository pattern",
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
            "users: {alice: {repos: [], actions: [pull]}}",
            "users.alice.repos: an empty list fits no repository",
        ),
        ("users: {alice: {repos: [a], actions: []}}", "users.alice.actions: an empty list names no action"),
        ("users: {alice: {catalog: true, repos: [], actions: []}}", "users.alice.repos: an empty list"),
        ("groups: {g: {rules: [{repos: [], actions: [pull]}]}}", "groups.g.rules[0].repos: an empty list"),
        ("anonymous: {rules: [{repos: [a], actions: []}]}", "anonymous.rules[0].actions: an empty list"),
        (
            "users: {alice: {deny: [{repos: []}]}}",
            "deny[0].repos: an empty list fits no repository | fill it",
        ),
        (
            "users: {alice: {deny: [{repos: [a], actions: []}]}}",
            "deny[0].actions: an empty list names no action",
        ),
        (
            "users: {alice: {deny: [{namespace: \"${user}*\", repos: [\"**\"]}]}}",
            "users.alice.deny[0].repos[0]: `${user}*/**` is not a repository pattern: it fits for one user what is",
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

#[test]
fn an_explanation_names_the_rule_and_its_place_or_the_nearest() {
    let text = RICH.replace(
        "deny: [{repos: [\"shared/secret\"], actions: [pull]}]",
        "deny: [{repos: [\"shared/*\"], actions: [pull]}]",
    );
    let document = Document::parse(Path::new("policy.yaml"), text).unwrap();
    let policy = Policy::compile(&document).unwrap();
    for (user, asked, expected) in [
        ("alice", "repository:shared/a:pull", "granted 6:9 groups.everyone.rules[0] (pattern shared/**)"),
        ("bob", "repository:shared/a:pull", "denied 21:12 users.bob.deny[0] (pattern shared/*)"),
        ("bob", "repository:vault/app:push", "denied 12:12 groups.ops.deny[0] (pattern vault/**)"),
        ("bob", "registry:catalog:*", "granted 9:5 groups.ops.catalog"),
        ("bob", "repository:a:pull", "granted 8:3 groups.ops (pattern **)"),
        ("bob", "repository:a:push", "fits 8:3 groups.ops (pattern **)"),
        ("alice", "repository:share/a:pull", "1 edit 6:9 groups.everyone.rules[0] (pattern shared/**)"),
        ("alice", "repository:alyce/a:pull", "1 edit 7:9 groups.everyone.rules[1] (pattern ${user}/**)"),
        ("", "repository:public/a:pull", "granted 13:1 anonymous (pattern public/*)"),
        ("mallory", "repository:public/a:pull", "granted 13:1 anonymous (pattern public/*)"),
        ("alice", "repository:publik/a:pull", "1 edit 13:1 anonymous (pattern public/*)"),
        ("alice", "repository:publik/a:push", "nothing"),
        ("bob", "repository::pull", "granted 9:5 groups.ops.catalog"),
        ("alice", "cluster:a:pull", "nothing"),
    ] {
        let asker = asker(user, &[]);
        let explanation = policy.explain(&asker, &scope::parse_all([asked]).unwrap());
        let (_, decision, near) = &explanation.scopes[0].actions[0];
        let (what, because) = match (decision, near) {
            (Decision::Granted { by, .. }, _) => ("granted", by),
            (Decision::Denied { by }, _) => ("denied", by),
            (Decision::Unmatched, Some(Near { because, edits: 0 })) => ("fits", because),
            (Decision::Unmatched, Some(Near { because, edits: 1 })) => ("1 edit", because),
            _ => {
                assert_eq!(expected, "nothing", "{user} {asked}");
                continue;
            }
        };
        let (line, column) = document.locate(&because.steps()).unwrap();
        assert_eq!(format!("{what} {line}:{column} {because}"), expected, "{user} {asked}");
    }
    assert_eq!(policy.explain(&asker("alise", &[]), &[]).similar, Some("alice"));
}

#[test]
fn the_rule_named_is_the_one_whose_life_counts() {
    let policy = policy(
        "users: {a: {rules: [{repos: [x], actions: [pull], ttl_seconds: 60}, {repos: [\"*\"], actions: [pull], ttl_seconds: 90}]}}",
    );
    let asker = asker("a", &[]);
    let explanation = policy.explain(&asker, &scope::parse_all(["repository:x:pull"]).unwrap());
    let Decision::Granted { by, ttl } = explanation.scopes[0].actions[0].1 else { panic!("granted") };
    assert_eq!((by.key().as_str(), ttl.seconds()), ("users.a.rules[1]", 90));
}

#[test]
fn expectations_hold_or_say_what_is_missing_and_what_is_too_much() {
    let file = |mode: &str, tests: &str| format!("mode: {mode}\n{SPEC}\ntests:\n  - {tests}\n");
    for (mode, test, missing, extra) in [
        (
            "filter",
            "{user: bob, scope: \"repository:bob-space/app-api:push,pull\", grants: \"repository:bob-space/app-api:pull,push\"}",
            "",
            "",
        ),
        (
            "filter",
            "{user: bob, scope: \"repository:bob-space/app-api:*\", grants: \"repository:bob-space/app-api:pull\"}",
            "",
            "repository:bob-space/app-api:push",
        ),
        (
            "filter",
            "{user: alice, scope: \"repository:alice-space/app-api:pull,push\", grants: \"repository:alice-space/app-api:push repository:x:pull\"}",
            "repository:alice-space/app-api:push repository:x:pull",
            "repository:alice-space/app-api:pull",
        ),
        (
            "filter",
            "{user: alice, service: r.example, scope: \"repository:r.example/alice-space/app-api:pull\", grants: \"repository:alice-space/app-api:pull\"}",
            "",
            "",
        ),
        (
            "filter",
            "{user: alice, scope: \"repository:r.example/alice-space/app-api:pull\", grants: \"\"}",
            "",
            "",
        ),
        ("filter", "{anonymous: true, scope: \"repository:alice-space/app-api:pull\", grants: \"\"}", "", ""),
        (
            "deny",
            "{user: alice, scope: \"repository:alice-space/app-api:pull,push\", grants: \"repository:alice-space/app-api:pull\"}",
            "repository:alice-space/app-api:pull",
            "",
        ),
    ] {
        let text = file(mode, test);
        let document = Document::parse(Path::new("policy.yaml"), text).unwrap();
        let policy = Policy::compile(&document).unwrap();
        let outcome = policy.outcome(&policy.expectations()[0]);
        assert_eq!(
            (scope::join(&outcome.missing), scope::join(&outcome.extra)),
            (missing.into(), extra.into()),
            "{test}"
        );
        assert_eq!(outcome.holds(), missing.is_empty() && extra.is_empty());
        assert_eq!(expect::verify(&policy, &document).is_ok(), outcome.holds(), "{test}");
    }
}

#[test]
fn an_expectation_that_is_none_is_said_with_its_place() {
    for (test, part) in [
        ("{user: a}", "tests: expected a list ([a, b]), found a mapping"),
        ("[{usr: a}]", "tests[0]: unknown key `usr` | did you mean `user`?"),
        ("[{scope: \"\", grants: \"\"}]", "tests[0]: `user` is missing"),
        (
            "[{user: a, anonymous: true, scope: \"\", grants: \"\"}]",
            "tests[0].user: `user` and `anonymous` are two askers",
        ),
        ("[{user: a, grants: \"\"}]", "tests[0]: `scope` is missing"),
        ("[{user: a, scope: \"repository:a:pull\"}]", "tests[0]: `grants` is missing"),
        (
            "[{user: a, scope: \"repository:a\", grants: \"\"}]",
            "tests[0].scope: not a scope: a scope is type:name",
        ),
        (
            "[{user: a, scope: \"\", grants: \"repository:a:*\"}]",
            "tests[0].grants: `repository:a:*` is never granted",
        ),
        (
            "[{user: a, scope: \"\", grants: \"repository:a:pul\"}]",
            "tests[0].grants: unknown action `pul` is never granted",
        ),
        ("[{user: a, scope: \"\", grants: \"cluster:a:pull\"}]", "`cluster:a:pull` is never granted"),
        ("[{user: a, scope: \"\", grants: \"repository:A/..:pull\"}]", "is never granted"),
    ] {
        let error = refused(&format!("tests: {test}"));
        assert!(error.contains(part), "{test}: {error}");
    }
}

#[test]
fn findings_name_what_is_hardly_meant() {
    let yaml = "
groups: {g: {repos: [a], actions: [push], ttl_seconds: 899}, writers: {repos: [\"w/*\", v], actions: [push]}}
users:
  a: {namespace: a, repos: [\"a/b\", c], actions: [pull]}
  b: {rules: [{repos: [x, \"y/*\"], actions: [pull]}], deny: [{repos: [\"*\", \"y/**\"]}]}
  c: {rules: [{repos: [x, z/z], actions: [pull]}], deny: [{repos: [x]}, {repos: [z/z], actions: [push]}]}
  d: {repos: [x], actions: [\"*\"], ttl_seconds: 900}
  e: {repos: [x], actions: [\"*\"]}
  f: {catalog: true, deny: [{catalog: true}]}
  g: {groups: [writers], repos: [u], actions: [pull]}
  h: {groups: [writers], repos: [u, \"w/**\"], actions: [pull]}
  i: {repos: [public, \"${user}/**\"], actions: [pull, push], deny: [{repos: [i/x/x], actions: [pull]}]}
  j: {repos: [public], actions: [push, delete]}
anonymous: {repos: [public], actions: [pull]}
";
    let found = |default| {
        let life = |ttl: Option<Ttl>| ttl.or(Ttl::new(default)).unwrap();
        let findings = policy(yaml).findings(life).into_iter().map(|finding| finding.message);
        findings.collect::<Vec<_>>()
    };
    let doubled = "a pattern repeats its namespace: users.a (pattern a/a/b)";
    let shadowed = "a rule can never grant, because a deny of the same subject covers all of it: users.b.rules[0], users.f.catalog";
    let push = "push is granted for less than 900 s, and a push of large layers outlives five minutes: groups.g (899 s)";
    let unread = "push is granted without pull, and a registry wants both for every push: groups.writers (pattern v), groups.writers (pattern w/*), users.i (pattern ${user}/**)";
    assert_eq!(found(900), [push, unread, doubled, shadowed]);
    assert_eq!(found(300)[0], format!("{push}, groups.writers (300 s), users.e (300 s) and 2 more"));
}
