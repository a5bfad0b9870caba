//! `keypebble serve`: listens until it is told to stop.

use super::args::{Arguments, Spec};
use super::{Command, new_id, warn};
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::sys;
use crate::ground::time::UnixTime;
use crate::http::{Service, Sources};
use crate::load::reload::{Hangup, Reloader};
use crate::load::setup::{self, Loaded, Paths};
use crate::server::{Server, Stop};
use crate::telemetry::log::Log;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

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

Configuration, policy and every file that the configuration names are read again when they change, once
a look finds them at rest (within about three seconds), and at once on SIGHUP. A broken file leaves what
was loaded before in force, is logged, and keeps the metric keypebble_reload_failed at 1 until mended.
service.host, port, log and limits take effect at the start only.

Exit codes: 0 stopped by a signal, 1 failed, 2 usage, 3 configuration, policy or key rejected.

Example:
  keypebble serve --config config.yaml --policy policy.yaml
";

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    Ok(Command::Serve(arguments.files()?))
}

pub(super) fn run(paths: &Paths) -> Result<(), Error> {
    let began = SystemTime::now();
    let forbidden = sys::forbid_dumps();
    let hangup = Hangup::on_signal().map_err(signals)?;
    let mut files = Files::default();
    let Loaded { state, service: config, .. } = setup::load(paths, &mut files)?;
    warn(files.warnings());
    let log = Log::new(config.log);
    if let Err(error) = forbidden {
        let message = format!("cannot forbid core dumps and ptrace: {error}");
        log.line(UnixTime::now(), "warning").text("message", &message).end();
    }
    let stop = Stop::on_signals().map_err(signals)?;
    let server =
        Server::bind(&config.bind, config.socket_mode, config.limits.clone()).map_err(Error::Listen)?;
    let service = Arc::new(Service::new(state, log.clone(), Sources { clock: UnixTime::now, id: new_id }));
    let reloader = Reloader::new(Arc::clone(&service), log.clone(), paths.clone(), config, &files, began);
    // It ends with the process: there is nothing that it would have to finish.
    reloader
        .start(hangup)
        .map_err(|source| Error::System { what: "cannot start a thread".to_owned(), source })?;
    log.line(UnixTime::now(), "listening").text("address", server.address()).end();
    server.run(service, &stop);
    log.line(UnixTime::now(), "stopped").end();
    Ok(())
}

fn signals(source: io::Error) -> Error {
    Error::System { what: "cannot handle signals".to_owned(), source }
}
