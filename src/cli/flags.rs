//! What a help text says: the one table of a command's flags.
//!
//! Owns how a help text is read. Everything that must know flags takes them from here: the reading of arguments,
//! shell completions and man pages. Decision: the text that people read is the source, so that what is listed is
//! what is taken.

/// A flag, as its line in a help text describes it: `  -c, --config PATH  The configuration file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    /// `c`
    pub(super) short: Option<char>,
    /// `config`
    pub(super) name: &'static str,
    /// `PATH`; `None` for a flag without a value.
    pub(super) value: Option<&'static str>,
    /// What it is, with the line breaks and the indentation of the help text.
    text: &'static str,
}

impl Flag {
    fn read(entry: &'static str) -> Option<Self> {
        let (head, text) = entry.trim_start().split_once("  ")?;
        let (short, long) = match head.strip_prefix('-')?.split_once(", -") {
            Some((short, long)) => (short.chars().next(), long),
            None => (None, &head[1..]),
        };
        let (name, value) = match long.strip_prefix('-')?.split_once(' ') {
            Some((name, value)) => (name, Some(value)),
            None => (&long[1..], None),
        };
        Some(Self { short, name, value, text })
    }

    /// What it is, in one line.
    pub(super) fn about(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The flags of a help text. One whose values have a line each, such as `--format jwks`, comes once for each.
pub(super) fn of(help: &'static str) -> impl Iterator<Item = Flag> {
    let mut rest = part(help, "Flags:\n").unwrap_or_default();
    std::iter::from_fn(move || {
        let end = rest.find("\n  -").map_or(rest.len(), |at| at + 1);
        let (entry, after) = rest.split_at(end);
        rest = after;
        Flag::read(entry)
    })
}

/// The usage of a help text, without its first word.
pub(super) fn usage(help: &'static str) -> &'static str {
    part(help, "Usage: ").unwrap_or_default()
}

/// The placeholder of the argument without a flag, in the first form of the usage: `DIR`, `SHELL`.
pub(super) fn operand(help: &'static str) -> Option<&'static str> {
    let mut of_flag = false; // the next word is a flag's value
    usage(help).split("\n       keypebble").next()?.split_whitespace().find_map(|word| {
        let bare = word.trim_matches(['[', ']']).split('|').next()?;
        let value = std::mem::replace(&mut of_flag, word.contains("--") && !word.ends_with([']', ')']));
        let placeholder = bare.starts_with(|c: char| c.is_ascii_uppercase());
        (placeholder && !value && !word.contains("--")).then_some(bare)
    })
}

/// Whether a flag may stand more than once: `[--claim NAME=VALUE]...` in the usage.
pub(super) fn repeats(help: &'static str, flag: &str) -> bool {
    let after = usage(help).split_once(&format!("[--{flag} ")).and_then(|(_, rest)| rest.split_once(']'));
    after.is_some_and(|(_, rest)| rest.starts_with("..."))
}

/// The paragraph of a help text that begins so, without its beginning.
fn part(help: &'static str, begins: &str) -> Option<&'static str> {
    help.split("\n\n").find_map(|part| part.strip_prefix(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Do it.

Usage: keypebble do [--config PATH] [--claim N=V]... [--force]

Flags:
  -c, --config PATH  The file, which may
                     be -
  --claim N=V        A claim
  --force            Do it
                     anyway
  -h, --help         Print this help

Examples:
  --not a flag
";

    #[test]
    fn a_flag_is_what_its_line_says() {
        let flags: Vec<Flag> = of(HELP).collect();
        let read: Vec<_> =
            flags.iter().map(|flag| (flag.short, flag.name, flag.value, flag.about())).collect();
        assert_eq!(
            read,
            [
                (Some('c'), "config", Some("PATH"), "The file, which may be -".to_owned()),
                (None, "claim", Some("N=V"), "A claim".to_owned()),
                (None, "force", None, "Do it anyway".to_owned()),
                (Some('h'), "help", None, "Print this help".to_owned()),
            ]
        );
        assert!(repeats(HELP, "claim") && !repeats(HELP, "config") && !repeats(HELP, "force"));
    }
}
