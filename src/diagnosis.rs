//! What a token, a configuration or a registry says, and why it is refused.
//!
//! Everything here is pure: it is given what it judges, and answers in findings.

pub mod claims;
pub mod doctor;
pub mod encrypted;
pub mod inspect;
pub mod registry;
pub mod unverified;
pub mod verdict;
pub mod verify;
