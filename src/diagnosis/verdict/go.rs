//! How Go reads what a registry is given: base64, PEM, JSON and seconds.
//!
//! Owns where Go's readers take more than ours, or less: encoding/{base64,pem,json} and time of Go 1.19, which
//! built docker-registry 2.8.2, and of 1.26. Must not know registries. Decision: written from their source and
//! held against the real programs by a test, since what a registry makes of a file or a token is what counts.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use zeroize::Zeroizing;

/// Base64 as Go decodes it: line ends are passed over, and the last character may have bits to spare.
pub(super) fn base64(text: &[u8], url: bool, padded: bool) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = text.get(..text.len() - padding)?;
    if padding > if padded { 2 } else { 0 }
        || padded && !text.len().is_multiple_of(4)
        || digits.len() % 4 == 1
    {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(digits.len()), 0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' if url => 62,
            b'_' if url => 63,
            b'+' if !url => 62,
            b'/' if !url => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

/// The blocks of a PEM text that Go finds, each with its label: BEGIN and END on lines of their own, without
/// anything before them.
pub(super) fn pem(text: &[u8]) -> Vec<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    const DASHES: &[u8] = b"-----";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begun) = rest.strip_prefix(b"-----BEGIN ").or_else(|| after(rest, b"\n-----BEGIN ")) {
        let (label, mut body) = line(begun);
        rest = body;
        let Some(label) = label.strip_suffix(DASHES) else { continue };
        let mut headers = false;
        loop {
            let (header, next) = line(body);
            if body.is_empty() || !header.contains(&b':') {
                break;
            }
            (headers, body) = (true, next);
        }
        rest = body;
        let end = if !headers && body.starts_with(b"-----END ") {
            Some((0, &body[9..]))
        } else {
            after(body, b"\n-----END ").map(|trailer| (body.len() - trailer.len() - 10, trailer))
        };
        let Some((end, trailer)) = end else { continue };
        let closed = trailer.strip_prefix(label).and_then(|trailer| trailer.strip_prefix(DASHES));
        let Some((b"", next)) = closed.map(line) else { continue };
        let base64_text: Zeroizing<Vec<u8>> =
            Zeroizing::new(body.iter().take(end).copied().filter(|byte| !b" \t".contains(byte)).collect());
        let Some(der) = base64(&base64_text, false, true) else { continue };
        blocks.push((label.to_vec(), Zeroizing::new(der)));
        rest = next;
    }
    blocks
}

/// What stands behind the first `mark`.
fn after<'t>(text: &'t [u8], mark: &[u8]) -> Option<&'t [u8]> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    text.get(at + mark.len()..)
}

/// The first line, without the white space at its end, and what follows it. A lone CR ends no line.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|byte| *byte == b'\n') {
        Some(at) => (text.get(..at), text.get(at + 1..)),
        None => (Some(text), None),
    };
    let mut line = line.unwrap_or_default();
    if rest.is_some() {
        line = line.strip_suffix(b"\r").unwrap_or(line);
    }
    while let [start @ .., b' ' | b'\t'] = line {
        line = start;
    }
    (line, rest.unwrap_or_default())
}

/// Seconds since the Unix epoch as Go's clock counts them: beyond its end they wrap round into the past.
pub(super) fn instant(seconds: i64) -> i64 {
    const UNIX_TO_INTERNAL: i64 = 62_135_596_800;
    seconds.wrapping_add(UNIX_TO_INTERNAL)
}

/// The members of a JSON object, in their order, their values as they stand. `null` has none.
pub(super) fn members(json: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    let read: Option<Members<'_>> = serde_json::from_str(json)?;
    Ok(read.map_or_else(Vec::new, |Members(members)| members))
}

/// The string that a JSON text is; what is no character in it, as half a surrogate pair, becomes U+FFFD.
pub(super) fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok().map(|Text(text)| text)
}

struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_does() {
        for (text, url, padded, bytes) in [
            ("AAEC", true, false, Some(&[0, 1, 2][..])),
            ("AB", true, false, Some(&[0])),
            ("-_8", true, false, Some(&[0xfb, 0xff])),
            ("+/8=", false, true, Some(&[0xfb, 0xff])),
            ("A\r\nA=\n=", false, true, Some(&[0])),
            ("", true, false, Some(&[])),
            ("A", true, false, None),
            ("AA==", true, false, None),
            ("AA", false, true, None),
            ("A===", false, true, None),
            ("AA=A", false, true, None),
            ("+A", true, false, None),
            ("-A==", false, true, None),
            ("A A=", false, true, None),
        ] {
            assert_eq!(base64(text.as_bytes(), url, padded).as_deref(), bytes, "{text:?}");
        }
    }

    #[test]
    fn pem_is_read_as_go_does() {
        let a = "-----BEGIN A-----\nAAAA\n-----END A-----\n";
        let b = "-----BEGIN B-----\nAAEC\n-----END B-----\n";
        for (text, labels) in [
            (format!("{a}{b}"), "AB"),
            (format!("text\n{a}text{b}{a}"), "AA"),
            (a.replace('\n', "\r\n"), "A"),
            (a.replace('\n', "\r"), ""),
            (format!("\u{feff}{a}{b}"), "B"),
            (format!(" {a}"), ""),
            (format!("\n{}", a.replace('\n', "\n  ")), ""),
            (a.replace("AAAA", "  AA\tAA  "), "A"),
            (format!("{}{b}", a.trim_end()), ""),
            (a.replace("\nAAAA", "\nKey: value\n\nAAAA"), "A"),
            (a.replace("\nAAAA", ""), "A"),
            (a.replace("AAAA", "AAA"), ""),
            (a.replace("END A", "END B"), ""),
            (format!("-----BEGIN A-----\n{b}"), "B"),
            (a.replace("-----\n", "-----  \n"), "A"),
            (a.trim_end().to_owned(), "A"),
            ("-----BEGIN A-----".to_owned(), ""),
            ("-----BEGIN A-----\nK: v\n".to_owned(), ""),
        ] {
            let found: Vec<u8> = pem(text.as_bytes()).into_iter().flat_map(|(label, _)| label).collect();
            assert_eq!(String::from_utf8_lossy(&found), labels, "{text:?}");
        }
    }

    #[test]
    fn json_is_read_as_go_does() {
        let read = members(r#" {"a":1e999,"A":"\ud800","\udc00":null,"a":[[1]]} "#).unwrap();
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["a", "A"]);
        assert!(names[2].starts_with('\u{fffd}') && read[0].1.get() == "1e999" && read[3].1.get() == "[[1]]");
        assert_eq!(text(r#""x\ud800""#).map(|text| text.starts_with("x\u{fffd}")), Some(true));
        assert_eq!((text("1"), text("null")), (None, None));
        assert!(members("[]").is_err_and(|error| error.is_data()) && members("{} x").is_err());
        assert!(members(" null ").unwrap().is_empty());
    }

    #[test]
    fn the_end_of_go_s_clock_lies_in_its_past() {
        assert!(instant(0) < instant(1 << 61) && instant(i64::MAX) < instant(0) && instant(i64::MIN) < 0);
    }
}
