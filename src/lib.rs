//! Keypebble issues tokens.

pub mod algorithm;
pub mod cli;
pub mod document;
pub mod glob;
pub mod http;
pub mod policy;
pub mod scope;
pub mod secret;
pub mod time;
