//! `keypebble hash-password`: from a password to the line of a users file.

use super::Command;
use super::args::{Arguments, Spec};
use super::password_input::{ask, checked_name, cost};
use super::stdout::print_raw;
use crate::cli::error::Error;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "hash-password", operands: 0, help: include_str!("help/hash-password.txt"), read };

/// Whose line, and how dear.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HashPassword {
    user: Option<String>,
    cost: u8,
}

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    let user = arguments.name("user")?.map(|user| checked_name(user, "--user")).transpose()?;
    Ok(Command::HashPassword(HashPassword { user, cost: cost(&mut arguments)? }))
}

pub(super) fn run(command: &HashPassword) -> Result<(), Error> {
    let hash = ask(command.user.as_deref(), command.cost)?;
    match &command.user {
        Some(user) => print_raw(&format!("{user}:{hash}\n")),
        None => print_raw(&format!("{hash}\n")),
    }
}
