//! A build without the feature `passwords` says so, wherever one would need it.
#![allow(missing_docs)]
#![cfg(not(feature = "passwords"))]

mod common;

use common::{Folder, line, run_with_input, stderr};

#[test]
fn what_needs_passwords_says_that_this_build_has_none() {
    let folder = Folder::new();
    folder.write(
        "config.yaml",
        "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\nusers_file: users\n",
    );
    for output in [
        line(&folder, "check --config config.yaml"),
        line(&folder, "issue --config config.yaml"),
        run_with_input(&folder, &["hash-password"], "x"),
        run_with_input(&folder, &["user", "set", "alice", "--config", "config.yaml"], "x"),
        run_with_input(&folder, &["init", "made", "--user", "alice"], "x"),
    ] {
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{said}");
        assert!(said.contains("this build is without the feature `passwords`"), "{said}");
        assert!(said.contains("hint: build with `cargo build --release --features passwords`"), "{said}");
    }
}
