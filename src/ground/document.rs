//! A YAML file as a tree whose every complaint names its place.
//!
//! Owns YAML (no other file names `serde_yaml`) and errors of the form `path:line:column: problem`, with the
//! source line, a caret and a hint. Must not know what the files mean. Decision: the tree is walked by hand
//! and not by serde's derive, because merge keys (`<<`) can only be applied to a tree, and a tree has no line
//! numbers: each node keeps its number in the order of reading, and only when something is wrong is the text
//! read again, up to that number, to find the line.

mod error;
mod node;
mod tree;

pub use error::{Details, DocumentError};
pub use node::{Node, Step, path};

use super::digest::sha256;
use super::encoding::{BYTE_ORDER_MARK, byte_order};
use super::file::Files;
use super::text::{line_may_be_secret, looks_secret};
use serde::de::DeserializeSeed;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use tree::{Reading, Tree, Twice, Value};
use zeroize::{Zeroize, Zeroizing};

/// The longest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// A parsed file.
pub struct Document {
    path: PathBuf,
    /// Wiped when it is dropped, as every string of the tree.
    text: Zeroizing<String>,
    root: Tree,
}

impl fmt::Debug for Document {
    /// Only the path: the text may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Document {
    /// Reads and parses a file.
    pub fn load(path: &Path, files: &mut Files) -> Result<Self, DocumentError> {
        let bytes = files.read(path, MAX_FILE_BYTES);
        Self::decode(path, bytes.map_err(|error| DocumentError::unreadable(path, error))?)
    }

    /// Parses the bytes of a file.
    pub fn decode(path: &Path, mut bytes: Zeroizing<Vec<u8>>) -> Result<Self, DocumentError> {
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len()); // YAML 1.2, 5.2
        }
        if let Some(problem) = byte_order(&bytes) {
            return Err(DocumentError::new(path, problem));
        }
        let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            error.into_bytes().zeroize();
            DocumentError::new(path, format!("is not UTF-8: no character begins at byte {valid}"))
        })?;
        Self::parse(path, text)
    }

    /// Parses a text as if read from `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self, DocumentError> {
        let root = Tree { number: 0, value: Value::Null };
        let mut document = Self { path: path.to_owned(), text: text.into(), root };
        document.root = document.read(None).map_err(|(error, twice)| document.syntax_error(&error, twice))?;
        if matches!(document.root.value, Value::Null) {
            return Err(DocumentError::new(path, "there is nothing in it").at(Some((1, 1))));
        }
        document.root.apply_merge().map_err(|number| {
            let problem = "`<<` takes a mapping or a list of mappings, such as *name or [*a, *b]";
            document.error(String::new(), number, problem)
        })?;
        Ok(document)
    }

    /// Reads it up to the node of a number, or all of it. The error says which key stands twice, if that is why.
    fn read(&self, stop: Option<u32>) -> Result<Tree, (serde_yaml::Error, Option<Twice>)> {
        let reading = Reading::new(self.text.len(), stop);
        let read = reading.deserialize(serde_yaml::Deserializer::from_str(&self.text));
        read.map_err(|error| (error, reading.twice.get()))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of its text, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in sha256(self.text.as_bytes()) {
            let _ = write!(hex, "{byte:02x}"); // to a String: cannot fail
        }
        hex
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

    /// The folder that relative paths in it begin from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Line and column, from 1, of what is at the end of these steps.
    pub fn locate(&self, steps: &[Step<'_>]) -> Option<(usize, usize)> {
        let mut tree = &self.root;
        for step in steps {
            tree = match step {
                Step::Key(key) => &tree.entry(key)?.1,
                Step::Name(key) => &tree.entry(key)?.0,
                Step::Index(index) => tree.element(*index)?,
            };
        }
        self.place(tree.number)
    }

    /// Line and column of the node of a number: where a second reading stops.
    fn place(&self, number: u32) -> Option<(usize, usize)> {
        let (stopped, _) = self.read(Some(number)).err()?;
        stopped.location().map(|place| (place.line(), place.column()))
    }

    /// An error about the node of a number.
    fn error(&self, at: String, number: u32, problem: impl Into<String>) -> DocumentError {
        let mut error = DocumentError::new(&self.path, problem).at(self.place(number));
        error.line = error.location.and_then(|(line, _)| self.line(line));
        error.at = at;
        error
    }

    fn syntax_error(&self, error: &serde_yaml::Error, twice: Option<Twice>) -> DocumentError {
        let message = error.to_string();
        let first = twice.and_then(|twice| self.place(twice.first));
        let again = twice.and_then(|twice| self.place(twice.second));
        let second = if message.contains("more than one document") { self.second_document() } else { None };
        // The parser names no place where it speaks of the whole.
        let place = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let place = again.or(second.map(|line| (line, 1))).unwrap_or(place);
        // The place stands in front already.
        let problem = message.split(" at ").next().unwrap_or_default();
        let hint = if second.is_some() {
            Some("a file holds one document: leave out this `---` and what follows it")
        } else if message.contains("while scanning an alias") || message.contains("unknown anchor") {
            Some("after `*` YAML expects the name of an anchor: write a pattern in quotes, \"*\"")
        } else if message.contains("a tab character") || self.character(place) == Some('\t') {
            Some("YAML is indented with spaces, never with tabs")
        } else if message.contains("cannot start any token") {
            Some("put a value that begins with this character in quotes")
        } else if message.contains("mapping values are not allowed") || message.contains("expected ':'") {
            Some(
                "a space must follow each colon, here or on the line before; a value with `: ` in it needs \
                 quotes; keys side by side begin in one column",
            )
        } else if message.contains("did not find expected key") {
            Some("is a quote open on the line before? if not, let keys side by side begin in one column")
        } else if message.contains("unexpected end of stream") {
            Some("a quote is open that nothing closes")
        } else {
            None
        };
        // The parser may name keys, and a key may be anything.
        let problem = if looks_secret(problem) { String::new() } else { format!(": {problem}") };
        let problem = problem + &first.map(|(line, _)| format!(", first on line {line}")).unwrap_or_default();
        let mut error = DocumentError::new(&self.path, format!("not valid YAML{problem}")).at(Some(place));
        error.line = self.line(place.0);
        error.hint = hint.map(str::to_owned);
        error
    }

    fn character(&self, (line, column): (usize, usize)) -> Option<char> {
        lines(&self.text).nth(line.checked_sub(1)?)?.chars().nth(column.checked_sub(1)?)
    }

    /// The line of the `---` that begins a second document.
    fn second_document(&self) -> Option<usize> {
        let mut content = false;
        let second = lines(&self.text).position(|line| {
            let second = content && (line == "---" || line.starts_with("--- "));
            content |= !line.trim().is_empty() && !line.starts_with(['#', '%']);
            second
        });
        second.map(|index| index + 1)
    }

    /// A line to show; none where it, or what it belongs to, may hold a secret.
    fn line(&self, number: usize) -> Option<String> {
        let above: Vec<&str> = lines(&self.text).take(number).collect();
        let (line, above) = above.split_last().filter(|(line, _)| line.len() <= 200)?;
        if above.len() + 1 != number {
            return None; // behind the end
        }
        // An item may stand as far left as the key of its list.
        let item = |line: &str| line.trim_start().starts_with('-');
        let indent = |line: &str| line.len() - line.trim_start().len() + usize::from(item(line));
        let code = || above.iter().filter(|line| !line.trim_start().starts_with('#'));
        let within = |quote| code().map(|line| line.matches(quote).count()).sum::<usize>() % 2 == 1;
        // A line without a key of its own, or within quotes, is the rest of some value.
        let rest = !(line.contains(':') || item(line)) || within('"') || within('\'');
        let mut hidden = rest || line_may_be_secret(line);
        let mut depth = indent(line);
        for upper in above.iter().rev().filter(|line| !line.trim().is_empty()) {
            let unfinished = upper.trim_end().ends_with(['{', '[', ',', ':', '|', '>', '-']);
            if indent(upper) < depth || unfinished {
                hidden |= line_may_be_secret(upper);
                depth = depth.min(indent(upper));
            } else if depth == 0 {
                break;
            }
        }
        (!hidden).then(|| (*line).to_owned())
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
    fn a_key_that_stands_twice_is_shown_where_it_does_and_where_it_stood_first() {
        for (text, problem) in [
            ("a: 1\nb: 2\na: 3\n", "c.yaml:3:1: not valid YAML: duplicate key `a`, first on line 1"),
            (
                "a: 1\nb:\n  - c: {d: 1,\n      e: 2, d: 3}\n",
                "c.yaml:4:13: not valid YAML: b[0].c: duplicate key `d`, first on line 3",
            ),
        ] {
            let error = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap_err().to_string();
            assert_eq!(error, problem);
        }
    }

    #[test]
    fn what_the_parser_has_no_place_for_has_one() {
        for (text, problem) in [
            (
                "---\na: 1\n---\nb: 2\n",
                "c.yaml:3:1: not valid YAML: deserializing from YAML containing more than one",
            ),
            ("a:\n  - <<: 1\n", "c.yaml:2:5: `<<` takes a mapping"),
            ("a: {<<: {b: 1}}\nc:\n  <<: [1]\n", "c.yaml:3:3: `<<` takes a mapping"),
            ("", "c.yaml:1:1: there is nothing in it"),
            ("# only this\n", "c.yaml:1:1: there is nothing in it"),
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
        let document = document(
            "issuer: example\nhs256_sceret: hunter2\nhs256_secret: |\n  hunter2\n\n  and: more\nsecrets:\n- a\n\
             - hunter2\nusers:\n  alice:\n    actions: [pul]\n    tokens: {\na: hunter2}\nsecret: \"hunter2\n\
             a: hunter2\nb: hunter2\"\npath: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n",
        );
        for (number, line) in (1..).zip(lines(&document.text)) {
            let shown = ["issuer: example", "users:", "  alice:", "    actions: [pul]"].contains(&line);
            assert_eq!(document.line(number).is_some(), shown, "{number}: {line}");
        }
    }

    #[test]
    fn nothing_that_is_printed_of_a_document_is_a_secret() {
        for text in [
            "hs256_secret: [hunter2]",
            "hs256_sceret: hunter2",
            "hs256_secret hunter2",
            "hs256_secret: hunter2\n b: 1",
            "secret: 99999999999999999999999999",
            "$2y$10$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.: hunter2",
            "-----BEGIN PRIVATE KEY-----\nhunter2",
            "alice:$2y$10$hunter2",
            "{MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj: {hunter2: 1, hunter2: 2}}",
        ] {
            let parsed = Document::parse(Path::new("c.yaml"), text.to_owned());
            let error = parsed.and_then(|document| {
                let root = document.root();
                let entry = root.get("hs256_secret").map(|node| node.string().map(|_| ()));
                entry.unwrap_or(Ok(())).and_then(|()| root.allow_keys(&["issuer"]))
            });
            let error = error.expect_err(text);
            let shown = format!("{error} {error:?} {:?} {:?}", error.hint, error.excerpt());
            assert!(
                !shown.contains("hunter2") && !shown.contains("9999") && !shown.contains("DCq7"),
                "{shown}"
            );
        }
    }

    #[test]
    fn where_people_stumble_a_hint_says_what_yaml_expects() {
        for (text, place, hint) in [
            ("actions: [*]\n", (1, 12), "write a pattern in quotes"),
            ("repos:\n  - **\n", (2, 6), "write a pattern in quotes"),
            ("repos:\n  - *app\n", (2, 5), "write a pattern in quotes"),
            ("a:\n\tb: 1\n", (2, 1), "never with tabs"),
            ("a: @b\n", (1, 4), "in quotes"),
            ("a: 1\n---\nb: 1\n", (2, 1), "a file holds one document"),
            ("a:\"b\"\nc: d\n", (2, 2), "a space must follow each colon, here or on the line before"),
            ("a: b\nc:d\ne: f\n", (3, 1), "a space must follow each colon"),
            ("a: \"b\nc: \"d\"\n", (2, 5), "is a quote open on the line before?"),
            ("a: 'b\nc: d\n", (3, 1), "a quote is open that nothing closes"),
        ] {
            let error = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap_err();
            assert_eq!(error.location, Some(place), "{text}: {error}");
            assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {:?}", error.hint);
        }
    }

    #[test]
    fn aliases_that_expand_to_much_are_refused_before_they_do() {
        let flat = format!("a: &a [{}1]\nb: [{}*a]\n", "1,".repeat(12_000), "*a,".repeat(12_000));
        let long = format!("a: &a {}\nb: [{}*a]\n", "x".repeat(10_000), "*a,".repeat(10_000));
        for text in [flat, long] {
            let error = Document::parse(Path::new("c.yaml"), text).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("too large once its aliases (*name) are expanded"), "{said}");
            assert_eq!(error.location.map(|(line, _)| line), Some(1), "{said}");
        }
        // Every user of a large policy may merge one role.
        let users: Vec<String> = (0..20_000).map(|n| format!("  u{n}: {{<<: *r}}\n")).collect();
        let text = format!("r: &r {{repos: [a, b, c], actions: [pull]}}\nusers:\n{}", users.concat());
        let document = document(&text);
        assert_eq!(document.root().get("users").unwrap().entries().unwrap().count(), 20_000);
        // And no text without aliases is too large, however dense it is.
        assert!(Document::parse(Path::new("c"), format!("[{}1]", "{a,b},".repeat(300_000))).is_ok());
    }

    #[test]
    fn what_would_act_on_a_terminal_is_escaped_where_a_line_is_shown() {
        let document = document("a: 1\nb: [\u{202e}, 7]\n");
        let root = document.root();
        let list = root.get("b").unwrap();
        let error = list.items().unwrap().nth(1).unwrap().string();
        let excerpt = error.unwrap_err().excerpt().unwrap();
        assert_eq!(excerpt, "2 | b: [\\u202e, 7]\n  |             ^");
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
}
