//! `keypebble keys rotate`: the staged key signs, a new one is staged.

use super::super::args::{Arguments, Spec};
use super::super::{print, progress};
use super::{Place, fernet};
use crate::cli::error::Error;
use crate::ground::disk::System;
use crate::ground::time::UnixTime;
use crate::key::algorithm::Algorithm;
use crate::keystore::{self, Editor, Rotated};
use std::fmt::Write;
use std::path::Path;

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "keys rotate", operands: 0, help: include_str!("../help/keys-rotate.txt"), run };

/// What is to be rotated.
struct Rotate {
    place: Place,
    algorithm: Option<Algorithm>,
    force: bool,
    dry_run: bool,
    fernet: bool,
}

fn read(mut arguments: Arguments) -> Result<Rotate, Error> {
    let place = super::place(&mut arguments)?;
    let algorithm = arguments.algorithm()?;
    let (force, dry_run) = (arguments.switch("force"), arguments.switch("dry-run"));
    let fernet = arguments.switch("fernet");
    Ok(Rotate { place, algorithm, force, dry_run, fernet })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    if command.place.is_fernet(command.fernet) {
        fernet::refuse(&[
            ("dry-run", command.dry_run),
            ("force", command.force),
            ("algorithm", command.algorithm.is_some()),
        ])?;
        return fernet::rotate(&command.place);
    }
    let folder = command.place.folder()?;
    if command.dry_run {
        return print(&plan(command, &folder)?);
    }
    let rotate = || {
        let mut editor = Editor::open(&folder, &System)?;
        editor.rotate(command.algorithm, command.force, UnixTime::now())
    };
    let rotated = progress::during("making the next key", rotate).map_err(Error::Keys)?;
    print(&report(&rotated, &command.place))
}

/// What would happen. The keys are read as a server would read them.
fn plan(command: &Rotate, folder: &Path) -> Result<String, Error> {
    let manifest = command.place.load()?.manifest;
    let (active, next) = keystore::rotation(&manifest, folder, command.force).map_err(Error::Keys)?;
    let algorithm = command.algorithm.unwrap_or(next.algorithm);
    Ok(super::line(&next, "would sign")
        + &super::line(&active, "would no longer sign")
        + &format!("a new key for {algorithm} would be next\nnothing was changed: leave out --dry-run\n"))
}

/// What happened, and what is to be done now.
fn report(rotated: &Rotated, place: &Place) -> String {
    let flag = place.flag();
    let mut text = super::line(&rotated.active, "signs now");
    text += &super::line(&rotated.previous, "no longer signs; its last tokens are still valid");
    text += &super::line(&rotated.next, "new: no verifier knows it yet");
    // Writing to a String does not fail.
    let _ = writeln!(text, "\nBefore the next rotation, every verifier must learn the new key:");
    if rotated.next.algorithm.is_hmac() {
        let _ = writeln!(
            text,
            "  a shared secret is in {}, in the key folder: hand it over safely",
            rotated.next.file
        );
    } else {
        let _ = write!(
            text,
            "  distribution 2.8  keypebble keys export {flag} --format cert --out BUNDLE\n\
             \x20                   (its rootcertbundle), then restart it: it reads its keys once\n\
             \x20 distribution 3.x  keypebble keys export {flag} --format jwks --out JWKS\n\
             \x20                   (its jwks), then restart it: it reads its keys once\n\
             \x20 others            those that read /.well-known/jwks.json find it there\n\
             At once, as it takes a single key:\n\
             \x20 zot               keypebble keys export {flag} --format pem --state active --out KEY\n\
             \x20                   (its auth.bearer.cert), then restart it\n"
        );
    }
    let _ = writeln!(
        text,
        "When the old key's last token has ended: keypebble keys retire {flag}{}",
        if matches!(place, Place::Config(_)) { "" } else { " --max-ttl TIME" }
    );
    text
}
