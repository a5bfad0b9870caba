//! Where the server listens.
//!
//! Owns addresses, the bound socket and the file of a Unix socket. Must not know what is served.
//! Decision: a socket file is replaced only if nobody answers on it, and removed only if it still is ours.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What the kernel holds of answers that a client has not read, in bytes: enough for any of ours.
const SEND_BUFFER: usize = 64 * 1024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A host name or address (IPv6 with or without brackets), and a port; 0 takes a free one.
    Tcp(String, u16),
    /// The path of a Unix socket, made at start and removed at the end.
    Unix(PathBuf),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') && !host.starts_with('[') => {
                write!(f, "[{host}]:{port}")
            }
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the server listens in fact; displayed as `http://127.0.0.1:8080` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP, with the port that was taken.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug)]
pub struct BindError {
    /// Where it was to listen.
    pub bind: Bind,
    /// What stands in the way.
    pub kind: BindErrorKind,
}

/// What stands in the way of listening.
#[derive(Debug)]
pub enum BindErrorKind {
    /// Something listens there already.
    InUse,
    /// A port below 1024, or a folder that is not ours.
    Denied,
    /// The host has no address, or none of this machine's.
    NoSuchAddress,
    /// The path does not fit a socket address (108 bytes on Linux).
    PathTooLong,
    /// The socket's folder does not exist.
    NoFolder,
    /// The path is taken by something other than a socket.
    NotASocket,
    /// Anything else.
    Other(io::Error),
}

impl BindError {
    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match (&self.kind, &self.bind) {
            (BindErrorKind::InUse, Bind::Tcp(..)) => "stop what listens there, or set another service.port",
            (BindErrorKind::InUse, Bind::Unix(_)) => {
                "stop the server that listens there, or set another path"
            }
            (BindErrorKind::Denied, Bind::Tcp(..)) => {
                "ports below 1024 need CAP_NET_BIND_SERVICE; set service.port to 1024 or above"
            }
            (BindErrorKind::Denied, Bind::Unix(_)) => "the socket's folder must be writable to this user",
            (BindErrorKind::NoSuchAddress, _) => {
                "service.host must be an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::"
            }
            (BindErrorKind::PathTooLong, _) => "a socket's path has at most 107 bytes",
            (BindErrorKind::NoFolder, _) => "make the folder first",
            (BindErrorKind::NotASocket, _) => "remove the file, or set another path",
            (BindErrorKind::Other(_), _) => return None,
        })
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.bind)?;
        f.write_str(match &self.kind {
            BindErrorKind::InUse => "the address is in use",
            BindErrorKind::Denied => "permission denied",
            BindErrorKind::NoSuchAddress => "no such address",
            BindErrorKind::PathTooLong => "the path is too long",
            BindErrorKind::NoFolder => "the folder does not exist",
            BindErrorKind::NotASocket => "the path is not a socket",
            BindErrorKind::Other(_) => "the system refused",
        })
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            BindErrorKind::Other(error) => Some(error),
            _ => None,
        }
    }
}

/// A listening socket and its address.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: Socket,
    pub(super) address: Address,
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

pub(super) fn bind(bind: &Bind) -> Result<Bound, BindError> {
    let bound = match bind {
        Bind::Tcp(host, port) => bind_tcp(host, *port),
        Bind::Unix(path) => bind_unix(path),
    };
    bound.map_err(|kind| BindError { bind: bind.clone(), kind })
}

fn bind_tcp(host: &str, port: u16) -> Result<Bound, BindErrorKind> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => (host, port).to_socket_addrs().map_err(|_| BindErrorKind::NoSuchAddress)?.collect(),
    };
    let mut failure = BindErrorKind::NoSuchAddress;
    for address in addresses {
        match listen_tcp(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error.into(),
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
    Ok(Bound { socket, address: Address::Tcp(local), file: None })
}

fn bind_unix(path: &Path) -> Result<Bound, BindErrorKind> {
    let address = SockAddr::unix(path).map_err(|_| BindErrorKind::PathTooLong)?;
    if let Ok(file) = std::fs::symlink_metadata(path) {
        if !file.file_type().is_socket() {
            return Err(BindErrorKind::NotASocket);
        }
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A live server with a full backlog must not make this one wait.
        probe.set_nonblocking(true)?;
        match probe.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error.into()),
            _ => return Err(BindErrorKind::InUse),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    let file = identity(path).map(|identity| SocketFile { path: path.to_owned(), identity });
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Bound { socket, address: Address::Unix(path.to_owned()), file })
}

impl From<io::Error> for BindErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress,
            io::ErrorKind::NotFound => Self::NoFolder,
            _ => Self::Other(error),
        }
    }
}
