//! From arguments to a [`Command`].
//!
//! Owns the flags. Must not know what they lead to. Decision: a flag that stands twice is an error, because
//! scripts that build command lines make that mistake and would not notice which one counts.

use super::help;
use crate::document::nearest;
use crate::error::Error;
use crate::time::Ttl;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done: plain data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Print a usage text.
    Help(&'static str),
    /// Print the version.
    Version,
    /// Print a token.
    Issue(Issue),
    /// Answer HTTP.
    Serve(Files),
    /// Load everything and say what was found.
    Check(Files),
    /// Ask a running server whether it is well.
    Healthcheck(Files),
}

/// The files that most commands take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) config: PathBuf,
    pub(super) policy: Option<PathBuf>,
}

/// `keypebble issue`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) config: PathBuf,
    pub(super) policy: Option<PathBuf>,
    pub(super) claims: Option<String>,
    pub(super) generate: bool,
    pub(super) ttl: Option<Ttl>,
    pub(super) audience: Option<String>,
}

/// The subcommands and the flags that each takes.
const COMMANDS: [(&str, &[&str], &str); 4] = [
    ("issue", &["config", "claims", "policy", "generate", "ttl", "audience"], help::ISSUE),
    ("serve", &["config", "policy"], help::SERVE),
    ("check", &["config", "policy"], help::CHECK),
    ("healthcheck", &["config"], help::HEALTHCHECK),
];

/// What was given, before it is known to be enough.
#[derive(Default)]
struct Given {
    config: Option<PathBuf>,
    policy: Option<PathBuf>,
    claims: Option<String>,
    generate: bool,
    ttl: Option<Ttl>,
    audience: Option<String>,
}

/// Reads the arguments.
pub(super) fn parse(mut parser: Parser) -> Result<Command, Error> {
    let name = match parser.next().map_err(|error| usage(error.to_string()))? {
        None => {
            return Err(usage("a command is required").with_hint(format!("one of {}; or --help", names())));
        }
        Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help(help::MAIN)),
        Some(Arg::Long("version") | Arg::Short('V')) => return Ok(Command::Version),
        Some(Arg::Value(name)) => name,
        Some(flag) => {
            let message = format!("unexpected {}", described(&flag));
            return Err(usage(message).with_hint("the command comes first: keypebble issue --config PATH"));
        }
    };
    let name = text(name, "the command")?;
    if name == "help" {
        return Ok(Command::Help(help::MAIN));
    }
    let Some((name, flags, help)) = COMMANDS.into_iter().find(|(known, ..)| *known == name) else {
        let error = usage(format!("unknown command `{name}`"));
        return Err(match nearest(&name, COMMANDS.into_iter().map(|(known, ..)| known)) {
            Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
            None => error.with_hint(format!("the commands are {}", names())),
        });
    };
    let Some(given) = flags_of(&mut parser, name, flags)? else { return Ok(Command::Help(help)) };
    let Some(config) = given.config else {
        return Err(usage(format!("`keypebble {name}` needs --config PATH"))
            .with_hint(format!("see keypebble {name} --help")));
    };
    let policy = given.policy;
    Ok(match name {
        "issue" => {
            if given.generate && policy.is_none() {
                return Err(usage("--generate takes the claims from a policy").with_hint("add --policy PATH"));
            }
            let Given { claims, generate, ttl, audience, .. } = given;
            Command::Issue(Issue { config, policy, claims, generate, ttl, audience })
        }
        "serve" => Command::Serve(Files { config, policy }),
        "check" => Command::Check(Files { config, policy }),
        _ => Command::Healthcheck(Files { config, policy }),
    })
}

/// The flags after a command; `None` where help is asked for.
fn flags_of(parser: &mut Parser, command: &str, flags: &[&'static str]) -> Result<Option<Given>, Error> {
    let mut given = Given::default();
    let mut seen: Vec<&str> = Vec::new();
    while let Some(arg) = parser.next().map_err(|error| usage(error.to_string()))? {
        let flag = match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(name) => match flags.iter().find(|known| **known == name) {
                Some(known) => *known,
                None => return Err(unknown_flag(command, name, flags)),
            },
            other => {
                let message = format!("unexpected {} after `keypebble {command}`", described(&other));
                return Err(usage(message).with_hint(format!("see keypebble {command} --help")));
            }
        };
        if seen.contains(&flag) {
            return Err(usage(format!("--{flag} stands twice")));
        }
        seen.push(flag);
        if flag == "generate" {
            given.generate = true;
            continue;
        }
        let value = parser.value().map_err(|_| usage(format!("--{flag} needs a value")))?;
        match flag {
            "config" => given.config = Some(path(value, "--config")?),
            "policy" => given.policy = Some(path(value, "--policy")?),
            "claims" => given.claims = Some(text(value, "--claims")?),
            "audience" => given.audience = Some(not_empty(text(value, "--audience")?, "--audience")?),
            _ => given.ttl = Some(ttl(&text(value, "--ttl")?)?),
        }
    }
    Ok(Some(given))
}

fn ttl(value: &str) -> Result<Ttl, Error> {
    let seconds = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    seconds.and_then(Ttl::new).ok_or_else(|| {
        let most = Ttl::MAX.seconds();
        usage(format!("--ttl: expected whole seconds from 1 to {most} (ten years), found `{value}`"))
    })
}

fn unknown_flag(command: &str, name: &str, flags: &[&'static str]) -> Error {
    let error = usage(format!("`keypebble {command}` has no flag --{name}"));
    match nearest(name, flags.iter().copied()) {
        Some(nearest) => error.with_hint(format!("did you mean --{nearest}?")),
        None => error.with_hint(format!("see keypebble {command} --help")),
    }
}

fn described(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(flag) => format!("flag -{flag}"),
        Arg::Long(flag) => format!("flag --{flag}"),
        Arg::Value(value) => format!("argument `{}`", value.to_string_lossy()),
    }
}

fn names() -> String {
    COMMANDS.map(|(name, ..)| name).join(", ")
}

fn text(value: OsString, what: &str) -> Result<String, Error> {
    value.string().map_err(|_| usage(format!("{what} is not UTF-8")))
}

fn path(value: OsString, what: &str) -> Result<PathBuf, Error> {
    if value.is_empty() { Err(usage(format!("{what} is empty"))) } else { Ok(value.into()) }
}

fn not_empty(value: String, what: &str) -> Result<String, Error> {
    if value.is_empty() { Err(usage(format!("{what} is empty"))) } else { Ok(value) }
}

fn usage(message: impl Into<String>) -> Error {
    Error::Usage { message: message.into(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Error> {
        parse(Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn flags_stand_in_any_order_and_either_form() {
        let issue = Issue {
            config: "c".into(),
            policy: Some("p".into()),
            claims: Some("{}".into()),
            generate: true,
            ttl: Ttl::new(60),
            audience: Some("a".into()),
        };
        assert_eq!(
            parsed("issue --generate --ttl=60 --config c --policy=p --claims {} --audience a").unwrap(),
            Command::Issue(issue)
        );
        assert_eq!(
            parsed("serve --config=c").unwrap(),
            Command::Serve(Files { config: "c".into(), policy: None })
        );
        assert_eq!(parsed("issue --config c --help").unwrap(), Command::Help(help::ISSUE));
        assert_eq!(parsed("-V").unwrap(), Command::Version);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("", "a command is required"),
            ("isue", "unknown command `isue` | did you mean `issue`?"),
            ("frobnicate", "the commands are issue, serve, check, healthcheck"),
            ("--config c", "unexpected flag --config | the command comes first"),
            ("issue", "`keypebble issue` needs --config PATH"),
            ("issue --config", "--config needs a value"),
            ("issue --config c --config d", "--config stands twice"),
            ("issue --config c --polcy p", "has no flag --polcy | did you mean --policy?"),
            ("serve --config c --claims {}", "`keypebble serve` has no flag --claims"),
            ("issue --config c extra", "unexpected argument `extra`"),
            ("issue --config c -x", "unexpected flag -x"),
            ("issue --config c --generate", "--generate takes the claims from a policy"),
            ("issue --config c --generate=yes", "unexpected"),
            ("issue --config c --ttl 0", "--ttl: expected whole seconds from 1"),
            ("issue --config c --ttl 1h", "found `1h`"),
            ("issue --config c --ttl -5", "--ttl"),
            ("issue --config c --ttl +5", "found `+5`"),
            ("issue --config c --ttl 315360001", "ten years"),
            ("issue --config=", "--config is empty"),
            ("issue --config c --audience=", "--audience is empty"),
        ] {
            let error = parsed(line).expect_err(line);
            let text = format!("{error} | {}", error.hint().unwrap_or_default());
            assert!(text.contains(part), "{line}: {text}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn every_flag_is_in_its_help_and_every_command_in_the_main_one() {
        for (name, flags, help) in COMMANDS {
            assert!(help::MAIN.contains(&format!("\n  {name} ")), "{name}");
            for flag in flags {
                assert!(help.contains(&format!("--{flag}")), "{name} --{flag}");
            }
        }
    }
}
