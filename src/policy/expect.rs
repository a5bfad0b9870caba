//! `tests:`, what a policy file says of itself, and whether it holds.
//!
//! Owns the schema of an expectation and its comparison with what is granted. Must not know how outcomes
//! are printed. Decision: an expectation is about who gets what, never about lives or configuration, so that
//! it can be tried wherever the file is read; and a file that breaks its own expectation is not loaded.

use super::{Asker, Policy, Who};
use crate::ground::document::{Document, DocumentError, Node};
use crate::ground::text::quoted;
use crate::ground::time::Ttl;
use crate::policy::scope::{self, Access, Scope};

const KEYS: [&str; 5] = ["user", "anonymous", "service", "scope", "grants"];

/// One entry of `tests:`.
#[derive(Debug)]
pub struct Expectation {
    /// `None` for the anonymous.
    user: Option<Box<str>>,
    /// The registry's name, which may stand before a repository's.
    pub service: Option<Box<str>>,
    /// What is asked.
    pub asked: Vec<Scope>,
    /// What is to be granted.
    pub grants: Vec<Scope>,
}

/// What became of an expectation.
#[derive(Debug)]
pub struct Outcome {
    /// What the token would grant: nothing where the request is refused.
    pub got: Vec<Access>,
    /// What is expected but not granted.
    pub missing: Vec<Scope>,
    /// What is granted but not expected.
    pub extra: Vec<Scope>,
    /// `mode: deny` refuses the whole request.
    pub refused: bool,
}

impl Outcome {
    /// Whether the expectation holds.
    pub fn holds(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
    }
}

impl Expectation {
    /// Who asks.
    pub fn who(&self) -> Who<'_> {
        self.user.as_deref().map_or(Who::Anonymous, Who::User)
    }
}

impl Policy {
    /// What the file expects of itself.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// Tries one of them.
    pub fn outcome(&self, expectation: &Expectation) -> Outcome {
        let service = expectation.service.as_deref();
        let asker = Asker { who: expectation.who(), hosts: service.as_slice(), default_ttl: Ttl::DEFAULT };
        let grant = self.grant(&asker, &expectation.asked);
        let got = if grant.refused { Vec::new() } else { grant.access };
        let as_scope = |access: &Access| Scope::of(access.resource().clone(), access.actions().to_vec());
        let granted: Vec<Scope> = got.iter().map(as_scope).collect();
        let (missing, extra) =
            (without(&expectation.grants, &granted), without(&granted, &expectation.grants));
        Outcome { got, missing, extra, refused: grant.refused }
    }
}

/// What of `these` is not in `those`.
fn without(these: &[Scope], those: &[Scope]) -> Vec<Scope> {
    let left = these.iter().filter_map(|scope| {
        let same = those.iter().find(|other| other.resource == scope.resource);
        let lacks = |action: &_| same.is_none_or(|same| !same.actions.contains(action));
        let actions: Vec<_> = scope.actions.iter().copied().filter(lacks).collect();
        (!actions.is_empty()).then(|| Scope::of(scope.resource.clone(), actions))
    });
    left.collect()
}

/// The first expectation that does not hold, as an error at its place.
pub(super) fn verify(policy: &Policy, document: &Document) -> Result<(), DocumentError> {
    let root = document.root();
    let Some(tests) = root.get("tests") else { return Ok(()) };
    for (expectation, node) in policy.expectations.iter().zip(tests.items()?) {
        let outcome = policy.outcome(expectation);
        if !outcome.holds() {
            return Err(node
                .error(format!(
                    "this expectation does not hold: expected {}, got {}",
                    scope::join_or_nothing(&expectation.grants),
                    scope::join_or_nothing(&outcome.got)
                ))
                .hint(format!("see why: keypebble policy test --policy {}", document.path().display())));
        }
    }
    Ok(())
}

/// Reads `tests:`.
pub(super) fn read(tests: &Node<'_>) -> Result<Vec<Expectation>, DocumentError> {
    tests.items()?.map(|item| expectation(&item)).collect()
}

fn expectation(node: &Node<'_>) -> Result<Expectation, DocumentError> {
    node.allow_keys(&KEYS)?;
    let anonymous = node.get("anonymous").map_or(Ok(false), |node| node.boolean())?;
    let user = match (node.get("user"), anonymous) {
        (None, true) => None,
        (Some(user), true) => {
            return Err(user.error("`user` and `anonymous` are two askers").hint("leave one of them out"));
        }
        (_, false) => Some(node.required("user", "add `user: NAME`, or `anonymous: true`")?.string()?.into()),
    };
    let service = node.get("service").map(|service| service.string().map(Into::into)).transpose()?;
    let asked = node.required("scope", "add what is asked: `scope: \"repository:NAME:pull,push\"`")?;
    let grants = node.required(
        "grants",
        "add what is to be granted: `grants: \"repository:NAME:pull\"`, or \"\" for nothing",
    )?;
    Ok(Expectation { user, service, asked: scopes(&asked)?, grants: granted(&grants)? })
}

/// One text, perhaps of several scopes.
fn scopes(node: &Node<'_>) -> Result<Vec<Scope>, DocumentError> {
    let scopes = scope::parse_all([node.string_or_empty()?]);
    scopes.map_err(|error| node.error(format!("not a scope: {error}")))
}

/// What a token can hold, as scopes.
fn granted(node: &Node<'_>) -> Result<Vec<Scope>, DocumentError> {
    let scopes = scopes(node)?;
    for scope in &scopes {
        if let Some(action) = scope.unknown_actions.first() {
            return Err(node
                .error(format!("unknown action {} is never granted", quoted("", action)))
                .hint("there are pull, push and delete, and for registry:catalog *"));
        }
        if Access::granted(scope.resource.clone(), scope.actions.clone()).is_none() {
            return Err(node
                .error(format!("{} is never granted", quoted("", &scope.to_string())))
                .hint("a token names repositories with pull, push and delete, and registry:catalog with *"));
        }
    }
    Ok(scopes)
}
