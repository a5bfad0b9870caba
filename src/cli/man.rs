//! `keypebble man`: manual pages, made of the help texts.
//!
//! Owns the form of a page (man(7)) and which part of a help text becomes which section. Must not know what is in
//! them. Decision: macros that every man knows, and no others: groff and mandoc print the same.

use super::args::{Arguments, Spec, usage};
use super::{COMMANDS, help, say_line};
use crate::cli::error::Error;
use crate::cli::stdout::print_raw;
use crate::ground::disk::{self, System};
use crate::ground::text::quoted;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "man", operands: 2, help: include_str!("help/man.txt"), run };

/// Which pages are wanted.
enum Man {
    /// The page of a command; of all of them where the name is empty.
    One(&'static str),
    /// Every page, into this folder.
    All(PathBuf),
}

fn read(mut arguments: Arguments) -> Result<Man, Error> {
    let mut words = Vec::new();
    while let Some(word) = arguments.operand()? {
        words.push(word);
    }
    let name = words.join(" ");
    let all = arguments.target("all")?;
    if all.is_some() && !name.is_empty() {
        return Err(
            usage("--all writes every page, not that of one command").with_hint("leave one of them out")
        );
    }
    let one = || match COMMANDS.iter().find(|spec| spec.name == name) {
        Some(spec) => Ok(spec.name),
        None if words.is_empty() => Ok(""),
        None => Err(usage(format!("there is no page for {}", quoted("", &name)))
            .with_hint("such as keypebble man issue, or keypebble man keys rotate")),
    };
    all.map_or_else(|| one().map(Man::One), |folder| Ok(Man::All(folder)))
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let folder = match command {
        Man::One(name) => return print_raw(&page(name)),
        Man::All(folder) => folder,
    };
    fs::create_dir_all(folder).map_err(|source| Error::file("create", folder, source))?;
    let names: Vec<&str> = std::iter::once("").chain(COMMANDS.iter().map(|spec| spec.name)).collect();
    for name in &names {
        let path = folder.join(format!("{}.1", title(name)));
        disk::publish(&System, &path, page(name).as_bytes(), |there| there.starts_with(b".TH "))
            .map_err(|source| Error::file("write", &path, source))?;
    }
    say_line(&format!("wrote {} pages into {}", names.len(), folder.display()));
    Ok(())
}

/// `keypebble-keys-rotate`
fn title(name: &str) -> String {
    format!("keypebble {name}").trim_end().replace(' ', "-")
}

/// The page of a command, or the main one.
fn page(name: &str) -> String {
    let (text, title) = (help::of(name), title(name));
    let paragraphs: Vec<&str> = text.trim_end().split("\n\n").collect();
    let about = help::about(name).unwrap_or_else(|| paragraphs[0].lines().next().unwrap_or_default());
    let mut page = format!(
        ".TH {} 1 \"\" \"keypebble {}\" \"Keypebble\"\n.SH NAME\n{} \\- {}\n",
        escaped(&title.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        escaped(&title),
        escaped(about.trim_end_matches('.'))
    );
    let section = |page: &mut String, heading: &str, body: &str| {
        let _ = write!(page, ".SH {heading}\n{body}"); // to a String: cannot fail
    };
    let begins = |paragraph: &str, with: &str| paragraph.strip_prefix(with).map(str::to_owned);
    let (mut description, mut rest) = (String::new(), String::new());
    for paragraph in paragraphs {
        if let Some(usage) = begins(paragraph, "Usage: ") {
            // What a line goes on with hangs below it.
            let hung = |line: &str| {
                if line.starts_with("keypebble") { line.to_owned() } else { format!("    {line}") }
            };
            let lines: Vec<String> = usage.lines().map(|line| hung(line.trim_start())).collect();
            section(&mut page, "SYNOPSIS", &literal(lines.iter().map(String::as_str)));
        } else if let Some(commands) = begins(paragraph, "Commands:\n") {
            section(&mut rest, "COMMANDS", &body(&commands));
        } else if let Some(flags) = begins(paragraph, "Flags:\n") {
            section(&mut rest, "OPTIONS", &body(&flags));
        } else if let Some(codes) = begins(paragraph, "Exit codes:") {
            section(&mut rest, "EXIT STATUS", &body(codes.trim_start_matches([' ', '\n']).trim_end()));
        } else if let Some(variables) = begins(paragraph, "Environment:\n") {
            section(&mut rest, "ENVIRONMENT", &body(&variables));
        } else if let Some(lines) = begins(paragraph, "Example:\n").or(begins(paragraph, "Examples:\n")) {
            section(
                &mut rest,
                "EXAMPLES",
                &literal(lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line))),
            );
        } else {
            let body = body(paragraph);
            let apart = if description.is_empty() || body.starts_with('.') { "" } else { ".PP\n" };
            let _ = write!(description, "{apart}{body}");
        }
    }
    section(&mut page, "DESCRIPTION", &description);
    page += &rest;
    if !name.is_empty() {
        section(&mut page, "SEE ALSO", ".BR keypebble (1)\n");
    }
    page
}

/// Lines as they stand.
fn literal<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let lines: String = lines.map(|line| escaped(line) + "\n").collect();
    format!(".nf\n{lines}.fi\n")
}

/// Text that flows; in it `  term  meaning` is an item of a list, and what else is indented stands as it is.
fn body(text: &str) -> String {
    let mut out = String::new();
    let (mut item, mut verbatim) = (false, false);
    for line in text.lines() {
        let term = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
        let term = term.and_then(|line| line.split_once("  "));
        let continues = item && line.starts_with("      ");
        let stands = line.starts_with("  ") && term.is_none() && !continues;
        if verbatim != stands {
            out.push_str(match (stands, term) {
                (true, _) => ".PP\n.nf\n",
                (false, None) => ".fi\n.PP\n",
                (false, Some(_)) => ".fi\n", // an item begins a paragraph of its own
            });
            verbatim = stands;
        }
        // Writing to a String does not fail.
        let _ = match term {
            Some((term, meaning)) => {
                writeln!(out, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(meaning.trim_start()))
            }
            None if stands => writeln!(out, "{}", escaped(line)),
            None => {
                let ends = if item && !continues { ".PP\n" } else { "" };
                writeln!(out, "{ends}{}", escaped(line.trim_start()))
            }
        };
        item = term.is_some() || continues;
    }
    if verbatim {
        out.push_str(".fi\n");
    }
    out
}

/// A line in which nothing is roff's own.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    if line.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for c in line.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => out.push_str("\\(ga"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_and_example_of_a_help_text_is_on_its_page() {
        for spec in COMMANDS {
            let page = page(spec.name);
            for part in ["\n.SH NAME\n", "\n.SH SYNOPSIS\n", "\n.SH DESCRIPTION\n", "\n.SH OPTIONS\n"] {
                assert!(page.contains(part), "{}: {part}: {page}", spec.name);
            }
            for flag in super::super::flags::of(spec.help) {
                let wanted = escaped(&format!("--{}", flag.name));
                assert!(page.contains(&wanted), "{}: {wanted}", spec.name);
            }
            assert_eq!(spec.help.contains("\nExample"), page.contains(".SH EXAMPLES\n"), "{}", spec.name);
        }
        assert!(page("").contains(".SH COMMANDS\n.TP\n\\fBinit\\fR\nMake a folder"), "{}", page(""));
    }

    #[test]
    fn text_flows_items_hang_and_the_rest_stands_as_it_is() {
        assert_eq!(
            body("a\n.b\n  -x  one\n        two\nc:\n  d: \\e\n  y  z\n"),
            "a\n\\&.b\n.TP\n\\fB\\-x\\fR\none\ntwo\n.PP\nc:\n.PP\n.nf\n  d: \\ee\n.fi\n.TP\n\\fBy\\fR\nz\n"
        );
    }
}
