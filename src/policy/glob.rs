//! Patterns for repository names: `*` within a path segment, `**` across segments, `${user}`.
//!
//! Owns the pattern language, its matching, and how far a name is from a pattern. Must not know policies.
//! Decision: a pattern may hold only what a repository name may hold (and wildcards), so that one which
//! could never match is an error when it is loaded, not a silent hole; and `${user}` is matched as text,
//! never read as a pattern, so that a user named `*` gets no more than a user named `x`. A checked pattern
//! is its own text, read anew each time: 100,000 users' patterns cost their text and nothing else.

use std::fmt;

/// A checked pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Glob<'p>(&'p str);

/// Several checked patterns in one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globs {
    /// Separated by spaces, which no pattern holds.
    texts: Box<str>,
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy)]
enum Part<'p> {
    Text(&'p str),
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
    /// What fits for one user fits for another, too.
    SharedUser,
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
            GlobError::SharedUser => f.write_str(
                "it fits for one user what is another's: write ${user}/** or team/${user}-app/*, without a `*` in the segment of ${user} and without `**` on both sides of it",
            ),
        }
    }
}

impl std::error::Error for GlobError {}

const MAX_BYTES: usize = 255;

const USER: &str = "${user}";

impl<'p> Glob<'p> {
    /// Checks a pattern.
    pub fn new(text: &'p str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(GlobError::TooLong);
        }
        if text.split('/').any(str::is_empty) {
            return Err(GlobError::EmptySegment);
        }
        let mut rest = text;
        while let Some(at) = rest.find(|c| !is_name_character(c) && c != '*') {
            let (_, bad) = rest.split_at(at);
            if let Some(after) = bad.strip_prefix(USER) {
                rest = after;
                continue;
            }
            let variable = bad.strip_prefix("${").and_then(|name| name.split_once('}'));
            return Err(match (variable, bad.chars().next()) {
                (Some((name, _)), _) => GlobError::Variable(name.to_owned()),
                (None, found) => GlobError::Character(found.unwrap_or_default()),
            });
        }
        if is_shared(text) { Err(GlobError::SharedUser) } else { Ok(Self(text)) }
    }

    /// The pattern as it was written.
    pub fn text(self) -> &'p str {
        self.0
    }

    /// Whether the whole of `name` fits, asked by `user`.
    ///
    /// Time is bounded by the product of the two lengths squared at worst, and both are at most 255.
    pub fn matches(self, name: &str, user: &str) -> bool {
        matches(self.0, name.as_bytes(), user)
    }

    /// The one name that fits, for `user`; `None` where a wildcard leaves it open.
    pub fn literal(self, user: &str) -> Option<String> {
        if self.0.contains('*') { None } else { self.example(user, [""; 2]) }
    }

    /// The name that fits, for `user`, with these in place of `*` and `**`; `None` where none does.
    pub fn example(self, user: &str, [segment, any]: [&str; 2]) -> Option<String> {
        let text = |part| match part {
            Part::Text(text) => Some(text),
            Part::User => is_segment(user).then_some(user),
            Part::Segment => Some(segment),
            Part::Any => Some(any),
        };
        self.parts().map(text).collect()
    }

    /// How many characters of `name` to add, drop or change until it fits; `None` where no name fits `user`.
    pub fn distance(self, name: &str, user: &str) -> Option<usize> {
        let name = name.as_bytes();
        // After each part: the least number of edits that lets what came so far fit name[..j].
        let mut costs: Vec<usize> = (0..=name.len()).collect();
        for part in self.parts() {
            match part {
                Part::Segment | Part::Any => {
                    for j in 1..=name.len() {
                        let takes = matches!(part, Part::Any) || name[j - 1] != b'/';
                        costs[j] = costs[j].min(costs[j - 1] + usize::from(!takes));
                    }
                }
                Part::User if !is_segment(user) => return None,
                Part::User => user.bytes().for_each(|byte| step(&mut costs, name, byte)),
                Part::Text(text) => text.bytes().for_each(|byte| step(&mut costs, name, byte)),
            }
        }
        costs.last().copied()
    }

    fn parts(self) -> impl Iterator<Item = Part<'p>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (part, after) = first(rest)?;
            rest = after;
            Some(part)
        })
    }
}

/// One more character of a pattern, in the table of [`Glob::distance`].
fn step(costs: &mut [usize], name: &[u8], byte: u8) {
    let mut diagonal = costs[0];
    costs[0] += 1;
    for j in 1..costs.len() {
        let changed = diagonal + usize::from(name[j - 1] != byte);
        diagonal = costs[j];
        costs[j] = changed.min(costs[j] + 1).min(costs[j - 1] + 1);
    }
}

/// The first piece of a checked pattern, and what follows it.
fn first(text: &str) -> Option<(Part<'_>, &str)> {
    match text.as_bytes() {
        [] => None,
        [b'*', b'*', ..] => Some((Part::Any, text.trim_start_matches('*'))),
        [b'*', ..] => Some((Part::Segment, &text[1..])),
        [b'$', ..] => Some((Part::User, text.get(USER.len()..)?)),
        bytes => {
            let end = bytes.iter().position(|byte| matches!(byte, b'*' | b'$')).unwrap_or(bytes.len());
            let (run, after) = text.split_at(end);
            Some((Part::Text(run), after))
        }
    }
}

/// Matches a pattern against bytes, remembering for each kind of wildcard the last place to try again from.
///
/// On a mismatch the latest `*` takes one more byte unless that is a `/`; failing that, the latest `**`
/// does, which forgets any later `*`. An earlier wildcard of the same kind never needs a second try: the
/// later one can take up whatever it could have.
fn matches(pattern: &str, name: &[u8], user: &str) -> bool {
    let (mut rest, mut at) = (pattern, 0);
    let mut segment: Option<(&str, usize)> = None;
    let mut any: Option<(&str, usize)> = None;
    loop {
        let next = match first(rest) {
            None if at == name.len() => return true,
            None => None,
            Some((Part::Segment, after)) => {
                segment = Some((after, at));
                Some(after)
            }
            Some((Part::Any, after)) => {
                any = Some((after, at));
                segment = None;
                Some(after)
            }
            Some((Part::Text(text), after)) => take(name, &mut at, text).then_some(after),
            Some((Part::User, after)) => (is_segment(user) && take(name, &mut at, user)).then_some(after),
        };
        if let Some(after) = next {
            rest = after;
        } else if let Some((after, from)) = segment
            && name.get(from).is_some_and(|byte| *byte != b'/')
        {
            segment = Some((after, from + 1));
            (rest, at) = (after, from + 1);
        } else if let Some((after, from)) = any
            && from < name.len()
        {
            any = Some((after, from + 1));
            segment = None;
            (rest, at) = (after, from + 1);
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

/// Whether a checked pattern may fit one name for two users: where a wildcard stands in the segment of
/// `${user}`, so that `al` gets what is `alice`'s, or where `**` on both sides lets that segment be any.
fn is_shared(text: &str) -> bool {
    let around: Vec<(&str, &str)> =
        text.match_indices(USER).map(|(at, user)| (&text[..at], &text[at + user.len()..])).collect();
    let wild = |part: Option<&str>| part.is_some_and(|part| part.contains('*'));
    around.iter().any(|(before, after)| wild(before.rsplit('/').next()) || wild(after.split('/').next()))
        || (!around.is_empty()
            && around.iter().all(|(before, after)| before.contains("**") && after.contains("**")))
}

fn is_name_character(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/')
}

/// A user's name may stand for `${user}` only where it is one whole path segment: one that held a `/`
/// would reach into another user's space.
fn is_segment(user: &str) -> bool {
    !user.is_empty() && user.chars().all(|c| is_name_character(c) && c != '/')
}

impl fmt::Display for Glob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Globs {
    /// Every pattern, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = Glob<'_>> {
        self.texts.split(' ').filter(|text| !text.is_empty()).map(Glob)
    }
}

impl<'p> FromIterator<Glob<'p>> for Globs {
    fn from_iter<T: IntoIterator<Item = Glob<'p>>>(globs: T) -> Self {
        let mut texts = String::new();
        for glob in globs {
            if !texts.is_empty() {
                texts.push(' ');
            }
            texts.push_str(glob.0);
        }
        Self { texts: texts.into() }
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

    /// Every row of at most so many pieces.
    fn rows(pieces: &[&str], most: u32) -> Vec<String> {
        let longer = |rows: &Vec<String>| {
            rows.iter().flat_map(|row| pieces.iter().map(move |piece| format!("{row}{piece}"))).collect()
        };
        std::iter::successors(Some(vec![String::new()]), |rows| Some(longer(rows)))
            .take(most as usize + 1)
            .flatten()
            .collect()
    }

    #[test]
    fn no_pattern_fits_one_name_for_two_users() {
        let patterns = rows(&[USER, "a", "-", "*", "**", "/"], 5);
        let mut names = rows(&["a", "-", "/"], 5);
        names.extend(rows(&["a/", "aa/"], 4).into_iter().map(|folders| folders + "a"));
        let globs =
            patterns.iter().filter(|text| text.contains(USER)).filter_map(|text| Glob::new(text).ok());
        let mut tried = 0;
        for glob in globs {
            tried += 1;
            for name in &names {
                let fitting =
                    ["a", "aa", "a-", "-a", "a-a"].into_iter().filter(|user| glob.matches(name, user));
                assert!(fitting.count() <= 1, "{glob} ~ {name}");
            }
        }
        assert!(tried > 500, "{tried}");
        for text in ["${user}/**", "**/${user}", "*/${user}-a/**", "${user}/**/${user}", "a/**/${user}/*"] {
            assert!(Glob::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_distance_is_the_edits_until_a_name_fits() {
        for (pattern, name, edits) in [
            ("app", "app", 0),
            ("app", "ap", 1),
            ("app", "xapp", 1),
            ("alice/app-*", "alice/app-api", 0),
            ("alice/app-*", "alce/app-api", 1),
            ("alice/*", "alice/a/b", 1),
            ("alice/**", "alice/a/b", 0),
            ("${user}/*", "bob/x", 0),
            ("${user}/*", "rob/x", 1),
            ("a", "", 1),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!(glob.distance(name, "bob"), Some(edits), "{pattern} ~ {name}");
            assert_eq!(glob.matches(name, "bob"), edits == 0, "{pattern} ~ {name}");
        }
        assert_eq!(Glob::new("${user}/*").unwrap().distance("a/b", "a/b"), None);
    }

    #[test]
    fn several_patterns_keep_their_order() {
        let globs: Globs =
            ["a/*", "**", "${user}/x"].into_iter().map(|text| Glob::new(text).unwrap()).collect();
        assert_eq!(globs.iter().map(Glob::text).collect::<Vec<_>>(), ["a/*", "**", "${user}/x"]);
        assert_eq!(Globs::default().iter().count(), 0);
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
            ("${user}*/**", GlobError::SharedUser),
            ("*${user}", GlobError::SharedUser),
            ("a/**${user}", GlobError::SharedUser),
            ("${user}-*/app", GlobError::SharedUser),
            ("${user}/a*${user}", GlobError::SharedUser),
            ("**/${user}/**", GlobError::SharedUser),
            ("a**/b/${user}/${user}/**", GlobError::SharedUser),
        ] {
            assert_eq!(Glob::new(pattern), Err(error), "{pattern}");
        }
        assert_eq!(Glob::new(&"a".repeat(256)), Err(GlobError::TooLong));
    }
}
