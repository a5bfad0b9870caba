//! Certificates, and a client that trusts their authority.

use super::http::connect;
use super::{Answer, Folder, Server, exchange};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::net::TcpStream;
use std::sync::Arc;

pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// An authority that can make certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names and its key, after a change.
    pub fn make_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = named(names.first().unwrap(), names);
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub fn make(&self, names: &[&str]) -> (String, String) {
        self.make_with(names, |_| {})
    }

    /// A client that trusts it.
    pub fn client(&self) -> Client {
        Client::trusting(&self.pem)
    }
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

#[derive(Clone)]
pub struct Client(pub ClientConfig);

impl Client {
    pub fn trusting(authority: &str) -> Self {
        Self::of(authority, &[&TLS13, &TLS12])
    }

    pub fn of(authority: &str, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        Self(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// A session that has not begun.
    pub fn session(&self) -> ClientConnection {
        self.session_with("localhost")
    }

    /// The same with a server of that name or address.
    pub fn session_with(&self, name: &'static str) -> ClientConnection {
        ClientConnection::new(Arc::new(self.0.clone()), ServerName::try_from(name).unwrap()).unwrap()
    }

    /// A connection whose handshake comes with its first read or write.
    pub fn over(&self, stream: TcpStream) -> Secure {
        StreamOwned::new(self.session(), stream)
    }

    /// A connection to that server whose handshake is done.
    pub fn connect(&self, server: &Server) -> std::io::Result<Secure> {
        let mut secure = self.over(connect(server.port()));
        while secure.conn.is_handshaking() {
            secure.conn.complete_io(&mut secure.sock)?;
        }
        Ok(secure)
    }

    /// One request on a connection of its own.
    pub fn get(&self, server: &Server, target: &str, headers: &[(&str, &str)]) -> Answer {
        exchange(self.connect(server).unwrap(), "GET", target, headers, None)
    }
}

/// A folder with `config.yaml` for an HS256 key and no policy, and a certificate for `localhost`; with more in
/// its `service`.
pub fn secure_folder(authority: &Authority, more: &str) -> Folder {
    let (certificate, key) = authority.make(&["localhost", "127.0.0.1"]);
    let tls = "tls: {certificate_path: server.crt, key_path: server.key}";
    let config = format!(
        "issuer: https://localhost\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\npolicy: none\n\
         service: {{host: 127.0.0.1, port: 0, {tls}{more}}}\n"
    );
    Folder::with(&[("config.yaml", &config), ("server.crt", &certificate), ("server.key", &key)])
}
