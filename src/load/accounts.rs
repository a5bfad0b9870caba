//! Whether those who can log in and those who may do something are the same people.
//!
//! Must not know how either file is read. Decision: a warning, as both files are right by themselves: a user may be
//! let in before they may do anything, and the other way round.

use crate::ground::diagnostic::Diagnostic;
use crate::ground::text::word;
use crate::login::users::Users;
use crate::policy::{Policy, Who};
use std::path::Path;

/// More names than this are counted.
const SHOWN: usize = 5;

/// Users of one file who are not in the other. Where a proxy names users, too, they need no password here.
pub(crate) fn strangers(
    (users, file): (&Users, &Path),
    policy: &Policy,
    proxy_names_users: bool,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let unknown: Vec<&str> = users
        .costs()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !policy.knows(Who::User(name)))
        .collect();
    if let Some(first) = unknown.first() {
        let what = if policy.has_anonymous() {
            "not in the policy, so they get what `anonymous` may read and nothing more"
        } else {
            "not in the policy, so they can log in and get nothing"
        };
        let hint = match unknown.iter().find(|name| policy.has_group(name)) {
            Some(group) => {
                format!("`{group}` is a group: name each member under `users`, with `groups: [{group}]`")
            }
            None => {
                format!(
                    "add them under `users` in the policy, or: keypebble user remove {} --users-file {}",
                    word(first),
                    word(&file.display().to_string())
                )
            }
        };
        found.push(Diagnostic::advice(
            "users",
            format!("{}: {} {what}", file.display(), listed(&unknown)),
            hint,
        ));
    }
    let without: Vec<&str> =
        policy.users().into_iter().filter(|name| users.hash_of(name).is_none()).collect();
    // That nobody has one is warned of where the file is read.
    if let Some(first) = without.first().filter(|_| !proxy_names_users && users.count() > 0) {
        found.push(Diagnostic::advice(
            "users",
            format!("{}: {} in the policy and without a password", file.display(), listed(&without)),
            format!("keypebble user set {} --users-file {}", word(first), word(&file.display().to_string())),
        ));
    }
    found
}

/// `alice is`, `alice, bob are`, `a, b, c, d, e and 20 more are`
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        1 => format!("{shown} is"),
        count if count > SHOWN => format!("{shown} and {} more are", count - SHOWN),
        _ => format!("{shown} are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::document::Document;

    const HASH: &str = "$2y$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";

    #[test]
    fn who_is_in_one_file_alone_is_named() {
        let rules = "{repos: [a], actions: [pull]}";
        for (names, policy, proxy, expected) in [
            ("alice", format!("users: {{alice: {rules}}}"), false, vec![]),
            (
                "alice",
                format!("groups: {{ops: {rules}}}\nusers: {{alice: {{groups: [ops]}}}}"),
                false,
                vec![],
            ),
            (
                "alice ops",
                format!("groups: {{ops: {rules}}}\nusers: {{alice: {{groups: [ops]}}}}"),
                false,
                vec![
                    "users: ops is not in the policy, so they can log in and get nothing / `ops` is a group",
                ],
            ),
            (
                "zoe",
                format!("anonymous: {rules}\nusers: {{alice: {rules}}}"),
                false,
                vec![
                    "users: zoe is not in the policy, so they get what `anonymous` may read / add them",
                    "users: alice is in the policy and without a password / keypebble user set alice",
                ],
            ),
            ("", format!("users: {{alice: {rules}}}"), true, vec![]),
            (
                "a b c d e f g",
                String::new(),
                false,
                vec!["users: a, b, c, d, e and 2 more are not in the policy / add them"],
            ),
        ] {
            let lines: Vec<String> = names.split_whitespace().map(|name| format!("{name}:{HASH}")).collect();
            let users = Users::parse(Path::new("users"), lines.join("\n").as_bytes()).unwrap();
            let document = Document::parse(Path::new("p"), format!("mode: filter\n{policy}")).unwrap();
            let found = strangers((&users, Path::new("users")), &Policy::compile(&document).unwrap(), proxy);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                let (what, hint) = expected.split_once(" / ").unwrap();
                assert!(found.what.starts_with(what) && found.hint.starts_with(hint), "{found:?}");
            }
        }
    }
}
