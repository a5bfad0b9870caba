//! A YAML value, as small as it can be and with its merge keys applied.
//!
//! Owns the tree and what `<<` means (YAML 1.1, yaml.org/type/merge.html). Must not know files. Decision: it
//! is our own and not the parser's, because that one takes a hash table for each mapping, half as long again
//! for a policy of 100,000 users, and leaves a `<<` inside of what is merged as a key.

use super::Step;
use serde::de::{Deserialize, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use zeroize::Zeroize;

/// A value. No two keys of a mapping are the same string.
#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Mapping(Vec<(Tree, Tree)>),
    /// `!tag value`, which nothing here reads.
    Tagged,
}

/// The key that merges.
pub(super) const MERGE: &str = "<<";

impl Tree {
    /// The string, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub(super) fn mapping(&self) -> Option<&[(Tree, Tree)]> {
        match self {
            Tree::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Tree> {
        self.mapping()?.iter().find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
    }

    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Float(_) => "a number with a fraction",
            Tree::Unsigned(_) | Tree::Negative(_) => "a whole number",
            Tree::Text(_) => "a string",
            Tree::List(_) => "a list",
            Tree::Mapping(_) => "a mapping",
            Tree::Tagged => "a tagged value",
        }
    }

    /// The number as people write it.
    pub(super) fn number(&self) -> Option<String> {
        match self {
            Tree::Unsigned(number) => Some(number.to_string()),
            Tree::Negative(number) => Some(number.to_string()),
            Tree::Float(number) => Some(format!("{number:?}")),
            _ => None,
        }
    }

    /// Wipes every string; a file may hold a secret.
    pub(super) fn wipe(&mut self) {
        match self {
            Tree::Text(text) => text.zeroize(),
            Tree::List(list) => list.iter_mut().for_each(Tree::wipe),
            Tree::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| value.wipe()),
            _ => {}
        }
    }

    /// Puts in place of each `<<` what it names, where the mapping does not say it itself.
    pub(super) fn apply_merge(&mut self) -> Result<(), &'static str> {
        match self {
            Tree::List(list) => list.iter_mut().try_for_each(Tree::apply_merge),
            Tree::Mapping(entries) => {
                // What is merged comes first: it may merge in its turn.
                entries.iter_mut().try_for_each(|(_, value)| value.apply_merge())?;
                let Some(at) = entries.iter().position(|(key, _)| key.text() == Some(MERGE)) else {
                    return Ok(());
                };
                // A wrong one stays where it is, for `bad_merge` to find.
                if !entries.get(at).is_some_and(|(_, named)| named.can_be_merged()) {
                    return Err("`<<` takes a mapping or a list of mappings, such as *name or [*a, *b]");
                }
                let (_, named) = entries.remove(at);
                let named = match named {
                    Tree::List(list) => list,
                    one => vec![one],
                };
                let mut known: HashSet<String> =
                    entries.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
                for merged in named {
                    let Tree::Mapping(merged) = merged else { continue };
                    let news =
                        |(key, _): &(Tree, Tree)| key.text().is_none_or(|text| known.insert(text.to_owned()));
                    entries.extend(merged.into_iter().filter(news));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn can_be_merged(&self) -> bool {
        match self {
            Tree::Mapping(_) => true,
            Tree::List(list) => list.iter().all(|item| matches!(item, Tree::Mapping(_))),
            _ => false,
        }
    }

    /// The way to a mapping whose `<<` names what cannot be merged.
    pub(super) fn bad_merge(&self) -> Option<Vec<Step<'_>>> {
        fn below<'t>(step: Step<'t>, value: &'t Tree) -> Option<Vec<Step<'t>>> {
            let mut steps = value.bad_merge()?;
            steps.insert(0, step);
            Some(steps)
        }
        match self {
            Tree::List(list) => {
                list.iter().enumerate().find_map(|(index, item)| below(Step::Index(index), item))
            }
            Tree::Mapping(_) if self.get(MERGE).is_some_and(|named| !named.can_be_merged()) => {
                Some(Vec::new())
            }
            Tree::Mapping(entries) => entries
                .iter()
                .find_map(|(key, value)| below(Step::Key(key.text().unwrap_or_default()), value)),
            _ => None,
        }
    }
}

/// The first key that stands twice.
fn repeated(entries: &[(Tree, Tree)]) -> Option<&str> {
    let mut keys = entries.iter().filter_map(|(key, _)| key.text());
    if entries.len() > 16 {
        let mut seen = HashSet::with_capacity(entries.len());
        return keys.find(|key| !seen.insert(*key));
    }
    let earlier = |at: usize, key: &str| entries[..at].iter().any(|(known, _)| known.text() == Some(key));
    let texts = entries.iter().enumerate().filter_map(|(at, (key, _))| Some((at, key.text()?)));
    texts.into_iter().find(|(at, key)| earlier(*at, key)).map(|(_, key)| key)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(u64::try_from(number).map_or(Tree::Negative(number), Tree::Unsigned))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Tree, E> {
        Err(Error::custom(format_args!(
            "the whole number {number} takes more than 64 bits: put it in quotes"
        )))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Tree, E> {
        Err(Error::custom(format_args!(
            "the whole number {number} takes more than 64 bits: put it in quotes"
        )))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        match repeated(&entries) {
            Some(key) => Err(Error::custom(format_args!("duplicate key `{key}`"))),
            None => Ok(Tree::Mapping(entries)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Tree, A::Error> {
        let (_, content): (serde::de::IgnoredAny, _) = data.variant()?;
        content.newtype_variant::<serde::de::IgnoredAny>()?;
        Ok(Tree::Tagged)
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
        match tree {
            Tree::Mapping(entries) => {
                let each = entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
                format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
            }
            Tree::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
            other => other.number().or(other.text().map(str::to_owned)).unwrap_or(other.kind().to_owned()),
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
