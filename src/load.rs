//! From files to what the program answers from, at the start and again whenever they change.
//!
//! Owns when to read and what belongs together. Decision: starting, checking and reloading are one path.

pub(crate) mod accounts;
mod error;
pub(crate) mod reload;
pub(crate) mod setup;

pub use error::LoadError;
