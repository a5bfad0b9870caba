//! Servers as child processes, and what they use.

use crate::common::{Folder, Killed, free_address, repository};
use crate::load;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Processor seconds that a process has used; `self` is this one.
///
/// The sum of its threads' `schedstat`, which counts nanoseconds; `stat` counts ticks of a hundredth of a
/// second, and only by sampling. A thread that has ended is not in it: none does in the middle of a round.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.filter_map(|thread| on_processor(&thread.ok()?.path())).sum()
}

/// Processor seconds that this thread has used.
pub(crate) fn thread_cpu_seconds() -> f64 {
    on_processor(Path::new("/proc/thread-self")).unwrap()
}

fn on_processor(thread: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

/// Resident memory, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A server on loopback, killed when dropped. Its log goes to /dev/null.
pub(crate) struct Server {
    child: Killed,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) first_answer: Duration,
}

impl Server {
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Self {
        let started = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Killed(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    load::exchange(stream, request);
                    return Self { child, address, first_answer: started.elapsed() };
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    assert!(started.elapsed() < Duration::from_secs(10), "{command:?} does not answer");
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.pid().to_string())
    }
}

/// A folder with configurations. No file in it is written twice: a running server would load it again.
pub(crate) struct Place {
    folder: Folder,
    files: Cell<u32>,
}

/// The user of every measured request, and what he asks.
pub(crate) const TARGET: &str =
    "/v2/token?service=registry.example.com&scope=repository:alice-space/app-api:pull,push";
pub(crate) const POLICY: &str =
    "users:\n  alice: { namespace: alice-space, repos: [app-api, app-ui], actions: [pull, push] }\n";
pub(crate) const SECRET: &str = "for-the-measurement-only-and-long-enough";

/// The request for a token, as a proxy sends it.
pub(crate) fn token_request() -> Vec<u8> {
    format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX-Authenticated-User: alice\r\n\r\n").into_bytes()
}

/// The file of the test key for an algorithm; HMAC has none.
pub(crate) fn key_file(algorithm: &str) -> Option<PathBuf> {
    let file = match algorithm {
        "RS256" | "PS256" => "rsa2048.pem",
        "ES256" => "p256.pem",
        "ES384" => "p384.pem",
        "EdDSA" => "ed25519.pem",
        "ML-DSA-44" => "mldsa44.pem",
        "ML-DSA-65" => "mldsa65.pem",
        _ => return None,
    };
    Some(repository("tests/data/keys").join(file))
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: Folder::new(), files: Cell::new(0) }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.folder.write(&format!("{}-{name}", self.files.get()), text)
    }

    /// A configuration for that algorithm and address; `more` goes into its `service`.
    pub(crate) fn config(&self, algorithm: &str, address: SocketAddr, more: &str) -> PathBuf {
        let mut text = format!(
            "issuer: https://keypebble.example.com\naudience: registry.example.com\nalgorithm: {algorithm}\n"
        );
        match key_file(algorithm) {
            // A copy, because the key of a repository may be readable to others.
            Some(path) => {
                let key = self.write("key.pem", &std::fs::read_to_string(path).unwrap());
                writeln!(text, "private_key_path: {}", key.display()).unwrap();
            }
            None => writeln!(text, "secret: {SECRET}").unwrap(),
        }
        let (host, port) = (address.ip(), address.port());
        writeln!(text, "service: {{ host: {host}, port: {port}, {more} }}").unwrap();
        self.write("config.yaml", &text)
    }

    /// `serve` of that binary.
    pub(crate) fn serve(&self, binary: &str, algorithm: &str, more: &str) -> Server {
        let address = free_address();
        let config = self.config(algorithm, address, more);
        let policy = self.write("policy.yaml", POLICY);
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(config).arg("--policy").arg(policy);
        Server::start(command, address)
    }
}
