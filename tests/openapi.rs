//! `/openapi.json` against the real binary: every operation's statuses are those that it answers with, and the members
//! of its answers those that the document lists.
#![cfg(all(feature = "passwords", feature = "sqlite"))]
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use common::{Answer, FORM, Folder, JSON, Server, basic, done, serve};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SERVICE: &str = "/apis/authentication.k8s.io/v1/namespaces/b/serviceaccounts/d/token";
const CORE: &str = "/api/v1/namespaces/b/serviceaccounts/d/token";
const ACCOUNTS: [&str; 2] = [SERVICE, CORE];
const FORMS: [&str; 3] = ["/v2/token", "/introspect", "/revoke"];
const OBJECTS: [&str; 2] = ["/auth", "/command/token"];
const AUDIENCES: &str = r#"{"spec": {"audiences": ["vault"]}}"#;
const COMMAND: &str = r#"{"target": "door", "command": "open"}"#;
const LOGIN: &str = "grant_type=password&username=alice&password=sesame&access_type=offline";

/// What cannot be brought about here in a moment: a slow client, the server's own fault, a full house.
const UNSEEN: [&str; 3] = ["408", "500", "503"];

fn served(more: &str, trusted: &str) -> (Folder, Server) {
    let folder = Folder::new();
    folder.write("users", include_str!("docs/users.htpasswd")); // alice, whose password is `sesame`
    folder.write("client.secret", "0123456789abcdef0123456789abcdef");
    folder.write("policy.yaml", "users:\n  alice: {namespace: alice, repos: [app], actions: [pull]}\n");
    folder.write(
        "config.yaml",
        &format!(
            "issuer: https://i.example.com\naudience: registry.example.com\nkey_dir: keys\n{more}\n\
             service: {{host: 127.0.0.1, port: 0, trusted_proxies: [{trusted}]}}\n"
        ),
    );
    done(&folder, "keys generate --dir keys");
    if more.contains("store") {
        done(&folder, "store init --config config.yaml");
    }
    let server = serve(&folder);
    (folder, server)
}

const EVERYTHING: &str = "profiles: [command, kubernetes]\ncommand_targets: [door]\nusers_file: users\nstore: sqlite:store.db\n\
     clients: [{name: c, secret_path: client.secret, may: [introspect, revoke]}]";

/// The statuses that were seen, by method and path of the document.
struct Seen {
    document: Value,
    statuses: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Seen {
    /// Holds an answer against the document.
    fn note(&mut self, (method, target): (&str, &str), answer: &Answer, expected: u16) {
        let path = target.split('?').next().unwrap();
        let is_account = ACCOUNTS.contains(&path);
        let path = if is_account {
            path.replace("/b/", "/{namespace}/").replace("/d/", "/{name}/")
        } else {
            path.to_owned()
        };
        let at = format!("{method} {path} {}", answer.status);
        assert_eq!(answer.status, expected, "{at}: {answer:?}");
        let status = answer.status.to_string();
        let response =
            self.resolved(&self.document["paths"][&path][method.to_lowercase()]["responses"][&status]);
        assert!(response.is_object(), "{at} is not documented");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let value = answer.header(name).unwrap_or_else(|| panic!("{at}: no {name}"));
            let schema = &self.resolved(header)["schema"];
            assert!(schema["const"].is_null() || schema["const"] == value, "{at}: {name}: {value}");
        }
        let found = answer.header("Content-Type").unwrap();
        let kind = found.split(';').next().unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{at}: {found}");
        if kind == "application/json" {
            self.check(schema, &answer.json()).unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
        }
        self.statuses.entry((method.to_owned(), path)).or_default().insert(status);
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        value["$ref"].as_str().map_or(value, |reference| self.document.pointer(&reference[1..]).unwrap())
    }

    /// Whether a value has the members of its schema, at any depth. `.ci/run` has real validators do the rest.
    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value)?;
        }
        if let Some(several) = schema["anyOf"].as_array() {
            return several
                .iter()
                .map(|part| self.check(part, value))
                .find(Result::is_ok)
                .unwrap_or_else(|| Err(format!("nothing of {schema} fits {value}")));
        }
        let fits = |name: &str, holds: bool| if holds { Ok(()) } else { Err(format!("{name}: {value}")) };
        fits("const", schema.get("const").is_none_or(|expected| expected == value))?;
        fits("enum", schema["enum"].as_array().is_none_or(|several| several.contains(value)))?;
        for name in schema["required"].as_array().into_iter().flatten() {
            fits(name.as_str().unwrap(), value.get(name.as_str().unwrap()).is_some())?;
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(schema) => self.check(schema, member)?,
                None => fits(name, schema["additionalProperties"] != false)?,
            }
        }
        value.as_array().into_iter().flatten().try_for_each(|item| match schema.get("items") {
            Some(schema) => self.check(schema, item),
            None => Ok(()),
        })
    }

    fn ask(
        &mut self,
        server: &Server,
        at: (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&str>,
        expected: u16,
    ) -> Value {
        let answer = server.request(at.0, at.1, headers, body);
        self.note(at, &answer, expected);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    fn send(&mut self, server: &Server, at: (&str, &str), rest: &str, expected: u16) {
        let answer = Answer::parse(&server.send(format!("{} {}{rest}", at.0, at.1)));
        self.note(at, &answer, expected);
    }

    /// What the connection alone refuses, or what every endpoint does.
    fn refusals_of_all(&mut self, server: &Server) {
        let operations: Vec<(String, String)> = self.operations().into_keys().collect();
        let long = "x".repeat(20_000);
        for (method, path) in operations {
            let path = path.replace("{namespace}", "b").replace("{name}", "d");
            let ask = (method.as_str(), path.as_str());
            for (rest, status) in [
                (" HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
                (format!("?{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
                (" HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned(), 417),
                (format!(" HTTP/1.1\r\nHost: a\r\nX: {long}{long}\r\n\r\n"), 431),
                (" HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
            ] {
                self.send(server, ask, &rest, status);
            }
            if method == "POST" {
                let kind = if FORMS.contains(&ask.1) { FORM } else { JSON };
                let large = format!(
                    " HTTP/1.1\r\nHost: a\r\n{}: {}\r\nContent-Length: 99999999\r\n\r\n",
                    kind.0, kind.1
                );
                self.send(server, ask, &large, 413);
                if !FORMS.contains(&ask.1) {
                    self.send(server, ask, " HTTP/1.1\r\nHost: a\r\n\r\n", 411);
                    self.ask(server, ask, &[("Content-Type", "text/plain")], Some("{}"), 415);
                }
            }
        }
    }

    /// Every operation of the document with its statuses.
    fn operations(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let statuses =
            |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect();
        let of_path = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            let path = path.clone();
            methods
                .map(|(name, operation)| ((name.to_uppercase(), path.clone()), statuses(operation)))
                .collect::<Vec<_>>()
        };
        self.document["paths"].as_object().unwrap().iter().flat_map(of_path).collect()
    }
}

#[test]
fn every_operation_answers_what_is_documented_and_nothing_else() {
    let (_folder, server) = served(EVERYTHING, "127.0.0.1");
    let text = server.get("/openapi.json", &[]).body;
    let mut seen = Seen { document: serde_json::from_str(&text).unwrap(), statuses: BTreeMap::new() };
    seen.refusals_of_all(&server);

    for path in [
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        seen.ask(&server, ("GET", path), &[], None, 200);
    }
    seen.ask(&server, ("GET", "/metrics"), &[("Accept", "text/plain")], None, 200);
    let (alice, wrong) = (basic("alice", "sesame"), basic("alice", "wrong"));
    let (alice, wrong) = (("Authorization", &*alice), ("Authorization", &*wrong));
    let scope = "/v2/token?scope=repository:alice/app:pull,push&offline_token=true";
    seen.ask(&server, ("GET", scope), &[alice], None, 200);
    seen.ask(&server, ("GET", "/v2/token"), &[], None, 401);
    let generate = [("X-Authenticated-User", "bob"), ("X-Policy-Generate", "true")];
    seen.ask(&server, ("GET", "/v2/token"), &generate, None, 403);
    let login = seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some(LOGIN), 200);
    let refresh = login["refresh_token"].as_str().unwrap();
    let again = format!("grant_type=refresh_token&refresh_token={refresh}");
    seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some(&again), 200);
    seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some("grant_type=x"), 400);
    seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some("grant_type=refresh_token&refresh_token=x"), 401);

    let generic = seen.ask(&server, ("POST", "/auth"), &[JSON], Some(r#"{"sub": "alice"}"#), 200);
    seen.ask(&server, ("POST", "/auth"), &[JSON, alice], Some(r#"{"sub": "bob"}"#), 403);
    seen.ask(&server, ("POST", "/command/token"), &[JSON], Some(COMMAND), 200);
    seen.ask(&server, ("POST", "/command/token"), &[JSON], Some(&COMMAND.replace("door", "gate")), 403);
    for account in ACCOUNTS {
        seen.ask(&server, ("POST", account), &[JSON], Some(AUDIENCES), 201);
        seen.ask(&server, ("POST", account), &[JSON], Some("{}"), 422);
        seen.ask(&server, ("POST", account), &[JSON, alice], Some(AUDIENCES), 403);
    }
    let shown = format!("token={}", generic["token"].as_str().unwrap());
    let known = seen.ask(&server, ("POST", "/introspect"), &[FORM], Some(&shown), 200);
    assert_eq!(known["active"], true);
    seen.ask(&server, ("POST", "/introspect"), &[FORM], Some(&format!("token={refresh}")), 200);
    seen.ask(&server, ("POST", "/revoke"), &[FORM], Some(&shown), 200);
    let ended = seen.ask(&server, ("POST", "/introspect"), &[FORM], Some(&shown), 200);
    assert_eq!(ended["active"], false);

    for path in OBJECTS.iter().chain(&ACCOUNTS) {
        seen.ask(&server, ("POST", path), &[JSON, wrong], Some("{}"), 401);
    }
    for path in ["/introspect", "/revoke"] {
        seen.ask(&server, ("POST", path), &[FORM, wrong], Some(&shown), 401);
    }
    throttled(&mut seen);

    let (_folder, server) = served("", "");
    seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some(LOGIN), 405);
    seen.ask(&server, ("POST", "/command/token"), &[JSON], Some(COMMAND), 404);
    for account in ACCOUNTS {
        seen.ask(&server, ("POST", account), &[JSON], Some(AUDIENCES), 404);
    }

    let mut documented = seen.operations();
    for statuses in documented.values_mut() {
        statuses.retain(|status| !UNSEEN.contains(&status.as_str()));
    }
    assert_eq!(seen.statuses, documented);
}

/// Wrong passwords until no more are checked.
fn throttled(seen: &mut Seen) {
    let (_folder, server) = served(EVERYTHING, "127.0.0.1");
    let (alice, client) = (basic("alice", "wrong"), basic("c", "wrong"));
    let proofs = [("Authorization", &*alice), ("Authorization", &*client)];
    for proof in proofs {
        let path = if proof.1 == alice { "/auth" } else { "/introspect" };
        let kind = if proof.1 == alice { JSON } else { FORM };
        let slowed = (0..100).any(|_| server.post(path, &[kind, proof], "token=x").status == 429);
        assert!(slowed, "no wrong password is too many");
    }
    seen.ask(&server, ("GET", "/v2/token"), &[proofs[0]], None, 429);
    seen.ask(&server, ("POST", "/v2/token"), &[FORM], Some(&LOGIN.replace("sesame", "wrong")), 429);
    for path in OBJECTS.iter().chain(&ACCOUNTS) {
        seen.ask(&server, ("POST", path), &[JSON, proofs[0]], Some("{}"), 429);
    }
    for path in ["/introspect", "/revoke"] {
        seen.ask(&server, ("POST", path), &[FORM, proofs[1]], Some("token=x"), 429);
    }
}

#[test]
fn the_command_prints_what_is_served() {
    let folder = common::folder(
        "issuer: i\naudience: a\nsecret: 0123456789abcdef0123456789abcdef\nservice: {host: 127.0.0.1, port: 0}\n",
        "users: {}\n",
    );
    let answer = serve(&folder).get("/openapi.json", &[]);
    assert_eq!(done(&folder, "openapi"), answer.body);
}
