//! What is told of the running service: log lines and metrics.

pub mod event;
pub mod log;
pub mod metrics;
