//! Signing and building claims, without a socket, on one core.

use crate::process::{SECRET, cpu_seconds, key_file, thread_cpu_seconds};
use keypebble::claims::{self, ClaimFilter, Frame};
use keypebble::ground::secret::Secret;
use keypebble::ground::time::{Ttl, UnixTime};
use keypebble::key::Key;
use keypebble::key::algorithm::Algorithm;
use keypebble::policy::scope::{self, Scope};
use keypebble::policy::{Asker, Enforcement, Who};
use keypebble::token::{Sealer, Typ};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds of each measurement, in turns, and the length of one.
const ROUNDS: usize = 7;
const LENGTH: Duration = Duration::from_millis(60);

const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::HS256,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::MlDsa44,
];

/// The key that the servers of the other measurements have.
pub(crate) fn key(algorithm: Algorithm) -> Key {
    match key_file(algorithm.name()) {
        Some(path) => Key::from_pem(&Secret::new(std::fs::read(path).unwrap()), Some(algorithm), None),
        None => Key::from_secret(algorithm, &Secret::new(SECRET.into()), None),
    }
    .unwrap()
}

/// The claims of the measured requests.
fn claims() -> String {
    let frame = Frame {
        issuer: "https://keypebble.example.com",
        audience: "registry.example.com",
        now: UnixTime(1_800_000_000),
        ttl: Ttl::DEFAULT,
        id: "AAAAAAAAAAAAAAAAAAAAAA",
    };
    let asked: Vec<Scope> = scope::parse_all(["repository:alice-space/app-api:pull,push"]).unwrap();
    let asker = Asker { who: Who::User("alice"), hosts: &[], default_ttl: Ttl::DEFAULT };
    let access = Enforcement::Off.grant(&asker, &asked).access;
    claims::registry(&frame, &ClaimFilter::default(), "alice", &access).unwrap()
}

/// Processor seconds that one call takes.
fn seconds(mut call: impl FnMut()) -> f64 {
    let (started, used) = (Instant::now(), cpu_seconds("self"));
    let mut count = 0_u32;
    while started.elapsed() < LENGTH {
        call();
        count += 1;
    }
    (cpu_seconds("self") - used) / f64::from(count)
}

/// The best of rounds that take turns.
fn best(calls: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let mut best = vec![f64::MAX; calls.len()];
    for _ in 0..ROUNDS {
        for (call, best) in calls.iter_mut().zip(&mut best) {
            *best = best.min(seconds(call));
        }
    }
    best
}

/// Processor seconds for one token with each of these keys while every core makes them, as a busy server
/// does: a core alone is quicker, since it has the caches and the clock for itself. In rounds as long and as
/// many as the servers', since a virtual machine gives short bursts more than it can keep up.
pub(crate) fn sealing_everywhere(keys: Vec<Key>, rounds: usize, length: Duration) -> Vec<f64> {
    let claims = claims();
    let cores = std::thread::available_parallelism().unwrap().get();
    let each = |sealer: Sealer| {
        let work = || {
            let (started, used, mut count) = (Instant::now(), thread_cpu_seconds(), 0_u32);
            while started.elapsed() < length {
                drop(black_box(sealer.seal(black_box(claims.as_bytes()), Typ::Jwt, UnixTime(0)).unwrap()));
                count += 1;
            }
            (thread_cpu_seconds() - used) / f64::from(count)
        };
        let round = || {
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum::<f64>() / cores as f64
            })
        };
        (0..rounds).map(|_| round()).fold(f64::MAX, f64::min)
    };
    keys.into_iter().map(|key| each(Sealer::jws(Arc::new(key)))).collect()
}

/// Seconds for one token with each of these keys: claims in, token out.
fn sealing(keys: Vec<Key>) -> Vec<f64> {
    let claims = claims();
    let sealers: Vec<Sealer> = keys.into_iter().map(|key| Sealer::jws(Arc::new(key))).collect();
    let mut calls: Vec<Box<dyn FnMut() + '_>> = sealers
        .iter()
        .map(|sealer| {
            let json = claims.as_bytes();
            Box::new(move || drop(black_box(sealer.seal(black_box(json), Typ::Jwt, UnixTime(0)).unwrap())))
                as Box<dyn FnMut()>
        })
        .collect();
    best(&mut calls)
}

/// Seconds for a signature checked with each key.
fn verifying(keys: &[Key]) -> Vec<f64> {
    let signatures: Vec<Vec<u8>> = keys.iter().map(|key| key.sign(b"text").unwrap()).collect();
    let mut calls: Vec<Box<dyn FnMut() + '_>> = keys
        .iter()
        .zip(&signatures)
        .map(|(key, signature)| {
            Box::new(move || assert!(key.verify(b"text", black_box(signature)))) as Box<dyn FnMut()>
        })
        .collect();
    best(&mut calls)
}

pub(crate) fn run() {
    let mut keys: Vec<Key> = ALGORITHMS.iter().map(|algorithm| key(*algorithm)).collect();
    let fast = cfg!(feature = "fast");
    if fast {
        keys.extend(ALGORITHMS.iter().map(|algorithm| key(*algorithm).in_rust()));
    }
    let verified = verifying(&keys);
    let engines: Vec<&str> = keys.iter().map(Key::engine).collect();
    let sealed = sealing(keys);
    println!("\n## Tokens signed on one core\n");
    println!("| algorithm | engine | microseconds | a second | times HS256 | verified a second |");
    println!("|---|---|---|---|---|---|");
    let hs256 = sealed[0];
    let row = |index: usize| {
        let (sealed, verified) = (sealed[index], verified[index]);
        let (algorithm, engine) = (ALGORITHMS[index % ALGORITHMS.len()], engines[index]);
        let (times, rate) = (sealed / hs256, 1.0 / sealed);
        println!(
            "| {algorithm} | {engine} | {:.1} | {rate:.0} | {times:.1} | {:.0} |",
            sealed * 1e6,
            1.0 / verified
        );
    };
    (0..sealed.len()).for_each(row);
    let building = seconds(|| drop(black_box(claims())));
    println!("\nBuilding the claims of one: {:.1} microseconds.", building * 1e6);
}
