//! A few HTTP requests to a registry and its realm, for `doctor --url`.
//!
//! Owns a client of one file: plain HTTP/1.0 over std's sockets, bounded in time and bytes. Must not know
//! configuration. Decision: it follows no redirect and speaks no TLS; it says what it met and leaves the
//! rest to curl, because a second TLS stack is no part of a small issuer.

use crate::ground::time::days_from_civil;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The most bytes of an answer.
const MAX_ANSWER: usize = 128 * 1024;
/// How long one request may take, from its start to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A URL that can be asked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, from its slash.
    pub path: String,
}

/// Why a URL can't be asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// It needs TLS.
    Https,
    /// It is no http URL.
    NotHttp,
    /// No host, an odd character, or a port that is none.
    Malformed,
}

impl Url {
    /// Reads `http://host[:port][/path]`.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        if text.starts_with("https://") {
            return Err(UrlError::Https);
        }
        let rest = text.strip_prefix("http://").ok_or(UrlError::NotHttp)?;
        if rest.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(UrlError::Malformed); // a line break here would write headers of its own
        }
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::Malformed);
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(80), str::parse).map_err(|_| UrlError::Malformed)?;
        if host.is_empty() {
            return Err(UrlError::Malformed);
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { host: host.to_owned(), port, path })
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, which is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, where it is JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, body) = bytes.split_at(end);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let status_line = lines.next()?.strip_prefix("HTTP/1.")?;
        let status = status_line.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Answer {
            status,
            headers: lines.filter_map(header).collect(),
            body: body.get(4..).unwrap_or_default().to_vec(),
        })
    }
}

/// Asks with GET.
pub fn get(url: &Url) -> io::Result<Answer> {
    exchange(url, &format!("GET {} HTTP/1.0\r\nAccept: application/json\r\n", url.path), "")
}

/// Posts a form.
pub fn post(url: &Url, form: &str) -> io::Result<Answer> {
    let head = format!(
        "POST {} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
        url.path,
        form.len()
    );
    exchange(url, &head, form)
}

fn exchange(url: &Url, head: &str, body: &str) -> io::Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = connect(url, deadline)?;
    let request = format!(
        "{head}Host: {}\r\nUser-Agent: keypebble-doctor\r\nConnection: close\r\n\r\n{body}",
        url.authority()
    );
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            // Whoever answers before it has read all may reset what follows.
            Err(_) if Answer::parse(&answer).is_some() => break,
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if answer.len() > MAX_ANSWER {
            break;
        }
    }
    Answer::parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn connect(url: &Url, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs()?.take(4) {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// The parameters of a `Bearer` challenge (RFC 9110, 11.6.1; RFC 6750, 3); `None` for another scheme.
pub fn challenge(header: &str) -> Option<Vec<(String, String)>> {
    let (scheme, mut rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => text.push(characters.next()?.1),
                    (_, c) => text.push(c),
                }
            };
            value = text;
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let (bare, after) = after.split_once(',').unwrap_or((after, ""));
            value = bare.trim().to_owned();
            rest = after;
        }
        parameters.push((name, value));
        if parameters.len() > 16 {
            break;
        }
    }
    Some(parameters)
}

/// An HTTP date (RFC 9110, 5.6.7, the one form that is still written) in seconds since the epoch.
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.trim().split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|known| *known == month)?;
    let clock: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour @ 0..24, minute @ 0..60, second @ 0..61] = clock[..] else { return None };
    let (Ok(year @ 1970..10_000), Ok(day @ 1..32)) = (year.parse(), day.parse()) else { return None };
    let days = days_from_civil(year, i64::try_from(month).ok()? + 1, day);
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A text as a form's or query's value.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // to a String: cannot fail
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        let url = |host: &str, port, path: &str| Ok(Url { host: host.into(), port, path: path.into() });
        for (text, expected) in [
            ("http://a", url("a", 80, "/")),
            ("http://a:5000/v2/token?x=1#f", url("a", 5000, "/v2/token?x=1")),
            ("http://[::1]:8/x", url("::1", 8, "/x")),
            ("http://a?x", url("a", 80, "/?x")),
            ("https://a/", Err(UrlError::Https)),
            ("ftp://a", Err(UrlError::NotHttp)),
            ("a:5000", Err(UrlError::NotHttp)),
            ("http://", Err(UrlError::Malformed)),
            ("http://a:x", Err(UrlError::Malformed)),
            ("http://a:70000", Err(UrlError::Malformed)),
            ("http://u:p@a", Err(UrlError::Malformed)),
            ("http://a/\r\nX: y", Err(UrlError::Malformed)),
        ] {
            assert_eq!(Url::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let read = |text| {
            challenge(text).map(|list| {
                list.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
            })
        };
        let list = |entries: &[&str]| Some(entries.iter().map(ToString::to_string).collect::<Vec<_>>());
        for (text, expected) in [
            (
                "Bearer realm=\"http://a/v2/token\",service=\"s\"",
                list(&["realm=http://a/v2/token", "service=s"]),
            ),
            ("bearer Realm=\"a,b=c\", error=\"x\"", list(&["realm=a,b=c", "error=x"])),
            ("Bearer realm=\"a\\\"b\"", list(&["realm=a\"b"])),
            ("Bearer realm=a, service=s", list(&["realm=a", "service=s"])),
            ("Bearer realm=\"open", None),
            ("Basic realm=\"a\"", None),
            ("Bearer", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 9223372036854775807 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:99999999999999999:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), expected, "{text}");
        }
    }

    #[test]
    fn answers_are_taken_apart() {
        let answer = Answer::parse(b"HTTP/1.1 401 Unauthorized\r\nDate: x\r\nA:b:c\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.header("a"), answer.json().is_some()), (401, Some("b:c"), true));
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert!(Answer::parse(bytes).is_none());
        }
        assert_eq!(encoded("a b&c/\u{fc}"), "a%20b%26c%2F%C3%BC");
    }
}
