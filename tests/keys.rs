//! The `keys` commands and `init` as a black box, and what the server publishes of them.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Folder, JSON, Server, claims, done, header, line, run, stderr, stdout, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

const CONFIG: &str = "issuer: https://keys.example.com\naudience: a\nkey_dir: keys\ndefault_ttl_seconds: 300\n\
                      max_ttl_seconds: 600\nservice: {host: 127.0.0.1, port: 0}\n";

/// A folder with a configuration, an active and a next key.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("config.yaml", CONFIG);
    for _ in 0..2 {
        done(&folder, "keys generate --config config.yaml --algorithm ES256");
    }
    folder
}

/// What a command that must fail so says; it prints nothing.
#[track_caller]
fn fails(folder: &Folder, command: &str, code: i32) -> String {
    let output = line(folder, command);
    assert_eq!(output.status.code(), Some(code), "{command}: {}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "", "{command}");
    stderr(&output)
}

fn list(folder: &Folder) -> Vec<Value> {
    let text = done(folder, "keys list --config config.yaml --json");
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

fn ids(folder: &Folder) -> Vec<(String, String)> {
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    list(folder).iter().map(|key| (text(key, "state"), text(key, "id"))).collect()
}

fn kid(folder: &Folder) -> String {
    header(&done(folder, "issue --config config.yaml"))["kid"].as_str().unwrap().to_owned()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_folders_keys_sign_rotate_and_retire() {
    let folder = folder();
    let before = ids(&folder);
    assert_eq!((&*before[0].0, &*before[1].0), ("active", "next"));
    assert_eq!(kid(&folder), before[0].1);

    let refused = fails(&folder, "keys rotate --config config.yaml", 1);
    assert!(refused.contains(&format!("{} was never exported", before[1].1)), "{refused}");
    assert_eq!(fails(&folder, "keys rotate --config config.yaml --dry-run", 1), refused);
    assert!(refused.contains("hint: give it to every verifier first: keypebble keys export"), "{refused}");
    assert_eq!(ids(&folder), before);

    done(&folder, "keys export --config config.yaml --format jwks");
    assert!(list(&folder).iter().all(|key| key["exported"].is_string()));
    let untouched = fs::read(folder.path().join("keys/keyring.json")).unwrap();
    let plan = done(&folder, "keys rotate --config config.yaml --dry-run");
    for part in [
        format!("{}  would sign\n", before[1].1),
        format!("{}  would no longer sign\n", before[0].1),
        "nothing was changed".to_owned(),
    ] {
        assert!(plan.contains(&part), "{part}: {plan}");
    }
    assert_eq!(fs::read(folder.path().join("keys/keyring.json")).unwrap(), untouched);
    assert_eq!(ids(&folder), before);
    let rotated = done(&folder, "keys rotate --config config.yaml");
    let after = ids(&folder);
    assert_eq!((&after[0].1, &after[2].1), (&before[1].1, &before[0].1));
    for part in [&*after[0].1, &after[1].1, &after[2].1, "restart it", "--format cert --out", "keys retire"] {
        assert!(rotated.contains(part), "{part}: {rotated}");
    }
    assert_eq!(kid(&folder), before[1].1, "the new active key signs");

    let refused = fails(&folder, "keys retire --config config.yaml", 1);
    assert!(refused.contains("can be valid until") && refused.contains("live up to 600 s"), "{refused}");
    let refused = fails(&folder, &format!("keys retire --config config.yaml --id {}", after[0].1), 1);
    assert!(refused.contains("is the active key"), "{refused}");
    let retired = done(&folder, &format!("keys retire --config config.yaml --force --id {}", before[0].1));
    assert!(retired.contains(&before[0].1) && retired.contains("remove it from every verifier"), "{retired}");
    assert_eq!(ids(&folder).len(), 2);
    let keys = fs::read_dir(folder.path().join("keys")).unwrap();
    let keys = keys.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("key-"));
    assert_eq!(keys.count(), 2, "its file is gone");
    assert!(done(&folder, "keys retire --config config.yaml").contains("nothing to retire"));
}

#[test]
fn a_retired_key_is_one_whose_tokens_have_all_ended() {
    let folder = folder();
    done(&folder, "keys rotate --dir keys --force");
    let path = folder.path().join("keys/keyring.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let stopped = manifest["keys"][2]["stopped_at"].as_i64().unwrap();
    for (ago, code) in [(895, 1), (905, 0)] {
        manifest["keys"][2]["stopped_at"] = json!(stopped - ago);
        fs::write(&path, manifest.to_string()).unwrap();
        let output = line(&folder, "keys retire --dir keys --max-ttl 600");
        assert_eq!(output.status.code(), Some(code), "{ago} s ago: {}", stderr(&output));
    }
    assert_eq!(list(&folder).len(), 2);
}

/// A refresh token lives for thirty days, and is signed by the same keys.
#[cfg(feature = "passwords")]
#[test]
fn refresh_tokens_keep_a_key_from_being_retired() {
    let folder = folder();
    folder.write("users", "");
    done(&folder, "keys rotate --dir keys --force");
    for (more, life) in [
        ("", "2592000 s (refresh_ttl_seconds)"),
        ("refresh_ttl_seconds: 7200\n", "7200 s (refresh_ttl_seconds)"),
        ("refresh_ttl_seconds: 0\n", "600 s (max_ttl_seconds)"),
    ] {
        folder.write("config.yaml", &format!("{CONFIG}users_file: users\n{more}"));
        let refused = fails(&folder, "keys retire --config config.yaml", 1);
        assert!(refused.contains(&format!("live up to {life}")), "{more}: {refused}");
    }
}

#[test]
fn every_algorithm_is_generated_signs_and_is_published_unless_it_is_a_secret() {
    for algorithm in [
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "EdDSA",
        "ML-DSA-44",
        "ML-DSA-65",
        "ML-DSA-87",
    ] {
        let folder = Folder::new();
        folder.write("config.yaml", CONFIG);
        done(&folder, &format!("keys generate --config config.yaml --algorithm {algorithm}"));
        let token = done(&folder, "issue --config config.yaml");
        assert_eq!(header(&token)["alg"], algorithm);
        let export = line(&folder, "keys export --config config.yaml --format jwks");
        if algorithm.starts_with("HS") {
            assert_eq!(export.status.code(), Some(1));
            assert!(stderr(&export).contains("has no public half"), "{}", stderr(&export));
            continue;
        }
        let jwks: Value = serde_json::from_str(&stdout(&export)).unwrap();
        let key = &jwks["keys"][0];
        assert_eq!((&key["kid"], &key["alg"]), (&header(&token)["kid"], &json!(algorithm)));
        for private in ["d", "p", "q", "k", "priv"] {
            assert_eq!(key.get(private), None, "{algorithm}");
        }
    }
}

#[test]
fn a_shared_secret_is_rotated_by_force_and_never_shown() {
    let folder = Folder::new();
    folder.write("config.yaml", CONFIG);
    let mut said = String::new();
    for _ in 0..2 {
        said += &done(&folder, "keys generate --config config.yaml --algorithm HS256");
    }
    let old = done(&folder, "issue --config config.yaml");
    let refused = fails(&folder, "keys rotate --config config.yaml", 1);
    assert!(refused.contains("is a shared secret, which is never exported"), "{refused}");
    said += &done(&folder, "keys rotate --config config.yaml --force");
    assert_ne!(header(&old)["kid"], kid(&folder));
    said += &(refused + &done(&folder, "keys list --config config.yaml"));
    for entry in fs::read_dir(folder.path().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "secret") {
            let secret = fs::read_to_string(&path).unwrap();
            assert!(secret.len() == 64 && !said.contains(&secret), "{said}");
        }
    }
    let server = Server::start(&folder, &["--config", "config.yaml"]);
    assert_eq!(server.get("/.well-known/jwks.json", &[]).json(), json!({ "keys": [] }));
}

#[test]
fn the_server_publishes_the_bytes_that_are_exported() {
    let folder = folder();
    let exported = done(&folder, "keys export --config config.yaml --format jwks");
    let server = Server::start(&folder, &["--config", "config.yaml"]);
    let answer = server.get("/.well-known/jwks.json", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (200, exported.as_str()));
    assert_eq!(answer.header("Cache-Control"), Some("public, max-age=300"));
    let answer = server.get("/.well-known/openid-configuration", &[]);
    assert_eq!(answer.header("Cache-Control"), Some("public, max-age=300"));
    assert_eq!(server.get("/.well-known/oauth-authorization-server", &[]).body, answer.body);
    assert_eq!(answer.json()["jwks_uri"], "https://keys.example.com/.well-known/jwks.json");
    assert_eq!(answer.json()["issuer"], claims(&done(&folder, "issue --config config.yaml"))["iss"]);
    assert_eq!(server.request("DELETE", "/.well-known/jwks.json", &[], None).status, 405);
    let metrics = server.get("/metrics", &[]).body;
    assert!(
        metrics.contains("route=\"jwks\"") && metrics.contains("route=\"openid_configuration\""),
        "{metrics}"
    );
}

/// No restart, no signal: what the commands change in the folder is taken up.
#[test]
fn a_running_server_takes_a_rotation_up() {
    let folder = folder();
    let server = Server::start(&folder, &["--config", "config.yaml"]);
    done(&folder, "keys rotate --dir keys --force");
    let exported = done(&folder, "keys export --dir keys --format jwks");
    let taken_up = || server.get("/.well-known/jwks.json", &[]).body == exported;
    until("it is taken up", taken_up);
    let token = server.post("/auth", &[JSON], "{\"sub\": \"alice\"}").json();
    assert_eq!(header(token["token"].as_str().unwrap())["kid"], *ids(&folder)[0].1);
}

#[test]
fn an_export_names_the_keys_by_every_id_and_writes_whole_files() {
    let folder = folder();
    let keys = ids(&folder);
    let text = done(&folder, "keys export --config config.yaml --format id --state active");
    assert!(text.contains(&format!("kid       {}", keys[0].1)) && text.contains("rfc7638   "), "{text}");
    assert!(list(&folder).iter().all(|key| key["exported"].is_null()), "for people, not for verifiers");

    let output = line(&folder, "keys export --dir keys --format pem --out public.pem --state next");
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(0), ""));
    assert!(stderr(&output).contains("wrote public.pem: 1 key"), "{}", stderr(&output));
    let pem = fs::read_to_string(folder.path().join("public.pem")).unwrap();
    assert_eq!(pem.matches("BEGIN PUBLIC KEY").count(), 1);
    let marked: Vec<bool> = list(&folder).iter().map(|key| key["exported"].is_string()).collect();
    assert_eq!(marked, [false, true], "only what was written is marked");

    let jwks = done(&folder, &format!("keys export --dir keys --format jwks --id {}", keys[0].1));
    let jwks: Value = serde_json::from_str(&jwks).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    assert_eq!(jwks["keys"][0]["kid"], *keys[0].1);

    // What cannot be written marks nothing.
    let other = self::folder();
    let failed = fails(&other, "keys export --dir keys --format jwks --out none/jwks.json", 1);
    assert!(failed.contains("cannot write none/jwks.json"), "{failed}");
    assert!(list(&other).iter().all(|key| key["exported"].is_null()));
}

#[test]
fn a_key_set_that_keeps_a_registry_from_starting_is_warned_of() {
    let folder = Folder::new();
    done(&folder, "keys generate --dir keys --algorithm ES256");
    let output = line(&folder, "keys export --dir keys --format jwks");
    assert_eq!(stderr(&output), "");
    done(&folder, "keys generate --dir keys --algorithm ML-DSA-44");
    let output = line(&folder, "keys export --dir keys --format jwks");
    assert_eq!(output.status.code(), Some(0));
    let warning = stderr(&output);
    assert!(warning.contains("ML-DSA-44: distribution 3 does not start with it in its jwks"), "{warning}");
    assert!(warning.contains("leave it out with --id or --state"), "{warning}");
    assert_eq!(warning.matches("distribution").count(), 1, "{warning}");
}

#[test]
fn a_full_disk_marks_nothing_as_exported() {
    let folder = folder();
    let output = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" keys export --dir keys --format jwks >/dev/full", common::BINARY])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write the answer"), "{}", stderr(&output));
    assert!(list(&folder).iter().all(|key| key["exported"].is_null()));
}

#[test]
fn a_single_key_is_listed_and_exported_but_not_edited() {
    let folder = Folder::new();
    folder.write("config.yaml", "issuer: i\naudience: a\nprivate_key_path: key.pem\nkid: mine\n");
    folder.write_key("key.pem", "p256.pem");
    assert!(done(&folder, "keys list --config config.yaml").contains("active    ES256"));
    let jwks: Value =
        serde_json::from_str(&done(&folder, "keys export --config config.yaml --format jwks")).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], "mine");
    for command in ["generate", "rotate", "retire"] {
        let refused = fails(&folder, &format!("keys {command} --config config.yaml"), 2);
        assert!(
            refused.contains("has no key folder") && refused.contains("set `key_dir: keys`"),
            "{refused}"
        );
    }
}

#[test]
fn a_list_of_keys_in_the_configuration_is_a_ring() {
    let folder = Folder::new();
    for (name, key) in
        [("active.pem", "p256.pem"), ("next.pem", "p384.pem"), ("previous.pem", "ed25519-pub.pem")]
    {
        folder.write_key(name, key);
    }
    let base = "issuer: i\naudience: a\n";
    let ring = "keys:\n- {id: a, path: active.pem, state: active}\n- {id: n, path: next.pem, state: next}\n\
                - {id: p, path: previous.pem, state: previous, algorithm: EdDSA}\n";
    folder.write("config.yaml", &format!("{base}{ring}"));
    let found: Vec<(String, String)> = ids(&folder);
    let expected = [("active", "a"), ("next", "n"), ("previous", "p")];
    assert_eq!(found, expected.map(|(state, id)| (state.to_owned(), id.to_owned())));
    assert_eq!(kid(&folder), "a");
    let jwks: Value =
        serde_json::from_str(&done(&folder, "keys export --config config.yaml --format jwks")).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 3);

    for (keys, part) in [
        ("keys: []", "no key is `active`"),
        ("keys:\n- {path: active.pem}", "keys[0]: `state` is missing"),
        ("keys:\n- {state: active}", "keys[0]: `path` is missing"),
        ("keys:\n- {path: active.pem, state: actve}", "expected next, active or previous, found `actve`"),
        (
            "keys:\n- {path: active.pem, state: active}\n- {path: next.pem, state: active}",
            "a second key is `active`",
        ),
        ("keys:\n- {path: previous.pem, state: active}", "expected a private key, found PUBLIC KEY"),
        (
            "keys:\n- {id: a, path: active.pem, state: active}\n- {id: a, path: next.pem, state: next}",
            "two keys have the id `a`",
        ),
        ("keys:\n- {path: active.pem, state: active}\nkid: x", "`kid` belongs to a single key"),
        ("keys:\n- {path: active.pem, state: active}\nkey_dir: keys", "both name the signing keys"),
        ("key_dir: keys\nprivate_key_path: active.pem", "`private_key_path` belongs to a single key"),
        ("key_dir: keys", "keyring.json: cannot be read"),
    ] {
        folder.write("wrong.yaml", &format!("{base}{keys}\n"));
        let said = fails(&folder, "keys list --config wrong.yaml", 3);
        assert!(said.contains(part), "{keys}: {said}");
    }
}

#[test]
fn readable_keys_and_open_folders_are_warned_of() {
    let folder = folder();
    let keys = folder.path().join("keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    let key = fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().path());
    let key = key.into_iter().find(|path| path.extension().is_some_and(|found| found == "pem")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    folder.write("policy.yaml", "users: {alice: {repos: [a], actions: [pull]}}\n");
    for name in ["config.yaml", "policy.yaml"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let issue = r#"issue --config config.yaml --policy policy.yaml --claims {"sub":"alice"}"#;
    for said in [
        stderr(&line(&folder, issue)),
        stdout(&line(&folder, "check --config config.yaml --policy policy.yaml")),
        stdout(&line(&folder, "doctor --config config.yaml --policy policy.yaml")),
    ] {
        for part in [
            "/keys: every user of this host can put other files into it (mode 0777)",
            "pem holds a secret and can be read by every user of this host (mode 0644)",
            "config.yaml: every user of this host can change it (mode 0666)",
            "policy.yaml: every user of this host can change it (mode 0666)",
            "every user of this host can put other files into it (mode 1777)",
            "chmod go-w ",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}

#[test]
fn an_export_follows_no_link_that_somebody_planted() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let victim = folder.write("victim", "precious");
    std::os::unix::fs::symlink(&victim, folder.path().join("bundle.jwks")).unwrap();
    let said = fails(&folder, "keys export --dir keys --format jwks --out bundle.jwks", 1);
    assert!(said.contains("cannot write bundle.jwks: it is a link to /"), "{said}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(folder.path().join("bundle.jwks")).unwrap();
    let done = line(&folder, "keys export --dir keys --format jwks --out bundle.jwks");
    assert!(done.status.success(), "{}", stderr(&done));
}

#[test]
fn an_export_replaces_an_earlier_one_and_nothing_else() {
    let folder = folder();
    folder.write("out", "");
    for format in ["jwks", "pem", "cert", "id", "jwks"] {
        done(&folder, &format!("keys export --dir keys --format {format} --out out"));
    }
    folder.write("fernet.key", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=");
    let key = done(&folder, "keys export --dir keys --format pem --state active");
    let private = fs::read_to_string(common::repository("tests/data/keys/p256.pem")).unwrap();
    let jwk = |more: &str| format!(r#"{{"keys": [{{"kty": "EC", "crv": "P-256", {more}}}]}}"#);
    folder.write("private.pem", &private);
    folder.write("both.pem", &(key.clone() + &private));
    folder.write("beside.pem", &(key + "hunter2hunter2\n"));
    folder.write("private.jwks", &jwk(r#""x": "AA", "y": "AA", "d": "AA""#));
    folder.write("oct.jwks", r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#);
    folder.write("jwk.json", r#"{"kty": "oct", "k": "AAAA"}"#);
    folder.write("users", "alice:$2y$10$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.\n");
    folder.write("secret", "key hunter2hunter2");
    fs::write(folder.join("key.der"), b"\x30\x82\x01\x00\xff").unwrap();
    for file in
        "keys/keyring.json fernet.key config.yaml private.pem both.pem beside.pem private.jwks oct.jwks \
                 jwk.json users secret key.der"
            .split_whitespace()
    {
        let before = fs::read(folder.join(file)).unwrap();
        let said = fails(&folder, &format!("keys export --dir keys --format jwks --out {file}"), 1);
        assert!(said.contains(&format!("cannot write {file}: it holds something else")), "{said}");
        assert!(said.contains("hint: remove it first, or name another file"), "{said}");
        assert_eq!(fs::read(folder.join(file)).unwrap(), before, "{file}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let folder = folder();
    folder.write("keys/note.txt", "");
    for (command, code, part) in [
        ("keys", 2, "`keypebble keys` needs one of generate, list, rotate, retire, export"),
        ("keys frob", 2, "unknown command `keys frob`"),
        ("keys list", 2, "needs --dir DIR or --config PATH"),
        ("keys list --dir keys --config config.yaml", 2, "both say where the keys are"),
        ("keys generate --dir keys --algorithm ES512", 2, "expected one of HS256, HS384"),
        ("keys generate --dir keys", 1, "a key is staged already"),
        ("keys generate --dir none/keys", 1, "cannot create the folder none/keys"),
        ("keys rotate --dir none", 3, "keys generate --dir none"),
        ("keys retire --dir keys", 2, "needs --max-ttl TIME beside --dir"),
        ("keys retire --dir keys --max-ttl 1w", 2, "found `1w`"),
        ("keys retire --dir keys --max-ttl 60 --id x", 1, "no key has the id `x`"),
        ("keys retire --dir keys --force", 2, "--force needs the --id"),
        ("keys export --dir keys", 2, "needs --format jwks|pem|cert|id"),
        ("keys export --dir keys --format der", 2, "found `der`"),
        ("keys export --dir keys --format jwks --days 3", 2, "--days goes with --format cert"),
        ("keys export --dir keys --format jwks --state previous", 1, "no key is previous"),
        ("keys export --dir keys --format jwks --id x", 1, "no key has the id `x`"),
        ("init", 2, "needs a folder: keypebble init DIR"),
        ("init -", 2, "DIR: expected a path, found `-`\nkeypebble: hint: ./- has that name"),
        ("keys generate --dir -", 2, "--dir: expected a path, found `-`"),
        (
            "keys export --dir keys --format jwks --out -",
            2,
            "hint: leave --out out for standard output; ./- has",
        ),
        ("store backup - --config config.yaml", 2, "FILE: expected a path, found `-`"),
        ("user set alice --users-file -", 2, "--users-file: expected a path, found `-`"),
        ("man --all -", 2, "--all: expected a path, found `-`"),
        ("init keys", 1, "is not empty"),
        ("init .", 2, "does not name a new folder"),
        ("init new --algorithm HS256", 2, "no Docker registry accepts HS256"),
        ("init new --registry https://a", 2, "is not the name of a registry"),
        ("init new --registry registry", 2, "neither a dot nor a port"),
        ("init new --user #x", 2, "a comment in a users file"),
        ("init new --user <<", 2, "merge key"),
        ("init new --url a.example.com", 2, "is not the address of a server"),
        ("init none/new", 1, "cannot create"),
        ("init new\u{1b}[2J", 2, "the folder's path has a control character"),
    ] {
        let said = fails(&folder, command, code);
        assert!(said.contains(part), "{command}: {said}");
    }
    assert!(!folder.path().join("new").exists());
}

/// Killed by the system at any moment, not by the program's own leave.
#[test]
fn a_killed_rotation_leaves_a_folder_that_loads_and_can_be_rotated_again() {
    let folder = folder();
    let keys = folder.path().join("keys").display().to_string();
    let began = std::time::Instant::now();
    done(&folder, "keys rotate --force --dir keys");
    // On a busy machine one rotation may take many times as long as another: then there are more rounds,
    // each with more time, until one was finished before its end.
    let step = began.elapsed() / 40;
    let (mut changed, mut rounds) = (0_usize, 0_u32);
    while rounds < 60 || (changed == 0 && rounds < 600) {
        rounds += 1;
        let before = ids(&folder);
        let mut child = std::process::Command::new(common::BINARY)
            .args(["keys", "rotate", "--force", "--dir", &keys])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(step * (rounds - 1));
        let _ = child.kill();
        child.wait().unwrap();
        let after = ids(&folder);
        assert_eq!(after.iter().filter(|(state, _)| state == "active").count(), 1, "{after:?}");
        changed += usize::from(after != before);
        kid(&folder);
    }
    assert!(
        (1..rounds as usize).contains(&changed),
        "killed both before and after the change: {changed} of {rounds}"
    );
    done(&folder, "keys rotate --force --dir keys");
}

#[test]
fn certificates_of_every_state_are_one_bundle_and_the_same_each_time() {
    let folder = folder();
    let bundle = done(&folder, "keys export --dir keys --format cert");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(done(&folder, "keys export --dir keys --format cert"), bundle);
    assert_ne!(done(&folder, "keys export --dir keys --format cert --days 30"), bundle);

    // Keypebble itself takes one as the chain of its key.
    let active = done(&folder, "keys export --dir keys --format cert --state active");
    folder.write("chain.pem", &active);
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("keys/keyring.json")).unwrap()).unwrap();
    let file = manifest["keys"][0]["file"].as_str().unwrap();
    folder.write(
        "x5c.yaml",
        &format!("issuer: i\naudience: a\nprivate_key_path: keys/{file}\nx5c_chain_path: chain.pem\n"),
    );
    let output = line(&folder, "issue --config x5c.yaml");
    assert_eq!(stderr(&output), "");
    assert_eq!(header(&stdout(&output))["x5c"].as_array().unwrap().len(), 1);

    folder.write_key("old.pem", "ed25519-pub.pem");
    folder.write("ring.yaml", &format!(
        "issuer: i\naudience: a\nkeys:\n- {{path: keys/{file}, state: active}}\n- {{path: old.pem, state: previous}}\n"
    ));
    assert_eq!(
        done(&folder, "keys export --config ring.yaml --format cert").matches("BEGIN CERTIFICATE").count(),
        2
    );

    let eddsa = Folder::new();
    done(&eddsa, "keys generate --dir keys --algorithm EdDSA");
    let said = stderr(&line(&eddsa, "keys export --dir keys --format cert"));
    assert!(said.contains("distribution 2.8 does not start with it"), "{said}");
}

fn init(folder: &Folder, arguments: &[&str]) -> Output {
    run(folder, &[&["init"], arguments].concat())
}

#[test]
fn init_makes_a_folder_that_is_ready_to_start() {
    let folder = Folder::new();
    let output = init(&folder, &["auth", "--registry", "registry.example.com"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert!(stdout(&output).contains("keypebble serve --config "), "{}", stdout(&output));
    let at = |name: &str| folder.path().join("auth").join(name);
    for (name, expected) in [
        ("", 0o755),
        ("keys", 0o700),
        ("config.yaml", 0o644),
        ("users.htpasswd", 0o600),
        ("registry/jwks.json", 0o644),
    ] {
        assert_eq!(mode(&at(name)), expected, "{name}");
    }
    let checked = line(&folder, "check --config auth/config.yaml");
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    // The users file has no user yet.
    let warnings = stdout(&checked).matches("warning").count();
    assert_eq!(warnings, usize::from(cfg!(feature = "passwords")), "{}", stdout(&checked));
    assert!(stdout(&checked).contains("https://registry.example.com"));
    assert!(stdout(&checked).contains(" (next, ES256)"), "{}", stdout(&checked));

    let jwks = fs::read_to_string(at("registry/jwks.json")).unwrap();
    assert_eq!(jwks, done(&folder, "keys export --config auth/config.yaml --format jwks"));
    assert!(fs::exists(at("registry/bundle.pem")).unwrap());
    for (name, trust) in [("registry/config-2.8.yml", "rootcertbundle"), ("registry/config-3.yml", "jwks")] {
        let text = fs::read_to_string(at(name)).unwrap();
        let found: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        let token = &found["auth"]["token"];
        let token = |name: &str| token[name].as_str().unwrap();
        assert_eq!(token("realm"), "https://registry.example.com/v2/token");
        assert_eq!(token("service"), "registry.example.com");
        assert!(Path::new(token(trust)).exists(), "the folder was renamed, and is meant where it is");
        assert_eq!(found["http"]["addr"], "127.0.0.1:5000");
        assert_eq!(found["storage"]["filesystem"]["rootdirectory"].as_str(), at("images").to_str());
        let issued = claims(&done(&folder, "issue --config auth/config.yaml --sub alice"));
        assert_eq!((&issued["iss"], &issued["aud"]), (&json!(token("issuer")), &json!(token("service"))));
    }
    done(&folder, "keys rotate --config auth/config.yaml"); // both keys were exported

    let again = init(&folder, &["auth"]);
    assert_eq!(again.status.code(), Some(1));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["auth"], "nothing is left beside it");
}

#[test]
fn init_takes_an_empty_folder_and_leaves_out_what_a_registry_would_not_take() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("auth")).unwrap();
    let output = init(&folder, &["auth", "--algorithm", "EdDSA"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("distribution 2.8 does not accept EdDSA"), "{}", stdout(&output));
    let names = fs::read_dir(folder.path().join("auth/registry")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config-3.yml", "jwks.json", "zot.json", "zot.pem"]);
}

/// What a folder of that name holds beside keys and `registry/`, once `init` ran with these arguments.
#[cfg(feature = "passwords")]
fn made(folder: &Folder, arguments: &[&str], password: &str) -> Vec<String> {
    let output = common::run_with_input(folder, &[&["init"], arguments].concat(), password);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    let names = fs::read_dir(folder.join(arguments[0])).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(feature = "passwords")]
#[test]
fn init_sets_the_first_password_and_its_user_is_the_one_of_the_policy() {
    let folder = Folder::new();
    for (dir, user, namespace, reader) in [
        ("a", "carol", "carol", "bob"),
        ("b", "bob", "bob", "alice"),
        ("c", "Jo Smith: \"x\"", "", ""),
        ("d", "jo's {x}", "images", "bob"),
        ("e", "null", "null", "bob"),
    ] {
        if reader.is_empty() {
            let said = stderr(&common::run_with_input(&folder, &["init", dir, "--user", user], "sesame"));
            assert!(said.contains("--user: a user name cannot hold a colon"), "{said}");
            assert!(!folder.join(dir).exists());
            continue;
        }
        made(&folder, &[dir, "--user", user], "sesame\n");
        let checked = done(&folder, &format!("check --config {dir}/config.yaml"));
        assert_eq!(checked.matches("warning: ").count(), 1, "{checked}");
        assert!(checked.contains(&format!("{reader} is in the policy and without a password")), "{checked}");
        let scope = format!("repository:{namespace}/x:pull,push");
        let policy = format!("{dir}/policy.yaml");
        let explained =
            run(&folder, &["policy", "explain", "--policy", &policy, "--user", user, "--scope", &scope]);
        assert!(stdout(&explained).contains(&format!("grants {scope}")), "{}", stdout(&explained));
    }
    let said = stderr(&common::run_with_input(&folder, &["init", "f", "--user", "dave"], ""));
    assert!(said.contains("the password is empty") && !folder.join("f").exists(), "{said}");
}

#[cfg(feature = "passwords")]
#[test]
fn init_writes_a_front_for_a_name_that_is_not_of_this_host_and_everything_agrees() {
    let folder = Folder::new();
    let own =
        ["compose.yaml", "config.yaml", "images", "keypebble.service", "keys", "policy.yaml", "registry"];
    let local = made(&folder, &["local"], "");
    assert_eq!(local, [&own[..], &["users.htpasswd"]].concat());
    let mut other = [&own[..], &["users.htpasswd", "Caddyfile", "nginx.conf"]].concat();
    other.sort_unstable();
    assert_eq!(
        made(&folder, &["a $b", "--registry", "r.example:5000", "--url", "https://t.example/x"], ""),
        other
    );

    let nginx = folder.read("a $b/nginx.conf");
    for part in [
        "listen 5000 ssl;\n    server_name r.example;",
        "location /v2/ {\n        proxy_pass http://127.0.0.1:5001;",
        "listen 443 ssl;\n    server_name t.example;",
        "location = /x/v2/token {\n        proxy_pass http://127.0.0.1:8080/v2/token;",
        "location / {\n        return 404;",
    ] {
        assert!(nginx.contains(part), "{part} in {nginx}");
    }
    let caddy = folder.read("a $b/Caddyfile");
    for part in [
        "r.example:5000 {",
        "handle /v2/* {\n\t\treverse_proxy 127.0.0.1:5001",
        "t.example {",
        "handle /x/v2/token {\n\t\trewrite * /v2/token\n\t\treverse_proxy 127.0.0.1:8080 {",
        "handle {\n\t\trespond 404",
    ] {
        assert!(caddy.contains(part), "{part} in {caddy}");
    }
    let zot: Value = serde_json::from_str(&folder.read("a $b/registry/zot.json")).unwrap();
    assert_eq!((&zot["http"]["address"], &zot["http"]["port"]), (&json!("127.0.0.1"), &json!("5001")));
    let bearer = &zot["http"]["auth"]["bearer"];
    assert_eq!(
        (&bearer["realm"], &bearer["service"]),
        (&json!("https://t.example/x/v2/token"), &json!("r.example:5000"))
    );
    assert!(Path::new(bearer["cert"].as_str().unwrap()).exists());

    for (dir, fronted) in [("local", false), ("a $b", true)] {
        let text = folder.read(&format!("{dir}/compose.yaml"));
        let compose: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        let services = &compose["services"];
        assert_eq!(services["front"].is_mapping(), fronted);
        for service in ["keypebble", "registry"] {
            assert_eq!(services[service]["network_mode"].is_string(), fronted, "{text}");
            for volume in services[service]["volumes"].as_sequence().unwrap() {
                let source = volume["source"].as_str().unwrap();
                assert!(folder.join(dir).join(source).exists(), "{source}");
            }
        }
        // Where the registry's own file expects them, and as compose reads it.
        let mounted = services["registry"]["volumes"][0]["target"].as_str().unwrap().replace("$$", "$");
        assert_eq!(folder.join(dir).join("registry"), Path::new(&mounted));
        let unit = folder.read(&format!("{dir}/keypebble.service"));
        let config = folder.join(dir).join("config.yaml").display().to_string().replace('$', "$$");
        assert!(unit.contains(&format!(" serve --config \"{config}\"\n")), "{unit}");
    }
}
