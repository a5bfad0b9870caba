//! `keypebble policy test`: whether a policy file does what it says that it does.

use super::super::args::{Arguments, Spec};
use super::super::{print, warn};
use super::{Named, Setting, name, pretty};
use crate::cli::error::{Error, Exit};
use crate::ground::document::Step;
use crate::policy::scope;
use crate::policy::{Asker, Expectation, Explanation, Outcome, Who};
use serde_json::{Value, json};
use std::fmt::Write;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "policy test", operands: 0, help: include_str!("../help/policy-test.txt"), run };

/// What is to be tried.
struct Test {
    named: Named,
    json: bool,
}

fn read(mut arguments: Arguments) -> Result<Test, Error> {
    Ok(Test { named: Named::read(&mut arguments)?, json: arguments.switch("json") })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let setting = command.named.load()?;
    let file = &setting.file;
    let expectations = file.policy.expectations();
    let tried: Vec<(&Expectation, Outcome)> =
        expectations.iter().map(|expectation| (expectation, file.policy.outcome(expectation))).collect();
    let findings = file.policy.findings(|ttl| setting.lifetimes.of_rule(ttl));
    warn(&findings);
    let failed = tried.iter().filter(|(_, outcome)| !outcome.holds()).count();
    print(&if command.json { as_json(&setting, &tried, failed) } else { as_text(&setting, &tried, failed) })?;
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} of {} expectations in {} do not hold", tried.len(), file.path());
    Err(Error::said(Exit::Failed, message))
}

fn as_text(setting: &Setting, tried: &[(&Expectation, Outcome)], failed: usize) -> String {
    let file = &setting.file;
    if tried.is_empty() {
        return format!(
            "{} has no expectations: add `tests:`, see keypebble policy test --help\n",
            file.path()
        );
    }
    let mut text = String::new();
    for (index, (expectation, outcome)) in tried.iter().enumerate() {
        if !outcome.holds() {
            text.push_str(&difference(setting, index, expectation, outcome));
        }
    }
    let held = tried.len() - failed;
    let _ = writeln!(text, "{}: {held} of {} expectations hold", file.path(), tried.len());
    text
}

/// What was expected, what came, and why.
fn difference(setting: &Setting, index: usize, expectation: &Expectation, outcome: &Outcome) -> String {
    let file = &setting.file;
    let mut text = String::new();
    let place = file.document.locate(&[Step::Key("tests"), Step::Index(index)]);
    let place = place.map_or(String::new(), |(line, column)| format!(":{line}:{column}"));
    // Writing to a String does not fail.
    let _ = writeln!(text, "FAILED {}{place} tests[{index}]", file.path());
    let _ = writeln!(text, "  user      {}", name(expectation.who()));
    let _ = writeln!(text, "  asked     {}", scope::join_or_nothing(&expectation.asked));
    let _ = writeln!(text, "  expected  {}", scope::join_or_nothing(&expectation.grants));
    let _ = writeln!(text, "  got       {}", scope::join_or_nothing(&outcome.got));
    for (what, scopes) in [("missing", &outcome.missing), ("too much", &outcome.extra)] {
        if !scopes.is_empty() {
            let _ = writeln!(text, "  {what:<9} {}", scope::join_or_nothing(scopes));
        }
    }
    with_explanation(setting, expectation, |explanation, hosts| {
        if let Some(unknown) = file.unknown(expectation.who(), explanation) {
            let _ = writeln!(text, "  why       {unknown}");
        }
        if outcome.refused {
            let _ = writeln!(text, "  why       `mode: deny` refuses a request that is not granted in full");
        }
        for line in explanation.scopes.iter().flat_map(|scope| {
            let lines = file.lines(scope, hosts);
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        }) {
            let _ = writeln!(text, "  why       {line}");
        }
    });
    text
}

fn with_explanation<T>(
    setting: &Setting,
    expectation: &Expectation,
    then: impl FnOnce(&Explanation<'_>, &[&str]) -> T,
) -> T {
    let service = expectation.service.as_deref();
    let hosts = service.as_slice();
    let asker = Asker { who: expectation.who(), hosts, default_ttl: setting.lifetimes.default };
    then(&setting.file.policy.explain(&asker, &expectation.asked), hosts)
}

fn as_json(setting: &Setting, tried: &[(&Expectation, Outcome)], failed: usize) -> String {
    let results: Vec<Value> = tried
        .iter()
        .enumerate()
        .map(|(index, (expectation, outcome))| result(setting, index, expectation, outcome))
        .collect();
    pretty(&json!({
        "policy": setting.file.path().to_string(),
        "expectations": tried.len(),
        "failed": failed,
        "results": results,
    }))
}

fn result(setting: &Setting, index: usize, expectation: &Expectation, outcome: &Outcome) -> Value {
    let file = &setting.file;
    let texts =
        |scopes: &[crate::policy::scope::Scope]| scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut result = json!({
        "holds": outcome.holds(),
        "user": match expectation.who() {
            Who::User(name) => Some(name),
            Who::Anonymous => None,
        },
        "service": expectation.service.as_deref(),
        "asked": texts(&expectation.asked),
        "expected": texts(&expectation.grants),
        "got": outcome.got.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missing": texts(&outcome.missing),
        "extra": texts(&outcome.extra),
        "refused": outcome.refused,
    });
    if !outcome.holds() {
        let place = file.document.locate(&[Step::Key("tests"), Step::Index(index)]);
        result["line"] = json!(place.map(|(line, _)| line));
        result["why"] = with_explanation(setting, expectation, |explanation, hosts| {
            explanation.scopes.iter().map(|scope| file.scope_json(scope, hosts)).collect::<Vec<_>>().into()
        });
    }
    result
}
