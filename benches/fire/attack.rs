//! The attacking side: hostile connections, in processes of their own.
//!
//! Decision: bounded in count and time, whatever the server does, so that a mistake here burns out.

#[cfg(feature = "tls")]
use rustls::ClientConnection;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Name, connections. A process holds at most `PER_PROCESS` of them.
pub(crate) const ATTACKS: [(&str, usize); 10] = [
    ("none", 0),
    ("silent", 2000),
    ("drip", 500),
    ("unread", 500),
    ("endless-line", 200),
    ("endless-headers", 200),
    ("body-unsent", 200),
    ("chunks-endless", 200),
    ("body-1e12", 200),
    ("churn", 200),
];
/// What a server with TLS stands as well. `tls-` before a name above is that attack behind a handshake.
pub(crate) const TLS_ATTACKS: [(&str, usize); 14] = [
    ("none", 0),
    ("silent", 2000),
    ("hello-half", 500),
    ("hello-drip", 500),
    ("garbage", 500),
    ("plain-http", 200),
    ("handshakes", 32),
    ("tls-silent", 500),
    ("tls-drip", 500),
    ("tls-unread", 500),
    ("tls-endless-line", 200),
    ("tls-body-unsent", 200),
    ("tls-record-half", 500),
    ("tls-key-updates", 200),
];
const PER_PROCESS: usize = 800;
/// A hostile connection that the server has closed is made again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// No attacking process makes more connections than this in all.
const MOST_CONNECTIONS: usize = 20_000;

/// Where an attacking process finds the authority of the server's certificate.
const AUTHORITY: &str = "KEYPEBBLE_FIRE_AUTHORITY";

/// Starts the processes of one attack.
pub(crate) fn start(
    kind: &str,
    count: usize,
    address: SocketAddr,
    seconds: u64,
    authority: Option<&Path>,
) -> Vec<Child> {
    let mut processes = Vec::new();
    let mut left = count;
    while left > 0 {
        let part = left.min(PER_PROCESS);
        left -= part;
        let arguments = ["--attack", kind, &part.to_string(), &address.to_string(), &seconds.to_string()]
            .map(String::from);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.envs(authority.map(|path| (AUTHORITY, path)));
        processes.push(command.args(arguments).stdout(Stdio::null()).spawn().unwrap());
    }
    processes
}

/// One hostile connection and what it has sent.
#[derive(Default)]
struct Hostile {
    stream: Option<TcpStream>,
    #[cfg(feature = "tls")]
    session: Option<ClientConnection>,
    sent: usize,
    made: Option<Instant>,
}

/// Keeps `count` hostile connections up for a time; one that the server closes is made again.
pub(crate) fn attack(kind: &str, count: usize, address: SocketAddr, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut made = 0;
    let mut hostile: Vec<Hostile> = (0..count).map(|_| Hostile::default()).collect();
    let (start, more) = script(kind.trim_start_matches("tls-"));
    #[cfg(feature = "tls")]
    let client = std::env::var_os(AUTHORITY)
        .map(|path| crate::common::tls::Client::trusting(&std::fs::read_to_string(path).unwrap()));
    // What drips does so once a second; what floods, as fast as it is taken.
    let pause = Duration::from_millis(if kind.ends_with("drip") { 1000 } else { 50 });
    while Instant::now() < end {
        for connection in &mut hostile {
            if Instant::now() >= end {
                break;
            }
            let due = connection.made.is_none_or(|made| made.elapsed() >= AGAIN);
            if connection.stream.is_none() && due && made < MOST_CONNECTIONS {
                connection.made = Some(Instant::now());
                made += 1;
                connection.sent = 0;
                #[cfg(feature = "tls")]
                (connection.session = None);
                connection.stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
                if let Some(stream) = &connection.stream {
                    stream.set_nonblocking(true).unwrap();
                }
            }
            let Some(mut stream) = connection.stream.take() else { continue };
            if kind == "churn" {
                // Half of them leave without a word, half in the middle of one.
                if made % 2 == 0 {
                    let _ = stream.write(b"GET / HT");
                }
                continue;
            }
            #[cfg(feature = "tls")]
            if let Some(client) = client.as_ref().filter(|_| kind.starts_with("tls-") || kind == "handshakes")
            {
                if secure_step(connection, &mut stream, client, kind, (&start, &more)) {
                    connection.stream = Some(stream);
                }
                continue;
            }
            if step(&mut stream, kind, &start, &more, &mut connection.sent) {
                connection.stream = Some(stream);
            }
        }
        thread::sleep(pause);
    }
}

/// One turn behind a handshake; false when the connection is over.
#[cfg(feature = "tls")]
fn secure_step(
    connection: &mut Hostile,
    stream: &mut TcpStream,
    client: &crate::common::tls::Client,
    kind: &str,
    (start, more): (&[u8], &[u8]),
) -> bool {
    let session = connection.session.get_or_insert_with(|| client.session());
    if session.is_handshaking() {
        return match session.complete_io(stream) {
            Ok(_) if kind == "handshakes" => {
                connection.made = None; // the next one at once
                false
            }
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
    }
    match kind {
        "tls-record-half" => {
            let begun = std::mem::replace(&mut connection.sent, 1) == 1;
            return begun || stream.write_all(b"\x17\x03\x03\x20\x00\x01").is_ok();
        }
        "tls-key-updates" => {
            let asked = (0..20).all(|_| session.refresh_traffic_keys().is_ok());
            return asked
                && session
                    .complete_io(stream)
                    .map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true);
        }
        _ => {}
    }
    let kind = kind.trim_start_matches("tls-");
    step(&mut rustls::Stream::new(session, stream), kind, start, more, &mut connection.sent)
}

/// What a kind of attack sends first, and then again and again.
fn script(kind: &str) -> (Vec<u8>, Vec<u8>) {
    let post =
        |fields: &str| format!("POST /auth HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n").into_bytes();
    match kind {
        "hello-half" => (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), Vec::new()),
        "hello-drip" => (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), vec![7]),
        "garbage" => (vec![0; 100], vec![0xff; 4096]),
        "plain-http" => (Vec::new(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        "drip" => (b"G".to_vec(), b"ET / HTTP/1.1 and so on, for ever".to_vec()),
        "unread" => (Vec::new(), b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100)),
        "endless-line" => (b"GET / HTTP/1.1\r\nX-A: ".to_vec(), vec![b'a'; 16384]),
        "endless-headers" => (b"GET / HTTP/1.1\r\n".to_vec(), b"X-Header: value\r\n".repeat(1000)),
        "body-unsent" => (post("Content-Type: application/json\r\nContent-Length: 60000"), Vec::new()),
        "chunks-endless" => (post("Transfer-Encoding: chunked"), b"10\r\n0123456789abcdef\r\n".repeat(500)),
        "body-1e12" => (post("Content-Length: 1000000000000"), vec![b'x'; 16384]),
        _ => (Vec::new(), Vec::new()),
    }
}

/// One turn of one connection; false when the server has closed it.
fn step(stream: &mut (impl Read + Write), kind: &str, start: &[u8], more: &[u8], sent: &mut usize) -> bool {
    let next = if *sent < start.len() {
        &start[*sent..]
    } else if kind.ends_with("drip") {
        let at = (*sent - start.len()) % more.len();
        &more[at..=at]
    } else {
        more
    };
    if !next.is_empty() {
        match stream.write(next) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    if kind == "unread" {
        return true;
    }
    match stream.read(&mut [0; 512]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
