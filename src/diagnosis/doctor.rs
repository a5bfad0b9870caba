//! What `keypebble doctor` looks for: pure checks over what was loaded.
//!
//! Owns the checks of the issuer's own configuration, of a registry's beside it, and the end-to-end one: a
//! token made as `serve` makes it, judged as the registry would. Must not know files or the network.
//! Decision: each check is a function from facts to findings, so that every one is tested without either.

mod issuer;
mod registry;

pub use issuer::{issuer, policy};
pub use registry::{programs, registry, ring, self_check};

#[cfg(test)]
mod tests;
