//! The documentation is true: every block of README.md and docs/*.md is run, checked or counted.
//!
//! The first word after a fence is a language, the second says what the block is. Nothing else is allowed, so
//! that no block is passed over by mistake:
//!
//! | fence | what happens |
//! | --- | --- |
//! | `sh` | run by `sh -eu`, block after block, in one folder for each page; needs Rust and nothing else |
//! | `sh registry` | the same, but it needs more programs (skopeo, nginx, ...) or features: run by the ignored test |
//! | `sh registry-2.8`, `registry-3`, `nginx`, `caddy` | one of several ways: the ignored tests take each in turn |
//! | `sh cargo` | `cargo run` is run with the built binary; of others the features must exist |
//! | `sh docker`, `systemd`, `kubernetes`, `host` | cannot be run here: its syntax is checked |
//! | `console`, `console registry` | the commands after `$ ` are run, and print what stands below them |
//! | `yaml config`, `yaml policy` | a part of such a file: `keypebble` must take it |
//! | `yaml other`, `json` | must parse |
//! | any language and a file name | written to the page's folder under that name |
//! | `text`, `sql` | for people only; statements are run by the tests of the store |
//!
//! A block that holds nothing but a server's command is started, and stopped at the end of its page or when
//! the same command comes again. Ports are replaced by free ones throughout, and names of hosts by `localhost`.
//! In an expected output `...` stands for any text, and a line `...` for any lines; times, key ids, tokens and
//! other things that differ from run to run are compared by their form.
#![cfg(feature = "passwords")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "what a test has to say")]
#![allow(missing_docs)]

mod block;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod covers;
#[path = "../registry/image.rs"]
#[allow(dead_code, reason = "the tests of real registries use the rest")]
mod image;
mod page;
mod stand_in;
/// What `image` needs.
mod tools {
    pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
        crate::common::output("openssl", &["dgst", "-sha256", "-binary"], data)
    }
}

use block::{Block, Kind};
use page::{Page, With};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// README.md and docs/*.md, by name.
fn pages() -> Vec<(String, String)> {
    let root = common::repository("");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(common::repository));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Runs these pages side by side, each block of a page after the other; says everything that failed.
fn run_pages(with: With, wanted: impl Fn(&str) -> bool) {
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (name, text) in pages().into_iter().filter(|(name, _)| wanted(name)) {
            let failures = &failures;
            scope.spawn(move || {
                if let Err(failure) = Page::new(&name, with).run(&Block::all(&name, &text)) {
                    failures.lock().unwrap().push(failure);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} page(s) failed\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_block_does_what_it_says() {
    run_pages(With::RustAlone, |_| true);
}

#[test]
#[ignore = "needs curl, jq, openssl, docker-registry, nginx and skopeo: see .ci/run"]
fn every_block_does_what_it_says_with_real_programs() {
    run_pages(With::RealPrograms(&["registry-2.8", "nginx"]), |_| true);
}

/// The pages that leave a choice, once more with the other programs.
#[test]
#[ignore = "needs curl, openssl, distribution 3, Caddy and skopeo: see .ci/run"]
fn every_choice_does_what_it_says() {
    let leaves_one = |name: &str| {
        let text = fs::read_to_string(common::repository(name)).unwrap();
        Block::all(name, &text).iter().any(|block| matches!(block.kind, Kind::Choice(_)))
    };
    run_pages(With::RealPrograms(&["registry-3", "caddy"]), leaves_one);
}

#[test]
fn every_block_is_of_a_known_kind() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, text) in pages() {
        for block in Block::all(&name, &text) {
            if block.kind == Kind::Unknown {
                unknown.push(format!("{}: ```{}", block.place(), block.fence));
            }
            *counts.entry(block.kind.name().to_owned()).or_default() += 1;
        }
    }
    println!("{counts:#?}");
    assert!(unknown.is_empty(), "blocks of no known kind:\n{}", unknown.join("\n"));
    for (kind, least) in [("sh", 25), ("console", 15), ("sh registry", 6), ("yaml config", 3), ("file", 5)] {
        assert!(counts.get(kind).is_some_and(|count| *count >= least), "few of {kind}: {counts:?}");
    }
}
