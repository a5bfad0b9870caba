//! `service.tls`: the certificate and the key of the server.

use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::net::Bind;
use crate::tls::{ENABLED, NOT_ENABLED, TlsFiles};

/// Reads the section. The files are read by whoever serves: `issue` needs neither.
pub(super) fn files(service: &Node<'_>, bind: &Bind) -> Result<Option<TlsFiles>, DocumentError> {
    let Some(tls) = service.get("tls") else { return Ok(None) };
    tls.needs(ENABLED, NOT_ENABLED)?;
    tls.allow_keys(&["certificate_path", "key_path"])?;
    if matches!(bind, Bind::Unix(_)) {
        let error = tls.error("a Unix socket needs no TLS: nobody but this host can come by it");
        return Err(error.hint("leave `tls` out, or listen on an address"));
    }
    let path =
        |key: &str| tls.required(key, "`tls` has certificate_path and key_path")?.path(&mut Files::default());
    Ok(Some(TlsFiles { certificate: path("certificate_path")?, key: path("key_path")? }))
}
