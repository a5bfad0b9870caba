//! `profiles` and what belongs to them, and `claim_mapping`: which further tokens are made, and what `/auth` takes
//! out of a request.

use super::check_claim;
use crate::claims::mapping::{ClaimMapping, Rule, Source};
use crate::claims::{self, ClaimFilter, Recipient};
use crate::ground::document::{DocumentError, Node};
use crate::ground::nearest::did_you_mean;
use crate::ground::time::{Lifetimes, Ttl};

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 3] = ["profiles", "command_targets", "claim_mapping"];

/// What is made beside `/v2/token` and `/auth`, and how `/auth` finds claims.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    /// `profiles: [command]`: whether `/command/token` answers.
    pub command: bool,
    /// `command_targets`; `None` where the file has no such list.
    targets: Option<Vec<String>>,
    /// `profiles: [kubernetes]`: whether the tokens of service accounts are made.
    pub kubernetes: bool,
    /// `claim_mapping`
    pub mapping: ClaimMapping,
}

impl Profiles {
    /// Reads both keys from the root of a configuration.
    pub(super) fn read(
        root: &Node<'_>,
        lifetimes: Lifetimes,
        filter: &ClaimFilter,
        services: &[&str],
    ) -> Result<Self, DocumentError> {
        let mut profiles =
            Self { targets: targets(root, services)?, mapping: mapping(root, filter)?, ..Self::default() };
        profiles.read_names(root)?;
        if let (Some(node), false) = (root.get("command_targets"), profiles.command) {
            let error = node.error("`command_targets` does nothing without the profile `command`");
            return Err(error.hint("add `profiles: [command]`, or leave it out"));
        }
        if profiles.kubernetes && lifetimes.max < Ttl::KUBERNETES_MIN {
            return Err(root
                .key_error(
                    "max_ttl_seconds",
                    format!(
                        "a service account's token lives at least {}, but `max_ttl_seconds` is {}",
                        Ttl::KUBERNETES_MIN,
                        lifetimes.max
                    ),
                )
                .hint("set max_ttl_seconds to 600 or more, or leave the profile `kubernetes` out"));
        }
        Ok(profiles)
    }

    fn read_names(&mut self, root: &Node<'_>) -> Result<(), DocumentError> {
        let Some(list) = root.get("profiles") else { return Ok(()) };
        for item in list.items()? {
            let profile = match item.string()? {
                "command" => &mut self.command,
                "kubernetes" => &mut self.kubernetes,
                other => {
                    let error = item.error(format!("there is no profile {}", item.quoted()));
                    let all = "the profiles are command and kubernetes";
                    return Err(error.hint(did_you_mean(other, ["command", "kubernetes"], all)));
                }
            };
            if std::mem::replace(profile, true) {
                return Err(item.error(format!("{} stands twice", item.quoted())));
            }
        }
        Ok(())
    }

    /// Whether a command token for that target may be had over HTTP: by anybody who may ask for it at all if it
    /// is listed; and where nothing is, by a trusted peer, but by no user.
    pub fn allow_target(&self, target: &str, for_user: bool) -> bool {
        match &self.targets {
            None => !for_user,
            Some(targets) => targets.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => target.starts_with(start),
                None => target == known,
            }),
        }
    }

    /// The names of those that are on.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [("command", self.command), ("kubernetes", self.kubernetes)];
        all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }
}

/// Names, or their beginnings with a `*` behind.
fn targets(root: &Node<'_>, services: &[&str]) -> Result<Option<Vec<String>>, DocumentError> {
    let Some(list) = root.get("command_targets") else { return Ok(None) };
    let read = |item: Node<'_>| {
        let target = item.string()?;
        Recipient::new(target, services.iter().copied())
            .map_err(|error| item.error(format!("{} {error}", item.quoted())))?;
        if target.trim_end_matches('*').contains('*') || target.ends_with("**") {
            return Err(item.error("a `*` may only stand at the end, and there once"));
        }
        Ok(target.to_owned())
    };
    list.items()?.map(read).collect::<Result<_, _>>().map(Some)
}

fn mapping(root: &Node<'_>, filter: &ClaimFilter) -> Result<ClaimMapping, DocumentError> {
    let Some(node) = root.get("claim_mapping") else { return Ok(ClaimMapping::default()) };
    let mut rules = Vec::new();
    for (claim, value) in node.entries()? {
        check_claim(claim, |problem| node.key_error(claim, problem))?;
        if !filter.allows(claim) {
            return Err(node
                .key_error(claim, "`allowed_custom_claims` does not list this claim, so it would be left out")
                .hint("add it there, or leave it out here"));
        }
        rules.push(rule(claim, &value)?);
    }
    let names: Vec<String> = rules.iter().map(|rule| rule.claim.clone()).collect();
    let error = |error: claims::ClaimsError| root.key_error("claim_mapping", error.to_string());
    claims::check_distinct(filter.names().chain(&names)).map_err(error)?;
    Ok(ClaimMapping::new(rules))
}

/// `PATH`, a fixed value, or `{from: PATH, required: true}`.
fn rule(claim: &str, value: &Node<'_>) -> Result<Rule, DocumentError> {
    let made = |source, required| Rule { claim: claim.to_owned(), source, required };
    if !value.is_mapping() {
        return source(value, claim).map(|source| made(source, false));
    }
    value
        .allow_keys(&["from", "required"])
        .map_err(|error| error.hint("a fixed mapping belongs into `static_claims`"))?;
    let from = value.required("from", "write {from: $.query.NAME, required: true}")?;
    let required = value.get("required").map_or(Ok(false), |node| node.boolean())?;
    match source(&from, claim)? {
        Source::Literal(_) => Err(from
            .error("expected $.query.NAME, $.header.NAME or $.body.NAME")
            .hint("a fixed value is never missing: write it as it is")),
        source => Ok(made(source, required)),
    }
}

fn source(node: &Node<'_>, claim: &str) -> Result<Source, DocumentError> {
    if node.is_string() {
        let source = Source::parse(node.string_or_empty()?).map_err(|problem| node.error(problem))?;
        return Ok(source);
    }
    let json = node.json()?;
    if json.is_null() {
        return Err(node.error("expected a value").hint("leave the claim out"));
    }
    if claim == "sub" {
        return Err(node.error("the claim `sub` is a text"));
    }
    claims::check_value(&json).map_err(|error| node.error(error.to_string()))?;
    Ok(Source::Literal(json))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::ground::document::Document;
    use std::path::Path;

    fn read(yaml: &str) -> Result<Profiles, String> {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/config.yaml");
        let text = format!("issuer: i\naudience: a\nprivate_key_path: p256.pem\n{yaml}");
        let document = Document::parse(Path::new(here), text).unwrap();
        let said = |error: DocumentError| {
            let place = error.to_string();
            format!(
                "{} | {}",
                place.rsplit_once("config.yaml:").unwrap().1,
                error.hint.clone().unwrap_or_default()
            )
        };
        Config::read(&document).map(|config| config.profiles).map_err(said)
    }

    #[test]
    fn nothing_is_on_by_itself() {
        let none = read("").unwrap();
        assert!(none.names().is_empty() && none.mapping.is_empty());
        assert_eq!(read("profiles: [kubernetes, command]").unwrap().names(), ["command", "kubernetes"]);
    }

    #[test]
    fn users_get_commands_for_listed_targets_alone() {
        let listed = read("profiles: [command]\ncommand_targets: [vault, edge-*]").unwrap();
        let all = read("profiles: [command]\ncommand_targets: ['*']").unwrap();
        let none = read("profiles: [command]\ncommand_targets: []").unwrap();
        let unlisted = read("profiles: [command]").unwrap();
        for (profiles, target, by_user, by_peer) in [
            (&listed, "vault", true, true),
            (&listed, "edge-", true, true),
            (&listed, "edge-7", true, true),
            (&listed, "edge", false, false),
            (&listed, "Vault", false, false),
            (&listed, "vault2", false, false),
            (&listed, "my-edge-7", false, false),
            (&all, "x", true, true),
            (&none, "x", false, false),
            (&unlisted, "x", false, true),
        ] {
            assert_eq!(profiles.allow_target(target, true), by_user, "{target}");
            assert_eq!(profiles.allow_target(target, false), by_peer, "{target}");
        }
    }

    #[test]
    fn a_mapping_is_compiled_in_order() {
        let mapping = read(
            "allowed_custom_claims: [sub, edge, n, o]\n\
             claim_mapping:\n  sub: {from: $.header.X-User, required: true}\n  edge: $.query.edge\n  \
             n: 7\n  o: {from: $.body.a.b}\n",
        );
        let rule = |claim: &str, source, required| Rule { claim: claim.to_owned(), source, required };
        let expected = ClaimMapping::new(vec![
            rule("sub", Source::Header("X-User".into()), true),
            rule("edge", Source::Query("edge".into()), false),
            rule("n", Source::Literal(7.into()), false),
            rule("o", Source::Body(vec!["a".into(), "b".into()]), false),
        ]);
        assert_eq!(mapping.unwrap().mapping, expected);
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        for (yaml, said) in [
            ("profiles: command", "4:11: profiles: expected a list"),
            (
                "profiles: [comand]",
                "4:12: profiles[0]: there is no profile `comand` | did you mean `command`",
            ),
            ("profiles: [saml]", "| the profiles are command and kubernetes"),
            ("profiles: [command, command]", "4:21: profiles[1]: `command` stands twice"),
            (
                "max_ttl_seconds: 599\ndefault_ttl_seconds: 60\nprofiles: [kubernetes]",
                "4:1: a service account's token lives at least 600 s, but `max_ttl_seconds` is 599 s",
            ),
            (
                "command_targets: [b]",
                "4:18: command_targets: `command_targets` does nothing without the profile",
            ),
            (
                "profiles: [command]\ncommand_targets: [b, A]",
                "5:22: command_targets[1]: `A` is a service of this",
            ),
            ("profiles: [command]\ncommand_targets: [b c]", "5:19: command_targets[0]: `b c` is no name"),
            (
                "profiles: [command]\ncommand_targets: ['b*c']",
                "5:19: command_targets[0]: a `*` may only stand",
            ),
            (
                "profiles: [command]\ncommand_targets: ['**']",
                "5:19: command_targets[0]: a `*` may only stand",
            ),
            ("claim_mapping: [a]", "4:16: claim_mapping: expected a mapping"),
            ("claim_mapping: {exp: $.query.a}", "4:17: claim_mapping: the claim `exp` is the issuer's own"),
            (
                "claim_mapping: {kubernetes.io: 1}",
                "4:17: claim_mapping: the claim `kubernetes.io` is the issuer",
            ),
            ("claim_mapping: {Sub: $.query.a}", "4:17: claim_mapping: the claim `Sub` is `sub` to programs"),
            ("claim_mapping: {a: 1, A: 2}", "4:1: `a` and `A` are the same name"),
            ("static_claims: {a: 1}\nclaim_mapping: {A: 2}", "5:1: `a` and `A` are the same name"),
            (
                "allowed_custom_claims: [sub]\nclaim_mapping: {a: 1}",
                "5:17: claim_mapping: `allowed_custom_claims` does not list this claim",
            ),
            ("claim_mapping: {a: $.cookie.b}", "4:20: claim_mapping.a: expected $.query.NAME"),
            (
                "claim_mapping: {a: $.header.Cookie}",
                "4:20: claim_mapping.a: such a header field holds a secret",
            ),
            ("claim_mapping: {a: {required: true}}", "4:20: claim_mapping.a: `from` is missing"),
            ("claim_mapping: {a: {from: b}}", "4:27: claim_mapping.a.from: expected $.query.NAME"),
            ("claim_mapping: {a: {from: 7}}", "4:27: claim_mapping.a.from: expected $.query.NAME"),
            (
                "claim_mapping: {a: {from: $.query.b, required: yes please}}",
                "4:48: claim_mapping.a.required: expected true or false",
            ),
            ("claim_mapping: {a: {b: 1}}", "unknown key `b` | a fixed mapping belongs into `static_claims`"),
            ("claim_mapping: {a: null}", "4:20: claim_mapping.a: expected a value"),
            ("claim_mapping: {a: 1e300}", "4:20: claim_mapping.a: the number 1e+300 is too large"),
            ("claim_mapping: {sub: 7}", "4:22: claim_mapping.sub: the claim `sub` is a text"),
            ("claim_mapping: {a: [{b: 1, B: 2}]}", "4:20: claim_mapping.a: `B` and `b` are the same name"),
        ] {
            let error = read(yaml).expect_err(yaml);
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }
}
