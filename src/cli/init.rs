//! `keypebble init`: from nothing to a folder that is ready to start.
//!
//! Owns which files there are and that they appear all at once. Must not know what they say (`files`, `registry`
//! and `services` do) nor what stands where (`plan`). Decision: everything is made in a hidden folder beside the
//! wanted one, which is renamed when it is whole: an interrupted run leaves nothing under the wanted name.

#[cfg(feature = "tls")]
mod certificates;
mod files;
mod plan;
mod registry;
mod services;
mod steps;

use super::args::{Arguments, Spec, target, usage};
use super::keys::{export, quoted};
use super::password_input::{ask, checked_name};
use super::{print, progress};
use crate::cli::error::{Error, Exit};
use crate::diagnosis::verdict::Program;
use crate::ground::disk::{self, Disk, PRIVATE, PUBLIC, System};
use crate::ground::file::{Files, folder_of};
use crate::ground::text::acts;
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::RingKey;
use crate::keystore::{Editor, Keystore};
use crate::login::password::{DEFAULT_COST, Hash};
use crate::tls::{ENABLED, NOT_ENABLED};
use plan::{Address, Asked, Plan};
use std::env;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "init", operands: 1, help: include_str!("help/init.txt"), run };

/// The name of a registry on this machine.
const LOCAL_REGISTRY: &str = "localhost:5000";

/// Who pushes where nobody is named.
const USER: &str = "alice";

/// What is to be made.
struct Init {
    folder: PathBuf,
    registry: Address,
    url: Option<String>,
    algorithm: Algorithm,
    /// Gets a password at once.
    user: Option<String>,
    self_signed: bool,
}

fn read(mut arguments: Arguments) -> Result<Init, Error> {
    let folder = match arguments.operand()? {
        Some(folder) if !folder.is_empty() => target("DIR", folder.into())?,
        _ => return Err(arguments.missing("a folder: keypebble init DIR")),
    };
    let registry = plan::registry(arguments.name("registry")?.as_deref().unwrap_or(LOCAL_REGISTRY))?;
    let url = arguments.name("url")?.map(|url| plan::url(&url)).transpose()?;
    let self_signed = arguments.switch("self-signed");
    if self_signed && !ENABLED {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    if self_signed && url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
        let error = usage("--self-signed is for an https:// address, and --url names another");
        return Err(error.with_hint("leave one of them out"));
    }
    let algorithm = arguments.algorithm()?.unwrap_or(Algorithm::ES256);
    if !Program::Registry3.takes(algorithm) {
        let error = usage(format!("--algorithm: no Docker registry accepts {algorithm}"));
        return Err(
            error.with_hint("ES256 and RS256 are accepted by all; for other uses: keypebble keys generate")
        );
    }
    let user = arguments.name("user")?.map(|user| checked_name(user, "--user")).transpose()?;
    Ok(Init { folder, registry, url, algorithm, user, self_signed })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let folder = std::path::absolute(&command.folder)
        .map_err(|source| Error::file("find", &command.folder, source))?;
    if command.folder.file_name().and(folder.file_name()).is_none() {
        let error = usage(format!("{} does not name a new folder", command.folder.display()));
        return Err(error.with_hint("give the folder a name: keypebble init registry-auth"));
    }
    // The files name it, each in a syntax of its own: a line end in a unit would be a directive of its own.
    if folder.to_str().is_none_or(|path| path.chars().any(acts)) {
        let error = usage("the folder's path has a control character, or is not UTF-8");
        return Err(error.with_hint("name another folder: the files that are made hold its path"));
    }
    refuse_taken(&folder)?;
    let aside = disk::aside(&folder).map_err(|source| Error::file("name", &folder, source))?;
    let hash = command.user.as_deref().map(|user| ask(Some(user), DEFAULT_COST)).transpose()?;
    let plan = make(&aside, &folder, hash.as_ref(), |made| {
        let program = env::current_exe().unwrap_or_else(|_| "keypebble".into());
        Plan::new(Asked {
            folder: folder.clone(),
            registry: command.registry.clone(),
            url: command.url.clone(),
            algorithm: command.algorithm,
            self_signed: command.self_signed,
            user: command.user.clone().unwrap_or_else(|| USER.to_owned()),
            has_password: hash.is_some(),
            command: called(&program),
            program,
            owner: (made.uid(), made.gid()),
        })
    })?;
    #[cfg(feature = "tls")]
    let trust = if plan.asked.self_signed { certificates::trust(&plan) } else { String::new() };
    #[cfg(not(feature = "tls"))]
    let trust = String::new();
    print(&steps::next(&plan, &trust))
}

/// How a shell finds this program: by its name, where that leads to it.
fn called(program: &Path) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let first = env::split_paths(&path).map(|folder| folder.join("keypebble")).find(|path| path.is_file());
    match first.and_then(|first| first.canonicalize().ok()) {
        Some(found) if program.canonicalize().is_ok_and(|program| program == found) => "keypebble".to_owned(),
        _ => quoted(program),
    }
}

/// Makes everything in a folder beside, which gets the wanted name when it is whole. Only what was made here
/// is taken away where that fails.
fn make(
    aside: &Path,
    folder: &Path,
    hash: Option<&Hash>,
    plan: impl FnOnce(&Metadata) -> Plan,
) -> Result<Plan, Error> {
    System.create_folder(aside, 0o755).map_err(|source| Error::file("create", folder, source))?;
    let whole = || {
        let plan = plan(&aside.metadata().map_err(|source| Error::file("read", aside, source))?);
        fill(aside, &plan, hash)?;
        fs::rename(aside, folder).map_err(|source| Error::file("create", folder, source))?;
        let above = folder_of(folder);
        System.sync_folder(above).map_err(|source| Error::file("sync", above, source))?;
        Ok(plan)
    };
    let made = whole();
    if made.is_err() {
        let _ = fs::remove_dir_all(aside);
    }
    made
}

/// Before anybody is asked for a password.
fn refuse_taken(folder: &Path) -> Result<(), Error> {
    let above = folder_of(folder);
    let mut listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("read", folder, error));
        }
        Err(_) if above.is_dir() => return Ok(()),
        Err(_) => {
            let what = format!("cannot create {}: there is no folder {}", folder.display(), above.display());
            return Err(Error::said(Exit::Failed, what).with_hint("make that one first"));
        }
    };
    match listed.next() {
        None => Ok(()),
        Some(_) => Err(Error::said(Exit::Failed, format!("{} is not empty", folder.display()))
            .with_hint("name a folder that does not exist: nothing is ever overwritten")),
    }
}

fn fill(folder: &Path, plan: &Plan, hash: Option<&Hash>) -> Result<(), Error> {
    let now = UnixTime::now();
    let registry = folder.join("registry");
    // Where the registries keep images: made here, so that it is not root's whoever mounts it.
    for path in [&registry, &folder.join("images")] {
        System.create_folder(path, 0o755).map_err(|source| Error::file("create", path, source))?;
    }
    let keys = folder.join("keys");
    let mut editor = Editor::create(&keys, &System).map_err(Error::Keys)?;
    for _ in 0..2 {
        let make = || editor.generate(plan.asked.algorithm, now).map_err(Error::Keys);
        progress::during(&format!("making two keys for {}", plan.asked.algorithm), make)?;
    }
    let store = Keystore::load(&keys, &mut Files::default()).map_err(Error::Keys)?;
    let write = |name: &str, mode: u32, text: &str| {
        let path = folder.join(name);
        disk::write_new(&System, &path, mode, text.as_bytes())
            .map_err(|source| Error::file("write", &path, source))
    };
    let keyring = store.keyring();
    write("registry/jwks.json", PUBLIC, &keyring.jwks_text())?;
    let active = keyring.active().public().map(PublicKey::to_pem);
    write("registry/zot.pem", PUBLIC, &active.unwrap_or_default())?;
    if Program::Registry28.takes(plan.asked.algorithm) {
        let all: Vec<&RingKey> = keyring.verifiers().iter().collect();
        let bundle = export::certificates(keyring, &all, store.manifest(), export::DAYS, now)?;
        write("registry/bundle.pem", PUBLIC, &bundle)?;
        write("registry/config-2.8.yml", PUBLIC, &registry::distribution_2(plan))?;
    }
    write("registry/config-3.yml", PUBLIC, &registry::distribution_3(plan))?;
    write("registry/zot.json", PUBLIC, &registry::zot(plan))?;
    write("config.yaml", PUBLIC, &files::config(plan))?;
    write("policy.yaml", PUBLIC, &files::policy(plan))?;
    let first = hash.map(|hash| format!("{}:{hash}\n", plan.asked.user)).unwrap_or_default();
    write("users.htpasswd", PRIVATE, &(files::USERS.to_owned() + &first))?;
    #[cfg(feature = "tls")]
    if plan.asked.self_signed {
        certificates::write(folder, plan, now)?;
    }
    write("compose.yaml", PUBLIC, &services::compose(plan))?;
    write("keypebble.service", PUBLIC, &services::unit(plan))?;
    if !plan.sites.is_empty() {
        write("Caddyfile", PUBLIC, &services::caddy(plan))?;
        write("nginx.conf", PUBLIC, &services::nginx(plan))?;
    }
    let ids: Vec<String> = store.manifest().entries().iter().map(|entry| entry.id.clone()).collect();
    editor.mark_exported(&ids, now).map_err(Error::Keys)?;
    for path in [&registry, folder] {
        System.sync_folder(path).map_err(|source| Error::file("sync", path, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_not_made_here_is_left_alone() {
        let folder = crate::scratch::Folder::new();
        let (aside, wanted) = (folder.join("aside"), folder.join("wanted"));
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("photo"), "of somebody").unwrap();
        let made = make(&aside, &wanted, None, |_| panic!("it begins"));
        let error = made.err().unwrap();
        assert!(error.to_string().contains("cannot create"), "{error}");
        assert_eq!(fs::read_to_string(aside.join("photo")).unwrap(), "of somebody");
        assert!(!wanted.exists());
    }
}
