//! What a policy may say but hardly means.
//!
//! Owns the findings that `check` prints as warnings. Decision: findings of one kind are gathered into one,
//! with the first few places and a count, because a hundred thousand users share one mistake.

use super::explain::SubjectName;
use super::rule::{Effect, Rule};
use super::{Asker, Because, Decision, Policy, Who};
use crate::ground::time::Ttl;
use crate::policy::glob::Globs;
use crate::policy::scope::{Action, Resource};
use std::collections::HashSet;

/// One kind of finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, and where.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// Shorter than this, and a push of large layers outlives its token.
const PUSH_SECONDS: u32 = 900;

/// How many places a finding names.
const NAMED: usize = 3;

/// The places of one kind of finding.
#[derive(Default)]
struct Places {
    named: Vec<String>,
    more: usize,
}

impl Places {
    fn add(&mut self, place: impl FnOnce() -> String) {
        if self.named.len() < NAMED {
            self.named.push(place());
        } else {
            self.more += 1;
        }
    }

    fn finding(self, what: &str, hint: &'static str) -> Option<Finding> {
        let more = if self.more > 0 { format!(" and {} more", self.more) } else { String::new() };
        let places = self.named.join(", ");
        (!places.is_empty()).then(|| Finding { message: format!("{what}: {places}{more}"), hint })
    }
}

impl Policy {
    /// Everything that looks like a mistake. `life` gives the life of a registry token from the life that a
    /// rule names, if any.
    pub fn findings(&self, life: impl Fn(Option<Ttl>) -> Ttl) -> Vec<Finding> {
        let mut short = Places::default();
        let mut doubled = Places::default();
        let mut shadowed = Places::default();
        let mut unread = Places::default();
        let mut told = HashSet::new();
        let groups = self.groups.iter().map(|(name, group)| (SubjectName::Group(name), *group));
        let anonymous = self.anonymous.iter().map(|subject| (SubjectName::Anonymous, *subject));
        let mut users: Vec<_> =
            self.users.iter().map(|(name, user)| (SubjectName::User(name), *user)).collect();
        users.sort_unstable_by_key(|(_, user)| user.rules); // the file's order
        for (name, subject) in groups.chain(anonymous).chain(users) {
            let who = match name {
                SubjectName::User(user) => Some(Who::User(user)),
                SubjectName::Anonymous => Some(Who::Anonymous),
                SubjectName::Group(_) => None, // its members may read by another rule
            };
            for by in who.into_iter().flat_map(|who| self.pushes_unread(who)) {
                if told.insert(std::ptr::from_ref(by.rule)) {
                    unread.add(|| by.to_string());
                }
            }
            let rules = subject.rules.of(&self.rules);
            for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
                let because = Because { subject: name, rule, pattern: None };
                let repositories = rule.patterns.is_some();
                if repositories && rule.actions.have(Action::Push) && life(rule.ttl).seconds() < PUSH_SECONDS
                {
                    short.add(|| format!("{} ({})", because.key(), life(rule.ttl)));
                }
                for pattern in rule.patterns.iter().flat_map(Globs::iter) {
                    if repeats_itself(pattern.text()) {
                        doubled.add(|| Because { pattern: Some(pattern), ..because }.to_string());
                    }
                }
                if rules.iter().any(|deny| deny.effect == Effect::Deny && silences(deny, rule)) {
                    shadowed.add(|| because.key());
                }
            }
        }
        let findings = [
            short.finding(
                "push is granted for less than 900 s, and a push of large layers outlives five minutes",
                "add `ttl_seconds: 1800` to the rule, or raise default_ttl_seconds and max_ttl_seconds in the configuration",
            ),
            unread.finding(
                "push is granted without pull, and a registry wants both for every push",
                "add `pull` to the actions of the rule",
            ),
            doubled.finding(
                "a pattern repeats its namespace",
                "`namespace: a` with `repos: [\"a/b\"]` is the repository a/a/b: leave the namespace out of `repos`",
            ),
            shadowed.finding(
                "a rule can never grant, as a deny of the same subject covers all of it",
                "leave one of the two out; a deny always wins",
            ),
        ];
        findings.into_iter().flatten().collect()
    }
}

impl Policy {
    /// The rules by which someone may push what they may not pull, tried on an example of each pattern.
    fn pushes_unread<'p>(&'p self, who: Who<'p>) -> impl Iterator<Item = Because<'p>> {
        let asker = Asker { who, hosts: &[], default_ttl: Ttl::DEFAULT };
        let patterns = self.rules(who).flat_map(|(_, rule)| {
            let pushes = rule.effect == Effect::Allow && rule.actions.have(Action::Push);
            rule.patterns.iter().filter(move |_| pushes).flat_map(Globs::iter)
        });
        patterns.filter_map(move |pattern| {
            let name = Resource::repository(&pattern.example(who.name())?);
            let decide = |action| self.decide(&asker, &name, &[], action);
            match (decide(Action::Push), decide(Action::Pull)) {
                (_, Decision::Granted { .. }) => None,
                (Decision::Granted { by, .. }, _) => Some(by),
                _ => None,
            }
        })
    }
}

/// `a/a/b`, also `a/b/a/b/c`: a namespace written twice.
fn repeats_itself(pattern: &str) -> bool {
    let slashes = pattern.match_indices('/').map(|(at, _)| at);
    slashes.into_iter().any(|at| {
        let (namespace, rest) = pattern.split_at(at + 1);
        !namespace.contains('*') && rest.starts_with(namespace)
    })
}

/// Whether a deny leaves nothing of what a rule allows.
fn silences(deny: &Rule, allow: &Rule) -> bool {
    match (&deny.patterns, &allow.patterns) {
        (None, None) => true,
        (Some(denied), Some(allowed)) => {
            deny.actions.include(allow.actions)
                && allowed.iter().all(|pattern| denied.iter().any(|deny| deny.covers(pattern)))
        }
        _ => false,
    }
}
