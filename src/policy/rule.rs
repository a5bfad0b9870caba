//! One rule of a policy, small enough for a hundred thousand users.
//!
//! Owns what a rule is and of what it speaks. Must not know whose it is. Decision: no rule owns more than one
//! allocation, the text of its patterns, because memory is what a long policy costs.

use crate::ground::time::Ttl;
use crate::policy::glob::Globs;
use crate::policy::scope::{Action, Resource};

/// One line of a policy: these actions on these repositories (or the catalog), allowed or denied.
#[derive(Debug)]
pub(super) struct Rule {
    /// None for the catalog's.
    pub(super) patterns: Globs,
    pub(super) ttl: Option<Ttl>,
    pub(super) place: Place,
    pub(super) effect: Effect,
    pub(super) actions: Actions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// Where below its subject a rule stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `repos` and `actions` of the subject itself.
    Simple,
    /// `catalog` of the subject itself.
    Catalog,
    /// `rules[n]`
    Rule(u32),
    /// `deny[n]`
    Deny(u32),
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Actions(u8);

impl Actions {
    /// `*`
    pub(super) const ALL: Actions = Actions(1 << Action::All as u8);

    pub(super) fn add(&mut self, action: Action) {
        self.0 |= 1 << action as u8;
    }

    /// Whether the action is among them; `*` is every one.
    pub(super) fn have(self, action: Action) -> bool {
        self.0 & (Self::ALL.0 | 1 << action as u8) != 0
    }

    /// As the policy writes them: `pull, push`.
    pub(super) fn names(self) -> Vec<&'static str> {
        let all = [Action::Pull, Action::Push, Action::Delete, Action::All];
        all.into_iter().filter(|action| self.0 & 1 << *action as u8 != 0).map(Action::name).collect()
    }

    /// Whether these are at least the others.
    pub(super) fn include(self, others: Actions) -> bool {
        self.have(Action::All) || self.0 & others.0 == others.0
    }
}

impl Rule {
    /// Whether it is about this action on such a resource; a catalog has only one.
    pub(super) fn speaks_of(&self, resource: &Resource, action: Action) -> bool {
        match resource {
            Resource::Catalog => action == Action::All,
            Resource::ZotCatalog => action == Action::Pull,
            Resource::Repository(_) | Resource::Other { .. } => self.actions.have(action),
        }
    }

    /// Whether it is about the catalog, under either of its names.
    pub(super) fn is_catalog(&self) -> bool {
        self.patterns == Globs::default()
    }
}

/// A row of elements in one long list.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// From that length of the list to its end. A file of at most 64 MiB has no four thousand million of anything.
    pub(super) fn since<T>(start: usize, list: &[T]) -> Self {
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { start: narrow(start), len: narrow(list.len().saturating_sub(start)) }
    }

    /// The elements.
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        let wide = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let (start, len) = (wide(self.start), wide(self.len));
        list.get(start..start.saturating_add(len)).unwrap_or_default()
    }
}
