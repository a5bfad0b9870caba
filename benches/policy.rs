//! Policy at size: loading, memory and evaluation, as ratios within one run.
//!
//! `cargo bench --bench policy`. Owns a counting allocator and a clock, nothing else: the numbers to hold
//! are ratios (10 users against 100,000) and bytes, which do not depend on the machine.
#![allow(clippy::unchecked_time_subtraction, unsafe_code)] // a counting allocator has no safe form
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use keypebble::ground::document::Document;
use keypebble::ground::time::Ttl;
use keypebble::policy::scope;
use keypebble::policy::{Asker, Policy, Who};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes asked for and not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; only a counter is kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A policy of that many users, as the specification writes them, and the bytes of their names and patterns.
fn policy_text(users: usize) -> (String, usize) {
    let mut text = String::from("users:\n");
    let mut bytes = 0;
    for index in 0..users {
        let name = format!("user-{index:06}");
        writeln!(
            text,
            "  {name}:\n    namespace: \"{name}\"\n    repos: [\"app-api\", \"app-ui\"]\n    actions: [\"pull\", \"push\"]"
        )
        .unwrap();
        bytes += name.len() + 2 * (name.len() + 1) + "app-apiapp-ui".len();
    }
    (text, bytes)
}

fn compile(text: String) -> Policy {
    let document = Document::parse(Path::new("policy.yaml"), text).unwrap();
    Policy::compile(&document).unwrap()
}

/// The processor time of this thread: what others do on this machine does not count.
fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is a known one and the place to write to is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// The time of one call, the best of several rounds.
fn timed(rounds: u32, calls: u32, mut call: impl FnMut(u32)) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let start = now();
        for index in 0..calls {
            call(index);
        }
        best = best.min(now().saturating_sub(start));
    }
    best.as_nanos() as f64 / f64::from(calls)
}

fn decision(policy: &Policy, users: u32) -> f64 {
    // The same 8 users again and again: what is measured is the work, not the cache misses of a cold map.
    let names: Vec<String> = (0..8).map(|n| format!("user-{:06}", n * (users / 8).max(1) % users)).collect();
    let asked: Vec<_> = names
        .iter()
        .map(|name| scope::parse_all([format!("repository:{name}/app-ui:pull,push").as_str()]).unwrap())
        .collect();
    timed(7, 20_000, |index| {
        let at = (index % 8) as usize;
        let asker = Asker { who: Who::User(&names[at]), hosts: &["registry"], default_ttl: Ttl::DEFAULT };
        black_box(policy.grant(&asker, &asked[at]));
    })
}

/// One user of that many rules, asked for what only the last one gives.
fn rules(count: usize) -> f64 {
    let mut text = String::from("users:\n  alice:\n    rules:\n");
    for index in 0..count {
        writeln!(text, "      - {{repos: [\"team-{index:04}/**\"], actions: [pull, push]}}").unwrap();
    }
    let policy = compile(text);
    let last = format!("repository:team-{:04}/app:pull,push", count - 1);
    let asked = scope::parse_all([last.as_str()]).unwrap();
    let asker = Asker { who: Who::User("alice"), hosts: &["registry"], default_ttl: Ttl::DEFAULT };
    assert_eq!(policy.grant(&asker, &asked).access.len(), 1);
    timed(7, 2_000, |_| {
        black_box(policy.grant(&asker, &asked));
    })
}

fn main() -> ExitCode {
    let mut failed = false;
    let mut judge = |what: &str, value: f64, unit: &str, most: f64| {
        let verdict = if value <= most { "ok" } else { "TOO MUCH" };
        failed |= value > most;
        println!("{what:<58} {value:>10.2} {unit:<6} at most {most:<8} {verdict}");
    };

    let text = policy_text(100_000).0;
    println!("100,000 users, {} bytes of YAML; processor time of one thread, the best of three", text.len());
    drop(text);
    let before = LIVE.load(Ordering::Relaxed);
    let (mut policy, mut words, mut best) = (Policy::default(), 0, Duration::MAX);
    for _ in 0..3 {
        policy = Policy::default(); // the last one's memory is not this one's
        let (text, bytes) = policy_text(100_000);
        words = bytes;
        let start = now();
        let document = Document::parse(Path::new("policy.yaml"), text).unwrap();
        let parsed = now().saturating_sub(start);
        assert_eq!(policy.user_count(), 0);
        policy = Policy::compile(&document).unwrap();
        let compiled = now().saturating_sub(start);
        drop(document);
        let loaded = now().saturating_sub(start);
        println!(
            "  parsed {parsed:?}, compiled {:?}, dropped {:?}",
            compiled.saturating_sub(parsed),
            loaded.saturating_sub(compiled)
        );
        best = best.min(loaded);
    }
    judge("loading 100,000 users", best.as_secs_f64(), "s", 1.0);
    let held = LIVE.load(Ordering::Relaxed).saturating_sub(before) as f64;
    judge("memory of each user beyond its text", (held - words as f64) / 1e5, "bytes", 100.0);

    let small = compile(policy_text(10).0);
    let (ten, many) = (decision(&small, 10), decision(&policy, 100_000));
    println!("  a decision among 10 users {ten:.0} ns, among 100,000 {many:.0} ns");
    judge("a decision among 100,000 users against one among 10", many / ten, "times", 1.5);

    let (few, hundred, thousand) = (rules(10), rules(100), rules(1000));
    println!("  with 10 rules {few:.0} ns, 100 {hundred:.0} ns, 1,000 {thousand:.0} ns");
    judge("1,000 rules against 100", thousand / hundred, "times", 12.0);
    judge("one more rule", (thousand - hundred) / 900.0, "ns", 100.0);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
