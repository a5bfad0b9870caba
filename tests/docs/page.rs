//! One page's blocks, run one after the other in a folder of their own.

use crate::block::{Block, Kind};
use crate::common::{BINARY, Folder, repository};
use crate::compare::compare;
use crate::{image, stand_in};
use serde_yaml::Value;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Which programs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    /// A shell and its usual tools; `curl` and `jq` are this test's own.
    RustAlone,
    /// Everything that the pages name; of those that do the same, these.
    RealPrograms(&'static [&'static str]),
}

/// The ports that the documentation uses; a free one stands for each.
const PORTS: [&str; 4] = ["8080", "5000", "8443", "5443"];

/// What begins a command that goes on until it is stopped, and what it says when it is ready; nginx says
/// nothing.
const SERVERS: [(&str, &str); 6] = [
    ("keypebble serve ", "event=listening"),
    ("docker-registry serve ", "listening on"),
    ("registry serve ", "listening on"),
    ("env OTEL_TRACES_EXPORTER=none registry serve ", "listening on"),
    ("caddy run ", "serving initial configuration"),
    ("nginx -p ", ""),
];

/// Commands that change what a running server has read.
const CHANGES: [&str; 3] = ["keypebble user set", "keypebble user remove", "keypebble keys rotate"];

/// Far beyond what a busy machine needs: only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where the documentation has a registry of a name of its own, and the front that `init` writes for it: this
/// machine's name stands for it, which leads here and is not local by itself.
const FRONT_PAGE: &str = "docs/quickstart-proxy.md";

/// A page whose commands are for a clone of the repository.
const CLONE_PAGE: &str = "docs/verifying.md";

/// What else the documentation names and is not here: a registry with TLS and a name of its own. nginx has it.
const NAMES: [(&str, &str); 4] = [
    ("https://registry.example.com", "https://localhost:5443"),
    ("docker://registry.example.com/", "docker://localhost:5443/"),
    ("listen 443 ssl", "listen 5443 ssl"),
    ("registry.home.lan", "localhost"),
];

/// Any image will do, and there may be no network.
const PUBLIC_IMAGE: &str = "docker://docker.io/library/alpine:3";

/// A folder that stands for `/srv`, what runs in it, and what holds from one block to the next.
pub(crate) struct Page {
    name: String,
    with: With,
    /// Beside the folder of the page: programs, home, and what the shell remembers.
    aside: Folder,
    folder: Folder,
    ports: Vec<(&'static str, String)>,
    names: Vec<(&'static str, String)>,
    servers: Vec<Running>,
    configs: Vec<String>,
}

/// A server, stopped when dropped.
struct Running {
    command: String,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx takes its workers with it only when it is asked to.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    pub(crate) fn new(name: &str, with: With) -> Self {
        let (aside, folder) = (Folder::new(), Folder::new());
        let programs = aside.path().join("bin");
        fs::create_dir_all(&programs).unwrap();
        fs::create_dir_all(aside.path().join("home")).unwrap();
        let binary = std::env::var_os("KEYPEBBLE_BIN").map_or_else(|| PathBuf::from(BINARY), PathBuf::from);
        link(&fs::canonicalize(binary).unwrap(), &programs.join("keypebble"));
        if name == CLONE_PAGE {
            link(&repository("examples"), &folder.path().join("examples"));
        }
        if with == With::RustAlone {
            stand_in::install(&programs);
        } else {
            // What every client needs to be told once on a new machine.
            aside.write(
                "home/.config/containers/policy.json",
                "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
            );
            let _ = image::write(&aside);
            // Where PATH's own Python is, with the packages that the pages name.
            let python = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .find(|folder| folder.join("python").exists());
            if let Some(venv) = python.as_deref().and_then(Path::parent) {
                link(venv, &folder.path().join("venv"));
            }
        }
        let path = std::env::var("PATH").unwrap();
        let (aside_path, folder_path) = (aside.path().display(), folder.path().display());
        aside.write(
            "env",
            &format!("export HOME='{aside_path}/home' PATH='{aside_path}/bin:{path}:/usr/sbin:/sbin'\n"),
        );
        aside.write("cwd", &folder_path.to_string());
        let ports = PORTS.into_iter().map(|port| (port, free_port().to_string())).collect();
        let names = if name == FRONT_PAGE {
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
            let front = ("registry.example.com", format!("{host}:{}", free_port()));
            vec![("DNS:registry.example.com", format!("DNS:{host}")), front]
        } else {
            NAMES.map(|(name, local)| (name, local.to_owned())).to_vec()
        };
        let (servers, configs) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), with, aside, folder, ports, names, servers, configs }
    }

    /// Runs every block; an error says which one failed, and how.
    pub(crate) fn run(mut self, blocks: &[Block]) -> Result<(), String> {
        for block in blocks {
            self.block(block).map_err(|problem| format!("{}: {problem}", block.place()))?;
        }
        for config in std::mem::take(&mut self.configs) {
            self.succeeds(&format!("keypebble check --config {config}"))
                .map_err(|problem| format!("{}: {problem}", self.name))?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<(), String> {
        let text = self.here(&block.text);
        let there_are_all = self.with != With::RustAlone;
        match &block.kind {
            Kind::Run(more) | Kind::Transcript(more) if *more && !there_are_all => syntax(&block.text),
            Kind::Choice(name) => match self.with {
                With::RealPrograms(chosen) if chosen.contains(&&**name) => self.run_or_serve(&text),
                _ => syntax(&block.text),
            },
            Kind::Run(_) => self.run_or_serve(&text),
            Kind::Transcript(_) => self.transcript(&text),
            Kind::Cargo => cargo(&block.text),
            Kind::Elsewhere(_) => syntax(&block.text),
            Kind::Config => fragment(&text, "check --config", complete),
            Kind::Policy => fragment(&text, "policy test --policy", str::to_owned),
            Kind::Yaml => serde_yaml::from_str::<Value>(&text).map(|_| ()).map_err(|e| e.to_string()),
            Kind::Json => {
                serde_json::from_str::<serde_json::Value>(&text).map(|_| ()).map_err(|e| e.to_string())
            }
            Kind::File(name) => self.write(name, &text),
            Kind::Text => Ok(()),
            Kind::Unknown => Err("no known kind of block".to_owned()),
        }
    }

    fn run_or_serve(&mut self, text: &str) -> Result<(), String> {
        match server(text) {
            Some((command, ready)) => self.serve(command, ready),
            None => self.succeeds(text),
        }
    }

    /// A text of the page as it is run here.
    fn here(&self, text: &str) -> String {
        // The folder's own name may have the digits of a port.
        let folder = self.folder.path().display().to_string();
        let outside = text.split(&folder).map(|text| {
            let names = self.names.iter();
            let text = names.fold(text.to_owned(), |text, (name, local)| text.replace(name, local));
            self.ports.iter().fold(text, |text, (port, free)| text.replace(port, free))
        });
        let text = outside.collect::<Vec<_>>().join(&folder);
        text.replace(PUBLIC_IMAGE, &format!("oci:{}/image", self.aside.path().display()))
    }

    /// What was printed here, as the page has it.
    fn there(&self, text: &str) -> String {
        let text = text.replace(&self.folder.path().display().to_string(), "/srv");
        let text = self.ports.iter().fold(text, |text, (port, free)| text.replace(free, port));
        self.names.iter().fold(text, |text, (name, local)| text.replace(local, name))
    }

    fn write(&mut self, name: &str, text: &str) -> Result<(), String> {
        let reloads = self.reloads();
        let text = text.replace("/srv/", &format!("{}/", self.folder.path().display()));
        self.folder.write(name, &text);
        if name.ends_with("policy.yaml") {
            self.succeeds(&format!("keypebble policy test --policy {name}"))?;
            return self.wait_for_reload(reloads);
        }
        // A store needs a feature, and a command that makes it.
        let all_can_be_had =
            self.with != With::RustAlone || !text.lines().any(|line| line.starts_with("store:"));
        if name.ends_with("config.yaml") && all_can_be_had {
            // Its keys may be made by a later block.
            self.configs.push(name.to_owned());
        }
        Ok(())
    }

    /// Runs commands in the folder where the last ones ended, with their variables.
    fn shell(&self, script: &str) -> Output {
        let aside = self.aside.path().display();
        let script = format!(
            "set -eu\n. '{aside}/env'\ncd \"$(cat '{aside}/cwd')\"\n{script}\nexport -p >'{aside}/env'\npwd >'{aside}/cwd'\n"
        );
        let mut command = Command::new("sh");
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("REGISTRY_") || name.starts_with("KEYPEBBLE_") {
                command.env_remove(&variable);
            }
        }
        command.arg("-c").arg(script).stdin(Stdio::null()).output().unwrap()
    }

    fn succeeds(&mut self, script: &str) -> Result<(), String> {
        let reloads = self.reloads();
        let output = self.shell(script);
        self.after_init(script);
        if output.status.success() {
            return if CHANGES.iter().any(|change| script.contains(change)) {
                self.wait_for_reload(reloads)
            } else {
                Ok(())
            };
        }
        let logs: String = self.servers.iter().map(|server| self.log(server)).collect();
        Err(format!("{}\n{}\n{}{logs}", output.status, self.there(script.trim_end()), said(&output)))
    }

    /// `init` writes the ports of its own that stand for others here.
    fn after_init(&self, script: &str) {
        let Some(folder) =
            script.split("keypebble init ").nth(1).and_then(|rest| rest.split_whitespace().next())
        else {
            return;
        };
        let folder = self.folder.path().join(folder);
        let inside = |name: &str| fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
        for file in inside("").chain(inside("registry")).map(|entry| entry.path()) {
            if let Ok(text) = fs::read_to_string(&file) {
                fs::write(file, self.here(&text)).unwrap();
            }
        }
    }

    fn transcript(&mut self, text: &str) -> Result<(), String> {
        let mut parts = text.split("\n$ ");
        let first = parts.next().unwrap().strip_prefix("$ ").ok_or("a transcript begins with `$ `")?;
        for part in std::iter::once(first).chain(parts) {
            let end = part
                .match_indices('\n')
                .map(|(at, _)| at)
                .find(|at| !part[..*at].ends_with(['\\', '|']))
                .unwrap_or(part.len());
            let (command, expected) = part.split_at(end);
            let output = self.shell(&format!("{{ {command}\n}} 2>&1"));
            self.after_init(command);
            let printed = self.there(&String::from_utf8_lossy(&output.stdout));
            compare(&self.there(expected.trim_start_matches('\n')), &printed)
                .map_err(|problem| format!("$ {}\n{problem}", self.there(command)))?;
        }
        Ok(())
    }

    /// Starts a server and waits until it is ready.
    fn serve(&mut self, command: &str, ready: &str) -> Result<(), String> {
        self.servers.retain(|server| server.command != command);
        let log = self.aside.path().join(format!("server-{}.log", self.servers.len()));
        let file = File::create(&log).unwrap();
        let aside = self.aside.path().display();
        let script = format!(". '{aside}/env'\ncd \"$(cat '{aside}/cwd')\"\nexec {command}");
        let mut shell = Command::new("sh");
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("REGISTRY_") {
                shell.env_remove(&variable);
            }
        }
        let child = shell
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut server = Running { command: command.to_owned(), child };
        let start = Instant::now();
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = server.child.try_wait().unwrap() {
                return Err(format!("{} ended with {status}\n{said}", self.there(command)));
            }
            let answers = || self.ports.iter().skip(1).any(|(_, port)| accepts(port));
            if if ready.is_empty() { answers() } else { said.contains(ready) } {
                break;
            }
            if start.elapsed() > DEADLINE {
                return Err(format!("{} is not ready\n{said}", self.there(command)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.servers.push(server);
        Ok(())
    }

    /// How often the server here has read its files again; `None` where there is none.
    fn reloads(&self) -> Option<usize> {
        let server = self.servers.iter().find(|server| server.command.starts_with("keypebble serve "))?;
        Some(self.log(server).matches("event=reload result=ok").count())
    }

    /// What was changed counts for what comes next, as it does for people, who are slower than a server.
    fn wait_for_reload(&self, before: Option<usize>) -> Result<(), String> {
        let start = Instant::now();
        while before.is_some() && self.reloads() == before {
            if start.elapsed() > DEADLINE {
                return Err("the server does not take the change".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log(&self, server: &Running) -> String {
        let at = self.servers.iter().position(|other| std::ptr::eq(other, server)).unwrap_or_default();
        let log = fs::read_to_string(self.aside.path().join(format!("server-{at}.log"))).unwrap_or_default();
        format!("--- {}\n{}\n", self.there(&server.command), self.there(&log))
    }
}

/// The command of a block that is a server's, and what it says when it is ready.
fn server(text: &str) -> Option<(&str, &'static str)> {
    let command = text.trim();
    let alone = command.replace("\\\n", "").lines().count() == 1;
    SERVERS.iter().find(|(start, _)| alone && command.starts_with(start)).map(|(_, ready)| (command, *ready))
}

/// A port below those that the system gives out by itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn accepts(port: &str) -> bool {
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_ok()
}

fn link(to: &Path, name: &Path) {
    #[cfg(unix)]
    std::os::unix::fs::symlink(to, name).unwrap();
    #[cfg(not(unix))]
    fs::copy(to, name).unwrap();
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a shell could read it.
fn syntax(text: &str) -> Result<(), String> {
    // A transcript's commands only.
    let script: String = if text.starts_with("$ ") {
        text.lines().filter_map(|line| line.strip_prefix("$ ")).flat_map(|line| [line, "\n"]).collect()
    } else {
        text.to_owned()
    };
    let output = Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(said(&output)) }
}

/// `cargo run` is this binary; of other commands the features must be there.
fn cargo(text: &str) -> Result<(), String> {
    syntax(text)?;
    let manifest = fs::read_to_string(repository("Cargo.toml")).unwrap();
    for line in text.replace("\\\n", "").lines() {
        if let Some(features) = line.split("--features ").nth(1) {
            for feature in features.split_whitespace().next().unwrap_or_default().split(',') {
                if !manifest.contains(&format!("\n{feature} = [")) {
                    return Err(format!("there is no feature `{feature}`"));
                }
            }
        }
        if let Some(bench) = line.split("--bench ").nth(1).and_then(|rest| rest.split_whitespace().next())
            && !manifest.contains(&format!("[[bench]]\nname = \"{bench}\"\n"))
        {
            return Err(format!("there is no bench `{bench}`"));
        }
        if let Some(arguments) = line.strip_prefix("cargo run --release -- ") {
            let script = format!("exec \"$0\" {arguments}");
            let output = Command::new("sh")
                .args(["-c", &script, BINARY])
                .current_dir(repository(""))
                .output()
                .unwrap();
            if !output.status.success() {
                return Err(said(&output));
            }
        }
    }
    Ok(())
}

/// A part of a configuration or policy, completed and given to the program with every file that it may name.
fn fragment(text: &str, command: &str, complete: fn(&str) -> String) -> Result<(), String> {
    let folder = Folder::new();
    for (name, key) in [
        ("signing.key", "rsa2048.pem"),
        ("registry.pem", "p256.pem"),
        ("old.pem", "p256-pub.pem"),
        ("next.pem", "p384.pem"),
        ("chain.pem", "rsa2048-cert.pem"),
    ] {
        folder.write_key(name, key);
    }
    for name in ["secret", "refresh.secret"] {
        folder.write(name, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    }
    // The password is `sesame`.
    folder.write("users.htpasswd", include_str!("users.htpasswd"));
    folder.write("policy.yaml", "users: {}\n");
    folder.write("x.yaml", &complete(text));
    let run = |arguments: &str| {
        Command::new(BINARY).args(arguments.split(' ')).current_dir(folder.path()).output().unwrap()
    };
    for _ in 0..2 {
        assert!(run("keys generate --dir keys").status.success());
    }
    let output = run(&format!("{command} x.yaml"));
    if output.status.success() { Ok(()) } else { Err(format!("{}\n{text}", said(&output))) }
}

/// What a configuration cannot do without.
fn complete(text: &str) -> String {
    let known: Value = serde_yaml::from_str(text).unwrap_or_default();
    let has = |key: &str| known.get(key).is_some();
    let mut text = text.to_owned();
    for key in ["issuer", "audience"] {
        if !has(key) {
            text = format!("{text}\n{key}: registry.example.com\n");
        }
    }
    let keys = ["secret", "secret_path", "hs256_secret", "hs256_secret_path", "private_key_path"];
    let more = ["rs256_private_key", "rs256_private_key_path", "key_dir", "keys"];
    if !keys.iter().chain(&more).any(|key| has(key)) {
        text.push_str("\nprivate_key_path: registry.pem\n");
    }
    text
}
