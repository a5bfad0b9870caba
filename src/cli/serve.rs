//! `keypebble serve`: listens until it is told to stop.

use super::args::Files;
use super::{new_id, setup, warn};
use crate::config::Bind;
use crate::error::Error;
use crate::http::server::{self, Limits, Server, Stop};
use crate::http::{Service, Sources, State};
use crate::log::Log;
use crate::time::UnixTime;
use std::sync::Arc;

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
    let server = Server::bind(&bind, Limits::default()).map_err(Error::Listen)?;
    let state = State::new(setup.issuer, setup.enforcement, &setup.service);
    let service = Service::new(state, log, Sources { clock: UnixTime::now, id: new_id });
    log.line(UnixTime::now(), "listening").text("address", &server.address().to_string()).end();
    server.run(Arc::new(service), &stop);
    log.line(UnixTime::now(), "stopped").end();
    Ok(())
}
