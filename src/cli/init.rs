//! `keypebble init`: from nothing to a folder that is ready to start.
//!
//! Owns which files there are and that they appear all at once. Must not know what they say (`files`
//! does). Decision: everything is made in a hidden folder beside the wanted one, which is renamed when it
//! is whole: an interrupted run leaves nothing under the wanted name.

#[cfg(feature = "tls")]
mod certificates;
mod files;

use super::args::{Arguments, Spec, usage};
use super::keys::{self, export};
use super::{Command, print, progress};
use crate::cli::error::Error;
use crate::ground::file::{Files, folder_of};
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::RingKey;
use crate::keystore::disk::{self, Disk, PRIVATE, PUBLIC, System};
use crate::keystore::{Editor, Keystore, StoreError};
use crate::tls::{ENABLED, NOT_ENABLED};
use files::Plan;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "init", operands: 1, help: include_str!("help/init.txt"), read };

/// The name of a registry on this machine.
const LOCAL_REGISTRY: &str = "localhost:5000";

/// What is to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Init {
    folder: PathBuf,
    registry: String,
    url: String,
    algorithm: Algorithm,
    self_signed: bool,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let folder = match arguments.operand()? {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => return Err(arguments.missing("a folder: keypebble init DIR")),
    };
    let registry = arguments.name("registry")?.unwrap_or_else(|| LOCAL_REGISTRY.to_owned());
    let name = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !registry.chars().all(name) || registry.len() > 255 {
        let error = usage(format!("--registry: `{}` is not the name of a registry", registry.escape_debug()));
        return Err(
            error.with_hint("as in image names: registry.example.com or localhost:5000, without https://")
        );
    }
    let self_signed = arguments.switch("self-signed");
    if self_signed && !ENABLED {
        return Err(Error::NotEnabled(NOT_ENABLED));
    }
    let url = match arguments.name("url")? {
        Some(url) if self_signed && !url.starts_with("https://") => {
            let error = usage("--self-signed is for an https:// address, and --url names another");
            return Err(error.with_hint("leave one of them out"));
        }
        Some(url) => checked(&url)?,
        None if self_signed => format!("https://{}:8443", host(&registry)),
        None if is_local(&registry) => files::local_url(&registry),
        None => format!("https://{registry}"),
    };
    let algorithm = keys::algorithm(&mut arguments)?.unwrap_or(Algorithm::ES256);
    if !files::on_registry_3(algorithm) {
        let error = usage(format!("--algorithm: no Docker registry accepts {algorithm}"));
        return Err(
            error.with_hint("ES256 and RS256 are accepted by all; for other uses: keypebble keys generate")
        );
    }
    Ok(Command::Init(Init { folder, registry, url, algorithm, self_signed }))
}

/// A registry's name without its port.
fn host(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

fn is_local(registry: &str) -> bool {
    let host = registry.split(':').next().unwrap_or(registry);
    host == "localhost" || host.starts_with("127.") || registry.starts_with("[::1]")
}

fn checked(url: &str) -> Result<String, Error> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !"?#\"'<>\\^`{|}@".contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(usage(format!("--url: `{}` is not the address of a server", url.escape_debug()))
            .with_hint("such as https://auth.example.com, without a user, a ? or a #")),
    }
}

pub(super) fn run(command: &Init) -> Result<(), Error> {
    let folder =
        std::path::absolute(&command.folder).map_err(|source| failed("find", &command.folder, source))?;
    let Some(name) = command.folder.file_name().and(folder.file_name()) else {
        let error = usage(format!("{} does not name a new folder", command.folder.display()));
        return Err(error.with_hint("give the folder a name: keypebble init registry-auth"));
    };
    refuse_full(&folder)?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    let random = disk::random_name();
    aside.push(format!(".init-{}", random.map_err(|source| failed("name", &folder, source))?));
    let aside = folder.with_file_name(aside);
    let plan = Plan {
        folder: folder.clone(),
        registry: command.registry.clone(),
        url: command.url.clone(),
        algorithm: command.algorithm,
        self_signed: command.self_signed,
    };
    make(&aside, &plan)?;
    let steps = files::next_steps(&plan);
    #[cfg(feature = "tls")]
    let steps = if plan.self_signed { steps + &certificates::trust(&plan) } else { steps };
    print(&steps)
}

/// Makes everything in a folder beside, which gets the wanted name when it is whole. Only what was made here
/// is taken away where that fails.
fn make(aside: &Path, plan: &Plan) -> Result<(), Error> {
    System.create_folder(aside, 0o755).map_err(|source| failed("create", aside, source))?;
    let (folder, above) = (&plan.folder, folder_of(&plan.folder));
    let made = fill(aside, plan).and_then(|()| {
        fs::rename(aside, folder).map_err(|source| failed("create", folder, source))?;
        System.sync_folder(above).map_err(|source| failed("sync", above, source))
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(aside);
    }
    made
}

fn refuse_full(folder: &Path) -> Result<(), Error> {
    let mut listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("read", folder, source)),
    };
    match listed.next() {
        None => Ok(()),
        Some(_) => Err(Error::Keys(StoreError::Refused {
            message: format!("{} is not empty", folder.display()),
            hint: Some("name a folder that does not exist: nothing is ever overwritten".to_owned()),
        })),
    }
}

fn fill(folder: &Path, plan: &Plan) -> Result<(), Error> {
    let now = UnixTime::now();
    let registry = folder.join("registry");
    System.create_folder(&registry, 0o755).map_err(|source| failed("create", &registry, source))?;
    let keys = folder.join("keys");
    let mut editor = Editor::create(&keys, &System).map_err(Error::Keys)?;
    for _ in 0..2 {
        let make = || editor.generate(plan.algorithm, now).map_err(Error::Keys);
        progress::during(&format!("making two keys for {}", plan.algorithm), make)?;
    }
    let store = Keystore::load(&keys, &mut Files::default()).map_err(Error::Keys)?;
    let write = |name: &str, mode: u32, text: &str| {
        let path = folder.join(name);
        disk::write_new(&System, &path, mode, text.as_bytes())
            .map_err(|source| failed("write", &path, source))
    };
    let keyring = store.keyring();
    write("registry/jwks.json", PUBLIC, &keyring.jwks_text())?;
    if files::on_registry_2(plan.algorithm) {
        let all: Vec<&RingKey> = keyring.verifiers().iter().collect();
        let bundle = export::certificates(keyring, &all, store.manifest(), export::DAYS, now)?;
        write("registry/bundle.pem", PUBLIC, &bundle)?;
        write("registry/config-2.8.yml", PUBLIC, &files::registry_2(plan))?;
    }
    write("registry/config-3.yml", PUBLIC, &files::registry_3(plan))?;
    write("config.yaml", PUBLIC, &files::config(plan))?;
    write("policy.yaml", PUBLIC, files::POLICY)?;
    write("users.htpasswd", PRIVATE, files::USERS)?;
    #[cfg(feature = "tls")]
    if plan.self_signed {
        certificates::write(folder, plan, now)?;
    }
    let ids: Vec<String> = store.manifest().entries().iter().map(|entry| entry.id.clone()).collect();
    editor.mark_exported(&ids, now).map_err(Error::Keys)?;
    for path in [&registry, folder] {
        System.sync_folder(path).map_err(|source| failed("sync", path, source))?;
    }
    Ok(())
}

fn failed(verb: &str, path: &Path, source: io::Error) -> Error {
    Error::System { what: format!("cannot {verb} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_not_made_here_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("keypebble-init-{}", std::process::id()));
        let (aside, wanted) = (folder.join("aside"), folder.join("wanted"));
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("photo"), "of somebody").unwrap();
        let (registry, url) = (LOCAL_REGISTRY.to_owned(), "http://localhost:8080".to_owned());
        let plan =
            Plan { folder: wanted.clone(), registry, url, algorithm: Algorithm::ES256, self_signed: false };
        let error = make(&aside, &plan).unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
        assert_eq!(fs::read_to_string(aside.join("photo")).unwrap(), "of somebody");
        assert!(!wanted.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
