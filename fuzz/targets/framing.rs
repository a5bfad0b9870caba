//! Where a request ends, against a reading that sees it whole. The first byte says where the input is cut in
//! two, the second how long a chunked body may be; the rest is what a client sends.

use keypebble::server::Limits;
use keypebble::server::framing::{Chunks, Framing, Head, HeadError, chunks, head_end};

pub fn check(bytes: &[u8]) {
    let [cut, limit, sent @ ..] = bytes else { return };
    let at = |length: usize| usize::from(*cut) * length / 255;
    body(sent, at(sent.len()), usize::from(*limit));
    let whole = head_end(sent, &mut 0);
    assert_eq!(in_two(sent, at(sent.len())), whole);
    assert_eq!(whole, reference_end(sent));
    let Ok(Some(end)) = whole else { return };
    let limits = Limits { header_count: usize::from(*limit) % 32, ..Limits::default() };
    match Head::parse(&sent[..end], &limits) {
        Ok(head) => {
            consistent(&head, &limits);
            if head.body == Framing::Chunked {
                let rest = &sent[end..];
                body(rest, at(rest.len()), usize::from(*limit) * 16);
            }
        }
        Err(HeadError::TooManyFields) => {
            let fields = sent[..end].windows(2).filter(|pair| pair == b"\r\n").count() - 2;
            assert!(fields > limits.header_count);
        }
        Err(_) => {}
    }
}

fn in_two(bytes: &[u8], cut: usize) -> Result<Option<usize>, HeadError> {
    let mut looked = 0;
    let first = head_end(&bytes[..cut], &mut looked);
    if first != Ok(None) {
        return first; // nothing that follows may change it
    }
    assert!(looked <= cut, "it looked at what is not there yet");
    head_end(bytes, &mut looked)
}

/// Lines of printable ASCII that end in CRLF, of which an empty one is the last and not the first.
fn reference_end(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let mut line = 0;
    while let Some(length) = bytes[line..].iter().position(|byte| !matches!(byte, b'\t' | b' '..=b'~')) {
        match bytes[line + length..] {
            [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if line == 0 && length == 0 => {
                return Err(HeadError::Syntax("empty line before the request line"));
            }
            [b'\r', b'\n', ..] if length == 0 => return Ok(Some(line + 2)),
            [b'\r', b'\n', ..] => line += length + 2,
            [b'\r', ..] => return Err(HeadError::Syntax("carriage return without line feed")),
            [b'\n', ..] => return Err(HeadError::Syntax("line feed without carriage return")),
            _ => return Err(HeadError::Syntax("byte outside printable ASCII")),
        }
    }
    Ok(None)
}

/// What a head that is taken must look like, whatever it says.
fn consistent(head: &Head<'_>, limits: &Limits) {
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(graphic(head.method) && graphic(head.target));
    assert!(
        !head.method.contains(['(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '='])
    );
    assert!(head.headers.len() <= limits.header_count);
    for (name, value) in &head.headers {
        assert!(graphic(name) && !name.contains(':'));
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == *value);
    }
    let all = |name: &str| -> Vec<&str> {
        let named = head.headers.iter().filter(|(known, _)| known.to_ascii_lowercase() == name);
        named.map(|(_, value)| *value).collect()
    };
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    match head.body {
        Framing::None => assert!(lengths.is_empty() && codings.is_empty()),
        Framing::Length(length) => {
            assert!(lengths.len() == 1 && codings.is_empty());
            assert!(lengths[0].bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(lengths[0].parse(), Ok(length));
        }
        Framing::Chunked => assert!(lengths.is_empty() && codings == ["chunked"] && !head.old),
        Framing::Malformed(_) => {}
    }
    let hosts = all("host").len();
    let malformed = matches!(head.body, Framing::Malformed(_));
    assert!(malformed || hosts == 1 || (hosts == 0 && head.old));
    assert!(malformed || head.target.starts_with('/') || head.target == "*");
    let connection = all("connection").join(",").to_ascii_lowercase();
    assert!(head.last || !connection.split(',').any(|word| word.trim() == "close"));
    assert!(head.last || !head.old || connection.contains("keep-alive"));
    assert_eq!(head.expects_continue, all("expect").len() == 1);
    // Written again, it is the same head.
    let version = if head.old { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut again = format!("{} {} {version}\r\n", head.method, head.target);
    for (name, value) in &head.headers {
        again += &[name, ": ", value, "\r\n"].concat();
    }
    again.push_str("\r\n");
    assert_eq!(head_end(again.as_bytes(), &mut 0), Ok(Some(again.len())));
    let again = Head::parse(again.as_bytes(), limits).unwrap();
    assert_eq!(format!("{again:?}"), format!("{head:?}"));
}

fn body(bytes: &[u8], cut: usize, limit: usize) {
    let whole = chunks(bytes, limit);
    match whole {
        Chunks::End(end) => {
            assert_eq!(chunks(&bytes[..end], limit), Chunks::End(end), "it looked behind the end");
            let data = reference_chunks(&bytes[..end]).expect("a chunked body");
            assert!(data <= limit);
        }
        Chunks::Partial => assert!(bytes.len() <= limit + limit / 4 + 128),
        Chunks::TooLarge | Chunks::Malformed(_) => {}
    }
    match chunks(&bytes[..cut], limit) {
        Chunks::Partial => {}
        Chunks::End(end) => assert_eq!(whole, Chunks::End(end)),
        // What was refused stays refused; for which reason, is no matter.
        Chunks::TooLarge | Chunks::Malformed(_) => {
            assert!(matches!(whole, Chunks::TooLarge | Chunks::Malformed(_)), "{whole:?} in one, not in two");
        }
    }
}

/// How many bytes of data a whole chunked body holds (RFC 9112, 7.1), and nothing but that.
fn reference_chunks(mut bytes: &[u8]) -> Option<usize> {
    let mut data = 0;
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]);
        let digits = line.split(';').next()?;
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        if rest.get(size..size + 2)? != b"\r\n" {
            return None;
        }
        bytes = &rest[size + 2..];
        data += size;
        if size == 0 {
            return bytes.is_empty().then_some(data);
        }
    }
}
