//! `keypebble version`: what this build is, for whoever has to tell two builds apart.

use super::args::Spec;
use super::print;
use crate::key;
use std::env::consts;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "version", operands: 0, help: include_str!("help/version.txt"), run: |_| print(&text()) };

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 6] = [
    ("fast", cfg!(feature = "fast")),
    ("fernet", cfg!(feature = "fernet")),
    ("passwords", cfg!(feature = "passwords")),
    ("postgres", cfg!(feature = "postgres")),
    ("sqlite", cfg!(feature = "sqlite")),
    ("tls", cfg!(feature = "tls")),
];

/// What is printed.
pub(super) fn text() -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_crate_is_among_them() {
        let manifest = include_str!("../../Cargo.toml");
        let section =
            manifest.split("[features]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
        let mut declared: Vec<&str> = section
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.split_once(" = ")?.0))
            .filter(|name| !matches!(*name, "default" | "full"))
            .collect();
        declared.sort_unstable();
        assert_eq!(FEATURES.map(|(name, _)| name).to_vec(), declared);
    }
}
