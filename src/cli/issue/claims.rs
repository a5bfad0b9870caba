//! The claims of the command line: `--claims`, and over them `--sub` and `--claim`.
//!
//! Owns how claims are written as arguments. Decision: `name=value` is always a string and `name:=value` always
//! JSON, because a value that is guessed to be a number is a string's loss one day: `tenant=007`. A claim that
//! stands twice is refused: nobody could say which one counts.

use crate::claims::{self, Requested};
use crate::cli::args::{Arguments, usage};
use crate::cli::error::Error;
use crate::ground::text::quoted;
use crate::ground::{file, input};
use serde_json::{Map, Value};
use std::path::Path;

/// More claims than this make no token that anything accepts.
const MAX_BYTES: u64 = 1024 * 1024;

/// What the flags say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct ClaimFlags {
    /// `--claims`: JSON, `@FILE` or `-`.
    pub(in crate::cli) json: Option<String>,
    /// `--sub`
    pub(in crate::cli) sub: Option<String>,
    /// Each `--claim`, in their order.
    pub(in crate::cli) single: Vec<String>,
}

impl ClaimFlags {
    pub(super) fn read(arguments: &mut Arguments) -> Result<Self, Error> {
        let (json, sub) = (arguments.name("claims")?, arguments.name("sub")?);
        if json.as_deref() == Some("@") {
            return Err(usage("--claims: after `@` the name of a file is missing"));
        }
        Ok(Self { json, sub, single: arguments.texts("claim")? })
    }

    /// All of them together.
    pub(super) fn load(&self) -> Result<Requested, Error> {
        let mut all = match &self.json {
            None => Map::new(),
            Some(argument) => read(argument)?,
        };
        let sub = self.sub.as_ref().map(|name| Ok(("sub".to_owned(), Value::from(name.as_str()))));
        for claim in sub.into_iter().chain(self.single.iter().map(|text| single(text))) {
            let (name, value) = claim?;
            if all.contains_key(&name) {
                return Err(usage(format!("the claim `{name}` is given twice"))
                    .with_hint("leave one of them out of --claims, --sub and --claim"));
            }
            all.insert(name, value);
        }
        Requested::new(all).map_err(Error::Claims)
    }
}

/// `name=text` or `name:=json`
fn single(text: &str) -> Result<(String, Value), Error> {
    let expected = || {
        usage(format!("--claim: expected NAME=TEXT or NAME:=JSON, found {}", quoted("", text)))
            .with_hint("such as --claim edge_id=eu-west-7 or --claim 'roles:=[\"reader\"]'")
    };
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(expected)?;
    let Some(name) = name.strip_suffix(':') else { return Ok((name.to_owned(), value.into())) };
    if name.is_empty() {
        return Err(expected());
    }
    // Read as part of an object, by the one reader of claims; more than one value makes more than one member.
    let object = format!("{{{}:{value}}}", Value::from(name));
    let mut object = claims::read_object(object.as_bytes()).map_err(|error| {
        usage(format!("--claim {name}: {error}")).with_hint(format!("for a text: --claim '{name}=TEXT'"))
    })?;
    match object.remove(name) {
        Some(value) if object.is_empty() => Ok((name.to_owned(), value)),
        _ => Err(expected()),
    }
}

/// The object of `--claims`: the argument itself, or what it names.
fn read(argument: &str) -> Result<Map<String, Value>, Error> {
    let Some(path) = argument.strip_prefix('@').map(Path::new) else {
        let input = || {
            input::stdin("the claims", MAX_BYTES)
                .map_err(|source| Error::file("read", Path::new("-"), source))
        };
        let object = if argument == "-" {
            claims::read_object(&input()?)
        } else {
            claims::read_object(argument.as_bytes())
        };
        return object.map_err(Error::Claims);
    };
    let bytes = file::read(path, MAX_BYTES).map_err(|source| Error::file("read", path, source))?;
    claims::read_object(&bytes).map_err(|error| {
        let (text, path) = (error.to_string(), path.display());
        let place = text
            .rsplit_once(" at line ")
            .and_then(|(problem, at)| Some((problem, at.split_once(" column ")?)));
        usage(match place {
            Some((problem, (line, column))) => {
                format!("cannot take the claims: {path}:{line}:{column}: {problem}")
            }
            None => format!("cannot take the claims: {path}: {text}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::ClaimsError;

    #[test]
    fn a_claim_is_text_after_an_equals_sign_and_json_after_a_colon_as_well() {
        for (text, name, value) in [
            ("edge=007", "edge", r#""007""#),
            ("edge=", "edge", r#""""#),
            ("edge=a=b", "edge", r#""a=b""#),
            ("edge=a:=b", "edge", r#""a:=b""#),
            ("n:=7", "n", "7"),
            ("on:=true", "on", "true"),
            ("none:=null", "none", "null"),
            ("roles:=[\"a\", {\"b\": 1}]", "roles", r#"["a",{"b":1}]"#),
            ("urn:x=1", "urn:x", r#""1""#),
            ("urn:x:= 1 ", "urn:x", "1"),
        ] {
            let (read, read_value) = single(text).unwrap();
            assert_eq!((read.as_str(), read_value.to_string().as_str()), (name, value), "{text}");
        }
    }

    #[test]
    fn what_is_no_claim_is_refused_and_no_value_smuggles_another() {
        for (text, part) in [
            ("edge", "expected NAME=TEXT or NAME:=JSON, found `edge`"),
            ("=x", "expected NAME=TEXT"),
            (":=1", "expected NAME=TEXT"),
            ("n:=", "--claim n: not valid JSON"),
            ("n:=alice", "--claim n: not valid JSON"),
            ("n:=1,\"m\":2", "expected NAME=TEXT"),
            ("n:=1,\"n\":2", "--claim n: "),
            ("n:=1}", "--claim n: "),
        ] {
            let error = single(text).expect_err(text);
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(error.exit_code() == 2 && error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn a_claim_that_stands_twice_is_refused_whoever_gives_it() {
        let flags = |json: &str, sub: &str, single: &[&str]| ClaimFlags {
            json: Some(json.to_owned()).filter(|json| !json.is_empty()),
            sub: Some(sub.to_owned()).filter(|sub| !sub.is_empty()),
            single: single.iter().map(|text| (*text).to_owned()).collect(),
        };
        let names = |flags: &ClaimFlags| flags.load().unwrap().names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&flags("{\"a\": 1}", "alice", &["b=1", "c:=2"])), ["a", "b", "c", "sub"]);
        for twice in [
            flags("{\"sub\": \"alice\"}", "alice", &[]),
            flags("", "alice", &["sub=alice"]),
            flags("", "", &["a=1", "a:=2"]),
        ] {
            assert!(twice.load().unwrap_err().to_string().contains("is given twice"), "{twice:?}");
        }
        assert!(matches!(flags("", "", &["exp:=1"]).load(), Err(Error::Claims(ClaimsError::Reserved(..)))));
    }
}
