//! The server's certificate and key: read, judged, and made into what a handshake needs.
//!
//! Decision: what would fail in every handshake is an error here (another key, a chain in the wrong order);
//! what fails for some clients or at some time is a warning (names, validity), because a server that is up with
//! an old certificate helps its operator more than one that is down.

use super::{TlsError, TlsFiles};
use crate::ground::file::Files;
use crate::ground::time::UnixTime;
use crate::key::KeyError;
use crate::key::chain::certificates;
use crate::key::form::Form;
use crate::key::material::private_block;
use crate::key::x509::X509;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, ServerName,
};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, ServerConfig};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The longest file of certificates or of a key, in bytes.
const MAX_FILE_BYTES: u64 = 128 * 1024;

/// A certificate with its key, ready for handshakes. `Debug` shows neither.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    certificates: usize,
    until: UnixTime,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads both files. Warns of a certificate that is not valid now, or not for one of these names or
    /// addresses, under which clients come.
    pub fn load(
        files: &TlsFiles,
        names: &[String],
        now: UnixTime,
        reads: &mut Files,
    ) -> Result<Self, TlsError> {
        // Both are noted before either is read, so that a server sees when the second is mended, too.
        reads.note(&files.certificate);
        reads.note(&files.key);
        let chain = read_chain(&files.certificate, reads)?;
        let text = read(KEY, &files.key, reads)?;
        reads.private(&files.key);
        let block = private_block(&text).map_err(|error| wrong(KEY, &files.key, &error))?;
        let key = match block.form {
            Form::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&**block.der)),
            Form::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(&**block.der)),
            Form::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(&**block.der)),
            _ => return Err(unusable(&files.key, "a DSA key cannot do TLS")),
        };
        let key = ring::sign::any_supported_type(&key).map_err(|_| {
            unusable(
                &files.key,
                "not a key that TLS can use: expected RSA (2048 bits or more), P-256, P-384 or Ed25519, with \
                 its public half",
            )
        })?;
        let ders = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
        let certified = CertifiedKey::new(ders, key);
        match certified.keys_match() {
            Ok(()) => {}
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(mismatch(files, &certified));
            }
            Err(error) => return Err(certificate_error(&files.certificate, error.to_string(), OPENSSL_X509)),
        }
        check_order(&chain, &files.certificate)?;
        warn_of_validity(&chain, &files.certificate, now, reads);
        warn_of_names(&certified, &files.certificate, names, reads);
        let until = chain.iter().map(X509::not_after).min().unwrap_or_default();
        let config = server_config(certified)
            .map_err(|error| certificate_error(&files.certificate, error.to_string(), OPENSSL_X509))?;
        Ok(Self { config: Arc::new(config), certificates: chain.len(), until: UnixTime(until) })
    }

    /// What a handshake is made with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// How many certificates clients are sent, and until when all of them are valid.
    pub fn describe(&self) -> String {
        format!("{} certificate(s), valid until {}", self.certificates, self.until)
    }
}

const CERTIFICATE: &str = "certificate_path";
const KEY: &str = "key_path";
const OPENSSL_X509: &str = "see what OpenSSL says: openssl x509 -noout -text -in FILE";

/// The certificates of that file, the server's own first.
pub(super) fn read_chain(path: &Path, reads: &mut Files) -> Result<Vec<X509>, TlsError> {
    let text = read(CERTIFICATE, path, reads)?;
    certificates(&text).map_err(|error| match error {
        KeyError::EmptyChain => {
            let hint = "the file must hold the server's certificate first, then those of the authorities";
            certificate_error(path, "it holds no certificate".to_owned(), hint)
        }
        error => wrong(CERTIFICATE, path, &error),
    })
}

fn read(
    key: &'static str,
    path: &Path,
    reads: &mut Files,
) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    reads.read(path, MAX_FILE_BYTES).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Some("relative paths are relative to the configuration file's folder".to_owned())
            }
            std::io::ErrorKind::PermissionDenied => {
                Some("let the user that runs keypebble read it, and nobody else who need not".to_owned())
            }
            _ => None,
        };
        TlsError { key, path: path.to_owned(), problem: format!("cannot read it: {error}"), hint }
    })
}

fn wrong(key: &'static str, path: &Path, error: &KeyError) -> TlsError {
    TlsError { key, path: path.to_owned(), problem: error.to_string(), hint: error.hint() }
}

fn certificate_error(path: &Path, problem: String, hint: &str) -> TlsError {
    TlsError { key: CERTIFICATE, path: path.to_owned(), problem, hint: Some(hint.to_owned()) }
}

fn unusable(path: &Path, problem: &str) -> TlsError {
    let hint = "make one with: openssl ecparam -genkey -noout -name prime256v1 -out key.pem";
    TlsError { key: KEY, path: path.to_owned(), problem: problem.to_owned(), hint: Some(hint.to_owned()) }
}

/// The first certificate is not for the key; perhaps a later one is.
fn mismatch(files: &TlsFiles, certified: &CertifiedKey) -> TlsError {
    let fits = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key))
            .keys_match()
            .is_ok()
    };
    match certified.cert.iter().position(fits) {
        Some(place) => certificate_error(
            &files.certificate,
            format!("the certificate of this key is number {} of the file, not the first", place + 1),
            "put the server's own certificate first, then the one that issued it, and so on",
        ),
        None => TlsError {
            key: KEY,
            path: files.key.clone(),
            problem: format!(
                "the key does not belong to the first certificate in {}",
                files.certificate.display()
            ),
            hint: Some(
                "compare: openssl x509 -noout -pubkey -in CERTIFICATE, and openssl pkey -pubout -in KEY"
                    .to_owned(),
            ),
        },
    }
}

/// Each certificate must be followed by the one that issued it (RFC 5246, 7.4.2): clients differ in how much
/// disorder they forgive.
fn check_order(chain: &[X509], path: &Path) -> Result<(), TlsError> {
    let wrong = chain.windows(2).position(|pair| !pair[0].names_as_issuer(&pair[1]));
    wrong.map_or(Ok(()), |place| {
        Err(certificate_error(
            path,
            format!("certificate {} of the file did not issue certificate {}", place + 2, place + 1),
            "put the server's own certificate first, then the one that issued it, and so on, and no others",
        ))
    })
}

fn warn_of_validity(chain: &[X509], path: &Path, now: UnixTime, reads: &mut Files) {
    for (place, one) in chain.iter().enumerate() {
        let which = format!("{}: certificate {} of {}", path.display(), place + 1, chain.len());
        if now.0 > one.not_after() {
            let end = UnixTime(one.not_after());
            let what = format!("{which} expired at {end}: clients refuse it");
            reads.warn(what, "renew it; a running server takes the new one by itself");
        } else if now.0 < one.not_before() {
            let start = UnixTime(one.not_before());
            reads.warn(format!("{which} is not valid before {start}"), "check this host's clock");
        }
    }
}

fn warn_of_names(certified: &CertifiedKey, path: &Path, names: &[String], reads: &mut Files) {
    let Some(Ok(own)) = certified.cert.first().map(ParsedCertificate::try_from) else { return };
    let holds = |name: &str| {
        ServerName::try_from(name).is_ok_and(|name| verify_server_name(&own, &name).is_ok())
    };
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !holds(name)).collect();
    if !missing.is_empty() {
        reads.warn(
            format!("the certificate in {} is not for {}", path.display(), missing.join(", ")),
            "clients that come under another name than its subjectAltName refuse it",
        );
    }
}

fn server_config(certified: CertifiedKey) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The cryptography: ring's.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
