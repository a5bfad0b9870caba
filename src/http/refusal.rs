//! Every way to say no to a client.
//!
//! Owns the one table of status, code, headers and text. Must not know the log: what an operator needs to
//! know more is said there. Decision: the set is closed, and no text of an internal error can get into a
//! body; the body is the registry's own error form, the only one that docker and crane show.

use super::response::Response;
use super::route::Route;
use crate::claims::ClaimsError;
use crate::scope::ScopeError;
use serde_json::json;
use std::borrow::Cow;

/// Why a request is not answered with what it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The head or the body's framing is malformed or ambiguous.
    Malformed(&'static str),
    /// A query or header field cannot be understood.
    Invalid(&'static str),
    /// A scope cannot be understood.
    Scope(ScopeError),
    /// The service asked for is not one that tokens are signed for.
    Service,
    /// The body's claims cannot be taken.
    Claims(ClaimsError),
    /// No user is known.
    Unauthenticated,
    /// The peer may not ask this at all.
    Untrusted,
    /// The policy does not know the user.
    UnknownUser,
    /// The policy's mode is `deny`, and not all that was asked is granted.
    Denied,
    /// There is no such path.
    NotFound,
    /// The path answers other methods.
    Method(Route),
    /// The body did not come in time.
    Timeout,
    /// A body without a length.
    LengthRequired,
    /// A body over the limit.
    TooLarge,
    /// A body of another type.
    MediaType,
    /// The server's own fault; the log says which.
    Internal,
}

impl Refusal {
    /// Every code, for counters that start at zero.
    pub const CODES: [&'static str; 13] = [
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
        "UNKNOWN",
    ];

    /// The code in the body, which is also the metric's label.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed(_) | Refusal::Invalid(_) => "INVALID_REQUEST",
            Refusal::Scope(_) => "INVALID_SCOPE",
            Refusal::Service => "INVALID_SERVICE",
            Refusal::Claims(_) => "INVALID_CLAIMS",
            Refusal::Unauthenticated => "UNAUTHORIZED",
            Refusal::Untrusted | Refusal::UnknownUser | Refusal::Denied => "DENIED",
            Refusal::NotFound => "NOT_FOUND",
            Refusal::Method(_) => "UNSUPPORTED",
            Refusal::Timeout => "TIMEOUT",
            Refusal::LengthRequired => "LENGTH_REQUIRED",
            Refusal::TooLarge => "TOO_LARGE",
            Refusal::MediaType => "UNSUPPORTED_MEDIA_TYPE",
            Refusal::Internal => "UNKNOWN",
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_)
            | Refusal::Invalid(_)
            | Refusal::Scope(_)
            | Refusal::Service
            | Refusal::Claims(_) => 400,
            Refusal::Unauthenticated => 401,
            Refusal::Untrusted | Refusal::UnknownUser | Refusal::Denied => 403,
            Refusal::NotFound => 404,
            Refusal::Method(_) => 405,
            Refusal::Timeout => 408,
            Refusal::LengthRequired => 411,
            Refusal::TooLarge => 413,
            Refusal::MediaType => 415,
            Refusal::Internal => 500,
        }
    }

    /// What the client is told.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Refusal::Malformed(problem) | Refusal::Invalid(problem) => problem,
            Refusal::Scope(error) => return error.to_string().into(),
            Refusal::Claims(error) => return error.to_string().into(),
            Refusal::Service => "this issuer signs no tokens for that service",
            Refusal::Unauthenticated => "authentication required",
            Refusal::Untrusted => "this address may not ask for tokens here",
            Refusal::UnknownUser => "the policy does not know this user",
            Refusal::Denied => "requested access to the resource is denied",
            Refusal::NotFound => "there is no such path",
            Refusal::Method(_) => "the method is not allowed here",
            Refusal::Timeout => "the body did not arrive in time",
            Refusal::LengthRequired => "a body with a Content-Length is required",
            Refusal::TooLarge => "the body is too long",
            Refusal::MediaType => "expected Content-Type: application/json",
            Refusal::Internal => "internal error",
        })
    }

    /// The whole answer.
    pub fn response(&self) -> Response {
        let body = json!({"errors": [{"code": self.code(), "message": self.message(), "detail": null}]});
        let mut response = Response::json(self.status(), body.to_string().into_bytes());
        response.headers.push(("Cache-Control", "no-store".into()));
        match self {
            Refusal::Unauthenticated => {
                response
                    .headers
                    .push(("WWW-Authenticate", "Basic realm=\"keypebble\", charset=\"UTF-8\"".into()));
            }
            Refusal::Method(route) => response.headers.push(("Allow", route.allow().into())),
            _ => {}
        }
        response.close =
            matches!(self, Refusal::Malformed(_) | Refusal::Timeout | Refusal::TooLarge | Refusal::Internal);
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
            (Refusal::Scope(ScopeError::Parts), 400),
            (Refusal::Service, 400),
            (Refusal::Claims(ClaimsError::NotAnObject), 400),
            (Refusal::Unauthenticated, 401),
            (Refusal::Untrusted, 403),
            (Refusal::UnknownUser, 403),
            (Refusal::Denied, 403),
            (Refusal::NotFound, 404),
            (Refusal::Method(Route::Auth), 405),
            (Refusal::Timeout, 408),
            (Refusal::LengthRequired, 411),
            (Refusal::TooLarge, 413),
            (Refusal::MediaType, 415),
            (Refusal::Internal, 500),
        ] {
            let response = refusal.response();
            assert_eq!(response.status, status);
            assert!(Refusal::CODES.contains(&refusal.code()), "{refusal:?}");
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(body["errors"][0]["code"], refusal.code());
            assert!(body["errors"][0]["detail"].is_null());
        }
    }
}
