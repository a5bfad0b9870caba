//! From arguments to a subcommand and what it is given.
//!
//! Owns how flags are written. Must not know what they lead to. Decision: which flags a subcommand has, its
//! help text says, and it is read from there: what is listed is what is taken. And a flag that stands twice
//! is an error unless its usage says `...`, because scripts that build command lines make that mistake and
//! would not notice which one counts.

use super::flags::{self, Flag};
use super::{COMMANDS, help};
use crate::cli::error::{Error, Exit};
use crate::ground::nearest::{did_you_mean, nearest};
use crate::ground::text::{quoted, word};
use crate::key::algorithm::Algorithm;
use crate::load::setup::{DEFAULT_CONFIG, Paths};
use lexopt::{Arg, Parser, ValueExt};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Names the configuration where `--config` does not.
const CONFIG_VARIABLE: &str = "KEYPEBBLE_CONFIG";

/// What the command line asks for.
pub(super) enum Asked {
    /// To print this usage text.
    Help(String),
    /// To print the version.
    Version,
    /// To run a subcommand.
    Command(&'static Spec, Arguments),
}

/// A subcommand: its name of one or two words, its flags, its help, and what it does.
pub(super) struct Spec {
    /// `issue`, `keys list`
    pub(super) name: &'static str,
    /// How many arguments without a flag there may be.
    pub(super) operands: usize,
    /// The usage text, with a line for each flag: `  -c, --config PATH  What it is`.
    pub(super) help: &'static str,
    /// Reads all of its arguments, then does it: what is wrong with them is said before any work.
    pub(super) run: fn(Arguments) -> Result<(), Error>,
}

/// What was given to a subcommand.
pub(super) struct Arguments {
    spec: &'static Spec,
    flags: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

impl Arguments {
    fn take(&mut self, flag: &str) -> Option<OsString> {
        debug_assert!(
            flags::of(self.spec.help).any(|known| known.name == flag),
            "--{flag} is not in the help text"
        );
        let at = self.flags.iter().position(|(known, _)| *known == flag)?;
        Some(self.flags.remove(at).1)
    }

    /// Whether a flag without a value was given.
    pub(super) fn switch(&mut self, flag: &str) -> bool {
        self.take(flag).is_some()
    }

    /// A flag's text, which may be empty.
    pub(super) fn text(&mut self, flag: &str) -> Result<Option<String>, Error> {
        self.take(flag).map(|value| text(value, &format!("--{flag}"))).transpose()
    }

    /// The texts of a flag that may stand more than once, in their order.
    pub(super) fn texts(&mut self, flag: &str) -> Result<Vec<String>, Error> {
        std::iter::from_fn(|| self.text(flag).transpose()).collect()
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

    /// A flag's path of what is written or changed.
    pub(super) fn target(&mut self, flag: &str) -> Result<Option<PathBuf>, Error> {
        self.path(flag)?.map(|path| target(&format!("--{flag}"), path)).transpose()
    }

    /// What a flag's text says, such as how long something lives.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, flag: &str) -> Result<Option<T>, Error> {
        let read = |text: String| {
            text.parse().map_err(|error| usage(format!("--{flag}: {error}, found {}", quoted("", &text))))
        };
        self.text(flag)?.map(read).transpose()
    }

    /// What a flag's text names, of a closed set with these names.
    pub(super) fn one_of<T>(
        &mut self,
        flag: &str,
        names: &[&str],
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.name(flag)? else { return Ok(None) };
        let wrong =
            || usage(format!("--{flag}: expected one of {}, found {}", names.join(", "), quoted("", &text)));
        read(&text).map(Some).ok_or_else(wrong)
    }

    /// `--algorithm`
    pub(super) fn algorithm(&mut self) -> Result<Option<Algorithm>, Error> {
        self.one_of("algorithm", &Algorithm::ALL.map(Algorithm::name), |name| name.parse().ok())
    }

    /// A flag's whole number within these bounds, in digits alone.
    pub(super) fn number(&mut self, flag: &str, bounds: RangeInclusive<u32>) -> Result<Option<u32>, Error> {
        let Some(text) = self.name(flag)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = bounds.into_inner();
            usage(format!(
                "--{flag}: expected a whole number from {least} to {most}, found {}",
                quoted("", &text)
            ))
        })
    }

    /// The configuration: that of `--config`, else of `KEYPEBBLE_CONFIG`, else the one in /etc.
    pub(super) fn config(&mut self) -> Result<PathBuf, Error> {
        self.config_if_any()?.ok_or_else(|| self.missing("--config PATH"))
    }

    /// The same for a command that can do without one.
    pub(super) fn config_if_any(&mut self) -> Result<Option<PathBuf>, Error> {
        match self.path("config")? {
            Some(path) => Ok(Some(path)),
            None => unnamed_config(env::var_os(CONFIG_VARIABLE), Path::new(DEFAULT_CONFIG)),
        }
    }

    /// The configuration and `--policy`.
    pub(super) fn files(&mut self) -> Result<Paths, Error> {
        Ok(Paths { config: self.config()?, policy: self.path("policy")?, listen: None })
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
        let looked = if what.contains("--config") {
            format!(": {CONFIG_VARIABLE} is not set, and {DEFAULT_CONFIG} does not exist")
        } else {
            String::new()
        };
        let message = format!("`keypebble {}` needs {what}{looked}", self.spec.name);
        usage(message).with_hint(format!("see keypebble {} --help", self.spec.name))
    }
}

/// The configuration where `--config` does not stand.
fn unnamed_config(variable: Option<OsString>, default: &Path) -> Result<Option<PathBuf>, Error> {
    // What cannot be looked at is there: reading it says why not.
    let exists = |path: &Path| path.try_exists().unwrap_or(true);
    match variable.filter(|value| !value.is_empty()).map(PathBuf::from) {
        None => Ok(Some(default.to_owned()).filter(|path| exists(path))),
        Some(path) if exists(&path) => Ok(Some(path)),
        Some(path) => Err(usage(format!("{CONFIG_VARIABLE} names {}, which does not exist", path.display()))
            .with_hint("unset it, or give --config PATH")),
    }
}

/// Reads the arguments.
pub(super) fn parse(mut parser: Parser) -> Result<Asked, Error> {
    let mut name = String::new(); // of a command, or the first word of several
    let mut helping = false;
    loop {
        if let Some(spec) = COMMANDS.iter().find(|spec| spec.name == name && !helping) {
            let help = || Asked::Help(spec.help.to_owned());
            let given = arguments(&mut parser, spec)?;
            return Ok(given.map_or_else(help, |arguments| Asked::Command(spec, arguments)));
        }
        match next(&mut parser)? {
            Some(Arg::Long("help") | Arg::Short('h')) => helping = true,
            Some(Arg::Long("version") | Arg::Short('V')) if name.is_empty() => return Ok(Asked::Version),
            Some(Arg::Value(word)) if word == "help" => helping = true,
            Some(Arg::Value(word)) => name = longer(&name, &text(word, "the command")?)?,
            Some(flag) if name.is_empty() || helping => {
                let error = usage(format!("unexpected {}", described(&flag)));
                return Err(error.with_hint(
                    "the command comes first: keypebble serve --config PATH, or keypebble issue --config PATH",
                ));
            }
            None if helping => return Ok(Asked::Help(help::of(&name))),
            None if name.is_empty() => {
                let hint = format!("one of {}; or --help", help::words(&name).join(", "));
                return Err(usage("a command is required").with_hint(hint));
            }
            None | Some(_) => {
                let words = help::words(&name).join(", ");
                return Err(usage(format!("`keypebble {name}` needs one of {words}")));
            }
        }
    }
}

/// The next flag or word. A value that belongs to no flag is not quoted: it may be a secret.
fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>, Error> {
    parser.next().map_err(|error| match error {
        lexopt::Error::UnexpectedValue { option, .. } => usage(format!("{option} takes no value")),
        other => usage(other.to_string()),
    })
}

/// The name with another word, where a command begins so.
fn longer(name: &str, word: &str) -> Result<String, Error> {
    let longer = format!("{name} {word}").trim_start().to_owned();
    let words = help::words(name);
    if words.contains(&word) {
        return Ok(longer);
    }
    if words.is_empty() {
        return Err(too_many(name));
    }
    let all = format!("the commands are {}", words.join(", "));
    Err(usage(format!("unknown command {}", quoted("", &longer))).with_hint(did_you_mean(word, words, &all)))
}

/// The flags and operands after a command; `None` where help is asked for.
fn arguments(parser: &mut Parser, spec: &'static Spec) -> Result<Option<Arguments>, Error> {
    let mut given = Arguments { spec, flags: Vec::new(), operands: Vec::new() };
    while let Some(arg) = next(parser)? {
        let flag = match arg {
            Arg::Value(value) if given.operands.len() < spec.operands => {
                given.operands.push(value);
                continue;
            }
            Arg::Value(path) if is_config(spec, &path) => {
                let hint = format!("did you mean --config {}?", word(&path.to_string_lossy()));
                return Err(too_many(spec.name).with_hint(hint));
            }
            Arg::Value(_) => return Err(too_many(spec.name)),
            Arg::Long(name) => {
                let known = flags::of(spec.help).find(|known| known.name == name);
                known.ok_or_else(|| unknown_flag(spec, name))?
            }
            Arg::Short(letter) => {
                let known = flags::of(spec.help).find(|known| known.short == Some(letter));
                known.ok_or_else(|| {
                    usage(format!("unexpected flag -{letter} after `keypebble {}`", spec.name))
                        .with_hint(format!("see keypebble {} --help", spec.name))
                })?
            }
        };
        let Flag { name, value, .. } = flag;
        if name == "help" {
            return Ok(None);
        }
        let value = match value {
            Some(_) => parser.value().map_err(|_| usage(format!("--{name} needs a value")))?,
            None => OsString::new(),
        };
        if given.flags.iter().any(|(seen, _)| *seen == name) && !flags::repeats(spec.help, name) {
            return Err(usage(format!("--{name} is given twice")));
        }
        given.flags.push((name, value));
    }
    Ok(Some(given))
}

/// An argument that has no place. It is not quoted: where a prompt is expected, it is a password.
fn too_many(command: &str) -> Error {
    usage(format!("one argument too many after `keypebble {command}`"))
        .with_hint(format!("see keypebble {command} --help"))
}

/// Whether an argument looks like the path of a configuration, where one can be named.
fn is_config(spec: &Spec, argument: &OsStr) -> bool {
    let yaml = Path::new(argument).extension().is_some_and(|end| end == "yaml" || end == "yml");
    yaml && flags::of(spec.help).any(|flag| flag.name == "config")
}

fn unknown_flag(spec: &Spec, name: &str) -> Error {
    let error = usage(format!("`keypebble {}` has no flag --{name}", spec.name));
    let known = || flags::of(spec.help).map(|flag| flag.name);
    if matches!(name, "host" | "port") && known().any(|flag| flag == "listen") {
        return error.with_hint(format!("--listen HOST:PORT, or `service.{name}` in the configuration"));
    }
    match nearest(name, known()) {
        Some(nearest) => error.with_hint(format!("did you mean --{nearest}?")),
        None => error.with_hint(format!("see keypebble {} --help", spec.name)),
    }
}

fn described(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(flag) => format!("flag -{flag}"),
        Arg::Long(flag) => format!("flag --{flag}"),
        Arg::Value(_) => "argument".to_owned(),
    }
}

fn text(value: OsString, what: &str) -> Result<String, Error> {
    value.string().map_err(|_| usage(format!("{what} is not UTF-8")))
}

/// A path that is written: `-` would be a file of that name, where standard output is meant.
pub(super) fn target(what: &str, path: PathBuf) -> Result<PathBuf, Error> {
    if path.as_os_str() != "-" {
        return Ok(path);
    }
    let stdout = if what == "--out" { "leave --out out for standard output; " } else { "" };
    Err(usage(format!("{what}: expected a path, found `-`")).with_hint(format!("{stdout}./- has that name")))
}

/// The command line is wrong.
pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::said(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::super::issue::claims::ClaimFlags;
    use super::super::issue::{self, Issue};
    use super::super::{run, serve};
    use super::*;
    use crate::ground::time::Ttl;
    use crate::token::Format;

    fn parsed(line: &str) -> Result<Asked, Error> {
        parse(Parser::from_args(line.split_whitespace()))
    }

    fn read<T>(line: &str, read: fn(Arguments) -> Result<T, Error>) -> T {
        let Asked::Command(_, arguments) = parsed(line).unwrap() else { panic!("{line}") };
        read(arguments).unwrap()
    }

    #[test]
    fn flags_stand_in_any_order_and_either_form() {
        let expected = Issue {
            config: "c".into(),
            policy: Some("p".into()),
            claims: ClaimFlags {
                json: Some("{}".into()),
                sub: Some("s".into()),
                single: vec!["a=1".into(), "b=2".into()],
            },
            generate: true,
            ttl: Ttl::new(60),
            audience: Some("a".into()),
            format: Some(Format::Nested),
            wrong: issue::wrong::Wrong::default(),
        };
        assert_eq!(
            read(
                "issue --generate --ttl=60 --config c --policy=p --claims {} --claim a=1 --sub s --claim b=2 --audience a --format nested",
                issue::read
            ),
            expected
        );
        assert_eq!(
            read("serve --config=c", serve::read),
            Paths { config: "c".into(), policy: None, listen: None }
        );
        assert!(
            matches!(parsed("issue --config c --help").unwrap(), Asked::Help(text) if text.contains("Print one token"))
        );
        assert_eq!(read("serve -c c", serve::read), read("serve --config c", serve::read));
        assert!(matches!(parsed("-V"), Ok(Asked::Version)));
    }

    #[test]
    fn help_stands_before_or_after_a_command_of_any_length() {
        for (lines, begins) in [
            (&["help", "--help", "-h"][..], "Keypebble issues tokens"),
            (
                &["help keys", "keys help", "keys --help", "keys -h"],
                "Usage: keypebble keys COMMAND\n\nCommands:\n  generate  Make",
            ),
            (
                &[
                    "help keys rotate",
                    "keys help rotate",
                    "keys rotate --help",
                    "keys --help rotate",
                    "-h keys rotate",
                ],
                "Let the next key sign",
            ),
            (&["help issue", "issue -h", "issue --config c -h"], "Print one token"),
        ] {
            for line in lines {
                let Asked::Help(text) = parsed(line).unwrap() else { panic!("{line}") };
                assert!(text.starts_with(begins), "{line}: {text}");
            }
        }
    }

    #[test]
    fn a_configuration_that_is_not_named_is_the_variable_s_or_the_one_in_etc() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let (nowhere, found) = (here.with_file_name("nowhere.yaml"), |path: &Path| Some(path.to_owned()));
        assert_eq!(unnamed_config(None, &nowhere).unwrap(), None);
        assert_eq!(unnamed_config(Some(OsString::new()), &here).unwrap(), found(&here), "empty is unset");
        assert_eq!(unnamed_config(Some(here.clone().into()), &nowhere).unwrap(), found(&here));
        let error = unnamed_config(Some(nowhere.into()), &here).unwrap_err();
        assert!(error.to_string().contains("nowhere.yaml, which does not exist"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("", "a command is required"),
            ("keys", "`keypebble keys` needs one of generate, list, rotate, retire, export"),
            ("keys --config c", "`keypebble keys` needs one of"),
            ("keys rotat", "unknown command `keys rotat` | did you mean `rotate`?"),
            ("help keys frobnicate", "the commands are generate, list"),
            ("help issue --json", "unexpected flag --json"),
            ("man nosuch", "there is no page for `nosuch`"),
            ("help issue extra", "one argument too many after `keypebble issue`"),
            ("isue", "unknown command `isue` | did you mean `issue`?"),
            ("frobnicate", "the commands are init, issue, command, serve, check"),
            (
                "--config c",
                "unexpected flag --config | the command comes first: keypebble serve --config PATH, or keypebble issue",
            ),
            (
                "serve config.yaml",
                "one argument too many after `keypebble serve` | did you mean --config config.yaml?",
            ),
            ("check a.yml", "did you mean --config a.yml?"),
            ("serve config", "see keypebble serve --help"),
            ("openapi config.yaml", "see keypebble openapi --help"),
            ("serve --port 9000", "has no flag --port | --listen HOST:PORT, or `service.port`"),
            ("issue --port 9000", "see keypebble issue --help"),
            ("issue --config", "--config needs a value"),
            ("issue --config c --config d", "--config is given twice"),
            ("issue --config c --polcy p", "has no flag --polcy | did you mean --policy?"),
            ("serve --config c --claims {}", "`keypebble serve` has no flag --claims"),
            (
                "issue --config c extra",
                "one argument too many after `keypebble issue` | see keypebble issue --help",
            ),
            ("issue -c c --config d", "--config is given twice"),
            ("issue -c", "--config needs a value"),
            ("issue --config c -x", "unexpected flag -x"),
            (
                "serve -c c --listen 8080",
                "--listen: expected HOST:PORT, [IPv6]:PORT or unix:/PATH, found `8080`",
            ),
            ("issue --config c --policy p --generate=yes", "--generate takes no value"),
            ("issue --config c --ttl 0", "--ttl: expected a time from 1 s to ten years, such as 90, 15m"),
            ("issue --config c --ttl 1w", "found `1w`"),
            ("issue --config c --ttl -5", "--ttl"),
            ("issue --config=", "--config is empty"),
            ("issue --config c --audience=", "--audience is empty"),
            ("issue --config c --format JWT", "expected one of jwt, jwe, nested, fernet, found `JWT`"),
            ("issue --config c --expired --not-yet", "only one of them fits"),
            ("issue --config c --at 0 --expired", "only one of them fits"),
            ("issue --config c --at tomorrow", "--at: expected a time from 1970 to 9999, found `tomorrow`"),
            ("issue --config c --at 1969-12-31T00:00:00Z", "from 1970 to 9999"),
            ("issue --config c --at 253402300800", "from 1970 to 9999"),
            ("issue --config c --audience a --wrong-audience", "contradict each other"),
            ("serve --config c --expired", "`keypebble serve` has no flag --expired"),
            ("command --config c --command x", "`keypebble command` needs --target NAME"),
            ("command --config c --target x", "`keypebble command` needs --command TEXT"),
            ("command --config c --target x --command=", "--command is empty"),
            ("command --config c --target x --command y --expired", "has no flag --expired"),
            (
                "command --config c --target x --command y --user a\u{300}",
                "--user is not in Unicode's composed",
            ),
        ] {
            // There is no file `c`: a command that began to work would say that instead.
            let error = parsed(line).and_then(run).expect_err(line);
            let text = format!("{error} | {}", error.hint().unwrap_or_default());
            assert!(text.contains(part), "{line}: {text}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn an_empty_word_is_no_page() {
        let error = parse(Parser::from_args(["man", ""])).and_then(run).unwrap_err();
        assert_eq!(error.to_string(), "there is no page for ``");
    }

    #[test]
    fn every_flag_is_read_from_its_help_and_every_command_is_in_the_main_one() {
        for spec in COMMANDS {
            assert!(help::MAIN.contains(&format!("\n  {} ", spec.name)), "{}", spec.name);
            let usage = spec.help.split("\n\n").find(|part| part.starts_with("Usage: ")).unwrap();
            for Flag { name: flag, value, .. } in flags::of(spec.help).filter(|flag| flag.name != "help") {
                let shown =
                    usage.split(['[', ']', '(', ')', '|', ' ', '\n']).any(|word| word == format!("--{flag}"));
                assert!(shown, "{}: --{flag} is not in its usage line", spec.name);
                let valued = usage.split(['[', ']', '(', ')', '|', '\n']).map(str::trim_end);
                let alone = valued.clone().any(|word| word.ends_with(&format!("--{flag}")));
                assert_eq!(value.is_some(), !alone, "{}: --{flag}", spec.name);
            }
        }
    }
}
