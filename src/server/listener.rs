//! Where the server listens.
//!
//! Owns the bound socket, its address and the file of a Unix socket. Must not know what is served.
//! Decision: a socket file is replaced only if nobody answers on it, and removed only if it still is ours.

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::ground::net::Bind;
use crate::ground::sys;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What the kernel holds of answers that a client has not read, in bytes: enough for any of ours.
const SEND_BUFFER: usize = 64 * 1024;

/// Why the server cannot listen.
#[derive(Debug)]
pub struct BindError {
    pub(super) bind: Bind,
    pub(super) error: io::Error,
}

impl BindError {
    /// What stands in the way, and what the operator can do about it, where that is known.
    fn known(&self) -> Option<(&'static str, &'static str)> {
        Some(match (self.error.kind(), &self.bind) {
            (ErrorKind::AddrInUse, Bind::Tcp(..)) => {
                let hint = "stop what listens there, or set another service.port, which the registry's `realm` \
                            must then name, too";
                ("the address is in use", hint)
            }
            (ErrorKind::AddrInUse, Bind::Unix(_)) => {
                ("the address is in use", "stop the server that listens there, or set another path")
            }
            (ErrorKind::PermissionDenied, Bind::Tcp(..)) => (
                "permission denied",
                "ports below 1024 need CAP_NET_BIND_SERVICE; set service.port to 1024 or above",
            ),
            (ErrorKind::PermissionDenied, Bind::Unix(_)) => {
                ("permission denied", "the socket's folder must be writable to this user")
            }
            (ErrorKind::AddrNotAvailable, _) => (
                "no such address",
                "service.host must be an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::",
            ),
            (ErrorKind::InvalidInput, _) => ("the path is too long", "a socket's path has at most 107 bytes"),
            (ErrorKind::NotFound, _) => ("the folder does not exist", "make the folder first"),
            (ErrorKind::AlreadyExists, _) => {
                ("the path is not a socket", "remove the file, or set another path")
            }
            _ => return None,
        })
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        self.known().map(|(_, hint)| hint)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.bind)?;
        match self.known() {
            Some((problem, _)) => f.write_str(problem),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

/// A listening socket and its address.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: Socket,
    /// As it is displayed.
    pub(super) address: String,
    pub(super) file: Option<SocketFile>,
}

/// A Unix socket's file, removed when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have replaced it meanwhile.
        if identity(&self.path) == Some(self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

pub(super) fn bind(bind: &Bind, socket_mode: u16) -> Result<Bound, BindError> {
    let bound = match bind {
        Bind::Tcp(host, port) => bind_tcp(host, *port),
        Bind::Unix(path) => bind_unix(path, socket_mode),
    };
    bound.map_err(|error| BindError { bind: bind.clone(), error })
}

fn bind_tcp(host: &str, port: u16) -> io::Result<Bound> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut failure = ErrorKind::AddrNotAvailable.into();
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => (host, port).to_socket_addrs().map_or(Vec::new(), Iterator::collect),
    };
    for address in addresses {
        match listen_tcp(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn listen_tcp(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for the old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` is every address, IPv4 too.
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it on Linux: an answer is one write and must not wait for company.
    socket.set_tcp_nodelay(true)?;
    // So is this: the kernel would hold megabytes of answers for each client that reads none.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Bound { socket, address: format!("http://{local}"), file: None })
}

fn bind_unix(path: &Path, mode: u16) -> io::Result<Bound> {
    let address = SockAddr::unix(path).map_err(|_| ErrorKind::InvalidInput)?;
    if let Ok(file) = std::fs::symlink_metadata(path) {
        if !file.file_type().is_socket() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A live server with a full backlog must not make this one wait.
        probe.set_nonblocking(true)?;
        match probe.connect(&address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
            _ => return Err(ErrorKind::AddrInUse.into()),
        }
    }
    let socket = with_mode(Socket::new(Domain::UNIX, Type::STREAM, None)?, mode);
    // Only others' bits, so that a folder which another thread makes at this moment can be entered.
    sys::with_umask(!mode & 0o077, || socket.bind(&address))?;
    let file = identity(path).map(|identity| SocketFile { path: path.to_owned(), identity });
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Bound { socket, address: format!("unix:{}", path.display()), file })
}

/// The socket, whose file will have these permissions at the most. Linux makes the file with the permissions of
/// the socket itself, less the umask; other systems refuse, and have the umask alone.
fn with_mode(socket: Socket, mode: u16) -> Socket {
    let file = File::from(OwnedFd::from(socket));
    let _ = file.set_permissions(Permissions::from_mode(mode.into()));
    OwnedFd::from(file).into()
}
