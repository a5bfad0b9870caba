//! Who may do what: the compiled policy and its one decision.
//!
//! Owns the rules and how they combine: a deny wins, then the union of what matches, and whoever logs in
//! keeps what the anonymous may read. Must not know requests or tokens. Decision: `Policy::decide` alone says yes or no, for one action on one resource,
//! and names the rule; granting, generating, explaining and testing are all made of it, so they cannot
//! disagree. The cost of a decision is the number of the user's own rules, whatever the number of users.

mod enforcement;
mod expect;
mod explain;
mod generate;
pub mod glob;
mod lint;
mod load;
mod rule;
pub mod scope;

pub use enforcement::Enforcement;
pub use expect::{Expectation, Outcome};
pub use explain::{Because, Decision, Explained, Explanation, Listed, Near};
pub use generate::Generated;
pub use lint::PUSH_SECONDS;

use crate::ground::time::Ttl;
use explain::SubjectName;
use rule::{Effect, Rule, Span};
use scope::{Access, Action, Resource, Scope, add_once};
use std::collections::HashMap;
use std::slice::from_ref;

/// A compiled policy file.
#[derive(Debug, Default)]
pub struct Policy {
    digest: String,
    mode: Mode,
    users: HashMap<Box<str>, Subject>,
    groups: Vec<(Box<str>, Subject)>,
    anonymous: Option<Subject>,
    /// Every rule; those of one subject stand in a row.
    rules: Vec<Rule>,
    /// Indices into `groups`; those of one user stand in a row.
    memberships: Vec<u32>,
    expectations: Vec<Expectation>,
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

impl Mode {
    /// The mode as a policy file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Filter => "filter",
            Mode::Deny => "deny",
        }
    }
}

/// A user, a group or the anonymous: rules, and for a user their groups.
#[derive(Debug, Default, Clone, Copy)]
struct Subject {
    rules: Span,
    groups: Span,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// An authenticated user.
    User(&'a str),
    /// A request without a user.
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

/// What a request is given.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The entries of the token's `access` claim.
    pub access: Vec<Access>,
    /// The longest life among the rules that granted something; the default where none did.
    pub ttl: Ttl,
    /// Whether everything asked is granted.
    pub complete: bool,
    /// `mode: deny` refuses the whole request, since not everything is granted.
    pub refused: bool,
}

/// One asked scope, action by action: what granting and explaining are both made of.
struct Settled<'p> {
    /// What was decided about: the resource asked, perhaps without the registry's host.
    resource: Resource,
    decisions: Vec<(Action, Decision<'p>)>,
}

impl Settled<'_> {
    fn given(&self) -> Vec<Action> {
        let granted = |decision: &Decision<'_>| matches!(decision, Decision::Granted { .. });
        self.decisions.iter().filter(|(_, decision)| granted(decision)).map(|(action, _)| *action).collect()
    }

    fn longest(&self) -> Option<Ttl> {
        let life = |decision: &Decision<'_>| match decision {
            Decision::Granted { ttl, .. } => Some(*ttl),
            Decision::Denied { .. } | Decision::Unmatched => None,
        };
        self.decisions.iter().filter_map(|(_, decision)| life(decision)).max()
    }
}

impl Policy {
    /// What happens where something asked is not granted.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The SHA-256 of the file, in hexadecimal: which policy this is.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The users that it names, sorted.
    pub fn users(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.users.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// How many users it names.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Whether it has a group of that name.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|(known, _)| **known == *name)
    }

    /// Whether it has an `anonymous` entry.
    pub fn has_anonymous(&self) -> bool {
        self.anonymous.is_some()
    }

    /// Whether it names this user, or for the anonymous has an entry.
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
            let settled = self.settle(asker, scope);
            let given = settled.given();
            longest = longest.max(settled.longest());
            complete &=
                scope.unknown_actions.is_empty() && is_complete(&settled.resource, &scope.actions, &given);
            if !given.is_empty() {
                complete &= scope::merge(&mut granted, Scope::of(settled.resource, given)).is_ok();
            }
        }
        let access =
            granted.into_iter().filter_map(|scope| Access::granted(scope.resource, scope.actions)).collect();
        Grant {
            access,
            ttl: longest.unwrap_or(asker.default_ttl),
            complete,
            refused: !complete && self.mode == Mode::Deny,
        }
    }

    /// Decides one scope, as it stands and then without the registry's host.
    fn settle<'p>(&'p self, asker: &Asker<'p>, scope: &Scope) -> Settled<'p> {
        let as_asked = self.decisions(asker, &scope.resource, &scope.actions);
        match &scope.resource {
            Resource::Repository(name) if as_asked.given().is_empty() => {
                let bare = behind_host(name, asker.hosts).map(Resource::repository);
                bare.map_or(as_asked, |bare| self.decisions(asker, &bare, &scope.actions))
            }
            _ => as_asked,
        }
    }

    fn decisions<'p>(&'p self, asker: &Asker<'p>, resource: &Resource, asked: &[Action]) -> Settled<'p> {
        let names = names(resource, asker.hosts);
        let decide = |action| (action, self.decide(asker, &names, action));
        let decisions = expanded(resource, asked).into_iter().map(decide).collect();
        Settled { resource: resource.clone(), decisions }
    }

    /// The one decision: what the rules about the asker say. Where they say nothing, whoever logs in keeps
    /// what the anonymous may read.
    fn decide<'p>(&'p self, asker: &Asker<'p>, names: &[Resource], action: Action) -> Decision<'p> {
        let own = self.ruled(asker, names, action);
        if !matches!(own, Decision::Unmatched) || !is_reading(&names[0], action) {
            return own;
        }
        match self.ruled(&Asker { who: Who::Anonymous, ..*asker }, names, action) {
            granted @ Decision::Granted { .. } => granted,
            Decision::Denied { .. } | Decision::Unmatched => own,
        }
    }

    /// A deny wins, whichever name of the resource it speaks of, then the union of what matches.
    fn ruled<'p>(&'p self, asker: &Asker<'p>, names: &[Resource], action: Action) -> Decision<'p> {
        let mut granted: Option<(Because<'p>, Ttl)> = None;
        for (subject, rule) in self.rules(asker.who).filter(|(_, rule)| rule.speaks_of(&names[0], action)) {
            let names = if rule.effect == Effect::Deny { names } else { &names[..1] };
            let mut found =
                names.iter().filter_map(|name| Because::of(subject, rule, name, asker.who.name()));
            let Some(found) = found.next() else { continue };
            if rule.effect == Effect::Deny {
                return Decision::Denied { by: found };
            }
            let ttl = rule.ttl.unwrap_or(asker.default_ttl);
            if granted.is_none_or(|(_, longest)| longest < ttl) {
                granted = Some((found, ttl));
            }
        }
        granted.map_or(Decision::Unmatched, |(by, ttl)| Decision::Granted { by, ttl })
    }

    fn subject(&self, who: Who<'_>) -> Option<Subject> {
        match who {
            Who::User(name) => self.users.get(name).copied(),
            Who::Anonymous => self.anonymous,
        }
    }

    /// Every rule that speaks about this user: their own, then their groups'.
    fn rules<'p>(&'p self, who: Who<'p>) -> impl Iterator<Item = (SubjectName<'p>, &'p Rule)> {
        let name = match who {
            Who::User(name) => SubjectName::User(name),
            Who::Anonymous => SubjectName::Anonymous,
        };
        let subject = self.subject(who).unwrap_or_default();
        let groups = subject.groups.of(&self.memberships).iter();
        let groups = groups.filter_map(|index| self.groups.get(usize::try_from(*index).ok()?));
        let inherited = groups.map(|(name, group)| (SubjectName::Group(name), *group));
        std::iter::once((name, subject))
            .chain(inherited)
            .flat_map(|(name, subject)| subject.rules.of(&self.rules).iter().map(move |rule| (name, rule)))
    }
}

/// Single actions: `*` on a repository stands for all of them.
fn expanded(resource: &Resource, asked: &[Action]) -> Vec<Action> {
    let mut actions = Vec::new();
    for action in asked {
        let single = if is_every(resource, *action) { &Action::REPOSITORY } else { from_ref(action) };
        for action in single {
            add_once(&mut actions, *action);
        }
    }
    actions
}

/// Whether all that was asked was given; `*` is content with anything.
fn is_complete(resource: &Resource, asked: &[Action], given: &[Action]) -> bool {
    let met = |action| if is_every(resource, action) { !given.is_empty() } else { given.contains(&action) };
    asked.iter().copied().all(met)
}

fn is_every(resource: &Resource, action: Action) -> bool {
    matches!(resource, Resource::Repository(_)) && action == Action::All
}

/// Whether this shows what is there and changes nothing.
fn is_reading(resource: &Resource, action: Action) -> bool {
    action == Action::Pull || *resource == Resource::Catalog
}

/// What follows one of the registry's own names, in whatever letter case (RFC 4343).
fn behind_host<'n>(name: &'n str, hosts: &[&str]) -> Option<&'n str> {
    let (host, path) = scope::split_host(name)?;
    hosts.iter().any(|known| known.eq_ignore_ascii_case(host)).then_some(path)
}

/// Every name of a resource, as it was asked first: a repository may stand behind any of the registry's own
/// names, or behind none.
pub fn names(resource: &Resource, hosts: &[&str]) -> Vec<Resource> {
    let mut names = vec![resource.clone()];
    if let Resource::Repository(name) = resource {
        let mut bare = &**name;
        while let Some(path) = behind_host(bare, hosts) {
            bare = path;
        }
        names.push(Resource::Repository(bare.into()));
        names.extend(hosts.iter().map(|host| Resource::Repository(format!("{host}/{bare}").into())));
    }
    names
}

#[cfg(test)]
mod tests;
