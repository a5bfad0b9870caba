//! A request's head: where it ends, what it says, and how long its body is.
//!
//! Owns the grammar of RFC 9112 as functions of bytes, over `httparse`, and stricter than that: it takes bare
//! line feeds, and leaves to its caller what the fields mean. Must not know sockets. Decision: what is
//! ambiguous is refused, never repaired, because the other end of an ambiguity is a proxy that read it the
//! other way.

use httparse::Status;

use crate::ground::limits::Limits;
use crate::http::refusal::Refusal;
use crate::http::request::{Body, Method, Peer, Request};

/// A request head.
#[derive(Debug)]
pub struct Head<'a> {
    /// The request, of which the body is not read yet.
    pub request: Request<'a>,
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
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    while let Some(skipped) = bytes[at..].iter().position(|byte| !is_text(byte)) {
        at += skipped;
        *looked = at;
        match bytes[at..] {
            [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at == 0 => {
                return Err(Refusal::Malformed("empty line before the request line"));
            }
            [b'\r', b'\n', ..] if bytes[..at].ends_with(b"\r\n") => return Ok(Some(at + 2)),
            [b'\r', b'\n', ..] => at += 2,
            [b'\r', ..] => return Err(Refusal::Malformed("carriage return without line feed")),
            [b'\n', ..] => return Err(Refusal::Malformed("line feed without carriage return")),
            _ => return Err(Refusal::Malformed("control byte in the request head")),
        }
    }
    *looked = bytes.len();
    Ok(None)
}

impl<'a> Head<'a> {
    /// Reads a whole head, as `head_end` measured it.
    #[allow(clippy::naive_bytecount, reason = "a head is short")]
    pub fn parse(bytes: &'a [u8], peer: Peer, limits: &Limits) -> Result<Self, Refusal> {
        let fields = bytes.iter().filter(|byte| **byte == b'\n').count().saturating_sub(2);
        if fields > limits.header_count {
            return Err(Refusal::HeadTooLarge("too many header fields"));
        }
        let mut fields = vec![httparse::EMPTY_HEADER; fields];
        let mut parsed = httparse::Request::new(&mut fields);
        let result = parsed.parse(bytes);
        let (Ok(Status::Complete(_)), Some(method), Some(target), Some(minor)) =
            (result, parsed.method, parsed.path, parsed.version)
        else {
            return Err(problem(result, bytes));
        };
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::Malformed("malformed request target"));
        }
        let old = minor == 0;
        let headers = parsed.headers.iter().map(|field| (field.name, field.value)).collect();
        let mut request = Request { method: Method::of(method), target, headers, body: Body::Absent, peer };
        let path = path(&request, old);
        request.target = path.unwrap_or(target);
        let stays = !old || asks(&request, "keep-alive");
        Ok(Self {
            old,
            body: path.and_then(|_| framing(&request, old)).unwrap_or_else(Framing::Malformed),
            expects_continue: expects_continue(&request, old)?,
            // An upgrade that we don't speak ends the connection after its answer.
            last: !stays || asks(&request, "close") || asks(&request, "upgrade"),
            request,
        })
    }
}

/// Why `httparse` does not take a head.
fn problem(result: httparse::Result<usize>, bytes: &[u8]) -> Refusal {
    Refusal::Malformed(match result {
        Err(httparse::Error::Version) => {
            let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            match words[..] {
                [_, _, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']] => {
                    return Refusal::Version;
                }
                _ => "malformed HTTP version",
            }
        }
        Err(httparse::Error::HeaderName) => "malformed header name, or a folded header line",
        Err(httparse::Error::HeaderValue) => "malformed header value",
        Ok(_) | Err(_) => "malformed request line",
    })
}

/// The target's path and query (RFC 9112, 3.2), if one Host, and no other name, goes with it.
fn path<'a>(request: &Request<'a>, old: bool) -> Result<&'a str, &'static str> {
    let target = request.target;
    let host = request.header("Host").map_err(|_| "more than one Host")?;
    if host.is_none() && !old {
        return Err("no Host");
    }
    if host.unwrap_or_default().iter().any(|byte| !byte.is_ascii_graphic() || b",/\\?#@".contains(byte)) {
        return Err("malformed Host");
    }
    if target.contains('#') {
        return Err("a fragment in the request target");
    }
    if target.starts_with('/') || (target == "*" && request.method == Method::Other("OPTIONS")) {
        return Ok(target);
    }
    let (scheme, rest) = target.split_once("://").ok_or("the request target is not a path")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("the request target is neither a path nor an http URL");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let named = host.unwrap_or(authority.as_bytes());
    if authority.is_empty() || authority.contains('@') || !named.eq_ignore_ascii_case(authority.as_bytes()) {
        return Err("the request target names another host than Host");
    }
    Ok(if path.starts_with('/') { path } else { "/" })
}

/// RFC 9112, 6.3, and what makes its answer doubtful.
fn framing(request: &Request<'_>, old: bool) -> Result<Framing, &'static str> {
    let length = request.header("Content-Length").map_err(|_| "more than one Content-Length")?;
    let coding = request.header("Transfer-Encoding").map_err(|_| "more than one Transfer-Encoding")?;
    match (length, coding) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err("Content-Length with Transfer-Encoding"),
        (Some(length), None) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length = str::from_utf8(length).ok().and_then(|digits| digits.parse().ok());
            length.map(Framing::Length).ok_or("Content-Length out of range")
        }
        (Some(_), None) => Err("malformed Content-Length"),
        (None, Some(_)) if old => Err("Transfer-Encoding in HTTP/1.0"),
        // Some take the whole stream for the body of an upgrade, whatever its framing.
        (None, Some(_)) if asks(request, "upgrade") => Err("Transfer-Encoding with an upgrade"),
        (None, Some(b"chunked")) => Ok(Framing::Chunked),
        (None, Some(_)) => Err("Transfer-Encoding other than chunked"),
    }
}

/// Whether 100 Continue is waited for: an HTTP/1.0 client cannot mean it (RFC 9110, 10.1.1), and two expectations
/// are no clearer than one.
fn expects_continue(request: &Request<'_>, old: bool) -> Result<bool, Refusal> {
    match request.header("Expect").map_err(|_| Refusal::Expectation)? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(!old),
        Some(_) => Err(Refusal::Expectation),
    }
}

/// Whether a `Connection` field has that word.
fn asks(request: &Request<'_>, word: &str) -> bool {
    let mut words = request.header_values("Connection").flat_map(|value| value.split(|byte| *byte == b','));
    words.any(|known| known.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Head<'_>, Refusal> {
        let end = head_end(bytes, &mut 0)?.expect("a whole head");
        Head::parse(&bytes[..end], Peer::Unix, &Limits::default())
    }

    fn refusal(text: &str) -> Refusal {
        parse(text.as_bytes()).map(|head| head.body).unwrap_err()
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
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(parse(text.as_bytes()).unwrap().body, expected, "{fields}");
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
        assert_eq!(refusal("PRI * HTTP/2.1\r\n\r\n"), Refusal::Version);
        assert_eq!(parse(b"PROXIES / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().body, Framing::None);
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
            let head = parse(&bytes).unwrap();
            let path = (head.body == Framing::None).then_some(head.request.target);
            assert_eq!(path, expected, "{target} {host}");
        }
    }

    #[test]
    fn values_are_bytes_without_the_blanks_around_them() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nX-A:\t\xfc\tb \t\r\nX-B:\r\nX-C: \xc3\xa4\r\n\r\n";
        let expected: [(&str, &[u8]); 4] =
            [("Host", b"h"), ("X-A", b"\xfc\tb"), ("X-B", b""), ("X-C", "\u{e4}".as_bytes())];
        assert_eq!(parse(bytes).unwrap().request.headers, expected);
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
            assert_eq!(refusal(text), Refusal::Malformed(expected), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
        assert!(matches!(refusal(&many), Refusal::HeadTooLarge(_)));
        assert_eq!(refusal("GET / HTTP/1.1\r\nExpect: x\r\n\r\n"), Refusal::Expectation);
    }
}
