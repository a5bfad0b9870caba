//! How fast Keypebble is, as ratios measured in one run: absolute figures depend on the machine.
//!
//!     cargo bench --bench speed                        all of it, some two minutes
//!     cargo bench --bench speed -- micro               signing and building claims, without a socket
//!     cargo bench --bench speed -- http                /v2/token against its two limits, and against Go
//!     cargo bench --bench speed -- start               `issue`, the first answer, resident memory
//!     cargo bench --bench speed -- cost                what a byte of a request costs, by endpoint and shape
//!     cargo bench --features tls --bench speed -- tls  TLS of our own against nginx (needs nginx and wrk)
//!     cargo bench --features full --bench speed -- store          with and without a store (needs PostgreSQL)
//!     cargo bench --features full --bench speed -- growth TOKENS  a store at each power of ten
//!     cargo bench --bench speed -- compare A B...      /v2/token of other binaries, each against the first
//!
//! Prints tables in markdown. All load is on loopback and bounded in time. What is measured takes turns in
//! short rounds, and the best one counts: other work on the machine can only make one slower.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::cast_precision_loss, missing_docs)]

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[path = "../../tests/store/cluster.rs"]
#[allow(dead_code, unreachable_pub)]
mod cluster;
#[path = "../../tests/common/mod.rs"]
mod common;
mod cost;
mod http;
mod load;
mod micro;
mod process;
mod start;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod store;
#[cfg(feature = "tls")]
mod tls;

use std::process::ExitCode;

/// The binary of this build.
const BINARY: &str = env!("CARGO_BIN_EXE_keypebble");

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            micro::run();
            http::run();
            start::run();
            return verdict(cost::run());
        }
        ["cost"] => return verdict(cost::run()),
        ["micro"] => micro::run(),
        ["http"] => http::run(),
        #[cfg(feature = "tls")]
        ["tls"] => tls::run(),
        ["start"] => start::run(),
        #[cfg(all(feature = "sqlite", feature = "postgres"))]
        ["store"] => store::run(),
        #[cfg(all(feature = "sqlite", feature = "postgres"))]
        ["growth", most] => store::growth(most.parse().unwrap()),
        ["compare", first, ref others @ ..] => http::compare(first, others),
        ["--constant", port] => http::constant(port.parse().unwrap()),
        _ => println!(
            "usage: speed [micro | http | start | cost | tls | store | growth TOKENS | compare BINARY BINARY...]"
        ),
    }
    ExitCode::SUCCESS
}

fn verdict(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
