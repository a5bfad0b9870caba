//! The main usage text; each subcommand has its own in its file.

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
  -V, --version  Print the version

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

/// `keypebble --version`: with what signs, where the build has more than the default.
pub(super) fn version() -> String {
    let crypto = if cfg!(feature = "fast") { " (fast: aws-lc)" } else { "" };
    format!("keypebble {}{crypto}\n", env!("CARGO_PKG_VERSION"))
}
