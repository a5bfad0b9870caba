//! For fish.

use super::{Offer, Values, beginnings};
use std::fmt::Write;

const HEAD: &str = "\
# fish completion for keypebble; made by: keypebble completions fish

# Whether the words before the cursor are these, and no more.
function __keypebble_at
    set -l words (commandline -opc)
    set -e words[1]
    test \"$words\" = \"$argv\"
end

# Whether they begin with these.
function __keypebble_after
    set -l words (commandline -opc)
    set -e words[1]
    set -l count (count $argv)
    test (count $words) -ge $count; and test \"$words[1..$count]\" = \"$argv\"
end

complete -c keypebble -f
";

/// The script.
pub(super) fn script(offers: &[Offer]) -> String {
    let mut text = HEAD.to_owned();
    for (group, words) in beginnings() {
        for (word, about) in words {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "complete -c keypebble -n '__keypebble_at {group}' -a {word} -d {}",
                quoted(&about)
            );
        }
    }
    for offer in offers {
        let condition = format!("complete -c keypebble -n '__keypebble_after {}'", offer.name);
        for flag in &offer.flags {
            let short = flag.flag.short.map_or_else(String::new, |short| format!(" -s {short}"));
            let value =
                flag.values.as_ref().map_or_else(String::new, |values| format!(" -r {}", given(values)));
            let _ =
                writeln!(text, "{condition}{short} -l {}{value} -d {}", flag.flag.name, quoted(&flag.about));
        }
        if let Some(operand) = &offer.operand {
            let _ = writeln!(text, "{condition} {}", given(operand));
        }
    }
    text
}

fn given(values: &Values) -> String {
    match values {
        Values::Files => "-F".to_owned(),
        Values::Folders => "-f -a '(__fish_complete_directories)'".to_owned(),
        Values::Words(words) => format!("-f -a '{}'", words.join(" ")),
        Values::Free => "-f".to_owned(),
    }
}

/// In single quotes fish knows a backslash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
