//! Usage texts: of the program, of a group of commands such as `keys`, of one command.

use super::COMMANDS;
use crate::key;
use crate::login::password;
use std::env::consts;

/// `keypebble --help`
pub(super) const MAIN: &str = include_str!("help/keypebble.txt");

/// The usage text of a command, or of those that begin with this word.
pub(super) fn of(name: &str) -> String {
    if name.is_empty() {
        return MAIN.to_owned();
    }
    if let Some(spec) = COMMANDS.iter().find(|spec| spec.name == name) {
        return spec.help.to_owned();
    }
    let members = words(name);
    let width = members.iter().map(|word| word.len()).max().unwrap_or_default();
    let lines = members
        .iter()
        .map(|word| format!("  {word:<width$}  {}\n", about(&format!("{name} {word}")).unwrap_or_default()));
    let list: String = lines.collect();
    format!(
        "Usage: keypebble {name} COMMAND\n\nCommands:\n{list}\nSee keypebble {name} COMMAND --help for one of them.\n"
    )
}

/// The words that can follow this one in the name of a command, or the first ones.
pub(super) fn words(name: &str) -> Vec<&'static str> {
    let rest = |command: &'static str| match name {
        "" => Some(command),
        name => command.strip_prefix(name)?.strip_prefix(' '),
    };
    let mut words: Vec<&str> =
        COMMANDS.iter().filter_map(|spec| rest(spec.name)?.split(' ').next()).collect();
    words.dedup();
    words
}

/// What a command is for, in one line of the main usage text.
pub(super) fn about(name: &str) -> Option<&'static str> {
    let line = MAIN.lines().find(|line| {
        line.strip_prefix("  ")
            .and_then(|line| line.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with("  "))
    })?;
    Some(line[2 + name.len()..].trim_start())
}

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 2] = [("fast", key::FAST), ("passwords", password::ENABLED)];

/// `keypebble --version`: what this build is, for whoever has to tell two builds apart.
pub(super) fn version() -> String {
    let built_in = FEATURES.iter().filter(|(_, built_in)| *built_in).map(|(name, _)| *name);
    let features = built_in.collect::<Vec<_>>().join(" ");
    format!(
        "keypebble {}\nfeatures: {}\ncommit: {}\ntarget: {}\nengine: {}\n",
        env!("CARGO_PKG_VERSION"),
        if features.is_empty() { "none" } else { &features },
        // Set by whoever builds from a repository: a source archive does not know its commit.
        option_env!("KEYPEBBLE_COMMIT").unwrap_or("unknown"),
        target(),
        key::ENGINE,
    )
}

/// The target triple, put together from what the compiler tells the source.
fn target() -> String {
    let (vendor, environment) = match () {
        () if cfg!(target_vendor = "apple") => ("apple", ""),
        () if cfg!(target_env = "musl") => ("unknown", "-musl"),
        () if cfg!(target_env = "gnu") => ("unknown", "-gnu"),
        () => ("unknown", ""),
    };
    let abi = match () {
        () if cfg!(target_abi = "eabihf") => "eabihf",
        () if cfg!(target_abi = "eabi") => "eabi",
        () => "",
    };
    let system = if consts::OS == "macos" { "darwin" } else { consts::OS };
    format!("{}-{vendor}-{system}{environment}{abi}", consts::ARCH)
}
