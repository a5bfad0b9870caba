//! Owns the clients that keep images themselves: podman's own storage, containerd, and docker's engine.
//!
//! Everything of theirs (storage, sockets, credentials) is in the test's folder, so that the machine's own
//! are neither seen nor touched. No container is run.

use std::path::PathBuf;
use std::process::Command;

use crate::client::{Answer, Login, NOBODY};
use crate::process::Process;
use crate::stage::Stage;

/// podman, as one user once logged in, with storage of its own.
pub(crate) struct Podman<'a> {
    stage: &'a Stage,
    authfile: PathBuf,
    login: Login,
}

impl<'a> Podman<'a> {
    pub(crate) fn new(stage: &'a Stage, login: Login) -> Self {
        let authfile = stage.write(&format!("podman-{}-{}.json", login.0, login.1), "{}");
        Podman { stage, authfile, login }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.stage.client("podman");
        // It insists on a file in that folder; what it needs is in the authfile.
        command.env_remove("DOCKER_CONFIG");
        let folder = |name: &str| self.stage.path(&format!("podman-{name}"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.arg("--root").arg(folder("root")).arg("--runroot").arg(folder("run"));
        command.arg("--tmpdir").arg(folder("tmp")).arg(verb);
        command
    }

    /// A command that speaks to the registry.
    fn remote(&self, verb: &str) -> Command {
        let mut command = self.command(verb);
        command.args(["--tls-verify=false", "--authfile"]).arg(&self.authfile);
        command
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.stage.host())
    }

    pub(crate) fn login(&self) -> Answer {
        let (user, password) = self.login;
        let mut command = self.remote("login");
        Answer::of(command.args(["--username", user, "--password", password]).arg(self.stage.host()))
    }

    /// Takes the test's image into podman's storage.
    pub(crate) fn load(&self) -> ImageId {
        let mut command = self.signed("pull");
        command.arg("--quiet").arg(format!("oci:{}", self.stage.image().display()));
        ImageId::of(&mut command)
    }

    pub(crate) fn push(&self, id: &ImageId, image: &str) -> Answer {
        let mut command = self.remote("push");
        Answer::of(command.arg(&id.0).arg(format!("docker://{}", self.name(image))))
    }

    pub(crate) fn pull(&self, image: &str) -> Answer {
        let mut command = self.remote("pull");
        Answer::of(command.args(["--quiet", "--signature-policy"]).arg(self.policy()).arg(self.name(image)))
    }

    /// The image of this name in podman's storage.
    pub(crate) fn id(&self, image: &str) -> ImageId {
        ImageId::of(self.command("image").args(["inspect", "--format", "{{.Id}}", &self.name(image)]))
    }

    pub(crate) fn forget(&self, id: &ImageId) {
        Answer::of(self.command("rmi").args(["--force", &id.0])).accepted();
    }

    fn policy(&self) -> PathBuf {
        self.stage.path("skopeo-policy.json")
    }

    fn signed(&self, verb: &str) -> Command {
        let mut command = self.command(verb);
        command.arg("--signature-policy").arg(self.policy());
        command
    }
}

/// The digest of an image's configuration, which names the content of its layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageId(String);

impl ImageId {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let done = command.output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        ImageId(text.trim().trim_start_matches("sha256:").to_owned())
    }
}

/// A containerd, which keeps images for `ctr` and for docker.
pub(crate) struct Containerd {
    _process: Process,
    socket: PathBuf,
}

impl Containerd {
    /// As root.
    pub(crate) fn up(stage: &Stage) -> Self {
        let folder = |name: &str| stage.path(&format!("containerd-{name}"));
        let socket = folder("sock");
        // Kubernetes' part needs a network set up, and a trace collector is not there.
        let config = stage.write(
            "containerd.toml",
            &format!(
                "version = 2\nroot = '{}'\nstate = '{}'\n\
                 disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt', \
                 'io.containerd.tracing.processor.v1.otlp', 'io.containerd.internal.v1.tracing']\n\
                 [grpc]\naddress = '{}'\n[ttrpc]\naddress = '{}'\n",
                folder("root").display(),
                folder("state").display(),
                socket.display(),
                folder("ttrpc").display(),
            ),
        );
        let mut command = mounting(stage, "containerd");
        command.arg("--config").arg(config);
        let process = daemon(stage, "containerd", &mut command, "containerd successfully booted");
        Containerd { _process: process, socket }
    }

    pub(crate) fn ctr<'a>(&'a self, stage: &'a Stage, login: Login) -> Ctr<'a> {
        Ctr { containerd: self, stage, login }
    }
}

/// A program with mounts of its own, which end with it however it ends.
fn mounting(stage: &Stage, program: &str) -> Command {
    let mut command = stage.client("unshare");
    command.args(["--mount", "--propagation", "private", program]);
    command
}

/// A daemon that says this when it is ready.
fn daemon(stage: &Stage, name: &'static str, command: &mut Command, ready: &str) -> Process {
    let mut process = Process::start(stage.folder(), name, command, &[]);
    let ready = process.wait_for(|log| log.contains(ready).then_some(()));
    ready.unwrap_or_else(|error| panic!("{error}"));
    process
}

/// containerd's own client, as one user.
pub(crate) struct Ctr<'a> {
    containerd: &'a Containerd,
    stage: &'a Stage,
    login: Login,
}

impl Ctr<'_> {
    fn images(&self, verb: &str) -> Command {
        let mut command = self.stage.client("ctr");
        command.arg("--address").arg(&self.containerd.socket).args(["images", verb]);
        command
    }

    fn remote(&self, verb: &str) -> Command {
        let mut command = self.images(verb);
        // All requests are printed, the passwords in them, too: they are the test's.
        command.args(["--plain-http", "--http-dump"]);
        if self.login != NOBODY {
            command.arg("--user").arg(format!("{}:{}", self.login.0, self.login.1));
        }
        command
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.stage.host())
    }

    pub(crate) fn pull(&self, image: &str) -> Answer {
        // A snapshotter that every file system can do.
        Answer::of(self.remote("pull").args(["--snapshotter", "native", &self.name(image)]))
    }

    /// What was pulled under one name, to another.
    pub(crate) fn push(&self, from: &str, to: &str) -> Answer {
        Answer::of(self.remote("push").args([self.name(to), self.name(from)]))
    }
}

/// docker's engine and one user's docker command.
pub(crate) struct Docker<'a> {
    stage: &'a Stage,
    // Dropped in this order: the engine before what it stands on.
    _engine: Process,
    _containerd: Containerd,
    socket: PathBuf,
}

impl<'a> Docker<'a> {
    pub(crate) fn up(stage: &'a Stage) -> Self {
        // One that the engine started itself would outlive it.
        let containerd = Containerd::up(stage);
        let folder = |name: &str| stage.path(&format!("docker-{name}"));
        let socket = folder("sock");
        let mut command = mounting(stage, "dockerd");
        command.arg("--config-file").arg(stage.write("dockerd.json", "{}"));
        command.arg("--data-root").arg(folder("root")).arg("--exec-root").arg(folder("exec"));
        command.arg("--pidfile").arg(folder("pid")).arg("--containerd").arg(&containerd.socket);
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        // Nothing of the machine's network is changed: no bridge, no rules.
        command.args([
            "--storage-driver",
            "vfs",
            "--bridge",
            "none",
            "--iptables=false",
            "--ip6tables=false",
        ]);
        let engine = daemon(stage, "dockerd", &mut command, "API listen on");
        Docker { stage, _engine: engine, _containerd: containerd, socket }
    }

    fn command(&self, verb: &str) -> Command {
        // The package's own: from 23 on docker has no buildkit without a plugin.
        let mut command = self.stage.client("/usr/bin/docker");
        command.env_remove("DOCKER_CONTEXT").env_remove("DOCKER_HOST");
        command.arg("--config").arg(self.config_folder());
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).arg(verb);
        command
    }

    fn config_folder(&self) -> PathBuf {
        self.stage.path("docker-config")
    }

    /// What docker keeps of its logins.
    pub(crate) fn kept(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.config_folder().join("config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.stage.host())
    }

    pub(crate) fn login(&self, (user, password): Login) -> Answer {
        let mut command = self.command("login");
        Answer::of(command.args(["--username", user, "--password", password]).arg(self.stage.host()))
    }

    pub(crate) fn logout(&self) {
        Answer::of(self.command("logout").arg(self.stage.host())).accepted();
    }

    pub(crate) fn pull(&self, image: &str) -> Answer {
        Answer::of(self.command("pull").arg(self.name(image)))
    }

    pub(crate) fn tag(&self, from: &str, to: &str) {
        Answer::of(self.command("tag").args([self.name(from), self.name(to)])).accepted();
    }

    pub(crate) fn push(&self, image: &str) -> Answer {
        Answer::of(self.command("push").arg(self.name(image)))
    }

    /// buildkit, which the engine holds, builds on an image and asks for its own tokens.
    pub(crate) fn build_on(&self, image: &str) -> Answer {
        let file =
            self.stage.write("build/Dockerfile", &format!("FROM {}\nLABEL built=1\n", self.name(image)));
        let mut command = self.command("build");
        command.env("DOCKER_BUILDKIT", "1").args(["--progress", "plain", "--no-cache", "--pull"]);
        Answer::of(command.arg(file.parent().unwrap()))
    }

    pub(crate) fn forget(&self, images: &[&str]) {
        Answer::of(self.command("rmi").arg("--force").args(images.iter().map(|image| self.name(image))))
            .accepted();
    }

    /// The image of this name in the engine.
    pub(crate) fn id(&self, image: &str) -> ImageId {
        ImageId::of(self.command("inspect").args(["--format", "{{.Id}}", &self.name(image)]))
    }
}
