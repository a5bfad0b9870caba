//! The encodings that tests need, written apart from the program's.

const STANDARD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `bits` of each character, over an alphabet: base64 and base32 differ in nothing else but the padding.
fn encode(data: &[u8], bits: u32, alphabet: &[u8]) -> String {
    let (mut text, mut held, mut have) = (String::new(), 0u32, 0);
    for &byte in data {
        held = (held << 8) | u32::from(byte);
        have += 8;
        while have >= bits {
            have -= bits;
            text.push(char::from(alphabet[(held >> have) as usize & ((1 << bits) - 1)]));
        }
        held &= (1 << have) - 1;
    }
    if have > 0 {
        text.push(char::from(alphabet[(held << (bits - have)) as usize]));
    }
    text
}

pub fn base64(data: &[u8]) -> String {
    let text = encode(data, 6, STANDARD);
    let padding = text.len().next_multiple_of(4) - text.len();
    text + &"=".repeat(padding)
}

/// Without padding.
pub fn base64url(data: &[u8]) -> String {
    encode(data, 6, URL)
}

pub fn base32(data: &[u8]) -> String {
    encode(data, 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

pub fn hex(data: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    data.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of a base64url text without padding.
pub fn from_base64url(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes() {
        let digit = URL.iter().position(|known| *known == byte).expect("base64url");
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}
