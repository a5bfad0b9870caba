//! What stands in the place of a server's certificate in a build without TLS: nothing, and none can be made.

use super::{NOT_ENABLED, TlsError, TlsFiles};
use crate::ground::file::Files;
use crate::ground::time::UnixTime;

/// There is none in this build.
#[derive(Debug, Clone)]
pub enum Identity {}

impl Identity {
    /// An error: `config` has refused the key already.
    pub fn load(files: &TlsFiles, _: &[String], _: UnixTime, _: &mut Files) -> Result<Self, TlsError> {
        let [problem, hint] = NOT_ENABLED.map(str::to_owned);
        Err(TlsError { key: "certificate_path", path: files.certificate.clone(), problem, hint: Some(hint) })
    }

    /// Nobody can ask.
    pub fn describe(&self) -> String {
        match *self {}
    }
}
