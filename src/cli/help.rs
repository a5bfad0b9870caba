//! The main usage text; each subcommand has its own in its file.

use crate::login::password;
use std::env::consts;

/// `keypebble --help`
pub(super) const MAIN: &str = "\
Keypebble issues tokens: JWTs for services, and the Docker registry token protocol.

Usage: keypebble COMMAND [FLAGS]

Commands:
  init            Make a folder with keys, configuration and policy, ready to start
  issue           Print one signed token
  serve           Answer HTTP: /auth, /v2/token, /.well-known/jwks.json, /healthz, /metrics
  check           Load the configuration and the policy, and say what was found
  healthcheck     Ask a running server whether it is well
  keys generate   Make a key: a folder's first, or the next one
  keys list       Show the keys of a folder or a configuration
  keys rotate     Let the next key sign, and stage a new one
  keys retire     Drop old keys whose tokens have ended
  keys export     Print public keys as JWKS, PEM, certificates or ids
  policy explain  Say which rule grants or denies what is asked
  policy test     Try the expectations that a policy file carries
  hash-password   Read a password, and print the line of it for a users file
  inspect         Print what a token says, unchecked
  verify          Check a token, or say what a registry would say to it
  doctor          Find what is wrong between this issuer and a registry

Flags:
  -h, --help     Print help; with a command, that command's
  -V, --version  Print the version, and what is in this build

Exit codes:
  0  done
  1  the operation failed
  2  the command line is wrong
  3  the configuration, the policy or a key is rejected
  4  refused by the policy

Examples:
  keypebble init registry-auth --registry registry.example.com
  keypebble issue --config config.yaml --claims '{\"sub\": \"alice\"}'
  keypebble serve --config config.yaml --policy policy.yaml
";

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 3] = [
    ("certificates", cfg!(feature = "certificates")),
    ("fast", cfg!(feature = "fast")),
    ("passwords", password::ENABLED),
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
        if cfg!(feature = "fast") { "AWS-LC" } else { "Rust" },
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
