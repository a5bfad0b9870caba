//! `keypebble user`: who may log in.
//!
//! Owns the commands that change a users file. Decision: nothing else is read or judged than that file, so that a
//! password can be set before the rest is right.

use super::args::{Arguments, Spec, usage};
use super::password_input::{ask, checked_name, cost};
use super::place::Place;
use super::{print, warn};
use crate::cli::error::Error;
use crate::config::Config;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::disk::System;
use crate::ground::file::Files;
use crate::load::LoadError;
use crate::login::edit::{EditError, Editor};
use crate::login::password::ENABLED;
use crate::login::users::{NOT_ENABLED, Users};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// `user set`
pub(super) const SET: Spec = Spec {
    name: "user set",
    operands: 1,
    help: include_str!("help/user-set.txt"),
    run: |mut arguments| {
        let cost = cost(&mut arguments)?;
        run(&read(arguments, |user| Change::Set { user, cost })?)
    },
};

/// `user remove`
pub(super) const REMOVE: Spec = Spec {
    name: "user remove",
    operands: 1,
    help: include_str!("help/user-remove.txt"),
    run: |arguments| run(&read(arguments, |user| Change::Remove { user })?),
};

/// `user list`
pub(super) const LIST: Spec = Spec {
    name: "user list",
    operands: 0,
    help: include_str!("help/user-list.txt"),
    run: |mut arguments| run(&User { place: place(&mut arguments)?, change: Change::None }),
};

/// What is to be done, and in which file.
struct User {
    place: Place,
    change: Change,
}

enum Change {
    Set { user: String, cost: u8 },
    Remove { user: String },
    None,
}

/// The users file.
fn users_file(place: &Place) -> Result<PathBuf, Error> {
    match place {
        Place::Named(path) => Ok(path.clone()),
        Place::Config(path) => {
            let named = Config::users_file(path).map_err(LoadError::of("configuration"))?;
            named.ok_or_else(|| {
                usage(format!("{} names no users file", path.display()))
                    .with_hint("set `users_file: users.htpasswd` in it, or use --users-file")
            })
        }
    }
}

fn place(arguments: &mut Arguments) -> Result<Place, Error> {
    Place::read(arguments, "users-file", "PATH", "users")
}

fn read(mut arguments: Arguments, change: impl Fn(String) -> Change) -> Result<User, Error> {
    let Some(user) = arguments.operand()? else { return Err(arguments.missing("the user's NAME")) };
    let user = checked_name(user, "NAME")?;
    Ok(User { place: place(&mut arguments)?, change: change(user) })
}

fn run(command: &User) -> Result<(), Error> {
    if !ENABLED {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    let path = users_file(&command.place)?;
    let mut files = Files::default();
    let failed = |EditError { what, source }: EditError| Error::file(what, &path, source);
    let (text, done) = match &command.change {
        Change::None => return list(&path),
        Change::Set { user, cost } => {
            let hash = ask(Some(user), *cost)?;
            let mut editor = Editor::open(&path, &mut files).map_err(failed)?;
            let done = if editor.set(user, &hash) { "changed the password of" } else { "added" };
            (editor.save(&System).map_err(failed)?, format!("{done} {user}"))
        }
        Change::Remove { user } => {
            let mut editor = Editor::open(&path, &mut files).map_err(failed)?;
            if !editor.remove(user) {
                let absent = format!("it names no user `{user}`: see keypebble user list");
                return Err(failed(EditError { what: "change", source: io::Error::other(absent) }));
            }
            (editor.save(&System).map_err(failed)?, format!("removed {user}"))
        }
    };
    files.private(&path);
    warn(files.warnings());
    // What others' lines have wrong was so before.
    if let Err(error) = Users::parse(&path, &text) {
        let hint = error.hint.clone().unwrap_or_default();
        warn(&[Diagnostic::advice("users", format!("no user can log in yet: {error}"), hint)]);
    }
    print(&format!("{done}: {}\n", path.display()))
}

fn list(path: &Path) -> Result<(), Error> {
    let mut files = Files::default();
    let users = Users::load(path, &mut files).map_err(LoadError::of("users file"))?;
    warn(files.warnings());
    let mut text = String::new();
    for (name, cost) in users.costs() {
        let _ = writeln!(text, "{name}  bcrypt, cost {cost}"); // to a String: cannot fail
    }
    print(&text)
}
