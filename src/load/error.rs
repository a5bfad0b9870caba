//! Why nothing can be served from the files.

use crate::ground::document::DocumentError;
use crate::tls::TlsError;
use std::fmt;

/// Why a load fails.
#[derive(Debug)]
pub enum LoadError {
    /// A file is wrong.
    Document {
        /// `configuration`, `policy` or `users file`.
        what: &'static str,
        /// Where and how.
        source: DocumentError,
    },
    /// The server's certificate or its key is wrong.
    Tls(TlsError),
    /// The command line contradicts the configuration.
    Contradiction(String),
    /// The program has a defect.
    Defect,
}

impl LoadError {
    /// What a wrong file of that kind is.
    pub(crate) fn of(what: &'static str) -> impl Fn(DocumentError) -> Self {
        move |source| LoadError::Document { what, source }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LoadError::Document { source, .. } => source.hint.clone(),
            LoadError::Tls(error) => error.hint.clone(),
            LoadError::Contradiction(_) => Some("leave one of them out".to_owned()),
            LoadError::Defect => None,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Document { what, .. } => write!(f, "cannot load {what}"),
            LoadError::Tls(_) => f.write_str("cannot load the certificate for TLS"),
            LoadError::Contradiction(message) => f.write_str(message),
            LoadError::Defect => f.write_str("cannot load: the program has a defect"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Document { source, .. } => Some(source),
            LoadError::Tls(error) => Some(error),
            LoadError::Contradiction(_) | LoadError::Defect => None,
        }
    }
}
