//! What one client may cost.
//!
//! Owns the numbers and their defaults. Must not know what enforces them. Decision: one plain struct with
//! units in its documentation, so that configuration, tests and the README table name the same fields.

use std::time::Duration;

/// The longest body that is read unless the configuration says otherwise, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Bounds on connections and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once. Near it, those that have gone longest without an answer are closed for
    /// new ones. Fewer where the process has too few descriptors: a connection takes one. One in use has a
    /// thread of its own. Default 512.
    pub connections: usize,
    /// The longest request line and header fields together, in bytes; beyond it 431. Default 16 KiB.
    pub head_bytes: usize,
    /// The most header fields of one request; beyond it 431. Default 100.
    pub header_count: usize,
    /// The longest body that is read, in bytes; beyond it the handler sees `Body::TooLarge`. Default 64 KiB.
    pub body_bytes: usize,
    /// How many requests of more than 8 KiB (head, or body) may be underway at once; beyond it 503.
    /// Default 32.
    pub large_requests: usize,
    /// From the first byte of a request to the end of its head; beyond it 408. And from the start of a
    /// connection to its first byte; beyond it, closed. Default 10 s.
    pub head_deadline: Duration,
    /// From the end of the head to the end of the body; beyond it the handler sees `Body::Incomplete`.
    /// Default 10 s.
    pub body_deadline: Duration,
    /// From the start of an answer until the kernel has taken all of it. Default 10 s.
    pub write_deadline: Duration,
    /// How long a connection may wait for its next request. Default 60 s.
    pub idle_deadline: Duration,
    /// How many requests one connection may make. Default 10,000.
    pub requests_per_connection: u32,
    /// How long `run` waits, once stopped, for answers in the making. Default 5 s.
    pub drain_deadline: Duration,
}

impl Limits {
    /// How long a connection may say nothing before its request of that number, counted from 1.
    pub fn patience(&self, number: u32) -> Duration {
        if number == 1 { self.head_deadline } else { self.idle_deadline }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_bytes: 16 * 1024,
            header_count: 100,
            body_bytes: MAX_BODY_BYTES,
            large_requests: 32,
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(60),
            requests_per_connection: 10_000,
            drain_deadline: Duration::from_secs(5),
        }
    }
}
