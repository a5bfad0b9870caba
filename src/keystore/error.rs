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
pub enum StoreError {
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

impl StoreError {
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        StoreError::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code: 3 where a file is rejected, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            StoreError::Document(_) | StoreError::Key { .. } => 3,
            StoreError::Make(_) | StoreError::System { .. } | StoreError::Refused { .. } => 1,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::Document(error) => error.hint.clone(),
            StoreError::Key { source, .. } => source.hint(),
            StoreError::Refused { hint, .. } => hint.clone(),
            StoreError::System { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as the user who owns the key folder".to_owned())
            }
            StoreError::Make(_) | StoreError::System { .. } => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Document(error) => error.fmt(f),
            StoreError::Key { path, source } => write!(f, "{}: {source}", path.display()),
            StoreError::Make(error) => error.fmt(f),
            StoreError::System { what, .. } => f.write_str(what),
            StoreError::Refused { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Document(error) => error.source(),
            StoreError::System { source, .. } => Some(source),
            StoreError::Key { .. } | StoreError::Make(_) | StoreError::Refused { .. } => None,
        }
    }
}

impl From<DocumentError> for StoreError {
    fn from(error: DocumentError) -> Self {
        StoreError::Document(error)
    }
}

/// The system refused this to be done with that file.
pub(super) fn failed(verb: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::System { what: format!("cannot {verb} {}", path.display()), source }
}
