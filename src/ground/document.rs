//! A YAML file as a tree whose every complaint names its place.
//!
//! Owns reading a bounded file, YAML (no other file names `serde_yaml`), and errors of the form
//! `path:line:column: problem`, with the source line, a caret and a hint. Must not know what the files
//! mean. Decision: the tree is walked by hand and not by serde's derive, because merge keys (`<<`) can
//! only be applied to a tree, and a tree has no line numbers: the walk keeps the path of each node
//! (`users.alice.actions`), and only when something is wrong is the text read again, to find the line.

mod error;
mod locate;
mod nearest;
mod node;
mod tree;

pub use error::{Details, DocumentError};
pub use locate::Step;
pub use nearest::nearest;
pub use node::{Node, path};

use serde::de::DeserializeSeed;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tree::{MERGE, Tree};
use zeroize::Zeroize;

/// The longest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A parsed file.
pub struct Document {
    path: PathBuf,
    text: String,
    root: Tree,
}

impl fmt::Debug for Document {
    /// Only the path: the text may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for Document {
    /// Wipes what was read: the text and every string of the tree.
    fn drop(&mut self) {
        self.text.zeroize();
        self.root.wipe();
    }
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

impl Document {
    /// Reads and parses a file.
    pub fn load(path: &Path) -> Result<Self, DocumentError> {
        let fail = |problem: &str, source| {
            DocumentError::from(Details {
                path: path.to_owned(),
                location: None,
                at: String::new(),
                problem: problem.to_owned(),
                hint: None,
                line: None,
                source,
            })
        };
        let bytes =
            read_bounded(path, MAX_FILE_BYTES).map_err(|error| fail("cannot be read", Some(error)))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            fail(&format!("is not UTF-8: byte {valid} begins no character"), None)
        })?;
        Self::parse(path, text)
    }

    /// Parses a text as if read from `path`. An empty text is an empty mapping.
    pub fn parse(path: &Path, text: String) -> Result<Self, DocumentError> {
        let mut document = Self { path: path.to_owned(), text, root: Tree::Null };
        document.root = match serde_yaml::from_str(&document.text) {
            Ok(Tree::Null) => Tree::Mapping(Vec::new()),
            Ok(root) => root,
            Err(error) => return Err(document.syntax_error(&error)),
        };
        match document.root.apply_merge() {
            Ok(()) => Ok(document),
            Err(problem) => Err(document.merge_error(problem)),
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole tree.
    pub fn root(&self) -> Node<'_> {
        Node::root(self, &self.root)
    }

    /// Whether the block of a top-level key defines an anchor (`&name`).
    pub fn defines_anchor(&self, key: &str) -> bool {
        let Some((first, _)) = self.locate(&[Step::Name(key)]) else { return false };
        let block =
            lines(&self.text).skip(first.saturating_sub(1)).enumerate().take_while(|(index, line)| {
                *index == 0 || line.is_empty() || line.starts_with([' ', '\t', '#', '-', ']', '}'])
            });
        block.map(|(_, line)| line.split(" #").next().unwrap_or(line)).any(|line| {
            line.split([' ', '\t', '[', ',', '{']).any(|word| word.len() > 1 && word.starts_with('&'))
        })
    }

    /// Line and column, from 1, of what is at the end of these steps, or of the nearest place above it.
    pub fn locate(&self, steps: &[Step<'_>]) -> Option<(usize, usize)> {
        locate::locate(steps, |seek| {
            let error = seek.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
            error.location().map(|place| (place.line(), place.column()))
        })
    }

    fn merge_error(&self, problem: &str) -> DocumentError {
        let mut steps = self.root.bad_merge().unwrap_or_default();
        let at = path(&steps);
        steps.push(Step::Name(MERGE));
        self.root().error_at(at, &steps, problem.to_owned())
    }

    fn syntax_error(&self, error: &serde_yaml::Error) -> DocumentError {
        // The parser names no place where it speaks of the whole: several documents, too many aliases.
        let location = Some(error.location().map_or((1, 1), |place| (place.line(), place.column())));
        let mut problem = error.to_string();
        if let Some(cut) = problem.rfind(" at line ") {
            problem.truncate(cut); // the place stands in front already
        }
        DocumentError::from(Details {
            path: self.path.clone(),
            location,
            at: String::new(),
            problem: format!("not valid YAML: {problem}"),
            hint: None,
            line: location.and_then(|(line, _)| self.line(line)),
            source: None,
        })
    }

    /// A line to show; none where it may hold a secret: a key that says so, or long unbroken base64.
    fn line(&self, number: usize) -> Option<String> {
        let line = lines(&self.text).nth(number.checked_sub(1)?)?;
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
        let secret = line.to_ascii_lowercase().contains("secret")
            || line.contains("PRIVATE KEY")
            || line.split(|c| !base64(c)).any(|word| word.len() >= 40);
        (!secret && line.len() <= 200).then(|| line.to_owned())
    }
}

/// The lines as the parser counts them: YAML 1.1 (5.4) ends one at more than a line feed.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = rest.find(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).unwrap_or(rest.len());
        let (line, after) = rest.split_at(at);
        let mut next = after.chars();
        if next.next() == Some('\r') && next.as_str().starts_with('\n') {
            next.next();
        }
        rest = next.as_str();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap()
    }

    #[test]
    fn an_error_names_file_line_column_and_place() {
        let document = document("issuer: x\nusers:\n  alice:\n    actions: [pull, 7]\n");
        let root = document.root();
        let users = root.get("users").unwrap();
        let alice = users.get("alice").unwrap();
        let actions = alice.get("actions").unwrap();
        let error = actions.items().unwrap().nth(1).unwrap().string().unwrap_err();
        assert_eq!(
            error.to_string(),
            "c.yaml:4:21: users.alice.actions[1]: expected a string, found a whole number"
        );
        assert_eq!(error.hint.as_deref(), Some("put the value in quotes"));
        assert_eq!(error.excerpt().unwrap(), "4 |     actions: [pull, 7]\n  |                     ^");
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_likely_name() {
        let document = document("issuer: x\nissuerr: y\n");
        let error = document.root().allow_keys(&["issuer", "audience"]).unwrap_err();
        assert_eq!(error.to_string(), "c.yaml:2:1: unknown key `issuerr`");
        assert_eq!(error.hint.as_deref(), Some("did you mean `issuer`?"));
    }

    #[test]
    fn merge_keys_are_applied_and_errors_below_them_name_the_place() {
        let document = document("x: &x\n  actions: 3\nusers:\n  alice:\n    <<: *x\n    repos: [a]\n");
        let root = document.root();
        let users = root.get("users").unwrap();
        let alice = users.get("alice").unwrap();
        let error = alice.get("actions").unwrap().string().unwrap_err();
        assert!(error.to_string().contains("users.alice.actions: expected a string"), "{error}");
        assert_eq!(error.location.map(|(line, _)| line), Some(2));
    }

    #[test]
    fn duplicate_keys_bad_syntax_and_bombs_are_errors() {
        for (text, part) in [
            ("a: 1\na: 2\n", "duplicate"),
            ("a: [1\n", "c.yaml:2:1"),
            ("a: *nowhere\n", "unknown anchor"),
            (
                "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
                "repetition limit",
            ),
            (&"[".repeat(10_000), "recursion limit"),
        ] {
            let error = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_the_parser_has_no_place_for_has_one() {
        for (text, problem) in [
            (
                "a: 1\n---\nb: 2\n",
                "c.yaml:1:1: not valid YAML: deserializing from YAML containing more than one",
            ),
            ("a:\n  - <<: 1\n", "c.yaml:2:5: a[0]: `<<` takes a mapping"),
            ("a: {<<: {b: 1}}\nc:\n  <<: [1]\n", "c.yaml:3:3: c: `<<` takes a mapping"),
        ] {
            let error = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
        for (text, place) in [("!x {a: 1}\n", (1, 1)), ("a:\n  b: !x 1\n", (2, 6))] {
            let document = document(text);
            let a = document.root();
            let error = a.get("a").and_then(|a| a.get("b").map(|b| b.string().unwrap_err()));
            let error = error.unwrap_or_else(|| a.allow_keys(&[]).unwrap_err());
            assert_eq!(error.location, Some(place), "{error}");
        }
    }

    #[test]
    fn the_line_that_is_shown_is_the_one_that_the_parser_means() {
        for end in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}"] {
            let document = document(&["a: 1", "", "b: &b", "  - 2", "c: 3", ""].join(end));
            let error = document.root().get("c").unwrap().string().unwrap_err();
            assert_eq!((error.location, error.line.as_deref()), (Some((5, 4)), Some("c: 3")), "{end:?}");
            assert!(document.defines_anchor("b") && !document.defines_anchor("c"), "{end:?}");
        }
        assert_eq!(lines("").count(), 0);
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        for text in [
            "hs256_secret: [a, b]\n",
            "secret: 7\n",
            "key: {MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ: 1}\n",
        ] {
            let document = document(text);
            let root = document.root();
            let (_, node) = root.entries().unwrap().next().unwrap();
            let error = node.string().unwrap_err();
            assert_eq!(error.location.map(|(line, _)| line), Some(1));
            assert_eq!(error.excerpt(), None, "{text}");
        }
    }

    #[test]
    fn an_anchor_is_seen_in_its_own_block_only() {
        let document = document("a: &a [1]\nb:\n  c: &c\n    d: 1\nusr:\n  x: 1 # &no\nz: [&z 1]\n");
        for (key, defines) in [("a", true), ("b", true), ("usr", false), ("z", true)] {
            assert_eq!(document.defines_anchor(key), defines, "{key}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let document = document("a: 70000\nb: -1\nc: 1.5\nd: x\ne: 7\n");
        let root = document.root();
        for key in ["a", "b", "c", "d"] {
            assert!(root.get(key).unwrap().integer(1, 65_535).is_err(), "{key}");
        }
        assert_eq!(root.get("e").unwrap().integer(1, 65_535).unwrap(), 7);
    }

    #[test]
    fn a_name_far_from_all_has_no_suggestion() {
        assert_eq!(nearest("frobnicate", ["issuer", "audience"].into_iter()), None);
        assert_eq!(nearest("audiense", ["issuer", "audience"].into_iter()), Some("audience"));
        assert_eq!(nearest("hots", ["host", "port"].into_iter()), Some("host"));
    }
}
