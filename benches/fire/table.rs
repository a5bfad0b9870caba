//! One attack after another, then all at once: a row for each, and whether it holds.

use crate::attack::{self, ATTACKS, TLS_ATTACKS};
use crate::client::{Question, Target, good};
use crate::server::Usage;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Memory may never reach this, in MiB.
const MOST_MEMORY: f64 = 64.0;
/// Nor the good client's 99th of a hundred this, in milliseconds.
const MOST_WAIT: f64 = 250.0;
/// What may remain of the memory that an attack took, in MiB: every attack, and all that came before it,
/// is held against the process as it was before the first. A static binary gives back all but 2; glibc keeps up
/// to 10 in its arenas for the next crowd.
const MOST_LEFT: f64 = 12.0;
/// How long it may take to be back: idle threads leave after five seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two questions of the good client.
const PAUSE: Duration = Duration::from_millis(3);

/// What is attacked, and asked meanwhile.
pub(crate) struct Victim<'v> {
    pub(crate) target: Target,
    pub(crate) pid: u32,
    pub(crate) question: Question,
    /// The authority of its certificate, where it speaks TLS.
    pub(crate) authority: Option<&'v Path>,
}

pub(crate) fn run(victim: &Victim<'_>, seconds: u64, only: Option<&str>) -> bool {
    let pid = victim.pid;
    let attacks: &[(&str, usize)] = if victim.authority.is_some() { &TLS_ATTACKS } else { &ATTACKS };
    println!(
        "| attack | connections | good requests | failed | p50 ms | p99 ms | peak MiB | MiB after | peak threads \
         | threads after | descriptors before, after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    // What every process has after its first requests is not what an attack leaves.
    good(&victim.target, &victim.question, Duration::from_millis(500), PAUSE);
    let first = Usage::of(pid);
    let mut holds = true;
    for (name, count) in attacks {
        if only.is_none_or(|only| only == *name) {
            holds &= row(victim, seconds, name, &[(name, *count)], first);
        }
    }
    let all: Vec<_> = attacks.iter().copied().filter(|(_, count)| *count > 0).collect();
    if only.is_none_or(|only| only == "all") {
        holds &= row(victim, 3 * seconds, "all at once", &all, first);
    }
    println!(
        "\n{:.1} MiB before the first; {}",
        first.mebibytes(),
        if holds { "all hold" } else { "FAILED" }
    );
    holds
}

fn row(victim: &Victim<'_>, seconds: u64, name: &str, attacks: &[(&str, usize)], first: Usage) -> bool {
    let pid = victim.pid;
    let before = Usage::of(pid);
    let start = |(kind, count): &(&str, usize)| {
        attack::start(kind, *count, victim.target.address, seconds, victim.authority)
    };
    let mut processes: Vec<_> = attacks.iter().flat_map(start).collect();
    let stop = AtomicBool::new(false);
    let peak = [const { AtomicU64::new(0) }; 2];
    let mut seen = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let now = Usage::of(pid);
                peak[0].fetch_max(now.kibibytes, Ordering::Relaxed);
                peak[1].fetch_max(now.threads, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let seen = good(&victim.target, &victim.question, Duration::from_secs(seconds), PAUSE);
        stop.store(true, Ordering::Relaxed);
        seen
    });
    for process in &mut processes {
        process.wait().unwrap();
    }
    let after = settled(pid, before, first);
    let [p50, p99] = [50, 99].map(|part| seen.percentile(part));
    let mebibytes = peak[0].load(Ordering::Relaxed) as f64 / 1024.0;
    let connections: usize = attacks.iter().map(|(_, count)| count).sum();
    println!(
        "| {name} | {connections} | {} | {} | {p50:.2} | {p99:.2} | {mebibytes:.0} | {:.1} | {} | {} | {}, {} |",
        seen.times.len(),
        seen.failures.len(),
        after.mebibytes(),
        peak[1].load(Ordering::Relaxed),
        after.threads,
        before.descriptors,
        after.descriptors,
    );
    seen.failures.iter().take(3).for_each(|failure| println!("<!-- {failure} -->"));
    !seen.times.is_empty()
        && seen.failures.is_empty()
        && p99 < MOST_WAIT
        && mebibytes < MOST_MEMORY
        && is_back(after, before, first)
}

/// What it uses once it is back where it was, or when patience ends.
fn settled(pid: u32, before: Usage, first: Usage) -> Usage {
    let waited = Instant::now();
    loop {
        let after = Usage::of(pid);
        if is_back(after, before, first) || waited.elapsed() > PATIENCE {
            return after;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_back(after: Usage, before: Usage, first: Usage) -> bool {
    after.threads <= before.threads + 2
        && after.descriptors <= before.descriptors
        && after.mebibytes() <= first.mebibytes() + MOST_LEFT
}
