//! DER, as little of it as keys and certificates need (X.690, 10).
//!
//! Owns tags, lengths and object identifiers. Must not know what a structure means. Decision: a reader
//! of our own in one small file, over borrowed bytes: every step consumes input or fails, nothing
//! recurses, nothing is allocated from a length that was read, so that no file can make it run away.

/// The bytes are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadDer;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0C;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// `[number]`, holding other elements.
pub(crate) const fn context(number: u8) -> u8 {
    0xA0 | number
}

/// `[number] IMPLICIT` of something that holds bytes.
pub(crate) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

/// One element: its tag, its content, and all of its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The content of the one element that makes up all of `bytes`.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Result<Reader<'a>, BadDer> {
        let mut reader = Reader::new(bytes);
        let inner = reader.enter(tag)?;
        reader.end()?;
        Ok(inner)
    }

    /// The next element, whatever it is.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, BadDer> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(BadDer)?;
        if tag & 0x1F == 0x1F {
            return Err(BadDer); // a tag number above 30: no key or certificate field has one
        }
        let (&first, mut after) = after_tag.split_first().ok_or(BadDer)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Up to 16 MiB; 0x80 itself is the indefinite form, which DER doesn't know.
            let count = usize::from(first & 0x7F);
            if !(1..=3).contains(&count) || after.len() < count {
                return Err(BadDer);
            }
            let (bytes, rest) = after.split_at(count);
            after = rest;
            let length = bytes.iter().fold(0, |sum, &byte| (sum << 8) | usize::from(byte));
            // DER takes the shortest form only (X.690, 10.1).
            if length < 0x80 || bytes.first() == Some(&0) {
                return Err(BadDer);
            }
            length
        };
        if after.len() < length {
            return Err(BadDer);
        }
        let (content, rest) = after.split_at(length);
        let (whole, _) = self.rest.split_at(self.rest.len() - rest.len());
        self.rest = rest;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, BadDer> {
        let element = self.element()?;
        if element.tag == tag { Ok(element) } else { Err(BadDer) }
    }

    /// The next element if it has this tag; else nothing is consumed.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, BadDer> {
        if self.rest.first() == Some(&tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// A reader of the content of the next element.
    pub(crate) fn enter(&mut self, tag: u8) -> Result<Reader<'a>, BadDer> {
        Ok(Reader::new(self.expect(tag)?.content))
    }

    /// An integer that isn't negative, without its sign byte.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], BadDer> {
        match self.expect(INTEGER)?.content {
            [] => Err(BadDer),
            [first, ..] if *first >= 0x80 => Err(BadDer),
            [0, second, ..] if *second < 0x80 => Err(BadDer),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            all => Ok(all),
        }
    }

    /// A bit string of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], BadDer> {
        whole_bytes(self.expect(BIT_STRING)?.content)
    }

    /// What is not read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails where something is left.
    pub(crate) fn end(&self) -> Result<(), BadDer> {
        if self.is_empty() { Ok(()) } else { Err(BadDer) }
    }
}

/// The bytes of a BIT STRING's content, which starts with the count of unused bits.
pub(crate) fn whole_bytes(content: &[u8]) -> Result<&[u8], BadDer> {
    match content {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(BadDer),
    }
}

/// An element of this tag whose content is these parts.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + 5);
    bytes.push(tag);
    let big_endian = length.to_be_bytes();
    let start = big_endian.iter().position(|&byte| byte != 0).unwrap_or(big_endian.len() - 1);
    let (_, significant) = big_endian.split_at(start);
    if length >= 0x80 {
        // At most eight length bytes, so this never truncates.
        bytes.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
    }
    bytes.extend_from_slice(significant);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// An INTEGER from big-endian bytes.
pub(crate) fn encode_unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    let (_, digits) = bytes.split_at(start);
    match digits.first() {
        Some(first) if *first < 0x80 => encode(INTEGER, &[digits]),
        _ => encode(INTEGER, &[&[0], digits]),
    }
}

/// The dotted form, for messages; "?" where it is malformed.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<String> = Vec::new();
    let mut value: u64 = 0;
    for (index, &byte) in oid.iter().enumerate() {
        if value > u64::MAX >> 8 || index > 40 {
            return "?".to_owned();
        }
        value = (value << 7) | u64::from(byte & 0x7F);
        if byte & 0x80 != 0 {
            continue;
        }
        if arcs.is_empty() {
            let root = (value / 40).min(2);
            arcs.push(root.to_string());
            value -= root * 40;
        }
        arcs.push(value.to_string());
        value = 0;
    }
    if arcs.is_empty() { "?".to_owned() } else { arcs.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_definite_length_is_read() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        assert_eq!(Reader::new(&long).expect(OCTET_STRING).unwrap().content, &[7; 128]);
        for (why, bytes) in [
            ("empty", &[][..]),
            ("tag alone", &[0x04]),
            ("content cut short", &[0x04, 0x02, 0x01]),
            ("indefinite length", &[0x30, 0x80, 0x00, 0x00]),
            ("one byte too many for a short length", &[0x04, 0x81, 0x01, 0x01]),
            ("leading zero in the length", &[0x04, 0x82, 0x00, 0x80]),
            ("length of four bytes", &[0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("length cut short", &[0x04, 0x82, 0x01]),
            ("high tag number", &[0x1F, 0x81, 0x01, 0x00]),
        ] {
            assert_eq!(Reader::new(bytes).element().err(), Some(BadDer), "{why}");
        }
    }

    #[test]
    fn integers_are_unsigned_and_minimal() {
        for (bytes, expected) in [
            (&[2, 1, 0][..], Ok(&[0][..])),
            (&[2, 1, 127], Ok(&[127])),
            (&[2, 2, 0, 128], Ok(&[128])),
            (&[2, 1, 128], Err(BadDer)),
            (&[2, 2, 0, 1], Err(BadDer)),
            (&[2, 0], Err(BadDer)),
        ] {
            assert_eq!(Reader::new(bytes).unsigned(), expected, "{bytes:?}");
        }
        for bytes in [&[0][..], &[1], &[128], &[1, 0, 1], &[0, 0, 255]] {
            let encoded = encode_unsigned(bytes);
            let read = Reader::new(&encoded).unsigned().unwrap();
            let value = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
            assert_eq!(value(read), value(bytes));
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for length in [0usize, 1, 127, 128, 255, 256, 65535, 65536] {
            let content = vec![9; length];
            let encoded = encode(OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&encoded);
            assert_eq!(reader.expect(OCTET_STRING).unwrap().content, content);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn object_identifiers_are_named_with_dots() {
        assert_eq!(dotted(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]), "1.2.840.113549.1.1.1");
        assert_eq!(
            dotted(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12]),
            "2.16.840.1.101.3.4.3.18"
        );
        assert_eq!(dotted(&[]), "?");
        assert_eq!(dotted(&[0xFF; 60]), "?");
    }

    #[test]
    fn no_bytes_make_it_loop_or_panic() {
        // A small fixed xorshift: the same bytes in every run.
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for round in 0..20_000 {
            let bytes: Vec<u8> = (0..round % 64)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[0]
                })
                .collect();
            let mut reader = Reader::new(&bytes);
            while reader.element().is_ok() {}
        }
    }
}
