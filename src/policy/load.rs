//! From a policy file to a [`Policy`].
//!
//! Owns the file's schema: `users`, `groups`, `anonymous`, `mode`, `tests`, and in each subject either the
//! simple form (`namespace`, `repos`, `actions`) or `rules` and `deny`, or both: the simple form is one
//! more rule. Must not know requests. Decision: what could never match is an error here, because a policy
//! that says less than it seems to is found out only when a push fails.

use super::rule::{Actions, Effect, Place, Rule, Span};
use super::{Mode, Policy, Subject, expect};
use crate::ground::document::{Document, DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::name::is_composed;
use crate::ground::nearest::did_you_mean;
use crate::ground::text::quoted;
use crate::ground::time::Ttl;
use crate::policy::glob::{Glob, Globs};
use crate::policy::scope::Action;
use std::borrow::Cow;
use std::path::Path;

const TOP: [&str; 5] = ["users", "groups", "anonymous", "mode", "tests"];
const SUBJECT: [&str; 7] = ["namespace", "repos", "actions", "ttl_seconds", "catalog", "rules", "deny"];

impl Policy {
    /// Reads and compiles a policy file, and holds it to its own expectations: a file that contradicts
    /// itself is wrong, whichever half of it is.
    pub fn load(path: &Path, files: &mut Files) -> Result<Self, DocumentError> {
        let (document, policy) = Self::read(path, files)?;
        expect::verify(&policy, &document)?;
        Ok(policy)
    }

    /// Reads and compiles a policy file; its expectations are read but not tried.
    pub fn read(path: &Path, files: &mut Files) -> Result<(Document, Self), DocumentError> {
        let document = Document::load(path, files)
            .map_err(|error| error.if_absent("keypebble init DIR makes a policy beside a configuration"))?;
        let policy = Self::compile(&document)?;
        Ok((document, policy))
    }

    /// Compiles a parsed policy file, likewise.
    pub fn compile(document: &Document) -> Result<Self, DocumentError> {
        let root = document.root();
        check_top_level(document, root)?;
        let mut policy = Policy { digest: document.digest(), ..Policy::default() };
        if let Some(mode) = root.get("mode") {
            policy.mode = match mode.string()? {
                "filter" => Mode::Filter,
                "deny" => Mode::Deny,
                _ => {
                    return Err(mode.error(format!("expected `filter` or `deny`, found {}", mode.quoted())));
                }
            };
        }
        if let Some(groups) = root.get("groups") {
            for (name, node) in groups.entries()? {
                let group = policy.subject_of(&node, &SUBJECT)?;
                policy.groups.push((name.into(), group));
            }
        }
        if let Some(node) = root.get("anonymous") {
            policy.anonymous = Some(policy.subject_of(&node, &SUBJECT)?);
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
                if !is_composed(name) {
                    return Err(node
                        .error("the user's name is not in Unicode's composed form (NFC), so nobody has it")
                        .hint("write each letter and its accent as one character"));
                }
                let mut user = policy.subject_of(&node, &keys)?;
                let before = policy.memberships.len();
                let groups = memberships(&node, &policy.groups)?;
                policy.memberships.extend(groups);
                user.groups = Span::since(before, &policy.memberships);
                policy.users.insert(name.into(), user);
            }
        }
        if let Some(tests) = root.get("tests") {
            policy.expectations = expect::read(&tests)?;
        }
        policy.rules.shrink_to_fit();
        policy.memberships.shrink_to_fit();
        policy.users.shrink_to_fit();
        Ok(policy)
    }

    /// A user, a group or the anonymous, without groups yet.
    fn subject_of(&mut self, node: &Node<'_>, keys: &[&str]) -> Result<Subject, DocumentError> {
        let before = self.rules.len();
        read_rules(node, keys, &mut self.rules)?;
        Ok(Subject { rules: Span::since(before, &self.rules), groups: Span::default() })
    }
}

/// A top-level key that is none of ours may only hold anchors; a typo has none.
fn check_top_level(document: &Document, root: Node<'_>) -> Result<(), DocumentError> {
    for (key, _) in root.entries()? {
        if TOP.contains(&key) || document.defines_anchor(key) {
            continue;
        }
        let error = root.key_error(key, format!("unknown key {}", quoted("", key)));
        let all = format!("the keys here are {}; others may only define anchors (&name)", TOP.join(", "));
        return Err(error.hint(did_you_mean(key, TOP, &all)));
    }
    Ok(())
}

/// The places in `groups` of those that a user is in.
fn memberships(node: &Node<'_>, groups: &[(Box<str>, Subject)]) -> Result<Vec<u32>, DocumentError> {
    let Some(list) = node.get("groups") else { return Ok(Vec::new()) };
    let mut indices = Vec::new();
    for item in list.items()? {
        let name = item.string()?;
        let Some(index) = groups.iter().position(|(known, _)| **known == *name) else {
            let error = item.error(format!("there is no group {}", item.quoted()));
            let known = groups.iter().map(|(known, _)| &**known);
            let otherwise = "groups are defined under the top-level key `groups`";
            return Err(error.hint(did_you_mean(name, known, otherwise)));
        };
        if let Ok(index) = u32::try_from(index)
            && !indices.contains(&index)
        {
            indices.push(index);
        }
    }
    Ok(indices)
}

/// The rules of a user, a group or the anonymous.
fn read_rules(node: &Node<'_>, keys: &[&str], rules: &mut Vec<Rule>) -> Result<(), DocumentError> {
    if node.is_null() {
        return Err(node
            .error("expected a mapping, found nothing")
            .hint("write `{}` for a subject that may do nothing"));
    }
    node.allow_keys(keys)?;
    let namespace = node
        .get("namespace")
        .map(|namespace| namespace.string().map(|name| (namespace, name)))
        .transpose()?;
    let namespace_name = namespace.map(|(_, name)| name);
    let catalog_life = if catalog(node)? { Some(life(node)?) } else { None };
    let simple = ["repos", "actions"].iter().any(|key| node.get(key).is_some());
    if simple || (node.get("ttl_seconds").is_some() && catalog_life.is_none()) {
        rules.push(rule(node, namespace_name, Effect::Allow, Place::Simple)?);
    } else if let Some((namespace, _)) = namespace
        && node.get("rules").is_none()
        && node.get("deny").is_none()
    {
        return Err(namespace
            .error("a namespace without `repos` grants nothing")
            .hint("add `repos: [\"**\"]` for all in it"));
    }
    if let Some(ttl) = catalog_life {
        rules.push(catalog_rule(Place::Catalog, ttl));
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
                rules.push(Rule { effect, ..catalog_rule(place, life(&item)?) });
                if item.get("repos").is_none() && item.get("actions").is_none() {
                    continue;
                }
            }
            rules.push(rule(&item, namespace, effect, place)?);
        }
    }
    Ok(())
}

fn catalog(node: &Node<'_>) -> Result<bool, DocumentError> {
    node.get("catalog").map_or(Ok(false), |catalog| catalog.boolean())
}

fn catalog_rule(place: Place, ttl: Option<Ttl>) -> Rule {
    Rule { effect: Effect::Allow, patterns: Globs::default(), actions: Actions::ALL, ttl, place }
}

/// `ttl_seconds` of a mapping: the life that everything which it allows has.
fn life(node: &Node<'_>) -> Result<Option<Ttl>, DocumentError> {
    let Some(ttl) = node.get("ttl_seconds") else { return Ok(None) };
    let least = u64::from(Ttl::REGISTRY_MIN.seconds());
    Ok(Ttl::new(ttl.integer(least, u64::from(Ttl::MAX.seconds()))?))
}

/// `repos`, `actions` and `ttl_seconds` of one mapping; a deny without `actions` denies all of them.
fn rule(
    node: &Node<'_>,
    namespace: Option<&str>,
    effect: Effect,
    place: Place,
) -> Result<Rule, DocumentError> {
    let repos =
        node.required("repos", "add `repos: [\"name\", ...]`; `*` matches within a segment, `**` across")?;
    let patterns = patterns(&repos, namespace)?;
    let actions = match (node.get("actions"), effect) {
        (None, Effect::Deny) => Actions::ALL,
        _ => actions(
            &node.required("actions", "add `actions: [pull]`; there are pull, push, delete and \"*\"")?,
        )?,
    };
    Ok(Rule { effect, patterns, actions, ttl: life(node)?, place })
}

/// What to do about a rule that says nothing.
const EMPTY: &str = "fill it, or leave the rule out; `{}` is a user who may do nothing";

fn patterns(repos: &Node<'_>, namespace: Option<&str>) -> Result<Globs, DocumentError> {
    let mut full = Vec::new();
    for item in repos.items()? {
        let text = item.string()?;
        let text = namespace.map_or(Cow::Borrowed(text), |namespace| format!("{namespace}/{text}").into());
        if let Err(error) = Glob::new(&text) {
            return Err(item.error(format!("{} is not a repository pattern: {error}", quoted("", &text))));
        }
        full.push(text);
    }
    if full.is_empty() {
        return Err(repos.error("an empty list fits no repository").hint(EMPTY));
    }
    Ok(full.iter().filter_map(|text| Glob::new(text).ok()).collect())
}

fn actions(list: &Node<'_>) -> Result<Actions, DocumentError> {
    let mut actions = Actions::default();
    for item in list.items()? {
        let name = item.string()?;
        let Some(action) = Action::from_name(name) else {
            let error = item.error(format!("unknown action {}", item.quoted()));
            let known = ["pull", "push", "delete", "*"];
            let all = format!("the actions are {}", known.join(", "));
            return Err(error.hint(did_you_mean(name, known, &all)));
        };
        actions.add(action);
    }
    if actions == Actions::default() {
        return Err(list.error("an empty list names no action").hint(EMPTY));
    }
    Ok(actions)
}
