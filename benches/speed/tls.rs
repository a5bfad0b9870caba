//! TLS of our own against nginx's in front of it, with the same certificate: what a handshake costs, and what a
//! request does on a connection that stays. Needs wrk and nginx.

use crate::common::tls::Authority;
use crate::common::{Killed, free_address};
use crate::process::{Place, Server, TARGET};
use crate::{BINARY, median};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const SECONDS: &str = "3s";
const CONNECTIONS: &str = "16";
/// A connection ends when wrk says so.
const LIMITS: &str = "limits: { requests_per_connection: 1000000000 }";

/// One way to a token.
struct Way {
    name: &'static str,
    address: SocketAddr,
    /// Whose processor time it takes.
    processes: Vec<u32>,
    _running: Vec<Killed>,
    _behind: Option<Server>,
}

/// What a round came to: answers a second, and microseconds of processor time for each.
type Round = (f64, f64);

pub(crate) fn run() {
    println!("\n## TLS of our own, and nginx in front, {CONNECTIONS} connections\n");
    println!("| what | ours, a second | nginx, a second | ours to nginx | ours, us | nginx and ours, us |");
    println!("|---|---|---|---|---|---|");
    for algorithm in ["HS256", "ES256"] {
        let place = Place::new();
        let (certificate, key) = Authority::new("speed").make(&["localhost", "127.0.0.1"]);
        let certificate = place.write("server.crt", &certificate);
        let key = place.write("server.key", &key);
        let files = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let ways = [ours(&place, algorithm, files), behind_nginx(&place, algorithm, files)];
        for (what, header) in
            [("full handshakes", "Connection: close"), ("requests", "Connection: keep-alive")]
        {
            let mut rounds: [Vec<Round>; 2] = [const { Vec::new() }; 2];
            for _ in 0..ROUNDS {
                for (way, rounds) in ways.iter().zip(&mut rounds) {
                    rounds.push(way.load(header));
                }
            }
            let best = |rounds: &[Round]| rounds.iter().map(|round| round.0).fold(0.0, f64::max);
            let cost = |rounds: &[Round]| median(rounds.iter().map(|round| round.1).collect());
            let [own, other] = &rounds;
            println!(
                "| {algorithm}, {what} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} |",
                best(own),
                best(other),
                best(own) / best(other),
                cost(own),
                cost(other)
            );
        }
    }
}

fn ours(place: &Place, algorithm: &str, (certificate, key): (&str, &str)) -> Way {
    let address = free_address();
    let more = format!("{LIMITS}, tls: {{ certificate_path: {certificate}, key_path: {key} }}");
    let config = place.config(algorithm, address, &more);
    let policy = place.write("policy.yaml", crate::process::POLICY);
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--config").arg(config).arg("--policy").arg(policy);
    let child = start(&mut command, address);
    Way { name: "ours", address, processes: vec![child.0.id()], _running: vec![child], _behind: None }
}

fn behind_nginx(place: &Place, algorithm: &str, (certificate, key): (&str, &str)) -> Way {
    let behind = place.serve(BINARY, algorithm, LIMITS);
    let address = free_address();
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 2;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
         access_log off;\n\
         client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;\n\
         upstream keypebble {{ server {}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{\n\
         listen {address} ssl;\nkeepalive_requests 1000000000;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\nssl_session_cache off;\nssl_session_tickets off;\n\
         ssl_certificate {certificate};\nssl_certificate_key {key};\n\
         location / {{ proxy_pass http://keypebble; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host localhost; }}\n}}\n}}\n",
        behind.address
    );
    let config = place.write("nginx.conf", &config);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(config.parent().unwrap()).arg("-c").arg(&config);
    let child = start(&mut command, address);
    let master = child.0.id();
    let workers = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
    let mut processes: Vec<u32> = workers.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(!processes.is_empty(), "nginx has no workers");
    processes.push(behind.pid());
    Way { name: "nginx", address, processes, _running: vec![child], _behind: Some(behind) }
}

/// Starts a server and waits until it listens.
fn start(command: &mut Command, address: SocketAddr) -> Killed {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Killed(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "{command:?} does not answer");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

impl Way {
    /// A round of wrk, in which every answer must be a 200.
    fn load(&self, header: &str) -> Round {
        let used = self.processor_seconds();
        let url = format!("https://{}{TARGET}", self.address);
        let fields = ["-H", "Host: localhost", "-H", "X-Authenticated-User: alice", "-H", header];
        let output = Command::new("wrk")
            .args(["-t", "2", "-c", CONNECTIONS, "-d", SECONDS])
            .args(fields)
            .arg(url)
            .output()
            .unwrap_or_else(|error| panic!("wrk: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |before: &str, after: &str| -> f64 {
            let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("{}: {text}", self.name));
            rest.split(after).next().unwrap().trim().parse().unwrap()
        };
        assert!(!text.contains("Non-2xx"), "{}: {text}", self.name);
        let line = text.lines().find_map(|line| line.trim().split_once(" requests in "));
        let (count, _) = line.unwrap_or_else(|| panic!("{}: {text}", self.name));
        let answers: f64 = count.parse().unwrap();
        (number("Requests/sec:", "\n"), (self.processor_seconds() - used) / answers * 1e6)
    }

    /// What all its processes have used: threads that ended, too, in hundredths of a second.
    fn processor_seconds(&self) -> f64 {
        let of = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
            fields.map(|field| field.parse::<f64>().unwrap() / 100.0).sum::<f64>()
        };
        self.processes.iter().map(of).sum()
    }
}
