//! Owns child processes: their logs, the wait until they are ready, and their end.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Folder;

/// Far beyond what a loaded machine needs: only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server of the test's, killed when dropped; its log is shown where the test has failed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with both its outputs in a log file; `None` where there is no such program.
    pub(crate) fn start(
        folder: &Folder,
        name: &'static str,
        command: &mut Command,
        variables: &[(String, String)],
    ) -> Option<Self> {
        let log = folder.path().join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        // docker-registry takes every REGISTRY_ variable for configuration, also those meant for skopeo.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("REGISTRY_") {
                command.env_remove(variable);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let spawned = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        match spawned {
            Ok(child) => Some(Process { name, child, log }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("cannot start {name}: {error}"),
        }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` gives something; an error with the log where the process ends before.
    pub(crate) fn wait_for<T>(&mut self, mut ready: impl FnMut(&str) -> Option<T>) -> Result<T, String> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            if let Some(found) = ready(&self.log()).filter(|_| ended.is_none()) {
                return Ok(found);
            }
            if let Some(status) = ended {
                return Err(format!("{} ended with {status}:\n{}", self.name, self.log()));
            }
            if start.elapsed() > DEADLINE {
                return Err(format!("{} is not ready after {DEADLINE:?}:\n{}", self.name, self.log()));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
}

/// Asks again until the answer is yes or the deadline is past.
pub(crate) fn eventually(mut check: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !check() {
        if start.elapsed() > DEADLINE {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The address on the line that says `listening`: `http://HOST:PORT` or `unix:/path`, in a log of
/// key=value pairs or of JSON objects.
pub(crate) fn listening_address(log: &str) -> Option<String> {
    // Only whole lines: the last one may still be on its way.
    let line = log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains("listening"))?;
    let start = line.find("http://").or_else(|| line.find("unix:/"))?;
    let end = line[start..].find(|c: char| c.is_whitespace() || "\",'}".contains(c))?;
    Some(line[start..start + end].trim_end_matches('/').to_owned())
}

#[test]
fn the_listening_address_is_found_in_every_form_of_the_log() {
    for (log, address) in [
        ("warning: x\nevent=listening address=http://127.0.0.1:4711\n", Some("http://127.0.0.1:4711")),
        ("{\"event\":\"listening\",\"address\":\"http://[::1]:80\"}\n", Some("http://[::1]:80")),
        ("listening on unix:/tmp/x.sock, 4 threads\n", Some("unix:/tmp/x.sock")),
        ("listening on http://127.0.0.1:47", None),
        ("http://127.0.0.1:1\n", None),
    ] {
        assert_eq!(listening_address(log).as_deref(), address, "{log}");
    }
}
