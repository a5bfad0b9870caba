//! The scripts that shells complete with, in the shells themselves, and the manual pages in both readers of them.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{BINARY, Folder, done, finish, keypebble, stderr, stdout};
use std::path::Path;
use std::process::Command;

/// What is typed, and words that must and must not be among what is offered.
const OFFERED: [(&str, &[&str], &[&str]); 9] = [
    ("keypebble ", &["init", "keys", "help", "version"], &["rotate", "--config"]),
    ("keypebble ke", &["keys"], &["init"]),
    ("keypebble keys ", &["generate", "rotate", "export"], &["init"]),
    ("keypebble keys rotate --", &["--dir", "--config", "--force"], &["--claims"]),
    ("keypebble keys rotate --algorithm ES", &["ES256", "ES384"], &["RS256"]),
    ("keypebble keys export --format ", &["jwks", "cert"], &["--dir"]),
    ("keypebble check -c a", &["a name.yaml", "a-folder"], &["b.yaml"]),
    ("keypebble init a", &["a-folder"], &["a name.yaml"]),
    ("keypebble help po", &["policy"], &["keys"]),
];

fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["a name.yaml", "b.yaml", "a-folder/x"] {
        folder.write(name, "");
    }
    folder
}

/// Runs a shell's own script in the folder, where `keypebble` is the built one.
fn shell(folder: &Folder, program: &str, arguments: &[&str], script: &str) -> String {
    let path =
        format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    let output = finish(command.args(arguments).current_dir(folder.path()).env("PATH", path), script);
    assert!(output.status.success(), "{program}: {script}: {}", stderr(&output));
    assert_eq!(stderr(&output), "", "{program}: {script}");
    stdout(&output)
}

fn check(offered: &str, line: &str, must: &[&str], must_not: &[&str]) {
    let words: Vec<&str> =
        offered.lines().map(|line| line.split('\t').next().unwrap().trim_end_matches('/')).collect();
    for word in must {
        assert!(words.contains(word), "{line}: {word}: {offered}");
    }
    for word in must_not {
        assert!(!words.contains(word), "{line}: {word}: {offered}");
    }
}

#[test]
#[ignore = "needs bash, see .ci/run"]
fn bash_completes() {
    let folder = folder();
    let offered = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let script = format!(
            "source <(keypebble completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_keypebble\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            quoted.join(" "),
            words.len() - 1
        );
        shell(&folder, "bash", &["--norc", "--noprofile"], &script)
    };
    for (line, must, must_not) in OFFERED {
        let words: Vec<&str> = line.split(' ').collect();
        check(&offered(&words), line, must, must_not);
        // `--flag=value`, as bash splits it.
        if let [before @ .., flag, value] = &words[..]
            && flag.starts_with("--")
        {
            check(&offered(&[before, &[*flag, "=", *value]].concat()), line, must, must_not);
        }
    }
}

#[test]
#[ignore = "needs fish, see .ci/run"]
fn fish_completes() {
    let folder = folder();
    for (line, must, must_not) in OFFERED {
        let script = format!("keypebble completions fish | source\ncomplete -C '{line}'\n");
        check(&shell(&folder, "fish", &["--no-config"], &script), line, must, must_not);
    }
}

/// In a terminal of its own: each line has Tabs where a word is unambiguous, and the command prints what it became.
#[test]
#[ignore = "needs zsh, see .ci/run"]
fn zsh_completes() {
    let folder = folder();
    let script = r#"
zmodload zsh/zpty
zpty z 'zsh -f -i'
say() { zpty -w z "$1" }
until_there() { local text; zpty -r -m z text "*$1*" || exit 1 }
say "PROMPT=; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source <(keypebble completions zsh)"
say 'keypebble() { print -r -- "<${(j:|:)@}>" }; print re""ady'
until_there ready
complete() {
  local text
  zpty -w z "$1"
  zpty -r -m z text '*<*>*' || exit 1
  print -r -- ${${text##*\<}%%\>*}
}
complete $'keypebble keys ro\t--al\tES2\t'
complete $'keypebble keys export --form\tjw\t-c b.y\t'
complete $'keypebble check --conf\ta\\ n\t'
complete $'keypebble help pol\t'
complete $'keypebble init a-f\t'
complete $'keypebble issue --claim a=1 --claim b=2 --gen\t'
zpty -d z
"#;
    let said = shell(&folder, "zsh", &["-f"], script);
    assert_eq!(
        said.lines().map(str::trim_end).collect::<Vec<_>>(),
        [
            "keys|rotate|--algorithm|ES256",
            "keys|export|--format|jwks|-c|b.yaml",
            "check|--config|a name.yaml",
            "help|policy",
            "init|a-folder",
            "issue|--claim|a=1|--claim|b=2|--generate",
        ]
    );
}

/// All that a command writes on a terminal of its own.
fn on_a_terminal(folder: &Folder, arguments: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{BINARY} {arguments}"), "/dev/null"]).current_dir(folder.path());
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    stdout(&finish(&mut command, ""))
}

#[test]
#[ignore = "needs script, see .ci/run"]
fn colour_and_progress_are_for_a_terminal_alone() {
    let folder = Folder::new();
    folder.write("c.yaml", "issuer: i\naudience: a\nsecret: short\npolicy: none\n");
    let (check, wrong) = ("check -c c.yaml", "check -c nowhere.yaml");
    assert!(on_a_terminal(&folder, check, &[]).contains("\u{1b}[1;33mwarning\u{1b}[0m: "));
    assert!(on_a_terminal(&folder, wrong, &[]).starts_with("keypebble: \u{1b}[1;31merror\u{1b}[0m: "));
    for off in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        for command in [check, wrong] {
            assert!(!on_a_terminal(&folder, command, &[off]).contains('\u{1b}'), "{off:?}");
        }
    }
    assert!(!done(&folder, check).contains('\u{1b}'));
    // It listens, and answers nobody.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let health = format!("healthcheck -c c.yaml --listen {}", silent.local_addr().unwrap());
    let said = on_a_terminal(&folder, &health, &[]);
    assert!(said.contains("\rkeypebble: waiting for the server: 2 s\r"), "{said:?}");
    assert!(
        said.contains(" \rkeypebble: ") && said.contains("does not answer"),
        "it is taken back: {said:?}"
    );
    let output = common::line(&folder, &health);
    assert!(stderr(&output).starts_with("keypebble: error: 127.0.0.1 port"), "{}", stderr(&output));
}

#[test]
#[ignore = "needs man and mandoc, see .ci/run"]
fn manual_pages_are_read_without_a_complaint() {
    let folder = Folder::new();
    done(&folder, "man --all pages");
    let pages = std::fs::read_dir(folder.path().join("pages")).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    assert!(pages.len() >= 20, "{pages:?}");
    for page in pages {
        let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output().unwrap();
        // A page has no date of its own: two builds of one source are the same.
        let said = stdout(&lint);
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(said.is_empty(), "{name}: {said:?}");
        let mut man = Command::new("man");
        let man = man.args(["--warnings", "-l"]).arg(&page).env("MANWIDTH", "100").output().unwrap();
        assert!(man.status.success() && man.stderr.is_empty(), "{name}: {}", stderr(&man));
        // The help text's own flags, as a reader sees them.
        let words = match &*name {
            "keypebble-hash-password" => vec!["hash-password"],
            name => name.split('-').skip(1).collect(),
        };
        let help = stdout(&keypebble().args(words).arg("--help").output().unwrap());
        let shown = stdout(&man);
        for flag in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")) {
            let flag = flag.split(' ').next().unwrap();
            assert!(shown.contains(&format!("--{flag}")), "{name}: --{flag}: {shown}");
        }
        assert!(shown.contains("NAME\n") && shown.contains("EXIT STATUS\n"), "{name}: {shown}");
    }
}
