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
    /// A TLS handshake did not come to its end: closed, after an alert where there was somebody to tell.
    HandshakeFailed(HandshakeFailure),
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
    pub const LABELS: [&'static str; 14] = [
        "head_malformed",
        "other_protocol",
        "head_timed_out",
        "head_too_large",
        "version_unsupported",
        "expectation_failed",
        "silent",
        "handshake_failed",
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
            Self::HandshakeFailed(_) => "handshake_failed",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
            Self::AcceptFailed => "accept_failed",
            Self::WriteFailed => "write_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::ConnectionPanicked => "connection_panicked",
        }
    }
}

/// Why a TLS handshake did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// Plain HTTP: answered with 400.
    PlainHttp,
    /// No TLS at all.
    NotTls,
    /// It did not end in time.
    TimedOut,
    /// More bytes than any handshake needs.
    TooLong,
    /// The client ended the connection in the middle.
    CutOff,
    /// The client speaks neither TLS 1.2 nor 1.3.
    Version,
    /// No cipher suite, group or signature scheme in common.
    NothingInCommon,
    /// The client wants another protocol than HTTP/1 (ALPN).
    OtherProtocol,
    /// The client ended it with an alert: most often it does not trust the certificate.
    RefusedByClient,
    /// The client breaks the protocol.
    Malformed,
    /// The server's own fault.
    Internal,
}

impl HandshakeFailure {
    /// Every reason's label, for counters that start at zero.
    pub const LABELS: [&'static str; 11] = [
        "plain_http",
        "not_tls",
        "timed_out",
        "too_long",
        "cut_off",
        "version",
        "nothing_in_common",
        "other_protocol",
        "refused_by_client",
        "malformed",
        "internal",
    ];

    /// The reason as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::TimedOut => "timed_out",
            Self::TooLong => "too_long",
            Self::CutOff => "cut_off",
            Self::Version => "version",
            Self::NothingInCommon => "nothing_in_common",
            Self::OtherProtocol => "other_protocol",
            Self::RefusedByClient => "refused_by_client",
            Self::Malformed => "malformed",
            Self::Internal => "internal",
        }
    }
}
