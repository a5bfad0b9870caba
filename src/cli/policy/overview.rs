//! All that a policy gives somebody, where `policy explain` is not asked for one scope.

use super::Setting;
use crate::policy::scope;
use crate::policy::{Asker, Explanation, Generated, Listed};
use serde_json::{Value, json};
use std::fmt::Write;

/// The rules as a table, with their places, and what a token without a request would hold.
pub(super) fn text(setting: &Setting, asker: &Asker<'_>, explanation: &Explanation<'_>) -> String {
    let mut text = setting.file.head(asker.who, explanation);
    let mut rows = vec![["RULE", "ACTIONS", "REPOSITORY", "LIFE", "PLACE"].map(str::to_owned)];
    rows.extend(setting.file.policy.listed(asker.who).iter().flat_map(|rule| of_rule(setting, rule)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    for [rule, actions, name, life, place] in rows.iter().filter(|_| rows.len() > 1) {
        let [a, b, c, d] = widths;
        // Writing to a String does not fail.
        let _ = writeln!(text, "{rule:<a$}  {actions:<b$}  {name:<c$}  {life:>d$}  {place}");
    }
    if rows.len() == 1 {
        text.push_str("no rule speaks about them\n");
    }
    let Some(Generated { access, ttl, skipped }) = setting.file.policy.grants_of(asker) else { return text };
    let (access, life) = (scope::join_or_nothing(&access), setting.lifetimes.of_rule(Some(ttl)));
    let _ = writeln!(text, "token     without a request grants {access}, for {life}");
    if !skipped.is_empty() {
        let _ = writeln!(
            text,
            "  note    a repository is asked for by its name: {} cannot be in such a token",
            skipped.join(" ")
        );
    }
    text
}

/// A line for each pattern.
fn of_rule(setting: &Setting, rule: &Listed<'_>) -> Vec<[String; 5]> {
    let life = if rule.allows { setting.lifetimes.of_rule(rule.ttl).to_string() } else { String::new() };
    let mut names = rule.patterns();
    if names.is_empty() {
        names.push("(the catalog)");
    }
    let row = |name: &str| {
        let effect = if rule.allows { "allow" } else { "deny" };
        let place = setting.file.rule(&rule.because);
        [effect.to_owned(), rule.actions().join(", "), name.to_owned(), life.clone(), place]
    };
    names.into_iter().map(row).collect()
}

/// The same for programs.
pub(super) fn json(setting: &Setting, asker: &Asker<'_>, explanation: &Explanation<'_>) -> Value {
    let rule = |rule: &Listed<'_>| {
        json!({
            "effect": if rule.allows { "allow" } else { "deny" },
            "actions": rule.actions(),
            "patterns": rule.patterns(),
            "ttl_seconds": rule.allows.then(|| setting.lifetimes.of_rule(rule.ttl).seconds()),
            "rule": setting.file.rule_json(&rule.because),
        })
    };
    let mut object = setting.file.head_json(asker.who, explanation);
    object["rules"] = setting.file.policy.listed(asker.who).iter().map(rule).collect();
    let generated = setting.file.policy.grants_of(asker);
    object["left_out"] = json!(generated.as_ref().map(|generated| &generated.skipped));
    object["token"] = json!(generated.map(|Generated { access, ttl, .. }| {
        json!({"access": access, "ttl_seconds": setting.lifetimes.of_rule(Some(ttl)).seconds()})
    }));
    object
}
