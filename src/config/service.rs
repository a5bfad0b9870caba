//! `service`: where `serve` listens, whom it trusts, how it logs.

use crate::ground::document::{DocumentError, Node};
use crate::ground::net::Network;
use crate::server::Limits;
use std::path::PathBuf;
use std::time::Duration;

/// The `service` section.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `host` and `port`
    pub bind: Bind,
    /// `trusted_proxies`: who may say who the user is.
    pub trusted_proxies: Vec<Network>,
    /// Whether whoever comes through the Unix socket may, too.
    pub trusts_unix: bool,
    /// `allowed_services`: the audiences beside `audience` that a registry token may be for.
    pub allowed_services: Vec<String>,
    /// `log`
    pub log: LogFormat,
    /// `limits`: what one client may cost.
    pub limits: Limits,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A host name or address, and a port; port 0 takes a free one.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
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

const KEYS: [&str; 6] = ["host", "port", "trusted_proxies", "allowed_services", "log", "limits"];

impl ServiceConfig {
    /// Reads the section from the root of a configuration.
    pub fn read(root: &Node<'_>) -> Result<Self, DocumentError> {
        let passwords = root.get("users_file").is_some();
        let Some(service) = root.get("service") else {
            return Ok(Self {
                bind: Bind::Tcp(DEFAULT_HOST.to_owned(), DEFAULT_PORT),
                trusted_proxies: believed(passwords),
                trusts_unix: !passwords,
                allowed_services: Vec::new(),
                log: LogFormat::default(),
                limits: Limits::default(),
            });
        };
        service.allow_keys(&KEYS)?;
        let (trusted_proxies, trusts_unix) = trusted_proxies(&service, passwords)?;
        Ok(Self {
            bind: bind(&service)?,
            trusted_proxies,
            trusts_unix,
            allowed_services: match service.get("allowed_services") {
                None => Vec::new(),
                Some(list) => {
                    list.items()?.map(|item| item.string().map(str::to_owned)).collect::<Result<_, _>>()?
                }
            },
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
            ("service.log", self.log != other.log),
            ("service.limits", self.limits != other.limits),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

const DEFAULT_HOST: &str = "0.0.0.0";
const DEFAULT_PORT: u16 = 8080;

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
    let port = match port {
        None => u64::from(DEFAULT_PORT),
        Some(port) => port.integer(0, u64::from(u16::MAX))?,
    };
    Ok(Bind::Tcp(host.to_owned(), u16::try_from(port).unwrap_or(DEFAULT_PORT)))
}

/// The networks, and whether the Unix socket is trusted: always where no password is checked here, else only
/// if `unix` is listed.
fn trusted_proxies(service: &Node<'_>, passwords: bool) -> Result<(Vec<Network>, bool), DocumentError> {
    let Some(list) = service.get("trusted_proxies") else { return Ok((believed(passwords), !passwords)) };
    let (mut networks, mut unix) = (Vec::new(), !passwords);
    for item in list.items()? {
        match item.string()? {
            "unix" => unix = true,
            text => networks.push(
                text.parse::<Network>()
                    .map_err(|error| item.error(format!("{} is no network: {error}", item.quoted())))?,
            ),
        }
    }
    Ok((networks, unix))
}

/// Each limit has bounds of its own, within which the server's promises hold.
fn limits(service: &Node<'_>) -> Result<Limits, DocumentError> {
    let mut limits = Limits::default();
    let Some(node) = service.get("limits") else { return Ok(limits) };
    node.allow_keys(&[
        "connections",
        "head_bytes",
        "head_fields",
        "body_bytes",
        "large_requests",
        "head_seconds",
        "body_seconds",
        "write_seconds",
        "idle_seconds",
        "requests_per_connection",
    ])?;
    let count = |key, least, most, field: &mut usize| -> Result<(), DocumentError> {
        if let Some(number) = node.get(key) {
            *field = usize::try_from(number.integer(least, most)?).unwrap_or(usize::MAX);
        }
        Ok(())
    };
    count("connections", 1, 100_000, &mut limits.connections)?;
    count("head_bytes", 1024, 1024 * 1024, &mut limits.head_bytes)?;
    count("head_fields", 8, 1000, &mut limits.header_count)?;
    count("body_bytes", 1024, 1024 * 1024, &mut limits.body_bytes)?;
    count("large_requests", 1, 10_000, &mut limits.large_requests)?;
    let seconds = |key, field: &mut Duration| -> Result<(), DocumentError> {
        if let Some(number) = node.get(key) {
            *field = Duration::from_secs(number.integer(1, 3600)?);
        }
        Ok(())
    };
    seconds("head_seconds", &mut limits.head_deadline)?;
    seconds("body_seconds", &mut limits.body_deadline)?;
    seconds("write_seconds", &mut limits.write_deadline)?;
    seconds("idle_seconds", &mut limits.idle_deadline)?;
    if let Some(number) = node.get("requests_per_connection") {
        limits.requests_per_connection = u32::try_from(number.integer(1, 1_000_000_000)?).unwrap_or(u32::MAX);
    }
    Ok(limits)
}

/// Whoever is on this host may speak for a user unless the configuration says otherwise. Not where passwords
/// are checked here: the proxy in front then often does nothing but TLS, and would hand on what its clients
/// say of themselves.
fn believed(passwords: bool) -> Vec<Network> {
    let networks: &[&str] = if passwords { &[] } else { &["127.0.0.0/8", "::1"] };
    networks.iter().filter_map(|text| text.parse().ok()).collect()
}
