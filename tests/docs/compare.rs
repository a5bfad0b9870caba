//! Whether a command printed what the documentation says.

/// An error where the lines differ. In `expected` a line `...` stands for any lines, and `...` in a line for
/// any text; both sides are [`masked`].
pub(crate) fn compare(expected: &str, actual: &str) -> Result<(), String> {
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| masked(line.trim_end())).collect() };
    let (expected, actual) = (lines(expected.trim_end()), lines(actual.trim_end()));
    if fits(
        &expected,
        &actual,
        |line| line == "...",
        |expected, actual| {
            let expected: Vec<char> = expected.replace("...", "\u{0}").chars().collect();
            let actual: Vec<char> = actual.chars().collect();
            fits(&expected, &actual, |c| *c == '\u{0}', |a, b| a == b)
        },
    ) {
        return Ok(());
    }
    let first = expected.iter().zip(&actual).position(|(expected, actual)| expected != actual);
    Err(format!(
        "printed, from line {}:\n{}\ninstead of:\n{}",
        first.map_or(expected.len().min(actual.len()), |first| first) + 1,
        actual.join("\n"),
        expected.join("\n"),
    ))
}

/// Whether a sequence fits a pattern in which some elements stand for any number.
fn fits<T>(pattern: &[T], actual: &[T], any: impl Fn(&T) -> bool, same: impl Fn(&T, &T) -> bool) -> bool {
    let (mut p, mut a, mut back) = (0, 0, None);
    while a < actual.len() {
        if p < pattern.len() && any(&pattern[p]) {
            back = Some((p, a));
            p += 1;
        } else if p < pattern.len() && same(&pattern[p], &actual[a]) {
            p += 1;
            a += 1;
        } else if let Some((star, from)) = back {
            p = star + 1;
            a = from + 1;
            back = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any)
}

/// A line in which what differs from run to run is named by its form.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || "_-:.$/".contains(c) {
            word.push(c);
            continue;
        }
        out.push_str(&form(&word));
        word.clear();
        out.push(c);
    }
    out.pop();
    // A second may pass between two commands.
    for span in [" s ago", " min;"] {
        if let Some((before, after)) = out.split_once(span) {
            let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
            out = format!("{before}<some>{span}{after}");
        }
    }
    out
}

fn form(word: &str) -> String {
    let bare = word.trim_end_matches(['.', ':']);
    let rest = &word[bare.len()..];
    let is = |pattern: &str| {
        bare.len() == pattern.len()
            && bare
                .chars()
                .zip(pattern.chars())
                .all(|(c, p)| if p == '0' { c.is_ascii_digit() } else { c == p })
    };
    let url_safe = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let libtrust = bare.len() == 59
        && bare.split(':').count() == 12
        && bare.split(':').all(|group| group.len() == 4 && !group.contains(|c: char| c.is_lowercase()));
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    let masked = match bare {
        _ if libtrust => "<key id>",
        _ if is("0000-00-00T00:00:00Z") => "<time>",
        _ if is("0000-00-00") => "<date>",
        // Documentation may cut it short with dots.
        _ if bare.starts_with("eyJ") && (bare.matches('.').count() == 2 || rest == "...") => {
            return "<token>".to_owned();
        }
        _ if bare.starts_with("kpr1_") => "<token>",
        _ if bare.starts_with("$2b$") => "<hash>",
        _ if bare.strip_suffix(".pem").is_some_and(|name| name.starts_with("key-")) => "<key file>",
        _ if digits == bare.len() && digits >= 9 => "<number>",
        // One random id of 22 characters in forty has no digit.
        _ if bare.len() >= 22
            && url_safe(bare)
            && (digits > 0 || bare.len() == 22 && bare.contains(char::is_lowercase))
            && bare.contains(char::is_uppercase) =>
        {
            "<text>"
        }
        _ => bare,
    };
    format!("{masked}{rest}")
}

#[test]
fn what_differs_from_run_to_run_is_compared_by_its_form() {
    for (expected, actual, same) in [
        ("a\nb\n", "a\nb", true),
        ("a\nb\n", "a\nc", false),
        ("a ...", "a long tail", true),
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("a\n...\nd", "a\nb\nc\ne", false),
        ("a", "a\nb", false),
        ("2026-11-25T22:23:15Z x", "2027-01-01T00:00:00Z x", true),
        ("2026-11-25T22:23:15Z x", "yesterday x", false),
        ("id wxDsfXArQgUXCJK2xZZDAw.", "id IPD3PVJTuJeAYk9PXtL5hQ.", true),
        ("id wxDsfXArQgUXCJK2xZZDAw.", "id fiB_i-AbUuGzZYIEnH_Qvw.", true),
        ("in 1795645395 s", "in 1795645396 s", true),
        ("for 300 s", "for 301 s", false),
        ("(10 s ago; 1795645395)", "(11 s ago; 1795645396)", true),
        ("(expires in 30 min; 1795645395)", "(expires in 29 min; 1795645395)", true),
    ] {
        assert_eq!(compare(expected, actual).is_ok(), same, "{expected} / {actual}");
    }
}
