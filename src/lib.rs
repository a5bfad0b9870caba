//! Keypebble issues tokens: JWTs for services, and the Docker registry token protocol.
//!
//! One core, two thin edges. Data is parsed once, into types that cannot be wrong; every effect (clock,
//! random id, file, socket, stdout) is at an edge:
//!
//! ```text
//! socket -> http::server (limits) -> Request -> Route -> Identity -> [Scope] -> Policy::grant -> [Access]
//!                                                                                     |
//! argv -> Command -> Config -> Issuer ----------------> claims::{custom, granted, registry}(.., now)
//!                                                                                     |
//!                     Issuer::issue(Claims) -> Sealer -> Issued { token, claims }
//!                           |-> http: JSON                 |-> cli: token + "\n" on stdout, nothing else
//! ```
//!
//! Diagnosis stands beside that: `unverified` takes a token apart, `inspect` describes it, `verify` and
//! `verdict` judge it (the latter as a registry would); all of them are pure and speak in `finding`s.
//!
//! The layer rule, which a test checks: the core (`scope`, `glob`, `policy`, `claims`, `key`, `keyring`,
//! `token`, `issuer`, `password`, `users`, `refresh`, `logins`) imports neither `http`, `cli`, `std::env` nor `std::net`.

pub mod cli;
pub mod load;
pub mod server;

pub mod http;

pub mod diagnosis;
pub mod telemetry;

pub mod config;

pub mod login;

pub mod issuer;

pub mod claims;
pub mod token;

pub mod keystore;

pub mod policy;

pub mod key;

pub mod ground;
