//! All that a policy gives somebody, for a token that nobody asked in detail.
//!
//! Owns what can be named without a request. Must not decide anything: what is named is decided as if it had
//! been asked.

use super::rule::Effect;
use super::scope::{Access, Action, Resource, add_once};
use super::{Asker, Policy, Who};
use crate::ground::time::Ttl;

/// Everything that can be written down of what a user may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Generated {
    /// One entry for each repository that a rule names without a wildcard, and the catalog's.
    pub access: Vec<Access>,
    /// As for [`super::Grant`].
    pub ttl: Ttl,
    /// Patterns with wildcards: a registry compares names, so they cannot be in a token.
    pub skipped: Vec<String>,
}

impl Policy {
    /// All that this user may do, as far as it can be named; `None` for one whom the policy does not name,
    /// where it has no anonymous entry either.
    pub fn grants_of(&self, asker: &Asker<'_>) -> Option<Generated> {
        self.subject(asker.who).or(self.anonymous)?;
        let mut named: Vec<Resource> = Vec::new();
        let mut skipped = Vec::new();
        let rules = self.rules(asker.who).chain(self.rules(Who::Anonymous));
        for (_, rule) in rules.filter(|(_, rule)| rule.effect == Effect::Allow) {
            if rule.is_catalog() {
                add_once(&mut named, Resource::Catalog);
            }
            for glob in rule.patterns.iter() {
                match glob.literal(asker.who.name()) {
                    Some(name) => add_once(&mut named, Resource::repository(&name)),
                    None => add_once(&mut skipped, glob.to_string()),
                }
            }
        }
        let mut longest = None;
        let everything = |resource: Resource| {
            let settled = self.decisions(asker, &resource, &[Action::All]);
            longest = longest.max(settled.longest());
            Access::granted(resource, settled.given())
        };
        let access = named.into_iter().filter_map(everything).collect();
        Some(Generated { access, ttl: longest.unwrap_or(asker.default_ttl), skipped })
    }
}
