//! What a running registry answers, in findings.
//!
//! Owns what an answer of `/v2/` means: who is let in, by which challenge, by which clock. Must not know the network:
//! `cli` asks, in the order of a client, and hands over what came back.

pub mod realm;
pub mod token;

use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::net::host_of;
use crate::ground::time::{Ttl, UnixTime};

/// Seconds that a registry tolerates on a token's times.
const LEEWAY: i64 = 60;
/// Seconds that a registry's clock may be ahead for a token to be made by it: more than any time zone.
const MOST_AHEAD: i64 = 24 * 60 * 60;
/// Clocks that differ by no more than this many seconds agree: an answer takes time.
const SAME: i64 = 5;

/// The parts of an answer that findings are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Each `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// `Date`
    pub date: Option<String>,
    /// `Location`
    pub location: Option<String>,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// Whether `Docker-Distribution-Api-Version` is there, which registries send.
    pub from_registry: bool,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// When it came, by this host's clock, in seconds since the epoch.
    pub at: i64,
}

impl Answer {
    /// The body, where it is JSON.
    fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The time by the registry's clock.
    fn date(&self) -> Option<i64> {
        UnixTime::from_http_date(self.date.as_deref()?).map(|date| date.0)
    }

    /// Its type in a few words.
    fn kind(&self) -> String {
        shortened(self.content_type.as_deref().unwrap_or("no content type"), 60)
    }

    /// The answer of `url`, unless nothing follows from it: a redirect, or a port that speaks TLS. That is an
    /// error under this code.
    pub fn usable(self, code: &'static str, url: &str) -> Result<Answer, Diagnostic> {
        let place = shortened(url, 200);
        if (300..400).contains(&self.status) {
            let to = shortened(self.location.as_deref().unwrap_or("nowhere"), 200);
            let what = format!("{place} answers {} and redirects to `{to}`", self.status);
            return Err(Diagnostic::error(code, what)
                .why("redirects are not followed here, and clients send no password after one")
                .hint("name the address that it redirects to"));
        }
        // As Keypebble, Go, nginx and Apache answer http on a port for https.
        let body = String::from_utf8_lossy(&self.body).to_ascii_lowercase();
        if self.status == 400 && (body.contains("https") || body.contains("ssl-enabled")) {
            return Err(Diagnostic::error(code, format!("{place} is asked over plain http, and speaks TLS"))
                .hint("write https:// instead of http://"));
        }
        Ok(self)
    }
}

/// The host of a URL; empty where there is none.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    host_of(authority).unwrap_or_default()
}

/// The registry's time, or this host's if the answer has no date. A token is made for it and shown to the registry:
/// whoever answers there must not choose how far from now that token still counts.
pub fn time(answer: &Answer) -> UnixTime {
    let date = answer.date().unwrap_or(answer.at);
    UnixTime(date.min(answer.at.saturating_add(MOST_AHEAD)))
}

/// Compares the registry's clock with this host's, for tokens that live this long.
pub fn clock(answer: &Answer, life: Ttl) -> Diagnostic {
    let Some(date) = answer.date() else {
        return Diagnostic::unknown("clock", "the registry's answer has no date to compare this clock with");
    };
    let ahead = answer.at.saturating_sub(date);
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("this host's clock is {} s {way} the registry's", ahead.unsigned_abs());
    let finding = match ahead {
        _ if ahead.abs() <= SAME => {
            return Diagnostic::ok("clock", "this host's clock and the registry's agree to 5 s");
        }
        LEEWAY.. => Diagnostic::error("clock", what)
            .why("a registry tolerates 60 s: it refuses new tokens, since they begin in its future"),
        _ if -ahead >= i64::from(life.seconds()) + LEEWAY => {
            Diagnostic::error("clock", what).why("a new token has expired there already")
        }
        _ if ahead <= -LEEWAY => {
            Diagnostic::warning("clock", what).why("tokens live there that much shorter than they say")
        }
        _ => Diagnostic::warning("clock", what).why("a registry tolerates 60 s, zot none"),
    };
    finding.hint("let both hosts keep time (chrony, systemd-timesyncd)")
}

/// Where a registry sends a client for a token, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The address to ask.
    pub realm: String,
    /// What the token's `aud` must be.
    pub service: String,
}

/// The challenge of `GET /v2/` without credentials, or why a client cannot follow it.
pub fn challenge(answer: &Answer) -> Result<Challenge, Diagnostic> {
    let shown = shortened(&answer.challenges.join(", "), 200);
    let found = answer.challenges.iter().find_map(|header| parameters(header));
    Err(match (answer.status, found) {
        (401, Some(challenge)) if challenge.realm.is_empty() => {
            Diagnostic::error("challenge", format!("the challenge names no realm: {shown}"))
                .why("clients do not know where to ask for a token")
        }
        (401, Some(challenge)) => return Ok(challenge),
        (401, None) if shown.is_empty() => {
            Diagnostic::error("challenge", "401 without WWW-Authenticate: clients do not know where to go")
                .hint("a proxy in front drops the header, or answers itself")
        }
        (401, None) => Diagnostic::error(
            "challenge",
            format!("the registry asks for something else: {shown}"),
        )
        .why("only `Bearer` leads to a token service")
        .hint(
            "its `auth` is not `token` (htpasswd?), or a proxy in front of /v2/ asks for a password itself",
        ),
        (200, _) if answer.from_registry => {
            Diagnostic::error("open", "the registry answers 200 to anyone: it asks for no token")
                .why("whoever reaches it may pull, push and delete")
                .hint("set auth.token in its configuration, and restart it; see --registry-config")
        }
        (status, _) => Diagnostic::error(
            "challenge",
            format!("GET /v2/ answers {status} with {}, as no registry does", answer.kind()),
        )
        .hint("is this the registry's address? perhaps a proxy does not pass /v2/ on"),
    })
}

/// The parameters of a `Bearer` challenge (RFC 9110, 11.6.1; RFC 6750, 3); `None` if the header has none.
fn parameters(header: &str) -> Option<Challenge> {
    let at = header.to_ascii_lowercase().find("bearer ")?;
    let mut rest = header.get(at + "bearer ".len()..)?;
    let mut challenge = Challenge::default();
    while let Some((name, after)) = rest.split_once('=') {
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => text.push(characters.next()?.1),
                    (_, c) => text.push(c),
                }
            };
            value = text;
            rest = quoted.get(end..)?;
        } else {
            let (bare, after) = after.split_once(',').unwrap_or((after, ""));
            value = bare.trim().to_owned();
            rest = after;
        }
        match name.trim_matches([' ', ',']).to_ascii_lowercase().as_str() {
            "realm" => challenge.realm = value,
            "service" => challenge.service = value,
            _ => {}
        }
    }
    Some(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::diagnostic::Level;

    #[test]
    fn challenges_are_read() {
        let read = |text| parameters(text).map(|found| (found.realm, found.service));
        let found = |realm: &str, service: &str| Some((realm.to_owned(), service.to_owned()));
        for (text, expected) in [
            ("Bearer realm=\"http://a/v2/token\",service=\"s\"", found("http://a/v2/token", "s")),
            ("bearer Realm=\"a,b=c\", error=\"x\"", found("a,b=c", "")),
            ("Bearer realm=\"a\\\"b\"", found("a\"b", "")),
            ("Bearer realm=a, service=s", found("a", "s")),
            ("Basic realm=\"b\", Bearer realm=\"a\"", found("a", "")),
            ("Bearer x", found("", "")),
            ("Bearer realm=\"open", None),
            ("Basic realm=\"a\"", None),
            ("Bearer", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_is_judged_by_what_its_tokens_come_to() {
        let life = Ttl::new(300).unwrap();
        for (ahead, level, part) in [
            (0, Level::Ok, "agree"),
            (-5, Level::Ok, "agree"),
            (6, Level::Warning, "6 s ahead of"),
            (-59, Level::Warning, "59 s behind"),
            (60, Level::Error, "60 s ahead of"),
            (-60, Level::Warning, "60 s behind"),
            (-359, Level::Warning, "359 s behind"),
            (-360, Level::Error, "360 s behind"),
        ] {
            let now = UnixTime(784_111_777);
            let date = String::from_utf8(now.http_date().to_vec()).unwrap();
            let answer = Answer { date: Some(date), at: now.0 + ahead, ..Answer::default() };
            let finding = clock(&answer, life);
            assert!(finding.level == level && finding.what.contains(part), "{ahead}: {finding:?}");
        }
        assert_eq!(clock(&Answer::default(), life).level, Level::Unknown);
    }

    #[test]
    fn a_registry_chooses_no_time_far_ahead() {
        let at = 784_111_777;
        for (date, expected) in [
            (None, at),
            (Some("Thu, 01 Jan 1970 00:00:00 GMT"), 0),
            (Some("Mon, 07 Nov 1994 08:49:36 GMT"), at + MOST_AHEAD - 1),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), at + MOST_AHEAD),
        ] {
            let answer = Answer { date: date.map(str::to_owned), at, ..Answer::default() };
            assert_eq!(time(&answer), UnixTime(expected), "{date:?}");
        }
    }

    #[test]
    fn a_url_has_a_host() {
        for (url, expected) in
            [("http://a:1/x", "a"), ("https://[::1]:1", "::1"), ("http://a?b", "a"), ("a/b", ""), ("", "")]
        {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
