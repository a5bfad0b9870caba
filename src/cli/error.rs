//! What went wrong, for the operator, and the exit code that says so.
//!
//! Owns the classes of failure at the outermost edge. Must not know how they are printed: `cli` alone
//! does. Decision: `Display` is this layer's own sentence; `source` is the next one's.

use crate::claims::ClaimsError;
use crate::diagnosis::unverified::Malformed;
use crate::keystore::StoreError;
use crate::load::LoadError;
use crate::server::BindError;
use crate::store::fault::StoreFault;
use crate::token::SealError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A failure that ends the program.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong.
    Usage {
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The claims on the command line are wrong.
    Claims(ClaimsError),
    /// The operator's files do not load.
    Load(LoadError),
    /// A policy breaks expectations of its own.
    Expectations {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// The file.
        path: PathBuf,
    },
    /// This build is without an optional feature: what it says, and what to do about it.
    NotEnabled([&'static str; 2]),
    /// The policy does not give the user what he asks.
    Refused {
        /// Who and what.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The token could not be signed.
    Seal(SealError),
    /// A folder of keys can't be read or changed.
    Keys(StoreError),
    /// The store cannot be used.
    Store(StoreFault),
    /// The store does not have what is asked for.
    Unknown {
        /// What that is.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// `serve` cannot listen.
    Listen(BindError),
    /// `healthcheck` found no healthy server.
    Unhealthy {
        /// Where it asked and what it got.
        message: String,
    },
    /// The system refused something.
    System {
        /// What was tried.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// Standard input or a file of claims could not be read.
    Read {
        /// Its path, or `-`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer could not be written.
    Write(io::Error),
    /// What was given is no token.
    NoToken(Malformed),
    /// An encrypted token does not open: why.
    Closed(String),
    /// A file of public keys or certificates cannot be used.
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The answer is no, and stands on standard output already: nothing more is printed.
    Negative,
}

/// How the program ends, by kind of failure: 1 the operation failed, 2 usage, 3 configuration, policy or
/// key rejected, 4 refused by policy.
impl Error {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Seal(_)
            | Error::Expectations { .. }
            | Error::Listen(_)
            | Error::Unhealthy { .. }
            | Error::System { .. }
            | Error::Read { .. }
            | Error::Write(_)
            | Error::NoToken(_)
            | Error::Closed(_)
            | Error::Unknown { .. }
            | Error::Negative => 1,
            Error::Keys(error) => error.exit_code(),
            Error::Store(fault) => {
                if fault.lasting {
                    3
                } else {
                    1
                }
            }
            Error::Usage { .. } | Error::Claims(_) | Error::Load(LoadError::Contradiction(_)) => 2,
            Error::Load(_) | Error::NotEnabled(_) | Error::KeyFile { .. } => 3,
            Error::Refused { .. } => 4,
        }
    }

    /// The same usage error with something to do about it.
    #[must_use]
    pub fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            Error::Usage { message, .. } => Error::Usage { message, hint: Some(text.into()) },
            other => other,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. }
            | Error::Refused { hint, .. }
            | Error::Unknown { hint, .. }
            | Error::KeyFile { hint, .. } => hint.clone(),
            Error::NoToken(malformed) => malformed.hint().map(str::to_owned),
            Error::Load(error) => error.hint(),
            Error::Keys(error) => error.hint(),
            Error::Store(fault) => fault.hint.clone(),
            Error::NotEnabled([_, hint]) => Some((*hint).to_owned()),
            Error::Listen(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }

    /// The source line with a caret, where a file is wrong.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            Error::Load(LoadError::Document { source, .. }) | Error::Keys(StoreError::Document(source)) => {
                source.excerpt()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage { message, .. }
            | Error::Refused { message, .. }
            | Error::Unknown { message, .. }
            | Error::Unhealthy { message } => f.write_str(message),
            Error::NotEnabled([message, _]) => f.write_str(message),
            Error::Claims(_) => f.write_str("cannot take the claims"),
            Error::Expectations { failed, of, path } => {
                write!(f, "{failed} of {of} expectations in {} do not hold", path.display())
            }
            Error::Load(error) => error.fmt(f),
            Error::Seal(_) => f.write_str("cannot issue the token"),
            Error::Keys(error) => error.fmt(f),
            Error::Store(fault) => fault.fmt(f),
            Error::Listen(_) => f.write_str("cannot serve"),
            Error::System { what, .. } => f.write_str(what),
            Error::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Error::Write(_) => f.write_str("cannot write the answer"),
            Error::NoToken(_) => f.write_str("cannot read the token"),
            Error::Closed(why) => write!(f, "cannot show what is inside: {why}"),
            Error::KeyFile { path, problem, .. } => write!(f, "cannot use {}: {problem}", path.display()),
            Error::Negative => f.write_str("no"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Usage { .. }
            | Error::NotEnabled(_)
            | Error::Refused { .. }
            | Error::Unknown { .. }
            | Error::Unhealthy { .. }
            | Error::KeyFile { .. }
            | Error::Closed(_)
            | Error::Store(_)
            | Error::Expectations { .. }
            | Error::Negative => None,
            Error::NoToken(error) => Some(error),
            Error::Claims(error) => Some(error),
            Error::Load(error) => error.source(),
            Error::Seal(error) => Some(error),
            Error::Keys(error) => error.source(),
            Error::Listen(error) => Some(error),
            Error::System { source, .. } | Error::Read { source, .. } | Error::Write(source) => Some(source),
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Error::Load(error)
    }
}
