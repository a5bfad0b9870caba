//! The command line as a black box: arguments, stdout, stderr, exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::{Folder, claims, header, keypebble, line, run, run_with_input, stderr, stdout};
use serde_json::json;

const DEV: &str =
    "issuer: \"example.com\"\naudience: \"example.com\"\nalgorithm: \"HS256\"\nhs256_secret: \"change-me\"\n";
const STRONG: &str = "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\n";
const POLICY: &str = "
users:
  alice: {namespace: alice-space, repos: [app-api, app-ui], actions: [pull]}
  bob: {namespace: bob-space, repos: [\"app-*\"], actions: [pull, push]}
";

fn folder() -> Folder {
    let folder = common::folder(DEV, POLICY);
    folder.write("strong.yaml", STRONG);
    folder
}

/// The claims of the token that `issue` prints, without those that differ from run to run.
fn issued(folder: &Folder, arguments: &[&str]) -> serde_json::Value {
    let output = run(folder, &[&["issue", "--config", "strong.yaml"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let mut claims = claims(&stdout(&output));
    for name in ["iat", "nbf", "exp", "jti"] {
        assert!(claims.as_object_mut().unwrap().remove(name).is_some(), "{name}");
    }
    claims
}

#[test]
fn issue_prints_one_token_and_nothing_else() {
    let output = run(&folder(), &["issue", "--config", "config.yaml", "--claims", "{\"sub\": \"alice\"}"]);
    let token = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(token.matches('\n').count(), 1);
    assert!(token.ends_with('\n') && token.matches('.').count() == 2, "{token}");
    assert_eq!(header(&token), json!({"alg": "HS256", "typ": "JWT"}));
    let claims = claims(&token);
    assert_eq!(
        (&claims["sub"], &claims["iss"], &claims["aud"]),
        (&json!("alice"), &json!("example.com"), &json!("example.com"))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let warned = stderr(&output);
    assert!(warned.contains("9 bytes long; RFC 7518 (3.2) asks for at least 32"), "{warned}");
    assert!(warned.contains("openssl rand"), "{warned}");
    assert!(!warned.contains("change-me"), "{warned}");
}

#[test]
fn a_strong_secret_in_a_private_file_is_not_warned_of() {
    let output = line(&folder(), "issue --config strong.yaml");
    assert_eq!(stderr(&output), "");
}

#[test]
fn two_tokens_differ_in_their_id() {
    let folder = folder();
    let id = || claims(&stdout(&line(&folder, "issue --config strong.yaml")))["jti"].clone();
    assert_ne!(id(), id());
}

#[test]
fn claims_come_from_the_argument_a_file_or_standard_input() {
    let folder = folder();
    folder.write("claims.json", "{\"sub\": \"carol\"}\n");
    assert_eq!(
        issued(&folder, &["--claims", "{\"edge_id\": 7}"]),
        json!({"iss": "i", "aud": "a", "edge_id": 7})
    );
    assert_eq!(issued(&folder, &["--claims", "@claims.json"])["sub"], "carol");
    assert_eq!(issued(&folder, &[]), json!({"iss": "i", "aud": "a"}));
    let output = run_with_input(
        &folder,
        &["issue", "--config", "strong.yaml", "--claims", "-"],
        "{\"sub\": \"dave\"}",
    );
    assert_eq!(claims(&stdout(&output))["sub"], "dave");
}

#[test]
fn ttl_and_audience_are_the_flags() {
    let folder = folder();
    let output = line(&folder, "issue --config strong.yaml --ttl 1 --audience other");
    let claims = claims(&stdout(&output));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1);
    assert_eq!(claims["aud"], "other");
    assert!(line(&folder, "issue --config strong.yaml --ttl 315360000").status.success());
}

#[test]
fn a_policy_filters_what_is_asked() {
    let folder = folder();
    let access =
        |name: &str, actions: &[&str]| json!([{"type": "repository", "name": name, "actions": actions}]);
    let asked = "{\"sub\": \"alice\", \"scope\": \"repository:alice-space/app-api:pull,push repository:bob-space/app-x:pull\", \"x\": 1}";
    assert_eq!(
        issued(&folder, &["--policy", "policy.yaml", "--claims", asked]),
        json!({"iss": "i", "aud": "a", "sub": "alice", "x": 1,
            "scope": "repository:alice-space/app-api:pull", "access": access("alice-space/app-api", &["pull"])})
    );
    let everything = json!({"iss": "i", "aud": "a", "sub": "alice",
        "scope": "repository:alice-space/app-api:pull repository:alice-space/app-ui:pull",
        "access": [
            {"type": "repository", "name": "alice-space/app-api", "actions": ["pull"]},
            {"type": "repository", "name": "alice-space/app-ui", "actions": ["pull"]}]});
    for claims in
        ["{\"sub\": \"alice\"}", "{\"sub\": \"alice\", \"scope\": \"repository:bob-space/app-x:pull\"}"]
    {
        let generate = ["--policy", "policy.yaml", "--generate", "--claims", claims];
        assert_eq!(issued(&folder, &generate), everything);
    }
    assert_eq!(issued(&folder, &["--policy", "policy.yaml", "--claims", "{\"sub\": \"alice\"}"]), everything);
    let by_user = "{\"user\": \"bob\", \"access\": [{\"type\": \"repository\", \"name\": \"bob-space/app-x\", \"actions\": [\"push\"]}]}";
    let bob = issued(&folder, &["--policy", "policy.yaml", "--claims", by_user]);
    assert_eq!((&bob["sub"], &bob["access"]), (&json!("bob"), &access("bob-space/app-x", &["push"])));
}

#[test]
fn what_the_policy_refuses_exits_with_4() {
    let folder = folder();
    folder.write("deny.yaml", &format!("mode: deny\n{POLICY}"));
    for (arguments, part) in [
        (vec!["--policy", "policy.yaml"], "the policy does not know user `unknown`"),
        (
            vec!["--policy", "policy.yaml", "--claims", "{\"sub\": \"mallory\"}"],
            "the policy does not know user `mallory`",
        ),
        (
            vec!["--policy", "policy.yaml", "--generate", "--claims", "{\"sub\": \"mallory\"}"],
            "user `mallory`",
        ),
        (
            vec![
                "--policy",
                "deny.yaml",
                "--claims",
                "{\"sub\": \"alice\", \"scope\": \"repository:alice-space/app-api:push\"}",
            ],
            "the policy grants user `alice` nothing, not all of repository:alice-space/app-api:push",
        ),
    ] {
        let output = run(&folder, &[&["issue", "--config", "strong.yaml"], &arguments[..]].concat());
        assert_eq!((output.status.code(), stdout(&output)), (Some(4), String::new()), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn wildcards_cannot_be_generated_and_that_is_said() {
    let output = run(
        &folder(),
        &["issue", "--config", "strong.yaml", "--policy", "policy.yaml", "--claims", "{\"sub\": \"bob\"}"],
    );
    assert_eq!(claims(&stdout(&output))["access"], json!([]));
    assert!(
        stderr(&output).contains("left out, because registries compare names: bob-space/app-*"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_wrong_is_said_with_the_right_exit_code() {
    let folder = folder();
    folder.write("typo.yaml", "issuer: i\naudience: a\nhs256_secrett: x\n");
    folder.write("policy-typo.yaml", "users:\n  alice:\n    repos: [a]\n    actions: [pul]\n");
    folder.write("none.yaml", &format!("{STRONG}policy: none\n"));
    folder.write("broken.yaml", "issuer: [\n");
    folder.write("empty.yaml", "");
    folder.write("claims.json", "{\n\"a\": nope}");
    folder.write("list.json", "[]");
    common::output("mkfifo", &[folder.join("pipe").to_str().unwrap()], "");
    folder.write("free.yaml", "service: {port: 0}\n");
    for (line, code, part) in [
        ("", 2, "a command is required"),
        (
            "issue",
            2,
            "needs --config PATH: KEYPEBBLE_CONFIG is not set, and /etc/keypebble/config.yaml does not exist",
        ),
        ("issue --config strong.yaml --claims {", 2, "cannot take the claims: not valid JSON"),
        ("issue --config strong.yaml --claims=", 2, "--claims is empty"),
        ("issue --config strong.yaml --claims @", 2, "--claims: after `@` the name of a file is missing"),
        (
            "issue --config strong.yaml --claims @claims.json",
            2,
            "cannot take the claims: claims.json:2:7: not valid JSON: expected",
        ),
        (
            "issue --config strong.yaml --claims @list.json",
            2,
            "cannot take the claims: list.json: expected a JSON object",
        ),
        (
            "issue --config strong.yaml --claims @pipe",
            1,
            "cannot read pipe: it is a pipe, not a regular file",
        ),
        ("issue --config strong.yaml --claims []", 2, "expected a JSON object"),
        (
            "issue --config strong.yaml --claims {\"exp\":1}",
            2,
            "the claim `exp` may not be asked for: `default_ttl_seconds` in the configuration or `--ttl` sets it",
        ),
        (
            "issue --config strong.yaml --claims {\"aud\":\"x\"}",
            2,
            "`audience` in the configuration or `--audience` sets it",
        ),
        ("issue --config strong.yaml --claims {\"sub\":1}", 2, "the claim `sub`: expected a string"),
        ("issue --config strong.yaml --claims @nowhere.json", 1, "cannot read nowhere.json: No such file"),
        (
            "issue --config strong.yaml --policy policy.yaml --claims {\"scope\":\"a:b\"}",
            2,
            "a scope is type:name:action",
        ),
        (
            "issue --config nowhere.yaml",
            3,
            "cannot load configuration: nowhere.yaml: cannot be read: No such file",
        ),
        ("serve --config a/nowhere.yaml", 3, "; keypebble init DIR makes a configuration\n"),
        ("serve --config /nowhere.yaml", 3, "hint: keypebble init DIR makes a configuration\n"),
        ("check --config strong.yaml --policy nowhere.yaml", 3, "; keypebble init DIR makes a policy"),
        ("issue --config typo.yaml", 3, "typo.yaml:3:1: unknown key `hs256_secrett`"),
        ("issue --config typo.yaml", 3, "keypebble: hint: did you mean `hs256_secret`?"),
        ("issue --config broken.yaml", 3, "broken.yaml:2:1: not valid YAML"),
        ("issue --config empty.yaml", 3, "empty.yaml:1:1: there is nothing in it"),
        ("issue --config strong.yaml --policy nowhere.yaml", 3, "cannot load policy: nowhere.yaml"),
        (
            "issue --config strong.yaml --policy policy-typo.yaml",
            3,
            "policy-typo.yaml:4:15: users.alice.actions[0]: unknown action `pul`\n4 |     actions: [pul]\n  |               ^\nkeypebble: hint: did you mean `pull`?",
        ),
        ("serve --config strong.yaml --policy nowhere.yaml", 3, "cannot load policy: nowhere.yaml"),
        ("serve --config none.yaml --policy policy.yaml", 2, "contradicts `policy: none`"),
        ("check --config typo.yaml", 3, "unknown key"),
        ("healthcheck --config free.yaml", 1, "where to ask is not known"),
        ("healthcheck --config broken.yaml", 3, "not valid YAML"),
    ] {
        let output = common::line(&folder, line);
        let said = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(code), ""), "{line}: {said}");
        assert!(said.contains(part), "{line}: {said}");
        assert!(said.starts_with("keypebble: "), "{line}: {said}");
    }
    let said = stderr(&common::line(&folder, "serve --config a/nowhere.yaml"));
    let looked = format!("looked in {};", folder.path().canonicalize().unwrap().display());
    assert!(said.contains(&looked), "{said}");
}

#[test]
fn a_secret_that_is_out_of_place_is_not_shown() {
    const PASSWORD: &str = "hunter2 hunter2";
    const RANDOM: &str = "eyJhbGciOiJFUzI1NiJ9eyJzdWIiOiJhIn0";
    let folder = folder();
    for (line, secret) in [
        (&["hash-password", PASSWORD][..], PASSWORD),
        (&["user", "set", "alice", PASSWORD, "--users-file", "users"], PASSWORD),
        (&["check", "-c", "config.yaml", &format!("--json={PASSWORD}")], PASSWORD),
        (&["init", "new", "--registry", &format!("u:{PASSWORD}@h")], PASSWORD),
        (&["init", "new", "--url", &format!("u:{PASSWORD}@h")], PASSWORD),
        (&["check", "-c", "config.yaml", RANDOM], RANDOM),
        (&["inspect", RANDOM, RANDOM], RANDOM),
        (&[RANDOM], RANDOM),
        (&["keys", RANDOM], RANDOM),
        (&["help", "issue", RANDOM], RANDOM),
        (&["issue", "-c", "strong.yaml", "--claim", RANDOM], RANDOM),
        (&["issue", "-c", "strong.yaml", "--claim", &format!("a:={RANDOM}")], RANDOM),
        (&["issue", "-c", "c", "--format", RANDOM], RANDOM),
        (&["issue", "-c", "c", "--at", RANDOM], RANDOM),
        (&["issue", "-c", "c", "--ttl", RANDOM], RANDOM),
        (&["serve", "-c", "c", "--listen", RANDOM], RANDOM),
        (&["policy", "explain", "--policy", "policy.yaml", "--user", "alice", "--scope", RANDOM], RANDOM),
        (&["verify", "--for", RANDOM, "-"], RANDOM),
        (&["hash-password", "--cost", RANDOM], RANDOM),
        (&["completions", RANDOM], RANDOM),
        (&["man", RANDOM], RANDOM),
    ] {
        let output = run(&folder, line);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {said}");
        assert!(!said.contains(secret), "{line:?}: {said}");
    }
}

#[test]
fn the_allow_list_leaves_out_and_says_so() {
    let folder = folder();
    folder.write(
        "strong.yaml",
        &format!(
            "{STRONG}static_claims: {{roles: [controller], scope: s}}\nallowed_custom_claims: [sub, roles]\n"
        ),
    );
    let arguments = [
        "issue",
        "--config",
        "strong.yaml",
        "--claims",
        "{\"sub\": \"alice\", \"roles\": [\"x\"], \"admin\": true}",
    ];
    let output = run(&folder, &arguments);
    let claims = claims(&stdout(&output));
    assert_eq!(
        (&claims["roles"], &claims["scope"], &claims["sub"]),
        (&json!(["x"]), &json!("s"), &json!("alice"))
    );
    assert_eq!(claims.get("admin"), None);
    assert!(
        stderr(&output).contains("left out, because not in allowed_custom_claims: admin"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn check_says_what_serve_would_start_with() {
    let output = line(&folder(), "check --config config.yaml --policy policy.yaml");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "example.com",
        "HS256",
        "policy.yaml: 2 user(s), mode filter",
        "0.0.0.0:8080",
        "warning: the secret for HS256 is 9 bytes long",
        "no Docker registry accepts it",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn check_as_json_says_the_same_also_of_what_does_not_load() {
    let folder = folder();
    let document = |line: &str, code: i32| -> serde_json::Value {
        let output = common::line(&folder, line);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let good = document("check --config config.yaml --policy policy.yaml --json", 0);
    assert_eq!(
        (&good["starts"], &good["loaded"]["token_life"]),
        (&true.into(), &"3600 s, registry tokens at most 86400 s".into())
    );
    let findings = good["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["code"] == "algorithm" && finding["level"] == "warning"));
    folder.write("typo.yaml", "issuer: i\naudience: a\nhs256_secrett: x\n");
    let bad = document("check --config typo.yaml --json", 3);
    assert_eq!(bad["starts"], false);
    let finding = bad["findings"].as_array().unwrap().last().unwrap();
    assert_eq!(
        [&finding["level"], &finding["file"], &finding["line"], &finding["column"], &finding["hint"]],
        [&json!("error"), &json!("typo.yaml"), &json!(3), &json!(1), &json!("did you mean `hs256_secret`?")]
    );
}

#[test]
fn help_and_version_are_results() {
    let folder = folder();
    for (arguments, part) in [
        ("--help", "Usage: keypebble COMMAND"),
        ("issue --help", "Usage: keypebble issue [--config PATH]"),
        ("serve -h", "Usage: keypebble serve"),
        ("check --help", "Usage: keypebble check"),
        ("healthcheck --help", "Usage: keypebble healthcheck"),
        ("--version", "keypebble 0.1.0\nfeatures: "),
    ] {
        let output = line(&folder, arguments);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments}");
        assert!(stdout(&output).contains(part), "{arguments}: {}", stdout(&output));
    }
}

#[test]
fn the_configuration_may_be_standard_input_once() {
    let folder = folder();
    let issue = |arguments: &[&str]| {
        run_with_input(
            &folder,
            &[&["issue", "--config", "-"], arguments].concat(),
            "issuer: i\naudience: a\nsecret_path: keys/s\n",
        )
    };
    folder.write("keys/s", "0123456789abcdef0123456789abcdef");
    let output = issue(&["--sub", "alice"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = run_with_input(&folder, &["verify", "--config", "-", "-"], "a.b.c");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("standard input is the token, and can't be"), "{}", stderr(&output));
    let output = issue(&["--claims", "-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("standard input is the configuration, and can't be the claims as well"),
        "{}",
        stderr(&output)
    );
    let output = run_with_input(&folder, &["keys", "list", "-c", "-"], "issuer: i\naudience: a\nsecrt: x\n");
    assert!(stderr(&output).contains("-:3:1: unknown key `secrt`"), "{}", stderr(&output));
}

#[test]
fn the_configuration_names_the_policy_and_a_flag_another() {
    let folder = folder();
    folder.write("other.yaml", "users: {carol: {repos: [a], actions: [pull]}}\n");
    folder.write("config/named.yaml", &format!("{STRONG}policy_file: ../policy.yaml\n"));
    folder.write("config/gone.yaml", &format!("{STRONG}policy_file: gone-policy.yaml\n"));
    folder.write("config/both.yaml", &format!("{STRONG}policy: none\npolicy_file: a.yaml\n"));
    let check = |rest: &str| common::done(&folder, &format!("check {rest}"));
    assert!(check("--config config/named.yaml").contains("config/../policy.yaml: 2 user(s)"));
    assert!(check("-c config/named.yaml --policy other.yaml").contains("other.yaml: 1 user(s)"));
    let token = common::done(&folder, "issue -c config/named.yaml --sub alice --generate");
    assert_eq!(
        common::scopes(&claims(&token)),
        "repository:alice-space/app-api:pull repository:alice-space/app-ui:pull"
    );
    for (command, code, part) in [
        ("issue -c config/named.yaml --sub carol", 4, "the policy does not know user `carol`"),
        ("issue -c strong.yaml --sub carol --generate", 2, "--generate needs a policy"),
        ("check -c config/gone.yaml", 3, "cannot load policy: config/gone-policy.yaml"),
        (
            "check -c config/both.yaml",
            3,
            "both.yaml:5:14: policy_file: `policy_file` contradicts `policy: none`",
        ),
    ] {
        let output = line(&folder, command);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{command}: {}", stderr(&output));
    }
}

#[test]
fn an_open_address_with_a_short_secret_is_warned_of() {
    let folder = folder();
    folder.write("local.yaml", &format!("{DEV}service: {{host: 127.0.0.1}}\n"));
    for (config, warned) in [("config.yaml", true), ("strong.yaml", false), ("local.yaml", false)] {
        let said = common::done(&folder, &format!("check --policy policy.yaml --config {config}"));
        assert_eq!(said.contains("0.0.0.0 is open to the network and the secret is short"), warned, "{said}");
    }
}

#[test]
fn the_environment_names_the_configuration_that_no_flag_names() {
    let folder = folder();
    let run = |name: &str| {
        let mut command = keypebble();
        command.current_dir(folder.path()).args(["issue", "--sub", "alice"]).env("KEYPEBBLE_CONFIG", name);
        command.output().unwrap()
    };
    assert_eq!(run("strong.yaml").status.code(), Some(0));
    let output = run("nowhere.yaml");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("KEYPEBBLE_CONFIG names nowhere.yaml, which does not exist"));
}

#[test]
fn the_version_says_which_build_it_is() {
    let said = stdout(&line(&folder(), "--version"));
    let lines: Vec<(&str, &str)> = said.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    let value = |name: &str| lines.iter().find(|(found, _)| *found == name).unwrap().1;
    assert_eq!(lines.len(), 4, "{said}");
    for (feature, built_in) in [("passwords", cfg!(feature = "passwords")), ("fast", cfg!(feature = "fast"))]
    {
        assert_eq!(value("features").split(' ').any(|name| name == feature), built_in, "{said}");
    }
    assert_eq!(value("engine"), if cfg!(feature = "fast") { "AWS-LC" } else { "Rust" });
    assert_eq!(value("commit"), option_env!("KEYPEBBLE_COMMIT").unwrap_or("unknown"));
    // Another binary than the tests' own may be for another machine.
    if std::env::var_os("KEYPEBBLE_BIN").is_some() {
        assert!(value("target").split('-').count() >= 3, "{said}");
        return;
    }
    // As `rustc -vV` names its own host, for which tests are built.
    let rustc = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(rustc.stdout).unwrap();
    assert!(host.contains(&format!("host: {}\n", value("target"))), "{said}{host}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    for to in ["--help", "issue --config strong.yaml"] {
        let script = format!("{} {to} | true; exit ${{PIPESTATUS[0]}}", common::BINARY);
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{to}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    if !std::path::Path::new("/dev/full").exists() {
        return; // only Linux has it
    }
    let script = format!("{} issue --config strong.yaml > /dev/full", common::BINARY);
    let output =
        std::process::Command::new("sh").args(["-c", &script]).current_dir(folder().path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write the answer: No space left"), "{}", stderr(&output));
}

#[test]
fn a_closed_stdout_is_an_error_and_a_null_one_is_not() {
    let folder = folder();
    for (output, code) in
        [(">&-", 1), ("1</dev/null", 1), (">/dev/null", 0), ("1<>/dev/null", 0), ("| head -c 0", 0)]
    {
        for command in ["issue", "check"] {
            let script = format!("{} {command} --config strong.yaml {output}", common::BINARY);
            let ended =
                std::process::Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output();
            let ended = ended.unwrap();
            assert_eq!(ended.status.code(), Some(code), "{script}: {}", stderr(&ended));
            assert_eq!(stderr(&ended).contains("cannot write the answer: Bad file"), code == 1, "{script}");
        }
    }
}

#[test]
fn nothing_of_a_file_or_an_argument_acts_on_a_terminal() {
    let folder = folder();
    let evil = "\u{202e}\u{e0041}\u{200b}";
    let strong = STRONG.replace("issuer: i", &format!("issuer: \"{evil}\\e[2J\\n\""));
    folder.write("evil.yaml", &format!("{strong}allowed_custom_claims: [a]\nkid: {evil}\n"));
    folder.write("wrong.yaml", &format!("{STRONG}nonsense{evil}: 1\n"));
    let user = format!("users: {{\"b{evil}\\e\\n\": {{repos: [a], actions: [pull]}}}}\n");
    folder.write("user.yaml", &user);
    let test = format!(
        "tests: [{{user: \"b{evil}\\nforged\", scope: \"repository:a:pull\", grants: \"repository:a:pull\"}}]\n"
    );
    folder.write("test.yaml", &(user + &test));
    for arguments in [
        &["check", "--config", "evil.yaml"][..],
        &["check", "--config", "wrong.yaml"],
        &["check", "--config", "evil.yaml", "--policy", "user.yaml"],
        &["issue", "--config", "evil.yaml", "--claims", &format!("{{\"x{evil}\": 1}}")],
        &["keys", "list", "--config", "evil.yaml"],
        &["doctor", "--config", "evil.yaml"],
        &["policy", "test", "--policy", "test.yaml"],
        &[
            "policy",
            "explain",
            "--policy",
            "user.yaml",
            "--user",
            &format!("c{evil}"),
            "--scope",
            "repository:a:pull",
        ],
        &["check", "--config", "\u{1b}[31mnone\u{9b}\u{202e}"],
        &["\u{1b}[31m"],
        &["issue", "--\u{1b}]0;x"],
    ] {
        let output = run(&folder, arguments);
        let text = stdout(&output) + &stderr(&output);
        let acts = |c: char| (c != '\n' && c.is_control()) || evil.contains(c);
        assert!(!text.chars().any(acts), "{arguments:?}: {text:?}");
        assert!(text.contains("\\u") && !text.contains("\nforged"), "{arguments:?}: {text:?}");
    }
}
