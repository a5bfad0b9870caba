//! Finds the line and column of a node by its path.
//!
//! Owns the second reading of a YAML text that an error needs. Decision: the parser knows the place of
//! what it reads only while it reads, so this descends along the path and stops there with an error of
//! its own, which the parser then stamps with the place.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::cell::Cell;
use std::fmt;

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

/// Line and column, from 1, of the node at the end of `steps`, through merge keys where need be; of the
/// nearest node above it where it is not found. `read` reads the text with the seed that it is given, and
/// tells the place of the error that the seed stops it with.
pub(super) fn locate(
    steps: &[Step<'_>],
    read: impl Fn(Seek<'_>) -> Option<(usize, usize)>,
) -> Option<(usize, usize)> {
    let mut depth = steps.len();
    loop {
        let found = Cell::new(false);
        let seek = Seek { steps: &steps[..depth], found: &found };
        let place = read(seek);
        if found.get() {
            return place;
        }
        depth = depth.checked_sub(1)?;
    }
}

/// Descends along a path and stops at its end.
#[derive(Clone, Copy)]
pub(super) struct Seek<'s> {
    steps: &'s [Step<'s>],
    found: &'s Cell<bool>,
}

impl Seek<'_> {
    fn stop<E: de::Error>(&self) -> E {
        self.found.set(true);
        E::custom("here")
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (want, name) = match self.steps.split_first() {
            None => return Err(self.stop()),
            Some((Step::Key(key), _)) => (*key, false),
            Some((Step::Name(key), _)) => (*key, true),
            Some((Step::Index(_), _)) => ("", false),
        };
        loop {
            // The key's own place is wanted only for `Name`: a seed that stops at the key.
            let key = if name {
                map.next_key_seed(KeySeek { want, seek: self })?
            } else {
                map.next_key::<String>().ok().flatten()
            };
            let Some(key) = key else { return Ok(()) };
            if key == want {
                return map.next_value_seed(Seek { steps: &self.steps[1..], found: self.found });
            } else if key == "<<" {
                map.next_value_seed(self)?; // a merged mapping may hold the key
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.steps.split_first() {
            None => Err(self.stop()),
            Some((Step::Index(index), rest)) => {
                for _ in 0..*index {
                    list.next_element::<IgnoredAny>()?;
                }
                list.next_element_seed(Seek { steps: rest, found: self.found })?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
            Some(_) => {
                // Several merged mappings: `<<: [*a, *b]`.
                while list.next_element_seed(self)?.is_some() {}
                Ok(())
            }
        }
    }

    /// A tagged value, below which nothing is read.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<(), A::Error> {
        self.scalar()?;
        let (_, content): (IgnoredAny, _) = data.variant()?;
        content.newtype_variant::<IgnoredAny>().map(|_| ())
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

impl Seek<'_> {
    fn scalar<E: de::Error>(self) -> Result<(), E> {
        if self.steps.is_empty() { Err(self.stop()) } else { Ok(()) }
    }
}

/// Reads a key, and stops there where it is the one wanted.
struct KeySeek<'s> {
    want: &'s str,
    seek: Seek<'s>,
}

impl<'de> DeserializeSeed<'de> for KeySeek<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeek<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        if key == self.want { Err(self.seek.stop()) } else { Ok(key.to_owned()) }
    }
}
