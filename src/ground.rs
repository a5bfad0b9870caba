//! What every other folder stands on, and what knows none of them: YAML with places, time, secrets,
//! networks, names, findings.

pub mod base64;
pub mod document;
pub mod finding;
pub mod name;
pub mod net;
pub mod secret;
pub mod time;
