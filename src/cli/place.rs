//! Where a command's files are: named by a flag of their own, or by the configuration.

use super::args::{Arguments, usage};
use crate::cli::error::Error;
use std::path::PathBuf;

/// One of the two.
pub(super) enum Place {
    /// The flag's own: `--dir`, `--users-file`.
    Named(PathBuf),
    /// `--config`: what the configuration names.
    Config(PathBuf),
}

impl Place {
    /// Reads the flag, such as `dir` for `DIR`, or `--config`; `whose` says what is there.
    pub(super) fn read(
        arguments: &mut Arguments,
        flag: &str,
        value: &str,
        whose: &str,
    ) -> Result<Self, Error> {
        match (arguments.target(flag)?, arguments.path("config")?) {
            (Some(path), None) => Ok(Place::Named(path)),
            (None, Some(config)) => Ok(Place::Config(config)),
            (Some(_), Some(_)) => Err(usage(format!("--{flag} and --config both say where the {whose} are"))
                .with_hint("leave one of them out")),
            (None, None) => match arguments.config_if_any()? {
                Some(config) => Ok(Place::Config(config)),
                None => Err(arguments.missing(&format!("--{flag} {value} or --config PATH"))),
            },
        }
    }
}
