//! A build without the feature `tls` says so, wherever one would need it.
#![allow(missing_docs)]
#![cfg(not(feature = "tls"))]

mod common;

use common::{Folder, line, stderr};

#[test]
fn what_needs_tls_says_that_this_build_has_none() {
    let folder = Folder::new();
    folder.write(
        "config.yaml",
        "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\n\
         service: {tls: {certificate_path: c, key_path: k}}\n",
    );
    for output in [
        line(&folder, "check --config config.yaml"),
        line(&folder, "serve --config config.yaml"),
        line(&folder, "healthcheck --config config.yaml"),
        line(&folder, "init made --self-signed"),
    ] {
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{said}");
        assert!(said.contains("this build is without the feature `tls`"), "{said}");
        assert!(said.contains("hint: build with `cargo build --release --features tls`"), "{said}");
    }
    assert!(!folder.join("made").exists());
}
