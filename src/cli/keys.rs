//! `keypebble keys`: what its commands share.
//!
//! Owns where the keys are (`--dir`, `--config`) and the line that shows one. Decision: a command edits
//! the folder and nothing else; what verifiers must be told it prints, since it cannot do it.

pub(super) mod export;
mod fernet;
pub(super) mod generate;
pub(super) mod list;
pub(super) mod retire;
pub(super) mod rotate;

use super::args::{Arguments, usage};
use crate::cli::error::Error;
use crate::config::Config;
use crate::ground::file::Files;
use crate::ground::text::word;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::Keyring;
use crate::keystore::{Entry, Keystore, Manifest};
use crate::load::{LoadError, setup};
use std::path::{Path, PathBuf};

/// Where the keys are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `--dir`: a key folder.
    Folder(PathBuf),
    /// `--config`: what the configuration names.
    Config(PathBuf),
}

impl Place {
    /// `--dir DIR` or `--config PATH`.
    pub(super) fn read(arguments: &mut Arguments) -> Result<Self, Error> {
        match (arguments.path("dir")?, arguments.path("config")?) {
            (Some(folder), None) => Ok(Place::Folder(folder)),
            (None, Some(config)) => Ok(Place::Config(config)),
            (Some(_), Some(_)) => {
                Err(usage("--dir and --config both say where the keys are")
                    .with_hint("leave one of them out"))
            }
            (None, None) => match arguments.config_if_any()? {
                Some(config) => Ok(Place::Config(config)),
                None => Err(arguments.missing("--dir DIR or --config PATH")),
            },
        }
    }

    /// The key folder, which may still have to be made; an error where the configuration has none.
    fn folder(&self) -> Result<PathBuf, Error> {
        self.key_dir()?.ok_or_else(|| Error::Usage {
            message: "this configuration has no key folder, and only a folder can be changed here".to_owned(),
            hint: Some("set `key_dir: keys` in it, or use --dir".to_owned()),
        })
    }

    fn key_dir(&self) -> Result<Option<PathBuf>, Error> {
        match self {
            Place::Folder(folder) => Ok(Some(folder.clone())),
            Place::Config(path) => Ok(Config::key_dir(path).map_err(LoadError::of("configuration"))?),
        }
    }

    /// The keys, and what a folder's manifest says of them.
    fn load(&self) -> Result<Loaded, Error> {
        if let Some(folder) = self.key_dir()? {
            let store = Keystore::load(&folder, &mut Files::default()).map_err(Error::Keys)?;
            let (manifest, strays) = (store.manifest().clone(), store.strays());
            return Ok(Loaded { folder: Some(folder), manifest, strays, keyring: store.into_keyring() });
        }
        let Place::Config(path) = self else { return Err(usage("--dir is missing")) };
        let keyring = setup::config(path, &mut Files::default())?.keyring;
        Ok(Loaded { folder: None, manifest: Manifest::default(), strays: Vec::new(), keyring })
    }

    /// Whether Fernet keys are meant: `--fernet` says so, or the folder holds nothing else.
    fn is_fernet(&self, switch: bool) -> bool {
        switch || matches!(self, Place::Folder(path) if fernet::is_folder(path))
    }

    /// As it is written in a command.
    fn flag(&self) -> String {
        match self {
            Place::Folder(path) => format!("--dir {}", quoted(path)),
            Place::Config(path) => format!("--config {}", quoted(path)),
        }
    }
}

struct Loaded {
    folder: Option<PathBuf>,
    manifest: Manifest,
    strays: Vec<PathBuf>,
    keyring: Keyring,
}

/// `--algorithm`
pub(super) fn algorithm(arguments: &mut Arguments) -> Result<Option<Algorithm>, Error> {
    let Some(name) = arguments.name("algorithm")? else { return Ok(None) };
    name.parse().map(Some).map_err(|_| {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        usage(format!("--algorithm: unknown algorithm `{name}`"))
            .with_hint(format!("the algorithms are {names}"))
    })
}

/// One key as commands show it after a change.
fn line(entry: &Entry, note: &str) -> String {
    format!("{:<8}  {:<9}  {}  {note}\n", entry.state.name(), entry.algorithm.name(), entry.id)
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}
