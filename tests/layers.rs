//! The layer rule: the core imports neither the edges nor what they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

use std::fs;
use std::path::{Path, PathBuf};

const CORE: [&str; 5] = ["policy", "claims", "key", "token", "ground"];
const FORBIDDEN: [&str; 6] = [
    "crate::http",
    "crate::cli",
    "std::env",
    "std::net",
    "crate::telemetry::log",
    "crate::telemetry::metrics",
];

fn files_of(module: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{module}.rs"))];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn the_core_does_not_know_the_edges() {
    let mut read = 0;
    for module in CORE.iter().chain(&["issuer"]) {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).unwrap();
            read += 1;
            for (number, line) in
                text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
            {
                for forbidden in FORBIDDEN {
                    assert!(!line.contains(forbidden), "{}:{}: {line}", file.display(), number + 1);
                }
            }
        }
    }
    assert!(read >= 10, "only {read} files found");
}

#[test]
fn one_file_names_serde_yaml() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.clone()];
    let mut named = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = |word: &str| {
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
            };
            let name = path.strip_prefix(&source).unwrap().display().to_string();
            if code("serde_yaml::") {
                named.push(format!("serde_yaml {name}"));
            }
        }
    }
    named.sort();
    assert_eq!(named, ["serde_yaml ground/document.rs"]);
}
