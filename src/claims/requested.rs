//! What a caller asks: a JSON object that holds none of the issuer's own claims.
//!
//! Owns the reading of untrusted claims. Decision: an object with one name twice is refused, because
//! readers differ on which of the two counts.

use super::{ISSUER_CLAIMS, check_members, check_name};
use crate::ground::json::{self, JsonError};
use crate::policy::scope::{self, Scope, ScopeError};
use serde_json::{Map, Value};
use std::fmt;

/// Whom a token is for that names nobody.
pub const UNKNOWN_USER: &str = "unknown";

/// The longest name of a user in a token, in bytes: an index of PostgreSQL holds no entry of more than 2,700.
const MAX_USER_BYTES: usize = 1024;

/// Claims that a caller asks for: untrusted, but well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Requested(Map<String, Value>);

/// Why claims cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimsError {
    /// Not JSON, or a name twice.
    Json(String),
    /// JSON, but no object.
    NotAnObject,
    /// A claim that only the issuer sets, and what sets it.
    Reserved(&'static str, &'static str),
    /// A claim that registries take for an owned one, which stands beside it.
    Disguised(String, &'static str),
    /// Two names of one object that registries take for one.
    Alike(String, String),
    /// A number that readers round.
    Number(String),
    /// A claim of the wrong type: its name and what was expected.
    Type(&'static str, &'static str),
    /// The `scope` or `access` claim holds something that is no scope.
    Scope(ScopeError),
    /// The payload cannot be written.
    Write(String),
}

impl fmt::Display for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimsError::Json(problem) => write!(f, "not valid JSON: {problem}"),
            ClaimsError::NotAnObject => f.write_str("expected a JSON object such as {\"sub\": \"alice\"}"),
            ClaimsError::Reserved(name, setter) => {
                write!(f, "the claim `{name}` may not be asked for: {setter}")
            }
            ClaimsError::Disguised(name, owned) => {
                write!(f, "the claim `{name}` is `{owned}` to programs that ignore letter case")
            }
            ClaimsError::Alike(one, other) => {
                write!(f, "`{one}` and `{other}` are the same name to programs that ignore letter case")
            }
            ClaimsError::Number(number) => {
                write!(f, "the number {number} is too large to be read exactly: put it in quotes")
            }
            ClaimsError::Type(name, expected) => write!(f, "the claim `{name}`: expected {expected}"),
            ClaimsError::Scope(error) => error.fmt(f),
            ClaimsError::Write(problem) => write!(f, "the claims cannot be written: {problem}"),
        }
    }
}

impl std::error::Error for ClaimsError {}

impl Requested {
    /// Takes an object; refuses the issuer's own claims, what programs would read differently, and a `sub`
    /// that is no string (RFC 7519, 4.1.2).
    pub fn new(claims: Map<String, Value>) -> Result<Self, ClaimsError> {
        if let Some((name, setter)) = ISSUER_CLAIMS.into_iter().find(|(name, _)| claims.contains_key(*name)) {
            return Err(ClaimsError::Reserved(name, setter));
        }
        claims.keys().try_for_each(|name| check_name(name))?;
        check_members(&claims)?;
        if claims.get("sub").is_some_and(|value| !value.is_string()) {
            return Err(ClaimsError::Type("sub", "a string"));
        }
        Ok(Self(claims))
    }

    /// `sub`, else `user`, else [`UNKNOWN_USER`]; an empty name is none.
    pub fn user(&self) -> Result<&str, ClaimsError> {
        let named = |name| match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(user)) if user.len() > MAX_USER_BYTES => {
                Err(ClaimsError::Type(name, "a string of at most 1024 bytes"))
            }
            Some(Value::String(user)) => Ok(Some(user.as_str()).filter(|user| !user.is_empty())),
            Some(_) => Err(ClaimsError::Type(name, "a string")),
        };
        Ok(match named("sub")? {
            Some(user) => user,
            None => named("user")?.unwrap_or(UNKNOWN_USER),
        })
    }

    /// Whether it names this user or nobody: each of `sub` and `user` is their name, empty, or not there.
    pub fn is_about(&self, user: &str) -> bool {
        let names = |name| match self.0.get(name) {
            None => true,
            Some(value) => value.as_str().is_some_and(|named| named.is_empty() || named == user),
        };
        names("sub") && names("user")
    }

    /// The names of the claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What the `scope` and `access` claims ask together; `None` where neither is there.
    pub fn scopes(&self) -> Result<Option<Vec<Scope>>, ClaimsError> {
        let (scope, access) = (self.0.get("scope"), self.0.get("access"));
        if scope.is_none() && access.is_none() {
            return Ok(None);
        }
        let text = match scope {
            None => "",
            Some(scope) => {
                scope.as_str().ok_or(ClaimsError::Type("scope", "a string of scopes separated by spaces"))?
            }
        };
        let mut scopes = scope::parse_all([text]).map_err(ClaimsError::Scope)?;
        for entry in access.map(access_entries).transpose()?.unwrap_or_default() {
            scope::merge(&mut scopes, entry).map_err(ClaimsError::Scope)?;
        }
        Ok(Some(scopes))
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

fn access_entries(access: &Value) -> Result<Vec<Scope>, ClaimsError> {
    const WRONG: ClaimsError = ClaimsError::Type("access", "a list of {\"type\", \"name\", \"actions\"}");
    let list = access.as_array().ok_or(WRONG)?;
    if list.len() > scope::MAX_SCOPES {
        return Err(ClaimsError::Scope(ScopeError::TooMany));
    }
    let entry = |entry: &Value| {
        let text = |name| entry.get(name).and_then(Value::as_str).ok_or(WRONG);
        let actions = entry.get("actions").and_then(Value::as_array).ok_or(WRONG)?;
        let actions: Vec<&str> =
            actions.iter().map(|action| action.as_str().ok_or(WRONG)).collect::<Result<_, _>>()?;
        Scope::new(text("type")?, text("name")?, actions.into_iter()).map_err(ClaimsError::Scope)
    };
    list.iter().map(entry).collect()
}

/// Reads one JSON object, whole, and refuses a name that stands twice in an object at any depth.
pub fn read_object(json: &[u8]) -> Result<Map<String, Value>, ClaimsError> {
    json::object(json).map_err(|error| match error {
        JsonError::Malformed(problem) => ClaimsError::Json(problem),
        JsonError::NotAnObject => ClaimsError::NotAnObject,
    })
}

/// A number without a fraction, however it is written: `900`, `900.0` and `9e2` are one number (RFC 8259, 6).
pub fn whole_number(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    #[allow(clippy::cast_possible_truncation, reason = "it is whole, and far from the bounds")]
    let from_float = |n: f64| (n.fract() == 0.0 && n.abs() < EXACT).then_some(n as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(from_float))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(json: &str) -> Result<Requested, ClaimsError> {
        Requested::new(read_object(json.as_bytes())?)
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for (text, whole) in [
            ("900", Some(900)),
            ("900.0", Some(900)),
            ("9e2", Some(900)),
            ("-1.0", Some(-1)),
            ("0.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e16", None),
            ("\"900\"", None),
            ("null", None),
        ] {
            assert_eq!(whole_number(&serde_json::from_str(text).unwrap()), whole, "{text}");
        }
    }

    #[test]
    fn the_issuer_s_claims_are_refused_by_name() {
        for (name, setter) in ISSUER_CLAIMS {
            let error = requested(&format!("{{\"{name}\": 1}}")).unwrap_err();
            assert_eq!(error, ClaimsError::Reserved(name, setter));
        }
    }

    #[test]
    fn what_is_no_object_or_ambiguous_is_refused() {
        for (json, part) in [
            ("", "not valid JSON"),
            ("[]", "expected a JSON object"),
            ("{", "not valid JSON"),
            ("{} {}", "trailing characters"),
            (r#"{"sub":"alice","sub":"bob"}"#, "the name `sub` appears twice"),
            (r#"{"a":{"b":1,"b":2}}"#, "the name `b` appears twice"),
            (r#"{"a":[{"b":1,"b":2}]}"#, "the name `b` appears twice"),
            (r#"{"sub":7}"#, "the claim `sub`: expected a string"),
            (&format!("{}{}", "[".repeat(500), "]".repeat(500)), "recursion limit"),
        ] {
            let error = requested(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn the_user_is_sub_else_user_else_unknown() {
        for (json, user) in [
            (r#"{"sub":"a","user":"b"}"#, "a"),
            (r#"{"user":"b"}"#, "b"),
            (r#"{"sub":"","user":"b"}"#, "b"),
            ("{}", "unknown"),
        ] {
            assert_eq!(requested(json).unwrap().user(), Ok(user), "{json}");
        }
        let number = requested(r#"{"user":7}"#).unwrap();
        assert_eq!(number.user(), Err(ClaimsError::Type("user", "a string")));
        for (bytes, fits) in [(1024, true), (1025, false)] {
            for name in ["sub", "user"] {
                let named = requested(&format!(r#"{{"{name}":"{}"}}"#, "x".repeat(bytes))).unwrap();
                assert_eq!(named.user().is_ok(), fits, "{name} of {bytes} bytes");
            }
        }
    }

    #[test]
    fn it_is_about_a_user_if_it_names_no_other() {
        for (json, about) in [
            ("{}", true),
            (r#"{"sub":"alice"}"#, true),
            (r#"{"user":"alice"}"#, true),
            (r#"{"sub":"","user":"alice"}"#, true),
            (r#"{"sub":"bob"}"#, false),
            (r#"{"sub":"Alice"}"#, false),
            (r#"{"sub":"alice","user":"bob"}"#, false),
            (r#"{"sub":"alice","user":["alice"]}"#, false),
        ] {
            assert_eq!(requested(json).unwrap().is_about("alice"), about, "{json}");
        }
    }

    #[test]
    fn scope_and_access_are_asked_together() {
        let asked = |json: &str| {
            requested(json).unwrap().scopes().map(|scopes| scopes.map(|list| scope::join(&list)))
        };
        assert_eq!(asked("{}"), Ok(None));
        assert_eq!(asked(r#"{"scope":""}"#), Ok(Some(String::new())));
        assert_eq!(
            asked(
                r#"{"scope":"repository:a:pull","access":[{"type":"repository","name":"a","actions":["push"]}]}"#
            ),
            Ok(Some("repository:a:pull,push".to_owned()))
        );
        for (json, error) in [
            (r#"{"scope":"controller:read"}"#, ClaimsError::Scope(ScopeError::Parts)),
            (r#"{"scope":["a"]}"#, ClaimsError::Type("scope", "a string of scopes separated by spaces")),
            (r#"{"access":{}}"#, ClaimsError::Type("access", "a list of {\"type\", \"name\", \"actions\"}")),
            (
                r#"{"access":[{"type":"repository"}]}"#,
                ClaimsError::Type("access", "a list of {\"type\", \"name\", \"actions\"}"),
            ),
        ] {
            assert_eq!(asked(json), Err(error), "{json}");
        }
    }
}
