//! The clock set back a day and forward a year, under the program while it runs.
//!
//! libfaketime stands between the program and the time of day; the monotonic clock, which no administrator
//! can set either, it leaves alone.

use super::*;
use std::io::{Read, Write};
use std::time::SystemTime;

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// How far the clock is off, in seconds; the program under test reads it from a file.
struct Clock {
    file: PathBuf,
    library: String,
}

impl Clock {
    fn new(folder: &Folder) -> Self {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        assert!(std::path::Path::new(&library).is_file(), "apt-get install faketime: there is no {library}");
        let clock = Self { file: folder.path().join("clock"), library };
        clock.set(0);
        clock
    }

    fn set(&self, offset: i64) {
        // Whole or not at all: the program reads it whenever it asks for the time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset:+}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    fn put_before(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // The times of files stay: they are the file system's.
            .env("NO_FAKE_STAT", "1");
    }

    fn serve(&self, folder: &Folder) -> Server {
        let mut command = serve(folder);
        self.put_before(&mut command);
        Server::run(&mut command)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Alice's token, whose times must be those of a clock that is so far off; its id.
#[track_caller]
fn made_at(answer: &Answer, offset: i64) -> String {
    let claims = right(answer);
    let time = |name: &str| claims[name].as_i64().unwrap() - now() - offset;
    // A registry's token begins ten seconds early, and the machine may be slow.
    assert!((-70..=0).contains(&(time("iat"))) && time("iat") == time("nbf"), "{claims}");
    assert!((3540..=3600).contains(&time("exp")), "{claims}");
    let issued_at = answer.json()["issued_at"].as_str().unwrap().to_owned();
    assert_eq!(issued_at.len(), 20);
    claims["jti"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs faketime: see .ci/run"]
fn tokens_follow_the_clock() {
    let folder = folder(TCP);
    let clock = Clock::new(&folder);
    let server = clock.serve(&folder);
    let ask = || server.get(TARGET, &[ALICE]);
    let mut seen = Vec::new();
    for offset in [0, -DAY, 0, YEAR, 0, -DAY, YEAR, 2 * YEAR] {
        clock.set(offset);
        let id = made_at(&ask(), offset);
        assert!(!seen.contains(&id), "at {offset:+} a token of another time");
        seen.push(id);
    }
}

#[test]
#[ignore = "needs faketime: see .ci/run"]
fn connections_and_reloads_do_not_mind_the_clock() {
    let folder = folder(TCP);
    let clock = Clock::new(&folder);
    let server = clock.serve(&folder);
    // Half a request, and a connection at rest.
    let mut half = server.connect();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConn").unwrap();
    let mut resting = server.connect();
    for (offset, actions) in [(YEAR, "[pull, push]"), (-DAY, "[pull]"), (0, "[push]")] {
        clock.set(offset);
        folder.write("policy.yaml", &POLICY.replace("[pull]", actions));
        let expected = format!("\"actions\":{}", actions.replace('[', "[\"").replace(']', "\"]"));
        let expected = expected.replace(", ", "\",\"");
        until("the new policy", || server.get(TARGET, &[ALICE]).body.contains(&expected));
        resting.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(Answer::read(&mut resting, true).status, 200);
    }
    half.write_all(b"ection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    half.read_to_string(&mut text).unwrap();
    let late = text.starts_with("HTTP/1.1 408 ");
    assert!(text.starts_with("HTTP/1.1 200 ") || late, "{text}");
    // The deadline is ten real seconds: it may only have passed if they have.
    assert!(!late || server.log().contains("what=head_timed_out"), "{text}");
}

/// Keys are retired by the time at which they ceased to sign: never early, whatever the clock was then.
#[test]
#[ignore = "needs faketime: see .ci/run"]
fn a_key_that_ceased_to_sign_in_the_future_is_not_retired() {
    let folder = Folder::new();
    let clock = Clock::new(&folder);
    let keys = |offset: i64, arguments: &str| {
        clock.set(offset);
        let mut command = keypebble();
        command.arg("keys").args(arguments.split(' ')).current_dir(folder.path());
        clock.put_before(&mut command);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    for arguments in ["generate --dir keys --algorithm ES256", "generate --dir keys --algorithm ES256"] {
        assert_eq!(keys(0, arguments).0, Some(0));
    }
    let (code, said) = keys(0, "rotate --dir keys --force");
    assert_eq!(code, Some(0), "{said}");
    let count =
        |offset| keys(offset, "list --dir keys").1.lines().filter(|line| line.contains("ES256")).count();
    for (offset, left) in [(-DAY, 3), (0, 3), (3600, 3), (-YEAR, 3), (2 * DAY, 2)] {
        let (_, said) = keys(offset, "retire --dir keys --max-ttl 3600");
        assert_eq!(count(offset), left, "at {offset:+}: {said}");
    }
    // And it can rotate again at a time before the last rotation.
    let (code, said) = keys(-DAY, "rotate --dir keys --force");
    assert_eq!((code, count(-DAY)), (Some(0), 3), "{said}");
}

#[cfg(feature = "passwords")]
mod passwords {
    use super::*;
    use common::run_with_input;

    const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];

    fn login_folder() -> Folder {
        let folder = folder(TCP);
        let output = run_with_input(&folder, &["hash-password", "--user", "alice", "--cost", "4"], "right");
        folder.write("users", &String::from_utf8(output.stdout).unwrap());
        let key = "hs256_secret: 0123456789abcdef0123456789abcdef\nusers_file: users";
        configure(&folder, key, TCP);
        folder
    }

    fn login(server: &Server, password: &str, more: &str) -> Answer {
        let form = format!("grant_type=password&username=alice&password={password}&service={AUDIENCE}{more}");
        server.post("/v2/token", FORM, &form)
    }

    #[test]
    #[ignore = "needs faketime: see .ci/run"]
    fn wrong_passwords_are_slowed_by_no_clock_that_can_be_set() {
        let folder = login_folder();
        let clock = Clock::new(&folder);
        let server = clock.serve(&folder);
        let throttled = || (0..30).map(|_| login(&server, "wrong", "")).find(|answer| answer.status == 429);
        let first = throttled().expect("too many are slowed");
        let wait = |answer: &Answer| answer.header("Retry-After").unwrap().parse::<u64>().unwrap();
        assert!(wait(&first) <= 10, "{first:?}");
        // A year later by the clock none is forgiven sooner, and a day earlier none waits longer.
        for offset in [YEAR, -DAY, 0] {
            clock.set(offset);
            let started = Instant::now();
            let allowed = (0..30).filter(|_| login(&server, "wrong", "").status != 429).count();
            // One in ten real seconds is.
            let due = 2 + usize::try_from(started.elapsed().as_secs() / 10).unwrap();
            assert!(allowed <= due, "at {offset:+} {allowed} more");
            let answer = throttled().unwrap();
            assert!(wait(&answer) <= 10, "at {offset:+}: {answer:?}");
        }
        clock.set(-DAY);
        let due = wait(&throttled().unwrap());
        std::thread::sleep(Duration::from_secs(due));
        until("the next may be tried", || login(&server, "right", "").status == 200);
    }

    #[test]
    #[ignore = "needs faketime: see .ci/run"]
    fn a_refresh_token_ends_by_the_clock() {
        let folder = login_folder();
        let clock = Clock::new(&folder);
        let server = clock.serve(&folder);
        let answer = login(&server, "right", "&access_type=offline");
        let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
        let form = format!(
            "grant_type=refresh_token&refresh_token={refresh}&service={AUDIENCE}\
             &scope=repository:alice-space/app:pull"
        );
        // It lives for thirty days.
        for (offset, status) in [
            (0, 200),
            (29 * DAY, 200),
            (31 * DAY, 401),
            (YEAR, 401),
            (-DAY, 200),
            (0, 200),
            (30 * DAY + 5, 401),
        ] {
            clock.set(offset);
            let answer = server.post("/v2/token", FORM, &form);
            assert_eq!(answer.status, status, "at {offset:+}: {answer:?}");
            if status == 200 {
                made_at(&answer, offset);
            }
        }
    }
}
