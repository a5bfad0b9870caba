//! Addresses and ports that are not to be had.

use super::*;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

/// `serve`, which must fail to listen, and what it said.
fn refused(listens: &str) -> String {
    let output = serve(&folder(listens)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn an_address_that_is_not_to_be_had_is_said_and_ends_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (listens, expected) in [
        (format!("host: 127.0.0.1, port: {port}"), "the address is in use"),
        ("host: 192.0.2.1, port: 18080".to_owned(), "no such address"),
    ] {
        let said = refused(&listens);
        assert!(said.contains(expected) && said.contains("keypebble: hint: "), "{said}");
    }
}

/// In a network of its own, with so few ports that they can be used up. A test runs itself again in there.
#[test]
#[ignore = "needs root, for a network of its own: see .ci/run"]
fn when_no_port_is_left_clients_wait_and_the_server_goes_on() {
    const INSIDE: &str = "KEYPEBBLE_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let script = "ip link set lo up && echo '40000 40063' >/proc/sys/net/ipv4/ip_local_port_range \
                      && exec \"$0\" --exact --ignored --nocapture \
                      addresses::when_no_port_is_left_clients_wait_and_the_server_goes_on";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    let server = Server::run(&mut serve(&folder("host: 127.0.0.1, port: 18080")));
    let good = server.connect();
    let mut crowd = Vec::new();
    let full = loop {
        match TcpStream::connect(("127.0.0.1", 18080)) {
            Ok(stream) => crowd.push(stream),
            Err(error) => break error,
        }
        assert!(crowd.len() <= 64);
    };
    assert_eq!(full.kind(), ErrorKind::AddrNotAvailable, "{full}");
    // Who is connected is served; a server that wants any port is told that there is none.
    right(&common::exchange(good, "GET", TARGET, &[ALICE], None));
    let last: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect(("127.0.0.1", 18080)).ok()).take(64).collect();
    let listening = TcpListener::bind("127.0.0.1:0");
    assert!(listening.is_err() || refused(TCP).contains("in use"), "{listening:?}");

    // Once they leave, new clients come in, and nothing was left behind.
    drop((crowd, last));
    until("a port is free", || TcpStream::connect(("127.0.0.1", 18080)).is_ok());
    until("a whole answer", || {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", 18080)) else { return false };
        right(&common::exchange(stream, "GET", TARGET, &[ALICE], None));
        true
    });
    until("the descriptors are back", || server.descriptors() < 20);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
