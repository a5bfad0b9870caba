//! What each fuzz target checks, from bytes to assertions: for the fuzzer (`fuzz_targets`) and, on stable
//! Rust, for `tests/corpus.rs`, of which this is a module. Depends on nothing but Keypebble, `serde_json` and
//! `zeroize`.
#![allow(missing_docs, unreachable_pub, dead_code)] // two programs use it, each its part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a finding is a panic")]

pub mod archive;
mod base64;
mod basic;
mod claims;
mod config;
mod fernet;
mod framing;
mod glob;
mod jwe;
mod jwk;
mod keys;
mod policy;
mod query;
mod request;
mod scope;
mod token;
mod users;

use std::path::{Path, PathBuf};

/// Panics where something does not hold.
pub type Check = fn(&[u8]);

/// Every target, by the name of its archive in `corpus`.
pub const TARGETS: [(&str, Check); 15] = [
    ("basic", basic::check),
    ("claims", claims::check),
    ("config", config::check),
    ("fernet", fernet::check),
    ("framing", framing::check),
    ("glob", glob::check),
    ("jwe", jwe::check),
    ("jwk", jwk::check),
    ("keys", keys::check),
    ("policy", policy::check),
    ("query", query::check),
    ("request", request::check),
    ("scope", scope::check),
    ("token", token::check),
    ("users", users::check),
];

/// The most processor time that one input may take, in nanoseconds: no input is longer than a few KiB.
/// Generous, as it holds for an unoptimized build, too: a real finding takes minutes.
const MOST_CPU: u64 = 5_000_000_000;

/// Runs a target.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of that name");
    let before = cpu_time();
    check(bytes);
    if let (Some(before), Some(after)) = (before, cpu_time()) {
        assert!(after - before < MOST_CPU, "{} ms of processor time", (after - before) / 1_000_000);
    }
}

/// What this thread has used of a processor, in nanoseconds; unknown where there is no such file.
fn cpu_time() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The folder of the tests' keys, from the fuzz crate or from Keypebble's.
fn keys_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/data/keys", "../tests/data/keys"].map(|folder| here.join(folder));
    folders.into_iter().find(|folder| folder.is_dir()).expect("the folder of the tests' keys")
}
