//! The good client: what it asks, and whether the answer is right.

use keypebble::diagnosis::unverified::Unverified;
use keypebble::diagnosis::{claims::Expected, verify::verify};
use keypebble::ground::time::UnixTime;
use keypebble::key::keyring::KeySet;
use serde_json::{Value, json};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom every configuration here issues for.
pub(crate) const ISSUER: &str = "https://keypebble.example.com";
pub(crate) const AUDIENCE: &str = "registry.example.com";

/// The users of the policy, what each asks, and what of it he must get.
pub(crate) const USERS: [(&str, &str, &str); 2] = [
    ("alice", "repository:alice-space/app-api:pull,push", "alice-space/app-api"),
    (
        "bob",
        "repository:bob-space/app-api:pull,push+repository:alice-space/app-api:pull",
        "bob-space/app-api",
    ),
];

/// How long any answer may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the good client asks.
#[derive(Clone)]
pub(crate) enum Question {
    /// Whether a server that is not ours is alive.
    Health,
    /// A token, which must stand.
    Token(Arc<KeySet>),
}

impl Question {
    /// Asks for the user of that number; an error is whatever a client would call a failure.
    pub(crate) fn ask(&self, stream: &mut (impl Read + Write), number: usize, keeps: bool) -> Result<()> {
        let (user, scope, _) = USERS[number % USERS.len()];
        let connection = if keeps { "keep-alive" } else { "close" };
        let (target, field) = match self {
            Self::Health => ("/healthz".to_owned(), String::new()),
            Self::Token(_) => (token_target(scope), format!("X-Authenticated-User: {user}\r\n")),
        };
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n{field}\r\n");
        stream.write_all(request.as_bytes())?;
        let body = answer(stream)?;
        match self {
            Self::Health => Ok(()),
            Self::Token(keys) => is_right(&body, keys, number).map(|_| ()).map_err(Error::other),
        }
    }
}

pub(crate) fn token_target(scope: &str) -> String {
    format!("/v2/token?service={AUDIENCE}&scope={scope}")
}

pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Both ways.
pub(crate) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// Where the good client asks, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Over TLS, with the server's authority.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::common::tls::Client>,
}

impl Target {
    /// Over plain HTTP.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    fn connect(&self) -> Result<Box<dyn Duplex>> {
        let stream = connect(self.address)?;
        #[cfg(feature = "tls")]
        if let Some(client) = &self.tls {
            return Ok(Box::new(client.over(stream)));
        }
        Ok(Box::new(stream))
    }
}

/// The body of one answer, which must be a 200 and whole.
pub(crate) fn answer(stream: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2048);
    let mut piece = [0; 4096];
    loop {
        let count = match stream.read(&mut piece) {
            // This process was paused.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        bytes.extend_from_slice(&piece[..count]);
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]);
            let length = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.and_then(|length| length.parse::<usize>().ok());
            if !text.starts_with("HTTP/1.1 200 ") || length.is_none() {
                return Err(Error::other(format!("answered {text:?}")));
            }
            if length.is_some_and(|length| bytes.len() >= head + 4 + length) {
                return Ok(bytes.split_off(head + 4));
            }
        }
        if count == 0 {
            return Err(Error::other(format!("closed after {} bytes", bytes.len())));
        }
    }
}

/// Whether an answer has a token that says what it must for the user of that number; gives its id.
pub(crate) fn is_right(body: &[u8], keys: &KeySet, number: usize) -> std::result::Result<String, String> {
    let (user, _, repository) = USERS[number % USERS.len()];
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let token = body["token"].as_str().ok_or("no token")?;
    let now = UnixTime::now();
    let expected = Expected { issuer: Some(ISSUER), audiences: &[AUDIENCE] };
    let findings = verify(token, keys, &expected, now);
    if !findings.is_empty() {
        return Err(format!("{token}: {findings:?}"));
    }
    let claims = Unverified::parse(token).map_err(|error| error.to_string())?.claims;
    let access = json!([{ "type": "repository", "name": repository, "actions": ["pull", "push"] }]);
    let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(end, start)| end - start);
    let says = claims["sub"] == user && claims["access"] == access && life == Some(3610);
    match claims["jti"].as_str() {
        Some(id) if says => Ok(id.to_owned()),
        _ => Err(format!("the wrong claims for {user}: {claims:?}")),
    }
}

/// What the good client saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) times: Vec<Duration>,
    pub(crate) failures: Vec<String>,
}

impl Seen {
    /// In milliseconds.
    pub(crate) fn percentile(&mut self, part: usize) -> f64 {
        self.times.sort();
        self.times.get(self.times.len() * part / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// Asks again and again with that pause, by turns on a connection that stays and on a new one.
pub(crate) fn good(target: &Target, question: &Question, time: Duration, pause: Duration) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Box<dyn Duplex>> = None;
    let end = Instant::now() + time;
    for number in 0_usize.. {
        if Instant::now() >= end {
            break;
        }
        let started = Instant::now();
        let keeps = number % 2 == 0;
        let asked = if keeps { kept.take().map_or_else(|| target.connect(), Ok) } else { target.connect() }
            .and_then(|mut stream| question.ask(&mut stream, number / 2, keeps).map(|()| stream));
        match asked {
            Ok(stream) => {
                seen.times.push(started.elapsed());
                if keeps {
                    kept = Some(stream);
                }
            }
            Err(error) => seen.failures.push(format!("request {number}, kept {keeps}: {error}")),
        }
        std::thread::sleep(pause);
    }
    seen
}
