//! Patterns for repository names: `*` within a path segment, `**` across segments, `${user}`.
//!
//! Owns the pattern language and its matching. Must not know policies. Decision: a pattern may hold only
//! what a repository name may hold (and wildcards), so that one which could never match is an error when
//! it is loaded, not a silent hole; and `${user}` is matched as text, never read as a pattern, so that a
//! user named `*` gets no more than a user named `x`.

use std::fmt;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(Box<str>),
    /// `*`: any run of characters without `/`, also none.
    Segment,
    /// `**`: any run of characters, also none.
    Any,
    /// `${user}`: the asking user's name, where that is one path segment.
    User,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobError {
    /// Nothing at all.
    Empty,
    /// Longer than a repository name can be, in bytes.
    TooLong,
    /// A character that no repository name has.
    Character(char),
    /// A `/` at an end, or two in a row.
    EmptySegment,
    /// `${...}` of something other than `user`.
    Variable(String),
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GlobError::Empty => f.write_str("the pattern is empty"),
            GlobError::TooLong => write!(f, "the pattern is longer than {MAX_BYTES} bytes"),
            GlobError::Character(found) => {
                write!(
                    f,
                    "no repository name has the character {found:?}: names are made of a-z, 0-9, '.', '_', '-' and '/'"
                )
            }
            GlobError::EmptySegment => {
                f.write_str("a '/' at the beginning or end, or two in a row, matches no repository name")
            }
            GlobError::Variable(name) => write!(f, "unknown variable ${{{name}}}, only ${{user}} is known"),
        }
    }
}

impl std::error::Error for GlobError {}

const MAX_BYTES: usize = 255;

impl Glob {
    /// Compiles a pattern.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(GlobError::TooLong);
        }
        if text.split('/').any(str::is_empty) {
            return Err(GlobError::EmptySegment);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("**") {
                parts.push(Part::Any);
                rest = after.trim_start_matches('*');
            } else if let Some(after) = rest.strip_prefix('*') {
                parts.push(Part::Segment);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(GlobError::Character('$'));
                };
                if name != "user" {
                    return Err(GlobError::Variable(name.to_owned()));
                }
                parts.push(Part::User);
                rest = after;
            } else {
                let end = rest.find(|c| !is_name_character(c)).unwrap_or(rest.len());
                if end == 0 {
                    return Err(GlobError::Character(first));
                }
                let (text, after) = rest.split_at(end);
                parts.push(Part::Text(text.into()));
                rest = after;
            }
        }
        Ok(Self { parts: parts.into() })
    }

    /// Whether the whole of `name` fits, asked by `user`.
    ///
    /// Time is bounded by the product of the two lengths squared at worst, and both are at most 255.
    pub fn matches(&self, name: &str, user: &str) -> bool {
        matches(&self.parts, name.as_bytes(), user)
    }

    /// The one name that fits, for `user`; `None` where a wildcard leaves it open.
    pub fn literal(&self, user: &str) -> Option<String> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::User if is_segment(user) => name.push_str(user),
                Part::User | Part::Segment | Part::Any => return None,
            }
        }
        Some(name)
    }
}

/// Matches parts against bytes, remembering for each kind of wildcard the last place to try again from.
///
/// On a mismatch the latest `*` takes one more byte unless that is a `/`; failing that, the latest `**`
/// does, which forgets any later `*`. An earlier wildcard of the same kind never needs a second try: the
/// later one can take up whatever it could have.
fn matches(parts: &[Part], name: &[u8], user: &str) -> bool {
    let (mut part, mut at) = (0, 0);
    let mut segment: Option<(usize, usize)> = None;
    let mut any: Option<(usize, usize)> = None;
    loop {
        let advanced = match parts.get(part) {
            None => at == name.len(),
            Some(Part::Segment) => {
                segment = Some((part + 1, at));
                true
            }
            Some(Part::Any) => {
                any = Some((part + 1, at));
                segment = None;
                true
            }
            Some(Part::Text(text)) => take(name, &mut at, text),
            Some(Part::User) => is_segment(user) && take(name, &mut at, user),
        };
        if advanced {
            if part == parts.len() {
                return true;
            }
            part += 1;
            continue;
        }
        if let Some((next, from)) = segment
            && name.get(from).is_some_and(|byte| *byte != b'/')
        {
            segment = Some((next, from + 1));
            (part, at) = (next, from + 1);
        } else if let Some((next, from)) = any
            && from < name.len()
        {
            any = Some((next, from + 1));
            segment = None;
            (part, at) = (next, from + 1);
        } else {
            return false;
        }
    }
}

fn take(name: &[u8], at: &mut usize, text: &str) -> bool {
    let fits = name.get(*at..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
    if fits {
        *at += text.len();
    }
    fits
}

fn is_name_character(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/')
}

/// A user's name may stand for `${user}` only where it is one whole path segment: one that held a `/`
/// would reach into another user's space.
fn is_segment(user: &str) -> bool {
    !user.is_empty() && user.chars().all(|c| is_name_character(c) && c != '/')
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Segment => f.write_str("*"),
            Part::Any => f.write_str("**"),
            Part::User => f.write_str("${user}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stays_in_its_segment_and_two_stars_cross() {
        for (pattern, name, fits) in [
            ("app", "app", true),
            ("app", "apps", false),
            ("app", "a", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/*", "a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**", "ab/c", false),
            ("**", "a/b/c", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*-api", "app-api", true),
            ("*-api", "app-api-api", true),
            ("*-api", "app-apis", false),
            ("*/b/*", "a/b/c", true),
            ("*/b/*", "a/x/b/c", false),
            ("**/b/*", "a/x/b/c", true),
            ("**/b/*", "a/x/b/c/d", false),
            ("**/b/**/c", "a/b/x/y/c", true),
            ("**a*b/c", "xa/yab/c", true),
            ("*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("a***", "a/b", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(name, "u"), fits, "{pattern} ~ {name}");
        }
    }

    /// The obvious matcher, exponential and plainly right.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=name.len()).any(|n| naive(rest, &name[n..])),
            [b'*', rest @ ..] => {
                (0..=name.len()).take_while(|n| !name[..*n].contains(&b'/')).any(|n| naive(rest, &name[n..]))
            }
            [first, rest @ ..] => name.first() == Some(first) && naive(rest, &name[1..]),
        }
    }

    #[test]
    fn agrees_with_the_obvious_matcher_on_every_short_pattern_and_name() {
        let words = |alphabet: &[u8], longest: usize| {
            let mut words = vec![Vec::new()];
            let mut from = 0;
            for _ in 0..longest {
                let to = words.len();
                for at in from..to {
                    for c in alphabet {
                        let mut word = words[at].clone();
                        word.push(*c);
                        words.push(word);
                    }
                }
                from = to;
            }
            words.into_iter().filter_map(|word| String::from_utf8(word).ok()).collect::<Vec<_>>()
        };
        let names = words(b"ab/", 5);
        let mut compared = 0;
        for pattern in words(b"a*/", 6) {
            let Ok(glob) = Glob::new(&pattern) else { continue };
            if pattern.contains("***") {
                continue;
            }
            for name in &names {
                compared += 1;
                assert_eq!(
                    glob.matches(name, "u"),
                    naive(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} ~ {name}"
                );
            }
        }
        assert!(compared > 50_000, "{compared}");
    }

    #[test]
    fn user_is_text_and_one_segment() {
        let glob = Glob::new("${user}/**").unwrap();
        for (user, name, fits) in [
            ("alice", "alice/app", true),
            ("alice", "bob/app", false),
            ("*", "bob/app", false),
            ("bob/private", "bob/private/app", false),
            ("", "/app", false),
            ("Alice", "Alice/app", false),
        ] {
            assert_eq!(glob.matches(name, user), fits, "{user}: {name}");
        }
        assert_eq!(Glob::new("${user}/app").unwrap().literal("alice").as_deref(), Some("alice/app"));
        assert_eq!(Glob::new("${user}/app").unwrap().literal("a/b"), None);
        assert_eq!(glob.literal("alice"), None);
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for (pattern, error) in [
            ("", GlobError::Empty),
            ("/a", GlobError::EmptySegment),
            ("a/", GlobError::EmptySegment),
            ("a//b", GlobError::EmptySegment),
            ("App", GlobError::Character('A')),
            ("a b", GlobError::Character(' ')),
            ("a?", GlobError::Character('?')),
            ("a/[ab]", GlobError::Character('[')),
            ("$user/x", GlobError::Character('$')),
            ("${user/x", GlobError::Character('$')),
            ("${group}", GlobError::Variable("group".into())),
        ] {
            assert_eq!(Glob::new(pattern), Err(error), "{pattern}");
        }
        assert_eq!(Glob::new(&"a".repeat(256)), Err(GlobError::TooLong));
    }
}
