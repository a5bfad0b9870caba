//! Counters, and their text in OpenMetrics 1.0.
//!
//! Owns atomics and the text form. Decision: every label is one of a closed set known at compile time, so
//! each counter has its place in an array, counting is one atomic addition, and no client can make the
//! text grow.

mod text;

use crate::ground::time::UnixTime;
use crate::http::refusal::Refusal;
use crate::http::route::Route;
use crate::key::algorithm::Algorithm;
use crate::login::attempts::Outcome;
use crate::server::EventKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use text::Text;

/// The content type of the text (OpenMetrics 1.0, Text Format).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The statuses that an answer can have; the last stands for any other.
const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 405, 408, 411, 413, 415, 429, 500];

/// Upper bounds of the duration buckets, in seconds and in nanoseconds; a last one has none.
const BUCKETS: [(&str, u64); 15] = [
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

const ROUTES: usize = Route::ALL.len();

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    started: UnixTime,
    requests: [[AtomicU64; STATUSES.len()]; ROUTES],
    /// One more than the bounds: the last bucket has none.
    durations: [[AtomicU64; BUCKETS.len() + 1]; ROUTES],
    duration_nanoseconds: [AtomicU64; ROUTES],
    tokens: [[AtomicU64; Algorithm::ALL.len()]; ROUTES],
    reused: AtomicU64,
    refusals: [AtomicU64; Refusal::CODES.len()],
    passwords: [AtomicU64; Outcome::LABELS.len()],
    refresh_tokens: [AtomicU64; RefreshEvent::ALL.len()],
    events: [AtomicU64; EventKind::ALL.len()],
    /// Loads that replaced the state, and those that failed.
    reloads: [AtomicU64; 2],
    /// 1 while what the files say is not in force.
    reload_failing: AtomicU64,
    /// When what is in force was loaded, in seconds since 1970.
    loaded: AtomicU64,
    /// When a look at the files last ended, likewise.
    looked: AtomicU64,
}

/// What happens to refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshEvent {
    /// Given out.
    Issued,
    /// Taken instead of a password.
    Used,
    /// Not taken.
    Refused,
}

impl RefreshEvent {
    /// Every one, for counters that start at zero.
    pub const ALL: [RefreshEvent; 3] = [RefreshEvent::Issued, RefreshEvent::Used, RefreshEvent::Refused];

    /// The event as a label.
    pub fn label(self) -> &'static str {
        match self {
            RefreshEvent::Issued => "issued",
            RefreshEvent::Used => "used",
            RefreshEvent::Refused => "refused",
        }
    }
}

impl Metrics {
    /// All zero.
    pub fn new(started: UnixTime) -> Self {
        fn zeros<const N: usize>() -> [AtomicU64; N] {
            std::array::from_fn(|_| AtomicU64::new(0))
        }
        Self {
            started,
            requests: std::array::from_fn(|_| zeros()),
            durations: std::array::from_fn(|_| zeros()),
            duration_nanoseconds: zeros(),
            tokens: std::array::from_fn(|_| zeros()),
            reused: AtomicU64::new(0),
            refusals: zeros(),
            passwords: zeros(),
            refresh_tokens: zeros(),
            events: zeros(),
            reloads: zeros(),
            reload_failing: AtomicU64::new(0),
            loaded: AtomicU64::new(seconds(started)),
            looked: AtomicU64::new(seconds(started)),
        }
    }

    /// Counts an answered request.
    pub fn request(&self, route: Route, status: u16, took: Duration) {
        let route = route as usize;
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        add(self.requests[route].get(status), 1);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(_, bound)| nanoseconds <= *bound).unwrap_or(BUCKETS.len());
        add(self.durations[route].get(bucket), 1);
        add(self.duration_nanoseconds.get(route), nanoseconds);
    }

    /// Counts an issued token.
    pub fn token(&self, route: Route, algorithm: Algorithm) {
        add(self.tokens[route as usize].get(algorithm as usize), 1);
    }

    /// Counts a registry token that was handed out again.
    pub fn reused(&self) {
        add(Some(&self.reused), 1);
    }

    /// Counts a refusal.
    pub fn refusal(&self, refusal: &Refusal) {
        let code = Refusal::CODES.iter().position(|known| *known == refusal.code());
        add(code.and_then(|code| self.refusals.get(code)), 1);
    }

    /// Counts a password that was to be checked.
    pub fn password(&self, outcome: Outcome) {
        let place = Outcome::LABELS.iter().position(|known| *known == outcome.label());
        add(place.and_then(|place| self.passwords.get(place)), 1);
    }

    /// Counts what happened to a refresh token.
    pub fn refresh_token(&self, event: RefreshEvent) {
        add(self.refresh_tokens.get(event as usize), 1);
    }

    /// Counts what happened to a connection outside of a request.
    pub fn event(&self, kind: EventKind) {
        add(self.events.get(kind as usize), 1);
    }

    /// Counts a load that replaced the state.
    pub fn reloaded(&self, now: UnixTime) {
        add(self.reloads.first(), 1);
        self.reload_failing.store(0, Ordering::Relaxed);
        self.loaded.store(seconds(now), Ordering::Relaxed);
    }

    /// Counts a load that failed.
    pub fn reload_failed(&self) {
        add(self.reloads.last(), 1);
        self.reload_failing.store(1, Ordering::Relaxed);
    }

    /// Notes that a look at the files has ended.
    pub fn looked(&self, now: UnixTime) {
        self.looked.store(seconds(now), Ordering::Relaxed);
    }

    /// The text, whole. The log counts for itself what it could not write.
    pub fn render(&self, lost_lines: u64) -> String {
        let mut text = Text(String::with_capacity(8 * 1024));
        text.family("keypebble_requests", "counter", "", "Answered requests.");
        for route in Route::ALL {
            for (status, count) in STATUSES.iter().zip(&self.requests[route as usize]) {
                let count = read(count);
                if count > 0 || *status == 200 {
                    text.sample(
                        "keypebble_requests_total",
                        &[("route", route.label()), ("status", &status.to_string())],
                        count,
                    );
                }
            }
        }
        text.family(
            "keypebble_request_duration_seconds",
            "histogram",
            "seconds",
            "From a request read whole to its answer made.",
        );
        for route in Route::ALL {
            self.histogram(&mut text, route);
        }
        text.family("keypebble_tokens_issued", "counter", "", "Issued tokens.");
        for route in [Route::Auth, Route::Token] {
            for algorithm in Algorithm::ALL {
                let count = read(&self.tokens[route as usize][algorithm as usize]);
                if count > 0 {
                    let labels = [("route", route.label()), ("algorithm", algorithm.name())];
                    text.sample("keypebble_tokens_issued_total", &labels, count);
                }
            }
        }
        text.family("keypebble_tokens_reused", "counter", "", "Registry tokens handed out again.");
        text.sample("keypebble_tokens_reused_total", &[], read(&self.reused));
        text.family("keypebble_refusals", "counter", "", "Refused requests, by the code in their body.");
        for (code, count) in Refusal::CODES.iter().zip(&self.refusals) {
            text.sample("keypebble_refusals_total", &[("code", code)], read(count));
        }
        text.family(
            "keypebble_password_checks",
            "counter",
            "",
            "Passwords, by what came of them; throttled and busy were not looked at.",
        );
        for (result, count) in Outcome::LABELS.iter().zip(&self.passwords) {
            text.sample("keypebble_password_checks_total", &[("result", result)], read(count));
        }
        text.family("keypebble_refresh_tokens", "counter", "", "Refresh tokens, by what happened to them.");
        for (event, count) in RefreshEvent::ALL.iter().zip(&self.refresh_tokens) {
            text.sample("keypebble_refresh_tokens_total", &[("event", event.label())], read(count));
        }
        text.family(
            "keypebble_connection_events",
            "counter",
            "",
            "What happened to connections outside of requests.",
        );
        for (kind, count) in EventKind::ALL.iter().zip(&self.events) {
            text.sample("keypebble_connection_events_total", &[("event", kind.label())], read(count));
        }
        text.family("keypebble_log_lines_lost", "counter", "", "Lines that the log did not take.");
        text.sample("keypebble_log_lines_lost_total", &[], lost_lines);
        text.family(
            "keypebble_reloads",
            "counter",
            "",
            "Times that configuration, policy and keys were read again, by what became of it.",
        );
        for (result, count) in ["ok", "failed"].iter().zip(&self.reloads) {
            text.sample("keypebble_reloads_total", &[("result", result)], read(count));
        }
        text.gauge(
            "keypebble_reload_failed",
            "1 while the files are broken and what was loaded before is in force.",
            read(&self.reload_failing),
        );
        text.gauge(
            "keypebble_loaded_time_seconds",
            "When what is in force was loaded, in seconds since 1970.",
            read(&self.loaded),
        );
        text.gauge(
            "keypebble_reload_look_time_seconds",
            "When the files were last looked at, in seconds since 1970; it stands still while a look hangs.",
            read(&self.looked),
        );
        text.family("keypebble_build", "info", "", "The program.");
        text.sample("keypebble_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.gauge(
            "keypebble_start_time_seconds",
            "When it started, in seconds since 1970.",
            seconds(self.started),
        );
        text.0.push_str("# EOF\n");
        text.0
    }

    fn histogram(&self, text: &mut Text, route: Route) {
        let name = "keypebble_request_duration_seconds";
        let counts = &self.durations[route as usize];
        let mut total = 0;
        for ((bound, _), count) in BUCKETS.iter().zip(counts) {
            total += read(count);
            text.sample(&format!("{name}_bucket"), &[("route", route.label()), ("le", bound)], total);
        }
        total += counts.last().map_or(0, read);
        text.sample(&format!("{name}_bucket"), &[("route", route.label()), ("le", "+Inf")], total);
        text.sample(&format!("{name}_count"), &[("route", route.label())], total);
        let nanoseconds = read(&self.duration_nanoseconds[route as usize]);
        let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
        text.line(&format!("{name}_sum"), &[("route", route.label())], &format!("{seconds}.{rest:09}"));
    }
}

fn add(counter: Option<&AtomicU64>, amount: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

fn seconds(time: UnixTime) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_under_their_labels_and_buckets_are_cumulative() {
        let metrics = Metrics::new(UnixTime(1_000));
        metrics.request(Route::Token, 200, Duration::from_micros(60));
        metrics.request(Route::Token, 200, Duration::from_secs(6));
        metrics.request(Route::Other, 404, Duration::ZERO);
        metrics.token(Route::Token, Algorithm::ES256);
        metrics.refusal(&Refusal::NotFound);
        metrics.password(Outcome::Throttled(3));
        metrics.refresh_token(RefreshEvent::Used);
        let text = metrics.render(7);
        for line in [
            "# TYPE keypebble_requests counter",
            "keypebble_requests_total{route=\"v2_token\",status=\"200\"} 2",
            "keypebble_requests_total{route=\"other\",status=\"404\"} 1",
            "keypebble_request_duration_seconds_bucket{route=\"v2_token\",le=\"0.00005\"} 0",
            "keypebble_request_duration_seconds_bucket{route=\"v2_token\",le=\"0.0001\"} 1",
            "keypebble_request_duration_seconds_bucket{route=\"v2_token\",le=\"5.0\"} 1",
            "keypebble_request_duration_seconds_bucket{route=\"v2_token\",le=\"+Inf\"} 2",
            "keypebble_request_duration_seconds_sum{route=\"v2_token\"} 6.000060000",
            "keypebble_tokens_issued_total{route=\"v2_token\",algorithm=\"ES256\"} 1",
            "keypebble_refusals_total{code=\"NOT_FOUND\"} 1",
            "keypebble_password_checks_total{result=\"throttled\"} 1",
            "keypebble_password_checks_total{result=\"wrong\"} 0",
            "keypebble_refresh_tokens_total{event=\"used\"} 1",
            "keypebble_log_lines_lost_total 7",
            "keypebble_start_time_seconds 1000",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn the_place_of_a_label_is_its_place_in_its_list() {
        assert!(Route::ALL.iter().enumerate().all(|(place, route)| *route as usize == place));
        assert!(Algorithm::ALL.iter().enumerate().all(|(place, algorithm)| *algorithm as usize == place));
        assert!(RefreshEvent::ALL.iter().enumerate().all(|(place, event)| *event as usize == place));
        assert!(EventKind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
    }
}
