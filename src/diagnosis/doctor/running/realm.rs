//! What answers at the address where clients ask for tokens.
//!
//! Owns what its answers to a GET and a POST without credentials mean, and whether it is this issuer. Decision: no
//! name and no password is sent, so that no guess is counted and nothing is logged as a failed login.

use super::{Answer, Challenge, host};
use crate::diagnosis::claims::Expected;
use crate::diagnosis::verify::verify;
use crate::ground::diagnostic::{Diagnostic, Level, shortened};
use crate::ground::net::is_local;
use crate::ground::time::UnixTime;
use crate::issuer::Issuer;
use crate::key::keyring::KeySet;
use serde_json::Value;

/// What is wrong with the realm's address alone, for a registry at this URL.
pub fn address(url: &str, realm: &str) -> Option<Diagnostic> {
    let what = format!("clients are sent to `{}`", shortened(realm, 200));
    if is_local(host(realm)) {
        let elsewhere = !is_local(host(url));
        return elsewhere.then(|| {
            Diagnostic::warning("realm", what)
                .why("to a client on another host that is the client itself")
                .hint("set auth.token.realm to the address that clients reach, and restart the registry")
        });
    }
    realm.starts_with("http://").then(|| {
        Diagnostic::warning("realm", what)
            .why("passwords go over plain http: anybody who sees the network sees them")
            .hint("put TLS in front, and begin auth.token.realm with https://")
    })
}

/// What the realm's answer to a GET without credentials means.
pub fn get(answer: &Answer, challenge: &Challenge, issuer: Option<&Issuer>) -> Diagnostic {
    let status = answer.status;
    let Some(json) = answer.json() else {
        let what = format!("the realm answers {status} with {}, not JSON", answer.kind());
        return Diagnostic::error("realm-get", what)
            .why("clients show a parse error, or nothing at all")
            .hint("is that Keypebble? does the proxy pass /v2/token on, and answer in JSON itself (error_page)?");
    };
    let bearer = answer.challenges.iter().any(|header| super::parameters(header).is_some());
    match (status, error_code(&json)) {
        (200, _) => match (json.get("token").and_then(Value::as_str), issuer) {
            (None, _) => Diagnostic::error("realm-get", "the realm answers 200 without a `token`")
                .hint("another program answers there: is auth.token.realm Keypebble's address?"),
            (Some(token), Some(issuer)) => anonymous(token, challenge, issuer, answer.at),
            (Some(_), None) => Diagnostic::ok("realm-get", ANONYMOUS),
        },
        (401, _) if bearer => Diagnostic::error(
            "realm-get",
            "the realm asks for a token itself, as a registry does",
        )
        .hint("auth.token.realm leads to the registry: set it to Keypebble's address, with its own port"),
        (401, Some(_)) => Diagnostic::ok(
            "realm-get",
            "the realm asks for a name and password (401, JSON): no anonymous access",
        ),
        (401, None) => Diagnostic::warning(
            "realm-get",
            "the realm answers 401 in a JSON of another form than registries use",
        )
        .why("docker shows no reason to its user, and it may be another program than Keypebble")
        .hint("let the proxy write {\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"...\"}]}"),
        (400, Some("INVALID_SERVICE")) => Diagnostic::error(
            "realm-get",
            format!("the realm signs no tokens for `{}`", shortened(&challenge.service, 120)),
        )
        .hint("add it to service.allowed_services of the Keypebble that runs there, or change auth.token.service"),
        (404, _) => Diagnostic::error("realm-get", "the realm answers 404: there is nothing at that path")
            .hint("Keypebble answers at /v2/token: let auth.token.realm end in it, and restart the registry"),
        (_, code) => Diagnostic::error(
            "realm-get",
            format!(
                "the realm answers {status} {} without a name and password",
                shortened(code.unwrap_or_default(), 60)
            ),
        )
        .why("clients expect a token, or 401")
        .hint("Keypebble's log has the reason"),
    }
}

const ANONYMOUS: &str = "the realm gives a token without a name and password: anonymous pulls work";

/// Judges a token that the realm gave without credentials: it must be this issuer's.
fn anonymous(token: &str, challenge: &Challenge, issuer: &Issuer, now: i64) -> Diagnostic {
    let audiences = [challenge.service.as_str()];
    let expected = Expected { issuer: Some(issuer.name()), audiences: &audiences };
    let findings = verify(token, issuer.keyring().verifiers(), &expected, UnixTime(now));
    match findings.iter().find(|finding| finding.level == Level::Error) {
        None => Diagnostic::ok("realm-get", ANONYMOUS),
        Some(wrong) => {
            Diagnostic::error("realm-get", "the realm gives tokens that are not of this configuration")
                .why(&wrong.what)
                .hint("another Keypebble answers there, or this one runs with another configuration")
        }
    }
}

/// The code of the first error in the form that registries use.
fn error_code(json: &Value) -> Option<&str> {
    json.get("errors")?.get(0)?.get("code")?.as_str()
}

/// What the realm's answer to a POST without credentials means.
pub fn post(answer: &Answer) -> Diagnostic {
    let json = answer.json();
    let code = json.as_ref().and_then(error_code);
    match (answer.status, &json) {
        (401 | 404 | 405, Some(_)) => Diagnostic::ok(
            "realm-post",
            format!("POST answers {} in JSON: clients that try it first go on with GET", answer.status),
        ),
        (400, Some(_)) if code == Some("INVALID_REQUEST") => {
            Diagnostic::ok("realm-post", "POST asks for a name and password: clients may log in with it")
        }
        (200, Some(_)) => Diagnostic::error("realm-post", "POST without a name and password answers 200")
            .why("anybody who asks gets a token of whoever the proxy says they are")
            .hint("let the proxy check passwords for POST too, or refuse it with 405"),
        (status, json) => {
            let body = if json.is_some() { "JSON" } else { "no JSON" };
            Diagnostic::error("realm-post", format!("POST answers {status} with {body}"))
                .why("containerd and Docker 29 try POST first, and go on with GET only after 401, 404 or 405 in JSON")
                .hint("pass POST on to Keypebble, or let the proxy answer 405 in JSON")
        }
    }
}

/// Where the realm's issuer would publish its keys.
pub fn keys_url(realm: &str) -> Option<String> {
    Some(format!("{}/.well-known/jwks.json", realm.split('?').next()?.strip_suffix("/v2/token")?))
}

/// Whether the key that signs here is one of those that the realm's issuer publishes. A proxy need not pass them on.
pub fn keys(answer: &Answer, issuer: &Issuer) -> Option<Diagnostic> {
    let published = KeySet::from_jwks(&answer.json()?).ok()?;
    let own = issuer.keyring().active().public()?;
    let known = published.iter().filter_map(|key| key.public()).any(|key| key.matches(own));
    Some(if known {
        Diagnostic::ok("realm-keys", "the realm publishes the key that signs here")
    } else {
        Diagnostic::error("realm-keys", "the realm publishes other keys than those of this configuration")
            .why("its tokens are signed with one of these, and not with the key that is looked at here")
            .hint(
                "another Keypebble answers there, or this one runs with another configuration or older keys",
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }
    }

    #[test]
    fn each_answer_to_a_get_has_its_meaning() {
        let refusal = |code: &str| format!("{{\"errors\":[{{\"code\":\"{code}\"}}]}}");
        let challenge = Challenge { realm: "http://a/v2/token".into(), service: "s".into() };
        let bearer = vec!["Bearer realm=\"http://a\"".to_owned()];
        for (answer, level, part) in [
            (answer(401, &refusal("UNAUTHORIZED")), Level::Ok, "no anonymous access"),
            (answer(200, "{\"token\":\"x\"}"), Level::Ok, "anonymous pulls work"),
            (answer(200, "{}"), Level::Error, "without a `token`"),
            (answer(200, "<html>"), Level::Error, "200 with no content type, not JSON"),
            (answer(401, "{\"message\":\"x\"}"), Level::Warning, "another form"),
            (answer(400, &refusal("INVALID_SERVICE")), Level::Error, "signs no tokens for `s`"),
            (answer(400, &refusal("INVALID_REQUEST")), Level::Error, "answers 400 INVALID_REQUEST"),
            (answer(400, &refusal(&"X".repeat(61))), Level::Error, "XXX... without a name"),
            (answer(404, &refusal("NOT_FOUND")), Level::Error, "nothing at that path"),
            (answer(429, "{}"), Level::Error, "answers 429"),
            (Answer { challenges: bearer, ..answer(401, "{}") }, Level::Error, "as a registry does"),
        ] {
            let finding = get(&answer, &challenge, None);
            assert!(finding.level == level && finding.what.contains(part), "{part}: {finding:?}");
        }
    }

    #[test]
    fn each_answer_to_a_post_has_its_meaning() {
        for (status, body, level) in [
            (401, "{}", Level::Ok),
            (404, "{}", Level::Ok),
            (405, "{}", Level::Ok),
            (400, "{\"errors\":[{\"code\":\"INVALID_REQUEST\"}]}", Level::Ok),
            (400, "{}", Level::Error),
            (200, "{}", Level::Error),
            (403, "{}", Level::Error),
            (405, "<html>", Level::Error),
            (500, "", Level::Error),
        ] {
            assert_eq!(post(&answer(status, body)).level, level, "{status} {body}");
        }
    }

    #[test]
    fn an_address_that_leads_elsewhere_is_said() {
        for (url, realm, part) in [
            ("https://r.example.com", "https://a.example.com/v2/token", None),
            ("https://r.example.com", "http://localhost:8080/v2/token", Some("the client itself")),
            ("http://localhost:5000", "http://localhost:8080/v2/token", None),
            ("https://r.example.com", "http://a.example.com/v2/token", Some("plain http")),
        ] {
            let why = address(url, realm).map(|finding| finding.why);
            assert_eq!(why.is_some(), part.is_some(), "{realm}");
            assert!(why.unwrap_or_default().contains(part.unwrap_or_default()), "{realm}");
        }
        assert_eq!(keys_url("http://a/v2/token?x"), Some("http://a/.well-known/jwks.json".to_owned()));
        assert_eq!(keys_url("http://a/token"), None);
    }
}
