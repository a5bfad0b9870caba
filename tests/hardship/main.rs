//! The binary where it has not enough of something, or is lied to: descriptors, log, addresses, time, its
//! own life, and requests that can be read in two ways.
//!
//! What needs root or a package is ignored in a plain `cargo test`; `.ci/run hardship` runs it, with the
//! binary that ships (`KEYPEBBLE_BIN`). The same under load is `cargo bench --bench fire`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod addresses;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod descriptors;
#[cfg(feature = "passwords")]
mod guesses;
mod kills;
mod log;
#[cfg(target_arch = "x86_64")]
mod panic;
mod smuggling;

use common::{Answer, Folder, Killed, Server, keypebble, until};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const AUDIENCE: &str = "registry.example.com";
const TARGET: &str = "/v2/token?scope=repository:alice-space/app:pull,push";
const POLICY: &str = "users:\n  alice: {namespace: alice-space, repos: [app], actions: [pull]}\n";

/// A folder with a policy and a configuration; `listens` is what `service` says.
fn folder(listens: &str) -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    configure(&folder, "hs256_secret: 0123456789abcdef0123456789abcdef", listens);
    folder
}

fn configure(folder: &Folder, key: &str, listens: &str) -> PathBuf {
    let text = format!("issuer: {AUDIENCE}\naudience: {AUDIENCE}\n{key}\nservice: {{{listens}}}\n");
    folder.write("config.yaml", &text)
}

/// `serve` of that folder, after those words.
fn serve_after(before: &[&str], folder: &Folder) -> Command {
    let program = keypebble();
    let mut words = before.iter().map(AsRef::as_ref).chain([program.get_program()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["serve", "--config", "config.yaml", "--policy", "policy.yaml"]);
    command.current_dir(folder.path());
    command
}

fn serve(folder: &Folder) -> Command {
    serve_after(&[], folder)
}

const TCP: &str = "host: 127.0.0.1, port: 0";

/// Alice's claims, from an answer that must be a token for what the policy gives her and no more.
#[track_caller]
fn right(answer: &Answer) -> serde_json::Value {
    let claims = answer.claims();
    let access = serde_json::json!([{"type": "repository", "name": "alice-space/app", "actions": ["pull"]}]);
    assert_eq!(
        (&claims["sub"], &claims["aud"], &claims["access"]),
        (&"alice".into(), &AUDIENCE.into(), &access)
    );
    claims
}

const ALICE: (&str, &str) = ("X-Authenticated-User", "alice");
