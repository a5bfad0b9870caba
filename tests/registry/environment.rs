//! Owns the proof that doctor says what a registry's environment makes of its `auth`: open to everyone, guarded
//! by tokens or by something else, not startable, or one of these by chance. Each file and set of variables is
//! given to the real program and to `keypebble doctor`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::common::{Folder, finish, keypebble, said};
use crate::judges::{Judge, ask};
use crate::process::Process;
use crate::world::World;

/// What comes of a configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    Tokens,
    Open,
    Other,
    Stops,
}
use End::{Open, Other, Stops, Tokens};

const FILE: &str =
    "auth: {token: {realm: http://localhost/v2/token, service: s, issuer: i, rootcertbundle: CRT}}";
const NO_AUTH: &str = "";

/// Name, `auth` of the file, variables after `REGISTRY_AUTH`, and what may come of it, on 2.8 and on 3.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], [&'static [End]; 2]);

const T: [&[End]; 2] = [&[Tokens], &[Tokens]];
const O: [&[End]; 2] = [&[Open], &[Open]];
const S: [&[End]; 2] = [&[Stops], &[Stops]];
const CHANCE: [&[End]; 2] = [&[Tokens, Stops], &[Tokens, Stops]];
const OPEN_BY_CHANCE: [&[End]; 2] = [&[Tokens, Open, Stops], &[Tokens, Open, Stops]];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The file alone.
    ("a token section", FILE, &[], T),
    ("no auth", NO_AUTH, &[], O),
    ("auth empty", "auth:", &[], O),
    ("auth an empty mapping", "auth: {}", &[], O),
    ("auth an empty text", "auth: ''", &[], O),
    ("auth none", "auth: none", &[], O),
    ("auth NONE", "auth: {NONE: {}}", &[], O),
    ("auth token without options", "auth: token", &[], S),
    ("auth a number", "auth: 5", &[], S),
    ("auth a list", "auth: [token]", &[], S),
    ("a type that is none", "auth: {basic: {}}", &[], S),
    ("Token", "auth: {Token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT}}", &[], S),
    ("token empty", "auth: {token: }", &[], S),
    ("token a text", "auth: {token: x}", &[], S),
    ("htpasswd", "auth: {htpasswd: {realm: x, path: HTPASSWD}}", &[], [&[Other], &[Other]]),
    ("silly", "auth: {silly: {realm: x, service: x}}", &[], O),
    ("two types", "auth: {htpasswd: {realm: x, path: HTPASSWD}, token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT}}", &[], S),
    ("a service that is a number", "auth: {token: {realm: http://localhost/t, service: 5, issuer: i, rootcertbundle: CRT}}", &[], S),
    ("no realm", "auth: {token: {service: s, issuer: i, rootcertbundle: CRT}}", &[], S),
    ("Service", "auth: {token: {realm: http://localhost/t, Service: s, issuer: i, rootcertbundle: CRT}}", &[], S),
    ("no bundle", "auth: {token: {realm: http://localhost/t, service: s, issuer: i}}", &[], S),
    ("a bundle that is a number", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: 5, jwks: JWKS}}", &[], [&[Stops], &[Tokens]]),
    ("autoredirect a word", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, autoredirect: x}}", &[], S),
    ("autoredirect empty", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, autoredirect: }}", &[], S),
    ("a jwks that is no text", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, jwks: [a]}}", &[], T),
    ("algorithms a text", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, signingalgorithms: RS256}}", &[], [&[Tokens], &[Stops]]),
    ("an algorithm that is none", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, signingalgorithms: [XS256]}}", &[], [&[Tokens], &[Stops]]),
    // REGISTRY_AUTH takes the place of the whole section.
    ("REGISTRY_AUTH empty over a file", FILE, &[("", "")], O),
    ("REGISTRY_AUTH a blank", FILE, &[("", " ")], O),
    ("REGISTRY_AUTH null", FILE, &[("", "null")], O),
    ("REGISTRY_AUTH ~", FILE, &[("", "~")], O),
    ("REGISTRY_AUTH {}", FILE, &[("", "{}")], O),
    ("REGISTRY_AUTH none", FILE, &[("", "none")], O),
    ("REGISTRY_AUTH None", FILE, &[("", "None")], O),
    ("REGISTRY_AUTH in quotes, empty", FILE, &[("", "\"\"")], O),
    ("REGISTRY_AUTH token alone", FILE, &[("", "token")], S),
    ("REGISTRY_AUTH basic", FILE, &[("", "basic")], S),
    ("REGISTRY_AUTH true", FILE, &[("", "true")], S),
    ("REGISTRY_AUTH a list", FILE, &[("", "[token]")], S),
    ("REGISTRY_AUTH no YAML", FILE, &[("", "{")], S),
    ("REGISTRY_AUTH htpasswd", FILE, &[("", "{htpasswd: {realm: x, path: HTPASSWD}}")], [&[Other], &[Other]]),
    ("REGISTRY_AUTH of two", FILE, &[("", "{htpasswd: {}, token: {}}")], S),
    ("REGISTRY_AUTH a token section", NO_AUTH, &[("", "{token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT}}")], T),
    ("REGISTRY_AUTH empty, and options", FILE, &[("", ""), ("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], T),
    ("REGISTRY_AUTH token, and options", NO_AUTH, &[("", "token"), ("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], T),
    ("REGISTRY_AUTH token, and some options", FILE, &[("", "token"), ("_TOKEN_REALM", "http://localhost/t")], S),
    ("REGISTRY_AUTH none, and options", NO_AUTH, &[("", "none"), ("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], OPEN_BY_CHANCE),
    // Options alone.
    ("options without a file", NO_AUTH, &[("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], T),
    ("one option over a file", FILE, &[("_TOKEN_SERVICE", "t")], T),
    ("an option in quotes", FILE, &[("_TOKEN_SERVICE", "\"t\"")], T),
    ("an option empty", FILE, &[("_TOKEN_SERVICE", "")], S),
    ("an option in quotes, empty", FILE, &[("_TOKEN_SERVICE", "\"\"")], T),
    ("an option a number", FILE, &[("_TOKEN_SERVICE", "5000")], S),
    ("an option a number with an underscore", FILE, &[("_TOKEN_SERVICE", "5_000")], S),
    ("an option in hexadecimal", FILE, &[("_TOKEN_SERVICE", "0x1F")], S),
    ("an option on", FILE, &[("_TOKEN_SERVICE", "on")], S),
    ("an option Yes", FILE, &[("_TOKEN_ISSUER", "Yes")], S),
    ("an option n", FILE, &[("_TOKEN_ISSUER", "n")], S),
    ("an option oN", FILE, &[("_TOKEN_ISSUER", "oN")], T),
    ("an option a date", FILE, &[("_TOKEN_ISSUER", "2020-01-01")], T),
    ("an option null", FILE, &[("_TOKEN_ISSUER", "null")], S),
    ("an option with a comment", FILE, &[("_TOKEN_ISSUER", "a # b")], T),
    ("an option only a comment", FILE, &[("_TOKEN_ISSUER", "# b")], S),
    ("an option with a colon and a blank", FILE, &[("_TOKEN_REALM", "http: //x")], S),
    ("an option with an at sign", FILE, &[("_TOKEN_ISSUER", "@x")], S),
    ("an option a list", FILE, &[("_TOKEN_ISSUER", "[a]")], S),
    ("a bundle empty", FILE, &[("_TOKEN_ROOTCERTBUNDLE", "")], S),
    ("a bundle in quotes, empty", FILE, &[("_TOKEN_ROOTCERTBUNDLE", "''")], S),
    ("autoredirect on", FILE, &[("_TOKEN_AUTOREDIRECT", "on")], T),
    ("autoredirect true in quotes", FILE, &[("_TOKEN_AUTOREDIRECT", "'true'")], S),
    ("algorithms", FILE, &[("_TOKEN_SIGNINGALGORITHMS", "[RS256, ES256]")], T),
    ("algorithms with commas", FILE, &[("_TOKEN_SIGNINGALGORITHMS", "RS256,ES256")], [&[Tokens], &[Stops]]),
    ("one algorithm by its place", FILE, &[("_TOKEN_SIGNINGALGORITHMS_0", "RS256")], [&[Tokens], &[Stops]]),
    ("another algorithm by its place", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, signingalgorithms: [ES256]}}", &[("_TOKEN_SIGNINGALGORITHMS_1", "RS256")], [&[Tokens], &[Stops]]),
    ("an algorithm that is there by its place", "auth: {token: {realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT, signingalgorithms: [ES256]}}", &[("_TOKEN_SIGNINGALGORITHMS_0", "RS256")], T),
    ("an option inside of a text", FILE, &[("_TOKEN_ISSUER_X", "a")], T),
    ("an option inside of nothing", NO_AUTH, &[("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER_X", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], S),
    ("an option of another name", FILE, &[("_TOKEN_X", "a")], T),
    // A type as a whole.
    ("TOKEN empty over a file", FILE, &[("_TOKEN", "")], S),
    ("TOKEN a section", "auth: {token: {realm: x}}", &[("_TOKEN", "{realm: http://localhost/t, service: s, issuer: i, rootcertbundle: CRT}")], T),
    ("TOKEN a text", FILE, &[("_TOKEN", "x")], S),
    ("TOKEN null, and options", NO_AUTH, &[("_TOKEN", "null"), ("_TOKEN_REALM", "http://localhost/t"), ("_TOKEN_SERVICE", "s"), ("_TOKEN_ISSUER", "i"), ("_TOKEN_ROOTCERTBUNDLE", "CRT")], T),
    // Types besides.
    ("skopeo's variable", FILE, &[("_FILE", "/run/auth.json")], S),
    ("skopeo's variable, empty", FILE, &[("_FILE", "")], CHANCE),
    ("htpasswd besides", FILE, &[("_HTPASSWD_REALM", "x"), ("_HTPASSWD_PATH", "HTPASSWD")], [&[Tokens, Other, Stops], &[Tokens, Other, Stops]]),
    ("an empty name besides", FILE, &[("_", "")], OPEN_BY_CHANCE),
    ("none besides", FILE, &[("_NONE_X", "1")], OPEN_BY_CHANCE),
    ("an empty name alone", NO_AUTH, &[("_", "")], O),
    ("none alone", NO_AUTH, &[("_NONE_X", "1")], O),
    // Names that are not what they seem.
    ("a lower-case section", FILE, &[("_token", "")], S),
    ("a lower-case option", FILE, &[("_token_REALM", "x")], S),
    ("a lower-case option's name", FILE, &[("_TOKEN_realm", "http://localhost/t")], T),
    ("Token in the file, an option besides", "auth: {Token: {realm: x}}", &[("_TOKEN_REALM", "http://localhost/t")], S),
    ("another variable", FILE, &[("X", "none")], T),
];

fn filled(text: &str, world: &World) -> String {
    let crt = world.path("ec.crt");
    let jwks = world.trust("jwks").jwks.unwrap();
    text.replace("CRT", &crt)
        .replace("JWKS", &jwks.display().to_string())
        .replace("HTPASSWD", &world.path("htpasswd"))
}

fn started(judge: Judge, folder: &Folder, config: &str, variables: &[(String, String)]) -> End {
    let socket = folder.path().join("registry.sock");
    let _ = std::fs::remove_file(&socket);
    let config = folder.write("registry.yaml", config);
    let mut command = Command::new(judge.program());
    command.arg("serve").arg(config);
    let mut process = Process::start(folder, "registry", &mut command, variables);
    if process.wait_for(|_| std::os::unix::net::UnixStream::connect(&socket).ok()).is_err() {
        return Stops;
    }
    match (ask(&socket, None).as_str(), ask(&socket, Some("x")).as_str()) {
        ("200", _) | (_, "200") => Open,
        ("401", "401") if process.log().contains("htpasswd") => Other,
        ("401", "401") => Tokens,
        other => panic!("{other:?}: {}", process.log()),
    }
}

/// What doctor says may come of it.
fn diagnosed(judge: Judge, folder: &Folder, variables: &[(String, String)]) -> (Vec<End>, bool, String) {
    let lines = variables.iter().map(|(name, value)| format!("{name}='{value}'\n"));
    // A file without any variable is refused.
    folder.write("registry.env", &format!("HOME=/\n{}", lines.collect::<String>()));
    let mut doctor = keypebble();
    doctor.args(["doctor", "--json", "--config", "config.yaml", "--registry-config", "registry.yaml"]);
    doctor.args(["--registry-env", "registry.env", "--for", judge.name()]).current_dir(folder.path());
    let output = finish(&mut doctor, "");
    let (_, shown) = said(&output);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{shown}"));
    let findings = answer["findings"].as_array().unwrap();
    let errors: Vec<_> = findings.iter().filter(|finding| finding["level"] == "error").collect();
    let has = |code: &str| errors.iter().any(|finding| finding["code"] == code);
    let chance = errors.iter().any(|finding| finding["what"].as_str().unwrap().contains("after some starts"));
    let stops = errors.iter().any(|finding| finding["what"].as_str().unwrap().contains("does not start"));
    let ends = match (chance, has("open"), stops) {
        (true, open, _) => [Tokens, Other, Stops].into_iter().chain(open.then_some(Open)).collect(),
        (false, true, _) => vec![Open],
        (false, false, true) => vec![Stops],
        _ if has("registry") => vec![Other],
        _ => vec![Tokens],
    };
    (ends, !has("open") || findings[0]["code"] == "open", shown)
}

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn doctor_says_what_the_environment_makes_of_auth() {
    let world = World::new();
    let folder = &world.folder;
    folder.write("htpasswd", "");
    folder.write("config.yaml", "issuer: i\naudience: s\nprivate_key_path: ec.key\n");
    let head = format!(
        "version: 0.1\nlog: {{level: debug}}\nhttp: {{net: unix, addr: {}}}\nstorage: {{inmemory: {{}}}}\n",
        folder.path().join("registry.sock").display()
    );
    let mut wrong = Vec::new();
    for (index, judge) in [Judge::Registry28, Judge::Registry3].into_iter().enumerate() {
        for (name, auth, variables, expected) in ROWS {
            let config = format!("{head}{}\n", filled(auth, &world));
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, value)| (format!("REGISTRY_AUTH{name}"), filled(value, &world)))
                .collect();
            let expected = expected[index];
            // What is left to chance shows itself in a few starts: each outcome has a chance of a quarter or more.
            let mut seen = BTreeSet::new();
            for _ in 0..if expected.len() > 1 { 40 } else { 1 } {
                seen.insert(started(judge, folder, &config, &variables));
                if seen.len() > 1 {
                    break;
                }
            }
            let (ends, loudest_first, shown) = diagnosed(judge, folder, &variables);
            let by_chance = expected.len() > 1;
            let agrees = seen.iter().all(|end| expected.contains(end) && ends.contains(end))
                && (ends.len() > 1) == by_chance
                && ends.contains(&Open) == expected.contains(&Open)
                && (seen.len() > 1) == by_chance
                && loudest_first;
            if agrees {
                println!("{:13} {name:45} {seen:?}", judge.name());
            } else {
                wrong.push(format!(
                    "{name} on {}: it was {seen:?}, expected {expected:?}, doctor says {ends:?}\n{shown}",
                    judge.name()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), 2 * ROWS.len(), wrong.join("\n"));
    println!("{} configurations", 2 * ROWS.len());
}
