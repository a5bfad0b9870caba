//! From nothing to a token: `issue`, the first answer of `serve`, and resident memory.

use crate::common::free_address;
use crate::load::Connection;
use crate::process::{Place, resident, token_request};
use crate::{BINARY, load, median};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 201;
const STARTS: usize = 41;
const IDLE_CONNECTIONS: usize = 500;

pub(crate) fn run() {
    let folder = Place::new();
    issue(&folder);
    first_answer(&folder);
    memory(&folder);
}

/// `issue` beside a static program that does nothing, and beside our own `--version`.
fn issue(folder: &Place) {
    let mut programs = Vec::new();
    if let Some(empty) = empty_program() {
        programs.push(("an empty static program", command(&empty, &[])));
    }
    programs.push(("keypebble --version", command(Path::new(BINARY), &["--version"])));
    for algorithm in ["HS256", "ES256", "EdDSA", "RS256"] {
        let config = folder.config(algorithm, free_address(), "");
        let kept = config.with_file_name(format!("{algorithm}.yaml"));
        let key = config.with_file_name("key.pem");
        let own = key.with_file_name(format!("{algorithm}.pem"));
        // Both names are the same for each algorithm otherwise.
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::rename(&config, &kept).unwrap();
        if key.exists() {
            std::fs::rename(&key, &own).unwrap();
            std::fs::write(&kept, text.replace("key.pem", &format!("{algorithm}.pem"))).unwrap();
        }
        let mut issue = command(Path::new(BINARY), &["issue", "--claims", r#"{"sub":"alice"}"#, "--config"]);
        issue.arg(kept);
        programs.push((algorithm, issue));
    }
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..RUNS {
        for ((_, command), times) in programs.iter_mut().zip(&mut times) {
            let started = Instant::now();
            assert!(command.status().unwrap().success(), "{command:?}");
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    println!("\n## One-shot: a process from start to end, {RUNS} of each in turns\n");
    println!("| program | median ms | beyond the first |\n|---|---|---|");
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for ((name, _), time) in programs.iter().zip(&medians) {
        let name = if name.contains(' ') { (*name).to_owned() } else { format!("keypebble issue, {name}") };
        println!("| {name} | {time:.2} | {:.2} |", time - medians[0]);
    }
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// `fn main() {}`, where a compiler is at hand.
fn empty_program() -> Option<PathBuf> {
    let folder = std::env::temp_dir();
    let (source, program) = (folder.join("keypebble-empty.rs"), folder.join("keypebble-empty"));
    std::fs::write(&source, "fn main() {}\n").unwrap();
    Command::new("rustc")
        .args(["-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
        .args([&program, &source])
        .status()
        .is_ok_and(|status| status.success())
        .then_some(program)
}

fn first_answer(folder: &Place) {
    println!("\n## Start to first answer (`/healthz`), {STARTS} starts\n");
    println!("| key | median ms | best ms |\n|---|---|---|");
    for algorithm in ["HS256", "RS256"] {
        let times: Vec<f64> = (0..STARTS)
            .map(|_| folder.serve(BINARY, algorithm, "").first_answer.as_secs_f64() * 1e3)
            .collect();
        let best = times.iter().copied().fold(f64::MAX, f64::min);
        println!("| {algorithm} | {:.1} | {best:.1} |", median(times));
    }
}

fn memory(folder: &Place) {
    println!("\n## Resident memory, MiB\n");
    println!(
        "| key | idle | {IDLE_CONNECTIONS} connections at once | the same, resting | under load (16) | after it |"
    );
    println!("|---|---|---|---|---|---|");
    for algorithm in ["HS256", "RS256"] {
        let server = folder.serve(BINARY, algorithm, "");
        let now = || resident(server.pid()) as f64 / 1024.0;
        let idle = now();
        let mut connections: Vec<Connection> =
            (0..IDLE_CONNECTIONS).map(|_| Connection::open(server.address)).collect();
        for connection in &mut connections {
            connection.ask(&token_request());
            connection.answer();
        }
        let at_once = now();
        // A connection has a thread for a moment longer than it is asked something.
        std::thread::sleep(Duration::from_secs(2));
        let resting = now();
        drop(connections);
        let loaded = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                for _ in 0..3 {
                    load::round(&server, &token_request(), 16, Duration::from_millis(400));
                }
            });
            let mut most = 0.0_f64;
            while !load.is_finished() {
                most = most.max(now());
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        println!("| {algorithm} | {idle:.1} | {at_once:.1} | {resting:.1} | {loaded:.1} | {:.1} |", now());
    }
}
