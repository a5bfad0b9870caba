//! Why a folder of keys can't be read or changed.
//!
//! Owns the classes and what helps. Must not know the command line. Decision: what is wrong with a file
//! and what is refused for safety are told apart, as their exit codes are.

use crate::ground::document::DocumentError;
use crate::key::KeyError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of keys can't be read or changed. `Display` is one line for an operator.
#[derive(Debug)]
pub enum KeystoreError {
    /// The manifest is wrong.
    Document(DocumentError),
    /// A key's file is wrong.
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A key could not be made, or its certificate.
    Make(KeyError),
    /// The system refused something.
    System {
        /// What was tried.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// It could be done, but would break something.
    Refused {
        /// What and why.
        message: String,
        /// What to do instead.
        hint: Option<String>,
    },
}

impl KeystoreError {
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        KeystoreError::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code: 3 where a file is rejected, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            KeystoreError::Document(_) | KeystoreError::Key { .. } => 3,
            KeystoreError::Make(_) | KeystoreError::System { .. } | KeystoreError::Refused { .. } => 1,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            KeystoreError::Document(error) => error.hint.clone(),
            KeystoreError::Key { source, .. } => source.hint(),
            KeystoreError::Refused { hint, .. } => hint.clone(),
            KeystoreError::System { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as the user who owns the key folder".to_owned())
            }
            KeystoreError::Make(_) | KeystoreError::System { .. } => None,
        }
    }
}

impl fmt::Display for KeystoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeystoreError::Document(error) => error.fmt(f),
            KeystoreError::Key { path, source } => write!(f, "{}: {source}", path.display()),
            KeystoreError::Make(error) => error.fmt(f),
            KeystoreError::System { what, .. } => f.write_str(what),
            KeystoreError::Refused { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for KeystoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeystoreError::Document(error) => error.source(),
            KeystoreError::System { source, .. } => Some(source),
            KeystoreError::Key { .. } | KeystoreError::Make(_) | KeystoreError::Refused { .. } => None,
        }
    }
}

impl From<DocumentError> for KeystoreError {
    fn from(error: DocumentError) -> Self {
        KeystoreError::Document(error)
    }
}

/// The system refused this to be done with that file.
pub(super) fn failed(verb: &str, path: &Path, source: io::Error) -> KeystoreError {
    KeystoreError::System { what: format!("cannot {verb} {}", path.display()), source }
}
