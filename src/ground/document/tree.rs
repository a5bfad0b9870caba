//! A YAML value, as small as it can be and with its merge keys applied.
//!
//! Owns the tree, how it is read within bounds, and what `<<` means (YAML 1.1, yaml.org/type/merge.html).
//! Must not know files. Decision: it is our own and not the parser's, because that one takes a hash table
//! for each mapping, half as long again for a policy of 100,000 users, and leaves a `<<` inside of what is
//! merged as a key. Nodes are numbered as they are read: the parser knows the place of what it reads only
//! while it reads, so that a place is found by reading again and stopping at the same number.

use crate::ground::text::quoted;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use zeroize::Zeroizing;

/// A node of the file.
#[derive(Debug)]
pub(super) struct Tree {
    /// Its place in the order of reading, aliases expanded.
    pub(super) number: u32,
    pub(super) value: Value,
}

/// What a node holds. No two keys of a mapping are the same string.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    /// Wiped when it is dropped: it may be a secret.
    Text(Zeroizing<String>),
    List(Vec<Tree>),
    Mapping(Vec<(Tree, Tree)>),
    /// `!tag value`, which nothing here reads.
    Tagged,
}

/// The key that merges.
const MERGE: &str = "<<";

impl Tree {
    /// The string, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub(super) fn mapping(&self) -> Option<&[(Tree, Tree)]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// A key and its value.
    pub(super) fn entry(&self, key: &str) -> Option<&(Tree, Tree)> {
        self.mapping()?.iter().find(|(known, _)| known.text() == Some(key))
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Option<&Tree> {
        match &self.value {
            Value::List(list) => list.get(index),
            _ => None,
        }
    }

    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Float(_) => "a number with a fraction",
            Value::Unsigned(_) | Value::Negative(_) => "a whole number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Tagged => "a tagged value",
        }
    }

    /// The number as people write it.
    pub(super) fn number_text(&self) -> Option<String> {
        match self.value {
            Value::Unsigned(number) => Some(number.to_string()),
            Value::Negative(number) => Some(number.to_string()),
            Value::Float(number) => Some(format!("{number:?}")),
            _ => None,
        }
    }

    /// Puts in place of each `<<` what it names, where the mapping does not say it itself. The error is the
    /// number of a `<<` that names something else than mappings.
    pub(super) fn apply_merge(&mut self) -> Result<(), u32> {
        match &mut self.value {
            Value::List(list) => list.iter_mut().try_for_each(Tree::apply_merge),
            Value::Mapping(entries) => {
                // What is merged comes first: it may merge in its turn.
                entries.iter_mut().try_for_each(|(_, value)| value.apply_merge())?;
                let Some(at) = entries.iter().position(|(key, _)| key.text() == Some(MERGE)) else {
                    return Ok(());
                };
                let (merge, named) = entries.remove(at);
                let named = match named {
                    Tree { value: Value::List(list), .. } => list,
                    one => vec![one],
                };
                let mut known: HashSet<String> =
                    entries.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
                for merged in named {
                    let Value::Mapping(merged) = merged.value else { return Err(merge.number) };
                    let news =
                        |(key, _): &(Tree, Tree)| key.text().is_none_or(|text| known.insert(text.to_owned()));
                    entries.extend(merged.into_iter().filter(news));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The first key that stands twice: where it does, and its text.
fn repeated(entries: &[(Tree, Tree)]) -> Option<(Twice, &str)> {
    let mut seen = HashMap::with_capacity(entries.len());
    entries.iter().find_map(|(key, _)| {
        let text = key.text()?;
        let first = seen.insert(text, key.number)?;
        Some((Twice { first, second: key.number }, text))
    })
}

/// The numbers of a key that stands twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twice {
    pub(super) first: u32,
    pub(super) second: u32,
}

/// What a node takes at most, beside its text, in bytes: twice itself, as a list that grows has room.
const NODE_BYTES: usize = 2 * size_of::<Tree>();

/// What the smallest file may come to once its aliases are expanded, in bytes: 250,000 nodes.
const LEAST_BUDGET: usize = 16 * 1024 * 1024;

/// One reading of a text. It ends with an error at the node at which it is to stop, or where the tree
/// becomes much larger than any text of this length can be without aliases.
pub(super) struct Reading {
    next: Cell<u32>,
    left: Cell<usize>,
    stop: Option<u32>,
    /// Why it ended, if for a key that stands twice: the parser names the place of the mapping alone.
    pub(super) twice: Cell<Option<Twice>>,
}

impl Reading {
    /// A reading of a text of that many bytes, which may stop at the node of a number.
    pub(super) fn new(length: usize, stop: Option<u32>) -> Self {
        let budget = length.saturating_mul(NODE_BYTES + 1).saturating_add(LEAST_BUDGET);
        Self { next: Cell::new(0), left: Cell::new(budget), stop, twice: Cell::new(None) }
    }

    fn number<E: Error>(&self, bytes: usize) -> Result<u32, E> {
        let number = self.next.get();
        if self.stop == Some(number) {
            return Err(E::custom("here"));
        }
        let left = self.left.get().checked_sub(NODE_BYTES + bytes);
        let next = number.checked_add(1);
        let (Some(left), Some(next)) = (left, next) else {
            return Err(E::custom("too large once its aliases (*name) are expanded"));
        };
        self.left.set(left);
        self.next.set(next);
        Ok(number)
    }

    fn leaf<E: Error>(&self, value: Value) -> Result<Tree, E> {
        Ok(Tree { number: self.number(0)?, value })
    }
}

impl<'de> DeserializeSeed<'de> for &Reading {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reading {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        self.leaf(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Tree, E> {
        self.leaf(Value::Bool(truth))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
        self.leaf(Value::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree, E> {
        self.leaf(u64::try_from(number).map_or(Value::Negative(number), Value::Unsigned))
    }

    // Not what serde says by itself: that would quote the number.
    fn visit_u128<E: Error>(self, _: u128) -> Result<Tree, E> {
        Err(E::custom("a whole number of more than 64 bits: put it in quotes"))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Tree, E> {
        Err(E::custom("a whole number of more than 64 bits: put it in quotes"))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Tree, E> {
        self.leaf(Value::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        let number = self.number(text.len())?; // before the text is copied
        Ok(Tree { number, value: Value::Text(text.to_owned().into()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let number = self.number(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Tree { number, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let number = self.number(0)?;
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry_seed(self, self)? {
            entries.push(entry);
        }
        match repeated(&entries) {
            Some((twice, key)) => {
                self.twice.set(Some(twice));
                Err(Error::custom(format_args!("duplicate key {}", quoted("", key))))
            }
            None => Ok(Tree { number, value: Value::Mapping(entries) }),
        }
    }

    /// A tagged value, below which nothing is kept.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Tree, A::Error> {
        let number = self.number(0)?;
        let (_, content): (serde::de::IgnoredAny, _) = data.variant()?;
        content.newtype_variant_seed(self)?;
        Ok(Tree { number, value: Value::Tagged })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;
    use std::path::Path;

    fn tree(text: &str) -> Result<String, String> {
        let document = Document::parse(Path::new("x.yaml"), text.to_owned());
        document.map(|document| shown(&document.root)).map_err(|error| error.to_string())
    }

    fn shown(tree: &Tree) -> String {
        match &tree.value {
            Value::Mapping(entries) => {
                let each = entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
                format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
            }
            Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
            _ => tree.number_text().or(tree.text().map(str::to_owned)).unwrap_or(tree.kind().to_owned()),
        }
    }

    #[test]
    fn merging_fills_in_what_a_mapping_does_not_say_itself() {
        for (text, merged) in [
            ("{<<: {a: 1, b: 2}, b: 3}", "{b: 3, a: 1}"),
            ("{<<: [{a: 1}, {a: 2, b: 2}], c: 3}", "{c: 3, a: 1, b: 2}"),
            // A merge of what is merged itself: the roles that build on roles.
            ("{<<: {<<: {a: 1, b: 1}, b: 2}, c: 3}", "{c: 3, b: 2, a: 1}"),
            ("[{x: {<<: {a: 1}}}]", "[{x: {a: 1}}]"),
            (
                "{a: -7, b: 1.5, c: ~, d: true, e: !x 1}",
                "{a: -7, b: 1.5, c: nothing, d: true or false, e: a tagged value}",
            ),
        ] {
            assert_eq!(tree(text).unwrap(), merged, "{text}");
        }
        for text in ["{<<: 1}", "{<<: [1]}", "{<<: [[{a: 1}]]}"] {
            assert!(tree(text).unwrap_err().contains("`<<` takes a mapping"), "{text}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_found_in_short_and_long_mappings() {
        let long: Vec<String> = (0..40).map(|n| format!("k{n}: 1")).collect();
        assert!(tree(&format!("{{{}}}", long.join(", "))).is_ok());
        for text in ["{a: 1, b: 2, a: 3}".to_owned(), format!("{{{}, k7: 2}}", long.join(", "))] {
            assert!(tree(&text).unwrap_err().contains("duplicate key"), "{text}");
        }
    }
}
