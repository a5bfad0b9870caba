//! `keypebble user`: passwords are set, changed and taken away in the users file, on a terminal or not.
#![cfg(feature = "passwords")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(unsafe_code, reason = "a terminal of one's own is made by system calls")]
#![allow(missing_docs)]

mod common;

use common::{
    Folder, Server, basic, done, keypebble, line, metric, run_with_input, said, stderr, stdout, until,
};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

const CONFIG: &str = "issuer: i\naudience: registry\nsecret: 0123456789abcdef0123456789abcdef\n\
    users_file: users.htpasswd\nservice: {host: 127.0.0.1, port: 0}\n";
const POLICY: &str = "users:\n  alice: {namespace: alice, repos: ['**'], actions: [pull]}\n";

fn set(folder: &Folder, name: &str, password: &str) {
    let arguments = ["user", "set", name, "--config", "config.yaml", "--cost", "4"];
    let output = run_with_input(folder, &arguments, password);
    assert_eq!(said(&output).0, 0, "{}", stderr(&output));
}

fn logs_in(server: &Server, name: &str, password: &str) -> bool {
    let answer = server.get("/v2/token?service=registry", &[("Authorization", &basic(name, password))]);
    assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    answer.status == 200
}

#[test]
fn a_running_server_takes_a_password_that_is_set_changed_or_removed() {
    let folder = common::folder(CONFIG, POLICY);
    set(&folder, "alice", "sesame\n");
    set(&folder, "bob", "swordfish");
    let server = common::serve(&folder);
    assert!(logs_in(&server, "alice", "sesame") && logs_in(&server, "bob", "swordfish"));
    assert_eq!(
        done(&folder, "user list --config config.yaml"),
        "alice  bcrypt, cost 4\nbob  bcrypt, cost 4\n"
    );
    let reloads = || metric(&server, "keypebble_reloads_total{result=\"ok\"}");
    set(&folder, "alice", "open sesame");
    until("the new password is noticed", || reloads() == 1);
    assert!(logs_in(&server, "alice", "open sesame") && !logs_in(&server, "alice", "sesame"));
    done(&folder, "user remove bob --users-file users.htpasswd");
    until("the removal is noticed", || reloads() == 2);
    assert!(!logs_in(&server, "bob", "swordfish"));
    assert_eq!(done(&folder, "user list --config config.yaml"), "alice  bcrypt, cost 4\n");
}

#[test]
fn a_file_that_htpasswd_made_is_mended_user_by_user() {
    let folder = common::folder(CONFIG, POLICY);
    let others = "# made by htpasswd\nbob:$apr1$M0RDDGLb$eMEUW6YFX./y0Ccx./K4n1\ncarol:{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=\n";
    let path = folder.write("users.htpasswd", others);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let output = run_with_input(
        &folder,
        &["user", "set", "bob", "--config", "config.yaml", "--cost", "4"],
        "swordfish",
    );
    let (code, shown) = said(&output);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("changed the password of bob: users.htpasswd"), "{shown}");
    assert!(shown.contains("no user can log in yet: users.htpasswd:3:7: expected a bcrypt hash"), "{shown}");
    assert!(!shown.contains("swordfish") && !shown.contains("6dcf"), "{shown}");
    let text = folder.read("users.htpasswd");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "# made by htpasswd");
    assert!(lines[1].starts_with("bob:$2b$04$") && lines.len() == 3, "{text}");
    assert_eq!(lines[2], others.lines().nth(2).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    set(&folder, "carol", "tuna");
    done(&folder, "check --config config.yaml --policy policy.yaml");
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let folder = common::folder(CONFIG, POLICY);
    set(&folder, "alice", "sesame");
    let before = folder.read("users.htpasswd");
    folder.write("none.yaml", "issuer: i\naudience: a\nsecret: s\n");
    for (command, input, code, part) in [
        ("user set --config config.yaml", "x", 2, "needs the user's NAME"),
        ("user set alice", "x", 2, "needs --users-file PATH or --config PATH"),
        ("user set alice --config config.yaml --users-file u", "x", 2, "leave one of them out"),
        ("user set alice --config config.yaml --cost 99", "x", 2, "from 4 to 14"),
        ("user set a:b --config config.yaml", "x", 2, "NAME: a user name cannot hold a colon"),
        ("user set #a --config config.yaml", "x", 2, "a comment in a users file"),
        ("user set << --config config.yaml", "x", 2, "merge key"),
        ("user set alice --config none.yaml", "x", 2, "none.yaml names no users file"),
        ("user set alice --config config.yaml", "", 1, "the password is empty"),
        ("user set alice --config config.yaml", "one\ntwo\n", 1, "no control characters"),
        ("user set alice --users-file none/users", "x", 1, "cannot open the folder of none/users"),
        ("user set alice --users-file .", "x", 1, "not a regular file"),
        (
            "user set alice --users-file none.yaml",
            "x",
            1,
            "cannot change none.yaml: its line 1 is not `name:hash`",
        ),
        ("user remove bob --config config.yaml", "", 1, "it names no user `bob`"),
        ("user remove bob --users-file absent", "", 1, "it names no user `bob`"),
        ("user list --users-file absent", "", 3, "No such file"),
        ("user", "", 2, "needs one of set, remove, list"),
    ] {
        let output = run_with_input(&folder, &command.split(' ').collect::<Vec<_>>(), input);
        let (found, shown) = said(&output);
        assert!(found == code && shown.contains(part), "{command}: {found}: {shown}");
    }
    assert_eq!(folder.read("users.htpasswd"), before);
    assert!(!folder.join("absent").exists());
    assert_eq!(line(&folder, "user list --users-file users.htpasswd").status.code(), Some(0));
}

/// A terminal: what is typed into it, and what it shows.
struct Terminal {
    master: File,
    shown: String,
}

impl Terminal {
    fn wait_for(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let mut piece = [0; 256];
            let count =
                self.master.read(&mut piece).unwrap_or_else(|error| panic!("{error}: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }

    /// Types where what is typed is not shown.
    fn types(&mut self, text: &str) {
        until("the terminal hides what is typed", || {
            // SAFETY: a struct of numbers, for which all zeros are a value.
            let mut settings: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: the struct outlives the call.
            assert_eq!(unsafe { libc::tcgetattr(self.master.as_raw_fd(), &raw mut settings) }, 0);
            settings.c_lflag & libc::ECHO == 0
        });
        self.master.write_all(text.as_bytes()).unwrap();
    }
}

/// Types two passwords at the prompts; the exit code, and what the terminal and stdout showed.
fn typed(folder: &Folder, passwords: [&str; 2]) -> (Option<i32>, String) {
    let (mut master, mut slave) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: the two numbers outlive the call, and the other arguments may be null.
    assert_eq!(unsafe { libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), none.cast()) }, 0);
    // SAFETY: both were just opened, and nobody else has them.
    let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
    let mut command = keypebble();
    command
        .args(["user", "set", "alice", "--config", "config.yaml", "--cost", "4"])
        .current_dir(folder.path());
    command.stdin(slave).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: both calls are safe between fork and exec. The terminal becomes the one of the new session.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    let mut terminal = Terminal { master, shown: String::new() };
    for (prompt, password) in ["(not shown): ", "the same again: "].into_iter().zip(passwords) {
        terminal.wait_for(prompt);
        terminal.types(&format!("{password}\n"));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), terminal.shown + &stdout(&output) + &stderr(&output))
}

#[test]
fn on_a_terminal_a_password_is_asked_twice_and_not_shown() {
    let folder = common::folder(CONFIG, POLICY);
    let (code, shown) = typed(&folder, ["sesame", "sesame"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("password for alice (not shown): ") && !shown.contains("sesame"), "{shown}");
    let server = common::serve(&folder);
    assert!(logs_in(&server, "alice", "sesame"));
    let before = folder.read("users.htpasswd");
    let (code, shown) = typed(&folder, ["sesame", "sesane"]);
    assert!(code == Some(1) && shown.contains("the two passwords differ"), "{shown}");
    assert_eq!(folder.read("users.htpasswd"), before);
}
