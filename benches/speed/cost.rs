//! What a request costs the server, by endpoint, shape of query or body, and who sends it.
//!
//! The server's processor time for each request, and for each byte of it. What a stranger can send must cost
//! little a byte, whatever it is made of, and nobody's request may cost more than in proportion to its
//! length: judged are requests of 4 kB and more, against a form that is one long parameter.

use crate::common::{BINARY, basic, finish};
use crate::process::{Place, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// Requests in a round, and rounds, of which the cheapest counts.
const REQUESTS: u32 = 40;
const ROUNDS: u32 = 5;

/// How much dearer a byte may be than one of the plainest form: a stranger's, and that of somebody who is
/// known, whose request is worked on. And from what length on that is judged.
const STRANGER: f64 = 4.0;
const KNOWN: f64 = 60.0;
const JUDGED: usize = 4 * 1024;

/// The longest body, and the longest target that the default limits let in.
const BODY: usize = 64 * 1024;
const QUERY: usize = 7 * 1024;

pub(crate) fn run() -> bool {
    let place = Place::new();
    let hash =
        finish(Command::new(BINARY).args(["hash-password", "--user", "alice", "--cost", "4"]), "secret");
    assert!(hash.status.success(), "the build needs the feature `passwords`");
    let users = place.write("users", &String::from_utf8(hash.stdout).unwrap());
    // Out of `service` and into the next key; what closes it is a comment then.
    let users = format!("}}\nusers_file: {}\n#", users.display());
    let with_passwords = place.serve(BINARY, "HS256", &users);
    let with_trust = place.serve(BINARY, "HS256", "");
    // Wrong passwords of a name are not looked at any more after twenty.
    let (right, wrong) = (basic("alice", "secret"), basic("mallory", "wrong"));
    let (right, wrong) = (format!("Authorization: {right}\r\n"), format!("Authorization: {wrong}\r\n"));
    for _ in 0..25 {
        Link::open(&with_passwords).ask(&request("GET", "/v2/token", &wrong, None));
    }
    let senders: [(&str, &Server, &str, f64); 4] = [
        ("nobody", &with_passwords, "", STRANGER),
        ("a guesser", &with_passwords, &wrong, STRANGER),
        ("alice", &with_passwords, &right, KNOWN),
        ("a trusted peer", &with_trust, "X-Authenticated-User: alice\r\n", KNOWN),
    ];
    println!("\n## Processor time of the server, the least of {ROUNDS} rounds of {REQUESTS} requests\n");
    println!("| request | bytes | sent by | status | us | ns a byte |\n|---|---|---|---|---|---|");
    let mut plain = f64::MAX;
    let mut good = true;
    for (name, (method, target, body)) in shapes() {
        for (sender, server, field, most) in senders {
            let request = request(method, &target, field, body.as_ref());
            let (status, seconds) = measured(server, &request);
            let each = seconds * 1e9 / request.len() as f64;
            if name == PLAIN && sender == "nobody" {
                plain = each;
            }
            let dear = request.len() >= JUDGED && each > most * plain;
            good &= !dear;
            let verdict = if dear { " TOO MUCH" } else { "" };
            println!(
                "| {name} | {} | {sender} | {status} | {:.1} | {each:.2}{verdict} |",
                request.len(),
                seconds * 1e6
            );
        }
    }
    println!(
        "\nA byte of {PLAIN}: {plain:.2} ns. At {JUDGED} bytes and more one may cost a stranger's request"
    );
    println!("{STRANGER} times that, and one that is worked on {KNOWN} times.");
    good
}

const PLAIN: &str = "form: one long parameter";
type Body = (&'static str, String);
/// Method, target and body.
type Ask = (&'static str, String, Option<Body>);

/// Every endpoint; the long ones first the plainest.
fn shapes() -> Vec<(&'static str, Ask)> {
    let form = |text: String| Some(("application/x-www-form-urlencoded", text));
    let json = |text: String| Some(("application/json", text));
    let login = "grant_type=password&service=registry.example.com";
    let fill = |piece: &dyn Fn(usize) -> String, most: usize| {
        let mut text = String::new();
        for number in 0.. {
            let piece = piece(number);
            if text.len() + piece.len() > most {
                break;
            }
            text.push_str(&piece);
        }
        text
    };
    // Numbers in letters: each is another action.
    let word = |number: usize| -> String {
        format!("{number:05}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    };
    let actions = |from: usize, count: usize| (from..from + count).map(word).collect::<Vec<_>>().join(",");
    let scope = |number: usize| format!("&scope=repository:a:{}", actions(number * 150, 150));
    let few = |number: usize| format!("&scope=repository:a{number}:{}", actions(number * 16, 16));
    let room = BODY - login.len() - 8;
    let token = |more: String| ("GET", format!("/v2/token?service=registry.example.com{more}"), None);
    let post = |more: String| ("POST", "/v2/token".to_owned(), form(format!("{login}{more}")));
    let auth = |text: String| ("POST", "/auth".to_owned(), json(text));
    let get = |path: &str| ("GET", path.to_owned(), None);
    vec![
        (PLAIN, post(format!("&x={}", "x".repeat(room)))),
        ("form: one long password", post(format!("&username=alice&password={}", "x".repeat(room - 30)))),
        ("form: escapes", post(format!("&x={}", "%41".repeat(room / 3)))),
        ("form: 64 scopes of 150 actions", post(fill(&scope, room))),
        ("form: 64 scopes of 16 actions", post(fill(&few, 64 * 120))),
        ("form: 120 parameters", post(fill(&|n| format!("&p{n}={}", "x".repeat(500)), room))),
        ("form: very many parameters", post("&a=".repeat(room / 3))),
        ("form: no form", post(format!("&{}", "%".repeat(room)))),
        ("JSON: one long string", auth(format!("{{\"a\":\"{}\"}}", "x".repeat(BODY - 8)))),
        (
            "JSON: very many members",
            auth(format!("{{{}\"z\":0}}", fill(&|n| format!("\"m{n}\":0,"), BODY - 8))),
        ),
        (
            "JSON: lists in lists",
            auth(format!("{{\"a\":{}{}}}", "[".repeat(BODY / 2 - 8), "]".repeat(BODY / 2 - 8))),
        ),
        ("JSON: numbers", auth(format!("{{\"a\":[{}0]}}", "1e3,".repeat(BODY / 4 - 4)))),
        ("JSON: escapes", auth(format!("{{\"a\":\"{}\"}}", "\\u0041".repeat(BODY / 6 - 4)))),
        (
            "JSON: access of very many actions",
            auth(format!(
                "{{\"access\":[{{\"type\":\"repository\",\"name\":\"a\",\"actions\":[{}\"pull\"]}}]}}",
                fill(&|n| format!("\"{}\",", word(n)), BODY - 80)
            )),
        ),
        (
            "JSON: a long scope",
            auth(format!("{{\"scope\":\"{}\"}}", fill(&|n| format!("repository:a{n}:pull "), BODY - 20))),
        ),
        ("JSON: none", auth("[".repeat(BODY))),
        ("query: 7 kB of scopes", token(fill(&few, QUERY))),
        ("query: 7 kB of escapes", token(format!("&x={}", "%41".repeat(QUERY / 3)))),
        ("query: one scope", token("&scope=repository:alice-space/app-api:pull,push".to_owned())),
        ("query: no scope", token(String::new())),
        ("form: login", post("&username=bob&password=wrong".to_owned())),
        ("JSON: claims", auth("{\"sub\":\"alice\"}".to_owned())),
        ("healthz", get("/healthz")),
        ("metrics", get("/metrics")),
        ("jwks", get("/.well-known/jwks.json")),
        ("discovery", get("/.well-known/openid-configuration")),
        ("no such path", get(&format!("/{}", "x".repeat(QUERY)))),
    ]
}

fn request(method: &str, target: &str, field: &str, body: Option<&Body>) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{field}");
    match body {
        None => format!("{head}\r\n").into_bytes(),
        Some((kind, text)) => {
            format!("{head}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
        }
    }
}

/// The status, and processor seconds for one request.
fn measured(server: &Server, request: &[u8]) -> (u16, f64) {
    let mut link = Link::open(server);
    let mut status = 0;
    let mut round = || {
        let before = server.cpu_seconds();
        for _ in 0..REQUESTS {
            status = link.ask(request);
        }
        (server.cpu_seconds() - before) / f64::from(REQUESTS)
    };
    let best = (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min);
    (status, best)
}

/// A connection that is opened again where the server closes it.
struct Link<'s> {
    server: &'s Server,
    stream: TcpStream,
}

impl<'s> Link<'s> {
    fn open(server: &'s Server) -> Self {
        Self { server, stream: connect(server) }
    }

    /// Gives the status.
    fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                assert!(read > 0, "no answer: {text}");
                continue;
            };
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            if body.len() < field("Content-Length: ").unwrap().parse().unwrap() {
                continue;
            }
            let status = head[9..12].parse().unwrap();
            if field("Connection: ") == Some("close") {
                self.stream = connect(self.server);
            }
            return status;
        }
    }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}
