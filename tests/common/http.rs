//! A client for one request and its answer, over any stream.

use super::encode::base64;
use super::{claims, scopes};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub const JSON: (&str, &str) = ("Content-Type", "application/json");
pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// How long an answer may be awaited: far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// To a port of the loopback.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The value of an `Authorization` field.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// One request over any stream, which the server closes after its answer.
pub fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    if let Some(body) = body {
        write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&String::from_utf8(answer).unwrap())
}

/// What the token in an answer grants, as scopes.
#[track_caller]
pub fn access(answer: &Answer) -> String {
    scopes(&answer.claims())
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole head: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self { status, headers: headers.collect(), body: body.to_owned() }
    }

    /// Reads one answer of a connection that stays open; one to a HEAD request has no body.
    #[track_caller]
    pub fn read(stream: &mut impl Read, to_head: bool) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = stream.read_exact(&mut byte);
            read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head)));
            head.extend(byte);
        }
        let mut answer = Self::parse(std::str::from_utf8(&head).unwrap());
        if !to_head {
            let length = answer.header("Content-Length").unwrap_or_else(|| panic!("{answer:?}"));
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the registry's error form.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// The claims of the token in it, which are those that it shows.
    #[track_caller]
    pub fn claims(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{self:?}");
        let body = self.json();
        let claims = claims(body["token"].as_str().unwrap());
        assert_eq!(claims, body["claims"], "the answer shows what the token says");
        claims
    }
}

/// The users whose turn it is, one after the other, in `pipelined`.
pub const TURNS: [&str; 3] = ["alice", "bob", "carol"];

/// Requests for a token, one behind the other, each for the user whose turn it is, with so many bytes of padding
/// in the head and of body.
pub fn pipelined(count: usize, sizes: impl Fn(usize) -> (usize, usize)) -> String {
    let request = |turn| {
        let (pad, body) = sizes(turn);
        let user = TURNS[turn % 3];
        format!(
            "GET /v2/token?n={turn} HTTP/1.1\r\nHost: localhost\r\nX-Pad: {}\r\n\
             X-Authenticated-User: {user}\r\nContent-Length: {body}\r\n\r\n{}",
            "p".repeat(pad),
            "b".repeat(body)
        )
    };
    (0..count).map(request).collect()
}
