//! `keypebble serve`: listens until it is told to stop.

use super::args::{Arguments, Spec};
use super::{new_id, warn};
use crate::cli::error::Error;
use crate::ground::file::Files;
use crate::ground::sys;
use crate::ground::time::UnixTime;
use crate::http::{Service, Sources};
use crate::load::reload::{Hangup, Reloader};
use crate::load::setup::{self, Loaded, Paths};
use crate::server::{Server, Stop};
use crate::store::{Notice, Store};
use crate::telemetry::log::Log;
use crate::tls::Live;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "serve", operands: 0, help: include_str!("help/serve.txt"), run };

pub(super) fn read(mut arguments: Arguments) -> Result<Paths, Error> {
    let listen = arguments.parsed("listen")?;
    Ok(Paths { listen, ..arguments.files()? })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let paths = &read(arguments)?;
    let began = SystemTime::now();
    let forbidden = sys::forbid_dumps();
    let hangup = Hangup::on_signal().map_err(signals)?;
    let mut files = Files::default();
    let Loaded { state, service: config, tls, store, .. } = setup::load(paths, &mut files)?;
    warn(files.warnings());
    let log = Log::new(config.log);
    if let Err(error) = forbidden {
        let message = format!("cannot forbid core dumps and ptrace: {error}");
        log.line(UnixTime::now(), "warning").text("message", &message).end();
    }
    let told = log.clone();
    let tell = move |notice: Notice| told.store(UnixTime::now(), &notice);
    let remembered = store.clone();
    let store = store.map(|config| Store::open(&config, Box::new(tell))).transpose().map_err(Error::Store)?;
    store.as_ref().map(Store::tend).transpose().map_err(Error::Store)?;
    let stop = Stop::on_signals().map_err(signals)?;
    let tls = tls.map(|identity| Arc::new(Live::new(identity)));
    let server =
        Server::bind(&config.bind, config.socket_mode, config.limits.clone()).map_err(Error::Listen)?;
    let server = server.with_tls(tls.clone());
    let sources = Sources { clock: UnixTime::now, id: new_id };
    let service = Arc::new(Service::new(state, log.clone(), sources, store.clone()));
    let (settings, live) = ((config, remembered), (Arc::clone(&service), tls));
    let reloader = Reloader::new(live, log.clone(), paths.clone(), settings, &files, began);
    // It ends with the process: there is nothing that it would have to finish.
    reloader
        .start(hangup)
        .map_err(|source| Error::System { what: "cannot start a thread".to_owned(), source })?;
    log.line(UnixTime::now(), "listening").text("address", server.address()).end();
    server.run(service, &stop);
    if let Some(store) = store {
        store.close();
    }
    log.line(UnixTime::now(), "stopped").end();
    Ok(())
}

fn signals(source: io::Error) -> Error {
    Error::System { what: "cannot handle signals".to_owned(), source }
}
