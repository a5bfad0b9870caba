//! `policy explain`, `policy test` and `check` as black boxes.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Folder, line, run, stderr, stdout};
use serde_json::Value;

const POLICY: &str = "\
users:
  alice:
    rules:
      - {repos: [\"alice-space/app-*\"], actions: [pull, push], ttl_seconds: 1800}
    deny:
      - {repos: [\"alice-space/app-vault\"], actions: [push]}
  bob:
    namespace: bob-space
    repos: [app-api]
    actions: [pull]
";

const TESTS: &str = "\
tests:
  - {user: alice, scope: \"repository:alice-space/app-vault:pull,push\", grants: \"repository:alice-space/app-vault:pull\"}
  - {anonymous: true, scope: \"repository:bob-space/app-api:pull\", grants: \"\"}
";

const CONFIG: &str = "\
issuer: i
audience: registry.example.com
hs256_secret: 0123456789abcdef0123456789abcdef
default_ttl_seconds: 300
max_ttl_seconds: 1200
";

fn folder(tests: &str) -> Folder {
    common::folder(CONFIG, &format!("{POLICY}{tests}"))
}

#[test]
fn explain_names_for_each_action_the_rule_or_the_nearest_and_what_the_token_holds() {
    let folder = folder("");
    let explain = |rest: &str| {
        let output = line(&folder, &format!("policy explain --policy policy.yaml {rest}"));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(
        explain("--user alice --scope repository:alice-space/app-vault:*"),
        "\
policy    policy.yaml, mode filter
user      alice
repository:alice-space/app-vault:*
  note    `*` asks for everything that the user has
  pull    granted  policy.yaml:4:9 users.alice.rules[0] (pattern alice-space/app-*), for 1800 s
  push    denied   policy.yaml:6:9 users.alice.deny[0] (pattern alice-space/app-vault)
  delete  no rule  the nearest, policy.yaml:4:9 users.alice.rules[0] (pattern alice-space/app-*), fits the name, but its actions are pull, push
token     grants repository:alice-space/app-vault:pull, for 1800 s
"
    );
    let hosted = "--user bob --scope repository:registry.example.com/bob-space/app-api:pull";
    let without = explain(hosted);
    assert!(without.contains("if `registry.example.com` is the registry itself, name it with --audience"));
    assert!(without.ends_with("token     grants nothing, for 3600 s\n"), "{without}");
    for flag in ["--audience registry.example.com", "--service registry.example.com", "--config config.yaml"]
    {
        let text = explain(&format!("{hosted} {flag}"));
        assert!(text.contains("token     grants repository:bob-space/app-api:pull, for "), "{flag}: {text}");
    }
    let capped = explain("--user alice --scope repository:alice-space/app-x:push --config config.yaml");
    assert!(capped.ends_with("for 1200 s\n"), "{capped}");
    for (rest, part) in [
        (
            "--user bob --scope repository:bob-space/app-ap:pull",
            "(pattern bob-space/app-api), is 1 edit away from the name",
        ),
        ("--user alise --scope repository:a:pull", "no such user in policy.yaml; did you mean `alice`?"),
        ("--anonymous --scope repository:a:pull", "policy.yaml has no `anonymous:`"),
        ("--user bob --scope cluster:a:pull", "there is `repository`, and `registry:catalog`"),
        ("--user bob --scope repository:a/../b:pull", "`a/../b` is not a repository name"),
        ("--user bob --scope registry:catalog:pull", "the catalog's only action is `*`"),
        ("--user bob --scope repository:a:frob", "`frob` is not an action"),
        ("--user bob --scope repository:a:", "no action is asked"),
    ] {
        let text = explain(rest);
        assert!(text.contains(part), "{rest}: {text}");
        assert!(text.contains("token     grants nothing"), "{rest}: {text}");
    }
}

#[test]
fn without_a_scope_all_that_a_user_has_is_listed_with_its_place() {
    let folder = common::folder(
        &format!("{CONFIG}policy_file: policy.yaml\n"),
        &format!(
            "{POLICY}    groups: [all]\ngroups:\n  all: {{catalog: true, deny: [{{repos: [\"x/**\"]}}]}}\nanonymous:\n  repos: [public/*]\n  actions: [pull]\n"
        ),
    );
    let done = |rest: &str| common::done(&folder, &format!("policy explain --config config.yaml {rest}"));
    assert_eq!(
        done("--user alice"),
        "\
policy    policy.yaml, mode filter
user      alice
RULE   ACTIONS     REPOSITORY               LIFE  PLACE
allow  pull, push  alice-space/app-*      1200 s  policy.yaml:4:9 users.alice.rules[0]
deny   push        alice-space/app-vault          policy.yaml:6:9 users.alice.deny[0]
allow  pull        public/*                300 s  policy.yaml:14:1 anonymous
token     without a request grants nothing, for 300 s
  note    a repository is asked for by its name: alice-space/app-* public/* cannot be in such a token
"
    );
    let bob = done("--user bob");
    assert!(bob.contains("allow  pull     bob-space/app-api  300 s  policy.yaml:7:3 users.bob\n"), "{bob}");
    assert!(
        bob.contains("allow  *        (the catalog)      300 s  policy.yaml:13:9 groups.all.catalog\n"),
        "{bob}"
    );
    assert!(
        bob.contains("deny   *        x/**                      policy.yaml:13:31 groups.all.deny[0]\n"),
        "{bob}"
    );
    assert!(
        bob.contains("grants repository:bob-space/app-api:pull registry:catalog:*, for 300 s"),
        "as `issue --generate` would: {bob}"
    );
    let nobody = done("--user alise");
    assert!(nobody.contains("did you mean `alice`?") && nobody.contains("public/*"), "{nobody}");
    let json: Value = serde_json::from_str(&done("--user bob --json")).unwrap();
    assert_eq!(json["rules"][0]["patterns"][0], "bob-space/app-api");
    assert_eq!(json["rules"][0]["rule"]["line"], 7);
    assert_eq!(
        (&json["rules"][2]["effect"], &json["rules"][2]["ttl_seconds"]),
        (&"deny".into(), &Value::Null)
    );
    assert_eq!(json["token"]["ttl_seconds"], 300);
    assert_eq!(json["left_out"][0], "public/*");
}

#[test]
fn explain_and_test_need_no_key() {
    let folder = folder(TESTS);
    folder.write("config.yaml", "issuer: i\naudience: a\nkey_dir: nowhere\npolicy_file: policy.yaml\n");
    for command in ["policy explain --config config.yaml --user bob", "policy test --config config.yaml"] {
        common::done(&folder, command);
    }
    folder.write("off.yaml", "issuer: i\naudience: a\nsecret: x\npolicy: none\n");
    for (command, part) in [
        ("policy test --config off.yaml", "says `policy: none`, so there is no policy"),
        ("policy test", "no policy is named"),
    ] {
        let output = line(&folder, command);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(stderr(&output).contains(part), "{command}: {}", stderr(&output));
    }
}

#[test]
fn explain_as_json_says_the_same() {
    let folder = folder("");
    let output = line(
        &folder,
        "policy explain --policy policy.yaml --user alice --json --scope repository:alice-space/app-vault:pull,push,delete",
    );
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let actions = &json["scopes"][0]["actions"];
    assert_eq!(actions[0]["verdict"], "granted");
    assert_eq!(actions[0]["rule"]["key"], "users.alice.rules[0]");
    assert_eq!(actions[0]["rule"]["line"], 4);
    assert_eq!(actions[0]["rule"]["pattern"], "alice-space/app-*");
    assert_eq!(actions[1]["verdict"], "denied");
    assert_eq!(actions[2]["nearest"]["lacks"], "action");
    assert_eq!(json["token"]["access"][0]["actions"], serde_json::json!(["pull"]));
    assert_eq!(json["token"]["ttl_seconds"], 1800);
    assert_eq!((&json["known"], &json["refused"]), (&Value::Bool(true), &Value::Bool(false)));
}

#[test]
fn a_request_that_mode_deny_refuses_is_explained_as_refused() {
    let folder = folder("mode: deny\n");
    let output = line(
        &folder,
        "policy explain --policy policy.yaml --user bob --scope repository:bob-space/app-api:pull,push",
    );
    assert!(
        stdout(&output)
            .ends_with("token     none: `mode: deny` refuses a request that is not granted in full\n")
    );
}

#[test]
fn what_is_wrong_with_the_question_is_said() {
    let folder = folder("");
    folder.write("broken.yaml", "usrs: {}\n");
    for (rest, code, part) in [
        ("explain --policy policy.yaml --scope repository:a:pull", 2, "needs --user NAME or --anonymous"),
        ("explain --policy policy.yaml --user a --anonymous --scope x:y:z", 2, "exclude each other"),
        ("explain --user a --scope x:y:z", 2, "no policy is named"),
        ("explain --policy policy.yaml --user a --scope repository", 2, "--scope: a scope is type:name"),
        ("explain --policy broken.yaml --user a --scope x:y:z", 3, "did you mean `users`?"),
        ("explain --policy policy.yaml --user a --scope x:y:z --jsn", 2, "did you mean --json?"),
        ("test --policy broken.yaml", 3, "unknown key `usrs`"),
        ("test --policy absent.yaml", 3, "cannot be read"),
        ("tset", 2, "unknown command `policy tset`"),
    ] {
        let output = line(&folder, &format!("policy {rest}"));
        assert_eq!(output.status.code(), Some(code), "{rest}");
        assert!(stderr(&output).contains(part), "{rest}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{rest}");
    }
}

#[test]
fn expectations_that_hold_are_counted_and_one_that_does_not_is_shown_with_its_reason() {
    let held = folder(TESTS);
    let output = line(&held, "policy test --policy policy.yaml");
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "policy.yaml: 2 of 2 expectations hold\n")
    );

    let broken = folder(&TESTS.replace("app-vault:pull\"", "app-vault:pull,push\""));
    let output = line(&broken, "policy test --policy policy.yaml");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "\
FAILED policy.yaml:12:5 tests[0]
  user      alice
  asked     repository:alice-space/app-vault:pull,push
  expected  repository:alice-space/app-vault:pull,push
  got       repository:alice-space/app-vault:pull
  missing   repository:alice-space/app-vault:push
  why       repository:alice-space/app-vault:pull,push
  why         pull    granted  policy.yaml:4:9 users.alice.rules[0] (pattern alice-space/app-*), for 1800 s
  why         push    denied   policy.yaml:6:9 users.alice.deny[0] (pattern alice-space/app-vault)
policy.yaml: 1 of 2 expectations hold
"
    );
    assert_eq!(stderr(&output), "keypebble: error: 1 of 2 expectations in policy.yaml do not hold\n");
    let json = stdout(&line(&broken, "policy test --policy policy.yaml --json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["expectations"], &json["failed"]), (&2.into(), &1.into()));
    assert_eq!(json["results"][0]["missing"][0], "repository:alice-space/app-vault:push");
    assert_eq!(json["results"][0]["why"][0]["actions"][1]["verdict"], "denied");
    assert_eq!(json["results"][1]["holds"], true);

    let none = line(&folder(""), "policy test --policy policy.yaml");
    assert_eq!(none.status.code(), Some(0));
    assert!(stdout(&none).contains("policy.yaml has no expectations"));
}

#[test]
fn a_policy_that_breaks_its_own_expectation_is_rejected_by_whatever_uses_it() {
    let broken = folder(&TESTS.replace("app-vault:pull\"", "app-vault:pull,push\""));
    let alice = "{\"sub\":\"alice\"}";
    for arguments in [
        vec!["check", "--config", "config.yaml", "--policy", "policy.yaml"],
        vec!["serve", "--config", "config.yaml", "--policy", "policy.yaml"],
        vec!["issue", "--config", "config.yaml", "--policy", "policy.yaml", "--claims", alice],
    ] {
        let output = run(&broken, &arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains("policy.yaml:12:5: tests[0]: this expectation does not hold"), "{text}");
        assert!(text.contains("hint: see why: keypebble policy test --policy policy.yaml"), "{text}");
    }
}

#[test]
fn check_counts_expectations_and_warns_of_what_is_hardly_meant() {
    let folder = folder(TESTS);
    let text = stdout(&line(&folder, "check --config config.yaml --policy policy.yaml"));
    assert!(text.contains("expectations     2 hold\n"), "{text}");
    assert!(!text.contains("push is granted"), "{text}");
    folder.write(
        "policy.yaml",
        &POLICY.replace("ttl_seconds: 1800", "ttl_seconds: 600").replace("[app-api]", "[bob-space/app-api]"),
    );
    let text = stdout(&line(&folder, "check --config config.yaml --policy policy.yaml"));
    assert!(text.contains("outlives five minutes: users.alice.rules[0] (600 s)\n"), "{text}");
    assert!(text.contains("users.bob (pattern bob-space/bob-space/app-api)\n"), "{text}");
}
