//! Base64 once more, apart from the one under test: canonical, or nothing (RFC 4648, 3.5).

pub const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn encode(alphabet: &[u8; 64], padded: bool, bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |six: &[u8]| {
        let value = (0..6).fold(0, |value, at| value << 1 | six.get(at).unwrap_or(&0));
        char::from(alphabet[usize::from(value)])
    };
    let mut text: String = bits.chunks(6).map(digit).collect();
    while padded && !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// The bytes of which this is the one encoding.
pub fn decode(alphabet: &[u8; 64], padded: bool, text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for byte in text.trim_end_matches('=').bytes() {
        let value = alphabet.iter().position(|known| *known == byte)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    (encode(alphabet, padded, &bytes) == text).then_some(bytes)
}
