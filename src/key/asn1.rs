//! DER (X.690, 10): what reading it with the `der` crate needs beside, and writing it.
//!
//! Must not know what a structure means. Decision: writing is our own, since from parts it cannot fail, so that
//! nobody has to handle an error that is none.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Error, ErrorKind, Reader, SliceReader, Tag};

pub(crate) const BOOLEAN: u8 = 0x01;
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

/// The two elements of a SEQUENCE.
pub(crate) fn pair<'a, A, B>(sequence: AnyRef<'a>) -> Result<(A, B), Error>
where
    A: Decode<'a, Error = Error>,
    B: Decode<'a, Error = Error>,
{
    sequence.sequence(|fields| Ok((fields.decode()?, fields.decode()?)))
}

/// All bytes of the next element, which must be a SEQUENCE.
pub(crate) fn sequence_bytes<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], Error> {
    Tag::peek(reader)?.assert_eq(Tag::Sequence)?;
    reader.tlv_bytes()
}

/// The bytes of a BIT STRING that is made of whole ones.
pub(crate) fn whole_bytes(bits: BitStringRef<'_>) -> Result<&[u8], Error> {
    bits.as_bytes().ok_or_else(|| Error::from(ErrorKind::Value { tag: Tag::BitString }))
}

/// An element of this tag whose content is these parts.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + 5);
    bytes.push(tag);
    let big_endian = length.to_be_bytes();
    let start = big_endian.iter().position(|&byte| byte != 0).unwrap_or(big_endian.len() - 1);
    let significant = &big_endian[start..];
    if length >= 0x80 {
        // At most eight length bytes, so this never truncates.
        bytes.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
    }
    bytes.extend_from_slice(significant);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A SEQUENCE of these elements.
pub(crate) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, elements)
}

/// An OBJECT IDENTIFIER.
pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    element(OID, &[oid.as_bytes()])
}

/// An INTEGER from big-endian bytes.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    match digits.first() {
        Some(first) if *first < 0x80 => element(INTEGER, &[digits]),
        _ => element(INTEGER, &[&[0], digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::asn1::{OctetStringRef, UintRef};

    #[test]
    fn what_is_written_reads_back() {
        for length in [0usize, 1, 127, 128, 255, 256, 65535, 65536] {
            let content = vec![9; length];
            let written = element(OCTET_STRING, &[&content]);
            assert_eq!(<&OctetStringRef>::from_der(&written).unwrap().as_bytes(), content);
        }
        for bytes in [&[0][..], &[1], &[128], &[1, 0, 1], &[0, 0, 255], &[]] {
            let written = unsigned(bytes);
            let read = UintRef::from_der(&written).unwrap();
            let value = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
            assert_eq!(value(read.as_bytes()), value(bytes));
        }
    }
}
