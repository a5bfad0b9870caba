//! A log that takes nothing more: a full disk, a reader that has gone, one that sleeps.

use super::*;
use common::{PATIENCE, exchange, metric_in};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex};

const LOST: &str = "keypebble_log_lines_lost_total";

/// `serve` on a Unix socket, because nobody may be able to read where it listens.
struct Mute {
    folder: Folder,
    child: Killed,
}

impl Mute {
    fn start(log: Stdio) -> Self {
        let folder = Folder::new();
        folder.write("policy.yaml", POLICY);
        Self::start_in(folder, log)
    }

    fn start_in(folder: Folder, log: Stdio) -> Self {
        let socket = folder.path().join("socket");
        let key = "hs256_secret: 0123456789abcdef0123456789abcdef";
        configure(&folder, key, &format!("host: 'unix:{}'", socket.display()));
        folder.write("policy.yaml", POLICY);
        let child = Killed(serve(&folder).stdin(Stdio::null()).stderr(log).spawn().unwrap());
        until("it listens", || UnixStream::connect(&socket).is_ok());
        Self { folder, child }
    }

    fn get(&self, target: &str) -> Answer {
        let stream = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, "GET", target, &[ALICE], None)
    }

    fn lost(&self) -> u64 {
        metric_in(&self.get("/metrics").body, LOST)
    }

    fn log_reader(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.0.stderr.take().unwrap())
    }
}

#[test]
fn a_full_log_costs_lines_and_no_answers() {
    // "listening", and two for each token.
    let server = Mute::start(File::options().write(true).open("/dev/full").unwrap().into());
    for number in 0..20 {
        right(&server.get(TARGET));
        let lost = server.lost();
        assert!(lost >= 3 + 3 * number, "{lost}");
    }
}

#[test]
fn a_log_whose_reader_has_gone_costs_lines_and_no_answers() {
    let mut server = Mute::start(Stdio::piped());
    drop(server.log_reader());
    for _ in 0..20 {
        right(&server.get(TARGET));
    }
    assert!(server.lost() >= 40);
}

#[test]
fn a_log_whose_reader_sleeps_holds_nobody_up_and_says_later_what_it_missed() {
    let mut server = Mute::start(Stdio::piped());
    let mut reader = server.log_reader();
    // A pipe holds 64 KiB. Lines of more than one page each, so that one is written in part.
    let scope = |number: u32| format!("&scope=repository:{}{number}:pull", "a/".repeat(100));
    let target = format!("{TARGET}{}", (0..20).map(scope).collect::<String>());
    let started = Instant::now();
    for _ in 0..60 {
        right(&server.get(&target));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let lost = server.lost();
    assert!(lost > 20, "{lost}");

    // It wakes up, and some request's lines find room.
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            sink.lock().unwrap().push_str(&std::mem::take(&mut line));
        }
    });
    until("it says what is missing", || {
        right(&server.get(TARGET));
        text.lock().unwrap().contains("event=log_lost")
    });
    let text = text.lock().unwrap().clone();
    let said = text.lines().find_map(|line| line.split("event=log_lost lines=").nth(1)).unwrap();
    let said = said.parse::<u64>().unwrap();
    assert!(said >= lost, "{said}: the line of the metrics' own request is lost, too");
    assert_eq!(server.lost(), said, "and nothing more is lost");
    // Wherever a line was cut off, the next begins one of its own.
    let ours = text.lines().filter(|line| !line.starts_with("keypebble: "));
    let torn = ours.filter(|line| !line.starts_with("time=") || line.matches("time=").count() != 1);
    assert_eq!(torn.count(), 0, "{text}");
}

/// A disk of this test's own, unmounted when dropped.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root, to mount a disk: see .ci/run"]
fn a_full_disk_costs_lines_and_no_answers_and_says_so_when_there_is_room() {
    let folder = Folder::new();
    let disk = Disk(folder.path().join("disk"));
    std::fs::create_dir(&disk.0).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&disk.0);
    assert!(mount.status().unwrap().success());
    let log = disk.0.join("log");
    let open = || OpenOptions::new().append(true).create(true).open(&log).unwrap();
    let server = Mute::start_in(Folder::new(), open().into());
    right(&server.get(TARGET));
    assert_eq!(server.lost(), 0);
    // Something else fills the disk, and the log its own last page.
    let filler = disk.0.join("filler");
    let _ = File::create(&filler).unwrap().write_all(&vec![0; 1 << 20]);
    for _ in 0..100 {
        right(&server.get(TARGET));
    }
    let lost = server.lost();
    assert!(lost > 50, "{lost}");

    std::fs::remove_file(&filler).unwrap();
    right(&server.get(TARGET));
    let mut text = String::new();
    File::open(&log).unwrap().read_to_string(&mut text).unwrap();
    let said = text.lines().find_map(|line| line.split("event=log_lost lines=").nth(1));
    // The line of the request for the metrics was lost with the others.
    assert_eq!(said.map(|number| number.parse().unwrap()), Some(lost + 1), "{text}");
    let torn = text.lines().filter(|line| line.matches("time=").count() > 1).count();
    assert_eq!(torn, 0, "{text}");
    assert_eq!(server.lost(), lost + 1);
}
