//! A chunked body (RFC 9112, 7.1), decoded where it lies.
//!
//! Owns the grammar of chunks, strictly. Must not know sockets. Decision: the state is two places in the
//! bytes, so that nothing is looked at twice, however small the pieces that it comes in.

/// How far a chunked body has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunked {
    /// The bytes that have been used up, with the framing.
    pub read: usize,
    /// The bytes of data, which now lie together at the front.
    pub data: usize,
}

/// What came of looking at the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// More is to come.
    Partial,
    /// It is whole.
    End,
    /// It holds more than the limit, or spends too many bytes on saying little.
    TooLarge,
    /// It breaks the grammar, or has what we don't take: blanks, long extensions, trailers.
    Malformed(&'static str),
}

/// The longest chunk-size line with its extensions: clients that send any send short ones.
const CHUNK_LINE: usize = 128;

impl Chunked {
    /// Takes the chunks that are whole. `bytes` is all that has come of a body that may hold `limit` bytes, and
    /// a quarter more in framing.
    pub fn decode(&mut self, bytes: &mut [u8], limit: usize) -> Chunks {
        let most = limit + limit / 4 + CHUNK_LINE;
        loop {
            let line = &bytes[self.read..];
            let (size, start) = match size_line(line) {
                Ok(Some(found)) => found,
                Ok(None) if bytes.len() > most => return Chunks::TooLarge,
                Ok(None) => return Chunks::Partial,
                Err(problem) => return Chunks::Malformed(problem),
            };
            let Some(size) = size.filter(|size| *size <= limit - self.data) else {
                return Chunks::TooLarge;
            };
            let end = start + size;
            if self.read + end + 2 > most {
                return Chunks::TooLarge;
            }
            match line.get(end..end + 2) {
                None if bytes.len() > most => return Chunks::TooLarge,
                None => return Chunks::Partial,
                Some(b"\r\n") => {}
                Some(_) if size == 0 => return Chunks::Malformed("trailer fields"),
                Some(_) => return Chunks::Malformed("chunk longer than its size"),
            }
            bytes.copy_within(self.read + start..self.read + end, self.data);
            self.data += size;
            self.read += end + 2;
            if size == 0 {
                return Chunks::End;
            }
        }
    }
}

/// The size that a chunk begins with, `None` if it is beyond any, and the length of its line; nothing where the
/// line is not whole.
fn size_line(bytes: &[u8]) -> Result<Option<(Option<usize>, usize)>, &'static str> {
    let Some(end) = bytes.iter().take(CHUNK_LINE).position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < CHUNK_LINE { Ok(None) } else { Err("chunk size line too long") };
    };
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || !(digits == end || bytes[digits] == b';') {
        return Err("malformed chunk size");
    }
    if !bytes[digits..end].iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("control byte in a chunk extension");
    }
    match bytes[end..] {
        [b'\n', ..] => return Err("line feed without carriage return"),
        [_] => return Ok(None),
        [_, b'\n', ..] => {}
        _ => return Err("carriage return without line feed"),
    }
    let size = str::from_utf8(&bytes[..digits]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
    Ok(Some((size, end + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], limit: usize) -> (Chunks, usize, Vec<u8>) {
        let (mut bytes, mut chunked) = (bytes.to_vec(), Chunked::default());
        let end = chunked.decode(&mut bytes, limit);
        bytes.truncate(chunked.data);
        (end, chunked.read, bytes)
    }

    #[test]
    fn a_chunked_body_ends_at_its_empty_chunk_and_nowhere_else() {
        for (bytes, read, data) in [
            (&b"0\r\n\r\n"[..], 5, &b""[..]),
            (b"3\r\nabc\r\n0\r\n\r\nGET", 13, b"abc"),
            (b"3;a=b\r\nabc\r\n1\r\nd\r\n00\r\n\r\n", 24, b"abcd"),
        ] {
            assert_eq!(decode(bytes, 16), (Chunks::End, read, data.to_vec()), "{}", bytes.escape_ascii());
        }
        for (bytes, expected) in [
            (&b""[..], Chunks::Partial),
            (b"3\r\nabc\r\n0\r\n", Chunks::Partial),
            (b"3\r", Chunks::Partial),
            (b"+3\r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"3 \r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"0x3\r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"\r\n", Chunks::Malformed("malformed chunk size")),
            (b"3\nabc\r\n", Chunks::Malformed("line feed without carriage return")),
            (b"3;\x01\r\nabc\r\n", Chunks::Malformed("control byte in a chunk extension")),
            (b"3\rx", Chunks::Malformed("carriage return without line feed")),
            (b"3\r\nabcd\r\n", Chunks::Malformed("chunk longer than its size")),
            (b"0\r\nX: y\r\n\r\n", Chunks::Malformed("trailer fields")),
            (b"ffffffffffffffffff\r\n", Chunks::TooLarge),
            (b"11\r\n", Chunks::TooLarge),
            (b"9\r\n123456789\r\n8\r\n", Chunks::TooLarge),
            (&[b'0'; 200], Chunks::Malformed("chunk size line too long")),
        ] {
            assert_eq!(decode(bytes, 16).0, expected, "{}", bytes.escape_ascii());
        }
        // Much framing for little is refused, whether it comes at once or in parts.
        let wasteful = [format!("{:0>100}\r\na\r\n", 1).repeat(2).as_bytes(), b"0\r\n\r\n"].concat();
        for length in 150..=wasteful.len() {
            assert_eq!(decode(&wasteful[..length], 16).0, Chunks::TooLarge, "{length}");
        }
    }

    #[test]
    fn it_is_the_same_body_in_whatever_pieces() {
        let sent = b"3\r\nabc\r\na;x\r\n0123456789\r\n0\r\n\r\n";
        let (mut bytes, mut chunked) = (Vec::new(), Chunked::default());
        for (count, byte) in (1..).zip(sent) {
            bytes.push(*byte);
            let end = if count == sent.len() { Chunks::End } else { Chunks::Partial };
            assert_eq!(chunked.decode(&mut bytes, 16), end, "{count}");
        }
        assert_eq!((&bytes[..chunked.data], chunked.read), (&b"abc0123456789"[..], sent.len()));
    }
}
