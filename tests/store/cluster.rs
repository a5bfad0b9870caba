//! A PostgreSQL server of a test's own.

use crate::common::{Folder, Killed, free_port, until};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The server will not run as root: as this user then.
const NOBODY: u32 = 65534;

/// A server on a free port of the loopback, with its files in a folder of its own; it ends with the test.
pub struct Cluster {
    folder: Folder,
    pub port: u16,
    settings: Vec<String>,
    server: Option<Killed>,
}

impl Cluster {
    /// A server that runs; who comes over TCP gives a password in the way of `pg_hba.conf`'s `method`.
    pub fn start(method: &str) -> Self {
        let mut cluster = Self::empty();
        let data = cluster.data();
        let made = cluster
            .program("initdb")
            .args(["--no-sync", "--auth-local=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"])
            .arg(format!("--auth-host={method}"))
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.resume();
        cluster
    }

    /// A folder that the server's programs may write, and a port.
    fn empty() -> Self {
        let cluster = Self { folder: Folder::new(), port: free_port(), settings: Vec::new(), server: None };
        if is_root() {
            chown(cluster.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        cluster
    }

    /// A standby that repeats what this server does. From now on nothing is acknowledged here before it is there.
    pub fn standby(&self) -> Self {
        let mut standby = Self::empty();
        let copied = standby
            .program("pg_basebackup")
            .args(["--no-sync", "--write-recovery-conf", "--checkpoint=fast", "--username=postgres", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        standby.resume();
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names TO '*'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        until("the standby follows", || {
            self.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync"
        });
        standby
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program of the server's package, as the user that may run it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(programs().join(name));
        command.current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Another setting, from the next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts it, and waits until it answers.
    pub fn resume(&mut self) {
        let folder = self.folder.path().display().to_string();
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-c", &format!("port={}", self.port)]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        command.args(["-c", &format!("unix_socket_directories={folder}")]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.server = Some(Killed(command.spawn().unwrap()));
        until("the server answers", || self.ask("postgres", "SELECT 1").status.success());
    }

    /// Ends it at once, as a crash does.
    pub fn crash(&mut self) {
        self.signal("QUIT");
        let mut server = self.server.take().unwrap();
        server.0.wait().unwrap();
    }

    /// Sends the server a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.server.as_ref().unwrap().0.id();
        let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn ask(&self, database: &str, sql: &str) -> Output {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        psql.args(["-h", self.folder.path().to_str().unwrap(), "-p", &self.port.to_string(), "-c", sql]);
        psql.output().unwrap()
    }

    /// What a statement gives.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.ask(database, sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A new database with an owner of the same name, whose password is `secret`.
    pub fn database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD 'secret'"));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
    }

    /// The URL of a database for its owner, over the Unix socket and without a password.
    pub fn socket_url(&self, name: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{name}@{folder}:{}/{name}", self.port)
    }

    /// The folder of its own files.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// Debian's place, else where `PATH` says.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let found = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists());
    found.expect("PostgreSQL's server is needed: apt-get install postgresql")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
