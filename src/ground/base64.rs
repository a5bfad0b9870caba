//! Base64 (RFC 4648): the URL alphabet without padding, in which tokens are written, the standard one with
//! padding, which PEM and HTTP have, and bcrypt's.
//!
//! The only file that names the crate for it. `base64ct` needs no table, so that neither the time nor the
//! cache tells what a secret is, and takes one text only for the same bytes: no line ends, no padding too few
//! or too many, no bits that are left over.

use base64ct::{Base64, Base64Bcrypt, Base64Url, Base64UrlUnpadded, Encoding};

/// Appends the bytes in base64url.
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + Base64UrlUnpadded::encoded_len(bytes), 0);
    let written = Base64UrlUnpadded::encode(bytes, &mut out[start..]);
    debug_assert!(written.is_ok(), "the room is as long as what is written");
}

/// The bytes in base64url.
pub(crate) fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes of a text in base64url.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// The bytes in base64url with padding, which Fernet has.
pub(crate) fn padded(bytes: &[u8]) -> String {
    Base64Url::encode_string(bytes)
}

/// The bytes of a text in base64url, with all of its padding or none.
pub(crate) fn read_padded(text: &str) -> Option<Vec<u8>> {
    if text.ends_with('=') { Base64Url::decode_vec(text).ok() } else { read(text) }
}

/// The bytes in bcrypt's own alphabet, without padding.
pub(crate) fn bcrypt(bytes: &[u8]) -> String {
    Base64Bcrypt::encode_string(bytes)
}

/// The bytes of a text in bcrypt's alphabet.
pub(crate) fn read_bcrypt(text: &str) -> Option<Vec<u8>> {
    Base64Bcrypt::decode_vec(text).ok()
}

/// The bytes in standard base64.
pub(crate) fn standard(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// The bytes of a text in standard base64.
pub(crate) fn read_standard(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 (10), and bytes that need both alphabets' own characters.
    #[test]
    fn what_is_written_is_what_the_standard_says_and_reads_back() {
        for (bytes, url, with_padding) in [
            (&b""[..], "", ""),
            (b"f", "Zg", "Zg=="),
            (b"fo", "Zm8", "Zm8="),
            (b"foo", "Zm9v", "Zm9v"),
            (b"foobar", "Zm9vYmFy", "Zm9vYmFy"),
            (b"\xfb\xff\xbf", "-_-_", "+/+/"),
        ] {
            assert_eq!((text(bytes), standard(bytes)), (url.to_owned(), with_padding.to_owned()));
            assert_eq!(
                (read(url), read_standard(with_padding)),
                (Some(bytes.to_vec()), Some(bytes.to_vec()))
            );
            let mut token = b"a.".to_vec();
            append(&mut token, bytes);
            assert_eq!(token, [b"a.", url.as_bytes()].concat());
        }
        let every: Vec<u8> = (0..=255).collect();
        for length in 0..every.len() {
            assert_eq!(read(&text(&every[..length])).as_deref(), Some(&every[..length]));
            assert_eq!(read_standard(&standard(&every[..length])).as_deref(), Some(&every[..length]));
        }
    }

    #[test]
    fn padding_is_whole_or_not_there() {
        assert_eq!(padded(b"\xfb\xff"), "-_8=");
        for (text, bytes) in
            [("-_8=", Some(&b"\xfb\xff"[..])), ("-_8", Some(b"\xfb\xff")), ("Zg==", Some(b"f"))]
        {
            assert_eq!(read_padded(text).as_deref(), bytes, "{text}");
        }
        for bad in ["Zg=", "Zg===", "+/8=", "-_9=", "=", "Zg==Zg=="] {
            assert_eq!(read_padded(bad), None, "{bad}");
        }
    }

    #[test]
    fn some_bytes_have_one_text_only() {
        for bad in ["Zg==", "Zg=", "Zh", "Zm9", "Z", "Zm8\n", " Zm8", "Zm9v\r\n", "+/+/", "Zm\u{f6}v", "Zg\0"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        for bad in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm8=\n", "-_-_", "Zg==Zg==", "Zm9v===="] {
            assert_eq!(read_standard(bad), None, "{bad:?}");
        }
    }
}
