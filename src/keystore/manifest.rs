//! The manifest of a key folder: which key is which, and since when.
//!
//! Owns its JSON and what must hold for it: one active key, at most one next, no id or file twice. Must
//! not know key material. Decision: it is read as YAML, of which JSON is a part, so that a mistake of
//! whoever edits it by hand is cited like one in any other file.

use crate::ground::document::{Document, DocumentError, Node};
use crate::ground::text::quoted;
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::State;
use serde_json::{Value, json};

/// The version of the format that this writes and reads.
const FORMAT: u64 = 1;

/// One key of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The `kid` of its tokens.
    pub id: String,
    /// What it signs.
    pub algorithm: Algorithm,
    /// Where it is in its life.
    pub state: State,
    /// The name of its file, in the folder.
    pub file: String,
    /// When it was made.
    pub created: UnixTime,
    /// When its public half was first exported.
    pub exported: Option<UnixTime>,
    /// When it began to sign.
    pub activated: Option<UnixTime>,
    /// When it ceased to sign.
    pub stopped: Option<UnixTime>,
}

/// All keys of a folder: the active one first, then the next, then the previous, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    pub(super) entries: Vec<Entry>,
}

const ENTRY_KEYS: [&str; 8] =
    ["id", "algorithm", "state", "file", "created_at", "exported_at", "activated_at", "stopped_at"];

impl Manifest {
    /// Reads it.
    pub(super) fn read(document: &Document) -> Result<Self, DocumentError> {
        let root = document.root();
        root.allow_keys(&["format", "keys"])?;
        let format = root.get("format").ok_or_else(|| not_ours(&root))?;
        if format.integer(1, u64::MAX)? != FORMAT {
            return Err(format
                .error("a newer version of keypebble wrote this folder")
                .hint("use that version, or a later one"));
        }
        let keys = root.get("keys").ok_or_else(|| not_ours(&root))?;
        let mut manifest = Manifest::default();
        for item in keys.items()? {
            let entry = entry(&item)?;
            let entries = &manifest.entries;
            if entries.iter().any(|other| other.id == entry.id || other.file == entry.file) {
                return Err(item.error(format!("the key {} appears twice", quoted("", &entry.id))));
            }
            let single = match entry.state {
                State::Active => Some("active"),
                State::Next => Some("next"),
                State::Previous => None,
            };
            if let Some(name) = single
                && entries.iter().any(|other| other.state == entry.state)
            {
                return Err(item.error(format!("a second key is `{name}`; one can be")));
            }
            manifest.entries.push(entry);
        }
        if manifest.active().is_none() {
            return Err(keys.error("no key is `active`, so none can sign"));
        }
        manifest.sort();
        Ok(manifest)
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        let entry = |entry: &Entry| {
            let mut object = json!({
                "id": entry.id,
                "algorithm": entry.algorithm.name(),
                "state": entry.state.name(),
                "file": entry.file,
                "created_at": entry.created.0,
            });
            for (name, time) in [
                ("exported_at", entry.exported),
                ("activated_at", entry.activated),
                ("stopped_at", entry.stopped),
            ] {
                if let Some(time) = time {
                    object[name] = time.0.into();
                }
            }
            object
        };
        let keys: Vec<Value> = self.entries.iter().map(entry).collect();
        format!("{:#}\n", json!({ "format": FORMAT, "keys": keys }))
    }

    /// Every key.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(super) fn active(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.state == State::Active)
    }

    pub(super) fn next(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.state == State::Next)
    }

    pub(super) fn sort(&mut self) {
        self.entries.sort_by_key(|entry| {
            let rank = match entry.state {
                State::Active => 0,
                State::Next => 1,
                State::Previous => 2,
            };
            (rank, std::cmp::Reverse(entry.stopped))
        });
    }
}

fn not_ours(root: &Node<'_>) -> DocumentError {
    root.error("not the manifest of a key folder: `format` or `keys` is missing")
        .hint("make a folder of keys with: keypebble keys generate --dir DIR --algorithm ES256")
}

fn entry(item: &Node<'_>) -> Result<Entry, DocumentError> {
    item.allow_keys(&ENTRY_KEYS)?;
    let text = |name: &str| -> Result<String, DocumentError> {
        let node = item.get(name).ok_or_else(|| item.error(format!("`{name}` is missing")))?;
        Ok(node.string()?.to_owned())
    };
    let time = |name: &str| -> Result<Option<UnixTime>, DocumentError> {
        let most = i64::MAX.unsigned_abs();
        let read = |node: Node<'_>| node.integer(0, most).map(|at| UnixTime(i64::try_from(at).unwrap_or(0)));
        item.get(name).map(read).transpose()
    };
    let wrong = |name: &str, what: &str| {
        let node = item.get(name);
        node.map_or_else(|| item.error(what), |node| node.error(format!("{what}, found {}", node.quoted())))
    };
    let algorithm =
        text("algorithm")?.parse().map_err(|_| wrong("algorithm", "expected an algorithm such as ES256"))?;
    let state =
        State::named(&text("state")?).ok_or_else(|| wrong("state", "expected next, active or previous"))?;
    let file = text("file")?;
    if !is_key_file(&file) {
        return Err(wrong("file", "expected the name of a key file of this folder"));
    }
    let created = time("created_at")?.ok_or_else(|| item.error("`created_at` is missing"))?;
    let stopped = time("stopped_at")?;
    if (state == State::Previous) != stopped.is_some() {
        return Err(item.error("`stopped_at` belongs to keys whose `state` is `previous`, and only to those"));
    }
    let (exported, activated) = (time("exported_at")?, time("activated_at")?);
    Ok(Entry { id: text("id")?, algorithm, state, file, created, exported, activated, stopped })
}

/// `key-` and sixteen hexadecimal digits, `.pem` or `.secret`: no name can lead out of the folder.
pub(super) fn is_key_file(name: &str) -> bool {
    let digits = name
        .strip_prefix("key-")
        .and_then(|rest| rest.strip_suffix(".pem").or_else(|| rest.strip_suffix(".secret")));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Manifest, DocumentError> {
        Manifest::read(&Document::parse(Path::new("keyring.json"), text.to_owned()).unwrap())
    }

    fn key(id: &str, rest: &str) -> String {
        format!("{{id: {id}, algorithm: ES256, file: key-{:0>16}.pem, created_at: 1, {rest}}}", id.len())
    }

    #[test]
    fn what_is_written_reads_back_in_order() {
        let entry = |id: &str, state, stopped| Entry {
            id: id.to_owned(),
            algorithm: Algorithm::ES384,
            state,
            file: format!("key-00000000000000{id}.pem"),
            created: UnixTime(5),
            exported: Some(UnixTime(6)),
            activated: None,
            stopped,
        };
        let mut manifest = Manifest {
            entries: vec![
                entry("01", State::Previous, Some(UnixTime(7))),
                entry("02", State::Next, None),
                entry("03", State::Previous, Some(UnixTime(8))),
                entry("04", State::Active, None),
            ],
        };
        let back = read(&manifest.text()).unwrap();
        manifest.sort();
        assert_eq!(back, manifest);
        assert_eq!(
            back.entries().iter().map(|entry| &*entry.id).collect::<Vec<_>>(),
            ["04", "02", "03", "01"]
        );
    }

    #[test]
    fn each_contradiction_has_its_own_refusal() {
        let (a, b) = (key("a", "state: active"), key("bb", "state: active"));
        for (text, part) in [
            ("{}".to_owned(), "not the manifest of a key folder"),
            ("{format: 2, keys: []}".to_owned(), "a newer version of keypebble"),
            ("{format: 1, keys: []}".to_owned(), "no key is `active`"),
            (format!("{{format: 1, keys: [{a}, {b}]}}"), "a second key is `active`"),
            (format!("{{format: 1, keys: [{a}, {a}]}}"), "the key `a` appears twice"),
            (format!("{{format: 1, keys: [{}]}}", key("a", "state: actve")), "found `actve`"),
            (format!("{{format: 1, keys: [{}]}}", key("a", "state: previous")), "`stopped_at` belongs to"),
            (
                format!("{{format: 1, keys: [{}]}}", a.replace("key-", "../key-")),
                "expected the name of a key file",
            ),
            (
                format!("{{format: 1, keys: [{}]}}", a.replace("ES256", "none")),
                "expected an algorithm such as ES256, found `none`",
            ),
            (format!("{{format: 1, kyes: [{a}]}}"), "unknown key `kyes`"),
        ] {
            let error = read(&text).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn no_name_of_a_key_file_leads_out_of_the_folder() {
        assert!(is_key_file("key-0123456789abcdef.pem") && is_key_file("key-0123456789abcdef.secret"));
        for name in
            ["key-0123456789abcde.pem", "key-0123456789ABCDEF.pem", "../key-0123456789abcdef.pem", "x", ""]
        {
            assert!(!is_key_file(name), "{name}");
        }
    }
}
