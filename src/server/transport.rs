//! The one file that names `tiny_http`: a connection accepted, and the requests that it reads from it.
//!
//! Owns the two handles of a connection: `tiny_http`'s, and a descriptor of our own for the same socket.
//! Must not know limits or what a request means. Decision: `tiny_http` hides the socket it accepts, and
//! only with the socket can a head be examined first, a deadline be kept or a refusal be written; so
//! its descriptor is found (it takes the lowest free number) and duplicated, and checked to be ours.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use socket2::Socket;
use tiny_http::{HTTPVersion, Listener, SslContextWrap};

use super::framing::Head;
use super::sys;
use crate::http::request::Peer;

/// The listening socket, as `tiny_http` takes it.
pub(super) struct Acceptor {
    listener: Listener,
    plain: SslContextWrap,
    local: SocketKey,
}

/// What a socket must share with the listener to have been accepted by it.
#[derive(Debug, PartialEq, Eq)]
enum SocketKey {
    Port(u16),
    Path(std::path::PathBuf),
}

/// A connection: who, our descriptor, and `tiny_http`'s requests.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) peer: Peer,
    pub(super) cookie: u64,
    pub(super) requests: Requests,
}

/// The requests of one connection, in order.
pub(super) struct Requests {
    next: Box<dyn FnMut() -> Option<tiny_http::Request> + Send>,
    remote: Option<SocketAddr>,
}

/// One request that `tiny_http` has read. It answers nothing by itself, not even when dropped.
pub(super) struct Parsed(Option<tiny_http::Request>);

impl Acceptor {
    /// Takes a bound, listening, non-blocking socket.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let local = SocketKey::of(&socket)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "unknown address family"))?;
        let listener = match local {
            SocketKey::Port(_) => Listener::Tcp(socket.into()),
            SocketKey::Path(_) => Listener::Unix(socket.into()),
        };
        let plain = SslContextWrap::build_ssl_capabilities(None)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { listener, plain, local })
    }

    pub(super) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Accepts one connection; `WouldBlock` where none waits. `knows` tells the sockets that are served.
    pub(super) fn accept(&self, knows: impl Fn(u64) -> bool) -> io::Result<Accepted> {
        let guess = sys::next_descriptor(&self.listener)?;
        // tiny_http unwraps the duplication of the socket, which fails when descriptors run out.
        let accepted = catch_unwind(AssertUnwindSafe(|| {
            tiny_http::Server::accept_connection(&self.listener, &self.plain)
        }));
        let mut connection = match accepted {
            Ok(Ok(Some(connection))) => connection,
            Ok(Ok(None)) => return Err(io::Error::other("no connection")),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, "no descriptor for the connection"));
            }
        };
        let socket =
            self.find(guess, knows).ok_or_else(|| io::Error::other("the accepted socket was not found"))?;
        let cookie = cookie(&socket);
        let remote = socket.peer_addr().ok().and_then(|address| address.as_socket());
        let peer = match remote {
            Some(address) => Peer::Ip(address.ip().to_canonical()),
            None if matches!(self.local, SocketKey::Path(_)) => Peer::Unix,
            None => return Err(io::Error::other("the peer has gone")),
        };
        if !cfg!(target_os = "linux") {
            // Linux inherits the one and not the other; elsewhere it is the other way round.
            socket.set_nonblocking(false)?;
            let _ = socket.set_tcp_nodelay(true);
        }
        let next = Box::new(move || connection.next().and_then(Result::ok));
        Ok(Accepted { socket: socket.into(), peer, cookie, requests: Requests { next, remote } })
    }

    /// Duplicates the socket that was just accepted. `guess` was the lowest free number, so if it is a
    /// connection to this listener now, it is the new one: only this thread makes such. Where another
    /// thread closed or opened something in that instant, the new one is the one not known.
    fn find(&self, guess: i32, knows: impl Fn(u64) -> bool) -> Option<Socket> {
        let ours = |number| {
            let socket = Socket::from(sys::duplicate(number).ok()?);
            let fits = SocketKey::of(&socket)? == self.local && !listens(&socket)?;
            fits.then_some(socket)
        };
        let unknown = |socket: &Socket| cfg!(target_os = "linux") && !knows(cookie(socket));
        ours(guess).or_else(|| (0..guess + 64).filter_map(ours).find(unknown))
    }
}

/// Whether a socket listens rather than being connected. Apple's systems don't tell, but a listener has no
/// peer.
fn listens(socket: &Socket) -> Option<bool> {
    #[cfg(target_vendor = "apple")]
    return Some(socket.peer_addr().is_err());
    #[cfg(not(target_vendor = "apple"))]
    return socket.is_listener().ok();
}

/// The number by which Linux tells sockets apart, never used twice.
fn cookie(socket: &Socket) -> u64 {
    #[cfg(target_os = "linux")]
    return socket.cookie().unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    return std::os::fd::AsRawFd::as_raw_fd(socket).unsigned_abs().into();
}

impl SocketKey {
    fn of(socket: &Socket) -> Option<Self> {
        let local = socket.local_addr().ok()?;
        match local.as_socket() {
            Some(address) => Some(Self::Port(address.port())),
            None => local.as_pathname().map(|path| Self::Path(path.to_owned())),
        }
    }
}

impl Requests {
    /// Reads the next request, which is known to be `head`; `None` if `tiny_http` read anything else, and
    /// then the connection cannot be trusted any more.
    pub(super) fn next(&mut self, head: &Head<'_>) -> Option<Parsed> {
        let request = Parsed((self.next)());
        request.is(head, self.remote).then_some(request)
    }
}

impl Parsed {
    /// The two parsers must agree, or one of them is being fooled. `tiny_http` doesn't let its header
    /// fields be listed, only asked for; these are the ones that decide where a request ends.
    fn is(&self, head: &Head<'_>, remote: Option<SocketAddr>) -> bool {
        let Some(request) = &self.0 else { return false };
        let version = if head.old { HTTPVersion(1, 0) } else { HTTPVersion(1, 1) };
        let framing = ["Content-Length", "Transfer-Encoding", "Connection", "Expect", "Host"];
        request.method().as_str() == head.method
            && request.url() == head.target
            && *request.http_version() == version
            && request.remote_addr() == remote.as_ref()
            && framing.iter().all(|name| {
                request.headers().get(name).map(tiny_http::HeaderFieldValue::as_str)
                    == head.values(name).next()
            })
    }

    /// The body; asking for it sends 100 Continue where the client waits for that.
    pub(super) fn body(&mut self) -> Option<&mut dyn Read> {
        Some(self.0.as_mut()?.as_reader())
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        // A request that is dropped answers 500; one whose writer was taken doesn't.
        if let Some(request) = self.0.take() {
            drop(request.into_writer());
        }
    }
}
