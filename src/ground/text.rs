//! Text of others, made safe to show.
//!
//! Owns which characters reach a terminal or a log as they are, and what of a file may be quoted at all: a
//! value that may be a secret never is, whether its name says so (also a misspelt one) or its shape.
//! Decision: characters are escaped as JSON does it (`\u001b`), so that the same escapes are right within
//! JSON, and escaping twice changes nothing.

use super::nearest::edits;
use std::error::Error;
use std::fmt::Write as _;

/// The most characters of a value that a message quotes.
const QUOTED: usize = 80;

/// What stands for a value that may be a secret.
const HIDDEN: &str = "(not shown: it may be a secret)";

/// An error and the chain of its causes, in one line.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether a character moves the cursor, hides, or turns the direction of what follows: control characters,
/// the line ends of Unicode, and everything that is not drawn (`Default_Ignorable_Code_Point`).
pub fn acts(c: char) -> bool {
    c.is_control()
        || (!c.is_ascii()
            && matches!(c,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'))
}

/// Appends a text, characters that `plain` refuses as escapes of JSON.
pub fn escape(out: &mut String, text: &str, plain: impl Fn(char) -> bool) {
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            c if plain(c) => out.push(c),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}"); // to a String: cannot fail
                }
            }
        }
    }
}

/// A text that is safe to print, in one line.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    escape(&mut safe, text, |c| !acts(c));
    safe
}

/// Lines that are safe to print.
pub fn printable_lines(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    escape(&mut safe, text, |c| c == '\n' || !acts(c));
    safe
}

/// As [`printable`], shortened to so many characters of the original.
pub fn shortened(text: &str, most: usize) -> String {
    let start: String = text.chars().take(most).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    printable(&start) + more
}

/// A value of a file as a message quotes it; `name` is its key's, empty where it has none.
pub fn quoted(name: &str, value: &str) -> String {
    if may_be_secret(name, value) { HIDDEN.to_owned() } else { format!("`{}`", shortened(value, QUOTED)) }
}

/// Whether a value of this name may be a secret. What visibly is a path is none where a path may stand.
pub fn may_be_secret(name: &str, value: &str) -> bool {
    let last = name.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let path = matches!(last, "path" | "file" | "dir");
    let named = names(name, &SECRETS) || (!path && names(name, &KEYS));
    looks_secret(value) || (named && !((path || last == "key") && is_path(value)))
}

/// Whether a line of a file may hold a secret: a name on it says so, or the shape of something on it.
pub fn line_may_be_secret(line: &str) -> bool {
    let parts: Vec<&str> = line.split([':', '=']).collect();
    let named = |part: &[&str]| matches!(part, [name, value] if may_be_secret(name, value));
    line.to_ascii_lowercase().contains("secret")
        || looks_secret(line)
        || parts.windows(2).any(named)
        || (parts.len() == 1 && (names(line, &SECRETS) || names(line, &KEYS)))
}

/// Whether a text has the shape of a secret: PEM, the hash of a password, long base64 or hex, a URL with a
/// password.
pub fn looks_secret(text: &str) -> bool {
    let any = |word: &str, is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let random = |word: &str| {
        let mixed = any(word, u8::is_ascii_uppercase) && any(word, u8::is_ascii_lowercase);
        mixed && (word.len() >= 40 || (word.len() >= 20 && any(word, u8::is_ascii_digit)))
    };
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
    let hash_id =
        |part: &&str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let parts: Vec<&str> = text.split('$').collect();
    let hash = matches!(&*parts, [_, between @ .., _] if between.iter().any(hash_id));
    let password = |rest: &str| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    };
    text.contains("-----BEGIN")
        || text.split("://").skip(1).any(password)
        || text.contains("PRIVATE KEY")
        || hash
        || text.split(|c| !base64(c)).any(random)
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word.len() >= 32 && any(word, u8::is_ascii_digit))
}

/// Names, or parts of them, whose values are secret, and whose files are called what they like.
const SECRETS: [&str; 6] = ["secret", "password", "pass", "token", "credential", "hash"];

/// Names, or parts of them, of keys; their files are no secret.
const KEYS: [&str; 3] = ["private", "key", "pem"];

/// Whether a name has such a word, or one that is a slip away from it.
fn names(name: &str, words: &[&str]) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).any(|part| {
        let part = part.to_lowercase();
        words.iter().any(|word| part.contains(word) || edits(&part, word) <= word.len() / 3)
    })
}

/// Whether a text can hardly be anything but a path.
fn is_path(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'']);
    let extension = text.rsplit_once('.').map(|(_, extension)| extension);
    ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start))
        || extension.is_some_and(|extension| {
            matches!(extension, "pem" | "key" | "crt" | "cer" | "der" | "pub" | "txt" | "secret")
        })
}

/// A text as one word of a shell's.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { single_quoted(text) }
}

/// A text in single quotes, as sh, bash and zsh take it.
pub fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_moves_the_cursor_or_turns_the_text() {
        for (text, safe) in [
            ("it's \"a\" b\\", "it's \"a\" b\\"),
            ("\u{1b}[2J\r\n\t\u{7}", "\\u001b[2J\\u000d\\n\\u0009\\u0007"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f"),
            ("a\u{202e}b\u{2066}\u{200b}", "a\\u202eb\\u2066\\u200b"),
            ("tag \u{e0041}\u{e007f}", "tag \\udb40\\udc41\\udb40\\udc7f"),
            ("b\u{fc}cher \u{1f600}", "b\u{fc}cher \u{1f600}"),
        ] {
            assert_eq!(printable(text), safe);
            assert_eq!(printable(safe), safe, "twice");
        }
        assert_eq!(shortened("abc\n", 3), "abc...");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(printable_lines("a\n\u{1b}b\r\n"), "a\n\\u001bb\\u000d\n");
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_quoted() {
        for (name, value) in [
            ("hs256_secret", "hunter2"),
            ("hs256_sceret", "hunter2"),
            ("hs256_secert", "hunter2"),
            ("Passwrod", "hunter2"),
            ("clientSecret", "hunter2"),
            ("api-kye", "hunter2"),
            ("tokn", "hunter2"),
            ("hs256_secret_path", "hunter2"),
            ("private_key_path", "-----BEGIN PRIVATE KEY-----"),
            ("path", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"),
            ("path", "/k7f9aXq/3Rt+o0Pw9zYb2M="),
            ("issuer", "0123456789abcdef0123456789abcdef"),
            ("store", "postgres://u:pw@host/d"),
            ("issuer", "$2y$10$DCq7YPn5Rq63x1Lad4cll."),
            ("", "$$2y$$10$$DCq7YPn5Rq63x1Lad4cll."),
        ] {
            assert_eq!(quoted(name, value), HIDDEN, "{name}: {value}");
        }
        for (name, value) in [
            ("actions", "pul"),
            ("host", "0.0.0.0"),
            ("repos", "alice-space/a-very-long-name-of-a-repository/**"),
            ("repos", "${user}/x-$y"),
            ("hs256_secret_path", "/run/secrets/hs256"),
            ("private_key_path", "none"),
            ("key_dir", "keys"),
            ("rs256_private_key", "keys/none.pem"),
            ("issuer", "https://auth.example.com"),
            ("issuer", "https://auth.example.com:8443/a:b@c"),
            ("store", "postgres://u@host:5432/d"),
            ("", "isuer"),
        ] {
            assert_eq!(quoted(name, value), format!("`{value}`"), "{name}");
        }
        assert_eq!(quoted("", &"x".repeat(100)), format!("`{}...`", "x".repeat(80)));
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_known() {
        for line in [
            "hs256_sceret: hunter2",
            "hs256_secret hunter2",
            "hs256_secret=hunter2",
            "hs256_secret:hunter2",
            "{issuer: x, \"pasword\": hunter2}",
            "issuer: x # password: hunter2",
            "alice:$2y$10$DCq7YPn5Rq63x1Lad4cll.",
        ] {
            assert!(line_may_be_secret(line), "{line}");
        }
        for line in [
            "    actions: [pul]",
            "- alice",
            "private_key_path: none.pem",
            "  - {user: alice, scope: \"repository:a:pull\"}",
        ] {
            assert!(!line_may_be_secret(line), "{line}");
        }
    }
}
