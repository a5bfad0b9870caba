//! From a request target to a route and its parameters.
//!
//! Owns paths, query and form decoding. Must not know what the parameters mean. Decision: paths are
//! compared as sent: an encoded or doubled slash is another path, and so nobody's.

use super::refusal::Refusal;
use super::request::Method;
use crate::ground::percent;
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroize;

/// The endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'p> {
    /// `/healthz`
    Healthz,
    /// `/auth`
    Auth,
    /// `/v2/token`
    Token,
    /// `/command/token`
    Command,
    /// `/apis/authentication.k8s.io/v1/namespaces/NAMESPACE/serviceaccounts/NAME/token`, and the same below
    /// `/api/v1`, where a cluster has it.
    TokenRequest {
        /// As it stands in the path, whatever it is.
        namespace: &'p str,
        /// The same.
        name: &'p str,
    },
    /// `/introspect`
    Introspect,
    /// `/revoke`
    Revoke,
    /// `/.well-known/jwks.json`
    Jwks,
    /// `/.well-known/openid-configuration`, and the same where OAuth clients look:
    /// `/.well-known/oauth-authorization-server`
    Discovery,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// Anything else.
    Other,
}

impl<'p> Route<'p> {
    /// Every route's label, for counters that start at zero.
    pub const LABELS: [&'static str; 12] = [
        "healthz",
        "auth",
        "v2_token",
        "command_token",
        "token_request",
        "introspect",
        "revoke",
        "jwks",
        "openid_configuration",
        "metrics",
        "openapi",
        "other",
    ];

    /// The route of a path.
    pub fn of(path: &'p str) -> Self {
        match path {
            "/healthz" => Route::Healthz,
            "/auth" => Route::Auth,
            "/v2/token" => Route::Token,
            "/command/token" => Route::Command,
            "/introspect" => Route::Introspect,
            "/revoke" => Route::Revoke,
            "/.well-known/jwks.json" => Route::Jwks,
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                Route::Discovery
            }
            "/metrics" => Route::Metrics,
            "/openapi.json" => Route::OpenApi,
            _ => token_request(path).unwrap_or(Route::Other),
        }
    }

    /// The route as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Route::Healthz => "healthz",
            Route::Auth => "auth",
            Route::Token => "v2_token",
            Route::Command => "command_token",
            Route::TokenRequest { .. } => "token_request",
            Route::Introspect => "introspect",
            Route::Revoke => "revoke",
            Route::Jwks => "jwks",
            Route::Discovery => "openid_configuration",
            Route::Metrics => "metrics",
            Route::OpenApi => "openapi",
            Route::Other => "other",
        }
    }

    /// The methods that it answers, as `Allow` lists them (RFC 9110, 10.2.1). The token endpoint takes
    /// forms only where passwords are checked here: clients try one first, and must then be told 405.
    pub fn allow(self, passwords: bool) -> &'static str {
        match self {
            Route::Token if passwords => "GET, HEAD, POST",
            Route::Healthz
            | Route::Token
            | Route::Jwks
            | Route::Discovery
            | Route::Metrics
            | Route::OpenApi => "GET, HEAD",
            Route::Auth | Route::Command | Route::TokenRequest { .. } | Route::Introspect | Route::Revoke => {
                "POST"
            }
            Route::Other => "",
        }
    }

    /// Whether it answers this method.
    pub fn allows(self, method: Method<'_>, passwords: bool) -> bool {
        match method {
            Method::Get | Method::Head | Method::Post => {
                self.allow(passwords).split(", ").any(|allowed| allowed == method.name())
            }
            Method::Other(_) => false,
        }
    }
}

fn token_request(path: &str) -> Option<Route<'_>> {
    let mut groups = ["/apis/authentication.k8s.io/v1/namespaces/", "/api/v1/namespaces/"].into_iter();
    let (namespace, rest) = groups.find_map(|group| path.strip_prefix(group))?.split_once('/')?;
    let name = rest.strip_prefix("serviceaccounts/")?.strip_suffix("/token")?;
    (!name.contains('/')).then_some(Route::TokenRequest { namespace, name })
}

/// Splits an origin-form target (RFC 9112, 3.2.1) at its question mark; `None` for other forms.
pub fn split_target(target: &str) -> Option<(&str, &str)> {
    if !target.starts_with('/') {
        return None;
    }
    Some(target.split_once('?').unwrap_or((target, "")))
}

/// The parameters of a query or a form, decoded, in the order sent.
/// Not shown in `Debug`, since a form may hold a password; what decoding made of it is wiped.
#[derive(Default)]
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

impl Drop for Parameters<'_> {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            if let Cow::Owned(text) = value {
                text.zeroize();
            }
        }
    }
}

/// The most parameters of one request.
const MAX_PARAMETERS: usize = 128;

impl<'a> Parameters<'a> {
    /// Decodes `application/x-www-form-urlencoded` (WHATWG URL, 5.1), but refuses what that passes over:
    /// a `%` without two hex digits, bytes that are not UTF-8, control characters.
    pub fn parse(encoded: &'a str) -> Result<Self, Refusal> {
        Self::parse_all_but(None, encoded)
    }

    /// The same, where the value of one name may be any text.
    pub fn parse_all_but(free: Option<&str>, encoded: &'a str) -> Result<Self, Refusal> {
        let mut parameters = Vec::new();
        for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Refusal::Invalid("too many parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let has_control = |text: &str| text.chars().any(char::is_control);
            if has_control(&name) || (free != Some(&*name) && has_control(&value)) {
                return Err(Refusal::Invalid("a parameter holds a control character"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The names, each as often as it was sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Every value of one name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of a name that may stand once.
    pub fn one<'s>(&'s self, name: &'s str) -> Result<Option<&'s str>, Refusal> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Refusal::Invalid("a parameter that may be given once is given twice")),
        }
    }
}

/// One name or value decoded.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = percent::decode(text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }))
        .ok_or(Refusal::Invalid("a parameter holds a % without two hex digits"))?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Refusal::Invalid("a parameter is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        let parameters = Parameters::parse("service=a%2Eb&scope=x+y&scope=%C3%A4&&flag").unwrap();
        assert_eq!(parameters.one("service"), Ok(Some("a.b")));
        assert_eq!(parameters.all("scope").collect::<Vec<_>>(), ["x y", "ä"]);
        assert_eq!(parameters.one("flag"), Ok(Some("")));
        assert_eq!(parameters.one("none"), Ok(None));
        assert!(parameters.one("scope").is_err());
    }

    #[test]
    fn what_browsers_would_pass_over_is_refused() {
        for encoded in ["a=%", "a=%1", "a=%zz", "a=%ff", "a=%00", "a=%0a", "a=%+1", &"a&".repeat(129)] {
            assert!(Parameters::parse(encoded).is_err(), "{encoded}");
        }
        for (encoded, taken) in [("a=%00&b=c", true), ("a=%0a", true), ("b=%0a", false), ("%00=a", false)] {
            assert_eq!(Parameters::parse_all_but(Some("a"), encoded).is_ok(), taken, "{encoded}");
        }
    }

    #[test]
    fn paths_are_compared_as_sent() {
        for (target, route) in [
            ("/healthz", Route::Healthz),
            ("/v2/token?a", Route::Token),
            ("/v2/token/", Route::Other),
            ("/v2%2ftoken", Route::Other),
            ("//auth", Route::Other),
            ("/AUTH", Route::Other),
            ("/command/token", Route::Command),
            ("/command/token/", Route::Other),
            ("/", Route::Other),
        ] {
            assert_eq!(Route::of(split_target(target).unwrap().0), route, "{target}");
        }
        for (path, parts) in [
            ("/apis/authentication.k8s.io/v1/namespaces/b/serviceaccounts/d/token", Some(("b", "d"))),
            ("/api/v1/namespaces/b/serviceaccounts/d/token", Some(("b", "d"))),
            ("/api/v1/namespaces/%62/serviceaccounts/d%2Fe/token", Some(("%62", "d%2Fe"))),
            ("/api/v1/namespaces//serviceaccounts//token", Some(("", ""))),
            ("/api/v1/namespaces/b/serviceaccounts/d/e/token", None),
            ("/api/v1/namespaces/b/c/serviceaccounts/d/token", None),
            ("/api/v1/namespaces/b/serviceaccounts/token", None),
            ("/api/v1/namespaces/b/serviceaccounts/d/token/", None),
            ("/api/v1/namespaces/b/serviceaccounts/d", None),
            ("/api/v2/namespaces/b/serviceaccounts/d/token", None),
            ("//api/v1/namespaces/b/serviceaccounts/d/token", None),
        ] {
            let expected =
                parts.map_or(Route::Other, |(namespace, name)| Route::TokenRequest { namespace, name });
            assert_eq!(Route::of(path), expected, "{path}");
        }
        for target in ["", "*", "http://host/auth", "auth"] {
            assert_eq!(split_target(target), None, "{target}");
        }
    }

    #[test]
    fn what_a_route_allows_it_lists() {
        for (route, method, passwords, allowed) in [
            (Route::Token, Method::Get, false, true),
            (Route::Token, Method::Head, true, true),
            (Route::Token, Method::Post, false, false),
            (Route::Token, Method::Post, true, true),
            (Route::Auth, Method::Post, false, true),
            (Route::Auth, Method::Get, true, false),
            (Route::Command, Method::Post, false, true),
            (Route::Command, Method::Get, true, false),
            (Route::TokenRequest { namespace: "b", name: "d" }, Method::Post, false, true),
            (Route::TokenRequest { namespace: "b", name: "d" }, Method::Get, false, false),
            (Route::Introspect, Method::Post, false, true),
            (Route::Revoke, Method::Get, true, false),
            (Route::Healthz, Method::Head, false, true),
            (Route::Metrics, Method::Post, true, false),
            (Route::OpenApi, Method::Head, false, true),
            (Route::Token, Method::Other("DELETE"), true, false),
            (Route::Other, Method::Other(""), true, false),
        ] {
            assert_eq!(route.allows(method, passwords), allowed, "{route:?} {method:?} {passwords}");
        }
    }
}
