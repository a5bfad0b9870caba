//! Counters, and their text for scrapers.
//!
//! Owns atomics and the text form. Decision: every label is one of a closed set known at compile time, so
//! each counter has its place in an array, counting is one atomic addition, and no client can make the
//! text grow.

mod counters;
mod store;
mod text;

use crate::ground::time::UnixTime;
use crate::issuer::SealedBy;
use crate::login::attempts::Outcome;
use crate::store::Store;
use crate::telemetry::event::HandshakeFailure;
use counters::{BUCKETS, Counters, OfRoute, STATUSES, add, read, zeros};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use text::Text;

pub use text::Format;

/// The label values that the program's other parts bring: each a closed set.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// `Route::label` of every route.
    pub routes: &'static [&'static str],
    /// `Refusal::code` of every refusal.
    pub refusals: &'static [&'static str],
    /// Every kind of connection event.
    pub events: &'static [&'static str],
}

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    started: UnixTime,
    routes: Vec<OfRoute>,
    refusals: Counters,
    passwords: Counters,
    refresh_tokens: Counters,
    events: Counters,
    handshakes: Counters,
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
    /// Every event's label, for counters that start at zero.
    const LABELS: [&'static str; 3] = ["issued", "used", "refused"];

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
    pub fn new(started: UnixTime, labels: &Labels) -> Self {
        let of_route = |label: &&'static str| OfRoute {
            label,
            requests: zeros(),
            durations: zeros(),
            nanoseconds: AtomicU64::new(0),
            tokens: zeros(),
        };
        Self {
            started,
            routes: labels.routes.iter().map(of_route).collect(),
            refusals: Counters::new(labels.refusals),
            passwords: Counters::new(&Outcome::LABELS),
            refresh_tokens: Counters::new(&RefreshEvent::LABELS),
            events: Counters::new(labels.events),
            handshakes: Counters::new(&HandshakeFailure::LABELS),
            reloads: zeros(),
            reload_failing: AtomicU64::new(0),
            loaded: AtomicU64::new(seconds(started)),
            looked: AtomicU64::new(seconds(started)),
        }
    }

    fn route(&self, label: &str) -> Option<&OfRoute> {
        self.routes.iter().find(|route| route.label == label)
    }

    /// Counts an answered request.
    pub fn request(&self, route: &str, status: u16, took: Duration) {
        let Some(route) = self.route(route) else { return };
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        add(route.requests.get(status), 1);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(_, bound)| nanoseconds <= *bound).unwrap_or(BUCKETS.len());
        add(route.durations.get(bucket), 1);
        add(Some(&route.nanoseconds), nanoseconds);
    }

    /// Counts an issued token that is no refresh token.
    pub fn token(&self, route: &str, sealed_by: SealedBy) {
        add(self.route(route).and_then(|route| route.tokens.get(sealed_by.place())), 1);
    }

    /// Counts a refusal.
    pub fn refusal(&self, code: &str) {
        self.refusals.count(code);
    }

    /// Counts a password that was to be checked.
    pub fn password(&self, outcome: Outcome) {
        self.passwords.count(outcome.label());
    }

    /// Counts what happened to a refresh token.
    pub fn refresh_token(&self, event: RefreshEvent) {
        self.refresh_tokens.count(event.label());
    }

    /// Counts what happened to a connection outside of a request.
    pub fn event(&self, kind: &str) {
        self.events.count(kind);
    }

    /// Counts a TLS handshake that did not come to its end.
    pub fn handshake_failure(&self, reason: HandshakeFailure) {
        self.handshakes.count(reason.label());
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

    /// The text, whole. The log and the store count for themselves.
    pub fn render(&self, lost_lines: u64, memory: Option<&Store>, format: Format) -> String {
        let mut text = Text { text: String::with_capacity(8 * 1024), format };
        text.family("keypebble_requests", "counter", "", "Answered requests.");
        for route in &self.routes {
            for (status, count) in STATUSES.iter().zip(&route.requests) {
                let count = read(count);
                if count > 0 || *status == 200 {
                    let labels = [("route", route.label), ("status", &status.to_string())];
                    text.sample("keypebble_requests_total", &labels, count);
                }
            }
        }
        let durations = "From a request read whole to its answer made.";
        text.family("keypebble_request_duration_seconds", "histogram", "seconds", durations);
        for route in &self.routes {
            route.histogram(&mut text);
        }
        text.family("keypebble_tokens_issued", "counter", "", "Issued tokens.");
        for route in &self.routes {
            for (algorithm, count) in SealedBy::all().zip(&route.tokens) {
                if read(count) > 0 {
                    let labels = [("route", route.label), ("algorithm", algorithm.name())];
                    text.sample("keypebble_tokens_issued_total", &labels, read(count));
                }
            }
        }
        let refusals = "Refused requests, by the code in their body.";
        self.refusals.write(&mut text, "keypebble_refusals", "code", refusals);
        let passwords = "Passwords, by what came of them; throttled and busy were not looked at.";
        self.passwords.write(&mut text, "keypebble_password_checks", "result", passwords);
        let refresh_tokens = "Refresh tokens, by what happened to them.";
        self.refresh_tokens.write(&mut text, "keypebble_refresh_tokens", "event", refresh_tokens);
        let events = "What happened to connections outside of requests.";
        self.events.write(&mut text, "keypebble_connection_events", "event", events);
        let handshakes = "TLS handshakes that did not come to their end, by the reason.";
        self.handshakes.write(&mut text, "keypebble_tls_handshake_failures", "reason", handshakes);
        text.counter("keypebble_log_lines_lost", "Lines that the log did not take.", lost_lines);
        if let Some(memory) = memory {
            store::write(&mut text, memory);
        }
        let reloads = "Times that configuration, policy and keys were read again, by what became of it.";
        text.family("keypebble_reloads", "counter", "", reloads);
        for (result, count) in ["ok", "failed"].iter().zip(&self.reloads) {
            text.sample("keypebble_reloads_total", &[("result", result)], read(count));
        }
        let failed = "1 while the files are broken and what was loaded before is in force.";
        text.gauge("keypebble_reload_failed", failed, read(&self.reload_failing));
        let loaded = "When what is in force was loaded, in seconds since 1970.";
        text.gauge("keypebble_loaded_time_seconds", loaded, read(&self.loaded));
        let looked =
            "When the files were last looked at, in seconds since 1970; it stops while a look hangs.";
        text.gauge("keypebble_reload_look_time_seconds", looked, read(&self.looked));
        text.family("keypebble_build", "info", "", "The program.");
        text.sample("keypebble_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let started = "When it started, in seconds since 1970.";
        text.gauge("keypebble_start_time_seconds", started, seconds(self.started));
        text.end()
    }
}

fn seconds(time: UnixTime) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::algorithm::Algorithm;

    #[test]
    fn counts_appear_under_their_labels_and_buckets_are_cumulative() {
        let labels = Labels { routes: &["v2_token", "other"], refusals: &["NOT_FOUND"], events: &["silent"] };
        let metrics = Metrics::new(UnixTime(1_000), &labels);
        metrics.request("v2_token", 200, Duration::from_micros(60));
        metrics.request("v2_token", 200, Duration::from_secs(6));
        metrics.request("other", 404, Duration::ZERO);
        metrics.request("a client's text", 200, Duration::ZERO);
        metrics.token("v2_token", SealedBy::Signature(Algorithm::ES256));
        metrics.refresh_token(RefreshEvent::Issued);
        metrics.refusal("NOT_FOUND");
        metrics.refusal("a client's text");
        metrics.event("silent");
        metrics.handshake_failure(HandshakeFailure::Version);
        metrics.password(Outcome::Throttled(3));
        metrics.refresh_token(RefreshEvent::Used);
        let text = metrics.render(7, None, Format::OpenMetrics);
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
            "keypebble_refresh_tokens_total{event=\"issued\"} 1",
            "keypebble_connection_events_total{event=\"silent\"} 1",
            "keypebble_tls_handshake_failures_total{reason=\"version\"} 1",
            "keypebble_tls_handshake_failures_total{reason=\"too_long\"} 0",
            "keypebble_log_lines_lost_total 7",
            "keypebble_start_time_seconds 1000",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n") && !text.contains("client's"), "{text}");
        // The older form: the same samples, and no word that it does not have.
        let old = metrics.render(7, None, Format::Prometheus);
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&old), samples(&text));
        assert!(old.contains("# TYPE keypebble_requests_total counter\n# HELP keypebble_requests_total "));
        assert!(old.contains("# TYPE keypebble_build_info gauge\n"), "{old}");
        assert!(!old.contains("# UNIT") && !old.contains("# EOF") && !old.contains(" info\n"), "{old}");
    }
}
