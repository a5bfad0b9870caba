//! What the tests and benches share: folders, the real binary as a black box (run to its end, or serving on a free port
//! until dropped), an HTTP client, waiting, encodings.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)] // each test program uses its part of this
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

pub mod ambiguous;
pub mod encode;
mod folder;
mod http;
mod server;
#[cfg(feature = "tls")]
pub mod tls;

pub use folder::{Folder, copy_folder, folder, repository};
pub use http::{Answer, FORM, JSON, PATIENCE, TURNS, access, basic, connect, exchange, pipelined};
pub use server::{Killed, Server, free_address, free_port, listening_address, metric, metric_in, serve};

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_keypebble");

/// The binary under test: the one that cargo built, or `KEYPEBBLE_BIN`, say the one that ships.
pub fn keypebble() -> Command {
    let mut command = Command::new(std::env::var_os("KEYPEBBLE_BIN").unwrap_or_else(|| BINARY.into()));
    command.env_remove("KEYPEBBLE_CONFIG");
    command
}

/// Runs a command to its end, with that on its standard input.
pub fn finish(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    child.wait_with_output().unwrap()
}

/// The standard output of a command that must succeed.
#[track_caller]
pub fn output(program: impl AsRef<OsStr>, arguments: &[&str], input: impl AsRef<[u8]>) -> Vec<u8> {
    let mut command = Command::new(program);
    let done = finish(command.args(arguments), input);
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Runs the binary to its end, with that on its standard input.
pub fn run_with_input(folder: &Folder, arguments: &[&str], input: &str) -> Output {
    finish(keypebble().args(arguments).current_dir(folder.path()), input)
}

/// Runs the binary to its end.
pub fn run(folder: &Folder, arguments: &[&str]) -> Output {
    run_with_input(folder, arguments, "")
}

/// Runs a command line of words without spaces.
pub fn line(folder: &Folder, line: &str) -> Output {
    run(folder, &line.split_whitespace().collect::<Vec<_>>())
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The exit code, and all that was printed.
pub fn said(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), stdout(output) + &stderr(output))
}

/// What a command that must succeed prints.
#[track_caller]
pub fn done(folder: &Folder, command: &str) -> String {
    let output = line(folder, command);
    assert_eq!(output.status.code(), Some(0), "{command}: {}", stderr(&output));
    stdout(&output)
}

/// The claims of a token; its signature is not looked at.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&encode::from_base64url(token.trim_end().split('.').nth(index).unwrap())).unwrap()
}

/// The `access` of a registry token, as scopes.
pub fn scopes(claims: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entry = |entry: &Value| {
        let actions: Vec<String> = entry["actions"].as_array().unwrap().iter().map(text).collect();
        format!("{}:{}:{}", text(&entry["type"]), text(&entry["name"]), actions.join(","))
    };
    claims["access"].as_array().unwrap().iter().map(entry).collect::<Vec<_>>().join(" ")
}

/// Asks again until the answer is yes: false where that takes far longer than a loaded machine needs.
pub fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > Duration::from_secs(60) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Waits for it; only a hang is a failure.
#[track_caller]
pub fn until(what: &str, done: impl FnMut() -> bool) {
    assert!(eventually(done), "it did not happen: {what}");
}
