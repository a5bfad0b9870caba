//! TLS of our own, as clients meet it: the real binary, and rustls at the other end.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(missing_docs)]

mod common;

use common::tls::{Authority, Client, Secure, secure_folder};
use common::{
    Answer, Folder, Server, TURNS, connect, exchange, line, metric_in, pipelined, run, said, stderr, until,
};
use rustls::version::{TLS12, TLS13};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn serve(folder: &Folder) -> Server {
    Server::start(folder, &["--config", "config.yaml"])
}

fn server(more: &str) -> (Folder, Server, Client) {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, more);
    let server = serve(&folder);
    (folder, server, authority.client())
}

/// Why handshakes failed so far: each reason with its count, where it has one.
fn failures(server: &Server, client: &Client) -> String {
    let text = client.get(server, "/metrics", &[]).body;
    let counts = text.lines().filter_map(|line| {
        let (reason, count) =
            line.strip_prefix("keypebble_tls_handshake_failures_total{reason=\"")?.split_once("\"} ")?;
        (count != "0").then(|| format!("{reason} {count}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// All that comes, and whether its end was said (`close_notify`) or the connection just broke off.
fn rest(stream: &mut Secure) -> (String, bool) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).is_ok();
    (String::from_utf8(bytes).unwrap(), ended)
}

fn threads(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn both_versions_carry_requests_of_all_sizes_in_records_of_all_sizes() {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, "");
    let server = serve(&folder);
    assert!(server.address.starts_with("https://127.0.0.1:"), "{}", server.address);
    for version in [&TLS13, &TLS12] {
        let client = Client::of(&authority.pem, &[version]);
        let requests = pipelined(60, |turn| (turn * 397 % 9000, turn * 31 % 2000));
        for size in [1, 700, 5000, 40_000] {
            // Byte by byte for the first requests alone.
            let (sent, turns) =
                if size == 1 { (&requests.as_bytes()[..2000], 3) } else { (requests.as_bytes(), 60) };
            let mut stream = client.connect(&server).unwrap();
            for piece in sent.chunks(size) {
                stream.write_all(piece).unwrap();
            }
            for turn in 0..turns {
                let claims = Answer::read(&mut stream, false).claims();
                assert_eq!(claims["sub"], TURNS[turn % 3], "{version:?} {size} {turn}");
            }
        }
    }
    assert_eq!(failures(&server, &authority.client()), "");
}

#[test]
fn the_peer_is_the_client_and_only_http_1_is_agreed_on() {
    let (_folder, server, client) = server("");
    for (offered, agreed) in [
        (vec![], None),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec!["h2", "http/1.1"], Some("http/1.1")),
        (vec!["http/1.0"], Some("http/1.0")),
    ] {
        let mut client = client.clone();
        client.0.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = client.connect(&server).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
        let answer = exchange(stream, "GET", "/healthz", &[], None);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("Strict-Transport-Security"), None);
    }
    assert!(server.log().contains("peer=127.0.0.1 client=127.0.0.1"), "{}", server.log());
}

#[test]
fn every_handshake_that_fails_is_counted_by_its_reason_and_plain_http_is_told() {
    let (_folder, server, client) = server(", limits: {head_seconds: 1}");
    for (sent, reason) in [
        (&b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"[..], "plain_http"),
        (b"\0\0\0\0\0\0", "not_tls"),
        (b"SSH-2.0-client\r\n", "not_tls"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "plain_http"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "cut_off"),
        // TLS 1.1 with one cipher suite, and no more.
        (
            &[&b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x02"[..], &[7; 32], b"\0\0\x02\0\x2f\x01\0"].concat(),
            "version",
        ),
        (&[&b"\x16\x03\x01\0\x05\x02\0\0\x01\0"[..], &[0; 8]].concat(), "malformed"),
    ] {
        let before = failures(&server, &client);
        let answer = server.send(sent);
        let after = failures(&server, &client);
        let count = |text: &str| {
            let counts = text.split(", ").find_map(|part| part.strip_prefix(reason));
            counts.map_or(0, |count| count.trim().parse::<u64>().unwrap())
        };
        assert_eq!(count(&after), count(&before) + 1, "{reason}: {before} to {after}");
        let told = answer.starts_with("HTTP/1.1 400 ") && answer.contains("the address begins with https://");
        assert_eq!(told, reason == "plain_http", "{reason}: {answer}");
    }
    // Begun and not gone on with: it has the time of a request's head, and no more.
    let mut slow = connect(server.port());
    slow.write_all(b"\x16\x03\x01\x02\0").unwrap();
    assert!(matches!(slow.read(&mut [0; 100]), Ok(0) | Err(_)));
    let mut long = connect(server.port());
    let _ = long.write_all(&[&b"\x16\x03\x01\x40\0\x01\0\xff\xf0"[..], &b"7".repeat(20_000)].concat());
    let _ = long.read(&mut [0; 100]);
    let mut other = client.clone();
    other.0.alpn_protocols = vec![b"h2".to_vec()];
    let refused = other.connect(&server).unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    assert!(Authority::new("another").client().connect(&server).is_err());
    let all = "plain_http 2, not_tls 2, timed_out 1, too_long 1, cut_off 1, version 1, other_protocol 1, \
               refused_by_client 1, malformed 1";
    until("every reason is counted once", || failures(&server, &client) == all);
    assert!(server.log().contains("reason=refused_by_client detail=\"the client sent the alert"));
}

#[test]
fn handshakes_that_fail_fill_no_log() {
    let (_folder, server, client) = server("");
    for _ in 0..200 {
        server.send(b"\0");
    }
    until("all are counted", || failures(&server, &client) == "not_tls 200");
    let seconds: std::collections::BTreeSet<String> = server
        .log()
        .lines()
        .filter(|line| line.contains("reason=not_tls"))
        .map(|line| line[..25].to_owned())
        .collect();
    let lines = server.log().matches("reason=not_tls").count();
    assert!(lines >= 10 && lines <= 10 * seconds.len(), "{lines} lines in {} seconds", seconds.len());
}

#[test]
fn deadlines_hold_and_every_end_is_said() {
    let (_folder, server, client) = server(", limits: {head_seconds: 1, body_seconds: 1, idle_seconds: 1}");
    for (sent, expected) in [
        (&b""[..], ""),
        (b"GET / HTTP/1.1\r\nHo", "HTTP/1.1 408 "),
        (b"POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe", "HTTP/1.1 4"),
        (GET, "HTTP/1.1 200 "),
    ] {
        let mut stream = client.connect(&server).unwrap();
        stream.write_all(sent).unwrap();
        let (answer, said) = rest(&mut stream);
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{answer}");
        assert!(said, "{expected}: no close_notify");
    }
    // A part of a record, behind an answer: a request has begun, and its deadline runs.
    for first in [&b""[..], GET] {
        let mut stream = client.connect(&server).unwrap();
        stream.write_all(first).unwrap();
        if !first.is_empty() {
            Answer::read(&mut stream, false);
        }
        stream.sock.write_all(b"\x17\x03\x03\x00\x50\x01\x02").unwrap();
        let (answer, said) = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408 ") && said, "{answer}");
    }
}

#[test]
fn a_connection_that_rests_keeps_its_session_and_no_thread() {
    let (_folder, server, client) = server("");
    let descriptors = server.descriptors();
    client.get(&server, "/healthz", &[]);
    let mut resting: Vec<Secure> = (0..30)
        .map(|turn| {
            let mut stream = client.connect(&server).unwrap();
            if turn % 2 == 0 {
                // Two whole requests and a part of one in one record.
                stream.write_all(&[GET, GET, &GET[..20]].concat()).unwrap();
                Answer::read(&mut stream, false);
                Answer::read(&mut stream, false);
                stream.write_all(&GET[20..]).unwrap();
                Answer::read(&mut stream, false);
            }
            stream
        })
        .collect();
    until("each has one descriptor", || descriptors == 0 || server.descriptors() == descriptors + 30);
    until("they rest", || threads(&server) < 20);
    for stream in &mut resting {
        for byte in GET {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(Answer::read(stream, false).status, 200);
    }
    let (code, _) = server.stop("TERM");
    assert_eq!(code, Some(0));
    for stream in &mut resting {
        assert_eq!(rest(stream), (String::new(), true), "the end is said when the server stops");
    }
}

#[test]
fn at_the_cap_good_clients_are_served_beside_handshakes_that_do_not_end() {
    let (_folder, server, client) = server(", limits: {connections: 8}");
    let mut kept = client.connect(&server).unwrap();
    let mut hostile = Vec::new();
    for turn in 0..60 {
        let mut stream = connect(server.port());
        let sent = [&b"\x16\x03\x01\x02\0\x01"[..], b""][turn % 2];
        stream.write_all(sent).unwrap();
        hostile.push(stream);
        kept.write_all(GET).unwrap();
        assert_eq!(Answer::read(&mut kept, false).status, 200);
        if turn % 6 == 0 {
            assert_eq!(client.get(&server, "/healthz", &[]).status, 200);
        }
    }
    let text = client.get(&server, "/metrics", &[]).body;
    assert!(metric_in(&text, "keypebble_connection_events_total{event=\"evicted\"}") > 0);
}

/// The common name of what the server presents to a new connection.
fn presented(server: &Server, client: &Client) -> Vec<u8> {
    client.connect(server).unwrap().conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_renewed_pair_is_taken_whole_whether_linked_as_certbot_or_as_kubernetes_does() {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, "");
    for name in ["1", "2"] {
        let (certificate, key) = authority.make(&["localhost"]);
        folder.write(&format!("..{name}/tls.crt"), &certificate);
        folder.write(&format!("..{name}/tls.key"), &key);
        folder.write(&format!("archive/fullchain{name}.pem"), &certificate);
        folder.write(&format!("archive/privkey{name}.pem"), &key);
    }
    let link = |to: &str, at: &str| {
        symlink(to, folder.join(".link")).unwrap();
        fs::rename(folder.join(".link"), folder.join(at)).unwrap();
    };
    link("..1", "..data");
    link("..data/tls.crt", "tls.crt");
    link("..data/tls.key", "tls.key");
    link("archive/fullchain1.pem", "fullchain.pem");
    link("archive/privkey1.pem", "privkey.pem");
    let config = folder.read("config.yaml");
    folder.write("kubernetes.yaml", &config.replace("server.", "tls."));
    let certbot = config.replace("server.crt", "fullchain.pem").replace("server.key", "privkey.pem");
    folder.write("certbot.yaml", &certbot);
    let client = authority.client();

    let mounted = Server::start(&folder, &["--config", "kubernetes.yaml"]);
    let mut old = client.connect(&mounted).unwrap();
    let first = presented(&mounted, &client);
    link("..2", "..data");
    until("the new certificate is presented", || presented(&mounted, &client) != first);
    old.write_all(GET).unwrap();
    assert_eq!(Answer::read(&mut old, false).status, 200, "what is open stays open");

    let renewed = Server::start(&folder, &["--config", "certbot.yaml"]);
    let first = presented(&renewed, &client);
    assert_eq!(said(&line(&folder, "healthcheck --config kubernetes.yaml")).0, 1, "it has port 0");
    // The key alone: half of a renewal, or a mistake. The old pair stays.
    link("archive/privkey2.pem", "privkey.pem");
    until("it is said that they do not fit", || {
        renewed.log().contains("the key does not belong to the first certificate in")
    });
    assert!(renewed.log().contains("what was loaded before stays in force"), "{}", renewed.log());
    assert_eq!(presented(&renewed, &client), first);
    let text = client.get(&renewed, "/metrics", &[]).body;
    assert_eq!(metric_in(&text, "keypebble_reload_failed"), 1);
    link("archive/fullchain2.pem", "fullchain.pem");
    until("the whole pair is taken", || presented(&renewed, &client) != first);
}

#[test]
fn health_is_asked_of_the_server_with_the_configured_certificate_and_no_other() {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, "");
    let server = serve(&folder);
    let config = folder.read("config.yaml").replace("port: 0", &format!("port: {}", server.port()));
    folder.write("asked.yaml", &config);
    // Neither its authority nor its key is needed.
    fs::remove_file(folder.join("server.key")).unwrap();
    let healthy = said(&line(&folder, "healthcheck --config asked.yaml"));
    assert_eq!(healthy, (0, String::new()));
    let (another, _) = authority.make(&["localhost"]);
    folder.write("server.crt", &another);
    let (code, text) = said(&line(&folder, "healthcheck --config asked.yaml"));
    assert!(code == 1 && text.contains("it has another certificate than"), "{text}");
    folder.write(
        "plain.yaml",
        &config.replace("tls: {certificate_path: server.crt, key_path: server.key}", ""),
    );
    let (code, text) = said(&line(&folder, "healthcheck --config plain.yaml"));
    assert!(code == 1 && text.contains("HTTP/1.1 400"), "{text}");
}

#[test]
fn what_cannot_be_served_is_said_by_check_with_the_key_and_the_file() {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, "");
    let check = || said(&line(&folder, "check --config config.yaml"));
    let (code, text) = check();
    assert!(code == 0 && text.contains("TLS              1 certificate(s), valid until "), "{text}");
    assert!(!text.contains("plain http"), "{text}");
    let (_, other_key) = authority.make(&["localhost"]);
    let own = folder.read("server.key");
    folder.write("server.key", &other_key);
    let (code, text) = check();
    assert!(
        code == 3 && text.contains("service.tls.key_path: server.key: the key does not belong"),
        "{text}"
    );
    folder.write("server.key", &own);
    folder.write(
        "config.yaml",
        &folder.read("config.yaml").replace("https://localhost", "https://auth.example.com/x"),
    );
    let (code, text) = check();
    assert!(code == 0 && text.contains("server.crt is not for auth.example.com"), "{text}");
    folder.write(
        "config.yaml",
        &folder.read("config.yaml").replace("host: 127.0.0.1, port: 0", "host: 'unix:/tmp/x'"),
    );
    let (code, text) = check();
    assert!(code == 3 && text.contains("a Unix socket needs no TLS"), "{text}");
}

#[test]
fn init_makes_a_certificate_that_its_authority_vouches_for_and_that_for_nothing_else() {
    let folder = Folder::new();
    let made = run(&folder, &["init", "auth", "--self-signed", "--registry", "localhost:5000"]);
    let (code, text) = said(&made);
    assert!(code == 0 && text.contains("/etc/docker/certs.d/localhost:5000/ca.crt"), "{text}");
    for (name, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.crt", 0o644), ("server.crt", 0o644)] {
        let path = folder.join("auth/tls").join(name);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    let config = folder.read("auth/config.yaml");
    assert!(
        config.contains("issuer: \"https://localhost:8443\"") && config.contains("port: 8443"),
        "{config}"
    );
    folder
        .write("auth/config.yaml", &config.replace("port: 8443", "port: 0").replace("0.0.0.0", "127.0.0.1"));
    let checked = line(&folder, "check --config auth/config.yaml --policy auth/policy.yaml");
    assert!(!stderr(&checked).contains("tls") && checked.status.success(), "{}", stderr(&checked));
    let server = Server::start(&folder, &["--config", "auth/config.yaml", "--policy", "auth/policy.yaml"]);
    let client = Client::trusting(&folder.read("auth/tls/ca.crt"));
    assert_eq!(client.get(&server, "/healthz", &[]).status, 200);
    drop(server);

    // The same authority, for a name that it was not made for.
    let key = rcgen::KeyPair::from_pem(&folder.read("auth/tls/ca.key")).unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Keypebble authority");
    let issuer = rcgen::Issuer::new(authority, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let params =
        rcgen::CertificateParams::new(vec!["localhost".to_owned(), "example.com".to_owned()]).unwrap();
    folder.write("auth/tls/server.crt", &params.signed_by(&own, &issuer).unwrap().pem());
    folder.write("auth/tls/server.key", &own.serialize_pem());
    let server = Server::start(&folder, &["--config", "auth/config.yaml", "--policy", "auth/policy.yaml"]);
    let refused = client.connect(&server).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
    assert!(refused.to_string().contains("NameConstraintViolation"), "{refused}");

    // An authority for an address, which vouches for no name.
    let (code, _) = said(&run(&folder, &["init", "c", "--self-signed", "--registry", "127.0.0.1:5000"]));
    assert_eq!(code, 0);
    let config = folder.read("c/config.yaml");
    folder.write("c/config.yaml", &config.replace("port: 8443", "port: 0").replace("0.0.0.0", "127.0.0.1"));
    let server = Server::start(&folder, &["--config", "c/config.yaml", "--policy", "c/policy.yaml"]);
    let client = Client::trusting(&folder.read("c/tls/ca.crt"));
    let stream = Secure::new(client.session_with("127.0.0.1"), connect(server.port()));
    assert_eq!(exchange(stream, "GET", "/healthz", &[], None).status, 200);
    assert!(client.connect(&server).is_err(), "not for localhost");

    let (code, text) = said(&run(&folder, &["init", "b", "--self-signed", "--url", "http://localhost:1"]));
    assert!(code == 2 && text.contains("--self-signed is for an https:// address"), "{text}");
}

/// The standard output and error of a program that is given that on its standard input.
fn program(name: &str, arguments: &[&str], input: &str) -> String {
    let output = common::finish(std::process::Command::new(name).args(arguments), input);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
#[ignore = "needs curl and openssl: see .ci/run"]
fn curl_and_openssl_are_served_and_what_is_old_is_not() {
    let authority = Authority::new("authority");
    let folder = secure_folder(&authority, "");
    let server = serve(&folder);
    let file = folder.write("ca.pem", &authority.pem);
    let file = file.to_str().unwrap();
    let url = format!("https://localhost:{}/healthz", server.port());
    for (more, answers) in [
        (&["--tlsv1.3"][..], 1),
        (&["--tls-max", "1.2"], 1),
        (&["--http1.0"], 1),
        (&["--http2"], 1),
        (&["--http1.1", &url], 2), // on one connection
    ] {
        let said = program("curl", &[&["-sS", "--cacert", file, &url][..], more].concat(), "");
        assert_eq!(said.matches("{\"status\": \"ok\"}").count(), answers, "{more:?}: {said}");
    }
    assert!(program("curl", &["-sS", &url], "").contains("unable to get local issuer certificate"));

    let at = format!("localhost:{}", server.port());
    let client = |more: &[&str], input: &str| {
        let fixed = ["s_client", "-connect", &at, "-CAfile", file, "-verify_return_error"];
        program("openssl", &[&fixed[..], more].concat(), input)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said =
            client(&[version, "-ign_eof"], "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains("HTTP/1.1 200 OK"), "{said}");
        assert!(!said.contains("unexpected eof") && !said.contains("Reused"), "{said}");
        assert!(
            !said.contains("New Session Ticket arrived")
                && said.contains("No client certificate CA names sent")
        );
        assert!(said.contains("Compression: NONE") || version == "-tls1_3", "{said}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let said = client(&[old, "-cipher", "ALL:@SECLEVEL=0"], "");
        assert!(said.contains("alert"), "{old}: {said}");
    }
    for weak in ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"] {
        let said = client(&["-tls1_2", "-cipher", weak], "");
        assert!(said.contains("alert handshake failure"), "{weak}: {said}");
    }
    // `R` on a line of its own asks for another handshake on the same connection.
    let said = client(&["-tls1_2"], "R\nGET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
}
