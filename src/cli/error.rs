//! What went wrong, for the operator, and the exit code that says so.
//!
//! Owns the classes of failure at the outermost edge. Must not know how they are printed: `cli` alone
//! does. Decision: `Display` is this layer's own sentence; `source` is the next one's.

use crate::claims::ClaimsError;
use crate::diagnosis::unverified::Malformed;
use crate::ground::input;
use crate::keystore::KeystoreError;
use crate::load::LoadError;
use crate::server::BindError;
use crate::store::fault::StoreFault;
use crate::token::SealError;
use std::fmt;
use std::io;
use std::path::Path;

/// A failure that ends the program.
#[derive(Debug)]
pub enum Error {
    /// It is said in full here.
    Said {
        /// How the program ends.
        exit: Exit,
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The claims on the command line are wrong.
    Claims(ClaimsError),
    /// The operator's files do not load.
    Load(LoadError),
    /// The token could not be signed.
    Seal(SealError),
    /// A folder of keys can't be read or changed.
    Keys(KeystoreError),
    /// The store cannot be used.
    Store(StoreFault),
    /// `serve` cannot listen.
    Listen(BindError),
    /// The system refused something.
    System {
        /// What was tried.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// The answer could not be written.
    Write(io::Error),
    /// What was given is no token.
    NoToken(Malformed),
    /// The answer is no, and stands on standard output already: nothing more is printed.
    Negative,
}

/// How the program ends, by kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The operation failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Configuration, policy or key is rejected.
    Rejected = 3,
    /// The policy does not give what is asked.
    Refused = 4,
}

impl Error {
    /// A failure of that kind, said in full.
    pub fn said(exit: Exit, message: impl Into<String>) -> Self {
        Error::Said { exit, message: message.into(), hint: None }
    }

    /// This build is without an optional feature: what it says, and what to do about it.
    pub fn not_enabled([message, hint]: [&'static str; 2]) -> Self {
        Error::said(Exit::Rejected, message).with_hint(hint)
    }

    /// A file of public keys or certificates cannot be used.
    pub fn key_file(path: &Path, problem: &str) -> Self {
        Error::said(Exit::Rejected, format!("cannot use {}: {problem}", path.display()))
    }

    /// The system refused something to do with a file.
    pub fn file(verb: &str, path: &Path, source: io::Error) -> Self {
        Error::System { what: format!("cannot {verb} {}", path.display()), source }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        let exit = match self {
            _ if input::is_given_twice(self) => Exit::Usage,
            Error::Said { exit, .. } => *exit,
            Error::Keys(error) => return error.exit_code(),
            Error::Claims(_) | Error::Load(LoadError::Contradiction(_)) => Exit::Usage,
            Error::Load(_) => Exit::Rejected,
            Error::Store(fault) if fault.lasting => Exit::Rejected,
            _ => Exit::Failed,
        };
        exit as u8
    }

    /// The same error with something to do about it.
    #[must_use]
    pub fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            Error::Said { exit, message, .. } => Error::Said { exit, message, hint: Some(text.into()) },
            other => other,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Said { hint, .. } => hint.clone(),
            Error::NoToken(malformed) => malformed.hint().map(str::to_owned),
            Error::Load(error) => error.hint(),
            Error::Keys(error) => error.hint(),
            Error::Store(fault) => fault.hint.clone(),
            Error::Listen(error) => error.hint().map(str::to_owned),
            Error::System { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("remove it first, or name another file".to_owned())
            }
            _ => None,
        }
    }

    /// The source line with a caret, where a file is wrong.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            Error::Load(LoadError::Document { source, .. })
            | Error::Keys(KeystoreError::Document(source)) => source.excerpt(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Said { message, .. } => f.write_str(message),
            Error::Claims(_) => f.write_str("cannot take the claims"),
            Error::Load(error) => error.fmt(f),
            Error::Seal(_) => f.write_str("cannot issue the token"),
            Error::Keys(error) => error.fmt(f),
            Error::Store(fault) => fault.fmt(f),
            Error::Listen(_) => f.write_str("cannot serve"),
            Error::System { what, .. } => f.write_str(what),
            Error::Write(_) => f.write_str("cannot write the answer"),
            Error::NoToken(_) => f.write_str("cannot read the token"),
            Error::Negative => f.write_str("no"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Said { .. } | Error::Store(_) | Error::Negative => None,
            Error::NoToken(error) => Some(error),
            Error::Claims(error) => Some(error),
            Error::Load(error) => error.source(),
            Error::Seal(error) => Some(error),
            Error::Keys(error) => error.source(),
            Error::Listen(error) => Some(error),
            Error::System { source, .. } | Error::Write(source) => Some(source),
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Error::Load(error)
    }
}
