//! Where systems keep the certificates of the authorities that they trust.
//!
//! Owns the places. Must not know what asks, nor what a certificate is.

use std::path::PathBuf;

/// The longest file of certificates that is read, in bytes.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Debian and Alpine, Fedora, `OpenSUSE`, older RHEL, BSD.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The system's bundle, as PEM; `None` where none of the usual ones is there.
pub fn bundle() -> Option<PathBuf> {
    BUNDLES.iter().map(PathBuf::from).find(|path| path.exists())
}
