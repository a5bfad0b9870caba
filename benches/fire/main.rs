//! Attacks on the release binary, and what a good client sees meanwhile.
//!
//!     cargo bench --bench fire                         every attack, two minutes
//!     cargo bench --bench fire -- ATTACK               one of them, or `all`
//!     cargo bench --features tls --bench fire -- tls [ATTACK]    those on TLS, two minutes
//!     cargo bench --bench fire -- http://127.0.0.1:8080 PID [SECONDS [ATTACK]]    on what listens there
//!     cargo bench --bench fire -- soak [MINUTES]       mixed good and bad load, 30 minutes
//!     cargo bench --bench fire -- restarts [COUNT]     kills and restarts, 10,000
//!
//! `KEYPEBBLE_BIN` names another binary than this build's. Everything is bounded in count and time, and to
//! loopback. Prints tables in markdown; exits 1 where something does not hold, and says what.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_precision_loss, missing_docs)]

mod attack;
mod client;
#[path = "../../tests/common/mod.rs"]
mod common;
mod restarts;
mod server;
mod soak;
mod table;

use client::{Question, Target};
use server::Server;
use std::net::SocketAddr;
use std::process::ExitCode;
use table::Victim;

/// Seconds of one attack, unless told otherwise, and at most.
const SECONDS: u64 = 5;
const MOST_SECONDS: u64 = 120;
const MOST_MINUTES: u64 = 24 * 60;
const MOST_RESTARTS: u64 = 1_000_000;

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str, most: u64| text.parse::<u64>().map(|number| number.clamp(1, most)).unwrap();
    let holds = match arguments[..] {
        ["--attack", kind, count, address, seconds] => {
            attack::attack(kind, count.parse().unwrap(), loopback(address), number(seconds, 24 * 3600));
            true
        }
        ["soak"] => soak::run(30),
        ["soak", minutes] => soak::run(number(minutes, MOST_MINUTES)),
        ["restarts"] => restarts::run(10_000),
        ["restarts", count] => restarts::run(number(count, MOST_RESTARTS)),
        [] => attacked(None),
        [kind] if kind == "all" || attack::ATTACKS.iter().any(|(known, _)| *known == kind) => {
            attacked(Some(kind))
        }
        #[cfg(feature = "tls")]
        ["tls"] => attacked_over_tls(None),
        #[cfg(feature = "tls")]
        ["tls", kind] if kind == "all" || attack::TLS_ATTACKS.iter().any(|(known, _)| *known == kind) => {
            attacked_over_tls(Some(kind))
        }
        [address, pid, ref rest @ ..] if rest.len() <= 2 => {
            let seconds = rest.first().map_or(SECONDS, |seconds| number(seconds, MOST_SECONDS));
            let (target, pid) = (Target::plain(loopback(address)), pid.parse().unwrap());
            let victim = Victim { target, pid, question: Question::Health, authority: None };
            table::run(&victim, seconds, rest.get(1).copied())
        }
        _ => {
            println!(
                "usage: fire [ATTACK | tls [ATTACK] | soak [MINUTES] | restarts [COUNT] \
                 | http://127.0.0.1:PORT PID [SECONDS [ATTACK]]]"
            );
            return ExitCode::from(2);
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The binary, with a policy and an HS256 key, under attack.
fn attacked(only: Option<&str>) -> bool {
    let server = Server::with_policy();
    println!("{}\n", server.describe());
    let (target, pid) = (Target::plain(server.address), server.pid());
    table::run(&Victim { target, pid, question: server.token_question(), authority: None }, SECONDS, only)
}

/// The same with TLS of its own, the good client's requests included.
#[cfg(feature = "tls")]
fn attacked_over_tls(only: Option<&str>) -> bool {
    let server = Server::with_tls();
    println!("{}\n", server.describe());
    let authority = server.authority();
    let client = common::tls::Client::trusting(&std::fs::read_to_string(&authority).unwrap());
    let target = Target { address: server.address, tls: Some(client) };
    let (pid, question) = (server.pid(), server.token_question());
    table::run(&Victim { target, pid, question, authority: Some(&authority) }, SECONDS, only)
}

fn loopback(address: &str) -> SocketAddr {
    let address: SocketAddr = address.strip_prefix("http://").unwrap_or(address).parse().unwrap();
    assert!(address.ip().is_loopback(), "only loopback is attacked");
    address
}
