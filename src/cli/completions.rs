//! `keypebble completions`: what a shell offers after Tab.
//!
//! Owns what can stand where. Must not know how a shell is told: `bash`, `zsh` and `fish` do. Decision: everything
//! is read from the help texts, and what a value can be from its placeholder there: `PATH`, `DIR`, `ALG`.

mod bash;
mod fish;
mod zsh;

use super::args::{Arguments, Spec, usage};
use super::flags::{self, Flag};
use super::{COMMANDS, help};
use crate::cli::error::Error;
use crate::cli::stdout::print_raw;
use crate::diagnosis::verdict::Program;
use crate::ground::text::quoted;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::State;
use crate::token::{Format, Typ};

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "completions", operands: 1, help: include_str!("help/completions.txt"), run };

/// Whose script is wanted.
#[derive(Clone, Copy)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Each shell under its name.
const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

fn read(mut arguments: Arguments) -> Result<Shell, Error> {
    let names = || SHELLS.map(|(name, _)| name).join(", ");
    let Some(name) = arguments.operand()? else {
        return Err(arguments.missing(&format!("a shell, one of {}", names())));
    };
    match SHELLS.iter().find(|(known, _)| *known == name) {
        Some((_, shell)) => Ok(*shell),
        None => Err(usage(format!("expected one of {}, found {}", names(), quoted("", &name)))),
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let shell = read(arguments)?;
    let offers: Vec<Offer> = COMMANDS.iter().map(Offer::of).collect();
    print_raw(&match shell {
        Shell::Bash => bash::script(&offers),
        Shell::Zsh => zsh::script(&offers),
        Shell::Fish => fish::script(&offers),
    })
}

/// What can stand after a command.
struct Offer {
    /// `keys rotate`
    name: &'static str,
    flags: Vec<OfferedFlag>,
    /// The argument without a flag.
    operand: Option<Values>,
}

/// A flag, once, also where its values have a line each.
struct OfferedFlag {
    flag: Flag,
    /// What it is, shortly.
    about: String,
    /// `None` for a flag without a value.
    values: Option<Values>,
    repeats: bool,
}

/// What a value can be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    Files,
    Folders,
    Words(Vec<&'static str>),
    /// Nobody can say.
    Free,
}

impl Offer {
    fn of(spec: &Spec) -> Self {
        let mut offered: Vec<OfferedFlag> = Vec::new();
        for flag in flags::of(spec.help) {
            let values = flag.value.map(Values::of);
            match (offered.iter_mut().find(|known| known.flag.name == flag.name), values) {
                (
                    Some(OfferedFlag { values: Some(Values::Words(known)), about, .. }),
                    Some(Values::Words(more)),
                ) => {
                    known.extend(more);
                    *about = known.join(", ");
                }
                (_, values) => offered.push(OfferedFlag {
                    flag,
                    about: brief(&flag.about()),
                    values,
                    repeats: flags::repeats(spec.help, flag.name),
                }),
            }
        }
        let operand = flags::operand(spec.help).map(Values::of);
        Self { name: spec.name, flags: offered, operand }
    }
}

impl Values {
    /// What a placeholder stands for. Small letters stand for themselves: `jwks`, `text|json`.
    fn of(placeholder: &'static str) -> Self {
        match placeholder {
            "PATH" | "FILE" => Values::Files,
            "DIR" => Values::Folders,
            "ALG" => Values::Words(Algorithm::ALL.map(Algorithm::name).to_vec()),
            "PROGRAM" => Values::Words(Program::ALL.map(Program::name).to_vec()),
            "STATE" => Values::Words(State::ALL.map(State::name).to_vec()),
            "FORMAT" => Values::Words(Format::ALL.map(Format::name).to_vec()),
            "TYP" => Values::Words(Typ::ALL.map(Typ::name).to_vec()),
            "SHELL" => Values::Words(SHELLS.map(|(name, _)| name).to_vec()),
            "COMMAND" => Values::Words(help::words("")),
            words if words.starts_with(|c: char| c.is_ascii_lowercase()) => {
                Values::Words(words.split('|').collect())
            }
            _ => Values::Free,
        }
    }
}

/// The first clause of a sentence.
fn brief(text: &str) -> String {
    let end = [". ", "; ", ": "].iter().filter_map(|stop| text.find(stop)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The words that can follow each beginning of a command's name, `help` among them, with what each is for.
fn beginnings() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let groups = help::words("").into_iter().filter(|word| !help::words(word).is_empty());
    let about = |group: &str, word: &str| {
        let name = format!("{group} {word}");
        help::about(name.trim_start()).map_or_else(|| help::words(word).join(", "), str::to_owned)
    };
    let all = |group: &'static str| {
        let words = help::words(group).into_iter().map(|word| (word, about(group, word)));
        words.chain([("help", "Print help".to_owned())]).collect()
    };
    let mut beginnings: Vec<_> = std::iter::once("").chain(groups).map(|group| (group, all(group))).collect();
    beginnings.push(("help", help::words("").into_iter().map(|word| (word, about("", word))).collect()));
    beginnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_can_be_is_read_from_the_help_text() {
        let offers: Vec<Offer> = COMMANDS.iter().map(Offer::of).collect();
        let offer = |name: &str| offers.iter().find(|offer| offer.name == name).unwrap();
        let values = |name: &str, flag: &str| {
            offer(name).flags.iter().find(|known| known.flag.name == flag).unwrap().values.clone()
        };
        assert_eq!(values("issue", "config"), Some(Values::Files));
        assert_eq!(values("keys list", "dir"), Some(Values::Folders));
        assert_eq!(values("keys rotate", "force"), None);
        assert_eq!(values("issue", "ttl"), Some(Values::Free));
        assert_eq!(values("keys export", "format"), Some(Values::Words(vec!["jwks", "pem", "cert", "id"])));
        assert!(
            matches!(values("keys rotate", "algorithm"), Some(Values::Words(all)) if all.contains(&"ES256"))
        );
        assert!(matches!(values("verify", "algorithm"), Some(Values::Words(_))));
        assert!(matches!(values("verify", "for"), Some(Values::Words(all)) if all.contains(&"zot")));
        assert_eq!(offer("init").operand, Some(Values::Folders));
        assert_eq!(offer("completions").operand, Some(Values::Words(vec!["bash", "zsh", "fish"])));
        assert_eq!(offer("inspect").operand, Some(Values::Free));
        assert_eq!(offer("verify").operand, Some(Values::Free));
        for name in ["issue", "serve", "keys rotate", "keys export", "policy explain"] {
            assert_eq!(offer(name).operand, None, "{name}");
        }
    }

    #[test]
    fn no_flag_is_offered_twice() {
        for offer in COMMANDS.iter().map(Offer::of) {
            for (index, flag) in offer.flags.iter().enumerate() {
                let twice = offer.flags[..index].iter().any(|other| other.flag.name == flag.flag.name);
                assert!(!twice, "{} --{}", offer.name, flag.flag.name);
            }
        }
    }
}
