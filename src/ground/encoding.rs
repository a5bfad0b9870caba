//! How a file of text begins that is not plain UTF-8.

/// What is wrong with the beginning of a text, and its cure, in words that follow the text's name; `None` for
/// one that begins without a byte order mark.
pub fn byte_order(text: &[u8]) -> Option<&'static str> {
    match text {
        [0xef, 0xbb, 0xbf, ..] => Some("begins with a byte order mark: save it as UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is UTF-16: save it as UTF-8"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_from_what_only_looks_like_one() {
        for (text, part) in [
            (&b"\xef\xbb\xbf{}"[..], Some("a byte order mark")),
            (b"\xff\xfe{\0", Some("UTF-16")),
            (b"\xfe\xff\0{", Some("UTF-16")),
            (b"\xef\xbb", None),
            ("\u{fec0}".as_bytes(), None),
            (b"{}", None),
            (b"", None),
        ] {
            let found = byte_order(text);
            assert_eq!(found.is_some(), part.is_some(), "{text:?}");
            assert!(found.unwrap_or_default().contains(part.unwrap_or_default()), "{text:?}");
        }
    }
}
