//! Why the memory cannot be read or written.
//!
//! Owns the one error of the store. Decision: it is text that can be cloned, because one failed transaction is
//! many waiting requests' answer; what matters to a program is only whether trying again may help.

use super::config::StoreConfig;
use std::fmt;

/// Why the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFault {
    /// Where the store is.
    pub place: String,
    /// What was found, and what the system said.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether trying again is of no use until somebody does something: the file is no store, say.
    pub lasting: bool,
    /// Whether the store is well, and only does not take what it was given.
    pub refused: bool,
}

impl StoreFault {
    /// One that may be over the next time.
    pub(super) fn passing(config: &StoreConfig, what: impl Into<String>) -> Self {
        Self {
            place: config.place.to_string(),
            what: what.into(),
            hint: None,
            lasting: false,
            refused: false,
        }
    }

    /// One that somebody must mend.
    pub(super) fn lasting(config: &StoreConfig, what: impl Into<String>) -> Self {
        Self { lasting: true, ..Self::passing(config, what) }
    }

    /// With what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {}: {}", self.place, self.what)
    }
}

impl std::error::Error for StoreFault {}
