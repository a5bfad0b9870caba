//! A small keep-alive client: as much load as one thread can make.
//!
//! Decision: one thread writes to each of its connections and then takes the answers in the same order,
//! asking again after each, so that the server always has work and the client costs little; what it costs
//! is measured and told.

use crate::process::{Server, cpu_seconds};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What a round of load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Processor seconds of the server for one answer.
    pub(crate) server: f64,
    /// Processor seconds of this client for one answer.
    pub(crate) client: f64,
}

/// Loads a server for a while through that many connections. Every answer must be a 200.
pub(crate) fn round(server: &Server, request: &[u8], connections: usize, length: Duration) -> Round {
    let mut all: Vec<Connection> = (0..connections).map(|_| Connection::open(server.address)).collect();
    for connection in &mut all {
        connection.ask(request);
    }
    let (client, used, started) = (cpu_seconds("self"), server.cpu_seconds(), Instant::now());
    let mut count = 0;
    while started.elapsed() < length {
        for connection in &mut all {
            connection.answer();
            connection.ask(request);
        }
        count += all.len();
    }
    let seconds = started.elapsed().as_secs_f64();
    let each = |used: f64| used / count as f64;
    let round = Round {
        rate: count as f64 / seconds,
        server: each(server.cpu_seconds() - used),
        client: each(cpu_seconds("self") - client),
    };
    all.iter_mut().for_each(Connection::answer);
    round
}

/// Seconds from request to answer on one connection: the median and the 99th of a hundred.
pub(crate) fn latency(server: &Server, request: &[u8], length: Duration) -> (f64, f64) {
    let mut connection = Connection::open(server.address);
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < length {
        let asked = Instant::now();
        connection.ask(request);
        connection.answer();
        times.push(asked.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// One request on a connection that the server closes.
pub(crate) fn exchange(mut stream: TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, buffer: vec![0; 16 * 1024] }
    }

    pub(crate) fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// Reads one answer, as `Content-Length` measures it.
    pub(crate) fn answer(&mut self) {
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            length += read;
            let Some(head) = self.buffer[..length].windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            let body = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            if length >= head + 4 + body.parse::<usize>().unwrap() {
                return;
            }
        }
    }
}
