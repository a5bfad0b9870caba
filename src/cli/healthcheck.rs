//! `keypebble healthcheck`: is the server of this configuration well?
//!
//! Reads only where the server listens, and its certificate if it speaks TLS: a key that cannot be read now says
//! nothing of one that runs.

use super::args::{Arguments, Spec};
use super::progress;
use crate::cli::error::{Error, Exit};
use crate::config::{self, Bind, ServiceConfig};
use crate::ground::file::Files;
use crate::load::LoadError;
use crate::load::setup::Paths;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(3);
const WAITING: &str = "waiting for the server";

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "healthcheck", operands: 0, help: include_str!("help/healthcheck.txt"), run };

fn read(mut arguments: Arguments) -> Result<Paths, Error> {
    let listen = arguments.parsed("listen")?;
    Ok(Paths { listen, policy: None, config: arguments.config()? })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let paths = &read(arguments)?;
    let document = config::document(&paths.config, &mut Files::default());
    let service = document.and_then(|document| ServiceConfig::read(&document.root()));
    let service = service.map_err(LoadError::of("configuration"))?;
    let (place, answer) = match paths.listen.as_ref().unwrap_or(&service.bind) {
        Bind::Tcp(_, 0) => {
            let message = "the server takes port 0 (any free port), so where to ask is not known";
            return Err(Error::said(Exit::Failed, message));
        }
        Bind::Tcp(host, port) => {
            let host = match host.as_str() {
                "0.0.0.0" => "127.0.0.1",
                "::" | "[::]" => "::1",
                host => host.trim_start_matches('[').trim_end_matches(']'),
            };
            let place = format!("{host} port {port}");
            match &service.tls {
                None => (place, progress::during(WAITING, || connect(host, *port).and_then(ask))),
                #[cfg(feature = "tls")]
                Some(files) => {
                    let secure = crate::tls::connect_to_itself(files).map_err(LoadError::Tls)?;
                    let ask = || connect(host, *port).and_then(secure).and_then(ask);
                    (place, progress::during(WAITING, ask))
                }
                #[cfg(not(feature = "tls"))]
                Some(_) => return Err(Error::not_enabled(crate::tls::NOT_ENABLED)),
            }
        }
        Bind::Unix(path) => {
            (format!("unix:{}", path.display()), progress::during(WAITING, || ask_unix(path)))
        }
    };
    let message = match answer {
        Ok(status) if status.starts_with("HTTP/1.1 200 ") => return Ok(()),
        Ok(status) => format!("{place} answered `{}`", status.escape_debug()),
        Err(error) => format!("{place} does not answer: {error}"),
    };
    Err(Error::said(Exit::Failed, message))
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_unix(path: &Path) -> io::Result<String> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    ask(socket)
}

/// Asks, and gives back the status line.
fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    let end = Instant::now() + PATIENCE;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut part) = (Vec::new(), [0; 512]);
    while !answer.contains(&b'\n') && answer.len() < 4096 {
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().chars().take(100).collect())
}
