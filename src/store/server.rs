//! Where a PostgreSQL server is, and how it is trusted: `postgres://USER@HOST:PORT/DATABASE?sslmode=...`
//!
//! Owns the form of the URL, which is libpq's (PostgreSQL manual, 34.1.1.2 and 34.1.2), as far as it is of use
//! here. Decision: what libpq leaves to luck is refused: a password in the URL, which is seen wherever the
//! configuration is, and the modes that fall back to no encryption.

use crate::ground::net::is_local;
use crate::ground::percent;
use std::fmt;
use std::path::{Path, PathBuf};

/// A server, or several of which one can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where to look, in this order.
    pub hosts: Vec<Host>,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// How the connection is protected.
    pub mode: TlsMode,
    /// `sslrootcert`: certificates in PEM that the server's stands on; without it, the system's.
    pub roots: Option<PathBuf>,
    /// `passfile`; without it `PGPASSFILE` of the environment.
    pub passfile: Option<PathBuf>,
}

/// One place where a server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, and a port.
    Tcp(String, u16),
    /// A folder with Unix sockets, and the port that is in the socket's name.
    Unix(PathBuf, u16),
}

/// `sslmode`, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain: for Unix sockets and networks that nobody else is in.
    Disable,
    /// Encrypted, but whoever answers is taken for the server.
    Require,
    /// The certificate stands on a root, for whatever name.
    VerifyCa,
    /// The certificate is that of the host: the default, but on this host.
    VerifyFull,
}

const DEFAULT_PORT: u16 = 5432;

impl Server {
    /// Reads a URL; paths in it are relative to `folder`. An error is what is wrong and what to do about it, and
    /// quotes nothing of a password.
    pub fn parse(url: &str, folder: &Path) -> Result<Self, [String; 2]> {
        let wrong = |what: &str, hint: &str| Err([what.to_owned(), hint.to_owned()]);
        let Some(rest) = url.strip_prefix("postgres://").or(url.strip_prefix("postgresql://")) else {
            return wrong("expected postgres://USER@HOST/DATABASE", FORM);
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let Some((user, hosts)) = authority.rsplit_once('@') else {
            return wrong("the URL names no user", FORM);
        };
        if user.contains(':') {
            return wrong(
                "the URL holds a password, where it is seen by whoever sees the configuration",
                "write it to a file of mode 600, as `HOST:PORT:DATABASE:USER:PASSWORD`, and add ?passfile=PATH",
            );
        }
        let decoded =
            |text: &str| decode(text).ok_or(["a % without two hex digits".to_owned(), FORM.to_owned()]);
        let (user, database) = (decoded(user)?, decoded(database)?);
        if user.is_empty() || database.is_empty() {
            return wrong("the URL names no user, or no database", FORM);
        }
        let mut server = Self {
            hosts: Vec::new(),
            user,
            database,
            mode: TlsMode::VerifyFull,
            roots: None,
            passfile: None,
        };
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            server.hosts.push(
                host_of(host)
                    .ok_or_else(|| ["a host of the URL cannot be read".to_owned(), FORM.to_owned()])?,
            );
        }
        let (mut mode, mut seen) = (None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name != "host" && seen.contains(&name) {
                return wrong("a parameter of the URL stands twice", "leave one of the two out");
            }
            seen.push(name);
            let value = decoded(value)?;
            match name {
                "sslmode" => mode = Some(TlsMode::from_name(&value)?),
                "sslrootcert" => server.roots = Some(folder.join(value)),
                "passfile" => server.passfile = Some(folder.join(value)),
                "host" if value.starts_with('/') => server.hosts.push(Host::Unix(value.into(), DEFAULT_PORT)),
                "password" => {
                    return wrong("the URL holds a password", "write it to a file, and add ?passfile=PATH");
                }
                _ => {
                    return wrong(
                        &format!("the URL has a parameter that is not known here: {name}"),
                        "the parameters are sslmode, sslrootcert, passfile, and host for a folder of Unix sockets",
                    );
                }
            }
        }
        if server.hosts.is_empty() {
            return wrong("the URL names no host", FORM);
        }
        let plain = server.hosts.iter().all(Host::is_near) && server.roots.is_none();
        server.mode = match (mode, &server.roots) {
            (None, _) if plain => TlsMode::Disable,
            (None, _) => TlsMode::VerifyFull,
            // As in libpq: whoever names a root wants it looked at.
            (Some(TlsMode::Require), Some(_)) => TlsMode::VerifyCa,
            (Some(TlsMode::Disable), Some(_)) => {
                return wrong("sslrootcert does nothing with sslmode=disable", "leave one of the two out");
            }
            (Some(mode), _) => mode,
        };
        Ok(server)
    }
}

const FORM: &str = "such as postgres://keypebble@db.example.com/keypebble, or postgres://keypebble@/keypebble?host=/run/postgresql";

impl Host {
    /// Whether it is on this host.
    pub fn is_near(&self) -> bool {
        match self {
            Host::Tcp(name, _) => is_local(name),
            Host::Unix(..) => true,
        }
    }
}

impl TlsMode {
    const ALL: [(&str, Self); 4] = [
        ("disable", Self::Disable),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    fn from_name(name: &str) -> Result<Self, [String; 2]> {
        if let Some((_, mode)) = Self::ALL.iter().find(|(known, _)| *known == name) {
            return Ok(*mode);
        }
        let what = if matches!(name, "allow" | "prefer") {
            format!("sslmode={name} falls back to no encryption whenever somebody wants it to")
        } else {
            "sslmode is unknown".to_owned()
        };
        Err([what, "the modes are disable, require, verify-ca and verify-full".to_owned()])
    }
}

/// `host`, `host:port`, `[::1]:port`
fn host_of(text: &str) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, port.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse).ok()?;
    let name = decode(name)?;
    if name.starts_with('/') { Some(Host::Unix(name.into(), port)) } else { Some(Host::Tcp(name, port)) }
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(percent::decode(text.bytes())?).ok().filter(|text| !text.contains('\0'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Tcp(name, port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Host::Tcp(name, port) => write!(f, "{name}:{port}"),
            Host::Unix(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        write!(f, "postgres {} on {}", self.database, hosts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, [String; 2]> {
        Server::parse(url, Path::new("/etc"))
    }

    #[test]
    fn a_url_says_where_who_and_how() {
        for (url, shown, mode) in [
            ("postgres://u@db.example.com/d", "postgres d on db.example.com:5432", TlsMode::VerifyFull),
            ("postgresql://u@a:1,[fd00::2]:3/d", "postgres d on a:1, [fd00::2]:3", TlsMode::VerifyFull),
            ("postgres://u@127.0.0.1/d", "postgres d on 127.0.0.1:5432", TlsMode::Disable),
            ("postgres://u@127.0.0.1/d?sslmode=verify-ca", "postgres d on 127.0.0.1:5432", TlsMode::VerifyCa),
            ("postgres://u@/d?host=/run", "postgres d on /run/.s.PGSQL.5432", TlsMode::Disable),
            ("postgres://u@%2Frun:7/d", "postgres d on /run/.s.PGSQL.7", TlsMode::Disable),
            ("postgres://u@127.0.0.1,b/d", "postgres d on 127.0.0.1:5432, b:5432", TlsMode::VerifyFull),
            ("postgres://u@b/d?sslmode=disable", "postgres d on b:5432", TlsMode::Disable),
            ("postgres://u@b/d?sslmode=require", "postgres d on b:5432", TlsMode::Require),
            ("postgres://u@b/d?sslmode=require&sslrootcert=ca", "postgres d on b:5432", TlsMode::VerifyCa),
            ("postgres://u@b/d?sslrootcert=ca&sslmode=require", "postgres d on b:5432", TlsMode::VerifyCa),
            ("postgres://u@localhost/d?sslrootcert=ca", "postgres d on localhost:5432", TlsMode::VerifyFull),
        ] {
            let server = parse(url).unwrap();
            assert_eq!((server.to_string().as_str(), server.mode), (shown, mode), "{url}");
        }
        let server = parse("postgres://a%40b@h/d?sslrootcert=ca.pem&passfile=/p").unwrap();
        assert_eq!(server.user, "a@b");
        assert_eq!((server.roots, server.passfile), (Some("/etc/ca.pem".into()), Some("/p".into())));
    }

    #[test]
    fn what_libpq_leaves_to_luck_is_refused_and_no_password_is_quoted() {
        for url in [
            "mysql://u@h/d",
            "postgres://h/d",
            "postgres://u@/d",
            "postgres://u@h/",
            "postgres://u@h:x/d",
            "postgres://u:hunter2@h/d",
            "postgres://u@h/d?password=hunter2",
            "postgres://u@h/d?sslmode=prefer",
            "postgres://u@h/d?sslmode=hunter2",
            "postgres://u@h/d?options=x",
            "postgres://u@h/d?sslmode=verify-full&sslmode=disable",
            "postgres://u@h/d?sslmode=disable&sslrootcert=ca",
            "postgres://u%zz@h/d",
            "postgres://u@h/d%00",
        ] {
            let [what, hint] = parse(url).expect_err(url);
            assert!(!what.is_empty() && !hint.is_empty());
            assert!(!format!("{what}{hint}").contains("hunter2"), "{url}: {what}");
        }
    }
}
