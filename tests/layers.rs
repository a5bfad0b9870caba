//! The folders of `src` and who may know whom: the table is the architecture, and this reads every `use` of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder with those that it may use, from the edges down. None may use one that stands above it.
const LAYERS: [(&str, &[&str]); 17] = [
    (
        "cli",
        &[
            "server",
            "load",
            "http",
            "diagnosis",
            "telemetry",
            "config",
            "store",
            "login",
            "issuer",
            "claims",
            "token",
            "keystore",
            "policy",
            "tls",
            "key",
            "ground",
        ],
    ),
    ("server", &["http", "telemetry", "tls", "ground"]),
    ("load", &["http", "telemetry", "config", "store", "login", "policy", "tls", "ground"]),
    ("http", &["telemetry", "config", "store", "login", "issuer", "claims", "policy", "key", "ground"]),
    ("diagnosis", &["config", "issuer", "claims", "token", "policy", "key", "ground"]),
    ("telemetry", &["config", "store", "login", "issuer", "ground"]),
    ("config", &["store", "login", "issuer", "claims", "token", "keystore", "tls", "key", "ground"]),
    ("store", &["issuer", "ground"]),
    ("login", &["issuer", "claims", "token", "ground"]),
    ("issuer", &["claims", "token", "policy", "key", "ground"]),
    ("claims", &["policy", "ground"]),
    ("token", &["key", "ground"]),
    ("keystore", &["key", "ground"]),
    ("policy", &["ground"]),
    ("tls", &["key", "ground"]),
    ("key", &["ground"]),
    ("ground", &[]),
];

/// Every file below `src` but the two roots, with its module path, such as `http::route`.
fn files() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.clone()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let inside: PathBuf = path.strip_prefix(&source).unwrap().with_extension("");
                let module = inside.to_str().unwrap().replace('/', "::");
                if !matches!(module.as_str(), "lib" | "main") && !module.ends_with("tests") {
                    found.insert(module, without_tests(&fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

/// The code of a file: no comments, and nothing of the tests at its end.
fn without_tests(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules that a file names with `crate::` or `super::`, also in braces, as paths from the root.
fn named(module: &str, code: &str) -> BTreeSet<String> {
    let parent =
        |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        paths("", &code[at + "crate::".len()..], &mut found);
    }
    for (at, _) in code.match_indices("super::") {
        let rest = &code[at + "super::".len()..];
        if code[..at].ends_with("super::") || rest.starts_with("super::") {
            continue; // the last of them leads on, and it is rare enough to be looked at below
        }
        paths(&parent(module), rest, &mut found);
    }
    for (at, prefix) in code.match_indices("super::super::") {
        paths(&parent(&parent(module)), &code[at + prefix.len()..], &mut found);
    }
    found
}

/// One path behind `before`, or several in braces; what is not lower case is a type and ends it.
fn paths(before: &str, text: &str, found: &mut BTreeSet<String>) {
    if let Some(list) = text.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    paths(before, list[from..at].trim(), found);
                    from = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name == "self" || name.chars().any(char::is_uppercase) {
        found.insert(before.to_owned());
        return;
    }
    let path = if before.is_empty() { name.to_owned() } else { format!("{before}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) => paths(&path, rest, found),
        None => {
            found.insert(path);
        }
    }
}

fn folder(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

#[test]
fn a_folder_uses_only_those_that_the_table_allows() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (module, code) in files() {
        let own = folder(&module);
        let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == own).unwrap_or_else(|| {
            panic!("{module}: its folder is not in the table");
        });
        for path in named(&module, &code) {
            let other = folder(&path).to_owned();
            if other == own || other.is_empty() {
                continue;
            }
            used.insert((own.to_owned(), other.clone()));
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{module} uses {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table:\n{}", wrong.join("\n"));
    let idle: Vec<String> = LAYERS
        .iter()
        .flat_map(|(own, allowed)| allowed.iter().map(move |other| (*own, *other)))
        .filter(|(own, other)| !used.contains(&((*own).to_owned(), (*other).to_owned())))
        .map(|(own, other)| format!("{own} -> {other}"))
        .collect();
    assert!(idle.is_empty(), "in the table, but not used: {}", idle.join(", "));
}

#[test]
fn the_table_has_no_circle() {
    let place = |name: &str| LAYERS.iter().position(|(known, _)| *known == name).expect(name);
    for (own, allowed) in LAYERS {
        for other in allowed {
            assert!(place(own) < place(other), "{own} stands below {other}");
        }
    }
}

#[test]
fn no_two_files_use_each_other() {
    let files = files();
    let graph: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|(module, code)| {
            let meant = |path: &String| {
                // The longest file that the path leads to: `policy::scope::join` is in `policy::scope`.
                files
                    .keys()
                    .map(String::as_str)
                    .filter(|file| path == file || path.starts_with(&format!("{file}::")))
                    .max_by_key(|file| file.len())
            };
            // A room's door and what is behind it are one: `policy` and `policy::rule`.
            let kin = |other: &&str| {
                !module.starts_with(&format!("{other}::"))
                    && !other.starts_with(&format!("{module}::"))
                    && module != other
            };
            (module.as_str(), named(module, code).iter().filter_map(meant).filter(kin).collect())
        })
        .collect();
    let mut circles = Vec::new();
    let mut done = BTreeSet::new();
    for start in graph.keys() {
        walk(&graph, start, &mut Vec::new(), &mut done, &mut circles);
    }
    assert!(circles.is_empty(), "files in a circle:\n{}", circles.join("\n"));
}

/// Goes every way from one file, and notes where one comes back.
fn walk<'g>(
    graph: &BTreeMap<&'g str, BTreeSet<&'g str>>,
    at: &'g str,
    way: &mut Vec<&'g str>,
    done: &mut BTreeSet<&'g str>,
    circles: &mut Vec<String>,
) {
    if let Some(from) = way.iter().position(|passed| *passed == at) {
        return circles.push(format!("{} -> {at}", way[from..].join(" -> ")));
    }
    if !done.insert(at) {
        return;
    }
    way.push(at);
    for next in &graph[at] {
        walk(graph, next, way, done, circles);
    }
    way.pop();
}

#[test]
fn what_only_one_file_may_name() {
    let naming = |words: &[&str]| -> Vec<String> {
        let names = |code: &str| words.iter().any(|word| code.contains(word));
        files().into_iter().filter(|(_, code)| names(code)).map(|(module, _)| module).collect()
    };
    assert_eq!(naming(&["serde_yaml::"]), ["ground::document"]);
    assert_eq!(naming(&["unsafe {", "allow(unsafe_code)"]), ["ground::sys"]);
}
