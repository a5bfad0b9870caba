//! Colour on a terminal, and only there.
//!
//! Owns when there is colour and which words have one: the first of a line, where it says how bad something is.
//! Decision: it is put on last, over a text that is finished, so that people and programs get the same text.

use std::env;
use std::ffi::OsStr;
use std::io::IsTerminal;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const GREEN: &str = "\x1b[1;32m";
const CYAN: &str = "\x1b[1;36m";
const RESET: &str = "\x1b[0m";

/// The words that have one.
const WORDS: [(&str, &str); 11] = [
    ("error", RED),
    ("refused", RED),
    ("FAILED", RED),
    ("warning", YELLOW),
    ("unknown", YELLOW),
    ("ok", GREEN),
    ("valid", GREEN),
    ("accepted", GREEN),
    ("hint", CYAN),
    ("allow", GREEN),
    ("deny", RED),
];

/// Before each line on stderr.
const PROGRAM: &str = "keypebble: ";

/// The text for that stream: as it is, unless somebody looks at it who likes colour.
pub(super) fn painted(text: &str, stream: &impl IsTerminal) -> String {
    let [no_color, term] = ["NO_COLOR", "TERM"].map(env::var_os);
    if stream.is_terminal() && wanted(no_color.as_deref(), term.as_deref()) {
        paint(text)
    } else {
        text.to_owned()
    }
}

/// <https://no-color.org>: `NO_COLOR`, if it is not empty. And a terminal that says that it can't.
fn wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
}

fn paint(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let start = line.strip_prefix(PROGRAM).unwrap_or(line).trim_start();
    let end = start.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(start.len());
    let (word, rest) = start.split_at(end);
    match WORDS.iter().find(|(known, _)| *known == word) {
        Some((_, colour)) if rest.starts_with([' ', ':']) => {
            let before = &line[..line.len() - start.len()];
            format!("{before}{colour}{word}{RESET}{rest}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_line_has_a_colour_if_it_says_how_bad_it_is() {
        for (text, painted) in [
            ("keypebble: error: x\n", "keypebble: \x1b[1;31merror\x1b[0m: x\n"),
            ("warning: a\n  hint: b\n", "\x1b[1;33mwarning\x1b[0m: a\n  \x1b[1;36mhint\x1b[0m: b\n"),
            ("ok       config   error: x", "\x1b[1;32mok\x1b[0m       config   error: x"),
            ("errors: 3\nan error: x\nokay ok\nok\n", "errors: 3\nan error: x\nokay ok\nok\n"),
            ("", ""),
        ] {
            assert_eq!(paint(text), painted);
        }
    }

    #[test]
    fn who_says_no_gets_none() {
        let (set, empty, dumb, xterm) =
            (OsStr::new("1"), OsStr::new(""), OsStr::new("dumb"), OsStr::new("xterm"));
        for (no_color, term, colour) in [
            (None, Some(xterm), true),
            (Some(empty), Some(xterm), true),
            (Some(set), Some(xterm), false),
            (None, Some(dumb), false),
            (None, None, false),
        ] {
            assert_eq!(wanted(no_color, term), colour, "{no_color:?} {term:?}");
        }
    }
}
