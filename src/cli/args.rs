//! From arguments to a [`Command`].
//!
//! Owns how flags are written. Must not know what they lead to. Decision: which flags a subcommand has, its
//! help text says, and it is read from there: what is listed is what is taken. And a flag that stands twice
//! is an error, because scripts that build command lines make that mistake and would not notice which one
//! counts.

use super::{COMMANDS, Command, help};
use crate::cli::error::Error;
use crate::ground::nearest::nearest;
use crate::load::setup::Paths;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// A subcommand: its name of one or two words, its flags, its help, and how its arguments are read.
pub(super) struct Spec {
    /// `issue`, `keys list`
    pub(super) name: &'static str,
    /// How many arguments without a flag there may be.
    pub(super) operands: usize,
    /// The usage text, with a line for each flag: `  --config PATH  What it is`.
    pub(super) help: &'static str,
    /// From the arguments to what is to be done.
    pub(super) read: fn(Arguments) -> Result<Command, Error>,
}

impl Spec {
    /// The flags, each with whether it takes a value.
    fn flags(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.help.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("  --")?.split_once(' ')?;
            Some((name, !rest.starts_with(' ')))
        })
    }
}

/// What was given to a subcommand.
pub(super) struct Arguments {
    spec: &'static Spec,
    flags: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

impl Arguments {
    fn take(&mut self, flag: &str) -> Option<OsString> {
        debug_assert!(self.spec.flags().any(|(known, _)| known == flag), "--{flag} is not in the help text");
        let at = self.flags.iter().position(|(known, _)| *known == flag)?;
        Some(self.flags.swap_remove(at).1)
    }

    /// Whether a flag without a value was given.
    pub(super) fn switch(&mut self, flag: &str) -> bool {
        self.take(flag).is_some()
    }

    /// A flag's text, which may be empty.
    pub(super) fn text(&mut self, flag: &str) -> Result<Option<String>, Error> {
        self.take(flag).map(|value| text(value, &format!("--{flag}"))).transpose()
    }

    /// A flag's text, which may not be empty.
    pub(super) fn name(&mut self, flag: &str) -> Result<Option<String>, Error> {
        match self.text(flag)? {
            Some(value) if value.is_empty() => Err(usage(format!("--{flag} is empty"))),
            value => Ok(value),
        }
    }

    /// A flag's path.
    pub(super) fn path(&mut self, flag: &str) -> Result<Option<PathBuf>, Error> {
        match self.take(flag) {
            Some(value) if value.is_empty() => Err(usage(format!("--{flag} is empty"))),
            value => Ok(value.map(PathBuf::from)),
        }
    }

    /// A path that must be given.
    pub(super) fn required_path(&mut self, flag: &str) -> Result<PathBuf, Error> {
        self.path(flag)?.ok_or_else(|| self.missing(&format!("--{flag} PATH")))
    }

    /// `--config` and `--policy`.
    pub(super) fn files(&mut self) -> Result<Paths, Error> {
        Ok(Paths { config: self.required_path("config")?, policy: self.path("policy")? })
    }

    /// The next argument without a flag.
    pub(super) fn operand(&mut self) -> Result<Option<String>, Error> {
        if self.operands.is_empty() {
            return Ok(None);
        }
        text(self.operands.remove(0), "an argument").map(Some)
    }

    /// Something that must be given was not.
    pub(super) fn missing(&self, what: &str) -> Error {
        let error = usage(format!("`keypebble {}` needs {what}", self.spec.name));
        error.with_hint(format!("see keypebble {} --help", self.spec.name))
    }
}

/// Reads the arguments.
pub(super) fn parse(mut parser: Parser) -> Result<Command, Error> {
    let first = match parser.next().map_err(|error| usage(error.to_string()))? {
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
    let first = text(first, "the command")?;
    if first == "help" {
        return Ok(Command::Help(help::MAIN));
    }
    let Some(spec) = spec_of(&first, &mut parser)? else { return Ok(Command::Help(help::MAIN)) };
    match arguments(&mut parser, spec)? {
        Some(arguments) => (spec.read)(arguments),
        None => Ok(Command::Help(spec.help)),
    }
}

/// The subcommand of the first word, or of the first two; `None` where help is asked for in between.
fn spec_of(first: &str, parser: &mut Parser) -> Result<Option<&'static Spec>, Error> {
    if let Some(spec) = COMMANDS.iter().find(|spec| spec.name == first) {
        return Ok(Some(spec));
    }
    let seconds =
        || COMMANDS.iter().filter_map(|spec| spec.name.split_once(' ')).filter(|(group, _)| *group == first);
    if seconds().next().is_none() {
        let error = usage(format!("unknown command `{first}`"));
        let words = COMMANDS.iter().filter_map(|spec| spec.name.split(' ').next());
        return Err(match nearest(first, words) {
            Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
            None => error.with_hint(format!("the commands are {}", names())),
        });
    }
    let known = || seconds().map(|(_, second)| second).collect::<Vec<_>>().join(", ");
    let second = match parser.next().map_err(|error| usage(error.to_string()))? {
        Some(Arg::Value(second)) => text(second, "the command")?,
        Some(Arg::Long("help") | Arg::Short('h')) => return Ok(None),
        _ => return Err(usage(format!("`keypebble {first}` needs one of {}", known()))),
    };
    let name = format!("{first} {second}");
    let found = COMMANDS.iter().find(|spec| spec.name == name);
    found
        .map(Some)
        .ok_or_else(|| usage(format!("unknown command `{name}`")).with_hint(format!("there is {}", known())))
}

/// The flags and operands after a command; `None` where help is asked for.
fn arguments(parser: &mut Parser, spec: &'static Spec) -> Result<Option<Arguments>, Error> {
    let mut given = Arguments { spec, flags: Vec::new(), operands: Vec::new() };
    while let Some(arg) = parser.next().map_err(|error| usage(error.to_string()))? {
        let name = match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(name) => name.to_owned(),
            Arg::Value(value) if given.operands.len() < spec.operands => {
                given.operands.push(value);
                continue;
            }
            other => {
                let message = format!("unexpected {} after `keypebble {}`", described(&other), spec.name);
                return Err(usage(message).with_hint(format!("see keypebble {} --help", spec.name)));
            }
        };
        let Some((flag, takes_value)) = spec.flags().find(|(known, _)| *known == name) else {
            return Err(unknown_flag(spec, &name));
        };
        let value = if takes_value {
            parser.value().map_err(|_| usage(format!("--{flag} needs a value")))?
        } else {
            OsString::new()
        };
        if given.flags.iter().any(|(seen, _)| *seen == flag) {
            return Err(usage(format!("--{flag} is given twice")));
        }
        given.flags.push((flag, value));
    }
    Ok(Some(given))
}

fn unknown_flag(spec: &Spec, name: &str) -> Error {
    let error = usage(format!("`keypebble {}` has no flag --{name}", spec.name));
    match nearest(name, spec.flags().map(|(flag, _)| flag)) {
        Some(nearest) => error.with_hint(format!("did you mean --{nearest}?")),
        None => error.with_hint(format!("see keypebble {} --help", spec.name)),
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
    let mut names: Vec<&str> = COMMANDS.iter().filter_map(|spec| spec.name.split(' ').next()).collect();
    names.dedup();
    names.join(", ")
}

fn text(value: OsString, what: &str) -> Result<String, Error> {
    value.string().map_err(|_| usage(format!("{what} is not UTF-8")))
}

/// The command line is wrong.
pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::Usage { message: message.into(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::super::issue::Issue;
    use super::*;
    use crate::ground::time::Ttl;
    use crate::token::Format;

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
            format: Some(Format::Nested),
        };
        assert_eq!(
            parsed(
                "issue --generate --ttl=60 --config c --policy=p --claims {} --audience a --format nested"
            )
            .unwrap(),
            Command::Issue(issue)
        );
        assert_eq!(
            parsed("serve --config=c").unwrap(),
            Command::Serve(Paths { config: "c".into(), policy: None })
        );
        assert!(
            matches!(parsed("issue --config c --help").unwrap(), Command::Help(text) if text.contains("Print one token"))
        );
        assert_eq!(parsed("-V").unwrap(), Command::Version);
        assert_eq!(parsed("help").unwrap(), Command::Help(help::MAIN));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("", "a command is required"),
            ("isue", "unknown command `isue` | did you mean `issue`?"),
            ("frobnicate", "the commands are init, issue, serve, check"),
            ("--config c", "unexpected flag --config | the command comes first"),
            ("issue", "`keypebble issue` needs --config PATH"),
            ("issue --config", "--config needs a value"),
            ("issue --config c --config d", "--config is given twice"),
            ("issue --config c --polcy p", "has no flag --polcy | did you mean --policy?"),
            ("serve --config c --claims {}", "`keypebble serve` has no flag --claims"),
            ("issue --config c extra", "unexpected argument `extra`"),
            ("issue --config c -x", "unexpected flag -x"),
            ("issue --config c --generate", "--generate needs a policy"),
            ("issue --config c --policy p --generate=yes", "unexpected"),
            ("issue --config c --ttl 0", "--ttl: expected whole seconds from 1"),
            ("issue --config c --ttl 1h", "found `1h`"),
            ("issue --config c --ttl -5", "--ttl"),
            ("issue --config c --ttl +5", "found `+5`"),
            ("issue --config c --ttl 315360001", "ten years"),
            ("issue --config=", "--config is empty"),
            ("issue --config c --audience=", "--audience is empty"),
            ("issue --config c --format JWT", "expected one of jwt, jwe, nested, fernet, found `JWT`"),
        ] {
            let error = parsed(line).expect_err(line);
            let text = format!("{error} | {}", error.hint().unwrap_or_default());
            assert!(text.contains(part), "{line}: {text}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn every_flag_is_read_from_its_help_and_every_command_is_in_the_main_one() {
        for spec in COMMANDS {
            assert!(help::MAIN.contains(&format!("\n  {} ", spec.name)), "{}", spec.name);
            let usage = spec.help.split("\n\n").find(|part| part.starts_with("Usage: ")).unwrap();
            for (flag, takes_value) in spec.flags() {
                let shown =
                    usage.split(['[', ']', '(', ')', '|', ' ', '\n']).any(|word| word == format!("--{flag}"));
                assert!(shown, "{}: --{flag} is not in its usage line", spec.name);
                let valued = usage.split(['[', ']', '(', ')', '|', '\n']).map(str::trim_end);
                let alone = valued.clone().any(|word| word.ends_with(&format!("--{flag}")));
                assert_eq!(takes_value, !alone, "{}: --{flag}", spec.name);
            }
        }
    }
}
