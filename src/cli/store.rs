//! `keypebble store`: makes, checks, copies and prunes the memory.
//!
//! Loads the configuration and prints; what is done stands in `crate::store`.

use super::args::{Arguments, Spec, target, usage};
use super::print;
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::time::UnixTime;
use crate::load::setup;
use crate::store::config::StoreConfig;
use crate::store::{self, Prepared};
use std::path::{Path, PathBuf};

/// `store init`
pub(super) const INIT: Spec =
    Spec { name: "store init", operands: 0, help: include_str!("help/store-init.txt"), run: run_init };
/// `store check`
pub(super) const CHECK: Spec =
    Spec { name: "store check", operands: 0, help: include_str!("help/store-check.txt"), run: run_check };
/// `store backup`
pub(super) const BACKUP: Spec =
    Spec { name: "store backup", operands: 1, help: include_str!("help/store-backup.txt"), run: run_backup };
/// `store prune`
pub(super) const PRUNE: Spec =
    Spec { name: "store prune", operands: 0, help: include_str!("help/store-prune.txt"), run: run_prune };

/// What is to be done.
enum Act {
    Init,
    Check,
    Backup(PathBuf),
    Prune,
}

fn run_init(arguments: Arguments) -> Result<(), Error> {
    run(arguments, |_| Ok(Act::Init))
}

fn run_check(arguments: Arguments) -> Result<(), Error> {
    run(arguments, |_| Ok(Act::Check))
}

fn run_backup(arguments: Arguments) -> Result<(), Error> {
    run(arguments, |arguments| match arguments.operand()? {
        Some(file) if !file.is_empty() => target("FILE", file.into()).map(Act::Backup),
        _ => Err(arguments.missing("a file: keypebble store backup FILE")),
    })
}

fn run_prune(arguments: Arguments) -> Result<(), Error> {
    run(arguments, |_| Ok(Act::Prune))
}

/// The store of a configuration; an error where it names none.
pub(super) fn configured(path: &Path) -> Result<StoreConfig, Error> {
    of(setup::config(path, &mut Files::default())?.store)
}

/// The store, which a configuration need not have.
pub(super) fn of(store: Option<StoreConfig>) -> Result<StoreConfig, Error> {
    store.ok_or_else(|| {
        usage("this configuration has no store").with_hint("add `store: sqlite:store.db` to it")
    })
}

fn run(
    mut arguments: Arguments,
    act: impl FnOnce(&mut Arguments) -> Result<Act, Error>,
) -> Result<(), Error> {
    let (path, act) = (arguments.config()?, act(&mut arguments)?);
    let config = configured(&path)?;
    let done = match act {
        Act::Init => store::init(&config).map(|prepared| match prepared {
            Prepared::Created => format!("made {}", config.place),
            Prepared::Upgraded => format!("brought {} up to date", config.place),
            Prepared::Unchanged => format!("{} is a store already, and up to date", config.place),
        }),
        Act::Check => store::examine(&config).map(|report| format!("{}: sound, {}", config.place, report)),
        Act::Backup(file) => store::backup(&config, &file).map(|()| format!("copied to {}", file.display())),
        Act::Prune => {
            store::prune(&config, UnixTime::now()).map(|tokens| format!("removed {tokens} token(s)"))
        }
    };
    print(&format!("{}\n", crate::ground::text::printable(&done.map_err(Error::Store)?)))
}
