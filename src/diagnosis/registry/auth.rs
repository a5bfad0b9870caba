//! Which kind of authentication a registry ends up with: its file's `auth` and the `REGISTRY_AUTH*` variables
//! over it.
//!
//! Owns the rules of distribution's configuration parser (configuration/{parser,configuration}.go), of 2.8.2 and
//! 3.1.1. Must not know what the options mean. Decision: its steps are taken one by one, in its order, since no
//! shorter rule says when a variable replaces a section, adds a second type to it, or stops the registry.

use crate::ground::document::Document;
use crate::ground::finding::shortened;
use serde_json::{Map, Value};
use std::path::Path;

/// Types of authentication with their options; a mapping, or null.
pub(super) type Auth = Map<String, Value>;

/// The file's `auth`, or why the registry does not start with it.
pub(super) fn of_value(auth: Value) -> Result<Auth, String> {
    match auth {
        Value::Null => Ok(Map::new()),
        Value::Object(types) if types.len() > 1 => {
            Err(format!("`auth` names {} types, and only one is allowed", types.len()))
        }
        Value::Object(types) => {
            match types.iter().find(|(_, options)| !options.is_null() && !options.is_object()) {
                Some((name, _)) => Err(format!("`auth.{}` is not a mapping of options", shortened(name, 40))),
                None => Ok(types),
            }
        }
        Value::Array(_) => Err("`auth` is a list".to_owned()),
        Value::String(name) => Ok(Auth::from_iter([(name, Map::new().into())])),
        scalar => Ok(Auth::from_iter([(scalar.to_string(), Map::new().into())])),
    }
}

/// Lays the variables over it, sorted by name as the registry does.
pub(super) fn overlay(mut auth: Auth, variables: &[(String, String)]) -> Result<Auth, String> {
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort();
    for (name, value) in variables {
        let Some(path) = name.strip_prefix("REGISTRY_AUTH") else { continue };
        let path: Vec<&str> = path.split('_').collect();
        let outcome = match path[..] {
            [""] => yaml(value).and_then(of_value).map(|replaced| auth = replaced),
            ["", ref path @ ..] => set_type(&mut auth, path, value),
            _ => Ok(()),
        };
        outcome.map_err(|problem| {
            let name = shortened(name, 60);
            match name.as_str() {
                "REGISTRY_AUTH_FILE" => format!("{name} is skopeo's, and to the registry {problem}"),
                _ => format!("{name}: {problem}"),
            }
        })?;
    }
    Ok(auth)
}

/// A type as a whole, or one of its options.
fn set_type(auth: &mut Auth, path: &[&str], value: &str) -> Result<(), String> {
    let [name, option @ ..] = path else { return Ok(()) };
    if option.is_empty() {
        let options = match yaml(value)? {
            Value::Null => Map::new(),
            Value::Object(options) => options,
            _ => return Err("it is not a mapping of options".to_owned()),
        };
        auth.insert(name.to_lowercase(), options.into());
        return Ok(());
    }
    let known = auth.iter_mut().find(|(known, _)| known.to_uppercase() == *name);
    if let Some((_, Value::Object(options))) = known {
        return set_option(options, option, value);
    }
    let mut options = Map::new();
    set_option(&mut options, option, value)?;
    auth.insert(name.to_lowercase(), options.into());
    Ok(())
}

fn set_option(options: &mut Map<String, Value>, path: &[&str], value: &str) -> Result<(), String> {
    let [name, deeper @ ..] = path else { return Ok(()) };
    let known = options.iter_mut().find(|(known, value)| known.to_uppercase() == *name && !value.is_null());
    match (known, deeper) {
        (_, []) => drop(options.insert(name.to_lowercase(), yaml(value)?)),
        // 3 fails where it would have to add to a list; other values stay as they are.
        (Some((_, list @ Value::Array(_))), [place, ..]) => {
            let there = place.parse().is_ok_and(|place: usize| list.get(place).is_some());
            if !there {
                *list = Value::Bool(false);
            }
        }
        (Some(_), _) => {}
        (None, _) => {
            let mut inner = Map::new();
            set_option(&mut inner, deeper, value)?;
            options.insert(name.to_lowercase(), inner.into());
        }
    }
    Ok(())
}

/// A variable's value, which is YAML 1.1.
fn yaml(text: &str) -> Result<Value, String> {
    if matches!(text.trim(), "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::Null);
    }
    let document = Document::parse(Path::new("its value"), text.to_owned());
    let value = document.and_then(|document| document.root().json()).map_err(|error| error.to_string())?;
    Ok(match value {
        Value::String(word) if word == text.trim() && is_no_text(&word) => Value::Bool(true),
        value => value,
    })
}

/// What YAML 1.1 takes for a truth or a number, and 1.2 for text.
fn is_no_text(word: &str) -> bool {
    let digits = word.replace('_', "");
    let truths = ["y", "n", "yes", "no", "on", "off"];
    let radix = ["0b", "0o", "0x"].iter().any(|prefix| digits.starts_with(prefix) && digits.len() > 2);
    truths.iter().any(|truth| *word == **truth || *word == truth.to_uppercase() || capital(truth) == word)
        || digits.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && (digits.parse::<f64>().is_ok() || radix && digits[2..].bytes().all(|b| b.is_ascii_hexdigit()))
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
