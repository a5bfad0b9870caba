//! Hours in small: good clients and every attack by turns, and whether anything grows.
//!
//! Decision: the attacks are a tenth of their usual size and the clients pause, so that it can run beside
//! other work: what is looked for is a leak, which shows in time and not in load.

use crate::attack::{self, ATTACKS};
use crate::client::{Question, Seen, Target, answer, connect, good};
use crate::server::{Server, Usage, processor_seconds};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Good clients, and the pause between two questions of one.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);
/// How long one attack lasts before the next has its turn.
const TURN: u64 = 6;
/// By how much the memory of the last third may exceed that of the first third, in MiB. Of each minute the most counts
/// and not the median, because the allocator of the static binary gives memory back in steps: over half an hour its
/// medians went up and down between 3.3 and 6.9 MiB, while the most was 6.4 MiB in the first minute and never over 7.7.
const MOST_GROWTH: f64 = 1.5;

/// Requests that are understood and refused, or need no token.
const OTHERS: [&str; 5] = [
    "GET /v2/token?service=other HTTP/1.1\r\nHost: localhost\r\nX-Authenticated-User: alice\r\n\r\n",
    "GET /v2/token?scope=nonsense HTTP/1.1\r\nHost: localhost\r\nX-Authenticated-User: alice\r\n\r\n",
    "GET /v2/token HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    "GET /%2e%2e/x HTTP/1.1\r\nHost: localhost\r\nX-A: \u{1}\r\n\r\n",
];

pub(crate) fn run(minutes: u64) -> bool {
    let server = Server::with_policy();
    println!("{}\n", server.describe());
    let question = server.token_question();
    good(&Target::plain(server.address), &question, Duration::from_millis(500), PAUSE);
    let first = Usage::of(server.pid());
    println!(
        "| minute | good requests | failed | p50 ms | p99 ms | MiB median | MiB most | threads most | descriptors most | cpu % |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let stop = AtomicBool::new(false);
    let refused = AtomicU64::new(0);
    let minutes_seen = thread::scope(|scope| {
        scope.spawn(|| attacks(server.address, &stop));
        scope.spawn(|| others(server.address, &stop, &refused));
        let seen: Vec<Minute> = (1..=minutes).map(|number| minute(&server, &question, number)).collect();
        stop.store(true, Ordering::Relaxed);
        seen
    });
    let waited = Instant::now();
    let mut last = Usage::of(server.pid());
    while waited.elapsed() < Duration::from_secs(15) && last.threads > first.threads + 2 {
        thread::sleep(Duration::from_millis(100));
        last = Usage::of(server.pid());
    }
    judge(&minutes_seen, first, last, refused.load(Ordering::Relaxed))
}

/// What was seen in one minute.
struct Minute {
    asked: usize,
    failed: usize,
    p99: f64,
    /// The most that it had, in MiB.
    memory: f64,
}

fn minute(server: &Server, question: &Question, number: u64) -> Minute {
    let started = Instant::now();
    let used = || processor_seconds("self") + processor_seconds(&server.pid().to_string());
    let before = used();
    let all = Mutex::new(Seen::default());
    let mut samples = Vec::new();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let seen = good(&Target::plain(server.address), question, Duration::from_secs(60), PAUSE);
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.times.extend(seen.times);
                all.failures.extend(seen.failures);
            });
        }
        while started.elapsed() < Duration::from_secs(60) {
            samples.push(Usage::of(server.pid()));
            thread::sleep(Duration::from_millis(500));
        }
    });
    let mut seen = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [p50, p99] = [50, 99].map(|part| seen.percentile(part));
    let memory = samples.iter().map(Usage::mebibytes).fold(0.0, f64::max);
    println!(
        "| {number} | {} | {} | {p50:.2} | {p99:.2} | {:.1} | {memory:.1} | {} | {} | {:.0} |",
        seen.times.len(),
        seen.failures.len(),
        median(samples.iter().map(Usage::mebibytes).collect()),
        samples.iter().map(|usage| usage.threads).max().unwrap_or(0),
        samples.iter().map(|usage| usage.descriptors).max().unwrap_or(0),
        100.0 * (used() - before) / started.elapsed().as_secs_f64(),
    );
    seen.failures.iter().take(3).for_each(|failure| println!("<!-- {failure} -->"));
    Minute { asked: seen.times.len(), failed: seen.failures.len(), p99, memory }
}

/// Every attack by turns, until told to stop.
fn attacks(address: SocketAddr, stop: &AtomicBool) {
    for (kind, count) in ATTACKS.iter().filter(|(_, count)| *count > 0).cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for mut process in attack::start(kind, count / 10, address, TURN, None) {
            process.wait().unwrap();
        }
    }
}

/// What is refused, each on a connection of its own; any answer will do.
fn others(address: SocketAddr, stop: &AtomicBool, refused: &AtomicU64) {
    for request in OTHERS.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let asked = connect(address).and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            answer(&mut stream)
        });
        if asked.is_err_and(|error| error.to_string().starts_with("answered")) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(PAUSE);
    }
}

fn judge(minutes: &[Minute], first: Usage, last: Usage, refused: u64) -> bool {
    let third = minutes.len().div_ceil(3);
    let memory = |part: &[Minute]| median(part.iter().map(|minute| minute.memory).collect());
    let (early, late) = (memory(&minutes[..third]), memory(&minutes[minutes.len() - third..]));
    let failed: usize = minutes.iter().map(|minute| minute.failed).sum();
    let asked: usize = minutes.iter().map(|minute| minute.asked).sum();
    let slowest = minutes.iter().map(|minute| minute.p99).fold(0.0, f64::max);
    println!(
        "\n{asked} good requests, {failed} failed, the worst minute's p99 {slowest:.2} ms; {refused} refusals"
    );
    println!("most MiB in a minute, median: first third {early:.2}, last third {late:.2}");
    println!("before: {first:?}\nafter:  {last:?}");
    let holds = failed == 0
        && refused > 0
        && late <= early + MOST_GROWTH
        && last.threads <= first.threads + 2
        && last.descriptors <= first.descriptors;
    println!("{}", if holds { "it holds" } else { "FAILED" });
    holds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
