//! For zsh: `_arguments` does the work.

use super::{Offer, OfferedFlag, Values, beginnings};
use crate::ground::text::single_quoted as quoted;
use std::fmt::Write;

/// The script: a function for the folder of them, or to be sourced.
pub(super) fn script(offers: &[Offer]) -> String {
    let mut text =
        "#compdef keypebble\n# made by: keypebble completions zsh\n\n_keypebble() {\n  local -a words_here\n  local command=\n  \
         if (( CURRENT > 2 )); then command=$words[2]; fi\n  case $command in\n"
            .to_owned();
    let beginnings = beginnings();
    let groups: Vec<&str> =
        beginnings.iter().map(|(group, _)| *group).filter(|group| !matches!(*group, "" | "help")).collect();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "    ({})\n      if (( CURRENT > 3 )); then command+=\" $words[3]\"; shift words; (( CURRENT-- )); fi\n      ;;\n  esac\n  case $command in",
        groups.join("|")
    );
    for (group, words) in beginnings {
        let _ = writeln!(text, "    ({})\n      words_here=(", quoted(group));
        for (word, about) in words {
            let _ = writeln!(text, "        {}", quoted(&format!("{word}:{about}")));
        }
        let _ = writeln!(text, "      )\n      _describe -t commands command words_here\n      ;;");
    }
    for offer in offers {
        // An argument of which nothing is known is left out: `_arguments` would show a message in its place, and
        // complete no flag.
        let known = offer.operand.as_ref().filter(|values| **values != Values::Free);
        let operand = known.map(|values| quoted(&format!("1:{}", action(values))));
        let specs: Vec<String> = offer.flags.iter().map(spec).chain(operand).collect();
        // It looks at what follows the command's last word.
        let _ = writeln!(
            text,
            "    ({})\n      shift words; (( CURRENT-- ))\n      _arguments -s \\\n        {}\n      ;;",
            quoted(offer.name),
            specs.join(" \\\n        ")
        );
    }
    text + "  esac\n}\n\nif [ \"$funcstack[1]\" = _keypebble ]; then\n  _keypebble \"$@\"\nelse\n  compdef _keypebble keypebble\nfi\n"
}

/// `'(-c --config)'{-c,--config}'[The file]:PATH:_files'`
fn spec(flag: &OfferedFlag) -> String {
    let about: String = flag.about.chars().flat_map(escaped).collect();
    let value = flag.values.as_ref().map_or_else(String::new, |values| format!(":{}", action(values)));
    let rest = quoted(&format!("[{about}]{value}"));
    let name = flag.flag.name;
    match flag.flag.short {
        Some(short) => format!("'(-{short} --{name})'{{-{short},--{name}}}{rest}"),
        None if flag.repeats => format!("'*'--{name}{rest}"),
        None => format!("--{name}{rest}"),
    }
}

fn action(values: &Values) -> String {
    match values {
        Values::Files => "file:_files".to_owned(),
        Values::Folders => "folder:_files -/".to_owned(),
        Values::Words(words) => format!("value:({})", words.join(" ")),
        Values::Free => "value: ".to_owned(),
    }
}

/// What has a meaning in a specification of `_arguments`.
fn escaped(c: char) -> impl Iterator<Item = char> {
    matches!(c, '[' | ']' | ':' | '\\').then_some('\\').into_iter().chain([c])
}
