//! Keypebble issues tokens.

pub mod algorithm;
pub mod claims;
pub mod cli;
pub mod config;
pub mod document;
pub mod glob;
pub mod http;
pub mod net;
pub mod policy;
pub mod scope;
pub mod secret;
pub mod time;
