//! Owns the whole arrangement: Keypebble, nginx in front of it, and a registry that trusts its key.
//!
//! nginx includes the very file that the docker-compose example ships, so that what is tested is what
//! users copy.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{ALICE, BOB, CAROL, Login};
use crate::common::{
    Answer, FORM, Folder, basic, connect, copy_folder, eventually, exchange, free_port, keypebble,
    listening_address,
};
use crate::image;
use crate::keys::{Algorithm, KeyId, SigningKey, strangers_certificate};
use crate::process::Process;
use crate::tools::{example, htpasswd};

/// The registry's program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// docker-registry 2.8, Debian's package.
    V2,
    /// distribution 3, `registry` on PATH.
    V3,
}

impl Generation {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Generation::V2 => "docker-registry",
            Generation::V3 => "registry",
        }
    }
}

/// How the registry is told which key to trust.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Bundle,
    Jwks,
}

/// What to bring up.
pub(crate) struct Plan {
    generation: Generation,
    algorithm: Algorithm,
    key_id: KeyId,
    trust: Trust,
    trusted: bool,
    unix_socket: bool,
}

impl Plan {
    pub(crate) fn new(generation: Generation, algorithm: Algorithm, key_id: KeyId, trust: Trust) -> Self {
        Plan { generation, algorithm, key_id, trust, trusted: true, unix_socket: false }
    }

    /// The registry knows another key than the one that signs.
    pub(crate) fn distrusted(self) -> Self {
        Plan { trusted: false, ..self }
    }

    pub(crate) fn over_unix_socket(self) -> Self {
        Plan { unix_socket: true, ..self }
    }
}

const POLICY: &str = "\
users:
  alice: {namespace: alice-space, repos: ['*'], actions: [pull, push, delete]}
  bob: {namespace: bob-space, repos: ['*'], actions: [pull, push]}
  carol: {namespace: alice-space, repos: [app], actions: [pull]}
";

/// The programs that run, and the folder that holds all they need.
pub(crate) struct Stage {
    // Dropped in this order: the servers before the folder that they write to.
    pub(crate) registry: Process,
    _nginx: Option<Process>,
    #[cfg_attr(
        not(feature = "passwords"),
        expect(dead_code, reason = "its log is read where it checks passwords")
    )]
    pub(crate) keypebble: Process,
    port: u16,
    image: PathBuf,
    folder: Folder,
}

impl Stage {
    /// Everything up and answering.
    pub(crate) fn up(plan: &Plan) -> Self {
        let folder = Folder::new();
        let key = SigningKey::new(&folder, "signing", plan.algorithm);
        let policy = folder.write("policy.yaml", POLICY);
        let config = folder.write("config.yaml", &keypebble_config(plan, &key));
        let mut command = keypebble();
        command.args(["serve", "--config"]).arg(config).arg("--policy").arg(policy);
        let (process, upstream) = start_keypebble(&folder, &mut command);

        copy_folder(&example("docker-compose/nginx"), &folder.path().join("nginx"));
        folder.write("nginx/htpasswd", &htpasswd(&[ALICE, BOB, CAROL]));
        let (nginx, port) = start_nginx(&folder, &upstream);

        let bundle = if plan.trusted {
            key.certificate.clone()
        } else {
            strangers_certificate(&folder, plan.algorithm)
        };
        let trust = match plan.trust {
            Trust::Bundle => ("ROOTCERTBUNDLE", bundle.display().to_string()),
            Trust::Jwks => ("JWKS", folder.write("jwks.json", &key.jwks()).display().to_string()),
        };
        let variables = [
            ("REALM", format!("http://localhost:{port}/v2/token")),
            ("SERVICE", "registry.example.com".to_owned()),
            ("ISSUER", "https://keypebble.example.com".to_owned()),
            trust,
        ]
        .map(|(name, value)| (format!("REGISTRY_AUTH_TOKEN_{name}"), value));
        let registry = start_registry(&folder, plan.generation.program(), &variables);
        Self::of(folder, process, Some(nginx), registry, port)
    }

    /// On the port that clients call: nginx's, or without it the registry's own.
    pub(crate) fn of(
        folder: Folder,
        keypebble: Process,
        nginx: Option<Process>,
        registry: Process,
        port: u16,
    ) -> Self {
        folder.write("skopeo-policy.json", "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}");
        fs::create_dir(folder.path().join("home")).unwrap();
        let image = image::write(&folder);
        Stage { registry, _nginx: nginx, keypebble, port, image, folder }
    }

    /// What clients call the registry.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The image that is pushed.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    #[cfg(feature = "passwords")]
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        self.folder.write(name, content)
    }

    /// A client's command that finds none of the machine's own credentials.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"] {
            command.env(variable, self.folder.path().join("home"));
        }
        command
    }

    /// The tags that the registry has on disk, whatever it says over HTTP.
    pub(crate) fn stored_tags(&self, repository: &str) -> Vec<String> {
        let tags = format!("images/docker/registry/v2/repositories/{repository}/_manifests/tags");
        let Ok(entries) = fs::read_dir(self.folder.path().join(&tags)) else { return Vec::new() };
        let mut tags: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        tags.sort();
        tags
    }

    /// The layers of `to` came from `from` by the registry's own hand: 201 answers a mount that worked.
    #[track_caller]
    pub(crate) fn assert_mounted(&self, to: &str, from: &str) {
        let from = format!("from={}", from.replace('/', "%2F"));
        self.assert_logged(&[&format!("POST /v2/{to}/blobs/uploads/?"), "mount=sha256", &from], 201);
    }

    /// nginx passed a request whose line has all these pieces, and it was answered with this status.
    #[track_caller]
    pub(crate) fn assert_logged(&self, pieces: &[&str], status: u16) {
        let status = format!(" {status}");
        let matches = |line: &str| line.ends_with(&status) && pieces.iter().all(|piece| line.contains(piece));
        // nginx writes a request's line after the client has its answer.
        let log = || fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        assert!(eventually(|| log().lines().any(matches)), "no {pieces:?}{status} in:\n{}", log());
    }

    /// The registry refused for this reason, which it tells nobody but its log.
    #[track_caller]
    pub(crate) fn assert_registry_said(&self, reason: &str) {
        let said = eventually(|| self.registry.log().contains(reason));
        assert!(said, "no `{reason}` in:\n{}", self.registry.log());
    }

    /// A GET through nginx.
    pub(crate) fn get(&self, path: &str, login: Option<Login>, headers: &[(&str, &str)]) -> Answer {
        let basic = login.map(|(user, password)| basic(user, password));
        let authorization = basic.as_deref().map(|value| ("Authorization", value));
        self.exchange("GET", path, &[headers, authorization.as_slice()].concat(), None)
    }

    /// A POST of a form through nginx.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.exchange("POST", path, &[FORM], Some(form))
    }

    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        exchange(connect(self.port), method, path, headers, body)
    }
}

fn keypebble_config(plan: &Plan, key: &SigningKey) -> String {
    let algorithm = plan.algorithm.name();
    let secret = match plan.algorithm {
        Algorithm::Rs256 => "rs256_private_key_path: signing.key".to_owned(),
        Algorithm::Es256 | Algorithm::EdDsa => "private_key_path: signing.key".to_owned(),
        // With the id of a trusted key, so that the algorithm alone is what is wrong with the token.
        Algorithm::Hs256 => {
            format!("hs256_secret: a-secret-of-more-than-32-bytes-for-hs256\nkid: {}", key.libtrust_id())
        }
    };
    let chain = match plan.key_id {
        KeyId::Kid => String::new(),
        KeyId::X5c => format!("x5c_chain_path: {}\n", key.certificate.display()),
    };
    let bind = if plan.unix_socket {
        format!("host: 'unix:{}'", key.private.with_file_name("keypebble.sock").display())
    } else {
        "host: 127.0.0.1, port: 0".to_owned()
    };
    format!(
        "issuer: https://keypebble.example.com\naudience: registry.example.com\nalgorithm: {algorithm}\n\
         {secret}\n{chain}service: {{{bind}, log: json}}\n"
    )
}

/// Keypebble, and where it listens, in nginx's words.
pub(crate) fn start_keypebble(folder: &Folder, command: &mut Command) -> (Process, String) {
    let mut keypebble = Process::start(folder, "keypebble", command, &[]);
    let address = keypebble.wait_for(listening_address).unwrap_or_else(|error| panic!("{error}"));
    (keypebble, address.trim_start_matches("http://").to_owned())
}

/// nginx with the example's nginx.conf, but for the names and ports that only compose has.
pub(crate) fn start_nginx(folder: &Folder, keypebble: &str) -> (Process, u16) {
    let socket = folder.path().join("registry.sock");
    start_nginx_before(folder, &format!("server {keypebble};"), &format!("server unix:{};", socket.display()))
}

/// The same with several servers behind each name, in nginx's words.
pub(crate) fn start_nginx_before(folder: &Folder, keypebble: &str, registry: &str) -> (Process, u16) {
    let original = fs::read_to_string(folder.path().join("nginx/nginx.conf")).unwrap();
    for _ in 0..10 {
        let port = free_port();
        let mut conf = original.clone();
        let own = format!(
            "http {{\n    log_format line '$request $status';\n    access_log {} line;\n{}",
            folder.path().join("access.log").display(),
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| temp_path(folder, kind)).concat(),
        );
        for (from, to) in [
            ("server keypebble:8080;", keypebble.to_owned()),
            ("server registry:5000;", registry.to_owned()),
            ("listen 5000;", format!("listen 127.0.0.1:{port};")),
            ("http {\n", own),
        ] {
            assert!(conf.contains(from), "nginx.conf has no `{from}`");
            conf = conf.replace(from, &to);
        }
        let conf = folder.write("nginx/nginx.conf", &conf);
        // In one process, so that the end of it is the end of all; as its own user, who can read the folder.
        let globals =
            format!("daemon off; master_process off; pid {};", folder.path().join("nginx.pid").display());
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-g", &globals, "-c"]).arg(conf).arg("-p").arg(folder.path().join(""));
        let mut nginx = Process::start(folder, "nginx", &mut command, &[]);
        match nginx.wait_for(|_| TcpStream::connect(("127.0.0.1", port)).ok()) {
            Ok(_) => return (nginx, port),
            // Another program was faster to take the port.
            Err(error) => assert!(error.contains("Address already in use"), "{error}"),
        }
    }
    panic!("no free port for nginx");
}

fn temp_path(folder: &Folder, kind: &str) -> String {
    format!("    {kind}_temp_path {};\n", folder.path().join(format!("nginx-{kind}")).display())
}

/// A registry on a Unix socket, where nginx expects it, with these variables on top.
pub(crate) fn start_registry(folder: &Folder, program: &str, variables: &[(String, String)]) -> Process {
    start_registry_as(folder, "registry", program, "auth: {token: {}}\n", variables)
}

/// A registry with this name, socket (`NAME.sock`) and section `auth`, over the images of all others.
pub(crate) fn start_registry_as(
    folder: &Folder,
    name: &'static str,
    program: &str,
    auth: &str,
    variables: &[(String, String)],
) -> Process {
    let socket = folder.path().join(format!("{name}.sock"));
    let config = folder.write(
        &format!("{name}.yaml"),
        &format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{net: unix, addr: {}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n{auth}",
            socket.display(),
            folder.path().join("images").display()
        ),
    );
    let mut command = Command::new(program);
    command.arg("serve").arg(config);
    // Version 3 sends traces to a collector that is not there, unless told not to.
    command.env("OTEL_TRACES_EXPORTER", "none");
    let mut registry = Process::start(folder, name, &mut command, variables);
    registry.wait_for(|_| UnixStream::connect(&socket).ok()).unwrap_or_else(|error| panic!("{error}"));
    registry
}
