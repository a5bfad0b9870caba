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

fn read(key: &'static str, path: &Path, reads: &mut Files) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
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
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
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
    let holds =
        |name: &str| ServerName::try_from(name).is_ok_and(|name| verify_server_name(&own, &name).is_ok());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::Key;
    use crate::scratch;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    use std::os::unix::fs::PermissionsExt;

    const NOW: UnixTime = UnixTime(1_800_000_000); // 2027-01-15

    struct Folder(scratch::Folder);

    impl Folder {
        fn new() -> Self {
            Self(scratch::Folder::new())
        }

        fn load(
            &self,
            certificate: &[u8],
            key: &[u8],
            names: &[&str],
        ) -> (Result<Identity, TlsError>, String) {
            for (name, bytes) in [("server.crt", certificate), ("server.key", key)] {
                let path = self.0.join(name);
                std::fs::write(&path, bytes).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            let files = TlsFiles { certificate: self.0.join("server.crt"), key: self.0.join("server.key") };
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut reads = Files::default();
            let loaded = Identity::load(&files, &names, NOW, &mut reads);
            assert_eq!(reads.paths(), [files.certificate, files.key], "both are watched, whatever is wrong");
            let warnings: Vec<&str> = reads.warnings().iter().map(|warning| warning.what.as_str()).collect();
            (loaded, warnings.join("\n"))
        }
    }

    fn named(name: &str, authority: bool) -> CertificateParams {
        let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2028, 1, 1));
        params
    }

    /// The server's certificate, an intermediate one, the root; and the server's key.
    fn chain() -> ([String; 3], String) {
        let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
        let (root, middle) = (named("root", true), named("middle", true));
        let top = root.self_signed(&keys[2]).unwrap().pem();
        let issuer = Issuer::from_params(&root, &keys[2]);
        let between = middle.signed_by(&keys[1], &issuer).unwrap().pem();
        let issuer = Issuer::from_params(&middle, &keys[1]);
        let own = named("server.example", false).signed_by(&keys[0], &issuer).unwrap().pem();
        ([own, between, top], keys[0].serialize_pem())
    }

    #[test]
    fn each_wrong_file_is_named_with_what_is_wrong() {
        let folder = Folder::new();
        let ([own, middle, root], key) = chain();
        let (other, other_key) = chain();
        let sent = format!("{own}{middle}");
        let data = |name: &str| std::fs::read_to_string(Path::new("tests/data/keys").join(name)).unwrap();
        let own_der = certificates(own.as_bytes()).unwrap()[0].der().to_vec();
        for (certificate, key, wrong, expected) in [
            (sent.as_str(), other_key.as_str(), KEY, "the key does not belong to the first certificate in"),
            (&format!("{middle}{own}"), &key, CERTIFICATE, "number 2 of the file, not the first"),
            (
                &format!("{own}{root}{middle}"),
                &key,
                CERTIFICATE,
                "certificate 2 of the file did not issue certificate 1",
            ),
            (
                &format!("{sent}{}", other[0]),
                &key,
                CERTIFICATE,
                "certificate 3 of the file did not issue certificate 2",
            ),
            (&key, &key, CERTIFICATE, "it holds no certificate"),
            ("", &key, CERTIFICATE, "no PEM block: this looks like an empty file"),
            (&own[..own.len() / 2], &key, CERTIFICATE, "BEGIN CERTIFICATE has no END CERTIFICATE"),
            (&own.replace("MII", "MIJ"), &key, CERTIFICATE, "not a well-formed certificate"),
            (&own.repeat(11), &key, CERTIFICATE, "11 certificates, at most 10"),
            (&" ".repeat(128 * 1024 + 1), &key, CERTIFICATE, "longer than 131072 bytes"),
            (&own, &own, KEY, "expected a private key, found CERTIFICATE"),
            (&own, &data("rsa2048-encrypted.pem"), KEY, "protected by a passphrase"),
            (&own, &data("openssh.pem"), KEY, "OpenSSH's own format"),
            (&own, &data("mldsa44.pem"), KEY, "not a key that TLS can use"),
            (&own, &key.repeat(2), KEY, "2 private keys in one file"),
            (&own, "", KEY, "an empty file"),
        ] {
            let (loaded, _) = folder.load(certificate.as_bytes(), key.as_bytes(), &[]);
            let error = loaded.unwrap_err();
            assert!(error.key == wrong && error.problem.contains(expected), "{expected}: {error}");
            assert!(error.hint.is_some() || expected.contains("longer"), "{error}");
        }
        let (loaded, _) = folder.load(&own_der, key.as_bytes(), &[]);
        assert!(loaded.unwrap_err().problem.contains("a certificate in binary (DER)"));
        let absent = TlsFiles { certificate: folder.0.join("absent"), key: folder.0.join("server.key") };
        let error = Identity::load(&absent, &[], NOW, &mut Files::default()).unwrap_err();
        assert!(error.to_string().contains("/absent: cannot read it: No such file"), "{error}");
    }

    #[test]
    fn every_key_that_openssl_makes_for_tls_is_taken() {
        let folder = Folder::new();
        for name in [
            "p256.pem",
            "p256-sec1-params.pem",
            "p384-sec1.pem",
            "ed25519.pem",
            "rsa2048.pem",
            "rsa2048-pkcs1.pem",
        ] {
            let text = std::fs::read_to_string(Path::new("tests/data/keys").join(name)).unwrap();
            let key = Key::from_pem(&Secret::new(text.as_bytes().to_vec()), None, None).unwrap();
            let certificate = key.certificate(key.public().unwrap(), 0, 2 * NOW.0).unwrap();
            let (loaded, _) = folder.load(certificate.as_bytes(), text.as_bytes(), &[]);
            assert!(loaded.is_ok(), "{name}: {loaded:?}");
        }
    }

    #[test]
    fn what_some_clients_or_times_refuse_is_warned_of() {
        let folder = Folder::new();
        let ([own, middle, root], key) = chain();
        let all = format!("{own}{middle}{root}");
        let (loaded, warnings) =
            folder.load(all.as_bytes(), key.as_bytes(), &["server.example", "127.0.0.1"]);
        assert_eq!(warnings, "");
        assert_eq!(loaded.unwrap().describe(), "3 certificate(s), valid until 2028-01-01T00:00:00Z");
        let (loaded, warnings) =
            folder.load(all.as_bytes(), key.as_bytes(), &["other.example", "server.example", "::1", "a b"]);
        assert!(loaded.is_ok() && warnings.ends_with("is not for other.example, ::1, a b"), "{warnings}");
        let authority = KeyPair::generate().unwrap();
        let root = named("root", true);
        let issuer = Issuer::from_params(&root, &authority);
        for (from, until, expected) in
            [(2024, 2026, "expired at 2026-01-01T00:00:00Z"), (2028, 2029, "is not valid before 2028-01-01")]
        {
            let own = KeyPair::generate().unwrap();
            let mut params = named("server.example", false);
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
            let text = params.signed_by(&own, &issuer).unwrap().pem();
            let (loaded, warnings) = folder.load(text.as_bytes(), own.serialize_pem().as_bytes(), &[]);
            assert!(loaded.is_ok() && warnings.contains(expected), "{warnings}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let folder = Folder::new();
        let ([own, ..], key) = chain();
        let (loaded, _) = folder.load(own.as_bytes(), key.as_bytes(), &[]);
        assert_eq!(format!("{:?}", loaded.unwrap()), "Identity { until: UnixTime(1830297600), .. }");
    }
}
