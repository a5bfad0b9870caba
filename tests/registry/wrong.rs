//! Owns the proof that `doctor --url` names what is wrong with a running registry: each wrong setting is made for real,
//! with Keypebble, docker-registry 2.8 and distribution 3, and must be found by code and text, without the registry's
//! files unless the row gives them.

use std::process::Command;

use crate::common::{Folder, finish, keypebble, listening_address, said, until};
use crate::judges::Judge;
use crate::process::Process;
use crate::world::World;
use Judge::{Registry3, Registry28};

const BOTH: &[Judge] = &[Registry28, Registry3];
const OLD: &[Judge] = &[Registry28];
const NEW: &[Judge] = &[Registry3];

/// What is set, and what must be found.
struct Row {
    name: &'static str,
    on: &'static [Judge],
    /// Keypebble's configuration beside its issuer, audience and address.
    config: &'static str,
    /// The options of `auth.token`; REALM stands for the right realm, PORT for Keypebble's port.
    token: &'static [(&'static str, &'static str)],
    /// Where doctor asks; PORT stands for the registry's.
    url: &'static str,
    /// What else doctor is told.
    more: &'static str,
    level: &'static str,
    code: &'static str,
    part: &'static str,
}

/// A right arrangement, from which each row differs.
const RIGHT: Row = Row {
    name: "nothing",
    on: BOTH,
    config: "private_key_path: ec.key",
    token: &[],
    url: "http://localhost:PORT",
    more: "",
    level: "ok",
    code: "token",
    part: "takes a token made now",
};

const WRONG: Row = Row { level: "error", ..RIGHT };

const OWN_TLS: &str = "private_key_path: ec.key\nservice: {host: 127.0.0.1, port: 0, \
                       tls: {certificate_path: host.crt, key_path: host.key}}";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    RIGHT,
    Row { name: "a slash at the issuer's end", token: &[("issuer", "https://i.example.com/")], code: "issuer", part: "the registry's issuer is `https://i.example.com/`, Keypebble's `https://i.example.com`", ..WRONG },
    Row { name: "the issuer without https", token: &[("issuer", "i.example.com")], code: "issuer", part: "is `i.example.com`", ..WRONG },
    Row { name: "the realm's address as issuer", token: &[("issuer", "http://localhost:PORT")], code: "issuer", part: "is `http://localhost:", ..WRONG },
    Row { name: "another issuer altogether", token: &[("issuer", "Acme Inc.")], code: "token", part: "name its files with --registry-config", ..WRONG },
    Row { name: "another service", token: &[("service", "registry")], code: "service", part: "the registry's service is `registry`, Keypebble's `registry.example.com`", ..WRONG },
    Row { name: "another key's bundle", token: &[("rootcertbundle", "other.crt"), ("jwks", "other.json")], code: "token", part: "name its files with --registry-config", ..WRONG },
    Row { name: "files that are newer than the registry", token: &[("rootcertbundle", "other.crt"), ("jwks", "other.json")], more: "--registry-env right.env", code: "token", part: "so it runs with others or with older ones", ..WRONG },
    Row { name: "files that say why", token: &[("rootcertbundle", "other.crt"), ("jwks", "other.json")], more: "--registry-env used.env", code: "key-id", part: "no key of the registry's has the id", ..WRONG },
    Row { name: "the previous key's bundle", config: "keys: [{path: ec.key, state: active}, {path: other.key, state: previous}]", token: &[("rootcertbundle", "other.crt"), ("jwks", "other.json")], code: "bundle", part: "takes tokens of the previous key", ..WRONG },
    Row { name: "the next key signs already", config: "keys: [{path: other.key, state: active}, {path: ec.key, state: next}]", code: "bundle", part: "takes tokens of the next key", ..WRONG },
    Row { name: "a bundle where 3 needs a key set", on: NEW, token: &[("jwks", "")], code: "key-id", part: "the registry knows the key as `", ..WRONG },
    Row { name: "a key id of one's own", on: OLD, config: "private_key_path: ec.key\nkid: prod-1", code: "key-id", part: "tokens say `prod-1`", ..WRONG },
    Row { name: "a key id and an issuer", on: OLD, config: "private_key_path: ec.key\nkid: prod-1", token: &[("issuer", "https://i.example.com/")], code: "issuer", part: "is `https://i.example.com/`", ..WRONG },
    Row { name: "x5c without a bundle", on: NEW, config: "private_key_path: ec.key\nx5c_chain_path: ec.crt", token: &[("rootcertbundle", "")], code: "x5c-untrusted", part: "by their `kid`", ..WRONG },
    Row { name: "a shared secret", config: "hs256_secret: 0123456789abcdef0123456789abcdef", code: "token", part: "refuses a token made now", ..WRONG },
    Row { name: "an algorithm that is not listed", on: NEW, token: &[("signingalgorithms", "[RS256]")], more: "--registry-env used.env", code: "algorithm", part: "ES256 is not in its signingalgorithms", ..WRONG },
    Row { name: "a realm where nobody listens", token: &[("realm", "http://localhost:9/v2/token")], code: "realm-get", part: "http://localhost:9/v2/token does not answer", ..WRONG },
    Row { name: "a realm with https", token: &[("realm", "https://localhost:PORT/v2/token")], code: "realm-get", part: "is asked over TLS, and speaks plain http", ..WRONG },
    Row { name: "a realm without its path", token: &[("realm", "http://localhost:PORT/token")], code: "realm-get", part: "answers 404: there is nothing at that path", ..WRONG },
    Row { name: "a realm at another registry", token: &[("realm", "http://localhost:GUARDED/v2/")], code: "realm-get", part: "as a registry does", ..WRONG },
    Row { name: "a realm of another issuer", token: &[("realm", "http://localhost:STRANGER/v2/token")], code: "realm-keys", part: "publishes other keys", ..WRONG },
    Row { name: "no auth", token: &[("auth", "")], code: "open", part: "answers 200 to anyone", ..WRONG },
    Row { name: "htpasswd", token: &[("auth", "auth: {htpasswd: {realm: x, path: htpasswd}}")], code: "challenge", part: "asks for something else: Basic realm=", ..WRONG },
    Row { name: "https at a port of http", url: "https://localhost:PORT", code: "url", part: "is asked over TLS, and speaks plain http", ..WRONG },
    Row { name: "http at a port of https", token: &[("tls", "host.crt")], code: "url", part: "is asked over plain http, and speaks TLS", ..WRONG },
    Row { name: "an authority that is not known", token: &[("tls", "host.crt")], url: "https://localhost:PORT", code: "url", part: "UnknownIssuer", ..WRONG },
    Row { name: "a certificate of another name", token: &[("tls", "host.crt")], url: "https://127.0.0.1:PORT", more: "--ca host.crt", code: "url", part: "certificate not valid for name", ..WRONG },
    Row { name: "nothing, over TLS", token: &[("tls", "host.crt")], url: "https://localhost:PORT", more: "--ca host.crt", ..RIGHT },
    Row { name: "a realm without https where Keypebble speaks TLS", config: OWN_TLS, code: "realm-get", part: "is asked over plain http, and speaks TLS", ..WRONG },
    Row { name: "nothing, all over TLS", config: OWN_TLS, token: &[("tls", "host.crt"), ("realm", "https://localhost:PORT/v2/token")], url: "https://localhost:PORT", more: "--ca host.crt", ..RIGHT },
    Row { name: "Keypebble's own address", url: "http://localhost:KEYPEBBLE", code: "challenge", part: "answers 404 with application/json, as no registry does", ..WRONG },
    Row { name: "a port where nobody listens", url: "http://localhost:9", code: "url", part: "does not answer", ..WRONG },
];

/// The settings of `auth.token` and the environment file that says the same.
fn settings(row: &Row, judge: Judge, fill: &impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("realm", "http://localhost:PORT/v2/token"),
        ("service", "registry.example.com"),
        ("issuer", "https://i.example.com"),
        ("rootcertbundle", "ec.crt"),
        ("jwks", "ec.json"),
    ];
    for (name, value) in row.token.iter().filter(|(name, _)| !["auth", "tls"].contains(name)) {
        settings.retain(|(known, _)| known != name);
        settings.push((name, value));
    }
    settings.retain(|(name, value)| !value.is_empty() && (judge == Registry3 || *name != "jwks"));
    settings.into_iter().map(|(name, value)| (name, fill(value))).collect()
}

fn variables(settings: &[(&'static str, String)]) -> String {
    let line =
        |(name, value): &(&str, String)| format!("REGISTRY_AUTH_TOKEN_{}={value}\n", name.to_uppercase());
    settings.iter().map(line).collect()
}

fn port(address: &str) -> String {
    address.trim_end_matches('/').rsplit(':').next().unwrap().to_owned()
}

fn serve(folder: &Folder, config: &str) -> (Process, String) {
    let mut command = keypebble();
    command.args(["serve", "--config", config]).current_dir(folder.path());
    let mut process = Process::start(folder, "keypebble", &mut command, &[]);
    let address = process.wait_for(listening_address).unwrap();
    (process, port(&address))
}

/// A registry on a free port with this section `auth` and perhaps a certificate.
fn registry(folder: &Folder, judge: Judge, auth: &str, tls: Option<&str>) -> (Process, String) {
    let tls = tls.map(|name| format!(", tls: {{certificate: {name}, key: host.key}}")).unwrap_or_default();
    let config = format!(
        "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '127.0.0.1:0'{tls}}}\nstorage: {{inmemory: {{}}}}\n{auth}\n"
    );
    folder.write("registry.yaml", &config);
    let mut command = Command::new(judge.program());
    command.args(["serve", "registry.yaml"]).current_dir(folder.path()).env("OTEL_TRACES_EXPORTER", "none");
    let mut process = Process::start(folder, "registry", &mut command, &[]);
    let listening = |log: &str| {
        let line = log.lines().find(|line| line.contains("listening on 127.0.0.1:"))?;
        let digits = line.split("listening on 127.0.0.1:").nth(1)?;
        Some(digits.chars().take_while(char::is_ascii_digit).collect::<String>())
    };
    let port = process.wait_for(listening).unwrap_or_else(|error| panic!("{error}"));
    (process, port)
}

/// Each finding with what stands below it.
fn findings(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match found.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => found.push(line.to_owned()),
        }
    }
    found
}

fn prepared() -> World {
    let world = World::new();
    let folder = &world.folder;
    for name in ["ec", "other"] {
        folder.write(&format!("{name}.json"), &world.key(name).jwks());
    }
    folder.write("htpasswd", "");
    folder.write("nobody.pem", "");
    let host = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "9"];
    let (crt, key) = (world.path("host.crt"), world.path("host.key"));
    let names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-keyout", &key, "-out", &crt];
    drop(crate::common::output("openssl", &[&host[..], &names, &files].concat(), b""));
    world
}

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn doctor_names_each_wrong_setting_of_a_running_registry() {
    let world = prepared();
    let folder = &world.folder;
    let file = |name: &str, rest: &str| {
        let tls = if rest.contains("host.crt") { "" } else { "service: {host: 127.0.0.1, port: 0}\n" };
        let head = "issuer: https://i.example.com\naudience: registry.example.com\npolicy: none\n";
        drop(folder.write(name, &format!("{head}{tls}{rest}\n")));
    };
    file("stranger.yaml", "private_key_path: other.key");
    let (_stranger, stranger) = serve(folder, "stranger.yaml");
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for judge in BOTH {
        let guarded =
            "auth: {token: {realm: 'http://localhost/t', service: s, issuer: i, rootcertbundle: ec.crt}}";
        let (_guarded, guarded) = registry(folder, *judge, guarded, None);
        for row in ROWS.iter().filter(|row| row.on.contains(judge)) {
            file("config.yaml", row.config);
            let (_keypebble, own) = serve(folder, "config.yaml");
            let fill = |text: &str| {
                let others = text.replace("GUARDED", &guarded).replace("STRANGER", &stranger);
                others.replace("PORT", &own)
            };
            let used = settings(row, *judge, &fill);
            folder.write("used.env", &variables(&used));
            folder.write("right.env", &variables(&settings(&RIGHT, *judge, &fill)));
            let option = |(name, value): &(&str, String)| {
                let quote = if value.starts_with('[') { "" } else { "'" };
                format!("{name}: {quote}{value}{quote}")
            };
            let options: Vec<String> = used.iter().map(option).collect();
            let set = |what: &str| row.token.iter().find(|(name, _)| *name == what).map(|(_, value)| *value);
            let auth = set("auth")
                .map_or_else(|| format!("auth: {{token: {{{}}}}}", options.join(", ")), str::to_owned);
            let (_registry, port) = registry(folder, *judge, &auth, set("tls"));
            let url = row.url.replace("KEYPEBBLE", &own).replace("PORT", &port);
            let line = format!("doctor --config config.yaml --for {} --url {url} {}", judge.name(), row.more);
            let mut doctor = keypebble();
            // Authorities of the machine's own have no say here.
            doctor
                .env("SSL_CERT_FILE", "nobody.pem")
                .args(line.split_whitespace())
                .current_dir(folder.path());
            let (code, text) = said(&finish(&mut doctor, ""));
            let begin = format!("{:<8} {:<16} ", row.level, row.code);
            let found = findings(&text).iter().any(|one| one.starts_with(&begin) && one.contains(row.part));
            let name = format!("{:13} {}", judge.name(), row.name);
            asked += 1;
            if found && (code == 0) == (row.level == "ok") {
                println!("{name:52} {:16} {}", row.code, row.part);
            } else {
                wrong.push(format!("{name}: expected {begin}{}, exit {code}\n{text}", row.part));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} settings");
}

/// A registry reads its bundle once: after a rotation it must be started anew, and doctor says so.
#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn doctor_names_a_registry_that_was_not_restarted() {
    let folder = Folder::new();
    folder.write(
        "config.yaml",
        "issuer: i\naudience: s\nkey_dir: keys\npolicy: none\nservice: {host: 127.0.0.1, port: 0}\n",
    );
    let run = |line: &str| {
        let (code, text) =
            said(&finish(keypebble().args(line.split_whitespace()).current_dir(folder.path()), ""));
        (code, text)
    };
    let done = |line: &str| assert_eq!(run(line).0, 0, "{line}: {}", run(line).1);
    done("keys generate --dir keys");
    done("keys export --dir keys --format cert --out bundle.pem");
    let (_keypebble, own) = serve(&folder, "config.yaml");
    let token = format!(
        "{{realm: 'http://localhost:{own}/v2/token', service: s, issuer: i, rootcertbundle: bundle.pem}}"
    );
    folder.write("files.yml", &format!("auth: {{token: {token}}}\n"));
    let registry = || registry(&folder, Registry28, &format!("auth: {{token: {token}}}"), None);
    let (old, port) = registry();
    let doctor = |port: &str| {
        run(&format!(
            "doctor --config config.yaml --registry-config files.yml --for registry-2.8 --url http://localhost:{port}"
        ))
    };
    assert_eq!(doctor(&port).0, 0, "{}", doctor(&port).1);
    for line in [
        "keys generate --dir keys",
        "keys export --dir keys --format cert --out bundle.pem",
        "keys rotate --dir keys",
        "keys export --dir keys --format cert --out bundle.pem",
    ] {
        done(line);
    }
    let (code, text) = doctor(&port);
    assert_eq!(code, 1, "{text}");
    for part in [
        "would take a token made now",
        "error    bundle ",
        "tokens of the previous key",
        "restart the registry",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    drop(old);
    let (_new, port) = registry();
    // Keypebble itself looks at its keys once a second.
    until("all is well after the restart", || doctor(&port).0 == 0);
}
