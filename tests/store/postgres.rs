//! A store on a server: who may log in and how, and a server that goes away.

use crate::cluster::Cluster;
use crate::common::{Folder, Server, done, line, metric, said, serve, until};
use crate::on_server;
use crate::rules::entry;
use keypebble::ground::time::UnixTime;
use keypebble::store::entry::{Entry, Filter, Known, Revocation, Sought, Target};
use keypebble::store::{self, Store};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const POLICY: &str = "users:\n  alice: {repos: ['a/**'], actions: [pull, push]}\n";
const TARGET: &str = "/v2/token?scope=repository:a/b:pull";
const ALICE: (&str, &str) = ("X-Authenticated-User", "alice");

/// A folder whose store is behind that URL.
fn folder(url: &str, more: &str) -> Folder {
    let text = format!(
        "issuer: i\naudience: registry.example.com\nsecret: 0123456789abcdef0123456789abcdef\n\
         store: {url}\nservice: {{host: 127.0.0.1, port: 0, log: json}}\n{more}"
    );
    Folder::with(&[("config.yaml", &text), ("policy.yaml", POLICY), ("passfile", "*:*:*:*:secret\n")])
}

fn open(url: &str) -> Store {
    Store::open(&on_server(url, true), Box::new(|_| ())).unwrap()
}

fn count(store: &Store) -> usize {
    store.list(&Filter { limit: 100_000, ..Filter::default() }).unwrap().len()
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn only_a_password_that_cannot_be_read_is_sent() {
    for (method, fine) in [("scram-sha-256", true), ("md5", false), ("password", false)] {
        let mut cluster = Cluster::start(method);
        if method == "md5" {
            cluster.crash();
            cluster.set("password_encryption=md5");
            cluster.resume();
        }
        cluster.database("k");
        let url = format!("postgres://k@127.0.0.1:{}/k?passfile=passfile", cluster.port);
        let folder = folder(&url, "");
        let (code, text) = said(&line(&folder, "store init --config config.yaml"));
        assert_eq!(code, if fine { 0 } else { 3 }, "{method}: {text}");
        assert!(fine || text.contains("which is not sent"), "{method}: {text}");
        // Never in what is printed, nor a reason to try without it.
        assert!(!text.contains("secret"), "{text}");
        if fine {
            for (passfile, expected) in [
                ("*:*:*:*:wrong\n", "password authentication failed"),
                ("other:*:*:*:secret\n", "password missing"),
            ] {
                folder.write("passfile", passfile);
                let (code, text) = said(&line(&folder, "store check --config config.yaml"));
                assert!(code == 3 && text.contains(expected), "{code} {text}");
                assert!(!text.contains("wrong") && !text.contains("secret"), "{text}");
            }
        }
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn the_mode_says_whom_a_certificate_must_convince() {
    let mut cluster = Cluster::start("scram-sha-256");
    cluster.database("k");
    // A root, and the server's certificate for localhost alone.
    let pki = Folder::new();
    let openssl = |arguments: &str| {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let output = Command::new("openssl").args(words).current_dir(pki.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for (name, subject) in [("root", "/CN=root"), ("other", "/CN=other")] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj {subject} \
             -keyout {name}.key -out {name}.pem"
        ));
    }
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout s.key -out s.csr",
    );
    pki.write("ext", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
    openssl("x509 -req -in s.csr -CA root.pem -CAkey root.key -days 30 -extfile ext -out s.pem");
    for name in ["s.key", "s.pem"] {
        let text = pki.read(name);
        let path = cluster.folder().write(name, &text);
        let _ = std::os::unix::fs::chown(path, Some(65534), Some(65534)); // where the tests are root's
    }
    let plain = format!("@localhost:{}/k", cluster.port);
    let (code, text) = said(&line(
        &folder(&format!("postgres://k{plain}?passfile=passfile&sslmode=require"), ""),
        "store init --config config.yaml",
    ));
    assert!(code != 0 && text.contains("TLS"), "a server without TLS: {text}");
    cluster.crash();
    for setting in ["ssl=on", "ssl_cert_file=../s.pem", "ssl_key_file=../s.key"] {
        cluster.set(setting);
    }
    cluster.resume();
    for (host, mode, root, fine) in [
        ("localhost", "verify-full", "root", true),
        ("127.0.0.1", "verify-full", "root", false),
        ("127.0.0.1", "verify-ca", "root", true),
        ("localhost", "verify-full", "other", false),
        ("localhost", "verify-ca", "other", false),
        // As libpq has it: a root given with `require` is verified; without one, whoever answers.
        ("127.0.0.1", "require", "other", false),
        ("127.0.0.1", "require", "root", true),
        ("127.0.0.1", "require", "", true),
        ("127.0.0.1", "disable", "root", false),
        ("127.0.0.1", "disable", "", true),
    ] {
        let roots = pki.join(&format!("{root}.pem")).display().to_string();
        let roots = if root.is_empty() { String::new() } else { format!("&sslrootcert={roots}") };
        let url = format!("postgres://k@{host}:{}/k?passfile=passfile&sslmode={mode}{roots}", cluster.port);
        let (code, text) = said(&line(&folder(&url, ""), "store init --config config.yaml"));
        assert_eq!(code, if fine { 0 } else { 3 }, "{host} {mode} {root}: {text}");
    }
    // A name that is not this host's is verified unless the URL says otherwise.
    let used = "SELECT bool_or(ssl) FROM pg_stat_ssl";
    let store = open(&format!(
        "postgres://k@localhost:{}/k?passfile={}&sslmode=verify-full&sslrootcert={}",
        cluster.port,
        pki.write("passfile", "*:*:*:*:secret\n").display(),
        pki.join("root.pem").display()
    ));
    assert_eq!(cluster.sql("postgres", used), "t");
    drop(store);
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn the_least_rights_suffice_and_less_is_said() {
    let cluster = Cluster::start("scram-sha-256");
    cluster.database("owner");
    let folder = folder(&cluster.socket_url("owner"), "");
    done(&folder, "store init --config config.yaml");
    cluster.sql("owner", "CREATE ROLE service LOGIN");
    let url = cluster.socket_url("owner").replacen("//owner@", "//service@", 1);
    let config = on_server(&url, true);
    let fault = store::check(&config).unwrap_err();
    assert!(fault.lasting && fault.hint.as_deref().unwrap_or_default().contains("grant"), "{fault:?}");
    // The statements of the manual, as it has them.
    let manual = std::fs::read_to_string(crate::common::repository("docs/store.md")).unwrap();
    let rights = manual.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    cluster.sql("owner", &rights.replace("keypebble_service", "service"));
    let store = Store::open(&config, Box::new(|_| ())).unwrap();
    let now = UnixTime::now();
    let live = |id: &str| keypebble::store::entry::Entry {
        issued_at: now,
        expires_at: UnixTime(now.0 + 60),
        profile: "refresh".to_owned(),
        login: Some(id.to_owned()),
        ..entry(id, "alice")
    };
    store.remember(vec![live("a")]).unwrap();
    for target in [
        Target::Token { id: "a".to_owned(), expires_at: UnixTime(now.0 + 60) },
        Target::User("bob".to_owned()),
        Target::User("bob".to_owned()),
    ] {
        let before = UnixTime(now.0 + 1);
        store.revoke(&Revocation { target, before, at: now, actor: "test".to_owned() }).unwrap();
    }
    store::prune(&config, UnixTime(now.0 + 1_000_000)).unwrap();
    store::examine(&config).unwrap();
    assert!(store::init(&on_server(&url, true)).is_ok(), "nothing is to be done");
    for forbidden in
        ["DROP TABLE keypebble.token", "UPDATE keypebble.token SET id = 'x'", "TRUNCATE keypebble.event"]
    {
        let sql = format!("SET ROLE service; {forbidden}");
        assert!(std::panic::catch_unwind(|| cluster.sql("owner", &sql)).is_err(), "{forbidden}");
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn a_foreign_or_newer_schema_is_left_alone() {
    let cluster = Cluster::start("scram-sha-256");
    cluster.database("k");
    let config = on_server(&cluster.socket_url("k"), true);
    cluster.sql("k", "CREATE SCHEMA keypebble AUTHORIZATION k; CREATE TABLE keypebble.t (x INT)");
    let fault = store::init(&config).unwrap_err();
    assert!(fault.what.contains("it is not Keypebble's"), "{fault}");
    cluster.sql("k", "DROP TABLE keypebble.t");
    store::init(&config).unwrap();
    cluster.sql("k", "UPDATE keypebble.version SET number = 99");
    let fault = Store::open(&config, Box::new(|_| ())).unwrap_err();
    assert!(fault.lasting && fault.what.contains("version 99"), "{fault}");
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn a_database_that_cannot_hold_every_name_is_refused() {
    let cluster = Cluster::start("scram-sha-256");
    for (encoding, fine) in [("SQL_ASCII", true), ("LATIN1", false)] {
        let name = encoding.to_lowercase();
        cluster.sql("postgres", &format!("CREATE ROLE {name} LOGIN"));
        let made = format!("CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING '{encoding}'");
        cluster.sql("postgres", &made);
        let config = on_server(&cluster.socket_url(&name), true);
        match store::init(&config) {
            Ok(_) => {
                assert!(fine, "{encoding}");
                let store = open(&cluster.socket_url(&name));
                let entry =
                    Entry { id: "x".to_owned(), subject: "\u{65e5}\u{672c}".to_owned(), ..Entry::default() };
                store.commit(vec![entry.clone()]).unwrap();
                let found = store.list(&Filter { limit: 1, ..Filter::default() }).unwrap();
                assert_eq!(found[0].entry, entry);
            }
            Err(fault) => {
                assert!(!fine && fault.lasting && fault.what.contains(encoding), "{fault}");
            }
        }
    }
}

/// Every token that a client got is in the store, whatever happens to the server meanwhile; and it comes back.
#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn a_server_that_stops_starts_and_fails_costs_answers_and_no_record() {
    let mut cluster = Cluster::start("scram-sha-256");
    cluster.database("k");
    let folder = folder(&cluster.socket_url("k"), "store_required: true\n");
    done(&folder, "store init --config config.yaml");
    let server = serve(&folder);
    let mut had = Vec::new();
    for _ in 0..3 {
        until("tokens are given", || {
            let answer = server.get(TARGET, &[ALICE]);
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            let given = answer.status == 200;
            if given {
                had.push(answer.claims()["jti"].as_str().unwrap().to_owned());
            }
            given
        });
        cluster.crash();
        let answer = server.get(TARGET, &[ALICE]);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
        until("it is said", || server.log().contains("\"what\":\"down\""));
        assert_eq!(server.get("/healthz", &[]).status, 200);
        cluster.resume();
    }
    // A session that is ended from outside is made anew without a lost answer.
    until("tokens are given", || server.get(TARGET, &[ALICE]).status == 200);
    cluster.sql(
        "k",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keypebble'",
    );
    assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
    assert!(metric(&server, "keypebble_store_failures_total") > 0);
    let store = open(&cluster.socket_url("k"));
    for id in &had {
        let sought = Sought { id, subject: "alice", key_id: None, issued_at: UnixTime(0) };
        assert!(matches!(store.look(&sought, UnixTime(0)), Ok(Known::Active(_))), "{id}");
    }
    server.stop("TERM");
}

/// Asks servers from several threads until `act` is done, and gives the `jti` of each token that was given;
/// `act` can ask how many those are by then.
fn under_load(servers: &[&Server], act: impl FnOnce(&dyn Fn() -> usize)) -> Vec<String> {
    let over = AtomicBool::new(false);
    let had = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for server in servers {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let answer = server.get(TARGET, &[ALICE]);
                        assert!([200, 503].contains(&answer.status), "{answer:?}");
                        if answer.status == 200 {
                            had.lock().unwrap().push(answer.claims()["jti"].as_str().unwrap().to_owned());
                        }
                    }
                });
            }
        }
        // Whoever asks is told to end also where the test fails.
        let acted = catch_unwind(AssertUnwindSafe(|| act(&|| had.lock().unwrap().len())));
        over.store(true, Ordering::Relaxed);
        acted.unwrap_or_else(|panic| resume_unwind(panic));
    });
    had.into_inner().unwrap()
}

/// Each of these tokens is in the store.
#[track_caller]
fn all_are_there(had: &[String], store: &Store) {
    let found = store.list(&Filter { limit: 1_000_000, ..Filter::default() }).unwrap();
    let kept: std::collections::HashSet<String> = found.into_iter().map(|token| token.entry.id).collect();
    assert!(had.iter().all(|id| kept.contains(id)), "{} of {} are there", kept.len(), had.len());
}

/// What is not required waits for the server, in order, and is written when it is back.
#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn what_is_not_required_waits_for_the_server() {
    let mut cluster = Cluster::start("scram-sha-256");
    cluster.database("k");
    let folder = folder(&cluster.socket_url("k"), "");
    done(&folder, "store init --config config.yaml");
    let server = serve(&folder);
    cluster.crash();
    for _ in 0..50 {
        assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
    }
    until("it is said", || server.log().contains("\"what\":\"down\""));
    cluster.resume();
    let store = open(&cluster.socket_url("k"));
    until("all are written", || count(&store) == 50);
    until("it is said", || server.log().contains("\"what\":\"up\""));
    assert_eq!(metric(&server, "keypebble_store_dropped_total"), 0);
}

/// Passes bytes on between a client and the server, until it is told to hold them.
struct Proxy {
    port: u16,
    held: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = Arc::new(AtomicBool::new(false));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            held: Arc::clone(&held),
            streams: Arc::clone(&streams),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    let held = Arc::clone(&held);
                    std::thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            while held.load(Ordering::Relaxed) {
                                std::thread::sleep(Duration::from_millis(5));
                            }
                            if to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                streams.lock().unwrap().extend([client, server]);
            }
        });
        proxy
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn a_connection_that_is_cut_or_goes_silent_is_given_up() {
    let cluster = Cluster::start("trust");
    cluster.database("k");
    let proxy = Proxy::to(cluster.port);
    let url = format!("postgres://k@127.0.0.1:{}/k", proxy.port);
    let folder = folder(&url, "store_required: true\n");
    done(&folder, "store init --config config.yaml");
    let server = serve(&folder);
    assert_eq!(server.get(TARGET, &[ALICE]).status, 200);
    for _ in 0..5 {
        proxy.cut();
        assert_eq!(server.get(TARGET, &[ALICE]).status, 200, "a new connection is made at once");
    }
    // In the middle of a statement, and no word comes back.
    proxy.held.store(true, Ordering::Relaxed);
    let began = std::time::Instant::now();
    let answer = server.get(TARGET, &[ALICE]);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    proxy.held.store(false, Ordering::Relaxed);
    until("it is back", || server.get(TARGET, &[ALICE]).status == 200);
    // While a client asks without end, the connection is cut again and again.
    let had = under_load(&[&server], |count| {
        for round in 1..=20 {
            until("tokens are given", || count() >= round * 10);
            proxy.cut();
        }
    });
    all_are_there(&had, &open(&cluster.socket_url("k")));
}

/// The primary is lost in the middle of the work, and the standby takes its place.
#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn a_standby_that_takes_over_has_every_token_that_was_given() {
    let mut primary = Cluster::start("trust");
    primary.database("k");
    let standby = primary.standby();
    let url = format!("postgres://k@127.0.0.1:{},127.0.0.1:{}/k", primary.port, standby.port);
    let folder = folder(&url, "store_required: true\n");
    done(&folder, "store init --config config.yaml");
    let server = serve(&folder);
    let had = under_load(&[&server], |count| {
        until("tokens are given", || count() >= 50);
        primary.crash();
        // The standby can only be read: it is not taken for a store.
        until("it is said", || server.log().contains("\"what\":\"down\""));
        let before = count();
        standby.sql("postgres", "SELECT pg_promote()");
        until("tokens are given again", || count() >= before + 50);
    });
    all_are_there(&had, &open(&standby.socket_url("k")));
    assert!(server.log().contains("\"what\":\"up\""), "{}", server.log());
}

/// Two nodes work while a newer program, for which `psql` stands, brings the schema up to date, from two places at
/// once as nodes do. They go on until they are replaced, and one that starts after that must be the newer one.
#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn nodes_go_on_while_the_schema_is_brought_up_to_date_under_them() {
    let cluster = Cluster::start("trust");
    cluster.database("k");
    let folder = folder(&cluster.socket_url("k"), "store_required: true\n");
    done(&folder, "store init --config config.yaml");
    let nodes = [serve(&folder), serve(&folder)];
    let migrate = "BEGIN; SELECT pg_advisory_xact_lock(1265657186);
        DO $$ BEGIN IF (SELECT max(number) FROM keypebble.version) = 1 THEN
            ALTER TABLE keypebble.token ADD COLUMN note BIGINT;
            ALTER TABLE keypebble.revocation ADD COLUMN note TEXT;
            DELETE FROM keypebble.version; INSERT INTO keypebble.version VALUES (2);
        END IF; END $$; COMMIT";
    let had = under_load(&[&nodes[0], &nodes[1]], |count| {
        until("tokens are given", || count() >= 100);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| cluster.sql("k", migrate));
            }
        });
        let before = count();
        until("tokens are given", || count() >= before + 100);
    });
    for node in &nodes {
        assert_eq!(metric(node, "keypebble_store_failures_total"), 0, "{}", node.log());
        assert_eq!(node.get(TARGET, &[ALICE]).status, 200);
    }
    assert_eq!(cluster.sql("k", "SELECT number FROM keypebble.version"), "2");
    let stored = cluster.sql("k", "SELECT count(*) FROM keypebble.token").parse::<usize>().unwrap();
    assert!(stored >= had.len() + 2, "{stored} of {}", had.len());
    let (code, text) = said(&line(&folder, "serve --config config.yaml"));
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("its schema has version 2, and this program knows those up to 1"), "{text}");
}

#[test]
#[ignore = "needs a PostgreSQL server: see .ci/run"]
fn what_one_node_revokes_the_other_refuses_at_once() {
    let cluster = Cluster::start("scram-sha-256");
    cluster.database("k");
    let url = cluster.socket_url("k");
    let folder = folder(&url, "users_file: users\n");
    let hash =
        crate::common::run_with_input(&folder, &["hash-password", "--user", "alice", "--cost", "4"], "pw");
    folder.write("users", &crate::common::stdout(&hash));
    done(&folder, "store init --config config.yaml");
    let nodes: [Server; 2] = [serve(&folder), serve(&folder)];
    let post = |node: usize, form: &str| nodes[node].post("/v2/token", &[crate::common::FORM], form);
    let login = post(0, "grant_type=password&username=alice&password=pw&access_type=offline");
    let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    for node in [0, 1] {
        assert_eq!(post(node, &form).status, 200);
    }
    let store = open(&url);
    until("it is written", || count(&store) == 4);
    let now = UnixTime::now();
    let target = Target::User("alice".to_owned());
    store.revoke(&Revocation { target, before: now, at: now, actor: "test".to_owned() }).unwrap();
    for node in [0, 1] {
        assert_eq!(post(node, &form).status, 401);
    }
}
