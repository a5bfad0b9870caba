//! Patterns against a table that is filled cell by cell. The input is lines: a pattern, a name, a user, and
//! another pattern.

use keypebble::policy::glob::{Glob, Globs};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pattern, name, user, other) = (line(), line(), line(), line());
    let Some(glob) = read(pattern) else { return };
    let matches = glob.matches(name, user);
    assert_eq!(matches, reference(pattern, name, user), "{pattern:?} {name:?} {user:?}");
    let distance = glob.distance(name, user);
    assert_eq!(distance == Some(0), matches, "{pattern:?} {name:?} {user:?}: {distance:?}");
    let possible = !pattern.contains("${user}") || is_segment(user);
    assert_eq!(distance.is_some(), possible, "{pattern:?} {user:?}");
    if let Some(literal) = glob.literal(user) {
        assert!(!pattern.contains('*') && possible);
        assert_eq!(matches, literal == name, "{literal:?}");
    } else {
        assert!(pattern.contains('*') || !possible);
    }
    let Some(other) = read(other) else { return };
    let both: Globs = [glob, other].into_iter().collect();
    assert!(both.iter().eq([glob, other]));
}

/// The pattern, which is one exactly where the reference says so.
fn read(text: &str) -> Option<Glob<'_>> {
    let plain = text.replace("${user}", "x");
    let fits = !text.is_empty()
        && text.len() <= 255
        && !plain.split('/').any(str::is_empty)
        && plain.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' | '*'))
        && !is_shared(text);
    let glob = Glob::new(text);
    assert_eq!(glob.is_ok(), fits, "{text:?}: {glob:?}");
    match glob {
        Ok(glob) => {
            assert_eq!(glob.text(), text);
            Some(glob)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// Whether a wildcard stands in a segment with `${user}`, or the place of each such segment is open.
fn is_shared(text: &str) -> bool {
    let segments: Vec<&str> = text.split('/').collect();
    let open = |part: &[&str]| part.iter().any(|segment| segment.contains("**"));
    let own: Vec<usize> = (0..segments.len()).filter(|at| segments[*at].contains("${user}")).collect();
    own.iter().any(|at| segments[*at].contains('*'))
        || !own.is_empty() && own.iter().all(|at| open(&segments[..*at]) && open(&segments[*at + 1..]))
}

fn is_segment(user: &str) -> bool {
    !user.is_empty()
        && user.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

enum Part {
    Byte(u8),
    Segment,
    Any,
}

fn reference(pattern: &str, name: &str, user: &str) -> bool {
    if pattern.contains("${user}") && !is_segment(user) {
        return false;
    }
    // The user holds no star, so that it is as good as written there.
    let pattern = pattern.replace("${user}", user);
    let mut parts = Vec::new();
    let mut rest = pattern.as_bytes();
    while let [first, after @ ..] = rest {
        let stars = rest.iter().take_while(|byte| **byte == b'*').count();
        rest = if stars == 0 { after } else { &rest[stars..] };
        parts.push(match stars {
            0 => Part::Byte(*first),
            1 => Part::Segment,
            _ => Part::Any,
        });
    }
    // Whether what came of the pattern so far fits name[..at].
    let name = name.as_bytes();
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for part in parts {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            let before = at.checked_sub(1);
            let longer = |byte: u8| before.is_some_and(|before| next[before] && name[before] != byte);
            next[at] = match part {
                Part::Byte(byte) => before.is_some_and(|before| fits[before] && name[before] == byte),
                Part::Segment => fits[at] || longer(b'/'),
                Part::Any => fits[at] || before.is_some_and(|before| next[before]),
            };
        }
        fits = next;
    }
    fits[name.len()]
}
