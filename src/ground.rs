//! What every other folder stands on, and what knows none of them: files and how they change, YAML with places, text, time,
//! secrets, limits, addresses, diagnostics, how names are compared.

pub mod authorities;
pub mod base64;
pub mod diagnostic;
pub(crate) mod digest;
pub mod disk;
pub mod document;
pub mod encoding;
pub mod file;
pub mod fold;
pub mod input;
pub mod json;
pub mod limits;
pub mod lock;
pub mod name;
pub mod nearest;
pub mod net;
pub mod percent;
pub mod secret;
pub(crate) mod sys;
pub mod text;
pub mod time;
pub mod when;
