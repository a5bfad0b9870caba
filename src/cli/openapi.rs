//! `keypebble openapi`: the HTTP API as programs read it.

use super::args::Spec;
use super::stdout::print_raw;
use crate::http::openapi::DOCUMENT;

/// The subcommand.
pub(super) const SPEC: Spec = Spec {
    name: "openapi",
    operands: 0,
    help: include_str!("help/openapi.txt"),
    run: |_| print_raw(DOCUMENT),
};
