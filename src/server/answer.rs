//! An answer as bytes.
//!
//! Owns the status line and the fields that frame a message: Date, Content-Length, Connection. Must not
//! know sockets. Decision: one buffer, so that an answer leaves in one write and, small, in one packet.

use std::io::Write;

use crate::ground::time::UnixTime;
use crate::http::response::Response;

/// What the connection adds to an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    /// The request was a HEAD: the length is told, the body not sent.
    pub(super) head_only: bool,
    /// This is the connection's last answer.
    pub(super) close: bool,
    /// An HTTP/1.0 client must be told that the connection stays.
    pub(super) old: bool,
}

impl Envelope {
    /// Around an answer to what was no request.
    pub(super) const LAST: Self = Self { head_only: false, close: true, old: false };
}

/// The whole answer.
pub(super) fn bytes(response: &Response, envelope: Envelope) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + response.body.len());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\nDate: ", response.status, reason(response.status));
    out.extend_from_slice(&UnixTime::now().http_date());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &response.headers {
        // A line break in a value would start a field, or an answer, of its own.
        if value.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f)) {
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    if envelope.close {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if envelope.old {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    let _ = write!(out, "Content-Length: {}\r\n\r\n", response.body.len());
    if !envelope.head_only {
        out.extend_from_slice(&response.body);
    }
    out
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_value_makes_no_field() {
        let response = Response::json(200, &b"{}"[..]).header("X-A", "b\r\nX-C: d").header("X-E", "f");
        let text = String::from_utf8(bytes(&response, Envelope::LAST)).unwrap();
        assert!(!text.contains("X-C") && text.contains("X-E: f\r\n"), "{text}");
    }
}
