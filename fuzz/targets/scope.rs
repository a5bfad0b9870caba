//! A scope, several of them, and repository names, against a second reading of the grammar.

use keypebble::policy::scope::{self, MAX_ACTIONS, MAX_SCOPE_BYTES, MAX_SCOPES, Resource, Scope};
use std::collections::{BTreeMap, BTreeSet};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    one(text);
    text.split_ascii_whitespace().take(2 * MAX_SCOPES).for_each(one);
    several(text);
}

fn one(text: &str) {
    let parsed = text.parse::<Scope>();
    let shape = parsed.as_ref().ok().map(|scope| Shape {
        kind: scope.resource.kind().to_owned(),
        name: scope.resource.name().to_owned(),
        known: scope.actions.iter().map(|action| action.name().to_owned()).collect(),
        unknown: scope.unknown_actions.iter().map(|action| action.clone().into()).collect(),
    });
    assert_eq!(shape, reference(text), "{text:?}: {parsed:?}");
    let Ok(scope) = parsed else { return };
    assert_eq!(scope.to_string().parse::<Scope>().as_ref(), Ok(&scope), "what it prints reads back");
    let (kind, name) = (scope.resource.kind(), scope.resource.name());
    match &scope.resource {
        Resource::Repository(_) => assert!(kind == "repository" && is_repository(name), "{name:?}"),
        Resource::Catalog => assert_eq!((kind, name), ("registry", "catalog")),
        Resource::ZotCatalog => assert_eq!((kind, name), ("repository", "")),
        Resource::Other { .. } => {
            assert!(!(kind == "repository" && is_repository(name)), "{name:?}");
            assert_ne!((kind, name), ("registry", "catalog"));
        }
    }
}

/// Merging loses nothing and adds nothing, and what it gives prints and reads back.
fn several(text: &str) {
    let pieces: Vec<Result<Scope, _>> = text.split_ascii_whitespace().map(str::parse).collect();
    let mut unknown: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for scope in pieces.iter().flatten() {
        let actions = scope.unknown_actions.iter().map(|action| &**action);
        unknown.entry(format!("{:?}", scope.resource)).or_default().extend(actions);
    }
    let few = unknown.values().all(|actions| actions.len() <= MAX_ACTIONS);
    let fits = few && pieces.len() <= MAX_SCOPES && pieces.iter().all(Result::is_ok);
    let merged = scope::parse_all([text]);
    assert_eq!(merged.is_ok(), fits, "{merged:?}");
    let Ok(merged) = merged else { return };
    let flat = |scopes: &mut dyn Iterator<Item = &Scope>| {
        let mut flat: Vec<String> = scopes
            .flat_map(|scope| {
                let known = scope.actions.iter().map(|action| action.name());
                let actions = known.chain(scope.unknown_actions.iter().map(|action| &**action)).chain([""]);
                actions.map(move |action| format!("{:?} {action}", scope.resource)).collect::<Vec<_>>()
            })
            .collect();
        flat.sort();
        flat
    };
    let mut asked = flat(&mut pieces.iter().filter_map(|piece| piece.as_ref().ok()));
    asked.dedup();
    assert_eq!(flat(&mut merged.iter()), asked, "each resource and action once, and no other");
    let short = |scope: &Scope| {
        scope.to_string().len() <= MAX_SCOPE_BYTES
            && scope.actions.len() + scope.unknown_actions.len() <= MAX_ACTIONS
    };
    if merged.iter().all(short) {
        assert_eq!(scope::parse_all([scope::join(&merged).as_str()]), Ok(merged));
    }
}

#[derive(Debug, PartialEq)]
struct Shape {
    kind: String,
    name: String,
    known: Vec<String>,
    unknown: Vec<String>,
}

/// The grammar of distribution's docs/spec/auth/scope.md, with the tolerances that `scope` documents.
fn reference(text: &str) -> Option<Shape> {
    let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
    let (first, last) = (*colons.first()?, *colons.last()?);
    if text.len() > MAX_SCOPE_BYTES || first == last {
        return None;
    }
    let (kind, name, actions) = (&text[..first], &text[first + 1..last], &text[last + 1..]);
    let word = |text: &str| !text.is_empty() && !text.contains(|c: char| !matches!(c, 'a'..='z' | '0'..='9'));
    let kind = match kind.find('(') {
        Some(open) if kind.ends_with(')') && word(&kind[open + 1..kind.len() - 1]) => &kind[..open],
        Some(_) => return None,
        None => kind,
    };
    if !word(kind) {
        return None;
    }
    let mut shape =
        Shape { kind: kind.to_owned(), name: name.to_owned(), known: Vec::new(), unknown: Vec::new() };
    for (place, action) in actions.split(',').filter(|action| !action.is_empty()).enumerate() {
        if place >= MAX_ACTIONS {
            return None;
        }
        let list = match action {
            "pull" | "push" | "delete" | "*" => &mut shape.known,
            action if action.bytes().all(|byte| byte.is_ascii_lowercase()) => &mut shape.unknown,
            _ => return None,
        };
        if !list.iter().any(|known| known == action) {
            list.push(action.to_owned());
        }
    }
    Some(shape)
}

/// distribution/reference's regexp.go, as states over bytes; a host is tried wherever one could end.
fn is_repository(name: &str) -> bool {
    let hosted = name.split_once('/').is_some_and(|(host, path)| is_host(host) && is_path(path));
    hosted || is_path(name)
}

fn is_path(path: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum After {
        Start,
        Letter,
        Dot,
        One,
        Two,
        Dashes,
    }
    let mut after = After::Start;
    for byte in path.bytes() {
        after = match (after, byte) {
            (_, b'a'..=b'z' | b'0'..=b'9') => After::Letter,
            (After::Letter, b'/') => After::Start,
            (After::Letter, b'.') => After::Dot,
            (After::Letter, b'_') => After::One,
            (After::One, b'_') => After::Two,
            (After::Letter | After::Dashes, b'-') => After::Dashes,
            _ => return false,
        };
    }
    after == After::Letter && path.len() <= 255
}

fn is_host(host: &str) -> bool {
    let (names, port) = host.find(':').map_or((host, None), |at| (&host[..at], Some(&host[at + 1..])));
    let outer = |c: char| c.is_ascii_alphanumeric();
    let label = |label: &str| {
        label.starts_with(outer) && label.ends_with(outer) && label.chars().all(|c| outer(c) || c == '-')
    };
    let number = |port: &str| !port.is_empty() && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
    names.split('.').all(label) && port.is_none_or(number)
}
