//! What every other folder stands on, and what knows none of them: YAML with places, time, secrets,
//! limits, addresses, findings, how names are compared, how text files begin.

pub mod base64;
pub(crate) mod digest;
pub mod document;
pub mod encoding;
pub mod finding;
pub mod fold;
pub mod limits;
pub mod name;
pub mod net;
pub mod secret;
pub(crate) mod sys;
pub mod time;
