//! When Go's `encoding/json` takes one member name for another.
//!
//! Owns the one comparison. Registries and many services are written in Go, whose reader matches names by
//! Unicode simple case folding (`encoding/json/fold.go`), and of several matches the last one counts: to
//! it `ACCESS` and `acceſs` are `access`. Decision: the case maps of `std` stand in for the folding table.
//! They join every two characters that Go 1.26 joins, and beyond these only pairs from a newer Unicode.

/// The name in the form that all names share which Go takes for one another.
pub fn fold(name: &str) -> String {
    name.chars().map(fold_char).collect()
}

/// Whether Go takes `name` for `target`; a name is also taken for itself.
pub fn folds_to(name: &str, target: &str) -> bool {
    name.chars().map(fold_char).eq(target.chars().map(fold_char))
}

fn fold_char(c: char) -> char {
    if c == 'ı' {
        return c; // its capital is `I`, but it folds to nothing else
    }
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

/// The only one: simple folding leaves alone what has several characters in the other case.
fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_in_go() {
        // Each line as `json.Unmarshal` of Go 1.26 decides it.
        for (name, target, same) in [
            ("access", "access", true),
            ("ACCESS", "access", true),
            ("acce\u{17f}s", "access", true),
            ("acce\u{17f}\u{17f}", "ACCESS", true),
            ("\u{212a}UBERNETE\u{17f}.IO", "kubernetes.io", true),
            ("\u{c9}", "\u{e9}", true),
            ("\u{df}", "\u{1e9e}", true),
            ("\u{3c3}", "\u{3c2}", true),
            ("\u{2126}", "\u{3c9}", true),
            ("\u{1fbe}", "\u{345}", true),
            ("\u{212b}", "\u{e5}", true),
            ("\u{13a0}", "\u{ab70}", true),
            ("", "", true),
            ("access ", "access", false),
            ("acces", "access", false),
            ("acce\u{df}", "access", false),
            ("\u{fb06}", "st", false),
            ("\u{131}ss", "iss", false),
            ("\u{130}ss", "iss", false),
            ("e\u{301}", "\u{e9}", false),
            ("\u{ff41}ud", "aud", false),
        ] {
            assert_eq!(folds_to(name, target), same, "{name} {target}");
            assert_eq!(fold(name) == fold(target), same, "{name} {target}");
        }
    }

    #[test]
    fn beyond_ascii_only_two_characters_fold_into_it() {
        let into: Vec<(char, char)> =
            ('\u{80}'..=char::MAX).map(|c| (c, fold_char(c))).filter(|(_, to)| to.is_ascii()).collect();
        assert_eq!(into, [('\u{17f}', 's'), ('\u{212a}', 'k')]);
    }

    #[test]
    fn folding_twice_changes_nothing() {
        assert_eq!(('\0'..=char::MAX).find(|c| fold_char(*c) != fold_char(fold_char(*c))), None);
    }
}
