//! `keypebble hash-password`: from a password to the line of a users file.

use super::args::{Arguments, Spec};
use super::password_input::{ask, checked_name, cost};
use super::stdout::print_raw;
use crate::cli::error::Error;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "hash-password", operands: 0, help: include_str!("help/hash-password.txt"), run };

/// Whose line, and how dear.
struct HashPassword {
    user: Option<String>,
    cost: u8,
}

fn read(mut arguments: Arguments) -> Result<HashPassword, Error> {
    let user = arguments.name("user")?.map(|user| checked_name(user, "--user")).transpose()?;
    Ok(HashPassword { user, cost: cost(&mut arguments)? })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let hash = ask(command.user.as_deref(), command.cost)?;
    match &command.user {
        Some(user) => print_raw(&format!("{user}:{hash}\n")),
        None => print_raw(&format!("{hash}\n")),
    }
}
