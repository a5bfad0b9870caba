//! Every input of the fuzz targets' corpus and every finding of theirs, once more, on stable Rust and without
//! a fuzzer: `fuzz/README.md`.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]

#[path = "../fuzz/targets/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use targets::{TARGETS, archive, run};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder, without what stands behind a dot.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The inputs in a target's archive.
fn corpus(target: &str) -> Vec<archive::Input> {
    let packed = fs::read(fuzz().join("corpus").join(format!("{target}.archive"))).unwrap();
    let inputs = archive::read(&packed).unwrap_or_else(|error| panic!("{target}.archive: {error}"));
    assert!(archive::write(inputs.clone()) == packed, "{target}.archive is not what `corpus pack` writes");
    inputs
}

/// Runs each input of a target; says which ones fail: `fuzz/README.md` has how to unpack them.
fn replay(target: &str) {
    let mut inputs = corpus(target);
    assert!(inputs.len() >= 10, "only {} inputs in the corpus of {target}", inputs.len());
    // A target without findings has no regressions.
    for entry in fs::read_dir(fuzz().join("regressions").join(target)).into_iter().flatten() {
        let path = entry.unwrap().path();
        inputs.push((path.display().to_string(), fs::read(path).unwrap()));
    }
    let fails = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| run(target, bytes))).is_err();
    let failed: Vec<&String> =
        inputs.iter().filter(|(_, bytes)| fails(bytes)).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

macro_rules! replayed {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
    };
}

replayed!(basic, claims, config, fernet, framing, glob, jwe, jwk, keys, policy, query, scope, token, users);

/// The service logs each request on stderr: where nobody reads that, apart from the other tests.
#[test]
fn request() {
    let this = std::env::current_exe().unwrap();
    let status = Command::new(this)
        .args(["--exact", "requests_in_a_process_of_their_own", "--ignored"])
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "see `cargo test --test corpus -- --ignored --nocapture`");
}

#[test]
#[ignore = "run by the test `request`"]
fn requests_in_a_process_of_their_own() {
    replay("request");
}

#[test]
fn a_damaged_archive_is_refused() {
    assert_eq!(
        archive::read(b"a 2\nxy\nb 0\n\n"),
        Ok(vec![("a".into(), b"xy".into()), ("b".into(), vec![])])
    );
    for (bytes, error) in [
        (&b"a 2\nxy"[..], "no input at byte 0"),
        (b"a 1\nxy\n", "no input at byte 0"),
        (b"a 0\n\nb 9\nxy\n", "no input at byte 5"),
        (b"../a 0\n\n", "no input at byte 0"),
        (b"b 0\n\na 0\n\n", "a is out of order"),
        (b"a 0\n\na 0\n\n", "a is out of order"),
    ] {
        assert_eq!(archive::read(bytes), Err(error.to_owned()), "{bytes:?}");
    }
}

#[test]
fn no_target_is_left_out() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let tested = REPLAYED.iter().chain(&["request"]).map(|name| (*name).to_owned());
    assert_eq!(known, tested.collect());
    assert_eq!(known, names(&fuzz().join("fuzz_targets")));
    assert_eq!(known, names(&fuzz().join("corpus")));
    assert!(names(&fuzz().join("dictionaries")).is_subset(&known));
    assert!(names(&fuzz().join("regressions")).is_subset(&known));
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(fuzz().join("README.md")).unwrap();
    for name in &known {
        assert!(readme.contains(&format!("\n| `{name}` | ")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
