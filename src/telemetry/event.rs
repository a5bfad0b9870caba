//! What happened on a connection that no request and answer tell.
//!
//! Owns the closed list of such events: `label()` is the only text of them that becomes a metric label.

/// The kinds of event, with the status that was sent for each, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The head is no HTTP: 400.
    HeadMalformed,
    /// The bytes are another protocol's: 400.
    OtherProtocol,
    /// The head did not end in time: 408.
    HeadTimedOut,
    /// The head is longer than the limits: 431, or 414.
    HeadTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    VersionUnsupported,
    /// An `Expect` other than `100-continue`: 417.
    ExpectationFailed,
    /// A new connection sent no byte in time: closed.
    Silent,
    /// Closed for a newer connection at the cap; 503 where a request had begun.
    Evicted,
    /// Not served: at the cap and nothing could be closed, or no thread to be had: 503.
    Refused,
    /// Accepting failed, for want of descriptors perhaps; it goes on later.
    AcceptFailed,
    /// The answer could not be written whole, or not in time.
    WriteFailed,
    /// The handler panicked: 500.
    HandlerPanicked,
    /// The connection's own code panicked: closed.
    ConnectionPanicked,
}

impl EventKind {
    /// Every kind's label, for counters that start at zero.
    pub const LABELS: [&'static str; 13] = [
        "head_malformed",
        "other_protocol",
        "head_timed_out",
        "head_too_large",
        "version_unsupported",
        "expectation_failed",
        "silent",
        "evicted",
        "refused",
        "accept_failed",
        "write_failed",
        "handler_panicked",
        "connection_panicked",
    ];

    /// The kind as a metric label: `head_malformed`.
    pub fn label(self) -> &'static str {
        match self {
            Self::HeadMalformed => "head_malformed",
            Self::OtherProtocol => "other_protocol",
            Self::HeadTimedOut => "head_timed_out",
            Self::HeadTooLarge => "head_too_large",
            Self::VersionUnsupported => "version_unsupported",
            Self::ExpectationFailed => "expectation_failed",
            Self::Silent => "silent",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
            Self::AcceptFailed => "accept_failed",
            Self::WriteFailed => "write_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::ConnectionPanicked => "connection_panicked",
        }
    }
}
