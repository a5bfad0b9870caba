//! Issue 5's attacks on a server, and what a good client sees meanwhile.
//!
//! `cargo bench --bench fire` attacks the bare server loop, in a process of its own;
//! `cargo bench --bench fire -- http://127.0.0.1:8080 PID [SECONDS [ATTACK]]` attacks what listens there.
//! Bounded in count and time (`SECONDS` per attack, default 5), and to loopback. Prints a table in
//! markdown; exits 1 if a request of the good client failed, its p99 reached 250 ms, memory reached 64 MiB,
//! or threads or descriptors stayed.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keypebble::http::request::Request;
use keypebble::http::response::Response;
use keypebble::http::server::{Bind, ConnectionEvent, Handler, Limits, Server, Stop};

/// Name, connections. A process holds at most `PER_PROCESS` of them.
const ATTACKS: [(&str, usize); 10] = [
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
const PER_PROCESS: usize = 800;
/// A hostile connection that the server has closed is made again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// No attacking process makes more connections than this in all.
const MOST_CONNECTIONS: usize = 20_000;

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve"] => serve(),
        ["--attack", kind, count, address, seconds] => {
            attack(kind, count.parse().unwrap(), address.parse().unwrap(), seconds.parse().unwrap());
        }
        [] | [_] => {
            let mut server = myself().arg("--serve").stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let good = table(parse(line.trim()), server.id(), 5, arguments.first().map(String::as_str));
            server.kill().unwrap();
            server.wait().unwrap();
            return good;
        }
        [address, pid, ref rest @ ..] if rest.len() <= 2 => {
            let seconds = rest.first().map_or(5, |seconds| seconds.parse::<u64>().unwrap().min(120));
            return table(parse(address), pid.parse().unwrap(), seconds, rest.get(1).copied());
        }
        _ => {
            println!("usage: fire [ATTACK] | http://127.0.0.1:PORT PID [SECONDS [ATTACK]]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn parse(address: &str) -> SocketAddr {
    let address: SocketAddr = address.strip_prefix("http://").unwrap_or(address).parse().unwrap();
    assert!(address.ip().is_loopback(), "only loopback is attacked");
    address
}

fn myself() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

struct Constant;

impl Handler for Constant {
    fn handle(&self, _: &Request<'_>) -> Response {
        Response::json(200, &br#"{"status":"ok"}"#[..])
    }

    fn event(&self, _: ConnectionEvent) {}
}

fn serve() {
    let server = Server::bind(&Bind::Tcp("127.0.0.1".into(), 0), Limits::default()).unwrap();
    println!("{}", server.address());
    server.run(Arc::new(Constant), &Stop::on_signals().unwrap());
}

/// What the good client saw, and what the server used.
struct Seen {
    times: Vec<Duration>,
    failures: Vec<String>,
}

fn table(address: SocketAddr, pid: u32, seconds: u64, only: Option<&str>) -> ExitCode {
    println!(
        "| attack | connections | good requests | failed | p50 ms | p99 ms | peak MiB | peak threads \
         | threads after | descriptors before, after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut good = true;
    for (name, count) in ATTACKS {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        good &= row(address, pid, seconds, name, &[(name, count)]);
    }
    let all: Vec<_> = ATTACKS.iter().copied().filter(|(_, count)| *count > 0).collect();
    if only.is_none_or(|only| only == "all") {
        good &= row(address, pid, 3 * seconds, "all at once", &all);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(address: SocketAddr, pid: u32, seconds: u64, name: &str, attacks: &[(&str, usize)]) -> bool {
    let before = usage(pid);
    let mut processes = Vec::new();
    for (kind, count) in attacks {
        let mut left = *count;
        while left > 0 {
            let part = left.min(PER_PROCESS);
            left -= part;
            let arguments = ["--attack", kind, &part.to_string(), &address.to_string(), &seconds.to_string()]
                .map(String::from);
            processes.push(myself().args(arguments).stdout(Stdio::null()).spawn().unwrap());
        }
    }
    let stop = AtomicBool::new(false);
    let peak = [const { AtomicU64::new(0) }; 2];
    let mut seen = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let now = usage(pid);
                peak[0].fetch_max(now.kibibytes, Ordering::Relaxed);
                peak[1].fetch_max(now.threads, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let seen = good_client(address, Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        seen
    });
    for process in &mut processes {
        process.wait().unwrap();
    }
    let waited = Instant::now();
    let mut after = usage(pid);
    // Idle threads leave after five seconds.
    while waited.elapsed() < Duration::from_secs(15)
        && (after.threads > before.threads + 2 || after.descriptors > before.descriptors)
    {
        thread::sleep(Duration::from_millis(100));
        after = usage(pid);
    }
    seen.times.sort();
    let percentile = |part: usize| {
        seen.times.get(seen.times.len() * part / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    let mebibytes = peak[0].load(Ordering::Relaxed) / 1024;
    let connections: usize = attacks.iter().map(|(_, count)| count).sum();
    println!(
        "| {name} | {connections} | {} | {} | {:.2} | {:.2} | {mebibytes} | {} | {} | {}, {} |",
        seen.times.len(),
        seen.failures.len(),
        percentile(50),
        percentile(99),
        peak[1].load(Ordering::Relaxed),
        after.threads,
        before.descriptors,
        after.descriptors,
    );
    seen.failures.iter().take(3).for_each(|failure| println!("<!-- {failure} -->"));
    seen.failures.is_empty()
        && percentile(99) < 250.0
        && mebibytes < 64
        && after.threads <= before.threads + 2
        && after.descriptors <= before.descriptors
}

/// Asks every few milliseconds, by turns on a connection that stays and on a new one.
fn good_client(address: SocketAddr, time: Duration) -> Seen {
    let mut seen = Seen { times: Vec::new(), failures: Vec::new() };
    let mut kept: Option<TcpStream> = None;
    let end = Instant::now() + time;
    for number in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        let started = Instant::now();
        let keeps = number % 2 == 0;
        let asked = if keeps { kept.take().map_or_else(|| connect(address), Ok) } else { connect(address) }
            .and_then(|mut stream| ask(&mut stream, keeps).map(|()| stream));
        match asked {
            Ok(stream) => {
                seen.times.push(started.elapsed());
                if keeps {
                    kept = Some(stream);
                }
            }
            Err(error) => seen.failures.push(format!("request {number}, kept {keeps}: {error}")),
        }
        thread::sleep(Duration::from_millis(3));
    }
    seen
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, keeps: bool) -> std::io::Result<()> {
    let connection = if keeps { "keep-alive" } else { "close" };
    let request = format!("GET /healthz HTTP/1.1\r\nHost: fire\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let count = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        if count == 0 || answer.ends_with(b"}") || answer.ends_with(b"}\n") {
            break;
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") && answer.contains(&b'}') {
        return Ok(());
    }
    Err(std::io::Error::other(format!("answered {:?}", String::from_utf8_lossy(&answer))))
}

/// What a process uses, as /proc tells.
#[derive(Default)]
struct Usage {
    kibibytes: u64,
    threads: u64,
    descriptors: usize,
}

fn usage(pid: u32) -> Usage {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()).unwrap_or(0)
    };
    Usage {
        kibibytes: field("VmRSS:"),
        threads: field("Threads:"),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
    }
}

/// One hostile connection and what it has sent.
struct Hostile {
    stream: Option<TcpStream>,
    sent: usize,
    made: Option<Instant>,
}

/// Keeps `count` hostile connections up for a time; one that the server closes is made again.
fn attack(kind: &str, count: usize, address: SocketAddr, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut made = 0;
    let mut hostile: Vec<Hostile> =
        (0..count).map(|_| Hostile { stream: None, sent: 0, made: None }).collect();
    let (start, more) = script(kind);
    // What drips does so once a second; what floods, as fast as it is taken.
    let pause = Duration::from_millis(if kind == "drip" { 1000 } else { 50 });
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
            if step(&mut stream, kind, &start, &more, &mut connection.sent) {
                connection.stream = Some(stream);
            }
        }
        thread::sleep(pause);
    }
}

/// What a kind of attack sends first, and then again and again.
fn script(kind: &str) -> (Vec<u8>, Vec<u8>) {
    let post = |fields: &str| format!("POST /auth HTTP/1.1\r\nHost: fire\r\n{fields}\r\n\r\n").into_bytes();
    match kind {
        "drip" => (b"G".to_vec(), b"ET / HTTP/1.1 and so on, for ever".to_vec()),
        "unread" => (Vec::new(), b"GET /healthz HTTP/1.1\r\nHost: fire\r\n\r\n".repeat(100)),
        "endless-line" => (b"GET / HTTP/1.1\r\nX-A: ".to_vec(), vec![b'a'; 16384]),
        "endless-headers" => (b"GET / HTTP/1.1\r\n".to_vec(), b"X-Header: value\r\n".repeat(1000)),
        "body-unsent" => (post("Content-Type: application/json\r\nContent-Length: 60000"), Vec::new()),
        "chunks-endless" => (post("Transfer-Encoding: chunked"), b"10\r\n0123456789abcdef\r\n".repeat(500)),
        "body-1e12" => (post("Content-Length: 1000000000000"), vec![b'x'; 16384]),
        _ => (Vec::new(), Vec::new()),
    }
}

/// One turn of one connection; false when the server has closed it.
fn step(stream: &mut TcpStream, kind: &str, start: &[u8], more: &[u8], sent: &mut usize) -> bool {
    let next = if *sent < start.len() {
        &start[*sent..]
    } else if kind == "drip" {
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
