//! From a policy file to a [`Policy`].
//!
//! Owns the file's schema: `users`, `groups`, `anonymous`, `mode`, `tests`, and in each subject either the
//! simple form (`namespace`, `repos`, `actions`) or `rules` and `deny`, or both: the simple form is one
//! more rule. Must not know requests. Decision: what could never match is an error here, because a policy
//! that says less than it seems to is found out only when a push fails.

use super::{Effect, Mode, Place, Policy, Rule, Subject, Target};
use crate::document::{Document, DocumentError, Node, nearest};
use crate::glob::Glob;
use crate::scope::Action;
use crate::time::Ttl;
use std::path::Path;

const TOP: [&str; 5] = ["users", "groups", "anonymous", "mode", "tests"];
const SUBJECT: [&str; 7] = ["namespace", "repos", "actions", "ttl_seconds", "catalog", "rules", "deny"];

impl Policy {
    /// Reads and compiles a policy file.
    pub fn load(path: &Path) -> Result<Self, DocumentError> {
        Self::compile(&Document::load(path)?)
    }

    /// Compiles a parsed policy file.
    pub fn compile(document: &Document) -> Result<Self, DocumentError> {
        let root = document.root();
        check_top_level(document, root)?;
        let mut policy = Policy::default();
        if let Some(mode) = root.get("mode") {
            policy.mode = match mode.string()? {
                "filter" => Mode::Filter,
                "deny" => Mode::Deny,
                other => return Err(mode.error(format!("expected `filter` or `deny`, found `{other}`"))),
            };
        }
        if let Some(groups) = root.get("groups") {
            for (name, node) in groups.entries()? {
                let rules = subject(&node, &SUBJECT)?;
                policy.groups.push((name.into(), Subject { rules, groups: Box::default() }));
            }
        }
        if let Some(node) = root.get("anonymous") {
            policy.anonymous = Some(Subject { rules: subject(&node, &SUBJECT)?, groups: Box::default() });
        }
        if let Some(users) = root.get("users") {
            let mut keys = SUBJECT.to_vec();
            keys.push("groups");
            for (name, node) in users.entries()? {
                if name.is_empty() {
                    return Err(users
                        .error("a user's name is empty")
                        .hint("`anonymous:` is its own top-level key"));
                }
                let rules = subject(&node, &keys)?;
                let groups = memberships(&node, &policy)?;
                policy.users.insert(name.into(), Subject { rules, groups });
            }
        }
        Ok(policy)
    }
}

/// A top-level key that is none of ours may only hold anchors; a typo has none.
fn check_top_level(document: &Document, root: Node<'_>) -> Result<(), DocumentError> {
    for (key, _) in root.entries()? {
        if TOP.contains(&key) || document.defines_anchor(key) {
            continue;
        }
        let error = root.key_error(key, format!("unknown key `{key}`"));
        return Err(match nearest(key, TOP.into_iter()) {
            Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
            None => error.hint(format!(
                "the keys here are {}; others may only define anchors (&name)",
                TOP.join(", ")
            )),
        });
    }
    Ok(())
}

fn memberships(node: &Node<'_>, policy: &Policy) -> Result<Box<[u32]>, DocumentError> {
    let Some(list) = node.get("groups") else { return Ok(Box::default()) };
    let mut indices = Vec::new();
    for item in list.items()? {
        let name = item.string()?;
        let Some(index) = policy.groups.iter().position(|(known, _)| **known == *name) else {
            let error = item.error(format!("there is no group `{name}`"));
            return Err(match nearest(name, policy.groups.iter().map(|(known, _)| &**known)) {
                Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                None => error.hint("groups are defined under the top-level key `groups`"),
            });
        };
        if let Ok(index) = u32::try_from(index)
            && !indices.contains(&index)
        {
            indices.push(index);
        }
    }
    Ok(indices.into())
}

/// The rules of a user, a group or the anonymous.
fn subject(node: &Node<'_>, keys: &[&str]) -> Result<Box<[Rule]>, DocumentError> {
    if node.is_null() {
        return Err(node
            .error("expected a mapping, found nothing")
            .hint("write `{}` for one that may do nothing"));
    }
    node.allow_keys(keys)?;
    let namespace = node
        .get("namespace")
        .map(|namespace| namespace.string().map(|name| (namespace, name)))
        .transpose()?;
    let namespace_name = namespace.map(|(_, name)| name);
    let mut rules = Vec::new();
    if ["repos", "actions", "ttl_seconds"].iter().any(|key| node.get(key).is_some()) {
        rules.push(rule(node, namespace_name, Effect::Allow, Place::Simple)?);
    } else if let Some((namespace, _)) = namespace
        && node.get("rules").is_none()
        && node.get("deny").is_none()
    {
        return Err(namespace
            .error("a namespace without `repos` grants nothing")
            .hint("add `repos: [\"**\"]` for all in it"));
    }
    if catalog(node)? {
        rules.push(catalog_rule(Place::Catalog));
    }
    for (key, effect) in [("rules", Effect::Allow), ("deny", Effect::Deny)] {
        let Some(list) = node.get(key) else { continue };
        for (index, item) in (0..).zip(list.items()?) {
            let place = if effect == Effect::Allow { Place::Rule(index) } else { Place::Deny(index) };
            let known: &[&str] = match effect {
                Effect::Allow => &["namespace", "repos", "actions", "ttl_seconds", "catalog"],
                Effect::Deny => &["namespace", "repos", "actions", "catalog"],
            };
            item.allow_keys(known)?;
            let namespace = match item.get("namespace") {
                Some(own) => Some(own.string()?),
                None => namespace_name,
            };
            if catalog(&item)? {
                rules.push(Rule { effect, ..catalog_rule(place) });
                if item.get("repos").is_none() && item.get("actions").is_none() {
                    continue;
                }
            }
            rules.push(rule(&item, namespace, effect, place)?);
        }
    }
    Ok(rules.into())
}

fn catalog(node: &Node<'_>) -> Result<bool, DocumentError> {
    node.get("catalog").map_or(Ok(false), |catalog| catalog.boolean())
}

fn catalog_rule(place: Place) -> Rule {
    Rule { effect: Effect::Allow, target: Target::Catalog, actions: [Action::All].into(), ttl: None, place }
}

/// `repos`, `actions` and `ttl_seconds` of one mapping; a deny without `actions` denies all of them.
fn rule(
    node: &Node<'_>,
    namespace: Option<&str>,
    effect: Effect,
    place: Place,
) -> Result<Rule, DocumentError> {
    let Some(repos) = node.get("repos") else {
        return Err(node
            .error("`repos` is missing")
            .hint("add `repos: [\"name\", ...]`; `*` matches within a segment, `**` across"));
    };
    let globs: Vec<Glob> = repos.items()?.map(|item| pattern(&item, namespace)).collect::<Result<_, _>>()?;
    let actions = match (node.get("actions"), effect) {
        (Some(list), _) => actions(&list)?,
        (None, Effect::Deny) => [Action::All].into(),
        (None, Effect::Allow) => {
            return Err(node
                .error("`actions` is missing")
                .hint("add `actions: [pull]`; there are pull, push, delete and \"*\""));
        }
    };
    let ttl = match node.get("ttl_seconds") {
        None => None,
        Some(ttl) => {
            let least = u64::from(Ttl::REGISTRY_MIN.seconds());
            Ttl::new(ttl.integer(least, u64::from(Ttl::MAX.seconds()))?)
        }
    };
    Ok(Rule { effect, target: Target::Repositories(globs.into()), actions, ttl, place })
}

fn pattern(item: &Node<'_>, namespace: Option<&str>) -> Result<Glob, DocumentError> {
    let text = item.string()?;
    let full = match namespace {
        None => text.to_owned(),
        Some(namespace) => format!("{namespace}/{text}"),
    };
    Glob::new(&full).map_err(|error| item.error(format!("`{full}` is no repository pattern: {error}")))
}

fn actions(list: &Node<'_>) -> Result<Box<[Action]>, DocumentError> {
    let mut actions = Vec::new();
    for item in list.items()? {
        let name = item.string()?;
        let Some(action) = Action::from_name(name) else {
            let error = item.error(format!("unknown action `{name}`"));
            let known = ["pull", "push", "delete", "*"];
            return Err(match nearest(name, known.into_iter()) {
                Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                None => error.hint(format!("the actions are {}", known.join(", "))),
            });
        };
        super::add_once(&mut actions, action);
    }
    Ok(actions.into())
}
