//! Requests that two programs may read differently, for Keypebble alone and behind nginx: one table for both.

use super::claims;

/// Whom no attack may speak for.
pub const VICTIM: &str = "mallory";

/// What is sent right after each: a complete request, which is answered only where the first one's end was
/// misjudged, or where nobody minds that it could not be known.
pub const SECOND: &str = "GET /v2/token?second HTTP/1.1\r\nHost: h\r\nX-Authenticated-User: mallory\r\n\r\n";

/// No two programs need read these alike; a server that guesses may find another user, or another request.
pub const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "two lengths",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ),
    (
        "the same length twice",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("a list of lengths", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("negative length", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nhello"),
    ("signed length", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello"),
    ("empty length", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nhello"),
    ("hexadecimal length", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("length with a blank", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 1 0\r\n\r\nhello"),
    ("length in words", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: five\r\n\r\nhello"),
    (
        "length beyond 64 bits",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    ),
    (
        "length and coding",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding and length",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "bad length and coding",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two codings",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "a list of codings",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    ("coding identity", "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("coding xchunked", "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (
        "coding in capitals",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding with vertical tab",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding in quotes",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    ("empty coding", "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    (
        "coding in HTTP/1.0",
        "GET /v2/token HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("blank before the colon", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello"),
    (
        "tab before the colon",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("folded user", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-A: b\r\n X-Authenticated-User: mallory\r\n\r\n"),
    (
        "user folded by tab",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\tX-Authenticated-User: mallory\r\n\r\n",
    ),
    ("folded first field", "GET /v2/token HTTP/1.1\r\n X-Authenticated-User: mallory\r\nHost: h\r\n\r\n"),
    ("folded length", "GET /v2/token HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 5\r\n\r\nhello"),
    ("bare line feeds", "GET /v2/token HTTP/1.1\nHost: h\n\n"),
    (
        "bare line feed in a value",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-A: b\nX-Authenticated-User: mallory\r\n\r\n",
    ),
    (
        "bare carriage return in a value",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-A: b\rX-Authenticated-User: mallory\r\n\r\n",
    ),
    ("carriage return twice", "GET /v2/token HTTP/1.1\r\nHost: h\r\r\n\r\n"),
    ("null in a value", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-User: mal\0lory\r\n\r\n"),
    ("delete in a value", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-User: mallory\x7f\r\n\r\n"),
    ("tab in a value", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-User: mal\tlory\r\n\r\n"),
    (
        "a letter beyond ASCII in a name",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-User\u{fd}: mallory\r\n\r\n",
    ),
    ("a letter beyond ASCII in the target", "GET /v2/tok\u{e9}n HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two hosts", "GET /v2/token HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
    ("no host", "GET /v2/token HTTP/1.1\r\nX-Authenticated-User: mallory\r\n\r\n"),
    ("a host with a path", "GET /v2/token HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    ("absolute target", "GET http://i/v2/token HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("authority target", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
    ("star target", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("fragment", "GET /v2/token#b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("no version", "GET /v2/token\r\nHost: h\r\n\r\n"),
    ("four words", "GET /v2/token /b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("words after the version", "GET /v2/token HTTP/1.1 x\r\nHost: h\r\n\r\n"),
    ("blanks between the words", "GET  /v2/token HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("tab between the words", "GET\t/v2/token HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("blank before the method", " GET /v2/token HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("blank after the version", "GET /v2/token HTTP/1.1 \r\nHost: h\r\n\r\n"),
    ("version in small letters", "GET /v2/token http/1.1\r\nHost: h\r\n\r\n"),
    ("version 1.01", "GET /v2/token HTTP/1.01\r\nHost: h\r\n\r\n"),
    ("line without a colon", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-User\r\n\r\n"),
    ("field without a name", "GET /v2/token HTTP/1.1\r\nHost: h\r\n: mallory\r\n\r\n"),
    ("name with a null", "GET /v2/token HTTP/1.1\r\nHost: h\r\nX-Authenticated-Us\0er: mallory\r\n\r\n"),
    ("empty line first", "\r\nGET /v2/token HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        "chunk size with a sign",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    ),
    (
        "chunk size with a blank",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",
    ),
    (
        "chunk size with 0x",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    ),
    (
        "chunk ended by line feed",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
    ),
    (
        "line feed in a chunk extension",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
    ),
    (
        "chunk longer than it says",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ),
    (
        "trailer fields",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Authenticated-User: mallory\r\n\r\n",
    ),
    (
        "upgrade of a chunked body",
        "GET /v2/token HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
];

/// Clear in what they ask, but they name a user in more than one way.
pub const OTHER_USERS: &[(&str, &str)] = &[
    ("two users", "X-Authenticated-User: alice\r\nX-Authenticated-User: mallory\r\n"),
    ("two users, the other first", "X-Authenticated-User: mallory\r\nX-Authenticated-User: alice\r\n"),
    ("two users in another case", "X-Authenticated-User: alice\r\nx-authenticated-user: mallory\r\n"),
    ("a user in underscores", "X-Authenticated-User: alice\r\nX_Authenticated_User: mallory\r\n"),
    ("an empty user first", "X-Authenticated-User:\r\nX-Authenticated-User: mallory\r\n"),
    (
        "a user that the proxy is to drop",
        "Connection: X-Authenticated-User\r\nX-Authenticated-User: alice\r\n",
    ),
];

/// The request with one more field, before its `Host` where it has one.
pub fn with_field(request: &str, field: &str) -> String {
    match request.split_once("Host:") {
        Some((before, after)) => format!("{before}{field}Host:{after}"),
        None => request.replacen("\r\n", &format!("\r\n{field}"), 1),
    }
}

/// How many answers these bytes are.
pub fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

/// The users of all the tokens in there.
pub fn users(text: &str) -> Vec<String> {
    let tokens = text.split("\"token\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    tokens.map(|token| claims(token)["sub"].as_str().unwrap().to_owned()).collect()
}
