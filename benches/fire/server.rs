//! The server as a child process, with its folder, and what a process uses.

use crate::client::{AUDIENCE, ISSUER, Question, connect};
use crate::common::{Folder, Killed, free_address, keypebble};
use keypebble::config::Config;
use keypebble::ground::file::Files;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const POLICY: &str = "\
users:
  alice: { namespace: alice-space, repos: [app-api, app-ui], actions: [pull, push] }
  bob: { namespace: bob-space, repos: ['*'], actions: [pull, push] }
";

/// The binary of this build, or the one that `KEYPEBBLE_BIN` names.
pub(crate) fn binary() -> PathBuf {
    let path = PathBuf::from(keypebble().get_program());
    assert!(path.is_file(), "{} is missing: cargo build --release --locked", path.display());
    path
}

/// Writes the configuration of an issuer with that key (a line of YAML), listening there.
pub(crate) fn configure(folder: &Folder, name: &str, key: &str, listens: &str) -> PathBuf {
    let text = format!("issuer: {ISSUER}\naudience: {AUDIENCE}\n{key}\nservice: {{ {listens} }}\n");
    folder.write(name, &text)
}

/// `serve` on loopback, killed when dropped. Its log goes to /dev/null.
pub(crate) struct Server {
    child: Killed,
    pub(crate) address: SocketAddr,
    folder: Folder,
}

impl Server {
    /// With an HS256 key and a policy; answering.
    pub(crate) fn with_policy() -> Self {
        Self::in_folder(Folder::new(), "")
    }

    /// The same with TLS, for clients that trust the `authority` in its folder.
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls() -> Self {
        let folder = Folder::new();
        let authority = crate::common::tls::Authority::new("fire");
        let (certificate, key) = authority.make(&["localhost", "127.0.0.1"]);
        for (name, text) in
            [("authority", &authority.pem), ("server.crt", &certificate), ("server.key", &key)]
        {
            folder.write(name, text);
        }
        Self::in_folder(folder, ", tls: {certificate_path: server.crt, key_path: server.key}")
    }

    fn in_folder(folder: Folder, more: &str) -> Self {
        let address = free_address();
        let listens = format!("host: {}, port: {}{more}", address.ip(), address.port());
        let key = "hs256_secret: for-the-measurement-only-and-long-enough";
        let config = configure(&folder, "config.yaml", key, &listens);
        let policy = folder.write("policy.yaml", POLICY);
        let mut server = Self { child: Killed(serve(&config, &policy)), address, folder };
        let started = Instant::now();
        while connect(address).is_err() {
            assert!(server.child.0.try_wait().unwrap().is_none(), "serve ended: {}", server.describe());
            assert!(started.elapsed() < Duration::from_secs(10), "serve does not answer");
            sleep(Duration::from_millis(1));
        }
        server
    }

    pub(crate) fn describe(&self) -> String {
        let kind = if cfg!(debug_assertions) { " (a debug build)" } else { "" };
        format!("{}{kind} at http://{}, process {}", binary().display(), self.address, self.pid())
    }

    /// The authority of its certificate.
    #[cfg(feature = "tls")]
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Asks for a token, and knows the key.
    pub(crate) fn token_question(&self) -> Question {
        let config = Config::load(&self.folder.join("config.yaml"), &mut Files::default()).unwrap();
        let issuer = config.into_issuer();
        Question::Token(Arc::new(issuer.keyring().verifiers().clone()))
    }
}

/// Starts it, and does not wait.
pub(crate) fn serve(config: &Path, policy: &Path) -> Child {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config).arg("--policy").arg(policy);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// What a process uses, as /proc tells.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) kibibytes: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: usize,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()).unwrap_or(0)
        };
        Self {
            kibibytes: field("VmRSS:"),
            threads: field("Threads:"),
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        }
    }

    pub(crate) fn mebibytes(&self) -> f64 {
        self.kibibytes as f64 / 1024.0
    }
}

/// Processor seconds that a process, and the children that it waited for, have used.
pub(crate) fn processor_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name in brackets; utime to cstime are fields 14 to 17, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
