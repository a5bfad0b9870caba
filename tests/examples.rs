//! Owns the proof that every file under `examples/` works: each is loaded by the real binary, and a file
//! that no test here covers is an error.
//!
//! nginx's files and the steps of the docker-compose README are run by `tests/registry`; here, without
//! those programs, only what they promise each other is checked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Folder, Server, claims, repository, run, said, scopes, stderr, stdout};
use serde_json::{Value, json};

/// One test for each file, and the list that `every_example_has_a_test` compares with the folder.
macro_rules! examples {
    ($($test:ident: $file:literal => $check:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let check: fn(&str) = $check;
                check($file);
            }
        )+

        const COVERED: &[&str] = &[$($file),+];
    };
}

examples! {
    the_rsa_configuration: "config.yaml" => rsa_configuration;
    the_developers_configuration: "config.dev.yaml" => developers_configuration;
    the_policy: "policy.yaml" => policy;
    the_systemd_unit: "keypebble.service" => systemd_unit;
    the_compose_file: "docker-compose/compose.yaml" => compose_file;
    the_compose_configuration: "docker-compose/keypebble/config.yaml" => compose_configuration;
    the_compose_policy: "docker-compose/keypebble/policy.yaml" => compose_policy;
    the_compose_readme: "docker-compose/README.md" => compose_readme;
    the_compose_gitignore: "docker-compose/.gitignore" => compose_gitignore;
    the_nginx_configuration: "docker-compose/nginx/nginx.conf" => nginx_configuration;
    the_nginx_locations: "docker-compose/nginx/registry.conf" => nginx_locations;
    the_dashboard: "grafana/keypebble.json" => only_metrics_that_there_are;
    the_prometheus: "prometheus/prometheus.yaml" => foreign;
    the_alerts: "prometheus/rules.yaml" => only_metrics_that_there_are;
    the_alerts_tests: "prometheus/rules_test.yaml" => only_metrics_that_there_are;
    the_verifier_in_python: "verify/verify.py" => foreign;
    the_verifier_in_go: "verify/go/main.go" => foreign;
    the_verifier_in_go_s_module: "verify/go/go.mod" => foreign;
    the_verifier_in_go_s_checksums: "verify/go/go.sum" => foreign;
    the_verifier_in_node: "verify/verify.mjs" => foreign;
    the_verifier_in_node_s_package: "verify/package.json" => foreign;
    the_verifier_in_node_s_lock: "verify/package-lock.json" => foreign;
    the_verifier_in_shell: "verify/verify.sh" => foreign;
    the_kubernetes_manifest: "kubernetes/keypebble.yaml" => kubernetes_manifest;
    the_kubernetes_monitor: "kubernetes/servicemonitor.yaml" => kubernetes_manifest;
    the_chart: "helm/keypebble/Chart.yaml" => chart;
    the_charts_values: "helm/keypebble/values.yaml" => chart_values;
    the_charts_deployment: "helm/keypebble/templates/deployment.yaml" => kubernetes_manifest;
    the_charts_service: "helm/keypebble/templates/service.yaml" => kubernetes_manifest;
    the_charts_network_policy: "helm/keypebble/templates/networkpolicy.yaml" => kubernetes_manifest;
    the_charts_monitor: "helm/keypebble/templates/servicemonitor.yaml" => kubernetes_manifest;
}

/// `tests/foreign` runs it, with the programs that it is for.
fn foreign(name: &str) {
    let tests = ["test_prometheus.py", "test_verify.py"].map(|test| repository("tests/foreign").join(test));
    let tests = tests.map(|test| fs::read_to_string(test).unwrap()).concat();
    let part = if name.contains("/go/") { "\"go\"" } else { name.rsplit('/').next().unwrap() };
    assert!(tests.contains(part), "no test runs {name}");
}

/// A metric of a query is one that the server has, which are those that the manual lists (see tests/docs).
fn only_metrics_that_there_are(name: &str) {
    let (text, listed) = (
        fs::read_to_string(example(name)).unwrap(),
        fs::read_to_string(repository("docs/operations.md")).unwrap(),
    );
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let metrics: BTreeSet<&str> = words.filter(|word| word.starts_with("keypebble_")).collect();
    assert!(metrics.len() >= 6, "{name}: {metrics:?}");
    for metric in metrics {
        assert!(listed.contains(&format!("`{}`", metric.trim_end_matches("_bucket"))), "{name}: {metric}");
    }
}

#[test]
fn every_example_has_a_test() {
    let mut found = BTreeSet::new();
    let mut folders = vec![example("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(example("")).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    // What the steps of the docker-compose README make, should somebody have run them here.
    found.retain(|name| name != "docker-compose/nginx/htpasswd" && !name.starts_with("docker-compose/keys/"));
    assert_eq!(found, COVERED.iter().map(|&name| name.to_owned()).collect());
}

fn rsa_configuration(name: &str) {
    let place = Place::new();
    let config = place.adopt(name, &[("/etc/keypebble", place.path())]);
    let policy = example("policy.yaml");
    let said = place.run(&["check", "--config", path(&config), "--policy", path(&policy)]);
    assert!(!said.contains("warning"), "nothing to complain about:\n{said}");
    place.issue(&["--config", path(&config), "--claims", r#"{"sub": "alice", "edge_id": 7}"#]);

    // The settings that stand there as comments are right too. (The chain needs a certificate: see
    // tests/registry.)
    let text = fs::read_to_string(&config).unwrap();
    let uncommented = text.replace("# kid:", "kid:");
    assert_ne!(uncommented, text);
    fs::write(&config, uncommented).unwrap();
    place.run(&["check", "--config", path(&config), "--policy", path(&policy)]);
    place.serve(&["--config", path(&config), "--policy", path(&policy)], &[("port: 8080", "port: 0")]);
}

fn developers_configuration(name: &str) {
    let place = Place::new();
    let config = example(name);
    let said = place.run(&["check", "--config", path(&config), "--policy", path(&example("policy.yaml"))]);
    assert!(!said.contains("RFC 7518"), "the secret is long enough:\n{said}");
    // The command that the file's own comment shows.
    let claims = place.issue(&["--config", path(&config), "--claims", r#"{"sub": "alice"}"#]);
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!("http://localhost:8080")));
}

/// What the comments in the policy say of each user.
fn policy(name: &str) {
    let place = Place::new();
    let (config, policy) = (example("config.dev.yaml"), example(name));
    let granted = |user: &str, scope: &str| {
        let claims = json!({ "sub": user, "scope": scope }).to_string();
        let files = ["--config", path(&config), "--policy", path(&policy)];
        scopes(&place.issue(&[&files[..], &["--claims", &claims]].concat())).replace("repository:", "")
    };
    for (user, asked, expected) in [
        ("alice", "repository:alice-space/app-api:pull,push", "alice-space/app-api:pull"),
        ("alice", "repository:alice-space/app-ui:pull", "alice-space/app-ui:pull"),
        ("alice", "repository:bob-space/app-api:pull", ""),
        ("bob", "repository:bob-space/app-api:pull,push", "bob-space/app-api:pull,push"),
        ("bob", "repository:bob-space/app-ui:pull", ""),
        ("ci", "repository:team-a/app-1:pull,push,delete", "team-a/app-1:pull,push"),
        ("ci", "repository:team-a/app-1/debug:pull", ""),
        ("lead", "repository:team-a/app-1/debug:pull,push,delete", "team-a/app-1/debug:pull,push,delete"),
        (
            "mirror",
            "repository:shared/tools:pull repository:library/alpine:pull",
            "shared/tools:pull library/alpine:pull",
        ),
        ("mirror", "repository:shared/tools:push repository:library/busybox:pull", ""),
    ] {
        assert_eq!(granted(user, asked), expected, "{user} asks {asked}");
    }
    let stranger = r#"{"sub": "mallory", "scope": "repository:alice-space/app-api:pull"}"#;
    let args = ["issue", "--config", path(&config), "--policy", path(&policy), "--claims", stranger];
    assert_eq!(run(&place.0, &args).status.code(), Some(4), "a user who is not listed");
}

fn systemd_unit(name: &str) {
    let place = Place::new();
    let unit = fs::read_to_string(example(name)).unwrap();
    let setting = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let commands: Vec<&str> = unit.lines().filter(|line| line.starts_with("Exec")).collect();
    assert_eq!(commands.len(), 2, "ExecStart and ExecReload: {commands:?}");
    assert_eq!(setting("ExecReload="), "/bin/kill -HUP $MAINPID");

    // The files where the unit wants them, and the key where systemd would put it.
    let credential = setting("LoadCredential=");
    assert_eq!(credential, "signing.key:/etc/keypebble/signing.key");
    let handed_over = "/run/credentials/keypebble.service/signing.key";
    assert!(unit.contains(&format!("#   rs256_private_key_path: \"{handed_over}\"")), "the comment says so");
    let config = place.adopt("config.yaml", &[("/etc/keypebble", place.path())]);
    place.adopt("policy.yaml", &[]);
    assert_eq!(config.file_name().unwrap(), "config.yaml");

    let words: Vec<String> = setting("ExecStart=")
        .split_whitespace()
        .map(|word| word.replace("/etc/keypebble", place.path()))
        .collect();
    assert_eq!(words[..2], ["/usr/local/bin/keypebble", "serve"]);
    let flags: Vec<&str> = words[2..].iter().map(String::as_str).collect();
    place.run(&[&["check"], &flags[..]].concat());
    place.serve(&flags, &[("port: 8080", "port: 0")]);
}

fn compose_file(name: &str) {
    let place = Place::new();
    let compose = yaml(name);
    let keypebble = &compose["services"]["keypebble"];

    // Every file that a service mounts is there, or made by the README's steps.
    for (_, service) in compose["services"].as_mapping().unwrap() {
        for mount in service["volumes"].as_sequence().into_iter().flatten() {
            let (from, _) = mount.as_str().unwrap().split_once(':').unwrap();
            let Some(file) = from.strip_prefix("./") else { continue };
            let made = ["registry/signing.crt", "nginx/htpasswd"].contains(&file);
            assert!(made || example("docker-compose").join(file).exists(), "{file}");
        }
    }
    let build = &keypebble["build"];
    let context = example("docker-compose").join(build["context"].as_str().unwrap());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).is_file());

    // The command, with the files where the mount puts them: a whole folder, so that a replaced file is seen.
    let mounts = keypebble["volumes"].as_sequence().unwrap();
    assert_eq!(mounts, &["./keypebble:/etc/keypebble:ro"]);
    for file in ["config.yaml", "policy.yaml"] {
        place.adopt(&format!("docker-compose/keypebble/{file}"), &[]);
    }
    let words: Vec<String> = keypebble["command"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().replace("/etc/keypebble", place.path()))
        .collect();
    assert_eq!(words[0], "serve");
    let flags: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let said = place.run(&[&["check"], &flags[..]].concat());
    assert!(!said.contains("warning"), "nothing to complain about:\n{said}");
    place.serve(&flags, &[("port: 8080", "port: 0"), ("0.0.0.0", "127.0.0.1")]);
}

/// What the registry, nginx and Keypebble call each other.
fn compose_configuration(name: &str) {
    let (config, compose) = (yaml(name), yaml("docker-compose/compose.yaml"));
    let registry = &compose["services"]["registry"]["environment"];
    assert_eq!(config["issuer"], registry["REGISTRY_AUTH_TOKEN_ISSUER"]);
    assert_eq!(config["audience"], registry["REGISTRY_AUTH_TOKEN_SERVICE"]);
    let nginx = &compose["services"]["nginx"]["networks"]["tokens"]["ipv4_address"];
    assert_eq!(config["service"]["trusted_proxies"].as_sequence().unwrap(), std::slice::from_ref(nginx));
    // Only nginx shares a network with Keypebble: an address alone proves little to its neighbours.
    assert_eq!(compose["services"]["keypebble"]["networks"].as_sequence().unwrap(), &["tokens"]);
    assert_eq!(compose["services"]["registry"]["networks"].as_sequence().unwrap(), &["storage"]);
}

fn compose_policy(name: &str) {
    let place = Place::new();
    let config = place.adopt("docker-compose/keypebble/config.yaml", &[]);
    place.run(&["check", "--config", path(&config), "--policy", path(&example(name))]);
    let readme = fs::read_to_string(example("docker-compose/README.md")).unwrap();
    for (user, _) in yaml(name)["users"].as_mapping().unwrap() {
        assert!(readme.contains(&format!("printf '{}:%s\\n'", user.as_str().unwrap())), "has a password");
    }
}

fn compose_readme(name: &str) {
    let readme = fs::read_to_string(example(name)).unwrap();
    assert_eq!(readme.matches("```sh\n").count(), 3, "the steps that tests/registry runs");
    for file in ["keypebble/policy.yaml", "keypebble/config.yaml", "compose.yaml", "nginx/nginx.conf"] {
        assert!(readme.contains(&format!("`{file}`")), "{file}");
        assert!(example("docker-compose").join(file).is_file(), "{file}");
    }
}

fn compose_gitignore(name: &str) {
    let ignored = fs::read_to_string(example(name)).unwrap();
    for secret in ["/keypebble/signing.key", "/registry/", "/nginx/htpasswd"] {
        assert!(ignored.lines().any(|line| line == secret), "{secret}");
    }
}

fn nginx_configuration(name: &str) {
    let conf = fs::read_to_string(example(name)).unwrap();
    let compose = yaml("docker-compose/compose.yaml");
    for upstream in ["keypebble:8080", "registry:5000"] {
        assert!(conf.contains(&format!("server {upstream};")), "{upstream}");
        assert!(compose["services"][upstream.split(':').next().unwrap()].is_mapping());
    }
    assert!(conf.contains("include registry.conf;"));
}

/// That the headers really are cleared is for tests/registry to show.
fn nginx_locations(name: &str) {
    let conf = fs::read_to_string(example(name)).unwrap();
    for line in
        ["X-Authenticated-User  $remote_user;", "X-Scopes              \"\";", "X-Policy-Generate     \"\";"]
    {
        assert!(conf.contains(&format!("proxy_set_header {line}")), "{line}");
    }
}

/// What a manifest asks of Keypebble is answered, and every selector finds the pods. That the cluster takes it is for
/// `.ci/manifests` to show.
fn kubernetes_manifest(name: &str) {
    let text = fs::read_to_string(example(name)).unwrap();
    let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap();
    let asked: Vec<&str> = text.split("path: /").skip(1).map(|rest| word(rest, "},\n ")).collect();
    let expected: &[&str] = match kind {
        "Deployment" => &["healthz", "healthz"],
        "ServiceMonitor" => &["metrics"],
        _ => &[],
    };
    assert_eq!(asked, expected, "{name}");
    let place = Place::new();
    let config = place.adopt("config.dev.yaml", &[("port: 8080", "port: 0")]);
    let server = Server::start(&place.0, &["--config", path(&config)]);
    for path in asked {
        assert_eq!(server.get(&format!("/{path}"), &[]).status, 200, "{name}: /{path}");
    }
    assert!(text.contains("{app.kubernetes.io/name: keypebble"), "{name} names the pods");
}

fn chart(name: &str) {
    assert_eq!(yaml(name)["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// Every value is used by a template, and there is one for every use.
fn chart_values(name: &str) {
    let mut used = BTreeSet::new();
    for template in fs::read_dir(example("helm/keypebble/templates")).unwrap() {
        let text = fs::read_to_string(template.unwrap().path()).unwrap();
        used.extend(text.split(".Values.").skip(1).map(|rest| word(rest, " }\n").to_owned()));
    }
    let values = yaml(name);
    let named = values.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect();
    assert_eq!(used, named);
}

/// The text before the first of these characters.
fn word<'a>(text: &'a str, ends: &str) -> &'a str {
    text.split(|character| ends.contains(character)).next().unwrap()
}

/// A folder with the signing key that the examples ask for.
struct Place(Folder);

impl Place {
    const KEY: &str = "signing.key";

    fn new() -> Self {
        let folder = Folder::new();
        folder.write_key(Self::KEY, "rsa2048.pem");
        Place(folder)
    }

    fn path(&self) -> &str {
        path(self.0.path())
    }

    /// Copies an example here, with other text in it.
    fn adopt(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let copy = Path::new(name).file_name().unwrap().to_str().unwrap();
        self.0.write(copy, &changed(&example(name), changes))
    }

    /// Everything that a command says that must succeed.
    fn run(&self, args: &[&str]) -> String {
        let (code, said) = said(&run(&self.0, args));
        assert_eq!(code, 0, "{args:?}\n{said}");
        said
    }

    /// The claims of the token that `issue` prints.
    fn issue(&self, flags: &[&str]) -> Value {
        let output = run(&self.0, &[&["issue"], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{flags:?}\n{}", stderr(&output));
        claims(&stdout(&output))
    }

    /// Starts `serve` with these flags until it listens, after changes to the configuration of this folder
    /// (its port is taken, or needs rights).
    fn serve(&self, flags: &[&str], changes: &[(&str, &str)]) {
        let config = self.0.path().join("config.yaml");
        fs::write(&config, changed(&config, changes)).unwrap();
        drop(Server::start(&self.0, flags));
    }
}

/// A file's text, with replacements that all must apply.
fn changed(path: &Path, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(fs::read_to_string(path).unwrap(), |text, (from, to)| {
        assert!(text.contains(from), "{} has no `{from}`", path.display());
        text.replace(from, to)
    })
}

fn example(name: &str) -> PathBuf {
    repository("examples").join(name)
}

fn yaml(name: &str) -> serde_yaml::Value {
    serde_yaml::from_str(&fs::read_to_string(example(name)).unwrap()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
