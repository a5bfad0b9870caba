//! Reloading while serving: the real binary, its files changed under it in every way that editors and
//! Kubernetes know, and under load.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Folder, Server, line, metric, serve, stderr, until};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = "\
issuer: i
audience: registry.example.com
secret_path: secret
service: {host: 127.0.0.1, port: 0}
";

/// Everything in a version goes together: who, which action, and for how long.
fn version(action: &str, seconds: u32) -> String {
    format!(
        "users:\n  alice:\n    repos: [one]\n    actions: [{action}]\n    ttl_seconds: {seconds}\n    \
         rules: [{{repos: [two], actions: [{action}], ttl_seconds: {seconds}}}]\n"
    )
}

fn folder() -> Folder {
    let folder = common::folder(CONFIG, &version("pull", 1000));
    folder.write("secret", "0123456789abcdef0123456789abcdef");
    folder
}

/// What alice is given of everything, and for how long.
fn granted(server: &Server) -> (String, i64) {
    let target = "/v2/token?scope=repository:one:pull,push&scope=repository:two:pull,push";
    let answer = server.get(target, &[("X-Authenticated-User", "alice")]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let access = common::claims(body["token"].as_str().unwrap())["access"].clone();
    let entries = access.as_array().unwrap().iter();
    let text = entries.map(|entry| format!("{}:{}", entry["name"], entry["actions"])).collect::<Vec<_>>();
    (text.join(" ").replace('"', ""), body["expires_in"].as_i64().unwrap())
}

fn pulls() -> (String, i64) {
    ("one:[pull] two:[pull]".to_owned(), 1000)
}

fn pushes() -> (String, i64) {
    ("one:[push] two:[push]".to_owned(), 2000)
}

/// As an editor does: a new file under the old name.
fn replace(folder: &Folder, name: &str, text: &str) {
    folder.write(".new", text);
    fs::rename(folder.path().join(".new"), folder.path().join(name)).unwrap();
}

#[test]
fn the_policy_that_the_configuration_names_is_watched_also_when_it_names_another() {
    let folder = folder();
    let named = |policy: &str| {
        // The address is the flag's: this one can't be listened on.
        CONFIG.replace("host: 127.0.0.1, port: 0", "host: nowhere.invalid")
            + &format!("policy_file: {policy}\n")
    };
    folder.write("config.yaml", &named("policy.yaml"));
    folder.write("other.yaml", &version("push", 2000));
    let server = Server::start(&folder, &["--config", "config.yaml", "--listen", "127.0.0.1:0"]);
    assert_eq!(granted(&server), pulls());
    replace(&folder, "config.yaml", &named("other.yaml"));
    until("the other policy", || granted(&server) == pushes());
    replace(&folder, "other.yaml", &version("pull", 1000));
    until("a change of the other policy", || granted(&server) == pulls());
    assert!(!server.stop("TERM").1.contains("restart_needed"), "the flag's address is still the one");
}

#[test]
fn a_change_is_noticed_whether_written_in_place_renamed_or_swapped_by_a_link() {
    let folder = folder();
    // As Kubernetes mounts: policy.yaml -> ..data/policy.yaml, ..data -> ..1, and ..data is renamed over.
    for (name, text) in [("..1", version("pull", 1000)), ("..2", version("push", 2000))] {
        fs::create_dir(folder.path().join(name)).unwrap();
        folder.write(&format!("{name}/policy.yaml"), &text);
    }
    symlink("..1", folder.path().join("..data")).unwrap();
    symlink("..data/policy.yaml", folder.path().join("mounted.yaml")).unwrap();
    let server = serve(&folder);
    let mounted = Server::start(&folder, &["--config", "config.yaml", "--policy", "mounted.yaml"]);
    assert_eq!((granted(&server), granted(&mounted)), (pulls(), pulls()));

    folder.write("policy.yaml", &version("push", 2000));
    symlink("..2", folder.path().join("..tmp")).unwrap();
    fs::rename(folder.path().join("..tmp"), folder.path().join("..data")).unwrap();
    until("the file written in place", || granted(&server) == pushes());
    until("the link swapped", || granted(&mounted) == pushes());

    replace(&folder, "policy.yaml", &version("pull", 1000));
    until("the file renamed", || granted(&server) == pulls());
    assert_eq!(metric(&server, "keypebble_reload_failed"), 0);
    assert!(server.log().contains("event=reload result=ok cause=change"), "{}", server.log());
}

#[test]
fn a_broken_file_leaves_the_old_in_force_says_so_and_recovers() {
    let folder = folder();
    let server = serve(&folder);
    let loaded = metric(&server, "keypebble_loaded_time_seconds");
    folder.write("policy.yaml", &version("pul", 1000));
    until("the failure shows", || metric(&server, "keypebble_reload_failed") == 1);
    assert_eq!(granted(&server), pulls());

    let check = stderr(&line(&folder, "check --config config.yaml --policy policy.yaml"));
    let sentence = check.lines().next().unwrap().strip_prefix("keypebble: error: ").unwrap();
    assert!(sentence.contains("policy.yaml:4:15: users.alice.actions[0]: unknown action"), "{sentence}");
    until("the error is logged", || server.log().contains(sentence));
    assert!(server.log().contains("did you mean `pull`?"), "{}", server.log());

    // A file that breaks its own expectation is as broken.
    let contradiction = "tests: [{user: alice, scope: \"repository:one:pull\", grants: \"\"}]\n";
    folder.write("policy.yaml", &(version("pull", 1000) + contradiction));
    until("the expectation is tried", || server.log().contains("this expectation does not hold"));
    assert_eq!((granted(&server), metric(&server, "keypebble_reload_failed")), (pulls(), 1));

    folder.write("policy.yaml", &version("push", 2000));
    until("it is mended", || metric(&server, "keypebble_reload_failed") == 0);
    assert_eq!(granted(&server), pushes());
    assert!(metric(&server, "keypebble_reloads_total{result=\"failed\"}") >= 2);
    assert!(metric(&server, "keypebble_loaded_time_seconds") > loaded);
}

#[test]
fn a_pipe_in_place_of_a_file_stops_nothing() {
    let folder = folder();
    let server = serve(&folder);
    let looked = || metric(&server, "keypebble_reload_look_time_seconds");
    let pipe = folder.path().join("secret");
    fs::remove_file(&pipe).unwrap();
    common::output("mkfifo", &[pipe.to_str().unwrap()], "");
    until("the pipe is named", || server.log().contains("it is a pipe, not a regular file"));
    assert_eq!(metric(&server, "keypebble_reload_failed"), 1);
    let before = looked();
    until("the files are still looked at", || looked() > before);
    server.signal("HUP");
    fs::remove_file(&pipe).unwrap();
    folder.write("secret", "0123456789abcdef0123456789abcdef");
    folder.write("policy.yaml", &version("push", 2000));
    until("a later change is in force", || granted(&server) == pushes());
    assert_eq!(metric(&server, "keypebble_reload_failed"), 0);
}

#[test]
fn keys_and_configuration_are_read_again_and_what_needs_a_restart_is_said() {
    let folder = folder();
    let server = serve(&folder);
    let token = || {
        let body = server.get("/v2/token", &[("X-Authenticated-User", "alice")]).body;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        common::claims(body["token"].as_str().unwrap())["iss"].as_str().unwrap().to_owned()
    };
    assert_eq!(token(), "i");
    // The new configuration names a file that is not there yet: no known file changes when it comes.
    let changed = CONFIG.replace("issuer: i", "issuer: j").replace("port: 0", "port: 9");
    folder.write("config.yaml", &changed.replace("secret_path: secret", "secret_path: later"));
    until("the missing key shows", || metric(&server, "keypebble_reload_failed") == 1);
    // What may be a secret is not repeated, but its place is.
    // The metric moves a moment before the line is written.
    until("its place", || server.log().contains("config.yaml:3:14: secret_path: no such file"));
    folder.write("later", "abcdef0123456789abcdef0123456789");
    until("the key that came later", || token() == "j");
    until("what needs a restart", || {
        server.log().contains("restart_needed_for=\"service.host and service.port\"")
    });

    let reloads = metric(&server, "keypebble_reloads_total{result=\"ok\"}");
    folder.write("later", "another secret of sufficient length");
    until("the key changed", || metric(&server, "keypebble_reloads_total{result=\"ok\"}") > reloads);
    let (_, log) = server.stop("TERM");
    assert!(!log.contains("another secret") && !log.contains("0123456789"), "{log}");
}

#[test]
fn a_file_written_in_two_halves_is_never_seen_by_halves() {
    let folder = folder();
    let whole = version("push", 2000) + "  bob: {repos: [one], actions: [pull]}\n";
    folder.write("policy.yaml", &(version("pull", 1000) + "  bob: {repos: [one], actions: [pull]}\n"));
    let server = serve(&folder);
    let bob = || {
        let answer =
            server.get("/v2/token?scope=repository:one:pull", &[("X-Authenticated-User", "bob")]).body;
        let body: serde_json::Value = serde_json::from_str(&answer).unwrap();
        !common::claims(body["token"].as_str().unwrap())["access"].as_array().unwrap().is_empty()
    };
    for _ in 0..30 {
        folder.write("policy.yaml", &version("push", 2000)); // valid YAML, and bob is gone
        std::thread::sleep(Duration::from_millis(100));
        assert!(bob());
        folder.write("policy.yaml", &whole);
        assert!(bob());
    }
    until("it is at rest", || {
        assert!(bob());
        granted(&server) == pushes()
    });
}

#[test]
fn thousands_of_requests_see_one_version_or_the_other_while_files_change_and_break() {
    let folder = folder();
    let server = serve(&folder);
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let grant = granted(&server); // asserts the status
                    let which = [pulls(), pushes()].iter().position(|known| *known == grant);
                    let which = which.unwrap_or_else(|| panic!("torn: {grant:?}"));
                    seen[which].fetch_add(1, Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let texts = [
            version("pull", 1000),
            "users: [".to_owned(),
            version("push", 2000),
            version("push", 2000).replace("repos", "repo"),
        ];
        let start = Instant::now();
        for text in texts.iter().cycle() {
            replace(&folder, "policy.yaml", text);
            server.signal("HUP");
            std::thread::sleep(Duration::from_millis(100));
            let enough = asked.load(Ordering::Relaxed) >= 4000 && start.elapsed() > Duration::from_secs(5);
            if enough || start.elapsed() > Duration::from_secs(60) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) >= 2000, "{asked:?}");
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) > 100), "{seen:?}");
    assert!(metric(&server, "keypebble_reloads_total{result=\"failed\"}") > 5);
    assert!(server.log().contains("event=reload result=ok cause=SIGHUP"));
    replace(&folder, "policy.yaml", &version("pull", 1000));
    until("quiet again", || metric(&server, "keypebble_reload_failed") == 0 && granted(&server) == pulls());
}
