//! Keypebble issues tokens.

pub mod algorithm;
pub mod cli;
pub mod http;
pub mod key;
pub mod keyring;
pub mod secret;
pub mod token;
