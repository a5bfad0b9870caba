//! An answer as bytes.
//!
//! Owns the status line and the fields that frame a message: Date, Content-Length, Connection. Must not
//! know sockets. Decision: one buffer, so that an answer leaves in one write and, small, in one packet.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ground::time::civil;
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

/// Appends the answer to `out`.
pub(super) fn write(out: &mut Vec<u8>, response: &Response, envelope: Envelope, date: &mut Date) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\nDate: ", response.status, reason(response.status));
    out.extend_from_slice(date.now());
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
    let bodiless = matches!(response.status, 100..=199 | 204 | 304);
    if !bodiless {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
    }
    out.extend_from_slice(b"\r\n");
    if !bodiless && !envelope.head_only {
        out.extend_from_slice(&response.body);
    }
}

/// A refusal that no handler makes, in the form that registry clients show.
pub(super) fn refusal(status: u16, message: &str) -> Response {
    let body = format!(r#"{{"errors":[{{"code":"UNKNOWN","message":"{message}","detail":null}}]}}"#);
    let mut response = Response::json(status, body.into_bytes());
    response.close = true;
    response
}

/// The Date field's value, remade once a second.
#[derive(Debug, Default)]
pub(super) struct Date {
    second: u64,
    text: Vec<u8>,
}

impl Date {
    fn now(&mut self) -> &[u8] {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = imf_fixdate(second).into_bytes();
        }
        &self.text
    }
}

/// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (day, time) = (second / 86_400, second % 86_400);
    let (year, month, day_of_month) = civil(i64::try_from(day).unwrap_or(0));
    let name = |names: &[&'static str], index: u64| names[usize::try_from(index).unwrap_or(0)];
    format!(
        "{}, {day_of_month:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, day % 7),
        name(&MONTHS, month.unsigned_abs() - 1),
        time / 3600,
        time / 60 % 60,
        time % 60,
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(second), expected);
        }
    }

    #[test]
    fn a_line_break_in_a_value_makes_no_field() {
        let response = Response::json(200, &b"{}"[..]).header("X-A", "b\r\nX-C: d").header("X-E", "f");
        let mut out = Vec::new();
        write(
            &mut out,
            &response,
            Envelope { head_only: false, close: false, old: false },
            &mut Date::default(),
        );
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("X-C") && text.contains("X-E: f\r\n"), "{text}");
    }
}
