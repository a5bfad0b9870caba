//! `doctor --url` against stand-ins for everything that a registry, a realm or a proxy may answer. What real
//! registries make of wrong settings is in `registry/wrong.rs`.
#![cfg(feature = "tls")]
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Folder, Server, done, said};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keypebble::ground::time::UnixTime;

const CONFIG: &str =
    "issuer: https://i\naudience: s\nprivate_key_path: key.pem\nservice: {host: 127.0.0.1, port: 0}\n";
const DENIED: &str = "HTTP/1.1 401 X\r\nContent-Type: application/json\r\n\r\n\
                      {\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"x\",\"detail\":null}]}";
const UNSUPPORTED: &str = "HTTP/1.1 405 X\r\nContent-Type: application/json\r\n\r\n\
                           {\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":\"x\",\"detail\":null}]}";
const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello";

fn folder() -> Folder {
    let folder =
        common::folder(CONFIG, "users: {}\nanonymous: {namespace: a, repos: [app], actions: [pull]}\n");
    folder.write_key("key.pem", "p256.pem");
    folder
}

/// A server that answers each request by a rule, on a free port, for as long as the test runs.
struct StandIn {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl StandIn {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self::over(|stream| Box::new(stream), answer)
    }

    fn over(
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static,
        answer: impl Fn(&str) -> String + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut stream = wrap(stream);
                let head = request(&mut stream);
                // With TLS a client may have gone away before it asked.
                let _ = stream.write_all(answer(&head).as_bytes()).and_then(|()| stream.flush());
                seen.lock().unwrap().push(head);
            }
        });
        Self { port, heads }
    }

    /// With this certificate's DER and key.
    fn tls(
        certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
        answer: impl Fn(&str) -> String + Send + 'static,
    ) -> Self {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self::over(
            move |stream| {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            },
            answer,
        )
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The head of a request, whose body is read as well. Who does not begin with a letter speaks no HTTP.
fn request(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
        if !head[0].is_ascii_uppercase() {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .to_ascii_lowercase()
        .split("\ncontent-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next().and_then(|digits| digits.parse().ok()));
    let _ = stream.read_exact(&mut vec![0; length.unwrap_or(0)]);
    head
}

fn unix_time() -> i64 {
    UnixTime::now().0
}

fn date(ahead: i64) -> String {
    String::from_utf8(UnixTime(unix_time() + ahead).http_date().to_vec()).unwrap()
}

/// The token that a request shows.
fn token(head: &str) -> Option<&str> {
    let at = head.to_ascii_lowercase().find("authorization: bearer ")?;
    head[at + "authorization: bearer ".len()..].split("\r\n").next()
}

/// What a registry answers whose clock says this.
fn challenge(realm: &str, service: &str, date: &str) -> String {
    format!(
        "HTTP/1.1 401 X\r\nDocker-Distribution-Api-Version: registry/2.0\r\nDate: {date}\r\n\
         WWW-Authenticate: Bearer realm=\"{realm}\",service=\"{service}\"\r\n\r\n{{}}"
    )
}

/// A registry that sends its clients to this realm, and takes whatever token it is shown.
fn registry(realm: &str, service: &str) -> impl Fn(&str) -> String + Send + 'static {
    let challenge = challenge(realm, service, &date(0));
    move |head| match token(head) {
        Some(_) => "HTTP/1.1 200 OK\r\n\r\n{}".to_owned(),
        None => challenge.clone(),
    }
}

/// What a right realm answers.
fn keypebble(head: &str) -> String {
    match head {
        head if head.starts_with("GET /v2/token?") => DENIED.to_owned(),
        head if head.starts_with("POST /v2/token ") => UNSUPPORTED.to_owned(),
        _ => "HTTP/1.1 404 X\r\n\r\n".to_owned(),
    }
}

fn doctor(folder: &Folder, url: &str, more: &str) -> (i32, String) {
    said(&common::finish(&mut command(folder, url, more), ""))
}

fn command(folder: &Folder, url: &str, more: &str) -> Command {
    let line = format!("doctor --config config.yaml --url {url} {more}");
    let mut command = common::keypebble();
    command.args(line.split_whitespace()).current_dir(folder.path());
    // What does not count: an address that nobody answers at.
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command
}

#[track_caller]
fn finds(said: &(i32, String), level: &str, code: &str, part: &str) {
    let (exit, text) = said;
    let line = format!("{level:<8} {code:<16} ");
    let found = text.split_inclusive('\n').collect::<Vec<_>>();
    let at = found.iter().position(|one| one.starts_with(&line) && one.contains(part));
    assert!(at.is_some(), "no {level} {code} `{part}` in:\n{text}");
    assert_eq!(*exit, i32::from(text.lines().any(|one| one.starts_with("error "))), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn a_right_arrangement_is_asked_like_a_client_and_found_well() {
    let folder = folder();
    let realm = StandIn::new(keypebble);
    let url = StandIn::new(registry(&format!("{}/v2/token", realm.url()), "s"));
    for address in [url.url(), format!("{}/", url.url()), format!("{}/v2/", url.url())] {
        let said = doctor(&folder, &address, "");
        for (code, part) in [
            ("clock", "agree to 5 s"),
            ("service", "both sides say `s`"),
            ("realm-get", "no anonymous access"),
            ("realm-post", "POST answers 405 in JSON"),
            ("token", "takes a token made now"),
        ] {
            finds(&said, "ok", code, part);
        }
        assert_eq!(said.0, 0, "{}", said.1);
    }
    let (asked, at_realm) = (url.heads(), realm.heads());
    assert!(asked[0].starts_with("GET /v2/ HTTP/1.1\r\n") && asked[1].starts_with("GET /v2/ "), "{asked:?}");
    assert_eq!(asked.len(), 6, "a challenge and one token, three times: {asked:?}");
    assert!(at_realm[0].starts_with("GET /v2/token?service=s HTTP/1.1\r\n"), "{at_realm:?}");
    assert!(at_realm[1].starts_with("POST /v2/token HTTP/1.1\r\n"), "{at_realm:?}");
    assert!(at_realm.iter().all(|head| !head.to_ascii_lowercase().contains("authorization")), "{at_realm:?}");
}

#[test]
fn what_a_registry_should_not_answer_has_a_finding() {
    let folder = folder();
    let closed = format!("http://127.0.0.1:{}", common::free_port());
    finds(&doctor(&folder, &closed, ""), "error", "url", "does not answer");
    for (url, part) in [
        ("localhost:5000", "is not a URL such as"),
        ("ftp://localhost", "is not a URL such as"),
        ("http://u:p@localhost:1", "is not a URL such as"),
        ("http://", "is not a URL such as"),
        ("http://registry.invalid", "does not answer"),
    ] {
        finds(&doctor(&folder, url, ""), "error", "url", part);
    }
    let said = doctor(&folder, "localhost:5000", "");
    assert!(said.1.contains("hint: begin it with https://, or http:// where"), "{}", said.1);
    let said = doctor(&folder, "http://alice:sesame@localhost:1", "");
    assert!(!said.1.contains("sesame") && said.1.contains("hint: a name and password"), "{}", said.1);
    let html = HTML.replace("200 OK", "404 Not Found");
    for (answer, code, part) in [
        (
            "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n{}",
            "open",
            "200 to anyone",
        ),
        (HTML, "challenge", "answers 200 with text/html, as no registry does"),
        (&html, "challenge", "answers 404 with text/html"),
        ("HTTP/1.1 503 X\r\n\r\n", "challenge", "answers 503"),
        (
            "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n",
            "challenge",
            "something else: Basic",
        ),
        ("HTTP/1.1 401 X\r\n\r\n", "challenge", "401 without WWW-Authenticate"),
        ("HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer service=\"s\"\r\n\r\n", "challenge", "names no realm"),
        ("HTTP/1.1 301 X\r\nLocation: https://x/\r\n\r\n", "url", "redirects to `https://x/`"),
        ("SSH-2.0-x\r\n", "url", "does not answer: protocol"),
        ("HTTP/1.1 400 X\r\n\r\nThe plain HTTP request was sent to HTTPS port", "url", "and speaks TLS"),
        ("HTTP/1.1 400 X\r\n\r\nClient sent an HTTP request to an HTTPS server.", "url", "and speaks TLS"),
        ("", "url", "does not answer"),
    ] {
        let answer = answer.to_owned();
        let stand_in = StandIn::new(move |_| answer.clone());
        finds(&doctor(&folder, &stand_in.url(), ""), "error", code, part);
    }
    let endless = StandIn::new(|_| format!("HTTP/1.1 404 X\r\n\r\n{}", "x".repeat(1 << 20)));
    finds(&doctor(&folder, &endless.url(), ""), "error", "challenge", "answers 404");
    let long = StandIn::new(|_| format!("HTTP/1.1 404 X\r\nA: {}\r\n\r\n", "x".repeat(1 << 20)));
    finds(&doctor(&folder, &long.url(), ""), "error", "url", "does not answer");
}

#[test]
fn a_clock_that_is_off_has_a_finding() {
    let folder = folder();
    for (ahead, level, part) in [
        (-100, "error", "s ahead of the registry's"),
        (-30, "warning", "s ahead of the registry's"),
        (200, "warning", "s behind the registry's"),
        (4000, "error", "s behind the registry's"),
    ] {
        let stand_in = StandIn::new(move |_| format!("HTTP/1.1 401 X\r\nDate: {}\r\n\r\n", date(ahead)));
        finds(&doctor(&folder, &stand_in.url(), ""), level, "clock", part);
    }
    // A registry an hour behind takes what begins in its own present.
    let realm = StandIn::new(keypebble);
    let challenge = challenge(&format!("{}/v2/token", realm.url()), "s", &date(-3600));
    let behind = move |head: &str| {
        let Some(token) = token(head) else { return challenge.clone() };
        let begins = common::claims(token)["nbf"].as_i64().unwrap();
        format!("HTTP/1.1 {} X\r\n\r\n{{}}", if begins < unix_time() - 3000 { 200 } else { 401 })
    };
    let said = doctor(&folder, &StandIn::new(behind).url(), "");
    finds(&said, "error", "token", "takes one made at its own time");
}

#[test]
fn what_a_realm_should_not_answer_has_a_finding() {
    let folder = folder();
    let ask = |realm: &str, service: &str| {
        let url = StandIn::new(registry(realm, service));
        doctor(&folder, &url.url(), "")
    };
    let closed = format!("http://127.0.0.1:{}/v2/token", common::free_port());
    let said = ask(&closed, "s");
    finds(&said, "error", "realm-get", "does not answer");
    assert!(said.1.contains("why: this configuration listens on 127.0.0.1:0"), "{}", said.1);
    finds(&ask("a realm", "s"), "error", "realm-get", "is not a URL");
    let realm = StandIn::new(keypebble);
    let https = format!("https://127.0.0.1:{}/v2/token", realm.port);
    finds(&ask(&https, "s"), "error", "realm-get", "is asked over TLS, and speaks plain http");
    finds(
        &ask(&format!("{}/v2/token", realm.url()), "t"),
        "error",
        "service",
        "the registry's service is `t`, Keypebble's `s`",
    );
    for (get, post, code, part) in [
        (HTML, UNSUPPORTED, "realm-get", "answers 200 with text/html, not JSON"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"hello\":1}", UNSUPPORTED, "realm-get", "200 without a `token`"),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"token\":\"a.b.c\"}",
            UNSUPPORTED,
            "realm-get",
            "not of this configuration",
        ),
        ("HTTP/1.1 404 X\r\n\r\n{}", UNSUPPORTED, "realm-get", "answers 404: there is nothing"),
        ("HTTP/1.1 302 X\r\nLocation: /login\r\n\r\n", UNSUPPORTED, "realm-get", "redirects to `/login`"),
        (
            "HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm=\"x\"\r\n\r\n{}",
            UNSUPPORTED,
            "realm-get",
            "as a registry does",
        ),
        (DENIED, HTML, "realm-post", "POST answers 200 with no JSON"),
        (DENIED, "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"x\"}", "realm-post", "answers 200"),
        (DENIED, "HTTP/1.1 403 X\r\n\r\n{}", "realm-post", "POST answers 403 with JSON"),
    ] {
        let realm = StandIn::new(move |head| (if head.starts_with("GET") { get } else { post }).to_owned());
        finds(&ask(&format!("{}/v2/token", realm.url()), "s"), "error", code, part);
    }
}

#[test]
fn another_issuer_at_the_realm_has_a_finding() {
    let (folder, other) = (folder(), folder());
    other.write_key("key.pem", "p384.pem");
    let start =
        |folder: &Folder| Server::start(folder, &["--config", "config.yaml", "--policy", "policy.yaml"]);
    for (folder_of_realm, level) in [(&folder, "ok"), (&other, "error")] {
        let realm = start(folder_of_realm);
        let url = StandIn::new(registry(&format!("{}/v2/token", realm.address), "s"));
        let said = doctor(&folder, &url.url(), "");
        finds(&said, level, "realm-keys", "the realm publishes");
        finds(&said, level, "realm-get", "the realm gives");
        let other_service = StandIn::new(registry(&format!("{}/v2/token", realm.address), "t"));
        let said = doctor(&folder, &other_service.url(), "");
        finds(&said, "error", "realm-get", "the realm signs no tokens for `t`");
    }
}

#[test]
fn a_refused_token_is_explained_by_the_one_that_is_taken() {
    let folder = folder();
    let realm = StandIn::new(keypebble);
    let realm_url = format!("{}/v2/token", realm.url());
    let chain = folder.join("chain.pem");
    std::fs::copy(common::repository("tests/data/x509/chain.pem"), &chain).unwrap();
    let ring = "private_key_path: key.pem";
    for (config, taken, code, part) in [
        (CONFIG.to_owned(), "iss=https://i/", "issuer", "issuer is `https://i/`, Keypebble's `https://i`"),
        (CONFIG.to_owned(), "iss=i", "issuer", "issuer is `i`"),
        (CONFIG.to_owned(), &*format!("iss={}", realm.url()), "issuer", "issuer is `http://127.0.0.1:"),
        (
            CONFIG.replace(ring, "private_key_path: key.pem\nkid: v1"),
            "kid=libtrust",
            "key-id",
            "tokens say `v1`",
        ),
        (CONFIG.to_owned(), "kid=thumbprint", "key-id", "the registry knows the key as `"),
        (
            CONFIG.replace(ring, "private_key_path: key.pem\nx5c_chain_path: chain.pem"),
            "no x5c",
            "x5c-untrusted",
            "by their `kid`, and not with x5c",
        ),
        (CONFIG.to_owned(), "nothing", "token", "the registry refuses a token made now"),
    ] {
        folder.write("config.yaml", &config);
        let challenge = registry(&realm_url, "s");
        let taken = taken.to_owned();
        let url = StandIn::new(move |head| {
            let Some(token) = token(head) else { return challenge(head) };
            let (header, claims) = (common::header(token), common::claims(token));
            let kid = header["kid"].as_str().unwrap();
            let takes = match taken.split_once('=') {
                Some(("iss", issuer)) => claims["iss"] == *issuer,
                Some((_, "libtrust")) => kid.len() == 59,
                Some((_, "thumbprint")) => kid.len() == 43,
                _ => taken == "no x5c" && header.get("x5c").is_none(),
            };
            let refused = "HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n\r\n";
            (if takes { "HTTP/1.1 200 OK\r\n\r\n{}" } else { refused }).to_owned()
        });
        finds(&doctor(&folder, &url.url(), ""), "error", code, part);
    }
}

#[test]
fn a_registry_with_an_old_bundle_is_known_by_the_key_that_it_trusts() {
    let folder = Folder::with(&[(
        "config.yaml",
        "issuer: https://i\naudience: s\nkey_dir: keys\nservice: {host: 127.0.0.1, port: 0}\n",
    )]);
    for command in ["keys generate --dir keys", "keys generate --dir keys", "keys rotate --dir keys --force"]
    {
        done(&folder, command);
    }
    let listed = done(&folder, "keys list --dir keys");
    let previous = listed.lines().find(|line| line.contains("previous")).unwrap();
    let old = previous.split_whitespace().find(|word| word.len() == 59).unwrap().to_owned();
    let realm = StandIn::new(keypebble);
    let challenge = registry(&format!("{}/v2/token", realm.url()), "s");
    let url = StandIn::new(move |head| {
        let Some(token) = token(head) else { return challenge(head) };
        let takes = common::header(token)["kid"] == *old;
        format!("HTTP/1.1 {} X\r\n\r\n{{}}", if takes { 200 } else { 401 })
    });
    let said = doctor(&folder, &url.url(), "");
    finds(&said, "error", "bundle", "takes tokens of the previous key");
    assert!(said.1.contains("restart the registry"), "{}", said.1);
}

fn certificate(change: impl Fn(&mut rcgen::CertificateParams)) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut parameters);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertifiedKey { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
}

#[test]
fn tls_is_spoken_and_each_reason_that_it_is_not_has_a_finding() {
    let folder = folder();
    let realm = StandIn::new(keypebble);
    let realm = format!("{}/v2/token", realm.url());
    let good = certificate(|_| {});
    folder.write("ca.pem", &good.cert.pem());
    let server = StandIn::tls(&good, registry(&realm, "s"));
    let url = format!("https://localhost:{}", server.port);
    finds(&doctor(&folder, &url, "--ca ca.pem"), "ok", "token", "takes a token made now");
    let said = doctor(&folder, &url, "");
    finds(&said, "error", "url", "no TLS with https://localhost:");
    assert!(said.1.contains("UnknownIssuer") && said.1.contains("--ca FILE"), "{}", said.1);
    for (file, level, code, part) in [
        ("ca.pem", "ok", "token", "takes a token made now"),
        ("none.pem", "error", "ca", "cannot read none.pem"),
        ("/dev/null", "error", "ca", "a device, not a regular file"),
    ] {
        let named = common::finish(command(&folder, &url, "").env("SSL_CERT_FILE", file), "");
        finds(&common::said(&named), level, code, part);
    }
    let by_address = format!("https://127.0.0.1:{}", server.port);
    let said = doctor(&folder, &by_address, "--ca ca.pem");
    finds(&said, "error", "url", "no TLS with");
    assert!(said.1.contains("subjectAltName"), "{}", said.1);
    finds(
        &doctor(&folder, &format!("http://localhost:{}", server.port), ""),
        "error",
        "url",
        "does not answer: protocol",
    );

    for (name, change, level, part) in [
        (
            "expired",
            (|parameters: &mut rcgen::CertificateParams| {
                parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
            }) as fn(&mut rcgen::CertificateParams),
            "error",
            "no TLS with",
        ),
        (
            "authority",
            |parameters| parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            "unknown",
            "the certificate of an authority as its own",
        ),
    ] {
        let wrong = certificate(change);
        folder.write("ca.pem", &wrong.cert.pem());
        let server = StandIn::tls(&wrong, registry(&realm, "s"));
        let said = doctor(&folder, &format!("https://localhost:{}", server.port), "--ca ca.pem");
        finds(&said, level, "url", part);
        assert!(name != "expired" || said.1.contains("renew its certificate"), "{}", said.1);
    }
    for text in ["rubbish", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        folder.write("ca.pem", text);
        finds(&doctor(&folder, &url, "--ca ca.pem"), "error", "ca", "ca.pem");
    }
    finds(&doctor(&folder, &url, "--ca none.pem"), "error", "ca", "cannot read none.pem");
}
