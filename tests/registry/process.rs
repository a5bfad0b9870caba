//! Owns child processes: their logs, the wait until they are ready, and their end.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::common::{Folder, Killed, eventually, listening_address};

/// A server of the test's; its log is shown where the test has failed.
pub(crate) struct Process {
    name: &'static str,
    child: Killed,
    log: PathBuf,
}

impl Process {
    /// Starts a program with both its outputs in a log file.
    pub(crate) fn start(
        folder: &Folder,
        name: &'static str,
        command: &mut Command,
        variables: &[(String, String)],
    ) -> Self {
        let log = folder.path().join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        // docker-registry takes every REGISTRY_ variable for configuration, also those meant for skopeo.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("REGISTRY_") {
                command.env_remove(variable);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: see .ci/run"));
        Process { name, child: Killed(child), log }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` gives something; an error with the log where the process ends before.
    pub(crate) fn wait_for<T>(&mut self, mut ready: impl FnMut(&str) -> Option<T>) -> Result<T, String> {
        let mut found = None;
        let answered = eventually(|| {
            found = match self.child.0.try_wait().unwrap() {
                Some(status) => Some(Err(format!("ended with {status}"))),
                None => ready(&self.log()).map(Ok),
            };
            found.is_some()
        });
        let found = if answered { found.unwrap() } else { Err("is not ready".to_owned()) };
        found.map_err(|what| format!("{} {what}:\n{}", self.name, self.log()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
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
