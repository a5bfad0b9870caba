//! `doctor --url`: the questions, in the order of a client.
//!
//! Decision: nothing is asked that changes anything, no name or password is sent, and no token that is shown to the
//! registry grants anything.

use super::client::Client;
use crate::cli::new_id;
use crate::diagnosis::doctor::running::{self, Challenge, realm, token};
use crate::diagnosis::doctor::{self, sample};
use crate::ground::diagnostic::{Diagnostic, Level};
use crate::ground::text::sentence;
use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::Issuer;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it may take to find out what the registry expects instead of the token that it refused.
const GUESSING: Duration = Duration::from_secs(30);

/// The side that is ours.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) issuer: &'a Issuer,
    /// Every audience that tokens are signed for.
    pub(super) services: &'a [String],
    /// Where `serve` listens, in a sentence.
    pub(super) listens: &'a str,
    /// What the registry's own files say of a token, if they were given.
    pub(super) files: Option<Level>,
}

/// Asks the registry at this URL and the realm that it names.
pub(super) fn ask(url: &str, ca: Option<&Path>, own: Option<Own<'_>>) -> Vec<Diagnostic> {
    let client = match Client::new(ca) {
        Ok(client) => client,
        Err(error) => {
            let hint = "--ca and SSL_CERT_FILE name PEM files with certificates of authorities";
            return vec![Diagnostic::error("ca", sentence(&error)).hint(hint)];
        }
    };
    let url = format!("{}/v2/", url.trim_end_matches('/').trim_end_matches("/v2"));
    let mut asked = Asked { client, own, findings: Vec::new() };
    let end = asked.registry(&url);
    asked.findings.extend(end.err());
    asked.findings
}

/// A conversation. An error is the finding that ends its part: what follows would only repeat it.
struct Asked<'a> {
    client: Client,
    own: Option<Own<'a>>,
    findings: Vec<Diagnostic>,
}

impl Asked<'_> {
    fn registry(&mut self, url: &str) -> Result<(), Diagnostic> {
        let answer = self.client.get("url", url, None, None)?;
        let life = self.own.map_or(Ttl::DEFAULT, |own| own.issuer.lifetimes().default);
        self.findings.push(running::clock(&answer, life));
        let challenge = running::challenge(&answer)?;
        self.findings.extend(realm::address(url, &challenge.realm));
        if let Err(finding) = self.realm(&challenge) {
            let listens = self.own.filter(|_| finding.why.is_empty()).map(|own| own.listens);
            self.findings.push(match listens {
                Some(listens) => finding.why(listens),
                None => finding,
            });
        }
        let Some(own) = self.own else { return Ok(()) };
        let services: Vec<&str> = own.services.iter().map(String::as_str).collect();
        let service = doctor::service(Some(&challenge.service), &services);
        if service.level != Level::Ok {
            return Err(service); // no token is signed for it
        }
        self.findings.push(service);
        self.token(url, &challenge, own, running::time(&answer))
    }

    fn realm(&mut self, challenge: &Challenge) -> Result<(), Diagnostic> {
        let Challenge { realm, service } = challenge;
        let issuer = self.own.map(|own| own.issuer);
        let answer = self.client.get("realm-get", realm, Some(service), None)?;
        self.findings.push(realm::get(&answer, challenge, issuer));
        let form = [("grant_type", "password"), ("service", service), ("client_id", "keypebble-doctor")];
        self.findings.push(realm::post(&self.client.post("realm-post", realm, &form)?));
        if let (Some(issuer), Some(url)) = (issuer, realm::keys_url(realm)) {
            // A proxy need not pass it on.
            let published = self.client.get("realm-keys", &url, None, None).ok();
            self.findings.extend(published.and_then(|answer| realm::keys(&answer, issuer)));
        }
        Ok(())
    }

    /// Shows the registry a token made now. If it refuses that, finds out what it would rather have.
    fn token(
        &mut self,
        url: &str,
        challenge: &Challenge,
        own: Own<'_>,
        registrys_time: UnixTime,
    ) -> Result<(), Diagnostic> {
        let made = |now| sample(own.issuer, &challenge.service, now, new_id().unwrap_or_default());
        let shown = |token: &str| self.client.get("token", url, None, Some(token));
        let by_own_clock = made(UnixTime::now())?;
        if let Some(finding) = token::answered(&shown(by_own_clock.token.expose())?) {
            self.findings.push(finding);
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
                self.findings.extend(guess.findings);
                return Ok(());
            }
        }
        Err(token::refused(own.files))
    }
}
