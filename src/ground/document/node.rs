//! One value of a file's tree, as those that understand the file ask for it.
//!
//! Owns what a value must be and the complaint where it is not. Must not know what the files mean. Decision:
//! a node knows its way from the root, so that every complaint names its place without the caller's help.

use super::tree::{Tree, Value};
use super::{Document, DocumentError};
use crate::ground::file::Files;
use crate::ground::nearest::did_you_mean;
use crate::ground::secret::Secret;
use crate::ground::text;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key, secret or certificate file is a few kilobytes; the largest chain fits several times.
const MAX_KEY_FILE_BYTES: u64 = 256 * 1024;

/// One step down the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// To the value of a mapping's key.
    Key(&'a str),
    /// To a mapping's key itself.
    Name(&'a str),
    /// To an element of a list.
    Index(usize),
}

/// One value of the tree, and the way to it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    tree: &'a Tree,
    parent: Option<&'a Node<'a>>,
    /// `None` for the root.
    step: Option<Step<'a>>,
}

/// A place as people write it: `users.alice.rules[0]`.
pub fn path(steps: &[Step<'_>]) -> String {
    let mut at = String::new();
    for step in steps {
        match step {
            Step::Key(key) | Step::Name(key) => {
                if !at.is_empty() {
                    at.push('.');
                }
                at.push_str(&text::printable(key));
            }
            Step::Index(index) => {
                let _ = write!(at, "[{index}]"); // to a String: cannot fail
            }
        }
    }
    at
}

impl<'a> Node<'a> {
    pub(super) fn root(document: &'a Document, tree: &'a Tree) -> Self {
        Self { document, tree, parent: None, step: None }
    }

    /// The place in the tree, such as `users.alice.rules[0]`; empty for the root.
    pub fn at(&self) -> String {
        path(&self.steps())
    }

    /// An error about this value.
    pub fn error(&self, problem: impl Into<String>) -> DocumentError {
        self.document.error(self.at(), self.tree.number, problem)
    }

    /// An error where this build is without what this value needs: what it says, and what to do about it.
    pub fn needs(&self, enabled: bool, [problem, hint]: [&'static str; 2]) -> Result<(), DocumentError> {
        if enabled { Ok(()) } else { Err(self.error(problem).hint(hint)) }
    }

    /// An error where one of these keys stands in this mapping without the one that it belongs to.
    pub fn no_key_without(&self, keys: &[&str], other: &str, hint: &str) -> Result<(), DocumentError> {
        match keys.iter().find_map(|key| Some((key, self.get(key)?))) {
            Some((key, node)) => {
                Err(node.error(format!("`{key}` does nothing without `{other}`")).hint(hint))
            }
            None => Ok(()),
        }
    }

    /// An error about a key of this mapping, where the key itself is wrong.
    pub fn key_error(&self, key: &str, problem: impl Into<String>) -> DocumentError {
        let number = self.tree.entry(key).map_or(self.tree.number, |(key, _)| key.number);
        self.document.error(self.at(), number, problem)
    }

    /// This value as a message quotes it: a secret never is.
    pub fn quoted(&self) -> String {
        match (self.tree.text(), self.tree.number_text()) {
            (Some(text), _) => text::quoted(self.name(), text),
            (_, Some(number)) if !text::may_be_secret(self.name(), &number) => number,
            _ => self.tree.kind().to_owned(),
        }
    }

    /// The nearest key above.
    fn name(&self) -> &'a str {
        match (self.step, self.parent) {
            (Some(Step::Key(key) | Step::Name(key)), _) => key,
            (_, Some(parent)) => parent.name(),
            (_, None) => "",
        }
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps = self.parent.map(Node::steps).unwrap_or_default();
        steps.extend(self.step);
        steps
    }

    fn expected(&self, what: &str) -> DocumentError {
        self.error(format!("expected {what}, found {}", self.tree.kind()))
    }

    fn below<'n>(&'n self, tree: &'n Tree, step: Step<'n>) -> Node<'n>
    where
        'a: 'n,
    {
        Node { document: self.document, tree, parent: Some(self), step: Some(step) }
    }

    /// The value of a key of this mapping, if it is there.
    pub fn get<'n>(&'n self, key: &'n str) -> Option<Node<'n>>
    where
        'a: 'n,
    {
        let (_, tree) = self.tree.entry(key)?;
        Some(self.below(tree, Step::Key(key)))
    }

    /// The same for a mapping whose keys may all be left out: an empty one where the key is not there.
    pub fn section<'n>(&'n self, key: &'n str) -> Node<'n>
    where
        'a: 'n,
    {
        static EMPTY: Tree = Tree { number: 0, value: Value::Mapping(Vec::new()) };
        self.get(key).unwrap_or_else(|| self.below(&EMPTY, Step::Key(key)))
    }

    /// The value of a key that this mapping must have, and a hint for where it has not.
    pub fn required<'n>(&'n self, key: &'n str, hint: &str) -> Result<Node<'n>, DocumentError>
    where
        'a: 'n,
    {
        self.get(key).ok_or_else(|| self.error(format!("`{key}` is missing")).hint(hint))
    }

    /// Every entry of this mapping, in the file's order.
    pub fn entries<'n>(&'n self) -> Result<impl Iterator<Item = (&'n str, Node<'n>)> + 'n, DocumentError>
    where
        'a: 'n,
    {
        let mapping = self.tree.mapping().ok_or_else(|| self.expected("a mapping (key: value)"))?;
        if let Some(key) = mapping.iter().map(|(key, _)| key).find(|key| key.text().is_none()) {
            return Err(self
                .error(format!("expected keys that are strings, found {}", key.kind()))
                .hint("put the key in quotes"));
        }
        Ok(mapping.iter().filter_map(move |(key, value)| {
            let key = key.text()?;
            Some((key, self.below(value, Step::Key(key))))
        }))
    }

    /// That this is a mapping, and that it has no key but these.
    pub fn allow_keys(&self, known: &[&str]) -> Result<(), DocumentError> {
        for (key, _) in self.entries()? {
            if !known.contains(&key) {
                let error = self.key_error(key, format!("unknown key {}", text::quoted("", key)));
                let all = format!("the keys here are {}", known.join(", "));
                return Err(error.hint(did_you_mean(key, known.iter().copied(), &all)));
            }
        }
        Ok(())
    }

    /// Every element of this list.
    pub fn items<'n>(&'n self) -> Result<impl Iterator<Item = Node<'n>> + 'n, DocumentError>
    where
        'a: 'n,
    {
        let Value::List(list) = &self.tree.value else { return Err(self.expected("a list ([a, b])")) };
        Ok(list.iter().enumerate().map(move |(index, tree)| self.below(tree, Step::Index(index))))
    }

    /// A string that is not empty.
    pub fn string(&self) -> Result<&'a str, DocumentError> {
        match self.tree.text() {
            Some("") => Err(self.error("expected a string that is not empty")),
            Some(text) => Ok(text),
            None if self.tree.number_text().is_some() || matches!(self.tree.value, Value::Bool(_)) => {
                Err(self.expected("a string").hint("put the value in quotes"))
            }
            None => Err(self.expected("a string")),
        }
    }

    /// A string, perhaps an empty one: for what is judged by others.
    pub fn string_or_empty(&self) -> Result<&'a str, DocumentError> {
        if self.tree.text() == Some("") { Ok("") } else { self.string() }
    }

    /// True or false.
    pub fn boolean(&self) -> Result<bool, DocumentError> {
        if let Value::Bool(truth) = self.tree.value { Ok(truth) } else { Err(self.expected("true or false")) }
    }

    /// A whole number from `least` to `most`.
    pub fn integer(&self, least: u64, most: u64) -> Result<u64, DocumentError> {
        let expected = format!("a whole number from {least} to {most}");
        match self.tree.value {
            Value::Unsigned(number) if (least..=most).contains(&number) => Ok(number),
            Value::Unsigned(_) | Value::Negative(_) | Value::Float(_) => {
                // Whatever its key is called: where a number is counted, it is no secret.
                let found = self.tree.number_text().unwrap_or_default();
                Err(self.error(format!("expected {expected}, found {found}")))
            }
            _ => Err(self.expected(&expected)),
        }
    }

    /// The path of the file that this names, relative to the folder of the file that names it. What is
    /// loaded depends on that file, whether it is there or not.
    pub fn path(&self, files: &mut Files) -> Result<PathBuf, DocumentError> {
        let text = self.string()?;
        if text.contains("-----BEGIN") {
            let error = self.error("expected the path of a file, found a PEM text");
            return Err(error.hint("write the text to a file of its own, and its path here"));
        }
        let path = self.document.folder().join(text);
        files.note(&path);
        if text::may_be_secret(self.name(), text) && !path.exists() {
            let error = self.error("no such file (its name is not shown: it may be a secret)");
            return Err(error.hint("this key takes the path of a file, relative to this one's folder"));
        }
        Ok(path)
    }

    /// The secret in the file that this names.
    pub fn secret(&self, files: &mut Files) -> Result<Secret, DocumentError> {
        self.read(files, |files, path| files.secret(path, MAX_KEY_FILE_BYTES))
    }

    /// What is in the file that this names.
    pub fn contents(&self, files: &mut Files) -> Result<Zeroizing<Vec<u8>>, DocumentError> {
        self.read(files, |files, path| files.read(path, MAX_KEY_FILE_BYTES))
    }

    /// Warns where everybody can read the file that this names: it holds a secret.
    pub fn private(&self, files: &mut Files) -> Result<(), DocumentError> {
        let path = self.path(files)?;
        files.private(&path);
        Ok(())
    }

    fn read<T>(
        &self,
        files: &mut Files,
        read: impl FnOnce(&mut Files, &Path) -> std::io::Result<T>,
    ) -> Result<T, DocumentError> {
        let path = self.path(files)?;
        read(files, &path).map_err(|error| {
            let failed = self.error(format!("cannot read {}", path.display()));
            let missing = error.kind() == std::io::ErrorKind::NotFound && path.is_relative();
            let failed = if missing {
                failed.hint("relative paths are relative to the configuration file's folder")
            } else {
                failed
            };
            failed.caused_by(error)
        })
    }

    /// True where the key is there without a value (`key:`).
    pub fn is_null(&self) -> bool {
        matches!(self.tree.value, Value::Null)
    }

    /// True for a mapping, false for anything else.
    pub fn is_mapping(&self) -> bool {
        matches!(self.tree.value, Value::Mapping(_))
    }

    /// True for a string, false for anything else.
    pub fn is_string(&self) -> bool {
        matches!(self.tree.value, Value::Text(_))
    }

    /// The value as JSON; what JSON cannot hold (other keys than strings, NaN, tags) is an error.
    pub fn json(&self) -> Result<serde_json::Value, DocumentError> {
        Ok(match &self.tree.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Unsigned(number) => (*number).into(),
            Value::Negative(number) => (*number).into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)
                .ok_or_else(|| self.error("not a number that JSON can hold"))?
                .into(),
            Value::List(_) => {
                serde_json::Value::Array(self.items()?.map(|item| item.json()).collect::<Result<_, _>>()?)
            }
            Value::Mapping(_) => serde_json::Value::Object(
                self.entries()?
                    .map(|(key, node)| node.json().map(|value| (key.to_owned(), value)))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Tagged => return Err(self.expected("a value without a YAML tag")),
        })
    }
}
