//! `keypebble policy ...`: a policy file that answers for itself.
//!
//! Owns how decisions, rules and their places are written, for people and as JSON. Must not decide
//! anything. Decision: both forms are made from one explanation, so that they cannot differ.

pub(super) mod explain;
mod overview;
pub(super) mod test;

use super::args::{Arguments, usage};
use crate::cli::error::Error;
use crate::ground::document::Document;
use crate::ground::file::Files;
use crate::ground::text::printable;
use crate::ground::time::Lifetimes;
use crate::load::{LoadError, setup};
use crate::policy::{Because, Decision, Explained, Explanation, Near, Policy, Who};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};

/// Which policy is meant, and which configuration it is judged by, if any.
struct Named {
    policy: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Named {
    /// `--policy` and `--config`.
    fn read(arguments: &mut Arguments) -> Result<Self, Error> {
        Ok(Self { policy: arguments.path("policy")?, config: arguments.config_if_any()? })
    }

    fn load(&self) -> Result<Setting, Error> {
        let mut files = Files::default();
        let terms = self.config.as_deref().map(|path| setup::terms(path, &mut files)).transpose()?;
        let (lifetimes, audience, named) = match terms {
            Some(terms) if terms.policy_off && self.policy.is_none() => {
                let error = usage("the configuration says `policy: none`, so there is no policy");
                return Err(error.with_hint("give one with --policy PATH"));
            }
            Some(terms) => (terms.lifetimes, Some(terms.audience), terms.policy_file),
            None => (Lifetimes::default(), None, None),
        };
        let path = self.policy.clone().or(named).or_else(|| setup::default_policy(&mut files));
        let path = path.ok_or_else(|| {
            usage("no policy is named: there is no --policy, and no configuration with `policy_file`")
                .with_hint("give --policy PATH, or --config PATH")
        })?;
        Ok(Setting { file: File::load(&path)?, audience, lifetimes })
    }
}

/// A policy and what decides how long its tokens live and whose they are.
struct Setting {
    file: File,
    /// The configuration's.
    audience: Option<String>,
    lifetimes: Lifetimes,
}

/// Line and column in the file, where they can be found.
type Place = Option<(usize, usize)>;

/// A compiled policy and the file that it was read from.
struct File {
    document: Document,
    policy: Policy,
    /// To find a place the whole file is read again, so each is looked for once.
    places: RefCell<HashMap<String, Place>>,
}

impl File {
    /// Reads it, without holding it to its own expectations: what becomes of those is asked here.
    fn load(path: &Path) -> Result<Self, Error> {
        let read = Policy::read(path, &mut Files::default());
        let (document, policy) = read.map_err(LoadError::of("policy"))?;
        Ok(Self { document, policy, places: RefCell::default() })
    }

    fn path(&self) -> impl Display {
        self.document.path().display()
    }

    fn place(&self, because: &Because<'_>) -> Place {
        let find = || self.document.locate(&because.steps());
        *self.places.borrow_mut().entry(because.key()).or_insert_with(find)
    }

    /// `policy.yaml:12:5 users.alice.rules[0] (pattern alice-space/app-*)`
    fn rule(&self, because: &Because<'_>) -> String {
        match self.place(because) {
            Some((line, column)) => format!("{}:{line}:{column} {because}", self.path()),
            None => format!("{} {because}", self.path()),
        }
    }

    fn rule_json(&self, because: &Because<'_>) -> Value {
        let (line, column) = self.place(because).unzip();
        json!({
            "file": self.path().to_string(),
            "line": line,
            "column": column,
            "key": because.key(),
            "pattern": because.pattern(),
            "actions": because.actions(),
        })
    }

    /// What decided, or almost did.
    fn reason(&self, decision: &Decision<'_>, near: Option<&Near<'_>>) -> String {
        match (decision, near) {
            (Decision::Granted { by, ttl }, _) => format!("{}, for {ttl}", self.rule(by)),
            (Decision::Denied { by }, _) => self.rule(by),
            (Decision::Unmatched, Some(Near { because, edits: 0 })) => format!(
                "the nearest, {}, fits the name, but its actions are {}",
                self.rule(because),
                because.actions().join(", ")
            ),
            (Decision::Unmatched, Some(Near { because, edits })) => format!(
                "the nearest, {}, is {edits} edit{} away from the name",
                self.rule(because),
                if *edits == 1 { "" } else { "s" }
            ),
            (Decision::Unmatched, None) => String::new(),
        }
    }

    /// An asked scope with its notes and, for each action, its reason: as indented lines.
    fn lines(&self, explained: &Explained<'_>, hosts: &[&str]) -> String {
        let mut text = format!("{}\n", explained.asked);
        for note in explained.notes(hosts) {
            let _ = writeln!(text, "  note    {note}"); // to a String: cannot fail
        }
        for (action, decision, near) in &explained.actions {
            let reason = self.reason(decision, near.as_ref());
            let line = format!("  {:<7} {:<8} {reason}", action.name(), verdict(decision));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn scope_json(&self, explained: &Explained<'_>, hosts: &[&str]) -> Value {
        let actions = explained.actions.iter().map(|(action, decision, near)| {
            let (rule, ttl) = match decision {
                Decision::Granted { by, ttl } => (Some(self.rule_json(by)), Some(ttl.seconds())),
                Decision::Denied { by } => (Some(self.rule_json(by)), None),
                Decision::Unmatched => (None, None),
            };
            let nearest = near.map(|near| {
                let lacks = if near.edits == 0 { "action" } else { "name" };
                json!({"lacks": lacks, "edits": near.edits, "rule": self.rule_json(&near.because)})
            });
            json!({
                "action": action.name(),
                "verdict": verdict(decision),
                "rule": rule,
                "ttl_seconds": ttl,
                "nearest": nearest,
            })
        });
        json!({
            "asked": explained.asked.to_string(),
            "type": explained.resource.kind(),
            "name": explained.resource.name(),
            "actions": actions.collect::<Vec<_>>(),
            "notes": explained.notes(hosts),
        })
    }

    /// What every explanation begins with: the policy, who asks, and whether it knows them.
    fn head(&self, who: Who<'_>, explanation: &Explanation<'_>) -> String {
        let mut text = format!(
            "policy    {}, mode {}\nuser      {}\n",
            self.path(),
            self.policy.mode().name(),
            name(who)
        );
        if let Some(unknown) = self.unknown(who, explanation) {
            let _ = writeln!(text, "  note    {unknown}"); // to a String: cannot fail
        }
        text
    }

    fn head_json(&self, who: Who<'_>, explanation: &Explanation<'_>) -> Value {
        json!({
            "policy": self.path().to_string(),
            "mode": self.policy.mode().name(),
            "user": match who {
                Who::User(name) => Some(name),
                Who::Anonymous => None,
            },
            "known": explanation.known,
            "similar": explanation.similar,
        })
    }

    /// What there is to say of an asker whom the policy does not name.
    fn unknown(&self, who: Who<'_>, explanation: &Explanation<'_>) -> Option<String> {
        if explanation.known {
            return None;
        }
        Some(match (who, explanation.similar) {
            (Who::Anonymous, _) => {
                format!(
                    "{} has no `anonymous:`, so a request without a user is answered with 401",
                    self.path()
                )
            }
            (Who::User(_), Some(similar)) => {
                format!("no such user in {}; did you mean `{}`?", self.path(), printable(similar))
            }
            (Who::User(_), None) if self.policy.has_anonymous() => {
                format!("no such user in {}: they get what `anonymous` may pull, and no more", self.path())
            }
            (Who::User(_), None) => format!("no such user in {}", self.path()),
        })
    }
}

fn verdict(decision: &Decision<'_>) -> &'static str {
    match decision {
        Decision::Granted { .. } => "granted",
        Decision::Denied { .. } => "denied",
        Decision::Unmatched => "no rule",
    }
}

fn name(who: Who<'_>) -> String {
    match who {
        Who::User(name) => printable(name),
        Who::Anonymous => "anonymous".to_owned(),
    }
}

/// Indented JSON and a newline.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
