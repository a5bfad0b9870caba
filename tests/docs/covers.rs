//! Nothing that the program has is missing in the documentation, and no link leads nowhere.

use crate::block::Block;
use crate::common::{BINARY, Folder, Server, repository, run, stderr, stdout};
use crate::pages;
use std::process::Command;

fn page(name: &str) -> String {
    pages().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}")).1
}

fn help(arguments: &[&str]) -> String {
    stdout(&Command::new(BINARY).args(arguments).arg("--help").output().unwrap())
}

#[test]
fn every_configuration_key_is_listed() {
    let listed = page("docs/configuration.md");
    // What a wrong key is answered with lists all of them.
    let folder = Folder::new();
    for (text, prefix) in [
        ("zzzzzzzzzzzz: 1\n", ""),
        ("issuer: i\naudience: a\nsecret: s\nservice: {zzzzzzzzzzzz: 1}\n", "service."),
        ("issuer: i\naudience: a\nsecret: s\nservice: {limits: {zzzzzzzzzzzz: 1}}\n", ""),
        ("issuer: i\naudience: a\nsecret: s\nclients: [{zzzzzzzzzzzz: 1}]\n", "clients."),
    ] {
        folder.write("c.yaml", text);
        let said = stderr(&run(&folder, &["check", "--config", "c.yaml"]));
        let keys = said.split("the keys here are ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let keys: Vec<&str> = keys.trim_end().split(", ").collect();
        assert!(keys.len() >= 5, "{keys:?}");
        for key in keys.iter().filter(|key| !["service", "clients"].contains(key)) {
            assert!(listed.contains(&format!("`{prefix}{key}`")), "{prefix}{key}");
        }
    }
}

#[test]
fn every_command_and_flag_is_listed() {
    let listed = page("docs/commands.md");
    let main = help(&[]);
    let commands: Vec<&str> = main
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim().split("  ").next().unwrap())
        .collect();
    assert!(commands.len() >= 16, "{commands:?}");
    for command in commands {
        let (_, section) = listed
            .split_once(&format!("\n## `keypebble {command}`"))
            .unwrap_or_else(|| panic!("no section for {command}"));
        let section = section.split("\n## ").next().unwrap();
        for line in help(&command.split(' ').collect::<Vec<_>>()).lines() {
            let line = line.trim_start();
            let flag = line.split([' ', '\n']).next().unwrap_or_default();
            if flag.starts_with("--") && line.contains("  ") {
                assert!(section.contains(&format!("`{flag}")), "{command} {flag}");
            }
        }
    }
}

#[test]
fn every_refusal_and_every_metric_is_listed() {
    let listed = page("docs/http-api.md");
    for code in keypebble::http::refusal::Refusal::CODES {
        assert!(listed.contains(&format!("`{code}`")), "{code}");
    }
    let folder = Folder::new();
    folder.write(
        "c.yaml",
        "issuer: i\naudience: a\nsecret: 0123456789abcdef0123456789abcdef\nservice: {host: 127.0.0.1, port: 0}\n",
    );
    let listed = page("docs/operations.md");
    let server = Server::start(&folder, &["--config", "c.yaml"]);
    let metrics = server.get("/metrics", &[]).body;
    let families: Vec<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() >= 12, "{families:?}");
    for family in families {
        assert!(listed.contains(&format!("`{family}")), "{family}");
    }
}

#[test]
fn links_lead_somewhere() {
    let root = repository("");
    let all = pages();
    let mut found = 0;
    for (name, text) in &all {
        let folder = root.join(name).parent().unwrap().to_owned();
        let mut prose = text.clone();
        for block in Block::all(name, text) {
            prose = prose.replace(&block.text, "");
        }
        for link in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            found += 1;
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root.join(name) } else { folder.join(file) };
            let path = path.canonicalize().unwrap_or_else(|error| panic!("{name}: {link}: {error}"));
            assert!(
                path.starts_with(root.canonicalize().unwrap()),
                "{name}: {link} is not in the repository"
            );
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(&path).unwrap();
                let anchors: Vec<String> =
                    target.lines().filter(|line| line.starts_with('#')).map(anchor_of).collect();
                assert!(anchors.iter().any(|known| known == anchor), "{name}: {link}: {anchors:?}");
            }
        }
    }
    assert!(found >= 60, "{found}");
    let index = page("docs/index.md");
    for (name, _) in all.iter().filter(|(name, _)| name.starts_with("docs/") && name != "docs/index.md") {
        let listed = index.matches(&format!("]({})", &name["docs/".len()..])).count();
        assert_eq!(listed, 1, "{name} is in the index {listed} times");
    }
}

/// As GitHub makes one of a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn the_front_page_is_short_and_begins_with_two_commands() {
    let readme = page("README.md");
    assert!(readme.len() <= 12_500, "{} bytes", readme.len());
    let blocks = Block::all("README.md", &readme);
    let first =
        "cargo run --release -- issue --config examples/config.dev.yaml --claims '{\"sub\": \"alice\"}'\n";
    assert_eq!([&*blocks[0].text, &*blocks[1].text], [first, "cargo test\n"]);
}

#[test]
fn nothing_speaks_of_how_it_came_about() {
    for (name, text) in pages() {
        for word in ["Issue ", "issue #", "TODO", "this session"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}
