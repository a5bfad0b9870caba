//! One HTTP request as the service sees it: read whole and bounded.
//!
//! Owns the shape that crosses from `server` (which reads sockets) to `Service` (which decides).
//! Must not know sockets. Decision: the body is read before the service is called, up to the limit,
//! so that the service is a function of plain data and can be tested without a network. A field's value
//! is bytes (RFC 9110, 5.5): it becomes text where somebody reads it, and is refused only there.

use super::refusal::Refusal;
use std::fmt;
use std::net::IpAddr;

/// A request line, its header fields and its body.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, as sent.
    pub method: Method<'a>,
    /// Path and query, undecoded (RFC 9112, 3.2.1), or `*`. Printable ASCII.
    pub target: &'a str,
    /// Header fields in the order they came: names as sent, values without the blanks around them.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// What came after the head.
    pub body: Body<'a>,
    /// Who is at the other end of the socket.
    pub peer: Peer,
}

impl<'a> Request<'a> {
    /// Every value of the header field `name`, which is compared without case.
    pub fn header_values<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'a [u8]> + 'r {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The value of a field that may stand once: two of them could be read by two programs differently.
    pub fn header(&self, name: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
        self.one(name).map_err(|problem| Refusal::Field(name, problem))
    }

    /// The same as text, of a field that must be UTF-8 and hold no control characters, tabs included.
    pub fn header_text(&self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        self.one_text(name).map_err(|problem| Refusal::Field(name, problem))
    }

    fn one(&self, name: &str) -> Result<Option<&'a [u8]>, &'static str> {
        let mut values = self.header_values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err("may be sent once, and was sent twice"),
        }
    }

    /// As [`Request::header_text`], of a field that the configuration names; or what is wrong with it.
    pub fn one_text(&self, name: &str) -> Result<Option<&'a str>, &'static str> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let text = str::from_utf8(value).map_err(|_| "is not UTF-8")?;
        if text.chars().any(char::is_control) {
            return Err("holds a control character");
        }
        Ok(Some(text))
    }

    /// The `Content-Type` without its parameters; empty where there is none.
    pub fn media_type(&self) -> Result<&'a [u8], Refusal> {
        let value = self.header("Content-Type")?.unwrap_or_default();
        Ok(value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
    }
}

/// A method that some route knows, or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'a> {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// Any other token.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// The method of that name.
    pub fn of(name: &'a str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            other => Method::Other(other),
        }
    }

    /// The method as sent.
    pub fn name(self) -> &'a str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Other(name) => name,
        }
    }
}

/// A request's body, read to its end or known to be unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Neither `Content-Length` nor `Transfer-Encoding` was sent.
    Absent,
    /// The whole body, within the limit.
    Bytes(&'a [u8]),
    /// Announced or found to be longer than the limit; not kept.
    TooLarge,
    /// The client stopped before the end that it announced, or took too long.
    Incomplete,
    /// Its framing is malformed or ambiguous (RFC 9112, 6.3); the text says how.
    Malformed(&'static str),
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP client; IPv4-mapped IPv6 addresses are given as IPv4.
    Ip(IpAddr),
    /// A process on this host, through the Unix socket.
    Unix,
}

impl Peer {
    /// Its address; `None` for the Unix socket.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Peer::Ip(address) => Some(address),
            Peer::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_bytes_until_somebody_reads_it() {
        let headers: Vec<(&str, &[u8])> = vec![
            ("X-City", b"M\xfcnchen"),
            ("X-User", "zo\u{eb}".as_bytes()),
            ("X-Tab", b"a\tb"),
            ("X-Twice", b"a"),
            ("x-twice", b"a"),
        ];
        let request =
            Request { method: Method::Get, target: "/", headers, body: Body::Absent, peer: Peer::Unix };
        assert_eq!(request.header("x-city"), Ok(Some(&b"M\xfcnchen"[..])));
        assert_eq!(request.header_text("x-user"), Ok(Some("zo\u{eb}")));
        assert_eq!(request.header_text("X-None"), Ok(None));
        for (name, problem) in [("X-City", "is not UTF-8"), ("X-Tab", "holds a control character")] {
            assert_eq!(request.header_text(name), Err(Refusal::Field(name, problem)));
        }
        assert!(request.header("X-Twice").is_err());
        assert_eq!(request.header_values("X-Twice").count(), 2);
    }
}
