//! Why: the rule behind a decision, its place in the file, and what almost fitted.
//!
//! Owns what is said about decisions. Must not make any: they are `Policy::settle`'s, the same ones that
//! a grant is made of. Decision: a rule's place is kept as steps into the file, and the file is searched for
//! the line only when somebody asks, so that a running server does not carry line numbers.

use super::rule::{Effect, Place, Rule};
use super::{Asker, Grant, Policy, Who, behind_host, is_reading};
use crate::ground::document::{self, Step};
use crate::ground::nearest::nearest;
use crate::ground::time::Ttl;
use crate::policy::glob::Glob;
use crate::policy::scope::{self, Access, Action, Resource, Scope, add_once};
use std::fmt;

/// The answer for one action on one resource.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'p> {
    /// Some rule allows it and none denies it.
    Granted {
        /// The rule that allows it for the longest; the first among equals.
        by: Because<'p>,
        /// That life.
        ttl: Ttl,
    },
    /// A rule denies it.
    Denied {
        /// The first rule that does.
        by: Because<'p>,
    },
    /// No rule speaks of it.
    Unmatched,
}

/// A rule that speaks of what was asked; printed as `users.alice.rules[0] (pattern alice-space/app-*)`.
#[derive(Debug, Clone, Copy)]
pub struct Because<'p> {
    pub(super) subject: SubjectName<'p>,
    pub(super) rule: &'p Rule,
    /// The pattern of that rule that fits, for a repository.
    pub(super) pattern: Option<Glob<'p>>,
}

/// Whose rule it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum SubjectName<'p> {
    User(&'p str),
    Group(&'p str),
    Anonymous,
}

impl<'p> Because<'p> {
    /// The rule, if it is about this resource: through its first pattern that fits, or as the catalog's.
    pub(super) fn of(
        subject: SubjectName<'p>,
        rule: &'p Rule,
        resource: &Resource,
        user: &str,
    ) -> Option<Self> {
        let pattern = match resource {
            Resource::Repository(name) => Some(rule.patterns.iter().find(|glob| glob.matches(name, user))?),
            Resource::Catalog | Resource::ZotCatalog if rule.is_catalog() => None,
            _ => return None,
        };
        Some(Self { subject, rule, pattern })
    }

    /// The rule's place in the file.
    pub fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = match self.subject {
            SubjectName::User(name) => vec![Step::Key("users"), Step::Key(name)],
            SubjectName::Group(name) => vec![Step::Key("groups"), Step::Key(name)],
            SubjectName::Anonymous => vec![Step::Key("anonymous")],
        };
        let item = |list, index| [Step::Key(list), Step::Index(usize::try_from(index).unwrap_or(usize::MAX))];
        match self.rule.place {
            Place::Simple => {}
            Place::Catalog => steps.push(Step::Key("catalog")),
            Place::Rule(index) => steps.extend(item("rules", index)),
            Place::Deny(index) => steps.extend(item("deny", index)),
        }
        if let Some(last) = steps.last_mut()
            && let Step::Key(name) = *last
        {
            *last = Step::Name(name); // the place of the key, not of what follows it
        }
        steps
    }

    /// The rule's place as text: `users.alice.rules[0]`.
    pub fn key(&self) -> String {
        document::path(&self.steps())
    }

    /// The pattern that fits.
    pub fn pattern(&self) -> Option<&'p str> {
        self.pattern.map(Glob::text)
    }

    /// The actions that the rule names.
    pub fn actions(&self) -> Vec<&'static str> {
        self.rule.actions.names()
    }
}

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())?;
        self.pattern.map_or(Ok(()), |pattern| write!(f, " (pattern {pattern})"))
    }
}

/// One rule of all those that speak about somebody.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'p> {
    /// The rule.
    pub because: Because<'p>,
    /// Whether it allows, and does not deny.
    pub allows: bool,
    /// `ttl_seconds`
    pub ttl: Option<Ttl>,
    /// The anonymous entry's, for a user who logs in: it lets them read, and no more.
    borrowed: bool,
}

impl<'p> Listed<'p> {
    /// What it allows or denies.
    pub fn actions(&self) -> Vec<&'static str> {
        if self.borrowed && !self.because.rule.is_catalog() {
            return vec![Action::Pull.name()];
        }
        self.because.actions()
    }

    /// The patterns of repositories that it speaks of; none if it speaks of the catalog.
    pub fn patterns(&self) -> Vec<&'p str> {
        self.because.rule.patterns.iter().map(Glob::text).collect()
    }
}

/// The rule that came nearest to granting: the asker's own, or for reading the anonymous entry's.
#[derive(Debug, Clone, Copy)]
pub struct Near<'p> {
    /// The rule, with its nearest pattern.
    pub because: Because<'p>,
    /// How many characters of the name to change until the pattern fits; 0 where only the action does not.
    pub edits: usize,
}

/// One asked scope, explained.
#[derive(Debug)]
pub struct Explained<'p> {
    /// What was asked.
    pub asked: Scope,
    /// What was decided about: the same resource, or the one without the registry's host.
    pub resource: Resource,
    /// Each single action, `*` spelled out, with the rule nearest to granting it where none speaks of it.
    pub actions: Vec<(Action, Decision<'p>, Option<Near<'p>>)>,
}

/// A whole request, explained.
#[derive(Debug)]
pub struct Explanation<'p> {
    /// Whether the policy names the asker.
    pub known: bool,
    /// A user that an unknown one was probably meant to be.
    pub similar: Option<&'p str>,
    /// Each scope.
    pub scopes: Vec<Explained<'p>>,
    /// What [`Policy::grant`] gives.
    pub grant: Grant,
}

impl Policy {
    /// The rules that grant this, each once: `users.alice.rules[0] (pattern alice/*); groups.dev (pattern **)`.
    pub fn reasons(&self, asker: &Asker<'_>, access: &[Access]) -> String {
        let mut reasons: Vec<String> = Vec::new();
        for entry in access {
            for (_, decision) in self.decisions(asker, entry.resource(), entry.actions()).decisions {
                if let Decision::Granted { by, .. } = decision {
                    add_once(&mut reasons, by.to_string());
                }
            }
        }
        reasons.join("; ")
    }

    /// What this request is given, and why.
    pub fn explain<'p>(&'p self, asker: &Asker<'p>, asked: &[Scope]) -> Explanation<'p> {
        let known = self.knows(asker.who);
        let similar = match asker.who {
            Who::User(name) if !known => nearest(name, self.users.keys().map(|known| &**known)),
            _ => None,
        };
        let grant = self.grant(asker, asked);
        let scopes = asked.iter().map(|scope| self.explained(asker, scope)).collect();
        Explanation { known, similar, scopes, grant }
    }

    /// Every rule that speaks about somebody: their own, their groups', and what anyone may read.
    pub fn listed<'p>(&'p self, who: Who<'p>) -> Vec<Listed<'p>> {
        let list = |(subject, rule): (SubjectName<'p>, &'p Rule), borrowed| Listed {
            because: Because { subject, rule, pattern: None },
            allows: rule.effect == Effect::Allow,
            ttl: rule.ttl,
            borrowed,
        };
        let public = Some(Who::Anonymous).filter(|public| *public != who);
        let reads = |rule: &Rule| rule.is_catalog() || rule.actions.have(Action::Pull);
        let borrowed =
            public.into_iter().flat_map(|public| self.rules(public)).filter(|(_, rule)| reads(rule));
        let own = self.rules(who).map(|entry| list(entry, false));
        own.chain(borrowed.map(|entry| list(entry, true))).collect()
    }

    fn explained<'p>(&'p self, asker: &Asker<'p>, scope: &Scope) -> Explained<'p> {
        let settled = self.settle(asker, scope);
        let resource = settled.resource;
        let with_near = |(action, decision)| {
            let public = is_reading(&resource, action).then_some(Who::Anonymous);
            let askers = [Some(asker.who), public].into_iter().flatten();
            let near = askers.filter_map(|who| self.near(who, &resource)).min_by_key(|near| near.edits);
            (action, decision, near.filter(|_| matches!(decision, Decision::Unmatched)))
        };
        let actions = settled.decisions.into_iter().map(with_near).collect();
        Explained { asked: scope.clone(), resource, actions }
    }

    /// The allowing rule that came nearest, for an action that none speaks of.
    fn near<'p>(&'p self, who: Who<'p>, resource: &Resource) -> Option<Near<'p>> {
        let user = who.name();
        let allowing = || self.rules(who).filter(|(_, rule)| rule.effect == Effect::Allow);
        let mut fitting = allowing().filter_map(|(name, rule)| Because::of(name, rule, resource, user));
        if let Some(because) = fitting.next() {
            return Some(Near { because, edits: 0 });
        }
        let Resource::Repository(name) = resource else { return None };
        let patterns = allowing().flat_map(|(subject, rule)| {
            rule.patterns.iter().map(move |pattern| Because { subject, rule, pattern: Some(pattern) })
        });
        let measured = patterns.filter_map(|because| {
            let edits = because.pattern?.distance(name, user)?;
            Some(Near { because, edits })
        });
        measured.min_by_key(|near| near.edits)
    }
}

impl Explained<'_> {
    /// What there is to say of the scope as a whole.
    pub fn notes(&self, hosts: &[&str]) -> Vec<String> {
        let mut notes = Vec::new();
        let name = self.asked.resource.name();
        match &self.asked.resource {
            Resource::Other { kind, .. } if **kind == *"repository" => notes.push(format!(
                "`{name}` is not a repository name, so nothing is granted: names are segments of a-z and 0-9, joined by '.', '_' or '-', with '/' between them"
            )),
            Resource::Other { kind, .. } => {
                notes.push(format!(
                    "nothing is granted on `{kind}:{name}`: there is `repository`, and `registry:catalog`"
                ));
            }
            Resource::Repository(_) if self.resource != self.asked.resource => {
                notes.push(format!("decided without the registry's host, as `{}`", self.resource.name()));
            }
            Resource::Repository(_) => {
                if let Some((host, _)) = scope::split_host(name)
                    && (host.contains(['.', ':']) || host == "localhost")
                    && behind_host(name, hosts).is_none()
                {
                    notes.push(format!(
                        "if `{host}` is the registry itself, name it with --audience or --service"
                    ));
                }
            }
            Resource::ZotCatalog => {
                notes.push("this is how zot asks for its catalog, whose only action is `pull`".to_owned());
            }
            Resource::Catalog => {
                if self.asked.actions.iter().any(|action| *action != Action::All) {
                    notes.push("the catalog's only action is `*`".to_owned());
                }
            }
        }
        if self.asked.actions.is_empty() && self.asked.unknown_actions.is_empty() {
            notes.push("no action is asked".to_owned());
        }
        if matches!(self.asked.resource, Resource::Repository(_)) && self.asked.actions.contains(&Action::All)
        {
            notes.push("`*` asks for everything that the user has".to_owned());
        }
        for action in &self.asked.unknown_actions {
            notes.push(format!("`{action}` is not an action: there are pull, push, delete and *"));
        }
        notes
    }
}
