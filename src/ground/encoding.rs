//! How a file of text begins that is not plain UTF-8.

/// What some editors put before UTF-8 text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with the form of a text, and its cure, in words that follow the text's name. A secret of
/// random bytes may begin like UTF-16: only what goes on like it is named so.
pub fn byte_order(text: &[u8]) -> Option<&'static str> {
    if text.starts_with(BYTE_ORDER_MARK) {
        return Some("begins with a byte order mark: save it as UTF-8 without one");
    }
    let marks: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
    let (units, least) =
        marks.iter().find_map(|mark| text.strip_prefix(*mark)).map_or((text, 4), |units| (units, 2));
    let zero_in_each = |place: usize| units.chunks(2).all(|unit| unit.get(place) == Some(&0));
    let wide = units.len() >= least && (zero_in_each(0) || zero_in_each(1));
    wide.then_some("is UTF-16: save it as UTF-8")
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
            (b"a\0b\0", Some("UTF-16")),
            (b"\xff\xfe\x01\xd8 random", None),
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
