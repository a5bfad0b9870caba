//! Owns the proof of README's quick start: what `keypebble init` makes is all that a registry needs, and its
//! keys rotate while images are pulled.
//!
//! nginx checks the passwords, as a build without `passwords` needs. Ports are this machine's; nothing else
//! of what `init` wrote is edited.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{ALICE, Answer, BOB, Login, NOBODY};
#[cfg(feature = "passwords")]
use crate::common::finish;
use crate::common::{
    Folder, basic, connect, copy_folder, exchange, free_port, header, keypebble, listening_address, stderr,
    stdout,
};
use crate::image;
use crate::judges::{Judge, Running, Trust};
use crate::process::Process;
use crate::stage::{start_nginx_before, start_registry_as};
use crate::tools::{auth_section, example, htpasswd};

/// Who pushes and pulls.
#[derive(Clone)]
struct Client {
    folder: PathBuf,
    port: u16,
}

impl Client {
    fn skopeo(&self, verb: &[&str], login: Login, side: &str) -> Command {
        let mut command = Command::new("skopeo");
        for variable in ["HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, self.folder.join("home"));
        }
        command.arg("--policy").arg(self.folder.join("skopeo-policy.json")).args(verb);
        command.arg(format!("--{side}tls-verify=false"));
        command.arg(match login {
            NOBODY => format!("--{side}no-creds"),
            (user, password) => format!("--{side}creds={user}:{password}"),
        });
        command
    }

    fn push(&self, login: Login, image: &str) -> Answer {
        let mut command = self.skopeo(&["copy", "--preserve-digests"], login, "dest-");
        command.arg(format!("oci:{}", self.folder.join("image").display()));
        Answer::of(command.arg(format!("docker://localhost:{}/{image}", self.port)))
    }

    fn pull(&self, login: Login, image: &str) -> Answer {
        let target = self.folder.join(format!("pulled-{}", login.0));
        let _ = fs::remove_dir_all(&target);
        let mut command = self.skopeo(&["copy", "--preserve-digests"], login, "src-");
        command.arg(format!("docker://localhost:{}/{image}", self.port));
        Answer::of(command.arg(format!("oci:{}", target.display())))
    }
}

/// A folder made by `init`, nginx, and two Keypebbles over one key folder.
struct Scene {
    keypebbles: Vec<Process>,
    _nginx: Process,
    client: Client,
    ports: [u16; 2],
    image: PathBuf,
    folder: Folder,
}

const NAMES: [&str; 2] = ["keypebble-a", "keypebble-b"];

impl Scene {
    /// With registries behind nginx on the sockets of these names.
    fn up(registries: &[&str]) -> Scene {
        let folder = Folder::new();
        copy_folder(&example("docker-compose/nginx"), &folder.path().join("nginx"));
        folder.write("nginx/htpasswd", &htpasswd(&[ALICE, BOB]));
        let ports = [free_port(), free_port()];
        // One that restarts is passed over for the request at hand, and asked again for the next one.
        let keypebbles = ports.map(|port| format!("server 127.0.0.1:{port} max_fails=0; ")).concat();
        let sockets: Vec<String> = registries
            .iter()
            .map(|name| format!("server unix:{}/{name}.sock max_fails=0; ", folder.path().display()))
            .collect();
        let (nginx, port) = start_nginx_before(&folder, &keypebbles, &sockets.concat());

        folder.write("skopeo-policy.json", "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}");
        folder.write("home/.keep", "");
        let image = image::write(&folder);
        let client = Client { folder: folder.path().to_owned(), port };
        let mut scene = Scene { keypebbles: Vec::new(), _nginx: nginx, client, ports, image, folder };
        let url = format!("http://localhost:{port}");
        let made = scene.run(&["init", "auth", "--registry", "registry.example.com", "--url", &url]);
        assert!(made.status.success(), "{}", stderr(&made));
        let config = scene.config_behind_a_proxy(port);
        for (name, port) in NAMES.into_iter().zip(ports) {
            // Beside the first one, as paths are relative to the file.
            scene
                .folder
                .write(&format!("auth/{name}.yaml"), &config.replace("port: 8080", &format!("port: {port}")));
        }
        for at in 0..NAMES.len() {
            let process = scene.start_keypebble(at);
            scene.keypebbles.push(process);
        }
        scene
    }

    /// nginx checks the passwords here: where this build could, the configuration is changed as it says.
    fn config_behind_a_proxy(&self, port: u16) -> String {
        let config = fs::read_to_string(self.path("auth/config.yaml")).unwrap();
        let config = config.replace("\nusers_file: users.htpasswd\n", "\n");
        let config = config.replace("trusted_proxies: []", "trusted_proxies: [\"127.0.0.1\"]");
        let config = config.replace(&format!("port: {port}\n"), "port: 8080\n");
        assert!(config.contains("port: 8080\n") && config.contains("[\"127.0.0.1\"]"), "{config}");
        config
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        keypebble().args(arguments).current_dir(self.folder.path()).output().unwrap()
    }

    fn start_keypebble(&self, at: usize) -> Process {
        let mut command = keypebble();
        command.arg("serve").arg("--config").arg(self.path(&format!("auth/{}.yaml", NAMES[at])));
        command.arg("--policy").arg(self.path("auth/policy.yaml"));
        let mut process = Process::start(&self.folder, NAMES[at], &mut command, &[]);
        process.wait_for(listening_address).unwrap_or_else(|error| panic!("{error}"));
        assert!(TcpStream::connect(("127.0.0.1", self.ports[at])).is_ok());
        process
    }

    /// One after the other, so that one always answers.
    fn restart_keypebbles(&mut self) {
        for at in 0..NAMES.len() {
            let old = self.keypebbles.remove(0);
            drop(old);
            let new = self.start_keypebble(at);
            self.keypebbles.push(new);
        }
    }

    /// A registry on a socket, with the section `auth` of the configuration that `init` wrote.
    fn registry(&self, name: &'static str, program: &str, config: &str) -> Process {
        let config = fs::read_to_string(self.path("auth/registry").join(config)).unwrap();
        start_registry_as(&self.folder, name, program, auth_section(&config), &[])
    }

    /// The bundle and the JWKS of all keys, in place of those that the registries were given.
    fn export(&self, rotated: &str) {
        for (format, file, word) in [("cert", "bundle.pem", "BUNDLE"), ("jwks", "jwks.json", "JWKS")] {
            let told = rotated
                .split("keypebble ")
                .find(|line| line.contains(&format!("--format {format} --out {word}")));
            let told = told.unwrap_or_else(|| panic!("{rotated}")).lines().next().unwrap();
            let path = self.path("auth/registry").join(file);
            let command = told.replace(word, path.to_str().unwrap());
            let done = self.run(&command.split_whitespace().collect::<Vec<_>>());
            assert!(done.status.success(), "{command}: {}", stderr(&done));
        }
    }

    /// The key id of a token that alice gets now.
    fn kid(&self) -> String {
        header(&self.token(""))["kid"].as_str().unwrap().to_owned()
    }

    /// A token of alice's.
    fn token(&self, scope: &str) -> String {
        let path = format!("/v2/token?service=registry.example.com{scope}");
        let headers = [("Authorization", &*basic(ALICE.0, ALICE.1))];
        let answer = exchange(connect(self.client.port), "GET", &path, &headers, None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        body["token"].as_str().unwrap().to_owned()
    }

    /// What every user may and may not do by the policy that `init` wrote.
    fn assert_guarded(&self) {
        self.client.push(ALICE, "alice/app:1").accepted();
        self.client.pull(ALICE, "alice/app:1").accepted();
        image::assert_same(&self.image, &self.path("pulled-alice"));
        self.client.pull(BOB, "alice/app:1").accepted();
        self.client.push(BOB, "alice/app:2").refused();
        self.client.push(ALICE, "bob/app:1").refused();
        self.client.pull(NOBODY, "alice/app:1").refused();
    }
}

/// The line of what `init` printed that begins so.
#[cfg(feature = "passwords")]
fn printed(said: &str, begins: &str) -> String {
    let line = said.lines().map(str::trim).find(|line| line.starts_with(begins));
    line.unwrap_or_else(|| panic!("no `{begins}` in:\n{said}")).to_owned()
}

/// From nothing to a push with the commands that `init` prints, as they stand, in less than ten seconds.
#[cfg(feature = "passwords")]
fn what_init_prints_works(program: &str) {
    let started = Instant::now();
    let folder = Folder::new();
    folder.write(
        "home/.config/containers/policy.json",
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
    );
    let image = image::write(&folder);
    let (own, registry) = (free_port(), free_port());
    let (name, url) = (format!("localhost:{registry}"), format!("http://localhost:{own}"));
    let mut init = keypebble();
    init.args(["init", "auth", "--registry", &name, "--url", &url, "--user", ALICE.0]);
    let began = Instant::now();
    let made = finish(init.current_dir(folder.path()), ALICE.1);
    assert!(made.status.success(), "{}", stderr(&made));
    let said = stdout(&made);
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        for variable in ["HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, folder.path().join("home"));
        }
        command.args(["-c", line]).current_dir("/");
        command
    };
    let start = |name: &'static str, begins: &str| {
        // In the shell's own process, so that the end of it is the end of all.
        let line = printed(&said, begins);
        let line = line.strip_prefix("OTEL_TRACES_EXPORTER=none ").unwrap_or(&line);
        let mut command = shell(&format!("exec {line}"));
        Process::start(&folder, name, command.env("OTEL_TRACES_EXPORTER", "none"), &[])
    };
    let serve = said.lines().map(str::trim).find(|line| line.contains(" serve --config ")).unwrap();
    let mut server = start("keypebble", serve);
    server.wait_for(listening_address).unwrap_or_else(|error| panic!("{error}"));
    let mut docker = start("registry", program);
    docker
        .wait_for(|_| TcpStream::connect(("127.0.0.1", registry)).ok())
        .unwrap_or_else(|error| panic!("{error}"));
    let login = format!("{} --password-stdin", printed(&said, "skopeo login"));
    let login = finish(&mut shell(&login), ALICE.1);
    assert!(login.status.success(), "{}", stderr(&login));
    let public = "docker://docker.io/library/alpine:3";
    let push = printed(&said, "skopeo copy").replace(public, &format!("oci:{}", image.display()));
    Answer::of(&mut shell(&push)).accepted();
    let (from_init, in_all) = (began.elapsed(), started.elapsed());
    println!("{program}: from `init` to the first push: {from_init:?}, of {in_all:?}");
    assert!(from_init < Duration::from_secs(10), "{from_init:?}");

    folder.write("skopeo-policy.json", "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}");
    let client = Client { folder: folder.path().to_owned(), port: registry };
    client.pull(ALICE, "alice/app:1").accepted();
    image::assert_same(&image, &folder.path().join("pulled-alice"));
    client.push(ALICE, "bob/app:1").refused();
    client.pull(("alice", "wrong"), "alice/app:1").refused();
    client.pull(NOBODY, "alice/app:1").refused();
    let doctor = said.lines().map(str::trim).find(|line| line.contains(" doctor --config ")).unwrap();
    let found = finish(&mut shell(doctor), "");
    assert!(
        found.status.success() && stdout(&found).contains("0 error(s), 1 warning(s)"),
        "{}",
        stdout(&found)
    );
}

#[cfg(feature = "passwords")]
#[test]
#[ignore = "needs docker-registry and skopeo: see .ci/run"]
fn what_init_prints_works_with_distribution_2_8() {
    what_init_prints_works("docker-registry serve ");
}

#[cfg(feature = "passwords")]
#[test]
#[ignore = "needs distribution 3 and skopeo: see .ci/run"]
fn what_init_prints_works_with_distribution_3() {
    what_init_prints_works("OTEL_TRACES_EXPORTER=none registry serve ");
}

/// zot itself cannot be had here; its own code is asked with the key that zot's configuration names.
#[test]
#[ignore = "needs zot-verdict: see .ci/run"]
fn what_init_makes_is_taken_by_zot() {
    let folder = Folder::new();
    let run = |line: &str| {
        let done = keypebble().args(line.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{line}: {}", stderr(&done));
        stdout(&done)
    };
    run("init auth --registry localhost:5000");
    let zot: serde_json::Value = serde_json::from_str(&folder.read("auth/registry/zot.json")).unwrap();
    let bearer = &zot["http"]["auth"]["bearer"];
    let trust = Trust { bundle: Some(bearer["cert"].as_str().unwrap().into()), jwks: None };
    let issue = "issue --config auth/config.yaml --claims {\"sub\":\"alice\",\"scope\":\"repository:alice/app:pull\"}";
    let mut zot = Running::start(Judge::Zot, &trust, &folder, "zot");
    assert_eq!(zot.asked(run(issue).trim()), (true, "taken".to_owned()));
    run("keys rotate --config auth/config.yaml");
    assert!(!zot.asked(run(issue).trim()).0, "it holds a single key");
    run("keys export --config auth/config.yaml --format pem --state active --out auth/registry/zot.pem");
    let mut zot = Running::start(Judge::Zot, &trust, &folder, "zot");
    assert!(zot.asked(run(issue).trim()).0, "once it has the new one");
}

#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn what_init_makes_guards_distribution_2_8() {
    let scene = Scene::up(&["registry-2"]);
    let _registry = scene.registry("registry-2", "docker-registry", "config-2.8.yml");
    scene.assert_guarded();
}

#[test]
#[ignore = "needs distribution 3, nginx and skopeo: see .ci/run"]
fn what_init_makes_guards_distribution_3() {
    let scene = Scene::up(&["registry-3"]);
    let _registry = scene.registry("registry-3", "registry", "config-3.yml");
    scene.assert_guarded();
}

/// One token, with one key id, opens both: 2.8 by its bundle, 3.x by its JWKS.
#[test]
#[ignore = "needs docker-registry, distribution 3, nginx and skopeo: see .ci/run"]
fn both_generations_at_once_take_one_key_id() {
    let scene = Scene::up(&["registry-2"]);
    let _two = scene.registry("registry-2", "docker-registry", "config-2.8.yml");
    let _three = scene.registry("registry-3", "registry", "config-3.yml");
    scene.client.push(ALICE, "alice/app:1").accepted();
    let token = scene.token("&scope=repository:alice/app:pull");
    let (head, rest) = token.split_once('.').unwrap();
    for name in ["registry-2", "registry-3"] {
        let ask = |token: &str| {
            let stream = UnixStream::connect(scene.path(&format!("{name}.sock"))).unwrap();
            let headers = [("Authorization", &*format!("Bearer {token}")), ("Accept", image::MANIFEST)];
            exchange(stream, "GET", "/v2/alice/app/manifests/1", &headers, None).status
        };
        assert_eq!(ask(&token), 200, "{name}");
        assert_eq!(ask(&format!("{head}.{}", rest.replacen('e', "f", 1))), 401, "{name} does check");
    }
}

/// Two rotations, everything restarted when the program says so, and not one pull fails.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn keys_rotate_twice_while_images_are_pulled() {
    let mut scene = Scene::up(&["registry-a", "registry-b"]);
    let names = ["registry-a", "registry-b"];
    let mut registries =
        Vec::from(names.map(|name| scene.registry(name, "docker-registry", "config-2.8.yml")));
    {
        // An upload goes on in the registry where it began.
        registries.truncate(1);
        scene.client.push(ALICE, "alice/app:1").accepted();
        registries.push(scene.registry(names[1], "docker-registry", "config-2.8.yml"));
    }
    let (stop, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let pulls = Mutex::new(0usize);
    let mut kids = vec![scene.kid()];
    let client = scene.client.clone();
    thread::scope(|scope| {
        for login in [ALICE, BOB] {
            let (client, stop, failures, pulls) = (&client, &stop, &failures, &pulls);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    failures.lock().unwrap().extend(client.pull(login, "alice/app:1").failure());
                    *pulls.lock().unwrap() += 1;
                }
            });
        }
        let some_pulls = || {
            let (from, start) = (*pulls.lock().unwrap(), Instant::now());
            while *pulls.lock().unwrap() < from + 4 && start.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(20));
            }
        };
        for _ in 0..2 {
            some_pulls();
            let rotated = scene.run(&["keys", "rotate", "--config", "auth/config.yaml"]);
            assert!(rotated.status.success(), "{}", stderr(&rotated));
            some_pulls();
            scene.restart_keypebbles();
            kids.push(scene.kid());
            some_pulls();
            assert!(stdout(&rotated).contains("then restart it"));
            scene.export(&stdout(&rotated));
            for name in names {
                drop(registries.remove(0));
                registries.push(scene.registry(name, "docker-registry", "config-2.8.yml"));
                some_pulls();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let failures = failures.into_inner().unwrap();
    let pulls = pulls.into_inner().unwrap();
    println!("{pulls} pulls, {} failed, keys {kids:?}", failures.len());
    assert!(failures.is_empty(), "{} of {pulls} pulls failed, the first: {}", failures.len(), failures[0]);
    assert!(pulls >= 20, "{pulls}");
    kids.dedup();
    assert_eq!(kids.len(), 3, "three keys have signed: {kids:?}");

    // The control: a key that the registries were never told of, promoted by force, is refused.
    let forced = scene.run(&["keys", "rotate", "--config", "auth/config.yaml"]);
    assert!(forced.status.success(), "the third key was exported: {}", stderr(&forced));
    let refused = scene.run(&["keys", "rotate", "--config", "auth/config.yaml"]);
    assert_eq!(refused.status.code(), Some(1), "the fourth was not");
    let forced = scene.run(&["keys", "rotate", "--config", "auth/config.yaml", "--force"]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    scene.restart_keypebbles();
    scene.client.pull(ALICE, "alice/app:1").refused();
}
