//! Owns the clients: skopeo and crane as one user, and what counts as accepted and refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::encode::base64;
use crate::stage::Stage;

/// A user and a password, as the password file has them.
pub(crate) type Login = (&'static str, &'static str);

/// May do everything in `alice-space`.
pub(crate) const ALICE: Login = ("alice", "alices-password");
/// May pull and push in `bob-space`, not delete.
pub(crate) const BOB: Login = ("bob", "bobs-password");
/// May pull from `alice-space`.
pub(crate) const CAROL: Login = ("carol", "carols-password");
/// Sends no credentials.
pub(crate) const NOBODY: Login = ("", "");

/// How a client's command ended.
#[must_use]
pub(crate) struct Answer {
    command: String,
    success: bool,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let text = [done.stdout, done.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Answer { command: shown, success: done.status.success(), text }
    }

    /// What went wrong, where something did.
    pub(crate) fn failure(self) -> Option<String> {
        (!self.success).then(|| format!("{}:\n{}", self.command, self.text))
    }

    #[track_caller]
    pub(crate) fn accepted(self) {
        assert!(self.success, "{} failed:\n{}", self.command, self.text);
    }

    /// Failed, for whatever reason: for what the client itself finds wrong, or what is no longer there.
    #[track_caller]
    pub(crate) fn failed(self) {
        assert!(!self.success, "{} succeeded:\n{}", self.command, self.text);
    }

    /// Failed, and because access was denied: a server that is down refuses nothing.
    #[track_caller]
    pub(crate) fn refused(self) {
        let text = self.text.to_lowercase();
        let denied = ["unauthorized", "denied", "authentication required", "invalid username/password"];
        assert!(
            !self.success && denied.iter().any(|word| text.contains(word)),
            "{} was not refused (succeeded: {}):\n{}",
            self.command,
            self.success,
            self.text
        );
    }
}

/// skopeo, as one user.
pub(crate) struct Skopeo<'a> {
    stage: &'a Stage,
    login: Login,
}

impl<'a> Skopeo<'a> {
    pub(crate) fn new(stage: &'a Stage, login: Login) -> Self {
        Skopeo { stage, login }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.stage.client("skopeo");
        command.arg("--policy").arg(self.stage.path("skopeo-policy.json")).arg(verb);
        command
    }

    /// The flags that say who the user is; `side` is `src-`, `dest-` or nothing.
    fn credentials(&self, side: &str) -> String {
        match self.login {
            NOBODY => format!("--{side}no-creds"),
            (user, password) => format!("--{side}creds={user}:{password}"),
        }
    }

    fn remote(&self, image: &str) -> String {
        format!("docker://{}/{image}", self.stage.host())
    }

    pub(crate) fn login(&self) -> Answer {
        let (user, password) = self.login;
        let mut command = self.command("login");
        command.args(["--tls-verify=false", "--username", user, "--password", password]);
        command.arg("--authfile").arg(self.stage.path("login.json")).arg(self.stage.host());
        Answer::of(&mut command)
    }

    pub(crate) fn push(&self, image: &str) -> Answer {
        let mut command = self.command("copy");
        command.args(["--preserve-digests", "--dest-tls-verify=false", &self.credentials("dest-")]);
        command.arg(format!("oci:{}", self.stage.image().display())).arg(self.remote(image));
        Answer::of(&mut command)
    }

    /// Into `pulled`, emptied before.
    pub(crate) fn pull(&self, image: &str) -> Answer {
        let _ = std::fs::remove_dir_all(self.pulled());
        let mut command = self.command("copy");
        command.args(["--preserve-digests", "--src-tls-verify=false", &self.credentials("src-")]);
        command.arg(self.remote(image)).arg(format!("oci:{}", self.pulled().display()));
        Answer::of(&mut command)
    }

    pub(crate) fn pulled(&self) -> PathBuf {
        self.stage.path(&format!("pulled-{}", self.login.0))
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> Answer {
        let mut command = self.command("copy");
        command.args(["--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        command.args([self.credentials("src-"), self.credentials("dest-")]);
        command.args([self.remote(from), self.remote(to)]);
        Answer::of(&mut command)
    }

    pub(crate) fn delete(&self, image: &str) -> Answer {
        let mut command = self.command("delete");
        command.args(["--tls-verify=false", &self.credentials(""), &self.remote(image)]);
        Answer::of(&mut command)
    }
}

/// crane, as one user.
pub(crate) struct Crane<'a> {
    stage: &'a Stage,
    config: PathBuf,
    login: Login,
}

impl<'a> Crane<'a> {
    pub(crate) fn new(stage: &'a Stage, login: Login) -> Self {
        let (user, password) = login;
        let folder = format!("crane-{user}-{password}");
        let auth = base64(format!("{user}:{password}").as_bytes());
        let auths = match login {
            NOBODY => serde_json::json!({}),
            _ => serde_json::json!({ "auths": { stage.host(): { "auth": auth } } }),
        };
        let config = stage.write(&format!("{folder}/config.json"), &auths.to_string());
        Crane { stage, config: config.parent().unwrap().to_owned(), login }
    }

    fn run(&self, args: &[&str]) -> Answer {
        let mut command = self.stage.client("crane");
        Answer::of(command.env("DOCKER_CONFIG", &self.config).args(args).arg("--insecure"))
    }

    fn remote(&self, image: &str) -> String {
        format!("{}/{image}", self.stage.host())
    }

    /// Beside the credentials that it has from the start, which is what its login would write.
    #[cfg(feature = "passwords")]
    pub(crate) fn login(&self) -> Answer {
        let (user, password) = self.login;
        self.run(&["auth", "login", &self.stage.host(), "--username", user, "--password", password])
    }

    #[cfg(feature = "passwords")]
    pub(crate) fn catalog(&self) -> Answer {
        self.run(&["catalog", &self.stage.host()])
    }

    pub(crate) fn push(&self, image: &str) -> Answer {
        self.run(&["push", path(self.stage.image()), &self.remote(image)])
    }

    pub(crate) fn pull(&self, image: &str) -> Answer {
        let _ = std::fs::remove_dir_all(self.pulled());
        self.run(&["pull", "--format=oci", &self.remote(image), path(&self.pulled())])
    }

    pub(crate) fn pulled(&self) -> PathBuf {
        self.stage.path(&format!("pulled-crane-{}", self.login.0))
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> Answer {
        self.run(&["copy", &self.remote(from), &self.remote(to)])
    }

    /// By digest: crane deletes what a name says, and 2.8 deletes no tags.
    pub(crate) fn delete(&self, image: &str) -> Answer {
        let repository = image.split(':').next().unwrap();
        let digest = crate::image::manifest_digest(self.stage.image());
        self.run(&["delete", &format!("{}@{digest}", self.remote(repository))])
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
