//! `keypebble serve`: listens until it is told to stop.

use super::args::{Arguments, Spec};
use super::setup::Files;
use super::{Command, new_id, setup, warn};
use crate::config::Bind;
use crate::error::Error;
use crate::http::server::{self, Server, Stop};
use crate::http::{Service, Sources, State};
use crate::log::Log;
use crate::time::UnixTime;
use std::sync::Arc;

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "serve", values: &["config", "policy"], switches: &[], operands: 0, help: HELP, read };

const HELP: &str = "\
Answer HTTP: GET /healthz, POST /auth, GET and (with a users_file) POST /v2/token, GET /metrics.

Usage: keypebble serve --config PATH [--policy PATH]

Flags:
  --config PATH  The configuration file (YAML); `service.host` and `service.port` say where to listen
  --policy PATH  The policy file; without it /etc/keypebble/policy.yaml if that is there, else nothing
                 is granted (`policy: none` in the configuration grants all that is asked)
  -h, --help     Print this help

It prints one line with the address it listens on, then one line for each request and each token, on
stderr. SIGTERM and SIGINT finish what is in flight and end it with 0.

Exit codes: 0 stopped by a signal, 1 failed, 2 usage, 3 configuration, policy or key rejected.

Example:
  keypebble serve --config config.yaml --policy policy.yaml
";

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    Ok(Command::Serve(Files::read(&mut arguments)?))
}

pub(super) fn run(files: &Files) -> Result<(), Error> {
    let setup = setup::load(files)?;
    warn(&setup.warnings);
    let log = Log::new(setup.service.log);
    let bind = match &setup.service.bind {
        Bind::Tcp(host, port) => server::Bind::Tcp(host.clone(), *port),
        Bind::Unix(path) => server::Bind::Unix(path.clone()),
    };
    let stop = Stop::on_signals()
        .map_err(|source| Error::System { what: "cannot handle signals".to_owned(), source })?;
    let server = Server::bind(&bind, setup.service.limits.clone()).map_err(Error::Listen)?;
    let state = State::new(setup.issuer, setup.enforcement, setup.logins, &setup.service);
    let service = Service::new(state, log, Sources { clock: UnixTime::now, id: new_id });
    log.line(UnixTime::now(), "listening").text("address", &server.address().to_string()).end();
    server.run(Arc::new(service), &stop);
    log.line(UnixTime::now(), "stopped").end();
    Ok(())
}
