//! `keypebble serve`: listens until it is told to stop.

use super::args::{Arguments, Spec};
use super::{Command, new_id, warn};
use crate::cli::error::Error;
use crate::ground::sys;
use crate::ground::time::UnixTime;
use crate::http::{Service, Sources, State};
use crate::load::reload::{Hangup, Loaded, Reloader};
use crate::load::setup;
use crate::load::setup::{Files, Setup};
use crate::server::{Server, Stop};
use crate::telemetry::log::Log;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "serve", operands: 0, help: include_str!("help/serve.txt"), read };

fn read(mut arguments: Arguments) -> Result<Command, Error> {
    Ok(Command::Serve(arguments.files()?))
}

pub(super) fn run(files: &Files) -> Result<(), Error> {
    let began = SystemTime::now();
    let forbidden = sys::forbid_dumps();
    let hangup = Hangup::on_signal().map_err(signals)?;
    let setup = setup::load(files)?;
    warn(&setup.warnings);
    let log = Log::new(setup.service.log);
    if let Err(error) = forbidden {
        let message = format!("cannot forbid core dumps and ptrace: {error}");
        log.line(UnixTime::now(), "warning").text("message", &message).end();
    }
    let stop = Stop::on_signals().map_err(signals)?;
    let server = Server::bind(&setup.service.bind, setup.service.socket_mode, setup.service.limits.clone())
        .map_err(Error::Listen)?;
    let state = State::new(setup.issuer, setup.enforcement, setup.logins, &setup.service);
    let service = Arc::new(Service::new(state, log.clone(), Sources { clock: UnixTime::now, id: new_id }));
    let first = (setup.files, setup.warnings, setup.service);
    let again = files.clone();
    let reloader = Reloader::new(Arc::clone(&service), log.clone(), first, began, move || {
        setup::load(&again).map(loaded)
    });
    // It ends with the process: there is nothing that it would have to finish.
    std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || reloader.run(&hangup))
        .map_err(|source| Error::System { what: "cannot start a thread".to_owned(), source })?;
    log.line(UnixTime::now(), "listening").text("address", server.address()).end();
    server.run(service, &stop);
    log.line(UnixTime::now(), "stopped").end();
    Ok(())
}

fn signals(source: io::Error) -> Error {
    Error::System { what: "cannot handle signals".to_owned(), source }
}

fn loaded(setup: Setup) -> Loaded {
    let state = State::new(setup.issuer, setup.enforcement, setup.logins, &setup.service);
    Loaded { state, files: setup.files, warnings: setup.warnings, service: setup.service }
}
