//! Where a request ends, against a reading that sees it whole. The first byte says where the input is cut in
//! two, the second how long a chunked body may be; the rest is what a client sends.

use keypebble::ground::limits::Limits;
use keypebble::http::refusal::Refusal;
use keypebble::http::request::Peer;
use keypebble::server::chunks::{Chunked, Chunks};
use keypebble::server::head::{Framing, Head, head_end};

pub fn check(bytes: &[u8]) {
    let [cut, limit, sent @ ..] = bytes else { return };
    let at = |length: usize| usize::from(*cut) * length / 255;
    body(sent, at(sent.len()), usize::from(*limit));
    let whole = head_end(sent, &mut 0);
    assert_eq!(in_two(sent, at(sent.len())), whole);
    if !matches!(whole, Err(Refusal::Protocol(_))) && !begins_another_protocol(sent) {
        assert_eq!(whole, reference_end(sent));
    }
    let Ok(Some(end)) = whole else { return };
    let limits = Limits { header_count: usize::from(*limit) % 32, ..Limits::default() };
    match Head::parse(&sent[..end], Peer::Unix, &limits) {
        Ok(head) => {
            consistent(&head, &limits);
            if head.body == Framing::Chunked {
                let rest = &sent[end..];
                body(rest, at(rest.len()), usize::from(*limit) * 16);
            }
        }
        Err(Refusal::HeadTooLarge(_)) => {
            let fields = sent[..end].windows(2).filter(|pair| pair == b"\r\n").count() - 2;
            assert!(fields > limits.header_count);
        }
        Err(Refusal::Malformed(_) | Refusal::Version | Refusal::Expectation) => {}
        Err(other) => panic!("{other:?}"),
    }
}

fn in_two(bytes: &[u8], cut: usize) -> Result<Option<usize>, Refusal> {
    let mut looked = 0;
    let first = head_end(&bytes[..cut], &mut looked);
    if first != Ok(None) {
        return first; // nothing that follows may change it
    }
    assert!(looked <= cut, "it looked at what is not there yet");
    head_end(bytes, &mut looked)
}

/// So little of what other protocols send first that it cannot be told what it is.
fn begins_another_protocol(bytes: &[u8]) -> bool {
    let first: [&[u8]; 4] = [b"\x16\x03", b"PROXY ", b"PRI * HTTP/2.0\r\n", b"\r\n\r\n\0\r\nQUIT\n"];
    first.iter().any(|first| first.starts_with(bytes))
}

/// Lines without control characters that end in CRLF, of which an empty one is the last and not the first.
fn reference_end(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut line = 0;
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    while let Some(length) = bytes[line..].iter().position(|byte| !is_text(byte)) {
        match bytes[line + length..] {
            [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if line == 0 && length == 0 => {
                return Err(Refusal::Malformed("empty line before the request line"));
            }
            [b'\r', b'\n', ..] if length == 0 => return Ok(Some(line + 2)),
            [b'\r', b'\n', ..] => line += length + 2,
            [b'\r', ..] => return Err(Refusal::Malformed("carriage return without line feed")),
            [b'\n', ..] => return Err(Refusal::Malformed("line feed without carriage return")),
            _ => return Err(Refusal::Malformed("control byte in the request head")),
        }
    }
    Ok(None)
}

/// What a head that is taken must look like, whatever it says.
fn consistent(head: &Head<'_>, limits: &Limits) {
    let request = &head.request;
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let (method, target) = (request.method.name(), request.target);
    assert!(graphic(method) && graphic(target));
    assert!(!method.contains(['(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=']));
    assert!(request.headers.len() <= limits.header_count);
    for (name, value) in &request.headers {
        assert!(graphic(name) && !name.contains(':'));
        assert!(value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)));
        assert!(value.trim_ascii() == *value);
    }
    let all = |name: &str| -> Vec<String> {
        let values = request.header_values(name);
        values.map(|value| value.iter().copied().map(char::from).collect()).collect()
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
    assert!(malformed || target.starts_with('/') || target == "*");
    let connection = all("connection").join(",").to_ascii_lowercase();
    assert!(head.last || !connection.split(',').any(|word| word.trim() == "close"));
    assert!(head.last || !head.old || connection.contains("keep-alive"));
    let expectations = all("expect").len();
    assert!(expectations <= 1 && head.expects_continue == (expectations == 1 && !head.old));
    // Written again, it is the same head.
    let version = if head.old { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut again = format!("{method} {target} {version}\r\n").into_bytes();
    for (name, value) in &request.headers {
        again.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    again.extend(b"\r\n");
    assert_eq!(head_end(&again, &mut 0), Ok(Some(again.len())));
    let same = Head::parse(&again, Peer::Unix, limits).unwrap();
    assert_eq!(
        (same.body, same.old, same.last, same.expects_continue),
        (head.body, head.old, head.last, head.expects_continue)
    );
    assert_eq!(same.request.headers, request.headers);
}

fn body(bytes: &[u8], cut: usize, limit: usize) {
    let (mut decoded, mut state) = (bytes.to_vec(), Chunked::default());
    let whole = state.decode(&mut decoded, limit);
    match whole {
        Chunks::End => {
            let (mut sent, mut alone) = (bytes[..state.read].to_vec(), Chunked::default());
            assert_eq!(alone.decode(&mut sent, limit), Chunks::End, "it looked behind the end");
            assert_eq!((alone, &decoded[state.read..]), (state, &bytes[state.read..]), "it wrote behind it");
            let data = reference_chunks(&bytes[..state.read]).expect("a chunked body");
            assert!(data.len() <= limit && data == decoded[..state.data]);
        }
        Chunks::Partial => assert!(bytes.len() <= limit + limit / 4 + 128),
        Chunks::TooLarge | Chunks::Malformed(_) => {}
    }
    let (mut first, mut parts) = (bytes[..cut].to_vec(), Chunked::default());
    match parts.decode(&mut first, limit) {
        Chunks::Partial => {
            first.extend(&bytes[cut..]);
            let end = parts.decode(&mut first, limit);
            let refused = |chunks| matches!(chunks, Chunks::TooLarge | Chunks::Malformed(_));
            assert!(end == whole || (refused(end) && refused(whole)), "{whole:?} in one, {end:?} in two");
            if end == Chunks::End {
                assert_eq!((parts, &first[..parts.data]), (state, &decoded[..state.data]));
            }
        }
        Chunks::End => assert_eq!((whole, parts), (Chunks::End, state)),
        // What was refused stays refused; for which reason, is no matter.
        Chunks::TooLarge | Chunks::Malformed(_) => {
            assert!(matches!(whole, Chunks::TooLarge | Chunks::Malformed(_)), "{whole:?} in one, not in two");
        }
    }
}

/// The data of a whole chunked body (RFC 9112, 7.1), and nothing but that.
fn reference_chunks(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]);
        let digits = line.split(';').next()?;
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        if rest.get(size..size + 2)? != b"\r\n" {
            return None;
        }
        data.extend(&rest[..size]);
        bytes = &rest[size + 2..];
        if size == 0 {
            return bytes.is_empty().then_some(data);
        }
    }
}
