//! What `keypebble doctor` looks for: pure checks over what was loaded and what was answered.
//!
//! Owns the checks of the issuer's own configuration, of a registry's beside it, of a running one's answers, and the
//! end-to-end one: a token made as `serve` makes it, judged as the registry would. Must not know files or the network.
//! Decision: each check is a function from facts to findings, so that every one is tested without either.

mod issuer;
mod registry;
#[cfg(feature = "tls")]
pub mod running;

pub use issuer::{issuer, policy, unfit_for_registries};
pub use registry::{programs, registry, ring, self_check, service};

use crate::ground::diagnostic::Diagnostic;
use crate::ground::time::UnixTime;
use crate::issuer::{Issuance, Issued, Issuer, Profile};

/// A registry's token as `serve` makes one after a login, for nobody and with no access.
pub fn sample<'a>(
    issuer: &'a Issuer,
    service: &'a str,
    now: UnixTime,
    id: String,
) -> Result<Issued<'a>, Diagnostic> {
    let issuance = Issuance {
        profile: Profile::Registry(&[]),
        subject: "keypebble-doctor",
        audience: service,
        ttl: issuer.lifetimes().default,
    };
    let issued = issuer.issue(&issuance, now, id);
    issued
        .map_err(|error| Diagnostic::error("self-check", format!("no token can be made: {}", error.cause())))
}

#[cfg(test)]
mod tests;
