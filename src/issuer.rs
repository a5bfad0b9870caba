//! The trust boundary: trusted claims in, a signed token out.
//!
//! Owns what is the same for every token: the issuer's name, the lifetimes, the claim filter, the key and
//! its sealer. Must not know who asks or how. Decision: it takes [`Claims`], which only the builders in
//! `claims` make, so that nothing that a caller wrote is signed unseen.

use crate::claims::{ClaimFilter, Claims, Frame};
use crate::config::Config;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::algorithm::Algorithm;
use crate::key::keyring::Keyring;
use crate::token::{SealError, Sealer};
use std::sync::Arc;

/// Makes tokens.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    audience: String,
    default_ttl: Ttl,
    max_ttl: Ttl,
    filter: ClaimFilter,
    keyring: Keyring,
    sealer: Sealer,
}

/// A token and what it says.
#[derive(Debug)]
pub struct Issued {
    /// The token: a credential. Never logged.
    pub token: Token,
    /// What it says.
    pub claims: Claims,
}

/// A signed token: whoever holds it has what it grants, so `Debug` does not show it.
pub struct Token(String);

impl Token {
    /// Takes a token's text over.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The token itself, for the one who asked.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

impl Issuer {
    /// Takes the issuer's part of a configuration.
    pub fn open(config: Config) -> Self {
        let sealer = Sealer::jws(Arc::clone(config.keyring.active()));
        Self {
            name: config.issuer,
            audience: config.audience,
            default_ttl: config.default_ttl,
            max_ttl: config.max_ttl,
            filter: config.filter,
            keyring: config.keyring,
            sealer,
        }
    }

    /// `iss` of every token.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `aud` where nothing else is asked.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The life of a token where nothing else is asked.
    pub fn default_ttl(&self) -> Ttl {
        self.default_ttl
    }

    /// The life of a registry's token: at least what its clients can use, at most what is configured.
    pub fn registry_ttl(&self, wanted: Ttl) -> Ttl {
        wanted.min(self.max_ttl).max(Ttl::REGISTRY_MIN)
    }

    /// The allow-list and the static claims.
    pub fn filter(&self) -> &ClaimFilter {
        &self.filter
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.keyring.active().algorithm()
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The registered claims of a token for this issuer's own audience.
    pub fn frame<'a>(&'a self, now: UnixTime, ttl: Ttl, id: &'a str) -> Frame<'a> {
        Frame { issuer: &self.name, audience: &self.audience, now, ttl, id }
    }

    /// Signs.
    pub fn issue(&self, claims: Claims) -> Result<Issued, SealError> {
        let token = Token(self.sealer.seal(claims.json().as_bytes())?);
        Ok(Issued { token, claims })
    }
}
