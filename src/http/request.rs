//! One HTTP request as the service sees it: read whole, bounded, and free of `tiny_http`.
//!
//! Owns the shape that crosses from `server` (which reads sockets) to `Service` (which decides).
//! Must not know sockets. Decision: the body is read before the service is called, up to the limit,
//! so that the service is a function of plain data and can be tested without a network.

use std::fmt;
use std::net::IpAddr;

/// A request line, its header fields and its body.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, as sent.
    pub method: Method<'a>,
    /// The request target as sent: path and query, undecoded (RFC 9112, 3.2).
    pub target: &'a str,
    /// Header fields in the order they came, names as sent.
    pub headers: Vec<(&'a str, &'a str)>,
    /// What came after the head.
    pub body: Body,
    /// Who is at the other end of the socket.
    pub peer: Peer,
}

impl<'a> Request<'a> {
    /// Every value of the header field `name`, which is compared without case.
    pub fn header_values<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'a str> + 'r {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
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
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// Neither `Content-Length` nor `Transfer-Encoding` was sent.
    Absent,
    /// The whole body, at most [`MAX_BODY_BYTES`].
    Bytes(Vec<u8>),
    /// Announced or found to be longer than [`MAX_BODY_BYTES`]; not kept.
    TooLarge,
    /// The client stopped before the end that it announced, or took too long.
    Incomplete,
    /// Its framing is malformed or ambiguous (RFC 9112, 6.3); the text says how.
    Malformed(&'static str),
}

/// The longest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP client; IPv4-mapped IPv6 addresses are given as IPv4.
    Ip(IpAddr),
    /// A process on this host, through the Unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}
