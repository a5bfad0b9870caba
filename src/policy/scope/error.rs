//! Why a text is no scope, and the bounds that it may break.

use std::fmt;

/// Why a text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeError {
    /// Fewer than two colons.
    Parts,
    /// A type outside `[a-z0-9]+` with an optional `(class)`.
    Type,
    /// An action outside `[a-z]+` and `*`.
    Action,
    /// Longer than [`MAX_SCOPE_BYTES`].
    TooLong,
    /// More than [`MAX_SCOPES`] in one request.
    TooMany,
    /// More than [`MAX_ACTIONS`] in one scope, or as many that nobody knows on one resource.
    TooManyActions,
}

/// The longest scope, in bytes: a name of 255, a host, and room to spare.
pub const MAX_SCOPE_BYTES: usize = 1024;
/// The most scopes in one request.
pub const MAX_SCOPES: usize = 64;
/// The most actions in one scope: clients ask for one to three.
pub const MAX_ACTIONS: usize = 16;

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScopeError::Parts => f.write_str("a scope is type:name:action[,action...]"),
            ScopeError::Type => {
                f.write_str("a scope's type is made of a-z and 0-9, with an optional (class)")
            }
            ScopeError::Action => {
                f.write_str("a scope's actions are words of a-z, or *, separated by commas")
            }
            ScopeError::TooLong => write!(f, "a scope is at most {MAX_SCOPE_BYTES} bytes long"),
            ScopeError::TooManyActions => write!(f, "a scope names at most {MAX_ACTIONS} actions"),
            ScopeError::TooMany => write!(f, "a request holds at most {MAX_SCOPES} scopes"),
        }
    }
}

impl std::error::Error for ScopeError {}
