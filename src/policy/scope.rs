//! What a client asks ([`Scope`]) and what it is given ([`Access`]), in the registry's grammar.
//!
//! Owns the text form `type(class):name:action,action` (distribution's token scope documentation) and
//! repository names. Must not know policies. Decision: asked and granted are two types, and only
//! `policy` makes the second from the first, so that what was not granted cannot reach a token.

mod access;
mod error;

pub use access::Access;
pub use error::{MAX_ACTIONS, MAX_SCOPE_BYTES, MAX_SCOPES, ScopeError};

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What a scope is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A repository whose name the registry's grammar allows, perhaps behind `host[:port]/`.
    Repository(Box<str>),
    /// `registry:catalog`, the list of repositories.
    Catalog,
    /// A repository without a name: how zot calls its catalog.
    ZotCatalog,
    /// Anything else, which gets nothing: an unknown type, or a name that is none.
    Other {
        /// The type as asked, without its class.
        kind: Box<str>,
        /// The name as asked.
        name: Box<str>,
    },
}

impl Resource {
    fn new(kind: &str, name: &str) -> Self {
        match (kind, name) {
            ("repository", name) if is_repository(name) => Resource::Repository(name.into()),
            ("registry", "catalog") => Resource::Catalog,
            ("repository", "") => Resource::ZotCatalog,
            _ => Resource::Other { kind: kind.into(), name: name.into() },
        }
    }

    /// The repository of that name, or [`Resource::Other`] where the grammar forbids it.
    pub fn repository(name: &str) -> Self {
        Resource::new("repository", name)
    }

    /// The `type` of an access entry.
    pub fn kind(&self) -> &str {
        match self {
            Resource::Repository(_) | Resource::ZotCatalog => "repository",
            Resource::Catalog => "registry",
            Resource::Other { kind, .. } => kind,
        }
    }

    /// The `name` of an access entry.
    pub fn name(&self) -> &str {
        match self {
            Resource::Repository(name) | Resource::Other { name, .. } => name,
            Resource::Catalog => "catalog",
            Resource::ZotCatalog => "",
        }
    }
}

/// What may be done to a repository, or asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read manifests and blobs.
    Pull,
    /// Write them; clients ask `pull,push`.
    Push,
    /// Remove them.
    Delete,
    /// `*`: everything that the user may do. Only the catalog's keeps it in a token.
    All,
}

impl Action {
    /// What can be granted on a repository.
    pub const REPOSITORY: [Action; 3] = [Action::Pull, Action::Push, Action::Delete];

    /// The action as scopes and tokens write it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Delete => "delete",
            Action::All => "*",
        }
    }

    /// The action of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Action::Pull, Action::Push, Action::Delete, Action::All]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One resource and the actions asked on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What it is about.
    pub resource: Resource,
    /// The known actions, each once, in the order asked.
    pub actions: Vec<Action>,
    /// Actions that no registry knows: never granted, but they were asked.
    pub unknown_actions: Vec<Box<str>>,
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Splits at the first and at the last colon: a name may hold `host:port/`.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        let (kind, rest) = text.split_once(':').ok_or(ScopeError::Parts)?;
        let (name, actions) = rest.rsplit_once(':').ok_or(ScopeError::Parts)?;
        Scope::new(kind, name, actions.split(',').filter(|action| !action.is_empty()))
    }
}

impl Scope {
    /// A resource with these known actions.
    pub(super) fn of(resource: Resource, actions: Vec<Action>) -> Self {
        Self { resource, actions, unknown_actions: Vec::new() }
    }

    /// A scope from its parts, as an `access` entry has them.
    pub fn new<'a>(
        kind: &str,
        name: &str,
        actions: impl Iterator<Item = &'a str>,
    ) -> Result<Self, ScopeError> {
        let kind = type_without_class(kind).ok_or(ScopeError::Type)?;
        let mut scope = Scope::of(Resource::new(kind, name), Vec::new());
        for (count, action) in actions.enumerate() {
            if count >= MAX_ACTIONS {
                return Err(ScopeError::TooManyActions);
            }
            match Action::from_name(action) {
                Some(action) => add_once(&mut scope.actions, action),
                None if !action.is_empty() && action.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                    scope.add_unknown(action.into())?;
                }
                None => return Err(ScopeError::Action),
            }
        }
        Ok(scope)
    }

    fn add_unknown(&mut self, action: Box<str>) -> Result<(), ScopeError> {
        if self.unknown_actions.contains(&action) {
            return Ok(());
        }
        if self.unknown_actions.len() >= MAX_ACTIONS {
            return Err(ScopeError::TooManyActions);
        }
        self.unknown_actions.push(action);
        Ok(())
    }
}

/// `repository(plugin)` is a `repository`; `None` where the grammar does not hold.
fn type_without_class(kind: &str) -> Option<&str> {
    let word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bare = match kind.split_once('(') {
        None => kind,
        Some((bare, class)) => class.strip_suffix(')').filter(|class| word(class)).map(|_| bare)?,
    };
    word(bare).then_some(bare)
}

/// Every scope in these texts, each of which may hold several separated by spaces; entries for one
/// resource are merged, in the order of their first mention.
pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Scope>, ScopeError> {
    let mut scopes: Vec<Scope> = Vec::new();
    for (count, text) in texts.into_iter().flat_map(str::split_ascii_whitespace).enumerate() {
        if count >= MAX_SCOPES {
            return Err(ScopeError::TooMany);
        }
        merge(&mut scopes, text.parse()?)?;
    }
    Ok(scopes)
}

/// Adds a scope, or its actions where the resource is there already.
pub fn merge(scopes: &mut Vec<Scope>, scope: Scope) -> Result<(), ScopeError> {
    match scopes.iter_mut().find(|known| known.resource == scope.resource) {
        None => scopes.push(scope),
        Some(known) => {
            scope.actions.into_iter().for_each(|action| add_once(&mut known.actions, action));
            scope.unknown_actions.into_iter().try_for_each(|action| known.add_unknown(action))?;
        }
    }
    Ok(())
}

pub(super) fn add_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.actions.iter().map(|action| action.name());
        write_entry(f, &self.resource, known.chain(self.unknown_actions.iter().map(|action| &**action)))
    }
}

fn write_entry<'a>(
    f: &mut fmt::Formatter<'_>,
    resource: &Resource,
    actions: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    write!(f, "{}:{}:", resource.kind(), resource.name())?;
    for (index, action) in actions.enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        f.write_str(action)?;
    }
    Ok(())
}

/// The scopes or accesses as one text, separated by spaces: the `scope` claim and the log.
pub fn join<T: fmt::Display>(entries: &[T]) -> String {
    let mut text = String::new();
    for entry in entries {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&entry.to_string());
    }
    text
}

/// As [`join`], in a sentence: `nothing` where there is none.
pub fn join_or_nothing<T: fmt::Display>(entries: &[T]) -> String {
    if entries.is_empty() { "nothing".to_owned() } else { join(entries) }
}

/// Whether the registry's grammar allows this name, with or without `host[:port]/` before it
/// (distribution/reference: regexp.go; at most 255 bytes without the host).
fn is_repository(name: &str) -> bool {
    is_path(name) || split_host(name).is_some_and(|(_, path)| is_path(path))
}

/// Takes `host[:port]/` off a name, where its first segment can be a host.
pub fn split_host(name: &str) -> Option<(&str, &str)> {
    let (host, path) = name.split_once('/')?;
    let (bare, port) = match host.split_once(':') {
        None => (host, None),
        Some((bare, port)) => (bare, Some(port)),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let port_fits =
        port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()));
    (bare.split('.').all(label) && port_fits).then_some((host, path))
}

fn is_path(path: &str) -> bool {
    path.len() <= 255 && path.split('/').all(is_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|byte| alphanumeric(*byte)).filter(|run| !run.is_empty()).all(|separator| {
        matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn splits_at_the_first_and_at_the_last_colon() {
        for (text, kind, name, actions) in [
            ("repository:alice-space/app-api:pull", "repository", "alice-space/app-api", "pull"),
            ("repository:localhost:5000/a/b:push,pull", "repository", "localhost:5000/a/b", "push,pull"),
            ("repository(plugin):a/b:pull", "repository", "a/b", "pull"),
            ("registry:catalog:*", "registry", "catalog", "*"),
            ("repository:a:", "repository", "a", ""),
            ("repository:a:pull,,pull,push", "repository", "a", "pull,push"),
            ("repository:a:pull,frobnicate", "repository", "a", "pull,frobnicate"),
            ("repository:catalog:*", "repository", "catalog", "*"),
            ("repository::pull", "repository", "", "pull"),
            ("registry::pull", "registry", "", "pull"),
        ] {
            let scope = scope(text);
            assert_eq!((scope.resource.kind(), scope.resource.name()), (kind, name), "{text}");
            assert_eq!(scope.to_string(), format!("{kind}:{name}:{actions}"));
        }
    }

    #[test]
    fn what_is_no_scope_says_why() {
        for (text, error) in [
            ("", ScopeError::Parts),
            ("repository", ScopeError::Parts),
            ("repository:a", ScopeError::Parts),
            (":a:pull", ScopeError::Type),
            ("Repository:a:pull", ScopeError::Type),
            ("repository():a:pull", ScopeError::Type),
            ("repository(x:a:pull", ScopeError::Type),
            ("repository:a:Pull", ScopeError::Action),
            ("repository:a:pull;push", ScopeError::Action),
        ] {
            assert_eq!(text.parse::<Scope>(), Err(error), "{text}");
        }
        assert_eq!(
            format!("repository:{}:pull", "a".repeat(1024)).parse::<Scope>(),
            Err(ScopeError::TooLong)
        );
    }

    #[test]
    fn repository_names_follow_the_registry_grammar() {
        for (name, fits) in [
            ("a", true),
            ("alice-space/app-api", true),
            ("a.b_c__d---e/f", true),
            ("registry.example.com/a/b", true),
            ("localhost:5000/a", true),
            ("Registry.Example.com/a", true),
            ("bob-space/../alice-space/app", false),
            ("bob-space/./app", false),
            ("bob-space//app", false),
            ("/a", false),
            ("a/", false),
            ("a..b", false),
            ("a___b", false),
            ("a._b", false),
            ("-a", false),
            ("A/b", true), // a host by its form; the policy accepts a host only where it is the service
            ("a/B", false),
            ("a b", false),
            ("a%2fb", false),
            ("a*", false),
            ("**", false),
            ("localhost:500000/a", false),
            ("local_host:5000/a", false),
            ("ä", false),
        ] {
            let resource = Resource::new("repository", name);
            assert_eq!(matches!(resource, Resource::Repository(_)), fits, "{name}");
        }
        assert!(matches!(Resource::new("repository", &"a".repeat(256)), Resource::Other { .. }));
    }

    #[test]
    fn entries_for_one_resource_merge_in_order() {
        let scopes = parse_all([
            "repository:a:pull repository:b:pull",
            "repository:a:push,pull",
            "repository(x):b:delete",
        ]);
        assert_eq!(join(&scopes.unwrap()), "repository:a:pull,push repository:b:pull,delete");
        assert_eq!(parse_all(["", "  "]), Ok(vec![]));
        let many = vec!["repository:a:pull"; MAX_SCOPES + 1];
        assert_eq!(parse_all(many), Err(ScopeError::TooMany));
    }

    #[test]
    fn a_scope_has_an_end_and_so_has_what_is_merged() {
        let of = |count: usize, from: usize| {
            let action =
                |number: usize| char::from(b'a' + u8::try_from(number).unwrap()).to_string().repeat(9);
            let actions: Vec<String> = (from..from + count).map(action).collect();
            format!("repository:a:{}", actions.join(","))
        };
        assert!(parse_all([of(MAX_ACTIONS, 0).as_str()]).is_ok());
        assert_eq!(parse_all([of(MAX_ACTIONS + 1, 0).as_str()]), Err(ScopeError::TooManyActions));
        let same = "repository:a:".to_owned() + &"pull,".repeat(MAX_ACTIONS + 1);
        assert_eq!(parse_all([same.as_str()]), Err(ScopeError::TooManyActions));
        let merged = [of(10, 0), of(10, 0), of(6, 10)];
        assert_eq!(parse_all(merged.iter().map(String::as_str)).unwrap().len(), 1);
        let merged = [of(10, 0), of(7, 10)];
        assert_eq!(parse_all(merged.iter().map(String::as_str)), Err(ScopeError::TooManyActions));
    }

    #[test]
    fn a_star_on_a_repository_and_an_unknown_type_are_never_granted() {
        assert_eq!(Access::granted(Resource::new("repository", "a"), vec![Action::All]), None);
        assert_eq!(Access::granted(Resource::new("repository", "a"), vec![]), None);
        assert_eq!(Access::granted(Resource::new("cluster", "a"), vec![Action::Pull]), None);
        assert_eq!(Access::granted(Resource::Catalog, vec![Action::Pull]), None);
        assert_eq!(Access::granted(Resource::ZotCatalog, vec![Action::All]), None);
        assert_eq!(Access::granted(Resource::ZotCatalog, vec![Action::Pull, Action::Push]), None);
        let catalog = Access::granted(Resource::Catalog, vec![Action::All]).unwrap();
        assert_eq!(
            serde_json::to_string(&catalog).unwrap(),
            r#"{"type":"registry","name":"catalog","actions":["*"]}"#
        );
    }
}
