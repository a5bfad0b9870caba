//! `doctor --url`: the questions, in the order of a client.
//!
//! Decision: nothing is asked that changes anything, and no name or password is sent. The one token that is shown to
//! the registry grants nothing.

use super::client::Client;
use crate::cli::error::Error;
use crate::cli::new_id;
use crate::diagnosis::doctor::running::{self, Challenge, realm, token};
use crate::diagnosis::doctor::{self, sample};
use crate::ground::diagnostic::{Diagnostic, Level};
use crate::ground::net::Bind;
use crate::ground::text::sentence;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::Issuer;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what differs is looked for.
const GUESSING: Duration = Duration::from_secs(30);

/// The side that is ours.
pub(super) struct Own<'a> {
    pub(super) issuer: &'a Issuer,
    /// Every audience that tokens are signed for.
    pub(super) services: &'a [String],
    /// Where `serve` listens.
    pub(super) bind: &'a Bind,
    /// What the registry's own files, where they were given, say of a token.
    pub(super) files: Option<Level>,
}

/// Asks the registry at this URL, and the realm that it names.
pub(super) fn ask(url: &str, ca: Option<&Path>, own: Option<&Own<'_>>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let asked = Client::new(ca).map_err(|error| unusable(&error)).and_then(|client| {
        let url = format!("{}/v2/", url.trim_end_matches('/').trim_end_matches("/v2"));
        registry(&client, &url, own, &mut findings)
    });
    findings.extend(asked.err());
    findings
}

fn unusable(error: &Error) -> Diagnostic {
    Diagnostic::error("ca", sentence(error)).hint("--ca names a PEM file with the authority's certificate")
}

/// An error ends the questions: what follows would only repeat it.
fn registry(
    client: &Client,
    url: &str,
    own: Option<&Own<'_>>,
    findings: &mut Vec<Diagnostic>,
) -> Result<(), Diagnostic> {
    let answer = client.get("url", url, None, None)?;
    let life = own.map_or(Ttl::DEFAULT, |own| own.issuer.lifetimes().default);
    findings.push(running::clock(&answer, life));
    let challenge = running::challenge(&answer)?;
    findings.extend(realm::address(url, &challenge.realm));
    if let Err(finding) = at_realm(client, &challenge, own, findings) {
        let bind = own.map(|own| format!("this configuration listens on {}", own.bind)).unwrap_or_default();
        findings.push(if finding.why.is_empty() { finding.why(bind) } else { finding });
    }
    let Some(own) = own else { return Ok(()) };
    let services: Vec<&str> = own.services.iter().map(String::as_str).collect();
    let service = doctor::service(Some(&challenge.service), &services);
    let is_ours = service.level == Level::Ok;
    findings.push(service);
    if !is_ours {
        return Ok(()); // no token is signed for it
    }
    with_token(client, url, &challenge, own, running::time(&answer), findings)
}

fn at_realm(
    client: &Client,
    challenge: &Challenge,
    own: Option<&Own<'_>>,
    findings: &mut Vec<Diagnostic>,
) -> Result<(), Diagnostic> {
    let Challenge { realm, service } = challenge;
    let issuer = own.map(|own| own.issuer);
    let answer = client.get("realm-get", realm, Some(service), None)?;
    findings.push(realm::get(&answer, challenge, issuer));
    let form = [("grant_type", "password"), ("service", service), ("client_id", "keypebble-doctor")];
    findings.push(realm::post(&client.post("realm-post", realm, &form)?));
    if let (Some(issuer), Some(url)) = (issuer, realm::keys_url(realm)) {
        // A proxy need not pass it on.
        let published = client.get("realm-keys", &url, None, None).ok();
        findings.extend(published.and_then(|answer| realm::keys(&answer, issuer)));
    }
    Ok(())
}

/// A token made now; where the registry refuses it, what it would rather have.
fn with_token(
    client: &Client,
    url: &str,
    challenge: &Challenge,
    own: &Own<'_>,
    registrys_time: UnixTime,
    findings: &mut Vec<Diagnostic>,
) -> Result<(), Diagnostic> {
    let made = |now| sample(own.issuer, &challenge.service, now, new_id().unwrap_or_default());
    let shown = |token: &str| client.get("token", url, None, Some(token));
    let by_own_clock = made(UnixTime::now())?;
    if let Some(finding) = token::answered(&shown(by_own_clock.token.expose())?) {
        findings.push(finding);
        return Ok(());
    }
    let sample = made(registrys_time)?;
    if shown(sample.token.expose())?.status == 200 {
        return Err(token::refused_by_clock());
    }
    let started = Instant::now();
    let guesses = token::guesses(own.issuer, &sample, &challenge.realm);
    for guess in guesses.take_while(|_| started.elapsed() < GUESSING) {
        if shown(&guess.token)?.status == 200 {
            findings.extend(guess.findings);
            return Ok(());
        }
    }
    Err(token::refused(own.files))
}
