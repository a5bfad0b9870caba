//! What is granted: an entry of a token's `access` claim.
//!
//! Owns the type that only the policy makes, so that nothing that was merely asked reaches a token.

use super::{Action, Resource, write_entry};
use serde::Serialize;
use std::fmt;

/// One resource and the actions granted on it: an entry of a token's `access` claim.
///
/// Made by `policy` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    resource: Resource,
    actions: Vec<Action>,
}

impl Access {
    /// For `policy`: a grant. A literal `*` is everything to a registry, so only the catalog's stays, and
    /// a grant of nothing, or on an unknown resource, is none.
    pub(crate) fn granted(resource: Resource, actions: Vec<Action>) -> Option<Self> {
        let stands = match &resource {
            Resource::Repository(_) => !actions.is_empty() && !actions.contains(&Action::All),
            Resource::Catalog => actions == [Action::All],
            Resource::ZotCatalog => actions == [Action::Pull],
            Resource::Other { .. } => false,
        };
        stands.then_some(Self { resource, actions })
    }

    /// What it is about.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The actions, each once.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_entry(f, &self.resource, self.actions.iter().map(|action| action.name()))
    }
}

impl Serialize for Access {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut entry = serializer.serialize_struct("Access", 3)?;
        entry.serialize_field("type", self.resource.kind())?;
        entry.serialize_field("name", self.resource.name())?;
        entry.serialize_field("actions", &self.actions)?;
        entry.end()
    }
}
