//! Bytes that are written as two hex digits, as they stand behind a `%` (RFC 3986, 2.1).

/// The bytes of an encoded text; `None` where a `%` stands without two hex digits.
pub fn decode(mut encoded: impl ExactSizeIterator<Item = u8>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len()); // in one allocation: it may be a password
    while let Some(byte) = encoded.next() {
        bytes.push(if byte == b'%' { hex_byte([encoded.next()?, encoded.next()?])? } else { byte });
    }
    Some(bytes)
}

/// The byte of two hex digits.
pub fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hex_digits_are_a_byte_and_anything_else_is_none() {
        for (encoded, bytes) in [
            ("", Some(&b""[..])),
            ("a+b", Some(b"a+b")),
            ("%00%fF%2e", Some(b"\0\xff.")),
            ("%252e", Some(b"%2e")),
            ("%", None),
            ("%1", None),
            ("%+1", None),
            ("%g0", None),
            ("%\u{e4}", None),
        ] {
            assert_eq!(decode(encoded.bytes()).as_deref(), bytes, "{encoded}");
        }
    }
}
