//! One value of a file's tree, as those that understand the file ask for it.
//!
//! Owns what a value must be and the complaint where it is not. Must not know what the files mean. Decision:
//! a node knows its way from the root, so that every complaint names its place without the caller's help.

use super::tree::Tree;
use super::{Details, Document, DocumentError, Step, nearest};
use std::fmt::Write as _;

/// One value of the tree, and the way to it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    value: &'a Tree,
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
                at.push_str(key);
            }
            Step::Index(index) => {
                let _ = write!(at, "[{index}]"); // to a String: cannot fail
            }
        }
    }
    at
}

impl<'a> Node<'a> {
    pub(super) fn root(document: &'a Document, value: &'a Tree) -> Self {
        Self { document, value, parent: None, step: None }
    }

    /// The place in the tree, such as `users.alice.rules[0]`; empty for the root.
    pub fn at(&self) -> String {
        path(&self.steps())
    }

    /// An error about this value.
    pub fn error(&self, problem: impl Into<String>) -> DocumentError {
        self.error_at(self.at(), &self.steps(), problem.into())
    }

    /// An error about a key of this mapping, where the key itself is wrong.
    pub fn key_error(&self, key: &str, problem: impl Into<String>) -> DocumentError {
        let mut steps = self.steps();
        steps.push(Step::Name(key));
        self.error_at(self.at(), &steps, problem.into())
    }

    pub(super) fn error_at(&self, at: String, steps: &[Step<'_>], problem: String) -> DocumentError {
        let location = self.document.locate(steps);
        DocumentError::from(Details {
            path: self.document.path.clone(),
            location,
            at,
            problem,
            hint: None,
            line: location.and_then(|(line, _)| self.document.line(line)),
            source: None,
        })
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps = self.parent.map(Node::steps).unwrap_or_default();
        steps.extend(self.step);
        steps
    }

    fn expected(&self, what: &str) -> DocumentError {
        self.error(format!("expected {what}, found {}", self.value.kind()))
    }

    /// The value of a key of this mapping, if it is there.
    pub fn get<'n>(&'n self, key: &'n str) -> Option<Node<'n>>
    where
        'a: 'n,
    {
        let value = self.value.get(key)?;
        Some(Node { document: self.document, value, parent: Some(self), step: Some(Step::Key(key)) })
    }

    /// Every entry of this mapping, in the file's order.
    pub fn entries<'n>(&'n self) -> Result<impl Iterator<Item = (&'n str, Node<'n>)> + 'n, DocumentError>
    where
        'a: 'n,
    {
        let mapping = self.value.mapping().ok_or_else(|| self.expected("a mapping (key: value)"))?;
        if let Some(key) = mapping.iter().map(|(key, _)| key).find(|key| key.text().is_none()) {
            return Err(self
                .error(format!("expected keys that are strings, found {}", key.kind()))
                .hint("put the key in quotes"));
        }
        Ok(mapping.iter().filter_map(move |(key, value)| {
            let key = key.text()?;
            Some((
                key,
                Node { document: self.document, value, parent: Some(self), step: Some(Step::Key(key)) },
            ))
        }))
    }

    /// That this is a mapping, and that it has no key but these.
    pub fn allow_keys(&self, known: &[&str]) -> Result<(), DocumentError> {
        for (key, _) in self.entries()? {
            if !known.contains(&key) {
                let error = self.key_error(key, format!("unknown key `{key}`"));
                return Err(match nearest(key, known.iter().copied()) {
                    Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                    None => error.hint(format!("the keys here are {}", known.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// Every element of this list.
    pub fn items<'n>(&'n self) -> Result<impl Iterator<Item = Node<'n>> + 'n, DocumentError>
    where
        'a: 'n,
    {
        let Tree::List(list) = self.value else { return Err(self.expected("a list ([a, b])")) };
        Ok(list.iter().enumerate().map(move |(index, value)| Node {
            document: self.document,
            value,
            parent: Some(self),
            step: Some(Step::Index(index)),
        }))
    }

    /// A string that is not empty.
    pub fn string(&self) -> Result<&'a str, DocumentError> {
        match self.value.text() {
            Some("") => Err(self.error("expected a string that is not empty")),
            Some(text) => Ok(text),
            None if self.value.number().is_some() || matches!(self.value, Tree::Bool(_)) => {
                Err(self.expected("a string").hint("put the value in quotes"))
            }
            None => Err(self.expected("a string")),
        }
    }

    /// A string, perhaps an empty one: for what is judged by others.
    pub fn string_or_empty(&self) -> Result<&'a str, DocumentError> {
        if self.value.text() == Some("") { Ok("") } else { self.string() }
    }

    /// True or false.
    pub fn boolean(&self) -> Result<bool, DocumentError> {
        if let Tree::Bool(truth) = self.value { Ok(*truth) } else { Err(self.expected("true or false")) }
    }

    /// A whole number from `least` to `most`.
    pub fn integer(&self, least: u64, most: u64) -> Result<u64, DocumentError> {
        match self.value {
            Tree::Unsigned(number) if (least..=most).contains(number) => Ok(*number),
            other => {
                let found = other.number().unwrap_or_else(|| other.kind().to_owned());
                Err(self.error(format!("expected a whole number from {least} to {most}, found {found}")))
            }
        }
    }

    /// True where the key is there without a value (`key:`).
    pub fn is_null(&self) -> bool {
        matches!(self.value, Tree::Null)
    }

    /// True for a list, false for anything else.
    pub fn is_list(&self) -> bool {
        matches!(self.value, Tree::List(_))
    }

    /// True for a mapping, false for anything else.
    pub fn is_mapping(&self) -> bool {
        matches!(self.value, Tree::Mapping(_))
    }

    /// True for a string, false for anything else.
    pub fn is_string(&self) -> bool {
        matches!(self.value, Tree::Text(_))
    }

    /// The value as JSON; what JSON cannot hold (other keys than strings, NaN, tags) is an error.
    pub fn json(&self) -> Result<serde_json::Value, DocumentError> {
        Ok(match self.value {
            Tree::Null => serde_json::Value::Null,
            Tree::Bool(truth) => (*truth).into(),
            Tree::Text(text) => text.clone().into(),
            Tree::Unsigned(number) => (*number).into(),
            Tree::Negative(number) => (*number).into(),
            Tree::Float(number) => serde_json::Number::from_f64(*number)
                .ok_or_else(|| self.error(format!("{number} is no number that JSON can hold")))?
                .into(),
            Tree::List(_) => {
                serde_json::Value::Array(self.items()?.map(|item| item.json()).collect::<Result<_, _>>()?)
            }
            Tree::Mapping(_) => serde_json::Value::Object(
                self.entries()?
                    .map(|(key, node)| node.json().map(|value| (key.to_owned(), value)))
                    .collect::<Result<_, _>>()?,
            ),
            Tree::Tagged => return Err(self.expected("a value without a YAML tag")),
        })
    }
}
