//! As few descriptors as a process may be given.

use super::*;
use std::io::Write;
use std::net::TcpStream;

#[test]
fn with_64_descriptors_a_crowd_changes_nothing_and_leaves_nothing() {
    let folder = folder(TCP);
    let server = Server::run(&mut serve_after(&["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""], &folder));
    let ask = || right(&server.get(TARGET, &[ALICE]));
    ask();
    until("the first connection is gone", || server.log().contains("path=/v2/token"));
    let before = server.descriptors();

    // Half of them say nothing, half stop in the middle of a word.
    let crowd: Vec<TcpStream> = (0..150).map(|_| server.connect()).collect();
    for mut stream in crowd.iter().step_by(2) {
        let _ = stream.write_all(b"GET / HT");
    }
    for _ in 0..30 {
        ask();
    }
    assert!(server.descriptors() <= 64);
    let log = server.log();
    assert!(
        log.contains("what=evicted") && !log.contains("accept_failed") && !log.contains("panicked"),
        "{log}"
    );

    // Files can still be read: the policy changes in the middle of it.
    folder.write("policy.yaml", &POLICY.replace("[pull]", "[pull, push]"));
    server.signal("HUP");
    until("a reload", || server.log().contains("event=reload result=ok"));
    let answer = server.get(TARGET, &[ALICE]);
    assert!(answer.body.contains("\"actions\":[\"pull\",\"push\"]"), "{answer:?}");

    drop(crowd);
    until("the descriptors are back", || server.descriptors() <= before);
    // And it has room again for some at once, each of which keeps its connection.
    let mut kept: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
    for _ in 0..3 {
        for stream in &mut kept {
            stream.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        }
        for stream in &mut kept {
            assert_eq!(Answer::read(stream, true).status, 200);
        }
    }
}

/// The kernel's usual soft limit, once with and once without leave to raise it.
#[test]
#[ignore = "needs 6,000 descriptors of its own: see .ci/run"]
fn a_flood_of_5000_connections_does_not_end_it() {
    let me = std::process::id().to_string();
    common::output("prlimit", &["--pid", &me, "--nofile=8192:"], "");
    for limit in ["--nofile=1024:1024", "--nofile=1024:"] {
        let folder = folder(TCP);
        let server = Server::run(&mut serve_after(&["prlimit", limit], &folder));
        let ask = || right(&server.get(TARGET, &[ALICE]));
        ask();
        until("the first connection is gone", || server.log().contains("path=/v2/token"));
        let before = server.descriptors();

        // Some say nothing, some stop in the middle of a word, some ask and stay.
        let flood = |part: usize| {
            let open = |number: usize| {
                let mut stream = server.connect();
                let _ = match number % 3 {
                    0 => stream.write_all(b"GET / HT"),
                    1 => stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
                    _ => Ok(()),
                };
                stream
            };
            (0..1250).map(|number| open(4 * number + part)).collect::<Vec<TcpStream>>()
        };
        let crowd: Vec<_> = std::thread::scope(|scope| {
            let parts: Vec<_> = (0..4).map(|part| scope.spawn(move || flood(part))).collect();
            parts.into_iter().map(|part| part.join().unwrap()).collect()
        });
        assert_eq!(crowd.iter().map(Vec::len).sum::<usize>(), 5000);
        ask();
        drop(crowd);
        until("the descriptors are back", || server.descriptors() <= before);
        ask();
        let (code, log) = server.stop("TERM");
        assert_eq!(code, Some(0), "{limit}");
        let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert_eq!(panics, [""; 0], "{limit}");
    }
}

#[test]
#[ignore = "needs prlimit, of util-linux: see .ci/run"]
fn without_a_descriptor_for_a_connection_it_waits_and_says_so() {
    let folder = folder(TCP);
    let server = Server::run(&mut serve(&folder));
    let limit = |soft: usize| {
        let arguments = [format!("--pid={}", server.pid()), format!("--nofile={soft}:")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    };
    let ask = || right(&server.get(TARGET, &[ALICE]));
    ask();
    until("the first connection is gone", || server.log().contains("path=/v2/token"));
    // What is open stays so; there is nothing left for a connection.
    limit(3);
    let mut waiting = server.connect();
    waiting.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    until("a line in the log", || server.log().contains("what=accept_failed"));
    limit(1024);
    assert_eq!(Answer::read(&mut waiting, true).status, 200);
    ask();
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0));
    assert!(!log.contains("panicked"), "{log}");
}
