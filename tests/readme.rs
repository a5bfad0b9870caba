//! README is the manual, and it is true: every command in its `bash` blocks is run.
//!
//! `keypebble` commands run as written, in a folder of their own, with the files that README itself shows;
//! `curl` commands are read and sent by the tests' own client, to a server on a free port. Blocks of other
//! kinds (`sh`, `console`, `text`) are for programs that a plain `cargo test` does not need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::{Answer, BINARY, Folder, Server};
use std::process::Command;

const README: &str = include_str!("../README.md");

/// The blocks of one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    README.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// The commands of a block: continued lines are one, and a here-document belongs to its command.
fn commands(block: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        let mut command = line.to_owned();
        while command.ends_with('\\') {
            command.pop();
            command.push_str(lines.next().unwrap().trim_start());
        }
        if command.ends_with("<<EOF") {
            for line in lines.by_ref() {
                command.push('\n');
                command.push_str(line);
                if line == "EOF" {
                    break;
                }
            }
        }
        if !command.trim().is_empty() && !command.starts_with('#') {
            commands.push(command);
        }
    }
    commands
}

/// The words of a command, as a shell would split them; quotes are enough for README's.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words
}

fn shell(folder: &Folder, command: &str) {
    let binaries = std::path::Path::new(BINARY).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output =
        Command::new("sh").args(["-euc", command]).env("PATH", path).current_dir(folder.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    if command.starts_with("keypebble issue") {
        let token = String::from_utf8(output.stdout).unwrap();
        assert!(common::claims(&token)["exp"].is_number(), "{command}");
    }
}

fn curl(server: &Server, command: &str) -> Answer {
    let mut words = words(command).into_iter().skip(1);
    let (mut method, mut headers, mut body, mut target) = ("GET".to_owned(), Vec::new(), None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next().unwrap(),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                headers.push((name.to_owned(), value.to_owned()));
            }
            "-d" => body = words.next(),
            url => {
                let path = url.strip_prefix("http://localhost:8080").unwrap_or_else(|| panic!("{command}"));
                target = Some(path.to_owned());
            }
        }
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    server.request(&method, &target.unwrap(), &headers, body.as_deref())
}

#[test]
fn every_command_does_what_it_says() {
    let folder = Folder::new();
    folder.write("policy.yaml", blocks("yaml").iter().find(|block| block.starts_with("users:")).unwrap());
    folder.write(
        "server.yaml",
        "issuer: registry.example.com\naudience: registry.example.com\nhs256_secret: 0123456789abcdef0123456789abcdef\nservice: {host: 127.0.0.1, port: 0}\n",
    );
    let server = Server::start(&folder, &["--config", "server.yaml", "--policy", "policy.yaml"]);
    let (mut ran, mut asked) = (0, 0);
    for command in blocks("bash").into_iter().flat_map(commands) {
        match command.split(' ').next().unwrap() {
            // The first needs a build of its own, the second is this one.
            "cargo" => {}
            "curl" => {
                let answer = curl(&server, &command);
                assert_eq!(answer.status, 200, "{command}: {answer:?}");
                assert!(answer.json()["token"].is_string(), "{command}");
                asked += 1;
            }
            _ if command.starts_with("keypebble serve ") => {
                shell(&folder, &command.replacen("serve", "check", 1));
                ran += 1;
            }
            _ => {
                shell(&folder, &command);
                ran += 1;
            }
        }
    }
    assert!(ran >= 7 && asked >= 4, "{ran} commands and {asked} requests were found");
}

/// Every `keypebble` command line in any code block, also those whose files are not here: what is wrong
/// with a command line itself exits with 2.
#[test]
fn every_command_line_is_one_that_keypebble_takes() {
    let mut found = 0;
    let mut fenced = false;
    let folder = Folder::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        fenced ^= line.starts_with("```");
        let mut line = line.to_owned();
        while line.ends_with('\\') {
            line.pop();
            line.push_str(lines.next().unwrap().trim_start());
        }
        let code = line.trim_start().trim_start_matches("$ ");
        let indented = line.starts_with("    ") || fenced;
        if !indented || !code.starts_with("keypebble ") || code.starts_with("keypebble: ") {
            continue;
        }
        for part in code.split(" | ").filter_map(|part| part.trim().strip_prefix("keypebble ")) {
            let part = part.split(" >").next().unwrap().split(" < ").next().unwrap().trim_end_matches(" -");
            // Options that README shows as a choice.
            let mut arguments: Vec<String> =
                words(part).iter().map(|word| word.split('|').next().unwrap().to_owned()).collect();
            if arguments[0] == "serve" {
                arguments[0] = "check".to_owned();
            }
            arguments.retain(|word| !word.is_empty());
            if ["inspect", "verify"].contains(&arguments[0].as_str()) {
                arguments.push("-".to_owned());
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = common::run(&folder, &arguments);
            assert_ne!(output.status.code(), Some(2), "{line}\n{}", common::stderr(&output));
            found += 1;
        }
    }
    assert!(found >= 15, "{found}");
}

#[test]
fn the_first_command_is_the_quick_start_and_the_second_the_tests() {
    let block = |index: usize| commands(blocks("bash")[index]);
    let first = "cargo run --release --quiet -- issue --config examples/config.dev.yaml --claims '{\"sub\": \"alice\"}'";
    assert_eq!((block(0), block(1)), (vec![first.to_owned()], vec!["cargo test".to_owned()]));
    let arguments: Vec<String> = words(first).into_iter().skip(5).collect();
    let output =
        Command::new(BINARY).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success());
    assert_eq!(common::claims(&common::stdout(&output))["sub"], "alice");
}

#[test]
fn every_configuration_key_and_every_code_is_listed() {
    // What a wrong key is answered with lists all of them, or suggests one.
    let folder = Folder::new();
    folder.write("a.yaml", "zzzzzzzzzzzz: 1\n");
    folder.write("b.yaml", "service: {zzzzzzzzzzzz: 1}\n");
    folder.write("c.yaml", "issuer: i\naudience: a\nsecret: s\nservice: {limits: {zzzzzzzzzzzz: 1}}\n");
    for name in ["a.yaml", "b.yaml", "c.yaml"] {
        let config = if name == "b.yaml" { "healthcheck" } else { "check" };
        let said = common::stderr(&common::run(&folder, &[config, "--config", name]));
        let keys = said.split("the keys here are ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let keys: Vec<&str> = keys.trim_end().split(", ").collect();
        assert!(keys.len() >= 6, "{keys:?}");
        for key in keys {
            assert!(README.contains(&format!("`{key}`")) || README.contains(&format!(".{key}`")), "{key}");
        }
    }
    for code in keypebble::http::refusal::Refusal::CODES {
        assert!(README.contains(&format!("`{code}`")), "{code}");
    }
}
