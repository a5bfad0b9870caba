//! `/v2/token` of the running binary, against what bounds it.
//!
//! The plumbing's limit is the same server loop answering a constant. The signature's limit is the rate at
//! which one core makes tokens. Both are compared by the processor time that the *server* uses for one
//! answer, so that neither the load generator nor whatever else the machine does takes part; requests a
//! second stand beside it.

use crate::common::free_address;
use crate::load::{Round, latency, round};
use crate::process::{Place, Server, TARGET, key_file, token_request};
use crate::{BINARY, median, micro};
use keypebble::ground::limits::Limits;
use keypebble::ground::net::Bind;
use keypebble::http::handler::{ConnectionEvent, Handler};
use keypebble::http::request::Request;
use keypebble::http::response::Response;
use keypebble::key::algorithm::Algorithm;
use keypebble::server::{Server as Loop, Stop};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const CONNECTIONS: usize = 16;
const ROUNDS: usize = 9;
const LENGTH: Duration = Duration::from_millis(400);
const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// A connection ends after so many requests by default; here it stays.
const LIMITS: &str = "limits: { requests_per_connection: 1000000000 }";

struct Constant(Vec<u8>);

impl Handler for Constant {
    fn handle(&self, _: &Request<'_>) -> Response {
        Response::json(200, self.0.clone()).header("Cache-Control", "no-store")
    }

    fn event(&self, _: ConnectionEvent) {}
}

/// Serves a constant of a token answer's size, until killed.
pub(crate) fn constant(port: u16) {
    let limits = Limits { requests_per_connection: u32::MAX, ..Limits::default() };
    let server = Loop::bind(&Bind::Tcp("127.0.0.1".into(), port), 0o600, limits).unwrap();
    server.run(Arc::new(Constant(vec![b'x'; 1400])), &Stop::new().unwrap());
}

fn start_constant() -> Server {
    let address = free_address();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--constant", &address.port().to_string()]);
    Server::start(command, address)
}

/// Rounds that take turns: of each server the highest rate and the least processor time.
pub(crate) fn rounds(servers: &[&Server], connections: usize) -> Vec<Round> {
    let request = token_request();
    let mut all = vec![Vec::new(); servers.len()];
    for _ in 0..ROUNDS {
        for (server, rounds) in servers.iter().zip(&mut all) {
            rounds.push(round(server, &request, connections, LENGTH));
        }
    }
    all.into_iter()
        .map(|rounds: Vec<Round>| Round {
            rate: rounds.iter().map(|round| round.rate).fold(0.0, f64::max),
            server: rounds.iter().map(|round| round.server).fold(f64::MAX, f64::min),
            client: rounds.iter().map(|round| round.client).fold(f64::MAX, f64::min),
        })
        .collect()
}

pub(crate) fn run() {
    let folder = Place::new();
    let constant = start_constant();
    let ours: Vec<Server> = ALGORITHMS.iter().map(|a| folder.serve(BINARY, a.name(), LIMITS)).collect();
    let keys: Vec<_> = ALGORITHMS.iter().map(|algorithm| micro::key(*algorithm)).collect();
    let engine = keys[0].engine();
    let sealed = micro::sealing_everywhere(keys, ROUNDS, LENGTH);
    let servers: Vec<&Server> = std::iter::once(&constant).chain(&ours).collect();
    let measured = rounds(&servers, CONNECTIONS);
    let plain = measured[0];
    println!("\n## `GET /v2/token` over {CONNECTIONS} connections, engine {engine}\n");
    println!(
        "| answer | a second | of constant | server us | constant us + token us | signature's share \
         | client us | p50 us | p99 us |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (index, (round, server)) in measured.iter().zip(&servers).enumerate() {
        let (p50, p99) = latency(server, &token_request(), LENGTH);
        let name = index.checked_sub(1).map_or("constant", |index| ALGORITHMS[index].name());
        let token = index.checked_sub(1).map_or(0.0, |index| sealed[index]);
        println!(
            "| {name} | {:.0} | {:.2} | {:.1} | {:.1} + {:.1} | {:.3} | {:.1} | {:.0} | {:.0} |",
            round.rate,
            round.rate / plain.rate,
            round.server * 1e6,
            plain.server * 1e6,
            token * 1e6,
            token / round.server,
            round.client * 1e6,
            p50 * 1e6,
            p99 * 1e6
        );
    }
    peer(&folder);
}

/// A bare Go server with the standard library's cryptography, where Go is at hand.
fn peer(folder: &Place) {
    let Some(program) = build_peer() else {
        println!("\nGo is not at hand: not compared.");
        return;
    };
    let constant = start_constant();
    let mut names = vec!["constant"];
    let mut servers = vec![constant, start_peer(&program, "constant")];
    for algorithm in ALGORITHMS {
        names.push(algorithm.name());
        servers.push(folder.serve(BINARY, algorithm.name(), LIMITS));
        servers.push(start_peer(&program, algorithm.name()));
    }
    let measured = rounds(&servers.iter().collect::<Vec<_>>(), CONNECTIONS);
    println!("\n## Against Go's net/http with its own cryptography\n");
    println!("| answer | ours a second | Go's | ratio | ours, server us | Go's | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for (name, pair) in names.iter().zip(measured.chunks(2)) {
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {:.2} |",
            pair[0].rate,
            pair[1].rate,
            pair[0].rate / pair[1].rate,
            pair[0].server * 1e6,
            pair[1].server * 1e6,
            pair[1].server / pair[0].server
        );
    }
    let (ours, go) = (&servers[2], &servers[3]);
    let size = |path: &Path| std::fs::metadata(path).unwrap().len() as f64 / 1024.0 / 1024.0;
    let mib = |server: &Server| crate::process::resident(server.pid()) as f64 / 1024.0;
    println!("\n| HS256 | ours | Go's |\n|---|---|---|");
    println!("| resident after the load, MiB | {:.1} | {:.1} |", mib(ours), mib(go));
    println!("| binary, MiB | {:.1} | {:.1} |", size(Path::new(BINARY)), size(&program));
    drop(servers);
    let mut starts = [Vec::new(), Vec::new()];
    for _ in 0..41 {
        starts[0].push(folder.serve(BINARY, "HS256", LIMITS).first_answer.as_secs_f64() * 1e3);
        starts[1].push(start_peer(&program, "HS256").first_answer.as_secs_f64() * 1e3);
    }
    let [ours, go] = starts.map(median);
    println!("| start to first answer, ms | {ours:.1} | {go:.1} |");
}

fn build_peer() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer/main.go");
    let program = std::env::temp_dir().join("keypebble-peer");
    ["go", "/usr/local/go/bin/go"]
        .iter()
        .any(|go| {
            Command::new(go)
                .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
                .args([&program, &source])
                .env("CGO_ENABLED", "0")
                .status()
                .is_ok_and(|status| status.success())
        })
        .then_some(program)
}

fn start_peer(program: &Path, answer: &str) -> Server {
    let address = free_address();
    let mut command = Command::new(program);
    command.arg(address.to_string()).arg(answer).args(key_file(answer));
    Server::start(command, address)
}

/// The same requests to several binaries, each against the first, over few connections and over many.
pub(crate) fn compare(first: &str, others: &[&str]) {
    let folder = Place::new();
    let binaries: Vec<&str> = std::iter::once(first).chain(others.iter().copied()).collect();
    println!("\n## {TARGET}\n");
    println!(
        "| answer | connections | binary | a second | ratio | server us | ratio |\n|---|---|---|---|---|---|---|"
    );
    for algorithm in ALGORITHMS {
        let servers: Vec<Server> =
            binaries.iter().map(|binary| folder.serve(binary, algorithm.name(), LIMITS)).collect();
        for connections in [2, CONNECTIONS] {
            let measured = rounds(&servers.iter().collect::<Vec<_>>(), connections);
            for (binary, round) in binaries.iter().zip(&measured) {
                println!(
                    "| {algorithm} | {connections} | {binary} | {:.0} | {:.2} | {:.1} | {:.2} |",
                    round.rate,
                    round.rate / measured[0].rate,
                    round.server * 1e6,
                    measured[0].server / round.server
                );
            }
        }
    }
}
