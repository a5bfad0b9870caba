//! A request's head: where it ends, what it says, and how long its body is.
//!
//! Owns the grammar of RFC 9112 as functions of bytes, over `httparse`, and stricter than that: it takes bare
//! line feeds, and leaves to its caller what the fields mean. Must not know sockets. Decision: what is
//! ambiguous is refused, never repaired, because the other end of an ambiguity is a proxy that read it the
//! other way.

use std::ops::Range;

use httparse::Header;

use crate::ground::limits::Limits;
use crate::http::refusal::Refusal;
use crate::http::request::{Body, Method, Peer, Request};

/// A request head, as places in the bytes that it was read from, which move while a body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// HTTP/1.0 rather than 1.1.
    pub old: bool,
    /// What follows.
    pub body: Framing,
    /// The client waits for 100 Continue.
    pub expects_continue: bool,
    /// No further request follows on this connection.
    pub last: bool,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// `Chunked` finds its end.
    Chunked,
    /// It cannot be known, or what the request is for cannot; the text says why.
    Malformed(&'static str),
}

/// How other protocols begin that are sent to a port for HTTP, and their names.
const OTHERS: [(&[u8], &str); 4] = [
    (b"\x16\x03", "a TLS handshake: this port speaks plain HTTP"),
    (b"PROXY ", "a PROXY protocol header: the proxy in front must not send one"),
    (b"\r\n\r\n\0\r\nQUIT\n", "a PROXY protocol header: the proxy in front must not send one"),
    (b"PRI * HTTP/2.0\r\n", "HTTP/2 with prior knowledge"),
];

/// Finds the end of a head, looking only at what follows `*looked`, and refuses early any byte that no
/// head may hold. Gives the length of the head with its empty line.
pub fn head_end(bytes: &[u8], looked: &mut usize) -> Result<Option<usize>, Refusal> {
    for (beginning, name) in OTHERS {
        if bytes.starts_with(beginning) {
            return Err(Refusal::Protocol(name));
        }
        if beginning.starts_with(bytes) {
            return Ok(None); // too early to tell
        }
    }
    let mut at = *looked;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\r' => match bytes.get(at + 1) {
                None => break,
                Some(b'\n') if at == 0 => {
                    return Err(Refusal::Malformed("empty line before the request line"));
                }
                Some(b'\n') if bytes[..at].ends_with(b"\r\n") => return Ok(Some(at + 2)),
                Some(b'\n') => at += 1,
                Some(_) => return Err(Refusal::Malformed("carriage return without line feed")),
            },
            b'\n' => return Err(Refusal::Malformed("line feed without carriage return")),
            b'\t' | 0x20..=0x7e | 0x80.. => {}
            _ => return Err(Refusal::Malformed("control byte in the request head")),
        }
        at += 1;
    }
    *looked = at;
    Ok(None)
}

impl Head {
    /// Reads a whole head, as `head_end` measured it.
    #[allow(clippy::naive_bytecount, reason = "a head is short")]
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let count = lines.saturating_sub(2);
        if count > limits.header_count {
            return Err(Refusal::HeadTooLarge("too many header fields"));
        }
        let mut headers = vec![httparse::EMPTY_HEADER; count];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) | Err(httparse::Error::Token | httparse::Error::NewLine) => {
                return Err(Refusal::Malformed("malformed request line"));
            }
            Err(httparse::Error::Version) => return Err(other_version(bytes)),
            Err(httparse::Error::HeaderName) => {
                return Err(Refusal::Malformed("malformed header name, or a folded header line"));
            }
            Err(_) => return Err(Refusal::Malformed("malformed header value")),
        }
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Refusal::Malformed("malformed request line"));
        };
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::Malformed("malformed request target"));
        }
        let fields = Fields { all: parsed.headers, old: minor == 0 };
        let path = fields.path(method, target);
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + part.len()
        };
        Ok(Self {
            method: place(method.as_bytes()),
            target: place(path.unwrap_or(target).as_bytes()),
            fields: fields
                .all
                .iter()
                .map(|field| (place(field.name.as_bytes()), place(field.value)))
                .collect(),
            old: fields.old,
            body: path.and_then(|_| fields.framing()).unwrap_or_else(Framing::Malformed),
            expects_continue: fields.expectation()?,
            last: fields.is_last(),
        })
    }

    /// The request whose head this is, in the bytes that it was read from.
    pub fn request<'a>(&self, bytes: &'a [u8], body: Body<'a>, peer: Peer) -> Request<'a> {
        // Methods, targets and names are ASCII.
        let text = |place: &Range<usize>| str::from_utf8(&bytes[place.clone()]).unwrap_or_default();
        let fields = self.fields.iter().map(|(name, value)| (text(name), &bytes[value.clone()]));
        Request {
            method: Method::of(text(&self.method)),
            target: text(&self.target),
            headers: fields.collect(),
            body,
            peer,
        }
    }
}

/// A version that is none of ours, or none at all.
fn other_version(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    match line.split(|byte| *byte == b' ').collect::<Vec<_>>()[..] {
        [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::Malformed("malformed HTTP version"),
    }
}

/// The fields that say where a request goes and where it ends.
struct Fields<'f, 'b> {
    all: &'f [Header<'b>],
    old: bool,
}

impl<'b> Fields<'_, 'b> {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
        self.all.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The target's path and query (RFC 9112, 3.2), if one Host, and no other name, goes with it.
    fn path<'t>(&self, method: &str, target: &'t str) -> Result<&'t str, &'static str> {
        let mut hosts = self.values("host");
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err("more than one Host");
        }
        if host.is_none() && !self.old {
            return Err("no Host");
        }
        let bad = |byte: &u8| !byte.is_ascii_graphic() || b",/\\?#@".contains(byte);
        if host.is_some_and(|host| host.iter().any(bad)) {
            return Err("malformed Host");
        }
        if target.contains('#') {
            return Err("a fragment in the request target");
        }
        if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
            return Ok(target);
        }
        let Some((scheme, rest)) = target.split_once("://") else {
            return Err("the request target is not a path");
        };
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err("the request target is neither a path nor an http URL");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_bytes())) {
            return Err("the request target names another host than Host");
        }
        // An empty path is `/`; the slash after the scheme is lent for it.
        let slash = scheme.len() + 1;
        Ok(if path.starts_with('/') { path } else { &target[slash..=slash] })
    }

    /// RFC 9112, 6.3, and what makes its answer doubtful.
    fn framing(&self) -> Result<Framing, &'static str> {
        let mut lengths = self.values("content-length");
        let mut codings = self.values("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Framing::None),
            (Some(_), Some(_)) => Err("Content-Length with Transfer-Encoding"),
            (Some(_), None) if lengths.next().is_some() => Err("more than one Content-Length"),
            (Some(length), None) => content_length(length).map(Framing::Length),
            (None, Some(_)) if self.old => Err("Transfer-Encoding in HTTP/1.0"),
            // Some take the whole stream for the body of an upgrade, whatever its framing.
            (None, Some(_)) if self.asks("upgrade") => Err("Transfer-Encoding with an upgrade"),
            (None, Some(b"chunked")) if codings.next().is_none() => Ok(Framing::Chunked),
            (None, Some(_)) => Err("Transfer-Encoding other than chunked"),
        }
    }

    /// Whether 100 Continue is waited for: an HTTP/1.0 client cannot mean it (RFC 9110, 10.1.1), and two
    /// expectations are no clearer than one.
    fn expectation(&self) -> Result<bool, Refusal> {
        let mut expected = self.values("expect");
        match (expected.next(), expected.next()) {
            (None, _) => Ok(false),
            (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(!self.old),
            _ => Err(Refusal::Expectation),
        }
    }

    /// Whether a `Connection` field has that word.
    fn asks(&self, word: &str) -> bool {
        let mut words = self.values("connection").flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|known| known.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// An upgrade that we don't speak ends the connection after its answer.
    fn is_last(&self) -> bool {
        self.asks("close") || self.asks("upgrade") || (self.old && !self.asks("keep-alive"))
    }
}

fn content_length(value: &[u8]) -> Result<u64, &'static str> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err("malformed Content-Length");
    }
    str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or("Content-Length out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, Refusal> {
        let end = head_end(text.as_bytes(), &mut 0)?.expect("a whole head");
        Head::parse(&text.as_bytes()[..end], &Limits::default())
    }

    #[test]
    fn a_body_length_is_digits_given_once() {
        for (fields, expected) in [
            ("", Framing::None),
            ("Content-Length: 0\r\n", Framing::Length(0)),
            ("Content-Length:\t 12 \r\n", Framing::Length(12)),
            ("content-length: 1000000000000\r\n", Framing::Length(1_000_000_000_000)),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("Content-Length: 99999999999999999999\r\n", Framing::Malformed("Content-Length out of range")),
            ("Content-Length: 0x1\r\n", Framing::Malformed("malformed Content-Length")),
            ("Content-Length: 5, 5\r\n", Framing::Malformed("malformed Content-Length")),
            ("Transfer-Encoding: Chunked\r\n", Framing::Malformed("Transfer-Encoding other than chunked")),
        ] {
            let head = parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).unwrap();
            assert_eq!(head.body, expected, "{fields}");
        }
    }

    #[test]
    fn a_head_that_comes_in_pieces_ends_where_the_whole_one_does() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut looked = 0;
        for length in 0..27 {
            assert_eq!(head_end(&text[..length], &mut looked), Ok(None), "{length}");
        }
        assert_eq!(head_end(text, &mut looked), Ok(Some(27)));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_bytes_and_not_earlier() {
        for (bytes, name) in [
            (&b"\x16\x03\x01\x02\0\x01"[..], "TLS"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY protocol"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "PROXY protocol"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        ] {
            let whole = head_end(bytes, &mut 0);
            let Err(Refusal::Protocol(text)) = whole else { panic!("{whole:?}") };
            assert!(text.contains(name), "{text}");
            let (mut looked, mut length) = (0, 0);
            let first = loop {
                match head_end(&bytes[..length], &mut looked) {
                    Ok(None) => length += 1,
                    end => break end,
                }
            };
            assert_eq!(first, whole);
        }
        assert_eq!(parse("PRI * HTTP/2.1\r\n\r\n"), Err(Refusal::Version));
        assert_eq!(parse("PROXIES / HTTP/1.1\r\nHost: h\r\n\r\n").map(|head| head.body), Ok(Framing::None));
        assert!(matches!(head_end(b"\r\nGET", &mut 0), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_url_is_a_path_where_its_host_is_the_host() {
        for (target, host, expected) in [
            ("http://h/a?b", "h", Some("/a?b")),
            ("HTTPS://H:80/a", "h:80", Some("/a")),
            ("http://h/a", "i", None),
            ("http://h/a", "h:80", None),
            ("http://u@h/a", "h", None),
            ("http:///a", "", None),
            ("http://h", "h", Some("/")),
            ("http://h?a", "h", Some("/")),
            ("ftp://h/a", "h", None),
            ("h/a", "h", None),
            ("*", "h", None),
        ] {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
            let head = Head::parse(&bytes, &Limits::default()).unwrap();
            let request = head.request(&bytes, Body::Absent, Peer::Unix);
            let path = (head.body == Framing::None).then_some(request.target);
            assert_eq!(path, expected, "{target} {host}");
        }
    }

    #[test]
    fn values_are_bytes_without_the_blanks_around_them() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nX-A:\t\xfc\tb \t\r\nX-B:\r\nX-C: \xc3\xa4\r\n\r\n";
        let end = head_end(bytes, &mut 0).unwrap().unwrap();
        let head = Head::parse(&bytes[..end], &Limits::default()).unwrap();
        let request = head.request(bytes, Body::Absent, Peer::Unix);
        let expected: [(&str, &[u8]); 4] =
            [("Host", b"h"), ("X-A", b"\xfc\tb"), ("X-B", b""), ("X-C", "\u{e4}".as_bytes())];
        assert_eq!(request.headers, expected);
    }

    #[test]
    fn what_is_no_head_is_refused_with_its_reason() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n X: y\r\n\r\n", "malformed header name, or a folded header line"),
            ("GET / HTTP/1.1\r\nX : y\r\n\r\n", "malformed header name, or a folded header line"),
            ("GET / HTTP/1.1\r\nX\r\n\r\n", "malformed header name, or a folded header line"),
            ("GET / HTTP/1.1\nX: y\n\n", "line feed without carriage return"),
            ("GET / HTTP/1.1\r\nX: \x01\r\n\r\n", "control byte in the request head"),
            ("GET / HTTP/1.1\r\nX: \x7f\r\n\r\n", "control byte in the request head"),
            ("GET /\u{e4} HTTP/1.1\r\n\r\n", "malformed request target"),
            ("GET  / HTTP/1.1\r\n\r\n", "malformed request line"),
            ("GET / HTTP/1.1 \r\n\r\n", "malformed request line"),
            ("GET / http/1.1\r\n\r\n", "malformed HTTP version"),
            ("GET /\r\n\r\n", "malformed request line"),
        ] {
            assert_eq!(parse(text), Err(Refusal::Malformed(expected)), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
        assert!(matches!(parse(&many), Err(Refusal::HeadTooLarge(_))));
        assert_eq!(parse("GET / HTTP/1.1\r\nExpect: x\r\n\r\n"), Err(Refusal::Expectation));
    }
}
