//! Keypebble issues tokens.

pub mod algorithm;
pub mod cli;
pub mod http;
pub mod secret;
