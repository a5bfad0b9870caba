//! A token as a program reads it: taken apart, its members found by name and held to their types.
//!
//! Owns what makes a token malformed. Decision: a program that reads JSON into fixed types refuses a whole
//! token for one member of the wrong type, so that each member it names is checked, whether it is used or not;
//! what comes out has each under the one name that the program knows it by.

use super::go;
use super::rules::{Field, Names, Rules, Shape};
use crate::claims::read_object;
use crate::diagnosis::claims::seconds;
use crate::diagnosis::unverified::{Malformed, Parts};
use crate::ground::diagnostic::{Diagnostic, Level, shortened};
use crate::ground::fold::folds_to;
use crate::key::base64url;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Go's encoding/json reads no deeper.
const MAX_DEPTH: usize = 10_000;

/// What a program reads, before it looks for a key.
pub(super) struct Token {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) bytes: usize,
}

impl Token {
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

/// Reads a token. What is odd about it goes to `say`.
pub(super) fn token(token: &str, rules: &Rules, say: &mut Vec<Diagnostic>) -> Result<Token, Malformed> {
    let Parts { header, payload, signature, .. } = Parts::split(token, |part| {
        if !rules.padding {
            return go::base64(part.as_bytes(), true, false);
        }
        // 2.8 adds the padding that is missing.
        let padding = part.len().next_multiple_of(4) - part.len();
        go::base64(format!("{part}{}", &"=="[..padding.min(2)]).as_bytes(), true, true)
    })?;
    let header_text = String::from_utf8_lossy(&header);
    let payload_text = String::from_utf8_lossy(&payload);
    let (header_names, header_fields) = rules.header;
    let mut reader = Reader { part: "header", rules, findings: Vec::new() };
    let (mut read_header, others) = reader.object(&header_text, header_names, header_fields)?;
    if rules.reads_whole_header {
        read_header.extend(reader.others(others));
    }
    reader.part = "payload";
    let (claims, _) = reader.object(&payload_text, rules.claims.0, rules.claims.1)?;
    say.append(&mut reader.findings);
    let as_it_stands = token.rsplit_once('.').map_or(token, |(signed, _)| signed).as_bytes().to_vec();
    let signed = match (rules.jose, read_header.get("b64")) {
        (false, _) => as_it_stands,
        (true, Some(Value::Bool(false))) => [base64url(&header).as_bytes(), b".", &payload].concat(),
        (true, _) => format!("{}.{}", base64url(&header), base64url(&payload)).into_bytes(),
    };
    Ok(Token { header: read_header, claims, signed, signature, bytes: token.len() })
}

struct Reader<'r> {
    part: &'static str,
    rules: &'r Rules,
    findings: Vec<Diagnostic>,
}

/// What a program finds in an object, and the members that it does not look for.
type Found<'j> = (Map<String, Value>, Vec<(String, &'j RawValue)>);

impl Reader<'_> {
    fn object<'j>(&mut self, json: &'j str, names: Names, fields: &[Field]) -> Result<Found<'j>, Malformed> {
        let part = self.part;
        let members = go::members(json).map_err(|error| {
            if error.is_data() {
                Malformed::NotObject(part)
            } else {
                Malformed::NotJson(part, error.to_string())
            }
        })?;
        if json.bytes().filter(|byte| b"[{".contains(byte)).count() > MAX_DEPTH {
            self.findings
                .push(Diagnostic::unknown("malformed", format!("the {part} may be nested too deep")));
        }
        let (mut found, mut others) = (Map::new(), Vec::new());
        for (index, (name, value)) in members.iter().enumerate() {
            if members.iter().take(index).any(|(earlier, _)| earlier == name) {
                self.twice(name);
            }
            let is = |known: &str| if names == Names::Folded { folds_to(name, known) } else { name == known };
            let Some((known, shape)) = fields.iter().find(|(known, _)| is(known)) else {
                others.push((name.clone(), *value));
                continue;
            };
            if name != known {
                self.findings.push(
                    Diagnostic::warning(
                        "letter-case",
                        format!("`{}` is read as `{known}`", shortened(name, 40)),
                    )
                    .why("the last one counts there; elsewhere it is a different name"),
                );
            }
            match self.member(value, *shape) {
                // A null leaves a text or a number as it was, and takes anything else away.
                Some(Value::Null) => {
                    if matches!(shape, Shape::Date | Shape::Texts | Shape::Access { .. }) {
                        found.remove(*known);
                    }
                }
                Some(value) => drop(found.insert((*known).to_owned(), value)),
                None => {
                    let (code, expected) = match shape {
                        Shape::Text => ("type", "a string"),
                        Shape::Texts => ("type", "a list of strings"),
                        Shape::Integer => ("type", "a whole number"),
                        Shape::Date => ("type", "a number"),
                        Shape::Audience { list: true } => ("audience-type", "a string or a list of strings"),
                        Shape::Audience { list: false } => ("audience-type", "one string"),
                        Shape::Access { .. } => ("type", "a list of {type, name, actions}"),
                        Shape::Any => ("malformed", "readable here"),
                    };
                    let value = shortened(value.get(), 40);
                    let what = format!("{part}: `{known}` is expected to be {expected}, found {value}");
                    self.findings.push(if *shape == Shape::Any {
                        Diagnostic::unknown(code, what)
                    } else {
                        Diagnostic::error(code, what)
                            .why("a member of the wrong type makes the whole token malformed")
                    });
                }
            }
        }
        Ok((found, others))
    }

    /// A member of this shape; `None` if it has another.
    fn member(&mut self, value: &RawValue, shape: Shape) -> Option<Value> {
        let json = value.get();
        let list = || serde_json::from_str::<Vec<&RawValue>>(json).ok();
        let text = |json: &str| if json == "null" { Some(String::new()) } else { go::text(json) };
        match shape {
            _ if json == "null" => Some(Value::Null),
            Shape::Text | Shape::Audience { list: false } => go::text(json).map(Value::String),
            Shape::Texts => list()?.into_iter().map(|item| text(item.get()).map(Value::String)).collect(),
            Shape::Integer => json.parse::<i64>().ok().map(Value::from),
            Shape::Date => {
                let number: Number = go::text(json).unwrap_or_else(|| json.to_owned()).parse().ok()?;
                // Read as a float, whatever it is.
                seconds(&number.as_f64()?.into()).map(Value::from)
            }
            Shape::Audience { list: true } => match list() {
                Some(items) => {
                    items.into_iter().map(|item| go::text(item.get()).map(Value::String)).collect()
                }
                None => go::text(json).map(Value::String),
            },
            Shape::Any => serde_json::from_str(json).ok(),
            Shape::Access { entry, null } => {
                let mut entries = Vec::new();
                for item in list()? {
                    let before = self.findings.len();
                    if item.get() != "null" {
                        entries.push(self.object(item.get(), self.rules.claims.0, entry).ok()?.0.into());
                    } else if !null {
                        return None;
                    }
                    let odd = self.findings.split_off(before);
                    if odd.iter().any(|finding| finding.code == "type") {
                        return None;
                    }
                    self.findings.extend(odd);
                }
                Some(Value::Array(entries))
            }
        }
    }

    /// The other members of a header, for a program that reads those too.
    fn others(&mut self, members: Vec<(String, &RawValue)>) -> Map<String, Value> {
        let mut read = Map::new();
        for (name, value) in members {
            if self.rules.jose
                && serde_json::from_str::<Value>(value.get()).is_ok()
                && read_object(format!("{{\"\":{}}}", value.get()).as_bytes()).is_err()
            {
                self.twice(&name);
            }
            let value =
                go::text(value.get()).map(Value::String).or_else(|| serde_json::from_str(value.get()).ok());
            if let Some(value) = value {
                read.insert(name, value);
            } else {
                let what = format!("the header's `{}` cannot be judged here", shortened(&name, 40));
                self.findings.push(Diagnostic::unknown("malformed", what));
            }
        }
        read
    }

    fn twice(&mut self, name: &str) {
        let level = if self.rules.jose { Level::Error } else { Level::Warning };
        let what = format!("the {}: the name `{}` appears twice", self.part, shortened(name, 40));
        let mut finding = Diagnostic::warning("twice", what);
        finding.level = level;
        self.findings.push(finding.why("the last one counts to some programs, and others refuse it"));
    }
}
