//! The HTTP edge: from a request to an answer.

pub mod request;
pub mod response;
pub mod server;
