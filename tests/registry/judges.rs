//! Owns the real programs that judge tokens, what they are told to trust, and the question to each: what it
//! says to a token, and what `keypebble verify --for` says that it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::{Folder, Killed, finish, keypebble, said};
use crate::process::Process;
use crate::stage::Generation;

pub(crate) const SERVICE: &str = "registry.example.com";
pub(crate) const ISSUER: &str = "https://keypebble.example.com";

/// A program that judges tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Judge {
    Registry28,
    Registry3,
    /// `zot-verdict`, built from tests/registry/zot by `.ci/run`.
    Zot,
}

impl Judge {
    pub(crate) const ALL: [Judge; 3] = [Judge::Registry28, Judge::Registry3, Judge::Zot];

    /// As `--for` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Judge::Registry28 => "registry-2.8",
            Judge::Registry3 => "registry-3",
            Judge::Zot => "zot",
        }
    }

    pub(crate) fn program(self) -> &'static str {
        match self {
            Judge::Registry28 => Generation::V2.program(),
            Judge::Registry3 => Generation::V3.program(),
            Judge::Zot => "zot-verdict",
        }
    }
}

/// What a program is told to trust. zot has one file: the bundle, or else the JWKS.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) jwks: Option<PathBuf>,
}

/// A program that runs with its trust, or does not start with it.
pub(crate) enum Running {
    Registry(Process, PathBuf),
    Zot(#[expect(dead_code, reason = "ends with this")] Killed, ChildStdin, BufReader<ChildStdout>, PathBuf),
    NotStarted(String),
}

impl Running {
    pub(crate) fn start(judge: Judge, trust: &Trust, folder: &Folder, name: &str) -> Running {
        if judge == Judge::Zot {
            let mut child =
                Command::new(judge.program()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (input, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let file = trust.bundle.clone().or(trust.jwks.clone()).unwrap();
            return Running::Zot(Killed(child), input, BufReader::new(answers), file);
        }
        let socket = folder.path().join(format!("{}-{name}.sock", judge.program()));
        let config = folder.write(
            &format!("{}-{name}.yaml", judge.program()),
            &format!(
                "version: 0.1\nlog: {{level: info}}\nhttp: {{net: unix, addr: {}}}\n\
                 storage: {{inmemory: {{}}}}\nauth: {{token: {{}}}}\n",
                socket.display()
            ),
        );
        let shown = |path: &PathBuf| path.display().to_string();
        let variables: Vec<(String, String)> = [
            ("REALM", Some("http://localhost/token".to_owned())),
            ("SERVICE", Some(SERVICE.to_owned())),
            ("ISSUER", Some(ISSUER.to_owned())),
            ("ROOTCERTBUNDLE", trust.bundle.as_ref().map(shown)),
            ("JWKS", trust.jwks.as_ref().map(shown)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((format!("REGISTRY_AUTH_TOKEN_{name}"), value?)))
        .collect();
        let mut command = Command::new(judge.program());
        command.arg("serve").arg(config);
        let mut process = Process::start(folder, "registry", &mut command, &variables);
        match process.wait_for(|_| UnixStream::connect(&socket).ok()) {
            Ok(_) => Running::Registry(process, socket),
            Err(log) => Running::NotStarted(log),
        }
    }

    /// Whether the program takes the token, and its last words.
    pub(crate) fn asked(&mut self, token: &str) -> (bool, String) {
        match self {
            Running::NotStarted(log) => (false, log.lines().last().unwrap_or_default().to_owned()),
            Running::Zot(_, input, answers, file) => {
                writeln!(input, "{} {token}", file.display()).unwrap();
                let mut answer = String::new();
                answers.read_line(&mut answer).unwrap();
                (answer.trim() == "taken", answer.trim().to_owned())
            }
            Running::Registry(process, socket) => {
                let status = ask(socket, Some(token));
                let log = process.log();
                let said = log.lines().rev().take(3).collect::<Vec<_>>().join("\n    ");
                match status.as_str() {
                    "200" => (true, said),
                    // Without an answer its handler has panicked.
                    "401" | "" => (false, said),
                    _ => panic!("{status}: {log}"),
                }
            }
        }
    }
}

/// The status of `GET /v2/` at a registry's socket.
pub(crate) fn ask(socket: &Path, token: Option<&str>) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET /v2/ HTTP/1.0\r\nHost: localhost\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// What `verify --for` says: whether the token is taken, where that can be told, the codes of what speaks
/// against it, those of what is unknown with a question mark, and all of its answer.
fn predicted(judge: Judge, trust: &Trust, token: &str) -> (Option<bool>, Vec<String>, String) {
    let mut command = keypebble();
    command.args(["verify", "--json", "--for", judge.name(), "--service", SERVICE, "--issuer", ISSUER]);
    let files = [("--rootcertbundle", &trust.bundle), ("--jwks", &trust.jwks)];
    let files = files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
    for (flag, path) in files.take(if judge == Judge::Zot { 1 } else { 2 }) {
        command.arg(flag).arg(path);
    }
    let output = finish(command.arg("-"), token);
    let (exit, shown) = said(&output);
    let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else {
        return (None, vec!["no answer".to_owned()], shown);
    };
    let findings = answer["findings"].as_array().unwrap().iter();
    let codes = findings.filter_map(|finding| {
        let code = finding["code"].as_str().unwrap();
        match finding["level"].as_str().unwrap() {
            "error" => Some(code.to_owned()),
            "unknown" => Some(format!("?{code}")),
            _ => None,
        }
    });
    let accepted = answer["accepted"].as_bool();
    assert_eq!(exit, i32::from(accepted != Some(true)), "{shown}");
    (accepted, codes.collect(), shown)
}

/// What differed, of how many questions.
#[derive(Default)]
pub(crate) struct Report {
    wrong: Vec<String>,
    asked: usize,
}

impl Report {
    /// Asks both; each must say what is expected, by the codes. Where the expectation is only a `?`, the
    /// program may say either.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        (judge, running): (Judge, &mut Running),
        trust: &Trust,
        token: &str,
        expected: &[&str],
    ) {
        let (taken, said) = running.asked(token);
        let (accepted, codes, shown) = predicted(judge, trust, token);
        self.asked += 1;
        let open = !expected.is_empty() && expected.iter().all(|code| code.starts_with('?'));
        if codes != expected
            || !open && taken != expected.is_empty()
            || accepted.is_some_and(|accepted| accepted != taken)
        {
            self.wrong.push(format!(
                "{name} on {}: the program {} it, expected {expected:?}, predicted {codes:?}\n{shown}    {said}",
                judge.name(),
                if taken { "took" } else { "refused" },
            ));
        } else {
            let verdict = if taken { "accepted" } else { "refused" };
            println!("{:13} {verdict:9} {name:45} {}", judge.name(), codes.join(", "));
        }
    }

    /// Fails where anything differed.
    pub(crate) fn end(self) {
        assert!(
            self.wrong.is_empty(),
            "{} of {} differ:\n{}",
            self.wrong.len(),
            self.asked,
            self.wrong.join("\n")
        );
        println!("{} verdicts", self.asked);
    }
}
