//! Every way to say no to a client.
//!
//! Owns the one table of status, code, headers and text. Must not know the log: what an operator needs to
//! know more is said there. Decision: the set is closed, and no text of an internal error can get into a
//! body; the body is the registry's own error form, the only one that docker and crane show.

use super::response::Response;
use crate::claims::mapping::MappingError;
use crate::claims::{ClaimsError, RecipientError};
use crate::ground::time::Ttl;
use crate::policy::scope::ScopeError;
use serde_json::json;
use std::borrow::Cow;

/// Why a request is not answered with what it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The head or the body's framing is malformed or ambiguous.
    Malformed(&'static str),
    /// A query cannot be understood.
    Invalid(&'static str),
    /// A member of the body or a parameter of that name cannot be taken, and why.
    Member(&'static str, &'static str),
    /// A life in seconds, in a member or parameter of that name, that is not within 1 s and the longest.
    Life(&'static str, Ttl),
    /// What a member or parameter of that name asks a token to be for.
    Audience(&'static str, RecipientError),
    /// A field of a well-formed Kubernetes object that cannot be taken, and why.
    Spec(&'static str, &'static str),
    /// A header field of that name cannot be taken, and why.
    Field(&'static str, &'static str),
    /// The connection speaks another protocol; the text says which.
    Protocol(&'static str),
    /// Plain HTTP on a port for TLS.
    PlainHttp,
    /// The head did not come in time.
    HeadTimeout,
    /// A request line over the limit.
    TargetTooLong,
    /// A head over the limit, or with too many fields.
    HeadTooLarge(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// More is asked at once than is served; the text says of what.
    Overloaded(&'static str),
    /// A scope cannot be understood.
    Scope(ScopeError),
    /// The service asked for is not one that tokens are signed for.
    Service,
    /// The body's claims cannot be taken.
    Claims(ClaimsError),
    /// `claim_mapping` finds no claim where one is required, or two.
    Mapping(MappingError),
    /// No user is known.
    Unauthenticated,
    /// The credentials are malformed; the text says how, and nothing of them.
    Credentials(&'static str),
    /// Such a user is not known, or has another password.
    Password,
    /// The refresh token is refused; the log says why.
    RefreshToken,
    /// Such a client is not known, or has another secret.
    Client,
    /// The client may not ask this, or not about this token.
    NotTheirs,
    /// Tokens of this kind cannot be revoked.
    TokenKind,
    /// Too many passwords were wrong: the seconds until the next may be tried.
    Throttled(u32),
    /// Too many passwords are being checked.
    Busy,
    /// A form's `grant_type` is another than `password` and `refresh_token`.
    GrantType,
    /// A user who gave a password asks for another's token.
    OtherUser,
    /// No command token for that target may be asked for.
    Target,
    /// A user asks for what only trusted peers may have.
    PeersOnly,
    /// The peer may not ask this at all.
    Untrusted,
    /// The peer may, but a web page could have made the request; the text says what may not be so.
    Foreign(&'static str),
    /// The policy does not know the user.
    UnknownUser,
    /// The policy's mode is `deny`, and not all that was asked is granted.
    Denied,
    /// There is no such path.
    NotFound,
    /// The path answers other methods: these.
    Method(&'static str),
    /// The body did not come in time.
    Timeout,
    /// A body without a length.
    LengthRequired,
    /// A body over the limit.
    TooLarge,
    /// A body of another type.
    MediaType,
    /// What must be remembered cannot be: the store is away.
    Forgetful,
    /// The server's own fault; the log says which.
    Internal,
}

impl Refusal {
    /// Every code, for counters that start at zero.
    pub const CODES: [&'static str; 16] = [
        "INVALID_REQUEST",
        "INVALID_SCOPE",
        "INVALID_SERVICE",
        "INVALID_CLAIMS",
        "UNAUTHORIZED",
        "DENIED",
        "NOT_FOUND",
        "UNSUPPORTED",
        "TIMEOUT",
        "LENGTH_REQUIRED",
        "TOO_LARGE",
        "UNSUPPORTED_MEDIA_TYPE",
        "TOOMANYREQUESTS",
        "OVERLOADED",
        "UNAVAILABLE",
        "UNKNOWN",
    ];

    /// The table: status, code and text; a text that names something is made by [`Refusal::message`].
    fn row(&self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::Malformed(text) | Refusal::Invalid(text) => (400, "INVALID_REQUEST", text),
            Refusal::Member(..) | Refusal::Field(..) | Refusal::Life(..) | Refusal::Protocol(_) => {
                (400, "INVALID_REQUEST", "")
            }
            Refusal::Spec(..) => (422, "INVALID_REQUEST", ""),
            Refusal::Audience(..) => (400, "INVALID_SERVICE", ""),
            Refusal::Scope(_) => (400, "INVALID_SCOPE", ""),
            Refusal::Claims(_) | Refusal::Mapping(_) => (400, "INVALID_CLAIMS", ""),
            Refusal::Throttled(_) => (429, "TOOMANYREQUESTS", ""),
            Refusal::PlainHttp => {
                (400, "INVALID_REQUEST", "plain HTTP on a port for TLS: the address begins with https://")
            }
            Refusal::HeadTimeout => (408, "TIMEOUT", "the request head did not arrive in time"),
            Refusal::TargetTooLong => (414, "TOO_LARGE", "the request line is too long"),
            Refusal::HeadTooLarge(text) => (431, "TOO_LARGE", text),
            Refusal::Version => (505, "UNSUPPORTED", "the HTTP version is neither 1.0 nor 1.1"),
            Refusal::Expectation => (417, "UNSUPPORTED", "the only expectation met here is 100-continue"),
            Refusal::Overloaded(text) => (503, "OVERLOADED", text),
            Refusal::Service => (400, "INVALID_SERVICE", "this issuer signs no tokens for that service"),
            Refusal::Unauthenticated => (401, "UNAUTHORIZED", "authentication required"),
            Refusal::Credentials(text) => (401, "UNAUTHORIZED", text),
            Refusal::Password => (401, "UNAUTHORIZED", "unknown user or wrong password"),
            Refusal::RefreshToken => {
                (401, "UNAUTHORIZED", "the refresh token is not valid here: log in again")
            }
            Refusal::Client => (401, "UNAUTHORIZED", "unknown client or wrong secret"),
            Refusal::NotTheirs => (403, "DENIED", "this client may not ask that"),
            Refusal::TokenKind => (400, "UNSUPPORTED", "tokens cannot be revoked here"),
            Refusal::Busy => {
                (429, "TOOMANYREQUESTS", "too many passwords are being checked: try again in a second")
            }
            Refusal::GrantType => (400, "INVALID_REQUEST", "the grant types are password and refresh_token"),
            Refusal::OtherUser => {
                (403, "DENIED", "a user who logs in with a password gets tokens about themselves only")
            }
            Refusal::Target => (403, "DENIED", "no command tokens may be asked for that target"),
            Refusal::PeersOnly => (403, "DENIED", "only a trusted peer that speaks for no user may ask this"),
            Refusal::Untrusted => (403, "DENIED", "this address may not ask for tokens here"),
            Refusal::Foreign(text) => (403, "DENIED", text),
            Refusal::UnknownUser => (403, "DENIED", "the policy does not know this user"),
            Refusal::Denied => (403, "DENIED", "requested access to the resource is denied"),
            Refusal::NotFound => (404, "NOT_FOUND", "there is no such path"),
            Refusal::Method(_) => (405, "UNSUPPORTED", "the method is not allowed here"),
            Refusal::Timeout => (408, "TIMEOUT", "the body did not arrive in time"),
            Refusal::LengthRequired => (411, "LENGTH_REQUIRED", "a body with a Content-Length is required"),
            Refusal::TooLarge => (413, "TOO_LARGE", "the body is too long"),
            Refusal::MediaType => (415, "UNSUPPORTED_MEDIA_TYPE", "expected Content-Type: application/json"),
            Refusal::Forgetful => {
                (503, "UNAVAILABLE", "the store of tokens cannot be reached: try again in a moment")
            }
            Refusal::Internal => (500, "UNKNOWN", "internal error"),
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.row().0
    }

    /// The code in the body, which is also the metric's label.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// What the client is told.
    pub fn message(&self) -> Cow<'static, str> {
        let text = match self {
            Refusal::Member(name, problem) => format!("`{name}` {problem}"),
            Refusal::Field(name, problem) | Refusal::Spec(name, problem) => format!("{name} {problem}"),
            Refusal::Life(name, most) => {
                format!("`{name}`: expected whole seconds from 1 to {}", most.seconds())
            }
            Refusal::Audience(name, error) => format!("`{name}` {error}"),
            Refusal::Protocol(text) => format!("expected HTTP/1.1, found {text}"),
            Refusal::Throttled(seconds) => format!("too many wrong passwords: try again in {seconds} s"),
            Refusal::Scope(error) => error.to_string(),
            Refusal::Claims(error) => error.to_string(),
            Refusal::Mapping(error) => error.to_string(),
            _ => return self.row().2.into(),
        };
        text.into()
    }

    /// The whole answer.
    pub fn response(&self) -> Response {
        self.with_body(self.status(), &json!({"errors": [self.entry()]}))
    }

    /// The whole answer to a form of OAuth 2: its own error members (RFC 6749, 5.2) beside the registry's.
    ///
    /// Wrong credentials are 401, where the RFC has 400 for `invalid_grant`: clients of registries know no
    /// other status for them. None is 403, which breaks pulls.
    pub fn oauth_response(&self) -> Response {
        self.with_error(self.oauth_error())
    }

    /// The whole answer to a client that asks about a token, or ends one: what speaks against the client itself is
    /// `invalid_client` (RFC 6749, 5.2; RFC 7009, 2.2.1; RFC 7662, 2.3).
    pub fn client_response(&self) -> Response {
        self.with_error(match self {
            Refusal::Unauthenticated | Refusal::Credentials(_) | Refusal::Client | Refusal::Foreign(_) => {
                ("invalid_client", 401)
            }
            _ => self.oauth_error(),
        })
    }

    /// `error` and the status that belongs to it.
    fn oauth_error(&self) -> (&'static str, u16) {
        match self {
            Refusal::Unauthenticated
            | Refusal::Credentials(_)
            | Refusal::Password
            | Refusal::RefreshToken => ("invalid_grant", 401),
            Refusal::GrantType => ("unsupported_grant_type", 400),
            Refusal::Client => ("invalid_client", 401),
            Refusal::NotTheirs => ("unauthorized_client", 400),
            Refusal::TokenKind => ("unsupported_token_type", 400),
            Refusal::Scope(_)
            | Refusal::Denied
            | Refusal::UnknownUser
            | Refusal::Untrusted
            | Refusal::Foreign(_)
            | Refusal::PeersOnly
            | Refusal::Target
            | Refusal::OtherUser => ("invalid_scope", 400),
            Refusal::Throttled(_) | Refusal::Busy => ("temporarily_unavailable", 429),
            Refusal::Forgetful => ("temporarily_unavailable", 503),
            Refusal::Internal => ("server_error", 500),
            _ => ("invalid_request", self.status()),
        }
    }

    fn with_error(&self, (error, status): (&str, u16)) -> Response {
        let description = self.message();
        self.with_body(
            status,
            &json!({"error": error, "error_description": description, "errors": [self.entry()]}),
        )
    }

    fn entry(&self) -> serde_json::Value {
        json!({"code": self.code(), "message": self.message(), "detail": null})
    }

    /// The whole answer with a body of that status: with the header fields that belong to the refusal.
    pub(super) fn with_body(&self, status: u16, body: &serde_json::Value) -> Response {
        let mut response = Response::json(status, body.to_string().into_bytes());
        response.headers.push(("Cache-Control", "no-store".into()));
        if status == 401 {
            let challenge = "Basic realm=\"keypebble\", charset=\"UTF-8\"";
            response.headers.push(("WWW-Authenticate", challenge.into()));
        }
        match self {
            Refusal::Method(allowed) => response.headers.push(("Allow", (*allowed).into())),
            Refusal::Throttled(seconds) => {
                response.headers.push(("Retry-After", seconds.to_string().into()));
            }
            Refusal::Busy | Refusal::Overloaded(_) | Refusal::Forgetful => {
                response.headers.push(("Retry-After", "1".into()));
            }
            _ => {}
        }
        // Where the next request would begin cannot be known, or its sender cannot be trusted with it.
        response.close = matches!(
            self,
            Refusal::Malformed(_)
                | Refusal::Field(..)
                | Refusal::Protocol(_)
                | Refusal::PlainHttp
                | Refusal::Timeout
                | Refusal::HeadTimeout
                | Refusal::TooLarge
                | Refusal::TargetTooLong
                | Refusal::HeadTooLarge(_)
                | Refusal::Version
                | Refusal::Expectation
                | Refusal::Overloaded(_)
                | Refusal::Internal
        );
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_listed_code_and_the_registry_s_body() {
        for (refusal, status) in [
            (Refusal::Malformed("x"), 400),
            (Refusal::Invalid("x"), 400),
            (Refusal::Field("X-A", "is wrong"), 400),
            (Refusal::Member("user", "is wrong"), 400),
            (Refusal::Life("ttl_seconds", Ttl::DEFAULT), 400),
            (Refusal::Audience("target", RecipientError::Registry), 400),
            (Refusal::Spec("spec.audiences", "is required"), 422),
            (Refusal::PeersOnly, 403),
            (Refusal::Target, 403),
            (Refusal::Protocol("TLS"), 400),
            (Refusal::PlainHttp, 400),
            (Refusal::HeadTimeout, 408),
            (Refusal::TargetTooLong, 414),
            (Refusal::Expectation, 417),
            (Refusal::HeadTooLarge("x"), 431),
            (Refusal::Overloaded("x"), 503),
            (Refusal::Forgetful, 503),
            (Refusal::Version, 505),
            (Refusal::Scope(ScopeError::Parts), 400),
            (Refusal::Service, 400),
            (Refusal::Claims(ClaimsError::NotAnObject), 400),
            (Refusal::Unauthenticated, 401),
            (Refusal::Credentials("x"), 401),
            (Refusal::Password, 401),
            (Refusal::RefreshToken, 401),
            (Refusal::Client, 401),
            (Refusal::NotTheirs, 403),
            (Refusal::TokenKind, 400),
            (Refusal::GrantType, 400),
            (Refusal::OtherUser, 403),
            (Refusal::Throttled(7), 429),
            (Refusal::Busy, 429),
            (Refusal::Untrusted, 403),
            (Refusal::Foreign("x"), 403),
            (Refusal::UnknownUser, 403),
            (Refusal::Denied, 403),
            (Refusal::NotFound, 404),
            (Refusal::Method("POST"), 405),
            (Refusal::Timeout, 408),
            (Refusal::LengthRequired, 411),
            (Refusal::TooLarge, 413),
            (Refusal::MediaType, 415),
            (Refusal::Internal, 500),
        ] {
            let response = refusal.response();
            assert_eq!(response.status, status);
            assert!(Refusal::CODES.contains(&refusal.code()), "{refusal:?}");
            assert_eq!(refusal.code() == "UNKNOWN", status == 500, "{refusal:?}");
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(body["errors"][0]["code"], refusal.code());
            assert!(body["errors"][0]["detail"].is_null());
            let oauth = refusal.oauth_response();
            assert!(![403, 415].contains(&oauth.status) || status == 415, "{refusal:?}");
            let client = refusal.client_response();
            for form in [&oauth, &client] {
                let form: serde_json::Value = serde_json::from_slice(&form.body).unwrap();
                assert_eq!(form["errors"], body["errors"]);
                assert_eq!(form["error_description"], body["errors"][0]["message"]);
            }
            for response in [response, oauth, client] {
                let has = |name| response.headers.iter().any(|(header, _)| *header == name);
                assert_eq!(has("WWW-Authenticate"), response.status == 401, "{refusal:?}");
                assert_eq!(has("Retry-After"), [429, 503].contains(&response.status), "{refusal:?}");
            }
        }
    }

    #[test]
    fn a_form_s_errors_are_those_of_rfc_6749() {
        for (refusal, error, status) in [
            (Refusal::Invalid("x"), "invalid_request", 400),
            (Refusal::Service, "invalid_request", 400),
            (Refusal::Password, "invalid_grant", 401),
            (Refusal::RefreshToken, "invalid_grant", 401),
            (Refusal::GrantType, "unsupported_grant_type", 400),
            (Refusal::Scope(ScopeError::Parts), "invalid_scope", 400),
            (Refusal::Denied, "invalid_scope", 400),
            (Refusal::Throttled(7), "temporarily_unavailable", 429),
            (Refusal::Internal, "server_error", 500),
        ] {
            let response = refusal.oauth_response();
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!((body["error"].as_str(), response.status), (Some(error), status), "{refusal:?}");
        }
        for (refusal, error, status) in [
            (Refusal::Unauthenticated, "invalid_client", 401),
            (Refusal::Credentials("x"), "invalid_client", 401),
            (Refusal::Client, "invalid_client", 401),
            (Refusal::Foreign("x"), "invalid_client", 401),
            (Refusal::NotTheirs, "unauthorized_client", 400),
            (Refusal::TokenKind, "unsupported_token_type", 400),
            (Refusal::Invalid("x"), "invalid_request", 400),
            (Refusal::Forgetful, "temporarily_unavailable", 503),
        ] {
            let response = refusal.client_response();
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!((body["error"].as_str(), response.status), (Some(error), status), "{refusal:?}");
        }
    }
}
