//! What a connection carries, as clients meet it: the real binary over TCP and over a Unix socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::{Answer, Folder, Server, TURNS, exchange, keypebble, line, metric, pipelined, stderr, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\npolicy: none\n";

fn folder(service: &str) -> Folder {
    let folder = Folder::new();
    folder.write("config.yaml", &format!("{CONFIG}service: {{{service}}}\n"));
    folder
}

fn serve(folder: &Folder) -> Server {
    Server::start(folder, &["--config", "config.yaml"])
}

fn tcp() -> (Folder, Server) {
    let folder = folder("host: 127.0.0.1, port: 0");
    let server = serve(&folder);
    (folder, server)
}

fn unix(more: &str) -> (Folder, Server, PathBuf) {
    let folder = Folder::new();
    let socket = folder.path().join("s");
    let service = format!("service: {{host: 'unix:{}'{more}}}\n", socket.display());
    folder.write("config.yaml", &format!("{CONFIG}{service}"));
    let server = serve(&folder);
    (folder, server, socket)
}

/// Keeps every core busy until dropped.
struct Busy(std::sync::Arc<AtomicBool>);

impl Busy {
    fn cores() -> Self {
        let busy = std::sync::Arc::new(AtomicBool::new(true));
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            let busy = std::sync::Arc::clone(&busy);
            thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Pipelines requests for three users in pieces of all sizes, again and again over new connections, for a
/// while: each answer must be for the user whose turn it is. Gives how many were answered.
fn pipeline<S: Read + Write>(connect: impl Fn() -> S, time: Duration) -> usize {
    let (started, mut answered, mut seed) = (Instant::now(), 0, 1_u64);
    while started.elapsed() < time {
        let mut stream = connect();
        let requests = pipelined(12, |turn| ((turn * 67 + answered) % 700, turn * 31 % 200));
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let piece = (usize::try_from(seed >> 52).unwrap() + 1).min(rest.len());
            stream.write_all(&rest[..piece]).unwrap();
            rest = &rest[piece..];
        }
        for turn in 0..12 {
            let claims = Answer::read(&mut stream, false).claims();
            assert_eq!(claims["sub"], TURNS[turn % 3], "answer {turn} after {answered}");
        }
        answered += 12;
    }
    answered
}

fn pipelined_answers_are_in_order(time: Duration, at_least: usize) {
    let busy = Busy::cores();
    let (_folder, server) = tcp();
    let over_tcp = pipeline(|| server.connect(), time);
    let (_folder, _server, socket) = unix("");
    let over_unix = pipeline(|| UnixStream::connect(&socket).unwrap(), time);
    drop(busy);
    assert!(over_tcp >= at_least && over_unix >= at_least, "only {over_tcp} and {over_unix}");
}

#[test]
fn every_pipelined_user_gets_their_own_answer_on_a_busy_machine() {
    pipelined_answers_are_in_order(Duration::from_secs(3), 24);
}

#[test]
#[ignore = "takes two minutes"]
fn every_pipelined_user_gets_their_own_answer_thousands_of_times() {
    pipelined_answers_are_in_order(Duration::from_secs(60), 5_000);
}

#[test]
fn header_values_are_bytes_and_a_user_may_be_named_in_utf_8() {
    let (_folder, server) = tcp();
    let ask = |fields: &[u8]| {
        let head = b"GET /v2/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        server.send([head, fields, b"\r\n\r\n"].concat())
    };
    for (fields, expected) in [
        (&b"X-Authenticated-User: alice\r\nX-City: M\xfcnchen\r\nUser-Agent: a\tb\xff"[..], "alice"),
        ("X-Authenticated-User: zo\u{eb}".as_bytes(), "zo\u{eb}"),
        (b"X-Authenticated-User: alice\r\nX-Forwarded-For: \xff\xfe, 192.0.2.1", "alice"),
    ] {
        let answer = ask(fields);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(Answer::parse(&answer).claims()["sub"], expected);
    }
    for (fields, problem) in [
        (&b"X-Authenticated-User: zo\xeb"[..], "X-Authenticated-User is not UTF-8"),
        (b"X-Authenticated-User: zo\te", "X-Authenticated-User holds a control character"),
        (
            b"X-Authenticated-User: alice\r\nX-Authenticated-User: bob",
            "X-Authenticated-User may be sent once, and was sent twice",
        ),
    ] {
        let answer = ask(fields);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(problem), "{answer}");
        assert!(answer.contains("\"INVALID_REQUEST\"") && answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn a_target_may_be_a_url_of_this_host() {
    let (_folder, server) = tcp();
    let ask = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        server.send(request.as_bytes())
    };
    assert!(ask("http://LOCALHOST:5000/healthz", "localhost:5000").starts_with("HTTP/1.1 200 "));
    assert!(ask("http://localhost:5000", "localhost:5000").starts_with("HTTP/1.1 404 "));
    let other = ask("http://other/healthz", "localhost");
    assert!(other.starts_with("HTTP/1.1 400 ") && other.contains("another host"), "{other}");
}

#[test]
fn other_protocols_are_told_what_they_are_and_so_is_the_log() {
    let (_folder, server) = tcp();
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 500]].concat();
    let cases: [(&[u8], &str); 4] = [
        (&hello, "a TLS handshake"),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /healthz HTTP/1.1\r\n\r\n",
            "a PROXY protocol header",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\xff\xff\0\x50",
            "a PROXY protocol header",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0", "HTTP/2 with prior knowledge"),
    ];
    for (bytes, name) in cases {
        let answer = server.send(bytes);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let error = &body["errors"][0];
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert!(error["message"].as_str().unwrap().contains(name), "{answer}");
    }
    assert_eq!(metric(&server, "keypebble_connection_events_total{event=\"other_protocol\"}"), 4);
    let (_, log) = server.stop("TERM");
    for (_, name) in cases {
        let said = |line: &str| line.contains("what=other_protocol") && line.contains(name);
        assert!(log.lines().any(said), "{name}: {log}");
    }
}

/// Threads of a process, as /proc tells.
#[cfg(target_os = "linux")]
fn threads(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn idle_connections_rest_without_threads_and_wake_up() {
    let (_folder, server) = tcp();
    let mut streams: Vec<TcpStream> = (0..150).map(|_| server.connect()).collect();
    for round in 0..2 {
        // The last fifty say nothing in the first round.
        let count = if round == 0 { 100 } else { 150 };
        for stream in &mut streams[..count] {
            stream
                .write_all(b"GET /v2/token HTTP/1.1\r\nHost: localhost\r\nX-Authenticated-User: u\r\n\r\n")
                .unwrap();
        }
        for stream in &mut streams[..count] {
            assert_eq!(Answer::read(stream, false).claims()["sub"], "u");
        }
        until("their threads leave", || threads(&server) < 30);
    }
    let started = Instant::now();
    assert_eq!(server.stop("TERM").0, Some(0));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(streams[0].read(&mut [0]).unwrap(), 0);
}

/// As another user where the tests are root's: what root may look at says nothing.
#[test]
#[cfg(target_os = "linux")]
fn a_server_leaves_no_core_and_lets_nobody_look_into_it() {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let folder = folder("host: 127.0.0.1, port: 0");
    let is_root = std::fs::metadata(folder.path()).unwrap().uid() == 0;
    let program = folder.path().join("keypebble");
    // By another process: a file that this one has open for writing can be in no other's way.
    let copied = std::process::Command::new("cp").arg(keypebble().get_program()).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut command = std::process::Command::new(&program);
    command.args(["serve", "--config", "config.yaml"]).current_dir(folder.path());
    if is_root {
        for path in [folder.path(), &folder.path().join("config.yaml"), &program] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Server::run(&mut command);
    let process = PathBuf::from(format!("/proc/{}", server.pid()));
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
    // The files of a process that may not be dumped are root's, whoever runs it (proc(5)).
    assert_eq!(std::fs::metadata(process.join("mem")).unwrap().uid(), 0);
    assert_eq!(server.get("/healthz", &[]).status, 200);
    let (_, log) = server.stop("TERM");
    assert!(!log.contains("event=warning"), "{log}");
}

#[test]
fn a_socket_s_file_has_its_mode_from_the_first() {
    for (more, mode) in [("", 0o660), (", socket_mode: \"0600\"", 0o600), (", socket_mode: '666'", 0o666)] {
        let (_folder, server, socket) = unix(more);
        let file = std::fs::metadata(&socket).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, mode, "{more}");
        let answer = exchange(UnixStream::connect(&socket).unwrap(), "GET", "/healthz", &[], None);
        assert_eq!(answer.status, 200);
        drop(server);
    }
    for (service, problem) in [
        ("host: 'unix:/tmp/s', socket_mode: \"0860\"", "expected an octal mode from 0600 to 0777"),
        ("host: 'unix:/tmp/s', socket_mode: \"0060\"", "expected an octal mode from 0600 to 0777"),
        ("host: 'unix:/tmp/s', socket_mode: \"1777\"", "expected an octal mode from 0600 to 0777"),
        ("host: 'unix:/tmp/s', socket_mode: 660", "quotes"),
        ("host: 127.0.0.1, socket_mode: \"0660\"", "only a Unix socket has a mode"),
    ] {
        let folder = folder(service);
        let output = line(&folder, "check --config config.yaml");
        assert_eq!(output.status.code(), Some(3), "{service}");
        assert!(stderr(&output).contains(problem), "{service}: {}", stderr(&output));
    }
}
