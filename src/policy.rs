//! Who may do what: the compiled policy and its one decision.
//!
//! Owns the rules and how they combine: a deny wins, then the union of what matches. Must not know
//! requests or tokens. Decision: `Policy::decide` alone says yes or no, for one action on one
//! resource, and names the rule; granting, generating and explaining are all made of it, so they cannot
//! disagree. The cost of a decision is the number of the user's own rules, whatever the number of users.

mod load;

use crate::glob::Glob;
use crate::scope::{self, Access, Action, Resource, Scope};
use crate::time::Ttl;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// A compiled policy file.
#[derive(Debug, Default)]
pub struct Policy {
    mode: Mode,
    users: HashMap<Box<str>, Subject>,
    groups: Vec<(Box<str>, Subject)>,
    anonymous: Option<Subject>,
}

/// What happens where something asked is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is left out: what registries' clients need (cross-repository pushes ask for more than they must have).
    #[default]
    Filter,
    /// The whole request is refused.
    Deny,
}

/// A user, a group or the anonymous: rules, and for a user the groups he is in.
#[derive(Debug, Default)]
struct Subject {
    rules: Box<[Rule]>,
    /// Indices into `Policy::groups`.
    groups: Box<[u32]>,
}

/// One line of a policy: these actions on these resources, allowed or denied.
#[derive(Debug)]
struct Rule {
    effect: Effect,
    target: Target,
    actions: Box<[Action]>,
    ttl: Option<Ttl>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug)]
enum Target {
    Repositories(Box<[Glob]>),
    Catalog,
}

/// Where below its subject a rule stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `repos` and `actions` of the subject itself.
    Simple,
    /// `catalog` of the subject itself.
    Catalog,
    /// `rules[n]`
    Rule(u32),
    /// `deny[n]`
    Deny(u32),
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// An authenticated user.
    User(&'a str),
    /// Nobody in particular.
    Anonymous,
}

impl<'a> Who<'a> {
    /// The name that a token carries as its subject: empty for the anonymous.
    pub fn name(self) -> &'a str {
        match self {
            Who::User(name) => name,
            Who::Anonymous => "",
        }
    }
}

/// Who asks, and what else a decision needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The user.
    pub who: Who<'a>,
    /// The registry's own names, which may stand before a repository's: the requested service and `audience`.
    pub hosts: &'a [&'a str],
    /// The life of a token where no rule names another.
    pub default_ttl: Ttl,
}

/// A rule that matched, and where it stands: `users.alice.rules[0]`, `groups.devs`, `anonymous`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// The path of the rule in the policy file.
    pub rule: String,
    /// The pattern of that rule that fits, for a repository.
    pub pattern: Option<String>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)?;
        self.pattern.as_ref().map_or(Ok(()), |pattern| write!(f, " ({pattern})"))
    }
}

/// A decision that can be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Granted, by the first rule that allows it, for the longest life among those that do.
    Granted(Because, Ttl),
    /// Denied by a rule.
    Denied(Because),
    /// No rule matches.
    Unmatched,
}

/// A rule of some subject, before its place is written out.
#[derive(Clone, Copy)]
struct Found<'p> {
    subject: SubjectName<'p>,
    rule: &'p Rule,
    matched: Match<'p>,
}

/// What of a rule fits a resource.
#[derive(Clone, Copy)]
enum Match<'p> {
    Pattern(&'p Glob),
    Catalog,
}

#[derive(Clone, Copy)]
enum SubjectName<'p> {
    User(&'p str),
    Group(&'p str),
    Anonymous,
}

impl Found<'_> {
    fn because(&self) -> Because {
        let subject = match self.subject {
            SubjectName::User(name) => format!("users.{name}"),
            SubjectName::Group(name) => format!("groups.{name}"),
            SubjectName::Anonymous => "anonymous".to_owned(),
        };
        let rule = match self.rule.place {
            Place::Simple => subject,
            Place::Catalog => format!("{subject}.catalog"),
            Place::Rule(index) => format!("{subject}.rules[{index}]"),
            Place::Deny(index) => format!("{subject}.deny[{index}]"),
        };
        let pattern = match self.matched {
            Match::Pattern(glob) => Some(glob.to_string()),
            Match::Catalog => None,
        };
        Because { rule, pattern }
    }
}

/// The answer for one action on one resource.
enum Decision<'p> {
    /// Some rule allows it and none denies it; the longest of the allowing rules' lives.
    Granted { by: Found<'p>, ttl: Ttl },
    /// A rule denies it.
    Denied { by: Found<'p> },
    /// No rule matches.
    Unmatched,
}

/// What a request is given.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The entries of the token's `access` claim.
    pub access: Vec<Access>,
    /// The longest life among the rules that granted something; the default where none did.
    pub ttl: Ttl,
    /// Whether everything asked is granted.
    pub complete: bool,
}

/// Everything that can be written down of what a user may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Generated {
    /// One entry for each repository that a rule names without a wildcard, and the catalog's.
    pub access: Vec<Access>,
    /// As for [`Grant`].
    pub ttl: Ttl,
    /// Patterns with wildcards: a registry compares names, so they cannot be in a token.
    pub skipped: Vec<String>,
}

impl Policy {
    /// What happens where something asked is not granted.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many users it names.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Whether it has an `anonymous` entry.
    pub fn has_anonymous(&self) -> bool {
        self.anonymous.is_some()
    }

    /// Whether it names this user (or has an anonymous entry).
    pub fn knows(&self, who: Who<'_>) -> bool {
        self.subject(who).is_some()
    }

    /// The part of what is asked that this user may have. A name that begins with one of the asker's hosts
    /// is tried as it stands first and then without that host; the grant names what matched.
    pub fn grant(&self, asker: &Asker<'_>, asked: &[Scope]) -> Grant {
        let mut granted: Vec<Scope> = Vec::new();
        let mut longest = None;
        let mut complete = true;
        for scope in asked {
            let mut resource = Cow::Borrowed(&scope.resource);
            let mut given = self.permitted(asker, &resource, &scope.actions, &mut longest);
            if given.is_empty()
                && let Some(bare) = without_host(&resource, asker.hosts)
            {
                given = self.permitted(asker, &bare, &scope.actions, &mut longest);
                resource = Cow::Owned(bare);
            }
            complete &= scope.unknown_actions.is_empty() && is_complete(&resource, &scope.actions, &given);
            if !given.is_empty() {
                let resource = resource.into_owned();
                scope::merge(&mut granted, Scope { resource, actions: given, unknown_actions: Vec::new() });
            }
        }
        let access =
            granted.into_iter().filter_map(|scope| Access::granted(scope.resource, scope.actions)).collect();
        Grant { access, ttl: longest.unwrap_or(asker.default_ttl), complete }
    }

    /// All that this user may do, as far as it can be named; `None` for an unknown user.
    pub fn grants_of(&self, asker: &Asker<'_>) -> Option<Generated> {
        self.subject(asker.who)?;
        let mut named: Vec<Resource> = Vec::new();
        let mut skipped = Vec::new();
        for (_, rule) in self.rules(asker.who).filter(|(_, rule)| rule.effect == Effect::Allow) {
            match &rule.target {
                Target::Catalog => add_once(&mut named, Resource::Catalog),
                Target::Repositories(globs) => {
                    for glob in globs {
                        match glob.literal(asker.who.name()) {
                            Some(name) => add_once(&mut named, Resource::repository(&name)),
                            None => add_once(&mut skipped, glob.to_string()),
                        }
                    }
                }
            }
        }
        let mut longest = None;
        let everything = |resource: Resource| {
            let actions = self.permitted(asker, &resource, &[Action::All], &mut longest);
            Access::granted(resource, actions)
        };
        let access = named.into_iter().filter_map(everything).collect();
        Some(Generated { access, ttl: longest.unwrap_or(asker.default_ttl), skipped })
    }

    /// The actions among those asked that are granted; `*` on a repository asks for all that the user has.
    fn permitted(
        &self,
        asker: &Asker<'_>,
        resource: &Resource,
        asked: &[Action],
        longest: &mut Option<Ttl>,
    ) -> Vec<Action> {
        let mut given = Vec::new();
        for action in expanded(resource, asked) {
            if let Decision::Granted { ttl, .. } = self.decide(asker, resource, action) {
                *longest = (*longest).max(Some(ttl));
                given.push(action);
            }
        }
        given
    }

    /// Why one action on one resource is granted or not, as [`Policy::grant`] decides it.
    pub fn explain(&self, asker: &Asker<'_>, resource: &Resource, action: Action) -> Verdict {
        match self.decide(asker, resource, action) {
            Decision::Granted { by, ttl } => Verdict::Granted(by.because(), ttl),
            Decision::Denied { by } => Verdict::Denied(by.because()),
            Decision::Unmatched => Verdict::Unmatched,
        }
    }

    /// The one decision: a deny wins, then the union of what matches.
    fn decide<'p>(&'p self, asker: &Asker<'p>, resource: &Resource, action: Action) -> Decision<'p> {
        let mut granted: Option<(Found<'p>, Ttl)> = None;
        for (subject, rule) in self.rules(asker.who) {
            let Some(matched) = rule.fits(resource, action, asker.who.name()) else { continue };
            let found = Found { subject, rule, matched };
            if rule.effect == Effect::Deny {
                return Decision::Denied { by: found };
            }
            let ttl = rule.ttl.unwrap_or(asker.default_ttl);
            granted = match granted {
                Some((by, longest)) => Some((by, longest.max(ttl))),
                None => Some((found, ttl)),
            };
        }
        match granted {
            Some((by, ttl)) => Decision::Granted { by, ttl },
            None => Decision::Unmatched,
        }
    }

    fn subject(&self, who: Who<'_>) -> Option<&Subject> {
        match who {
            Who::User(name) => self.users.get(name),
            Who::Anonymous => self.anonymous.as_ref(),
        }
    }

    /// Every rule that speaks about this user: his own, then his groups'.
    fn rules<'p>(&'p self, who: Who<'p>) -> impl Iterator<Item = (SubjectName<'p>, &'p Rule)> {
        let own = match who {
            Who::User(name) => SubjectName::User(name),
            Who::Anonymous => SubjectName::Anonymous,
        };
        let subject = self.subject(who);
        let groups = subject.into_iter().flat_map(|subject| &*subject.groups);
        let groups = groups.filter_map(|index| self.groups.get(usize::try_from(*index).ok()?));
        let inherited =
            groups.flat_map(|(name, group)| group.rules.iter().map(|rule| (SubjectName::Group(name), rule)));
        subject.into_iter().flat_map(|subject| &*subject.rules).map(move |rule| (own, rule)).chain(inherited)
    }
}

impl Rule {
    /// What of this rule speaks about the action on the resource.
    fn fits(&self, resource: &Resource, action: Action, user: &str) -> Option<Match<'_>> {
        let speaks = self.actions.contains(&action) || self.actions.contains(&Action::All);
        match (&self.target, resource) {
            (Target::Catalog, Resource::Catalog) => (action == Action::All).then_some(Match::Catalog),
            (Target::Repositories(globs), Resource::Repository(name)) if speaks => {
                globs.iter().find(|glob| glob.matches(name, user)).map(Match::Pattern)
            }
            _ => None,
        }
    }
}

/// Single actions: `*` on a repository stands for all of them.
fn expanded(resource: &Resource, asked: &[Action]) -> Vec<Action> {
    let mut actions = Vec::new();
    for action in asked {
        match (resource, action) {
            (Resource::Repository(_), Action::All) => {
                for action in Action::REPOSITORY {
                    add_once(&mut actions, action);
                }
            }
            (_, action) => add_once(&mut actions, *action),
        }
    }
    actions
}

/// Whether all that was asked was given; `*` is content with anything.
fn is_complete(resource: &Resource, asked: &[Action], given: &[Action]) -> bool {
    asked.iter().all(|action| match (resource, action) {
        (Resource::Repository(_), Action::All) => !given.is_empty(),
        (_, action) => given.contains(action),
    })
}

fn without_host(resource: &Resource, hosts: &[&str]) -> Option<Resource> {
    let Resource::Repository(name) = resource else { return None };
    let (host, path) = scope::split_host(name)?;
    hosts.contains(&host).then(|| Resource::repository(path))
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

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
        match self {
            Enforcement::Policy(policy) => policy.grant(asker, asked),
            Enforcement::Nothing => {
                Grant { access: Vec::new(), ttl: asker.default_ttl, complete: asked.is_empty() }
            }
            Enforcement::Off => {
                let all = |scope: &Scope| {
                    Access::granted(scope.resource.clone(), expanded(&scope.resource, &scope.actions))
                };
                Grant {
                    access: asked.iter().filter_map(all).collect(),
                    ttl: asker.default_ttl,
                    complete: true,
                }
            }
        }
    }

    /// What happens where something asked is not granted.
    pub fn mode(&self) -> Mode {
        match self {
            Enforcement::Policy(policy) => policy.mode,
            Enforcement::Nothing | Enforcement::Off => Mode::Filter,
        }
    }
}

#[cfg(test)]
mod tests;
