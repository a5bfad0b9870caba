//! What stands between a request and a token: a policy, nothing, or no limit.

use super::{Asker, Grant, Policy, Who, expanded};
use crate::policy::scope::{Access, Scope};

/// What stands between a request and a token.
#[derive(Debug)]
pub enum Enforcement {
    /// A policy file decides.
    Policy(Policy),
    /// No policy was given: nothing is granted.
    Nothing,
    /// `policy: none`: every authenticated user gets what is asked.
    Off,
}

impl Enforcement {
    /// As [`Policy::grant`].
    pub fn grant(&self, asker: &Asker<'_>, asked: &[Scope]) -> Grant {
        let all = |scope: &Scope| {
            Access::granted(scope.resource.clone(), expanded(&scope.resource, &scope.actions))
        };
        let (access, complete) = match self {
            Enforcement::Policy(policy) => return policy.grant(asker, asked),
            Enforcement::Nothing => (Vec::new(), asked.is_empty()),
            Enforcement::Off => (asked.iter().filter_map(all).collect(), true),
        };
        Grant { access, ttl: asker.default_ttl, complete, refused: false }
    }

    /// The hash of the policy, where there is one.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Enforcement::Policy(policy) => Some(policy.digest()),
            Enforcement::Nothing | Enforcement::Off => None,
        }
    }

    /// Which policy is in force, for the record: its hash, or what is done without one.
    pub fn in_force(&self) -> &str {
        match self {
            Enforcement::Policy(policy) => policy.digest(),
            Enforcement::Nothing => "none: nothing is granted",
            Enforcement::Off => "none: everything is granted",
        }
    }

    /// What grants this: rules of the policy, or that there is none.
    pub fn reasons(&self, asker: &Asker<'_>, access: &[Access]) -> String {
        match self {
            Enforcement::Policy(policy) => policy.reasons(asker, access),
            Enforcement::Off if !access.is_empty() => "policy: none".to_owned(),
            Enforcement::Nothing | Enforcement::Off => String::new(),
        }
    }

    /// Whether a policy, if there is one, names the user: only then a refresh token is given out or taken.
    pub fn may_know(&self, user: &str) -> bool {
        match self {
            Enforcement::Policy(policy) => policy.knows(Who::User(user)),
            Enforcement::Nothing | Enforcement::Off => true,
        }
    }
}
