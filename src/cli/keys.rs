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
use super::place::Place;
use crate::cli::error::Error;
use crate::config::Config;
use crate::ground::file::Files;
use crate::ground::text::word;
use crate::key::keyring::Keyring;
use crate::keystore::{Entry, Keystore, Manifest};
use crate::load::{LoadError, setup};
use std::path::{Path, PathBuf};

/// `--dir DIR` or `--config PATH`.
fn place(arguments: &mut Arguments) -> Result<Place, Error> {
    Place::read(arguments, "dir", "DIR", "keys")
}

impl Place {
    /// The key folder, which may still have to be made; an error where the configuration has none.
    fn folder(&self) -> Result<PathBuf, Error> {
        self.key_dir()?.ok_or_else(|| {
            usage("this configuration has no key folder, and only a folder can be changed here")
                .with_hint("set `key_dir: keys` in it, or use --dir")
        })
    }

    fn key_dir(&self) -> Result<Option<PathBuf>, Error> {
        match self {
            Place::Named(folder) => Ok(Some(folder.clone())),
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
        switch || matches!(self, Place::Named(path) if fernet::is_folder(path))
    }

    /// As it is written in a command.
    fn flag(&self) -> String {
        match self {
            Place::Named(path) => format!("--dir {}", quoted(path)),
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

/// One key as commands show it after a change.
fn line(entry: &Entry, note: &str) -> String {
    format!("{:<8}  {:<9}  {}  {note}\n", entry.state.name(), entry.algorithm.name(), entry.id)
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}
