//! Owns what openssl does for the tests, and where the examples are.

use std::path::PathBuf;

use crate::client::Login;
use crate::common::{output, repository};

pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    output("openssl", &["dgst", "-sha256", "-binary"], data)
}

/// A password file as nginx reads it.
pub(crate) fn htpasswd(logins: &[Login]) -> String {
    let line = |(user, password): &Login| {
        let hash = output("openssl", &["passwd", "-6", password], "");
        format!("{user}:{}", String::from_utf8(hash).unwrap())
    };
    logins.iter().map(line).collect()
}

/// The section `auth` of a registry's configuration as `init` writes it: the last one.
pub(crate) fn auth_section(config: &str) -> &str {
    &config[config.find("\nauth:\n").expect("a section auth")..]
}

/// A file under `examples/`.
pub(crate) fn example(name: &str) -> PathBuf {
    repository("examples").join(name)
}
