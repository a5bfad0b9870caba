//! Users' names: when two of them are one.
//!
//! Must not know where names come from.

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// What is wrong with a name that somebody else vouches for, in words that follow the name of a field.
pub fn problem(name: &str) -> Option<&'static str> {
    match () {
        () if name.len() > MAX_NAME_BYTES => Some("is longer than 256 bytes"),
        () if name.chars().any(char::is_control) => Some("holds a control character"),
        () if !is_composed(name) => Some("is not in Unicode's composed form (NFC)"),
        () => None,
    }
}

/// Whether a name is in Unicode's composed form (NFC): of names that look the same and mean the same text
/// (canonical equivalence), only one is (RFC 8265, 3.3.2; UAX 15).
pub fn is_composed(name: &str) -> bool {
    name.is_ascii() || unicode_normalization::is_nfc(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_that_are_the_same_text_one_is_composed() {
        for (name, composed) in [
            ("alice", true),
            ("J\u{fc}rgen", true),
            ("Ju\u{308}rgen", false),
            ("\u{c5}", true),
            ("\u{212b}", false), // ANGSTROM SIGN, which is U+00C5
            ("A\u{30a}", false),
            ("\u{ac01}", true),
            ("\u{1100}\u{1161}\u{11a8}", false), // the same in Hangul's parts
            ("\u{915}\u{94d}\u{937}", true),     // Devanagari with its virama
            ("a\u{323}\u{307}", false),
            ("\u{1ea1}\u{307}", true), // the same with the dot below composed: nothing composes further
        ] {
            assert_eq!(is_composed(name), composed, "{name:?}");
        }
    }
}
