//! A store in a file, and what is wrong with the file.

use crate::common::{Folder, done, keypebble, line, said, stderr, stdout};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;

pub const CONFIG: &str = "issuer: i\naudience: registry.example.com\nsecret: 0123456789abcdef0123456789abcdef\n\
    store: sqlite:store.db\nservice: {host: 127.0.0.1, port: 0, log: json}\n";

fn folder() -> Folder {
    Folder::with(&[("config.yaml", CONFIG)])
}

fn sql(folder: &Folder, sql: &str) {
    rusqlite::Connection::open(folder.join("store.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn only_init_makes_a_store_and_what_is_there_stays() {
    let folder = folder();
    for command in ["check", "store check", "store prune", "store backup b.db", "issue", "serve", "doctor"] {
        let (code, text) = said(&line(&folder, &format!("{command} --config config.yaml")));
        let expected = if command == "doctor" { 1 } else { 3 };
        assert_eq!(code, expected, "{command}: {text}");
        assert!(text.contains("there is no such file") && text.contains("store init"), "{command}: {text}");
    }
    assert!(!folder.join("store.db").exists() && !folder.join("b.db").exists());
    folder.write("nowhere.yaml", &folder.read("config.yaml").replace("store.db", "no/such/store.db"));
    let (code, text) = said(&line(&folder, "store init --config nowhere.yaml"));
    assert!(code == 3 && text.contains("there is no folder no/such\n"), "{code}: {text}");
    assert_eq!(done(&folder, "store init --config config.yaml"), "made store.db\n");
    let mode = fs::metadata(folder.join("store.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    done(&folder, "issue --config config.yaml");
    let again = done(&folder, "store init --config config.yaml");
    assert_eq!(again, "store.db is a store already, and up to date\n");
    let checked = done(&folder, "store check --config config.yaml");
    assert_eq!(checked, "store.db: sound, schema version 1, 1 token(s)\n");
    assert!(done(&folder, "check --config config.yaml").contains("1 token(s), not required"));
    assert_eq!(done(&folder, "store prune --config config.yaml"), "removed 0 token(s)\n");
    let exposed = "store.db says who has access to what and can be read by every user of this host";
    for (mode, warns) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(folder.join("store.db"), fs::Permissions::from_mode(mode)).unwrap();
        let (code, text) = said(&line(&folder, "check --config config.yaml"));
        assert_eq!((code, text.contains(exposed)), (0, warns), "{mode:o}: {text}");
    }
}

#[test]
fn what_is_wrong_with_the_file_is_said_and_the_file_stays() {
    type Case = (fn(&Folder), i32, &'static str);
    let cases: [Case; 8] = [
        (|folder| drop(folder.write("store.db", &"junk".repeat(5000))), 3, "it is not a SQLite database"),
        (|folder| drop(folder.write("store.db", "")), 3, "it is not a store of Keypebble's"),
        (|folder| sql(folder, "CREATE TABLE t (x)"), 3, "it is not a store of Keypebble's"),
        (|folder| fs::create_dir(folder.join("store.db")).unwrap(), 3, "it is not a regular file"),
        (|folder| symlink("/dev/null", folder.join("store.db")).unwrap(), 3, "it is not a regular file"),
        (
            |folder| {
                done(folder, "store init --config config.yaml");
                sql(folder, "PRAGMA user_version = 99");
            },
            3,
            "its schema has version 99, and this program knows those up to 1",
        ),
        (
            |folder| {
                done(folder, "store init --config config.yaml");
                let mut bytes = fs::read(folder.join("store.db")).unwrap();
                let length = bytes.len();
                bytes[length / 2..].fill(0x55);
                fs::write(folder.join("store.db"), bytes).unwrap();
            },
            3,
            "it is damaged",
        ),
        (
            |folder| {
                done(folder, "store init --config config.yaml");
                let mut bytes = fs::read(folder.join("store.db")).unwrap();
                bytes.truncate(5000);
                fs::write(folder.join("store.db"), bytes).unwrap();
            },
            3,
            "it is damaged",
        ),
    ];
    for (spoil, exit, expected) in cases {
        let folder = folder();
        spoil(&folder);
        let before = fs::read(folder.join("store.db")).ok();
        let (code, text) = said(&line(&folder, "store check --config config.yaml"));
        assert!(text.contains(expected) && text.contains("hint:"), "{expected}: {text}");
        assert_eq!(code, exit, "{text}");
        assert_eq!(fs::read(folder.join("store.db")).ok(), before, "{expected}");
    }
    // `init` takes an empty file, and nothing else that is there.
    for (text, code) in [("", 0), ("junk", 3)] {
        let folder = folder();
        folder.write("store.db", text);
        assert_eq!(said(&line(&folder, "store init --config config.yaml")).0, code, "{text}");
    }
}

#[test]
fn a_schema_that_is_not_this_program_s_is_left_alone() {
    let folder = folder();
    done(&folder, "store init --config config.yaml");
    sql(&folder, "DROP TABLE revocation");
    let (code, text) = said(&line(&folder, "store check --config config.yaml"));
    assert!(code != 0 && text.contains("no such table: revocation"), "{code} {text}");
    sql(&folder, "PRAGMA user_version = 99");
    for command in ["prune", "check", "init"] {
        let (code, text) = said(&line(&folder, &format!("store {command} --config config.yaml")));
        assert!(code == 3 && text.contains("its schema has version 99"), "{command}: {code} {text}");
    }
}

#[test]
fn a_lock_held_by_another_is_waited_for_and_then_named() {
    let folder = folder();
    done(&folder, "store init --config config.yaml");
    let other = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let issued = line(&folder, "issue --config config.yaml");
    assert!(issued.status.success());
    assert!(stderr(&issued).contains("the token is not recorded"), "{}", stderr(&issued));
    assert!(stderr(&issued).contains("another process holds its lock"), "{}", stderr(&issued));
    folder.write("config.yaml", &format!("{CONFIG}store_required: true\n"));
    let issued = line(&folder, "issue --config config.yaml");
    assert_eq!((issued.status.code(), stdout(&issued)), (Some(1), String::new()));
    other.execute_batch("ROLLBACK").unwrap();
    done(&folder, "issue --config config.yaml");
    assert!(done(&folder, "store check --config config.yaml").contains(" 1 token(s)"));
}

#[test]
fn a_backup_is_a_whole_store_and_replaces_nothing() {
    let folder = folder();
    done(&folder, "store init --config config.yaml");
    done(&folder, "issue --config config.yaml");
    assert_eq!(done(&folder, "store backup --config config.yaml b.db"), "copied to b.db\n");
    let mode = fs::metadata(folder.join("b.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, text) = said(&line(&folder, "store backup --config config.yaml b.db"));
    assert!(code == 1 && text.contains("store b.db: it exists already"), "{text}");
    assert!(text.contains("hint: name a file that does not exist: nothing is overwritten"), "{text}");
    // To SQLite these names are something else, and to us they are files.
    for name in [":memory:", "file:c.db?mode=memory"] {
        assert_eq!(
            done(&folder, &format!("store backup --config config.yaml {name}")),
            format!("copied to {name}\n")
        );
        assert!(fs::metadata(folder.join(name)).unwrap().len() > 0, "{name}");
    }
    done(&folder, "issue --config config.yaml");
    fs::rename(folder.join("b.db"), folder.join("store.db")).unwrap();
    assert!(done(&folder, "store check --config config.yaml").contains(" 1 token(s)"));
}

#[test]
fn a_file_that_may_not_be_written_is_said() {
    let folder = folder();
    done(&folder, "store init --config config.yaml");
    let file = folder.join("store.db");
    let mut command = keypebble();
    command.args(["store", "check", "--config", "config.yaml"]).current_dir(folder.path());
    // Root may write anything.
    if chown(folder.path(), Some(65534), Some(65534)).is_ok() {
        chown(folder.join("config.yaml"), Some(65534), Some(65534)).unwrap();
        command.uid(65534).gid(65534);
    }
    for (mode, exit, expected) in [(0o444, 3, "it may only be read"), (0o000, 1, "it cannot be opened")] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (code, text) = said(&command.output().unwrap());
        assert!(code == exit && text.contains(expected), "{mode:o}: {text}");
        assert!(text.contains("must belong to the user"), "{text}");
    }
}

#[test]
fn a_configuration_names_a_store_that_can_be_one() {
    for (text, expected) in [
        ("store: store.db\n", "expected `sqlite:PATH` or `postgres://"),
        ("store: 'sqlite:'\n", "expected the path of a file"),
        ("store: mysql://x\n", "expected `sqlite:PATH`"),
        ("store: postgres://u:hunter2@h/d\n", "the URL holds a password"),
        ("store: postgres://u@h/d?sslmode=prefer\n", "falls back to no encryption"),
        ("store_required: true\n", "`store_required` does nothing without `store`"),
        ("store_keep_days: 5\n", "`store_keep_days` does nothing without `store`"),
        ("store: sqlite:s\nstore_keep_days: 36501\n", "36500"),
        ("store: sqlite:s\nstore_required: maybe\n", "store_required"),
    ] {
        let folder = Folder::new();
        folder.write(
            "config.yaml",
            &format!("issuer: i\naudience: a\nsecret: 0123456789abcdef0123456789abcdef\n{text}"),
        );
        let (code, said) = said(&line(&folder, "check --config config.yaml"));
        assert!(code == 3 && said.contains(expected), "{text}: {said}");
        assert!(said.contains("config.yaml:") && !said.contains("hunter2"), "{said}");
    }
    let folder = Folder::with(&[(
        "config.yaml",
        "issuer: i\naudience: a\nsecret: 0123456789abcdef0123456789abcdef\n",
    )]);
    let (code, text) = said(&line(&folder, "store init --config config.yaml"));
    assert!(code == 2 && text.contains("this configuration has no store"), "{text}");
}
