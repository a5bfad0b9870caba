//! The client that asks the server of this configuration how it is.
//!
//! Decision: it needs no authority and no name. The one certificate that it takes is the one in the
//! configuration's own file, and the server must prove to have its key: on the way to itself nobody else is to
//! be trusted, and for that neither the system's authorities nor a name on this host say anything.

use super::identity::{provider, read_chain};
use super::{TlsError, TlsFiles};
use crate::ground::file::Files;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    StreamOwned,
};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

/// Makes of a socket a connection to the server that has the configured certificate and its key.
pub(crate) fn connect_to_itself<S: Read + Write>(
    files: &TlsFiles,
) -> Result<impl FnOnce(S) -> io::Result<StreamOwned<ClientConnection, S>>, TlsError> {
    let chain = read_chain(&files.certificate, &mut Files::default())?;
    let own = chain.first().map(|own| own.der().to_vec()).unwrap_or_default();
    let provider = provider();
    let verifier = Arc::new(Itself { own, algorithms: provider.signature_verification_algorithms });
    Ok(move |socket| {
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        // An address is sent to no server (RFC 6066, 3), and the name is not what is verified.
        let name = ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(named)?;
        }
        Ok(stream)
    })
}

/// Says what it means that the certificate is another.
fn named(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            io::Error::other(
                "it has another certificate than service.tls.certificate_path: a new one was not taken yet, or \
             another server listens there",
            )
        }
        _ => error,
    }
}

/// Takes one certificate alone.
#[derive(Debug)]
struct Itself {
    own: Vec<u8>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Itself {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if presented.as_ref() == self.own {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
