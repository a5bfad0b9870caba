//! Whom the token of a profile may be meant for: anybody but a registry.
//!
//! Owns that one rule. Decision: it is a type, which the builders ask for, so that no caller can forget it;
//! and names are compared without letter case, because what looks like a registry's name is meant to.

use super::REFRESH_AUDIENCE;
use crate::ground::fold::folds_to;
use crate::ground::name::is_composed;
use crate::ground::text::acts;
use serde::Serialize;
use std::fmt;

/// The longest name of a recipient, in bytes.
const MAX_BYTES: usize = 256;

/// An audience that is no registry's service, nor this issuer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recipient<'a>(&'a str);

impl<'a> Recipient<'a> {
    /// Takes a name, unless it is one of these services, or none at all.
    pub fn new<'s>(
        name: &'a str,
        mut services: impl Iterator<Item = &'s str>,
    ) -> Result<Self, RecipientError> {
        let odd = |c: char| c.is_whitespace() || acts(c);
        if name.is_empty() || name.len() > MAX_BYTES || name.contains(odd) || !is_composed(name) {
            return Err(RecipientError::Malformed);
        }
        if folds_to(name, REFRESH_AUDIENCE) || services.any(|service| folds_to(name, service)) {
            return Err(RecipientError::Registry);
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn name(self) -> &'a str {
        self.0
    }
}

/// Why a name is no recipient of a profile's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientError {
    /// Empty, too long, or with characters that are not seen.
    Malformed,
    /// A service whose tokens say what the policy grants, and nothing else.
    Registry,
}

impl RecipientError {
    /// What is wrong, in words that follow the name of a field.
    pub fn problem(self) -> &'static str {
        match self {
            RecipientError::Malformed => {
                "is no name of 1 to 256 bytes without spaces and control characters, in Unicode's composed form"
            }
            RecipientError::Registry => "is a service of this issuer's, whose tokens come from /v2/token",
        }
    }
}

impl fmt::Display for RecipientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem())
    }
}

impl std::error::Error for RecipientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_of_a_profile_is_for_a_registry() {
        for (name, expected) in [
            ("edge-7", Ok(())),
            ("https://vault.example.com/", Ok(())),
            ("registry.example.com.", Ok(())),
            ("M\u{fc}nchen", Ok(())),
            ("registry.example.com", Err(RecipientError::Registry)),
            ("Registry.Example.Com", Err(RecipientError::Registry)),
            ("mirror", Err(RecipientError::Registry)),
            ("mi\u{17f}ter", Ok(())),
            ("keypebble-refre\u{17f}h", Err(RecipientError::Registry)),
            ("\u{212a}eypebble-refresh", Err(RecipientError::Malformed)), // not composed
            ("keypebble-refresh", Err(RecipientError::Registry)),
            ("", Err(RecipientError::Malformed)),
            ("registry.example.com ", Err(RecipientError::Malformed)),
            ("\tmirror", Err(RecipientError::Malformed)),
            ("mirror\u{200b}", Err(RecipientError::Malformed)),
            ("mir\u{ad}ror", Err(RecipientError::Malformed)),
            ("Mu\u{308}nchen", Err(RecipientError::Malformed)),
            (&"x".repeat(257), Err(RecipientError::Malformed)),
        ] {
            let services = ["registry.example.com", "mirror"].into_iter();
            assert_eq!(Recipient::new(name, services).map(|_| ()), expected, "{name:?}");
        }
    }
}
