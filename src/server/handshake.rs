//! The TLS handshake: from a fresh connection to an encrypted one.
//!
//! Owns its bounds, in time and in bytes, and why one fails. Must not know certificates. Decision: the wait for
//! the first byte is apart, so that clients that say nothing rest without a thread and without a session; from
//! that byte on the handshake has the time that a request's head has.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use rustls::{Error, PeerIncompatible, ServerConnection};

use super::Shared;
use super::connection::{self, REST};
use super::encrypted::{AtOnce, Encrypted, send};
use super::guard::{Phase, Watched};
use super::stream::{Opened, Stream, Wire};
use crate::http::refusal::Refusal;
use crate::telemetry::event::{EventKind, HandshakeFailure};
use crate::tls::Identity;

/// The most bytes that a client may send until the handshake is done. A large one, with keys against quantum
/// computers, is 2 KiB.
const MOST_BYTES: usize = 16 * 1024;

/// The first byte of a handshake's record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// Makes the handshake with whoever connected.
pub(super) fn accept(identity: &Identity, connection: &Arc<Watched>, shared: &Arc<Shared>) -> Opened {
    let mut wire = Wire::new(Arc::clone(connection));
    wire.set_patience(shared.limits.patience(1).min(REST));
    let mut first = [0; 5];
    let first = match wire.read(&mut first) {
        Ok(count @ 1..) => &first[..count],
        Err(error) if error.kind() == ErrorKind::TimedOut => return Opened::Silent,
        _ => return ended(connection, shared),
    };
    if !connection.enter(Phase::Reading) {
        return ended(connection, shared);
    }
    wire.set_patience(shared.limits.head_deadline);
    // `GET /`, `POST `, or the beginning of it.
    let is_http = first.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b' ' | b'/'));
    let result = if is_http {
        Err((HandshakeFailure::PlainHttp, "".into()))
    } else {
        shake(identity, connection, first, &mut wire)
    };
    match result {
        Ok(session) => {
            let encrypted = Encrypted::new(session, wire, Arc::clone(connection));
            Opened::Stream(Box::new(encrypted))
        }
        Err(_) if connection.phase().is_end() => ended(connection, shared),
        Err((reason, detail)) => {
            shared.tell(EventKind::HandshakeFailed(reason), Some(connection.peer), detail);
            if reason == HandshakeFailure::PlainHttp {
                connection::refuse(&mut wire, connection, shared, Refusal::PlainHttp);
            }
            Opened::Ended
        }
    }
}

/// It was shut down, from either side.
fn ended(connection: &Watched, shared: &Shared) -> Opened {
    if connection.phase() == Phase::Evicted {
        shared.tell(EventKind::Evicted, Some(connection.peer), "".into());
    }
    Opened::Ended
}

type Failure = (HandshakeFailure, Cow<'static, str>);

/// Makes the handshake, of which those bytes are read already.
fn shake(
    identity: &Identity,
    connection: &Watched,
    first: &[u8],
    wire: &mut Wire,
) -> Result<ServerConnection, Failure> {
    let is_tls = first.first() == Some(&HANDSHAKE);
    let mut session = ServerConnection::new(identity.config()).map_err(|error| failure(&error, is_tls))?;
    let mut source = Bounded { first, wire, left: MOST_BYTES };
    loop {
        send(&mut session, source.wire).map_err(|error| broken(&error))?;
        if !session.is_handshaking() {
            return Ok(session);
        }
        match session.read_tls(&mut source) {
            Ok(0) if source.left == 0 => return Err((HandshakeFailure::TooLong, "".into())),
            Ok(0) => return Err((HandshakeFailure::CutOff, "".into())),
            Ok(_) => {}
            Err(error) => return Err(broken(&error)),
        }
        if let Err(error) = session.process_new_packets() {
            // The alert that says why.
            let _ = send(&mut session, &mut AtOnce(connection));
            return Err(failure(&error, is_tls));
        }
    }
}

/// What was read already and then the wire's bytes, as many as a handshake may have.
struct Bounded<'b> {
    first: &'b [u8],
    wire: &'b mut Wire,
    left: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left);
        let buffer = &mut buffer[..most];
        let count = if self.first.is_empty() { self.wire.read(buffer) } else { self.first.read(buffer) }?;
        self.left -= count;
        Ok(count)
    }
}

/// Reading or writing failed.
fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::TimedOut => (HandshakeFailure::TimedOut, "".into()),
        _ => (HandshakeFailure::CutOff, "".into()),
    }
}

/// What the client sent cannot lead to a session.
fn failure(error: &Error, is_tls: bool) -> Failure {
    let reason = match error {
        Error::InvalidMessage(_) if !is_tls => HandshakeFailure::NotTls,
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // Which every client of TLS 1.2 sends.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => HandshakeFailure::Version,
        Error::PeerIncompatible(_) => HandshakeFailure::NothingInCommon,
        Error::NoApplicationProtocol => HandshakeFailure::OtherProtocol,
        Error::AlertReceived(alert) => {
            return (HandshakeFailure::RefusedByClient, format!("the client sent the alert {alert:?}").into());
        }
        Error::General(_) | Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => {
            HandshakeFailure::Internal
        }
        _ => HandshakeFailure::Malformed,
    };
    (reason, "".into())
}
