//! For bash, of any version and without its package of completions.

use super::{Offer, OfferedFlag, Values, beginnings};
use crate::ground::text::single_quoted as quoted;
use std::fmt::Write;

const HEAD: &str = r#"# bash completion for keypebble; made by: keypebble completions bash

# One reply for each line that comes in.
_keypebble_replies() {
    local line
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done
}

_keypebble_words() {
    _keypebble_replies < <(compgen -W "$1" -- "$2")
}

_keypebble_files() {
    compopt -o filenames 2>/dev/null
    _keypebble_replies < <(compgen "$1" -- "$2")
}

_keypebble() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=
    COMPREPLY=()
    # bash splits --flag=value in three.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD > 1)); then
        command=${COMP_WORDS[1]}
    fi
"#;

/// The script.
pub(super) fn script(offers: &[Offer]) -> String {
    let mut text = HEAD.to_owned();
    let beginnings = beginnings();
    let groups: Vec<&str> =
        beginnings.iter().map(|(group, _)| *group).filter(|group| !matches!(*group, "" | "help")).collect();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "    case $command in\n        {})\n            if ((COMP_CWORD > 2)); then command+=\" ${{COMP_WORDS[2]}}\"; fi\n            ;;\n    esac\n    case $command in",
        groups.join(" | ")
    );
    for (group, words) in beginnings {
        let words: Vec<&str> = words.into_iter().map(|(word, _)| word).collect();
        let _ = writeln!(
            text,
            "        {})\n            _keypebble_words {} \"$cur\"\n            ;;",
            quoted(group),
            quoted(&words.join(" "))
        );
    }
    for offer in offers {
        let _ = writeln!(text, "        {})\n            case $prev in", quoted(offer.name));
        let mut arms: Vec<(String, Vec<String>)> = Vec::new(); // a reply, and the flags that it is for
        for flag in &offer.flags {
            let Some(reply) = flag.values.as_ref().map(reply) else { continue };
            match arms.iter_mut().find(|(known, _)| *known == reply) {
                Some((_, flags)) => flags.extend(spellings(flag)),
                None => arms.push((reply, spellings(flag))),
            }
        }
        for (reply, flags) in arms {
            let _ = writeln!(
                text,
                "                {})\n                    {reply}\n                    return\n                    ;;",
                flags.join(" | ")
            );
        }
        let flags: Vec<String> = offer.flags.iter().flat_map(spellings).collect();
        let _ = writeln!(text, "            esac");
        if let Some(operand) = &offer.operand {
            let _ = writeln!(text, "            if [[ $cur != -* ]]; then {}; return; fi", reply(operand));
        }
        let _ = writeln!(
            text,
            "            _keypebble_words {} \"$cur\"\n            ;;",
            quoted(&flags.join(" "))
        );
    }
    text + "    esac\n}\n\ncomplete -F _keypebble keypebble\n"
}

fn spellings(flag: &OfferedFlag) -> Vec<String> {
    let short = flag.flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([format!("--{}", flag.flag.name)]).collect()
}

fn reply(values: &Values) -> String {
    match values {
        Values::Files => "_keypebble_files -f \"$cur\"".to_owned(),
        Values::Folders => "_keypebble_files -d \"$cur\"".to_owned(),
        Values::Words(words) => format!("_keypebble_words {} \"$cur\"", quoted(&words.join(" "))),
        Values::Free => ":".to_owned(),
    }
}
