//! One HTTP response as plain data; `server` writes it.
//!
//! Owns the status, header fields and body. Must not know sockets. `Content-Length`,
//! `Date` and `Connection` are the server's to write.

use std::borrow::Cow;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Header fields beside `Content-Length`, `Date` and `Connection`.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; for a HEAD request the server sends its length only.
    pub body: Cow<'static, [u8]>,
    /// Close the connection after this answer.
    pub close: bool,
}

impl Response {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", Cow::Borrowed("application/json"))],
            body: body.into(),
            close: false,
        }
    }

    /// The same answer with one more header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
