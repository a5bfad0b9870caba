//! A policy file and a request. The input is the file, and perhaps, each after a line of `%%`: the user, the
//! registry's name, and the scopes asked.

use super::config::placed;
use keypebble::ground::document::Document;
use keypebble::ground::time::Ttl;
use keypebble::policy::scope::{self, Access, Action, Resource, Scope};
use keypebble::policy::{Asker, Decision, Mode, Near, Policy, Who};
use std::path::Path;

const ASKED: &str = "repository:alice/app:pull,push repository:registry.example.com/public/x/y:* \
                     registry:catalog:* repository:bob/b:delete,frobnicate other:x:pull repository:a:";

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split("\n%%\n");
    let yaml = parts.next().unwrap_or_default();
    let (user, host) = (parts.next().unwrap_or("alice"), parts.next().unwrap_or("registry.example.com"));
    let asked = parts.next().unwrap_or(ASKED);
    let document = match Document::parse(Path::new("policy.yaml"), yaml.to_owned()) {
        Ok(document) => document,
        Err(error) => return placed(yaml, &error),
    };
    let policy = match Policy::compile(&document) {
        Ok(policy) => policy,
        Err(error) => return placed(yaml, &error),
    };
    let asked = scope::parse_all([asked]).unwrap_or_default();
    for who in [Who::User(user), Who::Anonymous] {
        let hosts = [host];
        let asker = Asker { who, hosts: &hosts, default_ttl: Ttl::DEFAULT };
        ask(&policy, &document, &asker, &asked);
    }
    for finding in policy.findings(|ttl| ttl.unwrap_or(Ttl::DEFAULT)) {
        assert!(!finding.message.is_empty() && !finding.hint.is_empty());
    }
    for expectation in policy.expectations() {
        let outcome = policy.outcome(expectation);
        assert!(outcome.holds() || !outcome.missing.is_empty() || !outcome.extra.is_empty());
        assert!(!outcome.refused || (policy.mode() == Mode::Deny && outcome.got.is_empty()));
    }
}

fn ask(policy: &Policy, document: &Document, asker: &Asker<'_>, asked: &[Scope]) {
    let grant = policy.grant(asker, asked);
    for access in &grant.access {
        assert!(is_asked(access, asker, asked), "{access} is not asked");
        stands(access);
    }
    let nothing_known = !policy.knows(asker.who);
    assert!(
        !nothing_known || policy.has_anonymous() || grant.access.is_empty(),
        "an unknown user has nothing"
    );
    assert!(grant.ttl >= Ttl::REGISTRY_MIN && grant.ttl <= Ttl::MAX);
    // Each scope alone is given the same, and asking for more takes nothing away.
    let mut alone: Vec<Scope> = Vec::new();
    let mut complete = true;
    for scope in asked {
        let one = policy.grant(asker, std::slice::from_ref(scope));
        complete &= one.complete;
        for access in one.access {
            let (resource, actions) = (access.resource().clone(), access.actions().to_vec());
            scope::merge(&mut alone, Scope { resource, actions, unknown_actions: Vec::new() }).unwrap();
        }
    }
    assert_eq!(scope::join(&alone), scope::join(&grant.access));
    assert_eq!(complete, grant.complete);
    // What is explained is what is granted, and every rule that is named has a place.
    let explanation = policy.explain(asker, asked);
    assert_eq!((&explanation.grant, explanation.known), (&grant, !nothing_known));
    assert_eq!(explanation.grant.refused, policy.mode() == Mode::Deny && !grant.complete);
    for explained in &explanation.scopes {
        explained.notes(asker.hosts).iter().for_each(|note| assert!(!note.is_empty()));
        for (action, decision, near) in &explained.actions {
            let because = match (decision, near) {
                (Decision::Granted { by, .. } | Decision::Denied { by }, None) => by,
                (Decision::Unmatched, Some(Near { because, .. })) => because,
                (Decision::Unmatched, None) => continue,
                other => panic!("{other:?}"),
            };
            assert!(document.locate(&because.steps()).is_some(), "{because} has no place");
            let has = |access: &Access| {
                *access.resource() == explained.resource && access.actions().contains(action)
            };
            if matches!(decision, Decision::Granted { .. }) {
                assert!(grant.access.iter().any(has), "{action:?} is granted, and is not in the grant");
            }
        }
    }
    // All that can be named of what he may do is given to him when he asks for it.
    if let Some(all) = policy.grants_of(asker) {
        assert!(!nothing_known || policy.has_anonymous());
        for access in &all.access {
            stands(access);
            let text = access.to_string();
            if let Ok(scopes) = scope::parse_all([text.as_str()]) {
                assert_eq!(scope::join(&policy.grant(asker, &scopes).access), text);
            }
        }
    }
}

/// What may stand in a token at all.
fn stands(access: &Access) {
    let actions = access.actions();
    match access.resource() {
        Resource::Repository(_) => assert!(!actions.is_empty() && !actions.contains(&Action::All)),
        Resource::Catalog => assert_eq!(actions, [Action::All]),
        Resource::ZotCatalog => assert_eq!(actions, [Action::Pull]),
        Resource::Other { .. } => panic!("{access} cannot be granted"),
    }
    let mut once = actions.to_vec();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), actions.len());
}

fn is_asked(access: &Access, asker: &Asker<'_>, asked: &[Scope]) -> bool {
    let name = access.resource().name();
    let same = |scope: &&Scope| {
        let mut hosts = asker.hosts.iter();
        let hosted = hosts.any(|host| scope.resource.name().eq_ignore_ascii_case(&format!("{host}/{name}")));
        scope.resource == *access.resource() || (scope.resource.kind() == access.resource().kind() && hosted)
    };
    let scopes: Vec<&Scope> = asked.iter().filter(same).collect();
    let has = |action: &Action| {
        scopes.iter().any(|scope| scope.actions.contains(action) || scope.actions.contains(&Action::All))
    };
    access.actions().iter().all(has)
}
