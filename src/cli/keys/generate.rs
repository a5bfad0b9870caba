//! `keypebble keys generate`: a folder's first key, or the next one.

use super::super::args::{Arguments, Spec};
use super::super::{print, progress};
use super::{Place, fernet};
use crate::cli::error::Error;
use crate::ground::disk::System;
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::State;
use crate::keystore::Editor;
use std::fmt::Write;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "keys generate", operands: 0, help: include_str!("../help/keys-generate.txt"), run };

/// What is to be made.
struct Generate {
    place: Place,
    algorithm: Option<Algorithm>,
    fernet: bool,
}

fn read(mut arguments: Arguments) -> Result<Generate, Error> {
    let place = super::place(&mut arguments)?;
    let (algorithm, fernet) = (arguments.algorithm()?, arguments.switch("fernet"));
    Ok(Generate { place, algorithm, fernet })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    if command.place.is_fernet(command.fernet) {
        fernet::refuse(&[("algorithm", command.algorithm.is_some())])?;
        return fernet::generate(&command.place);
    }
    let folder = command.place.folder()?;
    let mut editor = Editor::create(&folder, &System).map_err(Error::Keys)?;
    let active = editor.manifest().entries().iter().find(|entry| entry.state == State::Active);
    let algorithm = command.algorithm.or(active.map(|entry| entry.algorithm)).unwrap_or(Algorithm::ES256);
    let make = || editor.generate(algorithm, UnixTime::now()).map_err(Error::Keys);
    let entry = progress::during(&format!("making a key for {algorithm}"), make)?;
    let mut text = super::line(&entry, "new");
    if algorithm.is_hmac() {
        let _ = writeln!(text, "the secret, which every verifier needs: {}/{}", folder.display(), entry.file);
    } else if entry.state == State::Next {
        let _ = writeln!(
            text,
            "export it to every verifier before it signs: keypebble keys export {} --format jwks --out FILE",
            command.place.flag()
        );
    }
    print(&text)
}
