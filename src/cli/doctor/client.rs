//! The HTTP client that `doctor --url` is: what docker or skopeo would meet, over http and https.
//!
//! Owns the connection and why there is none. Decision: what a client trusts is trusted here: the authorities of the
//! system and those of `--ca` beside them, as docker, podman and skopeo take a `ca.crt`. Of the environment only
//! `SSL_CERT_FILE` counts. No proxy is used and no redirect followed; one question takes at most ten seconds, and of an
//! answer at most 128 KiB are read.

use crate::cli::error::Error;
use crate::cli::key_file::file;
use crate::diagnosis::doctor::running::Answer;
use crate::ground::authorities as system;
use crate::ground::diagnostic::{Diagnostic, shortened};
use crate::ground::file;
use crate::ground::text::quoted;
use crate::ground::time::UnixTime;
use rustls::{CertificateError, RootCertStore};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How long one question may take, from the name's look-up to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer's head and of its body.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: u64 = 128 * 1024;

/// Asks over http and https.
pub(super) struct Client(ureq::Agent);

impl Client {
    /// Trusts the system's authorities, and those of this file.
    pub(super) fn new(ca: Option<&Path>) -> Result<Client, Error> {
        let mut roots = system_authorities()?;
        if let Some(path) = ca {
            roots.extend(authorities(path)?);
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(PATIENCE))
            .max_response_header_size(MAX_HEAD)
            .max_idle_connections(0)
            .user_agent("keypebble-doctor")
            .accept("application/json");
        Ok(Client(config.build().new_agent()))
    }

    /// A GET, with a query for this service and with this token, if they are named. Why there is no answer is an
    /// error under this code.
    pub(super) fn get(
        &self,
        code: &'static str,
        url: &str,
        service: Option<&str>,
        token: Option<&str>,
    ) -> Result<Answer, Diagnostic> {
        check(code, url)?;
        let mut request = self.0.get(url).query_pairs(service.map(|service| ("service", service)));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        answer(code, url, request.call())
    }

    /// A POST of a form.
    pub(super) fn post(
        &self,
        code: &'static str,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, Diagnostic> {
        check(code, url)?;
        answer(code, url, self.0.post(url).send_form(form.iter().copied()))
    }
}

/// The authorities of `SSL_CERT_FILE`, or of the first bundle that is there.
fn system_authorities() -> Result<Vec<Certificate<'static>>, Error> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let bundle = named.or_else(system::bundle);
    let Some(path) = bundle else { return Ok(Vec::new()) };
    let bytes = file::read(&path, system::MAX_BYTES).map_err(|source| Error::file("read", &path, source))?;
    Ok(certificates(&bytes))
}

/// The authorities of `--ca`, each of which must be usable.
fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let list = certificates(&file(path)?);
    let usable = |one: &Certificate<'_>| RootCertStore::empty().add(one.der().to_vec().into()).is_ok();
    if list.is_empty() || !list.iter().all(usable) {
        let problem = "expected certificates in PEM, found none, or one that cannot be read";
        return Err(Error::key_file(path, problem));
    }
    Ok(list)
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(one)) => Some(one),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}

/// Only an http or https URL with a host is asked, and none that has a name or password in it.
fn check(code: &'static str, url: &str) -> Result<(), Diagnostic> {
    let well_formed = url.parse().is_ok_and(|uri: Uri| {
        let authority = uri.authority().map(ureq::http::uri::Authority::as_str);
        matches!(uri.scheme_str(), Some("http" | "https"))
            && authority.is_some_and(|authority| !authority.contains('@'))
    });
    if well_formed {
        return Ok(());
    }
    let what = format!("{} is not a URL such as https://registry.example.com:5000", quoted("", url));
    Err(Diagnostic::error(code, what).hint(if url.contains('@') {
        "a name and password do not belong in it: none is sent"
    } else {
        "begin it with https://, or http:// where the registry has no TLS: http://localhost:5000"
    }))
}

fn answer(
    code: &'static str,
    url: &str,
    outcome: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, Diagnostic> {
    let response = outcome.map_err(|error| failure(code, url, &error))?;
    let (head, body) = response.into_parts();
    let all = |name: &str| {
        let values = head.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
    };
    let first = |name: &str| all(name).into_iter().next();
    let mut bytes = Vec::new();
    // A body that breaks off counts as far as it came.
    let _ = body.into_reader().take(MAX_BODY).read_to_end(&mut bytes);
    let answer = Answer {
        status: head.status.as_u16(),
        challenges: all("WWW-Authenticate"),
        date: first("Date"),
        location: first("Location"),
        content_type: first("Content-Type"),
        from_registry: first("Docker-Distribution-Api-Version").is_some(),
        body: bytes,
        at: UnixTime::now().0,
    };
    answer.usable(code, url)
}

/// Why there is no answer.
fn failure(code: &'static str, url: &str, error: &ureq::Error) -> Diagnostic {
    let place = shortened(url, 200);
    let (said, hint) = match error {
        ureq::Error::Rustls(error) => return tls_failure(code, &place, error),
        ureq::Error::Io(error) => {
            if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
                return tls_failure(code, &place, error);
            }
            let hint = "is it running, is the port the right one, and is it reachable from this host?";
            (error.to_string(), hint)
        }
        ureq::Error::Protocol(_) => {
            (error.to_string(), "that is no http: if the port speaks TLS, write https:// instead of http://")
        }
        _ => (error.to_string(), "is the name right, and is it known and reachable from this host?"),
    };
    Diagnostic::error(code, format!("{place} does not answer: {said}")).hint(hint)
}

/// Why there is no TLS with it.
fn tls_failure(code: &'static str, place: &str, error: &rustls::Error) -> Diagnostic {
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let hint = match error {
        rustls::Error::InvalidMessage(_) => {
            return Diagnostic::error(code, format!("{place} is asked over TLS, and speaks plain http"))
                .hint("write http:// instead of https://, or put TLS in front of it");
        }
        // webpki's own word, for which rustls has no name.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            let what = format!("{place} shows the certificate of an authority as its own (CA:TRUE)");
            return Diagnostic::unknown(code, what)
                .why("docker takes that if it has it as ca.crt; this client does not, so nothing was asked")
                .hint(
                    "make a certificate for the server alone, signed by that authority or without CA:TRUE",
                );
        }
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "name the authority that signed it with --ca FILE; clients need it, too: docker in \
             /etc/docker/certs.d/HOST:PORT/ca.crt, podman and skopeo in /etc/containers/certs.d/HOST:PORT/ca.crt"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "ask it under a name of the certificate, or make one with that name as subjectAltName"
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "renew its certificate, and let the server load it; check this host's clock"
        }
        _ => "openssl s_client -connect HOST:PORT shows what it offers",
    };
    Diagnostic::error(code, format!("no TLS with {place}: {error}")).hint(hint)
}
