//! Counters by the values of a label: what one atomic addition needs to find its place.

use super::text::Text;
use crate::issuer::SealedBy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The statuses that an answer can have; the last stands for any other.
pub(super) const STATUSES: [u16; 15] =
    [200, 201, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 429, 503, 500];

/// Upper bounds of the duration buckets, in seconds and in nanoseconds; a last one has none.
pub(super) const BUCKETS: [(&str, u64); 15] = [
    ("0.00005", 50_000),
    ("0.0001", 100_000),
    ("0.00025", 250_000),
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1.0", 1_000_000_000),
    ("5.0", 5_000_000_000),
];

/// A counter for each value of a label.
#[derive(Debug)]
pub(super) struct Counters(Vec<(&'static str, AtomicU64)>);

impl Counters {
    pub(super) fn new(values: &[&'static str]) -> Self {
        Self(values.iter().map(|value| (*value, AtomicU64::new(0))).collect())
    }

    pub(super) fn count(&self, value: &str) {
        add(self.0.iter().find(|(known, _)| *known == value).map(|(_, count)| count), 1);
    }

    /// Writes its family: `name` without `_total`, and the label that tells the counters apart.
    pub(super) fn write(&self, text: &mut Text, name: &str, label: &str, help: &str) {
        text.family(name, "counter", "", help);
        for (value, count) in &self.0 {
            text.sample(&format!("{name}_total"), &[(label, value)], read(count));
        }
    }
}

/// What is counted for each route.
#[derive(Debug)]
pub(super) struct OfRoute {
    pub(super) label: &'static str,
    pub(super) requests: [AtomicU64; STATUSES.len()],
    /// One more than the bounds: the last bucket has none.
    pub(super) durations: [AtomicU64; BUCKETS.len() + 1],
    pub(super) nanoseconds: AtomicU64,
    pub(super) tokens: [AtomicU64; SealedBy::COUNT],
}

pub(super) fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl OfRoute {
    pub(super) fn histogram(&self, text: &mut Text) {
        let counts = self.durations.each_ref().map(read);
        let took = Duration::from_nanos(read(&self.nanoseconds));
        let labels = [("route", self.label)];
        histogram(text, "keypebble_request_duration_seconds", &labels, &BUCKETS, &counts, took);
    }
}

/// The samples of a histogram of seconds: counts for each bound, and one more for what is beyond.
pub(super) fn histogram(
    text: &mut Text,
    name: &str,
    labels: &[(&str, &str)],
    bounds: &[(&str, u64)],
    counts: &[u64],
    sum: Duration,
) {
    let mut total = 0;
    let bounds = bounds.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
    for (bound, count) in bounds.zip(counts) {
        total += count;
        let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
        text.sample(&format!("{name}_bucket"), &labels, total);
    }
    text.sample(&format!("{name}_count"), labels, total);
    text.line(&format!("{name}_sum"), labels, &format!("{}.{:09}", sum.as_secs(), sum.subsec_nanos()));
}

pub(super) fn add(counter: Option<&AtomicU64>, amount: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
