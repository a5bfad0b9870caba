//! TLS to the server, as `sslmode` names it.
//!
//! Owns whom a certificate must convince. Decision: `require` and `verify-ca` check the same handshake as
//! `verify-full` and pass over the name, or over who signed; a signature that does not stand is never taken.

use crate::ground::authorities;
use crate::ground::file;
use crate::store::server::{Server, TlsMode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes a TLS connection to that host. An error says what is wrong and what to do.
pub(super) fn connector(
    server: &Server,
    host: &str,
) -> Result<
    impl TlsConnect<TcpStream, Stream: Send + Unpin + 'static, Future: Send + 'static> + use<>,
    [String; 2],
> {
    let provider = Arc::new(ring::default_provider());
    let inner =
        match server.mode {
            TlsMode::Disable | TlsMode::Require => None,
            TlsMode::VerifyCa | TlsMode::VerifyFull => {
                let roots = Arc::new(roots(server.roots.as_deref())?);
                let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                Some(built.map_err(|error| {
                    [format!("the root certificates cannot be used: {error}"), String::new()]
                })?)
            }
        };
    let verifier =
        Verifier { inner, names: server.mode == TlsMode::VerifyFull, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| [format!("TLS cannot be used: {error}"), String::new()])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let mut make = MakeRustlsConnect::new(config);
    MakeTlsConnect::<TcpStream>::make_tls_connect(&mut make, host).map_err(|never| match never {})
}

fn roots(named: Option<&Path>) -> Result<RootCertStore, [String; 2]> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => authorities::bundle().ok_or_else(|| {
            [
                "this system has no file of root certificates".to_owned(),
                "add ?sslrootcert=PATH with the certificate of whoever signed the server's".to_owned(),
            ]
        })?,
    };
    let shown = path.display();
    let text = file::read(&path, authorities::MAX_BYTES)
        .map_err(|error| [format!("the root certificates {shown} cannot be read: {error}"), String::new()])?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        // A system's bundle may hold one that is too old to be read.
        let added = certificate.is_ok_and(|certificate| roots.add(certificate).is_ok());
        if !added && named.is_some() {
            return Err([format!("a certificate in {shown} cannot be read"), "expected PEM".to_owned()]);
        }
    }
    if roots.is_empty() {
        return Err([format!("{shown} holds no certificate"), "expected PEM".to_owned()]);
    }
    Ok(roots)
}

/// Checks a server's certificate as far as the mode wants it.
#[derive(Debug)]
struct Verifier {
    /// `None` where anybody's will do.
    inner: Option<Arc<WebPkiServerVerifier>>,
    names: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is looked at last, so that everything else stands.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
