//! Where one request ends and the next begins: the head's grammar, and the body's length.
//!
//! Owns RFC 9112's framing, strictly, as functions of bytes. Must not know sockets or `tiny_http`.
//! Decision: every head passes here before `tiny_http` reads it, because `tiny_http` trims what it should
//! refuse (a folded line becomes a header of its own) and has no limits. What is ambiguous is refused,
//! never repaired: the other end of an ambiguity is a proxy that read it the other way.

use super::limits::Limits;

/// A request head whose lines are well formed.
#[derive(Debug)]
pub struct Head<'a> {
    /// A token, as sent.
    pub method: &'a str,
    /// As sent.
    pub target: &'a str,
    /// Names as sent, and values without the blanks around them.
    pub headers: Vec<(&'a str, &'a str)>,
    /// HTTP/1.0 rather than 1.1.
    pub old: bool,
    /// What follows.
    pub body: Framing,
    /// The client asked for 100 Continue.
    pub expects_continue: bool,
    /// No further request follows on this connection.
    pub last: bool,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// `chunks` finds its end.
    Chunked,
    /// It cannot be known; the text says why.
    Malformed(&'static str),
}

/// Why a head is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// 400
    Syntax(&'static str),
    /// 431
    TooManyFields,
    /// 505
    Version,
    /// 417
    Expectation,
}

/// Finds the end of a head, looking only at what follows `*looked`, and refuses early any byte that no
/// head may hold. Gives the length of the head with its empty line.
pub fn head_end(bytes: &[u8], looked: &mut usize) -> Result<Option<usize>, HeadError> {
    let mut at = *looked;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\r' => match bytes.get(at + 1) {
                None => break,
                Some(b'\n') if at == 0 => {
                    return Err(HeadError::Syntax("empty line before the request line"));
                }
                Some(b'\n') if bytes[..at].ends_with(b"\r\n") => return Ok(Some(at + 2)),
                Some(b'\n') => at += 1,
                Some(_) => return Err(HeadError::Syntax("carriage return without line feed")),
            },
            b'\n' => return Err(HeadError::Syntax("line feed without carriage return")),
            b'\t' | 0x20..=0x7e => {}
            _ => return Err(HeadError::Syntax("byte outside printable ASCII")),
        }
        at += 1;
    }
    *looked = at;
    Ok(None)
}

impl<'a> Head<'a> {
    /// Reads a whole head, as `head_end` measured it.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, HeadError> {
        let text = str::from_utf8(bytes).map_err(|_| HeadError::Syntax("byte outside printable ASCII"))?;
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(text).split("\r\n");
        let (method, target, old) = request_line(lines.next().unwrap_or_default())?;
        let mut headers = Vec::with_capacity(16);
        for line in lines {
            if headers.len() == limits.header_count {
                return Err(HeadError::TooManyFields);
            }
            headers.push(field(line)?);
        }
        let mut head =
            Head { method, target, headers, old, body: Framing::None, expects_continue: false, last: old };
        head.body = head.framing();
        head.expects_continue = head.expectation()?;
        head.last = head.is_last();
        Ok(head)
    }

    /// Every value of a field.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> + '_ {
        self.headers.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }

    /// RFC 9112, 6.3, and what makes its answer doubtful.
    fn framing(&self) -> Framing {
        let mut hosts = self.values("host");
        match (hosts.next(), hosts.next()) {
            (_, Some(_)) => return Framing::Malformed("more than one Host"),
            (None, _) if !self.old => return Framing::Malformed("no Host"),
            (Some(host), _) if host.contains([' ', '\t', ',', '/', '\\', '?', '#', '@']) => {
                return Framing::Malformed("malformed Host");
            }
            _ => {}
        }
        if !(self.target.starts_with('/') || (self.target == "*" && self.method == "OPTIONS")) {
            return Framing::Malformed("the request target is not a path");
        }
        if self.target.contains('#') {
            return Framing::Malformed("a fragment in the request target");
        }
        let mut lengths = self.values("content-length");
        let mut codings = self.values("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Framing::None,
            (Some(_), Some(_)) => Framing::Malformed("Content-Length with Transfer-Encoding"),
            (Some(_), None) if lengths.next().is_some() => Framing::Malformed("more than one Content-Length"),
            (Some(length), None) => content_length(length),
            (None, Some(_)) if self.old => Framing::Malformed("Transfer-Encoding in HTTP/1.0"),
            // tiny_http takes the whole stream for the body of an upgrade, whatever its framing.
            (None, Some(_)) if self.asks("upgrade") => {
                Framing::Malformed("Transfer-Encoding with an upgrade")
            }
            (None, Some("chunked")) if codings.next().is_none() => Framing::Chunked,
            (None, Some(_)) => Framing::Malformed("Transfer-Encoding other than chunked"),
        }
    }

    fn expectation(&self) -> Result<bool, HeadError> {
        let mut expected = false;
        for value in self.values("expect") {
            // An HTTP/1.0 client cannot mean it (RFC 9110, 10.1.1), and two are no clearer than one.
            if self.old || expected || !value.eq_ignore_ascii_case("100-continue") {
                return Err(HeadError::Expectation);
            }
            expected = true;
        }
        Ok(expected)
    }

    /// Any Connection field that holds the word, as loosely as `tiny_http` reads it: an upgrade that we
    /// don't speak ends the connection after its answer.
    fn asks(&self, word: &str) -> bool {
        self.values("connection").any(|value| value.to_ascii_lowercase().contains(word))
    }

    fn is_last(&self) -> bool {
        if self.values("connection").next().is_none() {
            return self.old;
        }
        let asks_to_stay =
            self.values("connection").next().is_some_and(|v| v.to_ascii_lowercase().contains("keep-alive"));
        self.asks("close") || self.asks("upgrade") || (self.old && !asks_to_stay)
    }
}

fn request_line(line: &str) -> Result<(&str, &str, bool), HeadError> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::Syntax("the request line is not three words"));
    };
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(HeadError::Syntax("malformed method"));
    }
    if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(HeadError::Syntax("malformed request target"));
    }
    match version {
        "HTTP/1.1" => Ok((method, target, false)),
        "HTTP/1.0" => Ok((method, target, true)),
        _ => match version.strip_prefix("HTTP/").map(str::as_bytes) {
            Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
                Err(HeadError::Version)
            }
            _ => Err(HeadError::Syntax("malformed HTTP version")),
        },
    }
}

fn field(line: &str) -> Result<(&str, &str), HeadError> {
    if line.starts_with([' ', '\t']) {
        return Err(HeadError::Syntax("folded header line"));
    }
    let (name, value) = line.split_once(':').ok_or(HeadError::Syntax("header line without a colon"))?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(HeadError::Syntax("malformed header name"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.contains('\t') {
        return Err(HeadError::Syntax("control byte in a header value"));
    }
    Ok((name, value))
}

fn content_length(value: &str) -> Framing {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Framing::Malformed("malformed Content-Length");
    }
    value.parse().map_or(Framing::Malformed("Content-Length out of range"), Framing::Length)
}

/// What is known of a chunked body from its first bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunks {
    /// More is to come.
    Partial,
    /// It ends after this many bytes.
    End(usize),
    /// It holds more than the limit, or spends too many bytes on saying little.
    TooLarge,
    /// It breaks the grammar, or has what we don't take: spaces, long extensions, trailers.
    Malformed(&'static str),
}

/// The longest chunk-size line with its extensions: clients that send any send short ones.
const CHUNK_LINE: usize = 128;

/// Measures a chunked body (RFC 9112, 7.1) that may hold `limit` bytes, and a quarter more in framing.
pub fn chunks(bytes: &[u8], limit: usize) -> Chunks {
    let mut at = 0;
    let mut total = 0_usize;
    loop {
        let line = &bytes[at..];
        let Some(end) = line.iter().take(CHUNK_LINE).position(|&b| b == b'\r' || b == b'\n') else {
            return if line.len() >= CHUNK_LINE {
                Chunks::Malformed("chunk size line too long")
            } else {
                partial(bytes, limit)
            };
        };
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 || !(digits == end || line[digits] == b';') {
            return Chunks::Malformed("malformed chunk size");
        }
        if !line[digits..end].iter().all(|b| (0x20..0x7f).contains(b)) {
            return Chunks::Malformed("control byte in a chunk extension");
        }
        if line[end] == b'\n' {
            return Chunks::Malformed("line feed without carriage return");
        }
        let Some(&feed) = line.get(end + 1) else { return partial(bytes, limit) };
        if feed != b'\n' {
            return Chunks::Malformed("carriage return without line feed");
        }
        let size = str::from_utf8(&line[..digits]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(size) = size.filter(|size| *size <= limit) else { return Chunks::TooLarge };
        total += size;
        if total > limit {
            return Chunks::TooLarge;
        }
        let data_end = at + end + 2 + size;
        if data_end + 2 > most(limit) {
            return Chunks::TooLarge; // also where it came at once
        }
        match bytes.get(data_end..data_end + 2) {
            Some(b"\r\n") if size == 0 => return Chunks::End(data_end + 2),
            Some(b"\r\n") => at = data_end + 2,
            Some(_) if size == 0 => return Chunks::Malformed("trailer fields"),
            Some(_) => return Chunks::Malformed("chunk longer than its size"),
            None => return partial(bytes, limit),
        }
    }
}

fn partial(bytes: &[u8], limit: usize) -> Chunks {
    if bytes.len() > most(limit) { Chunks::TooLarge } else { Chunks::Partial }
}

/// The longest chunked body, with its framing.
fn most(limit: usize) -> usize {
    limit + limit / 4 + CHUNK_LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Framing, HeadError> {
        let mut looked = 0;
        let end = head_end(text.as_bytes(), &mut looked)?.expect("a whole head");
        Head::parse(&text.as_bytes()[..end], &Limits::default()).map(|head| head.body)
    }

    #[test]
    fn a_body_length_is_digits_given_once() {
        for (fields, expected) in [
            ("", Framing::None),
            ("Content-Length: 0\r\n", Framing::Length(0)),
            ("Content-Length:\t 12 \r\n", Framing::Length(12)),
            ("content-length: 1000000000000\r\n", Framing::Length(1_000_000_000_000)),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("Content-Length: 99999999999999999999\r\n", Framing::Malformed("Content-Length out of range")),
            ("Content-Length: 0x1\r\n", Framing::Malformed("malformed Content-Length")),
            ("Content-Length: 5, 5\r\n", Framing::Malformed("malformed Content-Length")),
            ("Transfer-Encoding: Chunked\r\n", Framing::Malformed("Transfer-Encoding other than chunked")),
        ] {
            assert_eq!(
                parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")),
                Ok(expected),
                "{fields}"
            );
        }
    }

    #[test]
    fn a_head_that_comes_in_pieces_ends_where_the_whole_one_does() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut looked = 0;
        for length in 0..27 {
            assert_eq!(head_end(&text[..length], &mut looked), Ok(None), "{length}");
        }
        assert_eq!(head_end(text, &mut looked), Ok(Some(27)));
    }

    #[test]
    fn a_chunked_body_ends_at_its_empty_chunk_and_nowhere_else() {
        for (bytes, expected) in [
            (&b""[..], Chunks::Partial),
            (b"0\r\n\r\n", Chunks::End(5)),
            (b"3\r\nabc\r\n0\r\n\r\nGET", Chunks::End(13)),
            (b"3;a=b\r\nabc\r\n00\r\n\r\n", Chunks::End(18)),
            (b"3\r\nabc\r\n0\r\n", Chunks::Partial),
            (b"3\r", Chunks::Partial),
            (b"+3\r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"3 \r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"0x3\r\nabc\r\n", Chunks::Malformed("malformed chunk size")),
            (b"\r\n", Chunks::Malformed("malformed chunk size")),
            (b"3\nabc\r\n", Chunks::Malformed("line feed without carriage return")),
            (b"3\rx", Chunks::Malformed("carriage return without line feed")),
            (b"3\r\nabcd\r\n", Chunks::Malformed("chunk longer than its size")),
            (b"0\r\nX: y\r\n\r\n", Chunks::Malformed("trailer fields")),
            (b"ffffffffffffffffff\r\n", Chunks::TooLarge),
            (b"11\r\n", Chunks::TooLarge),
            (b"9\r\n123456789\r\n8\r\n", Chunks::TooLarge),
            (&[b'0'; 200], Chunks::Malformed("chunk size line too long")),
        ] {
            assert_eq!(chunks(bytes, 16), expected, "{}", bytes.escape_ascii());
        }
        // Much framing for little is refused, whether it comes at once or in parts.
        let wasteful = [format!("{:0>100}\r\na\r\n", 1).repeat(2).as_bytes(), b"0\r\n\r\n"].concat();
        for length in 150..=wasteful.len() {
            assert_eq!(chunks(&wasteful[..length], 16), Chunks::TooLarge, "{length}");
        }
    }
}
