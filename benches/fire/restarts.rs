//! Killed and started again, thousands of times: it always comes back, and no token says what it should not.
//!
//! Decision: half of the starts are on a TCP port and half on a Unix socket, so that each finds what the
//! one before left there: connections half closed, a socket's file. While they run, clients ask without a
//! pause, and now and then `keys rotate` changes the key folder and is itself killed.

use crate::client::{self, USERS, is_right, token_target};
use crate::common::{Folder, free_address};
use crate::server::{POLICY, binary, configure, serve};
use keypebble::ground::file::Files;
use keypebble::key::keyring::State;
use keypebble::keystore::Keystore;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Clients that ask while it is killed.
const CLIENTS: usize = 2;
/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder, and the two ways to listen.
struct Place {
    folder: Folder,
    address: SocketAddr,
    socket: PathBuf,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What happened so far.
#[derive(Default)]
struct Tally {
    ids: HashSet<String>,
    /// From start to first answer, in milliseconds.
    starts: Vec<f64>,
    early: u64,
    rotations: u64,
    cut_rotations: u64,
    leftovers: u64,
}

pub(crate) fn run(count: u64) -> bool {
    let folder = Folder::new();
    let address = free_address();
    let socket = folder.join("keypebble.sock");
    configure(&folder, "tcp.yaml", "key_dir: keys", &format!("host: 127.0.0.1, port: {}", address.port()));
    configure(&folder, "unix.yaml", "key_dir: keys", &format!("host: 'unix:{}'", socket.display()));
    folder.write("policy.yaml", POLICY);
    let place = Place { folder, address, socket };
    for _ in 0..2 {
        assert!(place.keys(&["generate", "--algorithm", "ES256"]).wait().unwrap().success());
    }
    let (mut tally, started) = (Tally::default(), Instant::now());
    for number in 1..=count {
        if let Err(failure) = once(&place, number, &mut tally) {
            println!("FAILED at restart {number}: {failure}");
            return false;
        }
        if number % 1000 == 0 || number == count {
            println!(
                "{number} restarts, {} tokens, {:.0} s",
                tally.ids.len(),
                started.elapsed().as_secs_f64()
            );
        }
    }
    tally.starts.sort_by(f64::total_cmp);
    let start = |part: usize| tally.starts.get((tally.starts.len() - 1) * part / 100).copied().unwrap_or(0.0);
    println!(
        "{count} kills: {} after an answer and {} before one; first answer after {:.1} ms (median), {:.1} (p99), {:.1} (most)",
        tally.starts.len(),
        tally.early,
        start(50),
        start(99),
        start(100)
    );
    println!(
        "{} tokens, each right and its id the only one; {} rotations, {} of them killed; \
         {} socket files left behind; strays in the key folder: {}",
        tally.ids.len(),
        tally.rotations,
        tally.cut_rotations,
        tally.leftovers,
        Keystore::load(&place.folder.join("keys"), &mut Files::default()).unwrap().strays().len()
    );
    true
}

/// One life of the server.
fn once(place: &Place, number: u64, tally: &mut Tally) -> Result<(), String> {
    let unix = number.is_multiple_of(2);
    if unix && place.socket.exists() {
        tally.leftovers += 1;
    }
    // Some rotations are underway when the server starts, some begin while it serves.
    let mut rotation = (number % 8 == 3).then(|| place.rotate(tally));
    let began = Instant::now();
    let config = place.folder.join(if unix { "unix.yaml" } else { "tcp.yaml" });
    let mut server = serve(&config, &place.folder.join("policy.yaml"));
    if number % 10 == 9 {
        // Before it answers, wherever in its start that is.
        sleep(random(Duration::from_millis(6)));
        tally.early += 1;
        end(&mut server);
        return finish(rotation, tally);
    }
    let first = place.first_answer(unix, &mut server, began).inspect_err(|_| {
        // No drop does it for a child.
        let _ = server.kill();
    })?;
    tally.starts.push(began.elapsed().as_secs_f64() * 1e3);
    if number % 8 == 6 {
        rotation = Some(place.rotate(tally));
    }
    let bodies = Mutex::new(vec![(0, first)]);
    scope(|scope| {
        for client in 0..CLIENTS {
            let bodies = &bodies;
            scope.spawn(move || place.ask_on(unix, client, bodies));
        }
        sleep(random(Duration::from_millis(5)));
        end(&mut server);
    });
    finish(rotation, tally)?;
    // Every key that may have signed is still in the folder: none is retired while a server runs.
    let store = Keystore::load(&place.folder.join("keys"), &mut Files::default())
        .map_err(|error| error.to_string())?;
    for (user, body) in bodies.into_inner().map_err(|error| error.to_string())? {
        let id = is_right(&body, store.keyring().verifiers(), user)?;
        if !tally.ids.insert(id.clone()) {
            return Err(format!("the id {id} came twice"));
        }
    }
    if number.is_multiple_of(50) { place.retire(&store) } else { Ok(()) }
}

impl Place {
    fn connect(&self, unix: bool) -> std::io::Result<Box<dyn Stream>> {
        if unix {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(Box::new(stream));
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// The first user's first answer, as soon as there is one.
    fn first_answer(&self, unix: bool, server: &mut Child, began: Instant) -> Result<Vec<u8>, String> {
        loop {
            if let Ok(mut stream) = self.connect(unix) {
                return ask(&mut stream, 0).map_err(|error| format!("the first answer: {error}"));
            }
            if let Some(status) = server.try_wait().unwrap() {
                return Err(format!("serve ended with {status}"));
            }
            if began.elapsed() > PATIENCE {
                return Err("serve does not answer".to_owned());
            }
            sleep(Duration::from_micros(100));
        }
    }

    /// Asks until the server is gone; what came whole must be right.
    fn ask_on(&self, unix: bool, client: usize, bodies: &Mutex<Vec<(usize, Vec<u8>)>>) {
        let Ok(mut stream) = self.connect(unix) else { return };
        for number in client.. {
            let Ok(body) = ask(&mut stream, number) else { return };
            bodies.lock().unwrap().push((number, body));
        }
    }

    fn rotate(&self, tally: &mut Tally) -> Child {
        tally.rotations += 1;
        self.keys(&["rotate", "--force"])
    }

    /// Drops all keys that sign no more, so that the folder stays as small as one is.
    fn retire(&self, store: &Keystore) -> Result<(), String> {
        let previous = store.manifest().entries().iter().filter(|entry| entry.state == State::Previous);
        for entry in previous {
            let status = self.keys(&["retire", "--force", "--id", &entry.id]).wait().unwrap();
            if !status.success() {
                return Err(format!("keys retire ended with {status}"));
            }
        }
        Ok(())
    }

    fn keys(&self, arguments: &[&str]) -> Child {
        let (command, more) = arguments.split_first().unwrap();
        let mut process = Command::new(binary());
        process.args(["keys", command, "--dir"]).arg(self.folder.join("keys")).args(more);
        process.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }
}

fn ask(stream: &mut Box<dyn Stream>, number: usize) -> std::io::Result<Vec<u8>> {
    let (user, scope, _) = USERS[number % USERS.len()];
    let target = token_target(scope);
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Authenticated-User: {user}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    client::answer(stream)
}

/// Half of the rotations are killed, too, somewhere.
fn finish(rotation: Option<Child>, tally: &mut Tally) -> Result<(), String> {
    let Some(mut rotation) = rotation else { return Ok(()) };
    if tally.rotations.is_multiple_of(2) {
        sleep(random(Duration::from_millis(3)));
        end(&mut rotation);
        tally.cut_rotations += 1;
        return Ok(());
    }
    let status = rotation.wait().unwrap();
    if status.success() { Ok(()) } else { Err(format!("keys rotate ended with {status}")) }
}

/// SIGKILL.
fn end(child: &mut Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// Some time up to that.
fn random(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    most.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}
