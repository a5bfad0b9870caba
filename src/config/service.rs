//! `service`: where `serve` listens, whom it trusts, how it logs.

use super::tls;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::document::{DocumentError, Node};
use crate::ground::limits::Limits;
use crate::ground::net::{Bind, LOOPBACK, Network, NetworkError, Peers, host_of, is_local};
use crate::tls::TlsFiles;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The `service` section.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `host` and `port`
    pub bind: Bind,
    /// `socket_mode`: the permissions of the Unix socket's file.
    pub socket_mode: u16,
    /// `tls`: the server's certificate and key; `None` where it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// `trusted_proxies`: who may say who the user is.
    pub trusted_proxies: Peers,
    /// Whether the file lists them: without that list they are trusted for being on this host.
    pub lists_proxies: bool,
    /// `forwarded_by`: who may say for which client a request is passed on, beside `trusted_proxies`.
    pub forwarded_by: Peers,
    /// `hosts`: names of this service, beside `localhost`, under which those on this host may be trusted.
    pub hosts: Vec<String>,
    /// `allowed_services`: the audiences beside `audience` that a registry token may be for.
    pub allowed_services: Vec<String>,
    /// `log`
    pub log: LogFormat,
    /// `limits`: what one client may cost.
    pub limits: Limits,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `key=value`, for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) const KEYS: [&str; 10] = [
    "host",
    "port",
    "socket_mode",
    "tls",
    "trusted_proxies",
    "forwarded_by",
    "hosts",
    "allowed_services",
    "log",
    "limits",
];

/// Every audience that a registry's token may be for, the issuer's own first.
pub fn services<'s>(audience: &'s str, allowed: &'s [String]) -> impl Iterator<Item = &'s str> {
    std::iter::once(audience).chain(allowed.iter().map(String::as_str))
}

impl ServiceConfig {
    /// Reads the section from the root of a configuration.
    pub fn read(root: &Node<'_>) -> Result<Self, DocumentError> {
        let passwords = root.get("users_file").is_some();
        let service = root.section("service");
        service.allow_keys(&KEYS)?;
        let proxies = peers(&service, "trusted_proxies")?;
        let bind = bind(&service)?;
        Ok(Self {
            socket_mode: socket_mode(&service, &bind)?,
            tls: tls::files(&service, &bind)?,
            bind,
            lists_proxies: proxies.is_some(),
            trusted_proxies: proxies.unwrap_or_else(|| on_this_host(passwords)),
            forwarded_by: peers(&service, "forwarded_by")?.unwrap_or_default(),
            hosts: strings(&service, "hosts", |host| {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                let name = host_of(host) == Some(host) && host.chars().all(plain);
                name.then_some(())
                    .ok_or("expected a host name such as registry.example.com, without scheme or port")
            })?,
            allowed_services: strings(&service, "allowed_services", |_| Ok(()))?,
            log: match service.get("log") {
                None => LogFormat::default(),
                Some(log) => match log.string()? {
                    "json" => LogFormat::Json,
                    "text" => LogFormat::Text,
                    _ => {
                        return Err(log.error(format!("expected `text` or `json`, found {}", log.quoted())));
                    }
                },
            },
            limits: limits(&service)?,
        })
    }
}

impl ServiceConfig {
    /// The keys that differ from another configuration's and only take effect at the start.
    pub fn fixed_changes(&self, other: &Self) -> Vec<&'static str> {
        let differ = [
            ("service.host and service.port", self.bind != other.bind),
            ("service.tls (whether it is there)", self.tls.is_some() != other.tls.is_some()),
            ("service.socket_mode", self.socket_mode != other.socket_mode),
            ("service.log", self.log != other.log),
            ("service.limits", self.limits != other.limits),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// The address, where it is not of this host alone.
    pub fn open_address(&self) -> Option<&str> {
        match &self.bind {
            Bind::Tcp(host, _) if !is_local(host) => Some(host),
            Bind::Tcp(..) | Bind::Unix(_) => None,
        }
    }

    /// Warns where strangers could be among those who are believed.
    pub fn open_to_strangers(&self) -> Option<Diagnostic> {
        let lists = [
            ("trusted_proxies", &self.trusted_proxies, "says who the user is, and gets that user's tokens"),
            ("forwarded_by", &self.forwarded_by, "chooses the address under which wrong passwords count"),
        ];
        let open = lists.map(|(key, peers, power)| (key, peers.open(), power));
        let (key, peers, power) = open.into_iter().find(|(_, peers, _)| !peers.is_empty())?;
        Some(Diagnostic::advice(
            "proxies",
            format!(
                "service.{key} holds public networks: {peers}; anybody who can connect from there {power}"
            ),
            "name the proxy's own address, such as 10.0.0.5, or its network",
        ))
    }

    /// Warns where all who log in could share one address: that of a proxy on this host, which is most
    /// likely there where tokens are for another host.
    pub fn shares_one_address(&self, audience: &str) -> Option<Diagnostic> {
        let peers = match &self.bind {
            Bind::Unix(_) => vec![None],
            Bind::Tcp(host, _) if is_local(host) => LOOPBACK.map(Some).to_vec(),
            Bind::Tcp(..) => return None,
        };
        let forwards =
            |peer: &Option<IpAddr>| self.forwarded_by.hold(*peer) || self.trusted_proxies.hold(*peer);
        let alone = peers.iter().any(forwards) || host_of(audience).is_some_and(is_local);
        (!alone).then(shared_address)
    }
}

/// Many clients that look like one.
pub fn shared_address() -> Diagnostic {
    Diagnostic::advice(
        "clients",
        "all who log in through a proxy on this host share its address: whoever sends wrong passwords locks \
         the others out",
        "let the proxy set X-Forwarded-For, and list it: `forwarded_by: [127.0.0.1]` under `service`, or [unix]",
    )
}

const DEFAULT_HOST: &str = "0.0.0.0";
const DEFAULT_PORT: u16 = 8080;
const DEFAULT_SOCKET_MODE: u16 = 0o660;

fn bind(service: &Node<'_>) -> Result<Bind, DocumentError> {
    let host = match service.get("host") {
        None => DEFAULT_HOST,
        Some(host) => host.string()?,
    };
    let port = service.get("port");
    if let Some(path) = host.strip_prefix("unix:") {
        if let Some(port) = port {
            return Err(port.error("a Unix socket has no port").hint("leave `port` out"));
        }
        return match service.get("host") {
            Some(host) if !path.starts_with('/') => {
                Err(host.error("expected an absolute path after `unix:`, such as unix:/run/keypebble.sock"))
            }
            _ => Ok(Bind::Unix(path.into())),
        };
    }
    if let Some(node) = service.get("host").filter(|_| !is_host(host)) {
        let found = host.parse::<Bind>().map_or_else(|_| node.quoted(), |_| "one with a port".to_owned());
        let error = node.error(format!("expected an address or a name, found {found}"));
        return Err(error.hint("the port belongs in `service.port`; a Unix socket is unix:/PATH"));
    }
    let port = match port {
        None => u64::from(DEFAULT_PORT),
        Some(port) => port.integer(0, u64::from(u16::MAX))?,
    };
    Ok(Bind::Tcp(host.to_owned(), u16::try_from(port).unwrap_or(DEFAULT_PORT)))
}

/// Whether it is a name or an address alone, IPv6 with or without brackets and zone.
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.split('%').next().unwrap_or(bare);
    !text.contains([':', '/', '[', ' ']) || address.parse::<Ipv6Addr>().is_ok()
}

/// The permissions of the socket's file. Whoever may write it can connect; the server must be able to.
fn socket_mode(service: &Node<'_>, bind: &Bind) -> Result<u16, DocumentError> {
    let Some(node) = service.get("socket_mode") else { return Ok(DEFAULT_SOCKET_MODE) };
    if !matches!(bind, Bind::Unix(_)) {
        return Err(node.error("only a Unix socket has a mode").hint("leave `socket_mode` out"));
    }
    let text = node.string().map_err(|error| error.hint("write it in quotes, such as \"0660\""))?;
    let is_octal = matches!(text.len(), 3..=4) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    u16::from_str_radix(text, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o777 && mode & 0o600 == 0o600)
        .ok_or_else(|| {
            node.error(format!("expected an octal mode from 0600 to 0777, found {}", node.quoted()))
                .hint("\"0660\" lets the owner and the group connect, \"0600\" the owner alone")
        })
}

/// A list of networks, and perhaps `unix`; `None` where there is no such key.
fn peers(service: &Node<'_>, key: &str) -> Result<Option<Peers>, DocumentError> {
    let Some(list) = service.get(key) else { return Ok(None) };
    let mut peers = Peers::default();
    for item in list.items()? {
        match item.string()? {
            "unix" => peers.unix = true,
            text => peers.networks.push(text.parse().map_err(|error: NetworkError| {
                item.error(format!("{} is not a network: {error}", item.quoted()))
            })?),
        }
    }
    Ok(Some(peers))
}

/// A list of strings, each of which must be such.
fn strings(
    service: &Node<'_>,
    key: &str,
    check: fn(&str) -> Result<(), &'static str>,
) -> Result<Vec<String>, DocumentError> {
    let Some(list) = service.get(key) else { return Ok(Vec::new()) };
    let read = |item: Node<'_>| {
        let text = item.string()?;
        check(text).map_err(|expected| item.error(expected))?;
        Ok(text.to_owned())
    };
    list.items()?.map(read).collect()
}

/// Each limit has bounds of its own, within which the server's promises hold.
fn limits(service: &Node<'_>) -> Result<Limits, DocumentError> {
    let mut limits = Limits::default();
    let Some(node) = service.get("limits") else { return Ok(limits) };
    let counts = [
        ("connections", 1, 100_000, &mut limits.connections),
        ("head_bytes", 1024, 1024 * 1024, &mut limits.head_bytes),
        ("head_fields", 8, 1000, &mut limits.header_count),
        ("body_bytes", 1024, 1024 * 1024, &mut limits.body_bytes),
        ("large_requests", 1, 10_000, &mut limits.large_requests),
    ];
    let seconds = [
        ("head_seconds", &mut limits.head_deadline),
        ("body_seconds", &mut limits.body_deadline),
        ("write_seconds", &mut limits.write_deadline),
        ("idle_seconds", &mut limits.idle_deadline),
    ];
    let keys = counts.iter().map(|(key, ..)| *key).chain(seconds.iter().map(|(key, _)| *key));
    node.allow_keys(&keys.chain(["requests_per_connection"]).collect::<Vec<_>>())?;
    for (key, least, most, field) in counts {
        if let Some(number) = node.get(key) {
            *field = usize::try_from(number.integer(least, most)?).unwrap_or(usize::MAX);
        }
    }
    for (key, field) in seconds {
        if let Some(number) = node.get(key) {
            *field = Duration::from_secs(number.integer(1, 3600)?);
        }
    }
    if let Some(number) = node.get("requests_per_connection") {
        limits.requests_per_connection = u32::try_from(number.integer(1, 1_000_000_000)?).unwrap_or(u32::MAX);
    }
    Ok(limits)
}

/// Whoever is on this host may speak for a user unless the configuration says otherwise. Not where passwords
/// are checked here: the proxy in front then often does nothing but TLS, and would hand on what its clients
/// say of themselves.
fn on_this_host(passwords: bool) -> Peers {
    if passwords {
        Peers::default()
    } else {
        Peers { networks: LOOPBACK.map(Network::from).into(), unix: true }
    }
}
