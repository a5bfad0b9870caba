//! `keypebble keys generate`: a folder's first key, or the next one.

use super::super::args::{Arguments, Spec};
use super::super::{Command, print};
use super::Place;
use crate::cli::error::Error;
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::State;
use crate::keystore::Editor;
use crate::keystore::disk::System;
use std::fmt::Write;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec = Spec {
    name: "keys generate",
    values: &["dir", "config", "algorithm"],
    switches: &[],
    operands: 0,
    help: HELP,
    read,
};

const HELP: &str = "\
Make a key. The first key of a folder is active at once, the second one is next.

Usage: keypebble keys generate --dir DIR|--config PATH [--algorithm ALG]

Flags:
  --dir DIR        The key folder; it is made (mode 0700) if it does not exist
  --config PATH    A configuration with `key_dir`, instead of --dir
  --algorithm ALG  What the key signs; the default is the algorithm of the active key, or ES256 for the
                   first key
  -h, --help       Print this help

The algorithms are HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
ML-DSA-44, ML-DSA-65 and ML-DSA-87. RSA keys have 2048 bits. The key gets a new file (mode 0600); an
existing file is never overwritten.

Exit codes: 0 done, 1 failed or refused, 2 usage, 3 the folder is rejected.

Example:
  keypebble keys generate --dir keys --algorithm ES256
";

/// What is to be made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Generate {
    place: Place,
    algorithm: Option<Algorithm>,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let place = Place::read(&mut arguments)?;
    Ok(Command::KeysGenerate(Generate { place, algorithm: super::algorithm(&mut arguments)? }))
}

pub(in crate::cli) fn run(command: &Generate) -> Result<(), Error> {
    let folder = command.place.folder()?;
    let mut editor = Editor::create(&folder, &System).map_err(Error::Keys)?;
    let active = editor.manifest().entries().iter().find(|entry| entry.state == State::Active);
    let algorithm = command.algorithm.or(active.map(|entry| entry.algorithm)).unwrap_or(Algorithm::ES256);
    let entry = editor.generate(algorithm, UnixTime::now()).map_err(Error::Keys)?;
    let mut text = super::line(&entry, "new");
    if algorithm.is_hmac() {
        let _ = writeln!(text, "its secret, for every verifier: {}/{}", folder.display(), entry.file);
    } else if entry.state == State::Next {
        let _ = writeln!(
            text,
            "export it to every verifier before it signs: keypebble keys export {} --format jwks --out FILE",
            command.place.flag()
        );
    }
    print(&text)
}
