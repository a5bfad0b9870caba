//! PEM text (RFC 7468): from a file's bytes to labelled DER.
//!
//! Owns BEGIN, END and base64; what a block holds is told by [`Form`]. Decision: tolerant of what surrounds
//! the blocks and of how their lines are broken (CRLF, indentation, a YAML scalar folded into one line),
//! strict about what is in them. Private bytes are wiped when dropped.

use super::error::KeyError;
use super::form::Form;
use crate::ground::{base64, encoding};
use zeroize::Zeroizing;

/// The longest text that is read, in bytes: ten large certificates fit several times.
pub(crate) const MAX_TEXT: usize = 128 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";
const WRONG_FILE: &str = "a PEM text starts with -----BEGIN: is this the right file?";

/// What stands between a BEGIN line and its END line, not yet decoded.
pub(crate) struct Block<'a> {
    label: &'a str,
    body: &'a [u8],
}

impl Block<'_> {
    /// What stands after BEGIN.
    pub(crate) fn label(&self) -> &str {
        self.label
    }

    /// What it holds, whatever its label says, and the DER. Without a known form, it is malformed where the
    /// label is that of a key or a certificate.
    pub(crate) fn read(&self) -> Result<(Form, Zeroizing<Vec<u8>>), KeyError> {
        // OpenSSL's older way to protect a private key: the block begins with lines that are not base64.
        if find(self.body, b",ENCRYPTED").is_some() {
            return Ok((Form::Encrypted, Zeroizing::default()));
        }
        let der = self.decode()?;
        match (Form::of(&der), self.label) {
            (Form::Other, "CERTIFICATE") => Err(KeyError::Malformed { what: "certificate" }),
            (Form::Other, label) if label.ends_with(" KEY") => Err(KeyError::Malformed { what: "key" }),
            (form, _) => Ok((form, der)),
        }
    }

    /// The DER, wiped when dropped.
    pub(crate) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bad = || KeyError::Base64 { label: self.label.to_owned() };
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(self.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
        let der = std::str::from_utf8(&text).ok().and_then(base64::read_standard).map(Zeroizing::new);
        der.filter(|der| !der.is_empty()).ok_or_else(bad)
    }
}

/// Every block of the text, in order; at least one.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, KeyError> {
    if text.len() > MAX_TEXT {
        return Err(KeyError::TooLong { most: MAX_TEXT });
    }
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = find(rest, BEGIN) {
        rest = after(rest, start + BEGIN.len());
        let end = find(rest, DASHES).ok_or_else(|| KeyError::Unterminated { label: "a block".into() })?;
        // The label is text of the file: only what looks like one is repeated in a message.
        let label = rest
            .get(..end)
            .filter(|label| {
                label.len() <= 40
                    && label.iter().all(|b| b.is_ascii_uppercase() || b" 0123456789".contains(b))
            })
            .and_then(|label| std::str::from_utf8(label).ok())
            .ok_or(KeyError::Malformed { what: "PEM label" })?;
        rest = after(rest, end + DASHES.len());
        let closing = [b"-----END ", label.as_bytes(), DASHES].concat();
        let unterminated = || KeyError::Unterminated { label: label.to_owned() };
        let end = find(rest, &closing).ok_or_else(unterminated)?;
        let body = rest.get(..end).unwrap_or_default();
        if find(body, BEGIN).is_some() {
            return Err(unterminated());
        }
        blocks.push(Block { label, body });
        rest = after(rest, end + closing.len());
    }
    if blocks.is_empty() { Err(not_pem(text)) } else { Ok(blocks) }
}

/// The PEM text of some DER, lines of 64 characters, wiped when dropped.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(base64::standard(der));
    let mut text =
        Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 64 + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn after(bytes: &[u8], position: usize) -> &[u8] {
    bytes.get(position..).unwrap_or_default()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// What a text without a block looks like, and what helps.
fn not_pem(text: &[u8]) -> KeyError {
    let begin = text.trim_ascii_start();
    let (found, hint) = match Form::of(text) {
        Form::Pkcs12 => ("a PKCS#12 file", "convert it with: openssl pkcs12 -in key.p12 -nodes -out key.pem"),
        Form::Certificate => (
            "a certificate in binary (DER)",
            "convert it with: openssl x509 -inform DER -in cert.der -out cert.pem",
        ),
        Form::Spki | Form::RsaPublic => (
            "a public key in binary (DER)",
            "convert it with: openssl pkey -pubin -inform DER -in key.der -out key.pem",
        ),
        form if form.is_private() => (
            "a private key in binary (DER)",
            "convert it with: openssl pkey -inform DER -in key.der -out key.pem",
        ),
        _ if begin.is_empty() => {
            ("an empty file", "the file must hold a PEM text, which starts with -----BEGIN")
        }
        _ if encoding::byte_order(text).is_some_and(|problem| problem.contains("UTF-16")) => {
            ("UTF-16 text", "save the file as UTF-8, or convert it with: iconv -f UTF-16 -t UTF-8")
        }
        _ if begin.starts_with(b"{") => ("a JSON file", WRONG_FILE),
        _ if std::str::from_utf8(text).is_err() => ("a binary file", WRONG_FILE),
        _ => ("other text", WRONG_FILE),
    };
    KeyError::NotPem { found, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8]) -> Vec<(String, Vec<u8>)> {
        let blocks = blocks(text).unwrap();
        blocks.iter().map(|block| (block.label().to_owned(), block.decode().unwrap().to_vec())).collect()
    }

    #[test]
    fn what_surrounds_a_block_and_breaks_its_lines_does_not_matter() {
        let expected = vec![("TEST".to_owned(), b"hello, world".to_vec())];
        for text in [
            "-----BEGIN TEST-----\naGVsbG8sIHdvcmxk\n-----END TEST-----\n",
            "-----BEGIN TEST-----\r\naGVsbG8s\r\nIHdvcmxk\r\n-----END TEST-----\r\n",
            "  -----BEGIN TEST-----\n   aGVsbG8s\n\n  \tIHdvcmxk\n  -----END TEST-----",
            "-----BEGIN TEST----- aGVsbG8s IHdvcmxk -----END TEST-----",
            "subject=CN = x\n\u{feff}-----BEGIN TEST-----\naGVsbG8sIHdvcmxk\n-----END TEST-----\ntrailing",
        ] {
            assert_eq!(decoded(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn broken_blocks_are_told_apart() {
        let label = || "A KEY".to_owned();
        for (text, expected) in [
            ("-----BEGIN A KEY-----\nAAAA\n", KeyError::Unterminated { label: label() }),
            ("-----BEGIN A KEY-----\nAAAA\n-----END B KEY-----", KeyError::Unterminated { label: label() }),
            (
                "-----BEGIN A KEY-----\nAA\n-----BEGIN A KEY-----\nAAAA\n-----END A KEY-----",
                KeyError::Unterminated { label: label() },
            ),
            ("-----BEGIN A KEY-----\nAAA\n-----END A KEY-----", KeyError::Base64 { label: label() }),
            ("-----BEGIN A KEY-----\nAA!A\n-----END A KEY-----", KeyError::Base64 { label: label() }),
            ("-----BEGIN A KEY-----\nAA\\nAA\n-----END A KEY-----", KeyError::Base64 { label: label() }),
            ("-----BEGIN A KEY-----\n-----END A KEY-----", KeyError::Base64 { label: label() }),
            ("-----BEGIN \u{1b}[31m-----", KeyError::Malformed { what: "PEM label" }),
        ] {
            let result = blocks(text.as_bytes()).and_then(|blocks| blocks[0].decode());
            assert_eq!(result.err(), Some(expected), "{text}");
        }
        assert_eq!(blocks(&vec![b' '; MAX_TEXT + 1]).err(), Some(KeyError::TooLong { most: MAX_TEXT }));
    }

    /// The commands of the hints were tried on these files, which openssl made.
    #[test]
    fn a_file_without_a_block_is_named_with_the_command_that_converts_it() {
        macro_rules! file {
            ($name:literal) => {
                include_bytes!(concat!("../../tests/data/keys/", $name)).as_slice()
            };
        }
        let big_endian: Vec<u8> =
            file!("p256-utf16.pem").chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        for (text, name, helps) in [
            (file!("rsa2048.der"), "a private key in binary (DER)", "openssl pkey -inform DER -in"),
            (file!("p256-sec1.der"), "a private key in binary (DER)", "openssl pkey -inform DER -in"),
            (file!("p256-encrypted.der"), "a private key in binary (DER)", "openssl pkey -inform DER -in"),
            (file!("p256-pub.der"), "a public key in binary (DER)", "openssl pkey -pubin -inform DER -in"),
            (
                file!("rsa2048-pub-pkcs1.der"),
                "a public key in binary (DER)",
                "openssl pkey -pubin -inform DER",
            ),
            (file!("rsa2048-cert.der"), "a certificate in binary (DER)", "openssl x509 -inform DER -in"),
            (file!("p256.p12"), "a PKCS#12 file", "openssl pkcs12 -in"),
            (file!("p256-utf16.pem"), "UTF-16 text", "iconv -f UTF-16"),
            (&big_endian, "UTF-16 text", "iconv -f UTF-16"),
            (&big_endian[2..], "UTF-16 text", "iconv -f UTF-16"),
            (&file!("p256-utf16.pem")[2..], "UTF-16 text", "iconv -f UTF-16"),
            (b"", "an empty file", "-----BEGIN"),
            (b" \n", "an empty file", "-----BEGIN"),
            (b"{\"kty\":\"RSA\"}", "a JSON file", "is this the right file?"),
            (b"hello", "other text", "is this the right file?"),
            (&[0x30, 0x82, 0x01, 0x00], "a binary file", "is this the right file?"),
        ] {
            match blocks(text).err() {
                Some(KeyError::NotPem { found, hint }) => {
                    assert_eq!(found, name);
                    assert!(hint.contains(helps), "{name}: {hint}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_written_reads_back_in_lines_of_64() {
        for length in [1, 47, 48, 49, 100] {
            let der: Vec<u8> = (0..length).collect();
            let text = encode("PUBLIC KEY", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            assert_eq!(decoded(text.as_bytes()), vec![("PUBLIC KEY".to_owned(), der)]);
        }
    }
}
