//! The server as a child process.

use super::http::{Answer, connect, exchange};
use super::{Folder, keypebble};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A process that ends with its test.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `serve` with the folder's `config.yaml` and `policy.yaml`.
pub fn serve(folder: &Folder) -> Server {
    Server::start(folder, &["--config", "config.yaml", "--policy", "policy.yaml"])
}

/// A server on a free port of the loopback, killed when dropped.
pub struct Server {
    child: Killed,
    pub address: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `serve` with those arguments after it and waits for its "listening" line.
    pub fn start(folder: &Folder, arguments: &[&str]) -> Self {
        Self::run(keypebble().arg("serve").args(arguments).current_dir(folder.path()))
    }

    /// Starts a command that ends in `serve` and waits for its "listening" line.
    pub fn run(command: &mut Command) -> Self {
        let mut child = Killed(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
        let mut before = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "serve ended before it listened:\n{before}");
            before.push_str(&line);
            if let Some(address) = listening_address(&before) {
                break address;
            }
        };
        let log = Arc::new(Mutex::new(before));
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|length| length > 0) {
                sink.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self { child, address, log, reader: Some(reader) }
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// How many descriptors it has open; 0 where the tests are not root's, since a server lets nobody else look.
    pub fn descriptors(&self) -> usize {
        let folder = Path::new("/proc").join(self.pid().to_string()).join("fd");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// What was logged so far; whole once the server was stopped.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let mut command = Command::new("kill");
        assert!(command.args([format!("-{name}"), self.pid().to_string()]).status().unwrap().success());
    }

    /// Sends a signal by name, waits for the end, and gives back the exit code and the whole log.
    pub fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let status = self.child.0.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (status.code(), self.log())
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port())
    }

    /// All that comes for these bytes, after which nothing more is sent.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(bytes.as_ref());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        // A reset after the answer counts as the end.
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            answer.extend_from_slice(&piece[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", target, headers, None)
    }

    pub fn post(&self, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.request("POST", target, headers, Some(body))
    }

    /// One request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        exchange(self.connect(), method, target, headers, body)
    }
}

/// What the server's metrics say of that name, with the labels where it has any.
#[track_caller]
pub fn metric(server: &Server, name: &str) -> u64 {
    metric_in(&server.get("/metrics", &[]).body, name)
}

/// The same, in the metrics' text.
#[track_caller]
pub fn metric_in(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().unwrap()
}

/// An address on loopback that nobody has, most likely: for what must know it before it starts.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn free_port() -> u16 {
    free_address().port()
}

/// The address on the line that says `listening`: `http(s)://HOST:PORT` or `unix:/path`, in a log of key=value
/// pairs or of JSON objects.
pub fn listening_address(log: &str) -> Option<String> {
    // Only whole lines: the last one may still be on its way.
    let line = log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains("listening"))?;
    let start = line.find("http").or_else(|| line.find("unix:/"))?;
    let end = line[start..].find(|c: char| c.is_whitespace() || "\",'}".contains(c))?;
    Some(line[start..start + end].trim_end_matches('/').to_owned())
}
