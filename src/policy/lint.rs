//! What a policy may say but hardly means.
//!
//! Owns the findings that `check` prints as warnings. Decision: findings of one kind are gathered into one,
//! with the first few places and a count, because a hundred thousand users share one mistake.

use super::explain::SubjectName;
use super::rule::{Effect, Rule};
use super::{Asker, Because, Policy, Who};
use crate::ground::diagnostic::Diagnostic;
use crate::ground::time::Ttl;
use crate::policy::scope::{Action, Resource};
use std::collections::BTreeSet;

/// Shorter than this, in seconds, and a push of large layers outlives its token.
pub const PUSH_SECONDS: u32 = 900;

/// How many places a finding names.
const NAMED: usize = 3;

impl Policy {
    /// Everything that looks like a mistake. `life` gives the life of a registry token from the life that a
    /// rule names, if any.
    pub fn findings(&self, life: impl Fn(Option<Ttl>) -> Ttl) -> Vec<Diagnostic> {
        let (mut short, mut doubled, mut shadowed) = (Vec::new(), Vec::new(), Vec::new());
        let mut unread = BTreeSet::new(); // a group's rule would stand there once for each member
        let groups = self.groups.iter().map(|(name, group)| (SubjectName::Group(name), *group));
        let anonymous = self.anonymous.iter().map(|subject| (SubjectName::Anonymous, *subject));
        let mut users: Vec<_> =
            self.users.iter().map(|(name, user)| (SubjectName::User(name), *user)).collect();
        users.sort_unstable_by_key(|(_, user)| user.rules); // the file's order
        for (name, subject) in groups.chain(anonymous).chain(users) {
            let who = match name {
                SubjectName::User(user) => Who::User(user),
                SubjectName::Group(_) => Who::User("any-user"),
                SubjectName::Anonymous => Who::Anonymous,
            };
            unread.extend(self.pushes_unread(who));
            let rules = subject.rules.of(&self.rules);
            for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
                let because = Because { subject: name, rule, pattern: None };
                let pushes = !rule.is_catalog() && rule.actions.have(Action::Push);
                if pushes && life(rule.ttl).seconds() < PUSH_SECONDS {
                    short.push(format!("{} ({})", because.key(), life(rule.ttl)));
                }
                let patterns = rule.patterns.iter().filter(|pattern| repeats_itself(pattern.text()));
                doubled.extend(
                    patterns.map(|pattern| Because { pattern: Some(pattern), ..because }.to_string()),
                );
                if rules.iter().any(|deny| silences(deny, rule, who.name())) {
                    shadowed.push(because.key());
                }
            }
        }
        let findings = [
            finding(
                &short,
                "push is granted for less than 900 s, and a push of large layers outlives five minutes",
                "add `ttl_seconds: 1800` to the rule, or raise default_ttl_seconds and max_ttl_seconds in the configuration",
            ),
            finding(
                &Vec::from_iter(unread),
                "push is granted without pull, and a registry wants both for every push",
                "add `pull` to the actions of the rule",
            ),
            finding(
                &doubled,
                "a pattern repeats its namespace",
                "`namespace: a` with `repos: [\"a/b\"]` is the repository a/a/b: leave the namespace out of `repos`",
            ),
            finding(
                &shadowed,
                "a rule can never grant, because a deny of the same subject covers all of it",
                "leave one of the two out; a deny always wins",
            ),
        ];
        findings.into_iter().flatten().collect()
    }

    /// The rules by which someone may push what they may not pull, tried on an example of each pattern.
    fn pushes_unread(&self, who: Who<'_>) -> Vec<String> {
        let asker = Asker { who, hosts: &[], default_ttl: Ttl::DEFAULT };
        let mut found = Vec::new();
        for (subject, rule) in self.rules(who).filter(|(_, rule)| rule.effect == Effect::Allow) {
            for pattern in rule.patterns.iter().filter(|_| rule.actions.have(Action::Push)) {
                let Some(name) = pattern.example(who.name(), EXAMPLES[0]) else { continue };
                let asked = [Action::Push, Action::Pull];
                if self.decisions(&asker, &Resource::repository(&name), &asked).given() == [Action::Push] {
                    found.push(Because { subject, rule, pattern: Some(pattern) }.to_string());
                }
            }
        }
        found
    }
}

/// The places of one kind, if there are any.
fn finding(places: &[String], what: &str, hint: &'static str) -> Option<Diagnostic> {
    let named = places.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more =
        if places.len() > NAMED { format!(" and {} more", places.len() - NAMED) } else { String::new() };
    (!named.is_empty()).then(|| Diagnostic::advice("policy", format!("{what}: {named}{more}"), hint))
}

/// What stands for `*` and for `**` where a pattern is tried on an example: what fits both is hardly made for one.
const EXAMPLES: [[&str; 2]; 2] = [["x", "x/x"], ["a-0.b", "c/d-1/e"]];

/// `a/a/b`, also `a/b/a/b/c`: a namespace written twice.
fn repeats_itself(pattern: &str) -> bool {
    let slashes = pattern.match_indices('/').map(|(at, _)| at);
    slashes.into_iter().any(|at| {
        let (namespace, rest) = pattern.split_at(at + 1);
        !namespace.contains('*') && rest.starts_with(namespace)
    })
}

/// Whether a deny leaves nothing of what a rule allows.
fn silences(deny: &Rule, allow: &Rule, user: &str) -> bool {
    let denied = |name: &str| deny.patterns.iter().any(|pattern| pattern.matches(name, user));
    let mut examples =
        allow.patterns.iter().flat_map(|pattern| EXAMPLES.map(|wild| pattern.example(user, wild)));
    deny.effect == Effect::Deny
        && deny.is_catalog() == allow.is_catalog()
        && deny.actions.include(allow.actions)
        && examples.all(|name| name.is_some_and(|name| denied(&name)))
}
