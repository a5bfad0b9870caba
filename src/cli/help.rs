//! The main usage text; each subcommand has its own in its file.

use crate::key;
use crate::login::password;
use std::env::consts;

/// `keypebble --help`
pub(super) const MAIN: &str = include_str!("help/keypebble.txt");

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 4] = [
    ("fast", key::FAST),
    ("passwords", password::ENABLED),
    ("postgres", cfg!(feature = "postgres")),
    ("sqlite", cfg!(feature = "sqlite")),
];

/// `keypebble --version`: what this build is, for whoever has to tell two builds apart.
pub(super) fn version() -> String {
    let built_in = FEATURES.iter().filter(|(_, built_in)| *built_in).map(|(name, _)| *name);
    let features = built_in.collect::<Vec<_>>().join(" ");
    format!(
        "keypebble {}\nfeatures: {}\ncommit: {}\ntarget: {}\nengine: {}\n",
        env!("CARGO_PKG_VERSION"),
        if features.is_empty() { "none" } else { &features },
        // Set by whoever builds from a repository: a source archive does not know its commit.
        option_env!("KEYPEBBLE_COMMIT").unwrap_or("unknown"),
        target(),
        key::ENGINE,
    )
}

/// The target triple, put together from what the compiler tells the source.
fn target() -> String {
    let (vendor, environment) = match () {
        () if cfg!(target_vendor = "apple") => ("apple", ""),
        () if cfg!(target_env = "musl") => ("unknown", "-musl"),
        () if cfg!(target_env = "gnu") => ("unknown", "-gnu"),
        () => ("unknown", ""),
    };
    let abi = match () {
        () if cfg!(target_abi = "eabihf") => "eabihf",
        () if cfg!(target_abi = "eabi") => "eabi",
        () => "",
    };
    let system = if consts::OS == "macos" { "darwin" } else { consts::OS };
    format!("{}-{vendor}-{system}{environment}{abi}", consts::ARCH)
}
