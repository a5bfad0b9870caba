//! Claims that the configuration takes out of a request: from its query, its body or its header fields.
//!
//! Owns the form of the sources and how claims are put together from them. Must not know HTTP: whoever has
//! the request hands in how its texts are found. Decision: a mapped claim comes from its source alone. What a
//! caller sends under its name is passed over, so that leaving out a header does not open another way in; and
//! all of it goes through the same gate as what callers ask for, because it is no more than that.

use serde_json::{Map, Value};
use std::fmt;

/// The deepest path into a body.
const MAX_DEPTH: usize = 16;

/// Parts of the names of header fields that hold secrets: a claim is readable to whoever sees the token.
const SECRET_HEADERS: [&str; 9] =
    ["authorization", "cookie", "token", "secret", "password", "credential", "api-key", "apikey", "session"];

/// Which claims come from where, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimMapping(Vec<Rule>);

/// One claim and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The claim.
    pub claim: String,
    /// Where its value comes from.
    pub source: Source,
    /// Whether a request without that value is refused; otherwise it is left out.
    pub required: bool,
}

/// Where a claim's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `$.query.NAME`: a parameter of the query, decoded, as text.
    Query(String),
    /// `$.header.NAME`: a header field, as text.
    Header(String),
    /// `$.body.NAME.NAME`: a value in the body, of whatever type.
    Body(Vec<String>),
    /// The same in every token.
    Literal(Value),
}

impl Source {
    /// Reads a text: a path if it begins with `$`, and otherwise itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(path) = text.strip_prefix('$') else { return Ok(Source::Literal(text.into())) };
        let parts = path.strip_prefix('.').and_then(|path| path.split_once('.'));
        match parts {
            Some(("query", name)) => query(name),
            Some(("header", name)) => header(name),
            Some(("body", names)) => body(names),
            _ => Err("expected $.query.NAME, $.header.NAME or $.body.NAME, with more names after dots"),
        }
    }
}

fn query(name: &str) -> Result<Source, &'static str> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("expected the name of a parameter after $.query.");
    }
    Ok(Source::Query(name.to_owned()))
}

fn body(names: &str) -> Result<Source, &'static str> {
    let plain = |c: char| c.is_alphanumeric() || "_-:/@".contains(c);
    let names: Vec<String> = names.split('.').map(str::to_owned).collect();
    if names.iter().any(|name| name.is_empty() || !name.chars().all(plain)) {
        return Err("expected names of letters, digits and _ - : / @ with dots between them");
    }
    if names.len() > MAX_DEPTH {
        return Err("goes deeper than 16 names");
    }
    Ok(Source::Body(names))
}

/// A header field's name (RFC 9110, 5.6.2), if what it holds may be shown.
fn header(name: &str) -> Result<Source, &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("expected the name of a header field after $.header.");
    }
    let small = name.to_ascii_lowercase();
    if SECRET_HEADERS.iter().any(|part| small.contains(part)) {
        return Err("such a header field holds a secret, and whoever sees the token could read it");
    }
    Ok(Source::Header(name.to_owned()))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Query(name) => write!(f, "$.query.{name}"),
            Source::Header(name) => write!(f, "$.header.{name}"),
            Source::Body(names) => write!(f, "$.body.{}", names.join(".")),
            Source::Literal(value) => value.fmt(f),
        }
    }
}

/// A value that a request should have had otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    /// The source, as the configuration writes it.
    source: String,
    /// What is wrong with it.
    problem: &'static str,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.problem)
    }
}

impl std::error::Error for MappingError {}

/// A text of a request, where it has one of that name; or what is wrong with it.
pub type Text = Result<Option<String>, &'static str>;

impl ClaimMapping {
    /// A mapping of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters of the query that it looks at.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|rule| match &rule.source {
            Source::Query(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The claims of a request: its body's, and over them what is mapped. Empty texts and `null` count as
    /// missing.
    pub fn apply(
        &self,
        mut body: Map<String, Value>,
        query: impl Fn(&str) -> Text,
        header: impl Fn(&str) -> Text,
    ) -> Result<Map<String, Value>, MappingError> {
        let mut mapped = Vec::with_capacity(self.0.len());
        for Rule { claim, source, required } in &self.0 {
            let fail = |problem| MappingError { source: source.to_string(), problem };
            let text = |text: Text| text.map(|text| text.filter(|text| !text.is_empty()).map(Value::String));
            let value = match source {
                Source::Query(name) => text(query(name)).map_err(fail)?,
                Source::Header(name) => text(header(name)).map_err(fail)?,
                Source::Body(names) => value_at(&body, names).filter(|value| !value.is_null()).cloned(),
                Source::Literal(value) => Some(value.clone()),
            };
            if value.is_none() && *required {
                return Err(fail("is missing in the request"));
            }
            mapped.push((claim, value));
        }
        for (claim, value) in mapped {
            match value {
                Some(value) => body.insert(claim.clone(), value),
                None => body.remove(claim),
            };
        }
        Ok(body)
    }
}

fn value_at<'v>(body: &'v Map<String, Value>, names: &[String]) -> Option<&'v Value> {
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(body.get(first)?, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_source_is_a_path_or_itself() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (text, source) in [
            ("edge", Source::Literal("edge".into())),
            ("", Source::Literal("".into())),
            ("a $.query.b", Source::Literal("a $.query.b".into())),
            ("$.query.edge", Source::Query("edge".into())),
            ("$.query.a.b[0]", Source::Query("a.b[0]".into())),
            ("$.header.X-Edge-Id", Source::Header("X-Edge-Id".into())),
            ("$.body.edge", Source::Body(names(&["edge"]))),
            ("$.body.device.site:id", Source::Body(names(&["device", "site:id"]))),
        ] {
            assert_eq!(Source::parse(text).as_ref(), Ok(&source), "{text}");
            assert!(matches!(source, Source::Literal(_)) || source.to_string() == text);
        }
        for (text, part) in [
            ("$", "expected $.query.NAME"),
            ("$5", "expected $.query.NAME"),
            ("$.", "expected $.query.NAME"),
            ("$.body", "expected $.query.NAME"),
            ("$query.a", "expected $.query.NAME"),
            ("$.Query.a", "expected $.query.NAME"),
            ("$.cookie.a", "expected $.query.NAME"),
            ("$.query.", "the name of a parameter"),
            ("$.query.a b", "the name of a parameter"),
            ("$.body.", "names of letters"),
            ("$.body.a..b", "names of letters"),
            ("$.body.a[0]", "names of letters"),
            ("$.body.*", "names of letters"),
            ("$.header.", "the name of a header field"),
            ("$.header.X Edge", "the name of a header field"),
            ("$.header.X-\u{fc}", "the name of a header field"),
            ("$.header.Authorization", "holds a secret"),
            ("$.header.PROXY-AUTHORIZATION", "holds a secret"),
            ("$.header.cookie", "holds a secret"),
            ("$.header.Set-Cookie2", "holds a secret"),
            ("$.header.X-Auth-Token", "holds a secret"),
            ("$.header.X-Api-Key", "holds a secret"),
            ("$.header.X-Forwarded-Access-Token", "holds a secret"),
        ] {
            let problem = Source::parse(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        }
        assert!(Source::parse(&format!("$.body{}", ".a".repeat(16))).is_ok());
        assert!(Source::parse(&format!("$.body{}", ".a".repeat(17))).is_err());
    }

    fn mapping(rules: &[(&str, &str, bool)]) -> ClaimMapping {
        let rule = |(claim, source, required): &(&str, &str, bool)| Rule {
            claim: (*claim).to_owned(),
            source: Source::parse(source).unwrap(),
            required: *required,
        };
        ClaimMapping::new(rules.iter().map(rule).collect())
    }

    fn applied(rules: &[(&str, &str, bool)], body: Value) -> Result<Value, String> {
        let Value::Object(body) = body else { panic!("no object") };
        let query = |name: &str| match name {
            "edge" => Ok(Some("7".to_owned())),
            "empty" => Ok(Some(String::new())),
            "twice" => Err("is given twice"),
            _ => Ok(None),
        };
        let header = |name: &str| Ok((name == "X-Site").then(|| "north".to_owned()));
        mapping(rules).apply(body, query, header).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn types_are_kept_and_what_is_missing_is_left_out() {
        let body = json!({ "a": { "n": 1.5, "t": true, "l": [1, "x"], "o": { "k": 0 }, "z": null }, "b": 1 });
        let rules = [
            ("edge", "$.query.edge", true),
            ("site", "$.header.X-Site", false),
            ("n", "$.body.a.n", false),
            ("t", "$.body.a.t", false),
            ("l", "$.body.a.l", true),
            ("o", "$.body.a.o", false),
            ("fixed", "yes", true),
            ("m1", "$.query.none", false),
            ("m2", "$.query.empty", false),
            ("m3", "$.header.X-None", false),
            ("m4", "$.body.a.z", false),
            ("m5", "$.body.b.c", false),
            ("m6", "$.body.a.l.0", false),
        ];
        let expected = json!({
            "a": body["a"], "b": 1, "edge": "7", "site": "north", "n": 1.5, "t": true, "l": [1, "x"],
            "o": { "k": 0 }, "fixed": "yes",
        });
        assert_eq!(applied(&rules, body), Ok(expected));
    }

    #[test]
    fn a_mapped_claim_comes_from_its_source_alone() {
        let rules = [("role", "$.header.X-None", false), ("a", "$.body.b", false), ("b", "$.body.a", false)];
        assert_eq!(
            applied(&rules, json!({ "role": "admin", "a": 1, "b": 2 })),
            Ok(json!({ "a": 2, "b": 1 })),
            "each source is looked at in the request as it came"
        );
    }

    #[test]
    fn what_is_required_or_cannot_be_told_is_refused() {
        for (source, required, said) in [
            ("$.query.none", true, "$.query.none is missing in the request"),
            ("$.query.empty", true, "$.query.empty is missing in the request"),
            ("$.header.X-None", true, "$.header.X-None is missing in the request"),
            ("$.body.a.b", true, "$.body.a.b is missing in the request"),
            ("$.query.twice", false, "$.query.twice is given twice"),
        ] {
            assert_eq!(applied(&[("c", source, required)], json!({ "a": 1 })), Err(said.to_owned()));
        }
    }
}
