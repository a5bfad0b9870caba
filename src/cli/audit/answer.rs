//! What an audit says, as rows for people and as an object for programs.

use super::super::tokens::{granted, object, user};
use crate::ground::diagnostic::ascii_json;
use crate::ground::text::{printable, shortened};
use crate::ground::time::UnixTime;
use crate::ground::when::Readable;
use crate::store::entry::{Event, Listed};
use serde_json::{Value, json};
use std::fmt::Write;

/// Everything that is said.
pub(super) struct Answer {
    pub(super) tokens: Vec<Listed>,
    /// There are more tokens, or more events, than `limit`.
    pub(super) more: bool,
    pub(super) limit: u32,
    /// Each change of the policy, the latest first.
    pub(super) policies: Vec<Event>,
    /// What was revoked, and what was used after that.
    pub(super) events: Vec<Event>,
    /// Records that were lost.
    pub(super) dropped: u64,
    pub(super) able: Option<Able>,
    pub(super) now: UnixTime,
}

/// Who could have got something, whether they did or not.
pub(super) struct Able {
    /// The hash of the policy that says so.
    pub(super) policy: String,
    /// User, action, rule.
    pub(super) rows: Vec<[String; 3]>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        for policy in &self.policies {
            let _ =
                writeln!(text, "policy   {} since {} UTC", printable(&policy.detail), Readable(policy.at));
        }
        if self.policies.is_empty() {
            text.push_str("policy   none is recorded for that time\n");
        }
        if let Some(able) = &self.able {
            let _ = writeln!(text, "\nby the policy {} these could get it:", &able.policy);
            for [name, action, rule] in &able.rows {
                let _ = writeln!(text, "{:<12}  {action:<6}  {}", user(name), printable(rule));
            }
            if able.rows.is_empty() {
                text.push_str("nobody\n");
            }
        }
        let _ = writeln!(
            text,
            "\n{:<19}  {:<12}  {:<40}  {:<15}  {:<22}  BY",
            "ISSUED (UTC)", "USER", "GRANTED", "FOR", "ID"
        );
        for token in &self.tokens {
            let entry = &token.entry;
            let rules = if entry.rules.is_empty() { "no rule" } else { entry.rules.as_str() };
            let policy =
                entry.policy.as_deref().map_or(String::new(), |policy| format!(" of policy {policy}"));
            let revoked =
                token.revoked_at.map_or(String::new(), |at| format!("; revoked {} UTC", Readable(at)));
            let _ = writeln!(
                text,
                "{}  {:<12}  {:<40}  {:<15}  {:<22}  {}{}{revoked}",
                Readable(entry.issued_at),
                user(&entry.subject),
                granted(token),
                printable(&entry.address),
                printable(&entry.id),
                printable(rules),
                printable(&policy),
            );
        }
        for event in &self.events {
            let _ = writeln!(text, "{}  {}", Readable(event.at), happened(event));
        }
        let _ = writeln!(text, "\n{} token(s), {} event(s)", self.tokens.len(), self.events.len());
        if self.more {
            let _ =
                writeln!(text, "only the latest {} are shown: give --limit, or ask more exactly", self.limit);
        }
        if self.dropped > 0 {
            let _ = writeln!(
                text,
                "{} record(s) were lost in that time: this answer may lack some",
                self.dropped
            );
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let hash = |event: &Event| Some(event.detail.clone()).filter(|detail| !detail.contains(' '));
        let policy = |event: &Event| json!({ "sha256": hash(event), "since": event.at.to_string() });
        let happened = |event: &Event| {
            json!({
                "at": event.at.to_string(),
                "kind": event.kind.name(),
                "user": event.subject,
                "token": event.token,
                "actor": event.actor,
                "detail": event.detail,
            })
        };
        let able =
            |[user, action, rule]: &[String; 3]| json!({ "user": user, "action": action, "rule": rule });
        ascii_json(&json!({
            "policies": self.policies.iter().map(policy).collect::<Vec<_>>(),
            "able": self.able.as_ref().map(|known| known.rows.iter().map(able).collect::<Vec<_>>()),
            "tokens": self.tokens.iter().map(|token| object(token, self.now)).collect::<Vec<Value>>(),
            "events": self.events.iter().map(happened).collect::<Vec<_>>(),
            "more": self.more,
            "dropped": self.dropped,
        }))
    }
}

/// An event in one line.
fn happened(event: &Event) -> String {
    let mut text = event.kind.name().to_owned();
    for (name, value) in [("token", &event.token), ("user", &event.subject), ("by", &event.actor)] {
        if let Some(value) = value {
            let _ = write!(text, "  {name} {}", shortened(value, 80)); // to a String: cannot fail
        }
    }
    if event.detail.is_empty() { text } else { format!("{text}  ({})", shortened(&event.detail, 200)) }
}
