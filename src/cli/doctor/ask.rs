//! `doctor --url`: what a running registry and its realm answer.
//!
//! Decision: only what clients ask too is asked: `/v2/` and the realm, with GET and POST, without a name
//! or password; nothing that changes anything.

use crate::diagnosis::probe::{self, Answer, Url, UrlError};
use crate::ground::finding::{Finding, printable, shortened};
use crate::ground::time::UnixTime;

/// The registry's leeway on clocks, in seconds.
const LEEWAY: u64 = 60;

/// Asks the registry at this URL, whose tokens should be for one of these services.
pub(super) fn ask(base: &str, services: &[String], now: UnixTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = base.trim_end_matches('/').trim_end_matches("/v2");
    let Some(url) = url(&format!("{root}/v2/"), "url", "", &mut findings) else { return findings };
    let Some(answer) = taken("url", &url, probe::get(&url), &mut findings) else { return findings };
    findings.push(clock(&answer, now));
    let Some(parameters) = challenged(&answer, &mut findings) else { return findings };
    let named =
        |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let service = named("service").unwrap_or_default();
    if services.is_empty() || services.iter().any(|own| own == service) {
        findings.push(Finding::ok(
            "service",
            format!("the registry asks for tokens for `{}`", shortened(service, 120)),
        ));
    } else {
        findings.push(
            Finding::error(
                "service",
                format!("the registry asks for tokens for `{}`", shortened(service, 120)),
            )
            .why(format!("Keypebble signs for `{}`", printable(&services.join("`, `"))))
            .mend("add it to service.allowed_services, or change auth.token.service"),
        );
    }
    let Some(realm) = named("realm").filter(|realm| !realm.is_empty()) else {
        findings
            .push(Finding::error("realm", "the challenge names no realm: clients do not know where to go"));
        return findings;
    };
    realm_answers(realm, service, &mut findings);
    findings
}

fn realm_answers(realm: &str, service: &str, findings: &mut Vec<Finding>) {
    let separator = if realm.contains('?') { '&' } else { '?' };
    let asked = format!("{realm}{separator}service={}", probe::encoded(service));
    if let Some(url) = url(&asked, "realm", "", findings)
        && let Some(answer) = taken("realm-get", &url, probe::get(&url), findings)
    {
        findings.push(anonymous(&answer));
    }
    // As containerd and Docker 29 ask first. The password is of nobody.
    let form = format!(
        "grant_type=password&service={}&client_id=keypebble-doctor&username=keypebble-doctor&password=x&scope=",
        probe::encoded(service)
    );
    if let Ok(url) = Url::parse(realm)
        && let Some(answer) = taken("realm-post", &url, probe::post(&url, &form), findings)
    {
        findings.push(posted(&answer));
    }
}

/// A URL that can be asked, or why it can't.
fn url(text: &str, code: &'static str, data: &str, findings: &mut Vec<Finding>) -> Option<Url> {
    let shown = printable(text);
    match Url::parse(text) {
        Ok(url) => return Some(url),
        Err(UrlError::Https) => findings.push(
            Finding::unknown(code, format!("this build speaks plain HTTP only: `{shown}` was not asked"))
                .mend(format!("ask it with: curl -si{data} '{}'", shown.replace('\'', "%27"))),
        ),
        Err(UrlError::NotHttp | UrlError::Malformed) => findings.push(Finding::error(
            code,
            format!("`{shown}` is not a URL such as http://registry.example.com:5000"),
        )),
    }
    None
}

fn taken(
    code: &'static str,
    url: &Url,
    answer: std::io::Result<Answer>,
    findings: &mut Vec<Finding>,
) -> Option<Answer> {
    let place = format!("{} port {}", url.host, url.port);
    match answer {
        Err(error) => {
            findings.push(
                Finding::error(code, format!("{place} does not answer: {error}"))
                    .mend("is it running, and reachable from this host under that name?"),
            );
            None
        }
        Ok(answer) if (300..400).contains(&answer.status) => {
            let to = shortened(answer.header("location").unwrap_or("nowhere"), 200);
            findings.push(
                Finding::error(code, format!("{place} answers {} and redirects to `{to}`", answer.status))
                    .why("redirects are not followed here, and clients do not send passwords after one")
                    .mend("give the URL that it redirects to"),
            );
            None
        }
        Ok(answer) => Some(answer),
    }
}

fn clock(answer: &Answer, now: UnixTime) -> Finding {
    let Some(date) = answer.header("date").and_then(probe::http_date) else {
        return Finding::unknown("clock", "the registry's answer has no date to compare this clock with");
    };
    let skew = now.0.abs_diff(date);
    let way = if now.0 > date { "ahead of" } else { "behind" };
    let what = format!("this host's clock is {skew} s {way} the registry's");
    let mend = "let both hosts keep time (chrony, systemd-timesyncd)";
    match skew {
        0..=5 => Finding::ok("clock", "this host's clock and the registry's agree to 5 s"),
        6..LEEWAY => Finding::warning("clock", what).why("a registry tolerates 60 s, zot none").mend(mend),
        _ => Finding::error("clock", what).why("a registry tolerates 60 s: it refuses new tokens").mend(mend),
    }
}

/// The parameters of the registry's challenge.
fn challenged(answer: &Answer, findings: &mut Vec<Finding>) -> Option<Vec<(String, String)>> {
    let header = answer.header("www-authenticate");
    let finding = match (answer.status, header) {
        (200, _) => Finding::error("open", "the registry answers 200 to anyone: it asks for no token")
            .mend("set auth.token in its configuration, and restart it"),
        (401, None) => {
            Finding::error("challenge", "401 without WWW-Authenticate: clients do not know where to go")
                .mend("a proxy in front drops the header, or answers itself")
        }
        (401, Some(header)) => match probe::challenge(header) {
            Some(parameters) => {
                findings.push(Finding::ok(
                    "challenge",
                    format!("the registry asks for a token: {}", shortened(header, 200)),
                ));
                return Some(parameters);
            }
            None => Finding::error(
                "challenge",
                format!("the registry asks for something else: {}", shortened(header, 200)),
            )
            .why("only `Bearer` leads to a token service")
            .mend("a proxy with a password of its own stands in front of /v2/, or auth is not `token`"),
        },
        (status, _) => Finding::error("challenge", format!("GET /v2/ answers {status}, not 401"))
            .mend("is this the registry? perhaps a proxy does not pass /v2/ on"),
    };
    findings.push(finding);
    None
}

/// What the realm says to one without a name.
fn anonymous(answer: &Answer) -> Finding {
    let json = answer.json();
    if json.is_none() {
        let kind = shortened(answer.header("content-type").unwrap_or("no content type"), 60);
        return Finding::error(
            "realm-get",
            format!("the realm answers {} with {kind}, not JSON", answer.status),
        )
        .why("clients show a parse error, or nothing at all")
        .mend("is /v2/token passed on to Keypebble? let the proxy answer JSON itself (error_page)");
    }
    match answer.status {
        200 => {
            let token =
                json.as_ref().is_some_and(|json| json.get("token").is_some_and(serde_json::Value::is_string));
            if token {
                Finding::ok(
                    "realm-get",
                    "the realm gives a token without a name and password: anonymous pulls work",
                )
            } else {
                Finding::error("realm-get", "the realm answers 200 without a `token`: is this Keypebble?")
            }
        }
        401 => Finding::ok(
            "realm-get",
            "the realm asks for a name and password (401, JSON): no anonymous access",
        ),
        status => {
            Finding::error("realm-get", format!("the realm answers {status} without a name and password"))
                .why("clients expect a token, or 401")
                .mend("see Keypebble's log for the reason")
        }
    }
}

/// What the realm says to a form.
fn posted(answer: &Answer) -> Finding {
    match (answer.status, answer.json().is_some()) {
        (401 | 404 | 405, true) => Finding::ok(
            "realm-post",
            format!("POST answers {} in JSON: clients that try it first go on with GET", answer.status),
        ),
        (200, true) => Finding::error("realm-post", "POST with a made-up password answers 200")
            .why("anybody who asks gets a token")
            .mend("let the proxy check passwords for POST too, or refuse it with 405"),
        (status, json) => {
            let body = if json { "JSON" } else { "no JSON" };
            Finding::error("realm-post", format!("POST answers {status} with {body}"))
                .why("containerd and Docker 29 try POST first, and go on with GET only after 401, 404 or 405 in JSON")
                .mend("pass POST on to Keypebble, or let the proxy answer 405 in JSON")
        }
    }
}
