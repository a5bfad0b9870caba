//! Owns the docker-compose example, brought up without an engine: the steps of its README are run, and each
//! service's program is started with what compose.yaml gives it.

use std::fs;
use std::process::Command;

use serde_yaml::Value;

use crate::common::{Folder, copy_folder, keypebble, output};
use crate::stage::{Generation, Stage, start_keypebble, start_nginx, start_registry};
use crate::tools::example;

/// The example with the registry that it names, version 2; or, after what its README says to change, 3.
pub(crate) fn up(generation: Generation) -> Stage {
    let folder = Folder::new();
    copy_folder(&example("docker-compose"), &folder.path().join("compose"));
    run_readme(&folder);
    let compose = fs::read_to_string(folder.path().join("compose/compose.yaml")).unwrap();
    let compose: Value = serde_yaml::from_str(&compose).unwrap();
    let service = |name: &str| &compose["services"][name];

    // What the containers would see at these paths: the mounts, as far as they are there.
    for name in ["keypebble", "registry", "nginx"] {
        for (from, to) in mounts(service(name)) {
            let target = folder.path().join(format!("{name}{to}"));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            let from = folder.path().join("compose").join(from);
            if from.is_dir() {
                copy_folder(&from, &target);
            } else {
                fs::copy(from, &target).unwrap();
            }
        }
    }

    // Where the example's own network ends and this machine's loopback begins.
    let config = folder.path().join("keypebble/etc/keypebble/config.yaml");
    replace(
        &config,
        &[("\"0.0.0.0\"", "\"127.0.0.1\""), ("port: 8080", "port: 0"), ("172.30.55.2", "127.0.0.1")],
    );
    if generation == Generation::V3 {
        let certificate = config.with_file_name("signing.crt");
        fs::copy(folder.path().join("compose/registry/signing.crt"), certificate).unwrap();
        let line = "x5c_chain_path: \"signing.crt\"";
        let readme = fs::read_to_string(example("docker-compose/README.md")).unwrap();
        assert!(readme.contains(&format!("With `registry:3`, add `{line}`")), "README says `{line}`");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}{line}\n")).unwrap();
    }
    let mut command = keypebble();
    for word in service("keypebble")["command"].as_sequence().unwrap() {
        let word = word.as_str().unwrap();
        let inside = word.starts_with('/').then(|| folder.path().join(format!("keypebble{word}")));
        command.arg(inside.unwrap_or_else(|| word.into()));
    }
    let (keypebble, upstream) = start_keypebble(&folder, &mut command);

    fs::rename(folder.path().join("nginx/etc/nginx"), folder.path().join("nginx-conf")).unwrap();
    fs::remove_dir_all(folder.path().join("nginx")).unwrap();
    fs::rename(folder.path().join("nginx-conf"), folder.path().join("nginx")).unwrap();
    let (nginx, port) = start_nginx(&folder, &upstream);

    let variables: Vec<(String, String)> = service("registry")["environment"]
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap().replace("localhost:5000", &format!("localhost:{port}"));
            let inside = value.starts_with('/').then(|| folder.path().join(format!("registry{value}")));
            let value = inside.map_or(value, |path| path.display().to_string());
            (name.as_str().unwrap().to_owned(), value)
        })
        .collect();
    let registry = start_registry(&folder, generation.program(), &variables);
    Stage::of(folder, keypebble, Some(nginx), registry, port)
}

/// `./from:/to:ro` for files and folders; a named volume is not one.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let mounts = service["volumes"].as_sequence().unwrap().iter().map(|mount| mount.as_str().unwrap());
    let files = mounts.filter(|mount| mount.starts_with("./"));
    files
        .map(|mount| {
            let mut parts = mount.split(':');
            (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned())
        })
        .collect()
}

/// Runs every `sh` block of the README, in order.
fn run_readme(folder: &Folder) {
    let readme = fs::read_to_string(folder.path().join("compose/README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3, "the key, its owner, the users");
    // A container's user owns the key there; here it is whoever runs the test.
    let user = String::from_utf8(output("id", &["-u"], "")).unwrap();
    let script = blocks.concat().replace("sudo ", "").replace("65532", user.trim());
    let done = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(folder.path().join("compose"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
}

fn replace(path: &std::path::Path, pairs: &[(&str, &str)]) {
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in pairs {
        assert!(text.contains(from), "{}: no `{from}`", path.display());
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}
