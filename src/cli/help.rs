//! Usage texts: of the program, of a group of commands such as `keys`, of one command.

use super::COMMANDS;

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
