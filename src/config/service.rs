//! `service`: where `serve` listens, whom it trusts, how it logs.

use crate::document::{DocumentError, Node};
use crate::net::Network;
use std::path::PathBuf;

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

const KEYS: [&str; 5] = ["host", "port", "trusted_proxies", "allowed_services", "log"];

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
                    other => return Err(log.error(format!("expected `text` or `json`, found `{other}`"))),
                },
            },
        })
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
                    .map_err(|error| item.error(format!("`{text}` is no network: {error}")))?,
            ),
        }
    }
    Ok((networks, unix))
}

/// Whoever is on this host may speak for a user unless the configuration says otherwise. Not where passwords
/// are checked here: the proxy in front then often does nothing but TLS, and would hand on what its clients
/// say of themselves.
fn believed(passwords: bool) -> Vec<Network> {
    let networks: &[&str] = if passwords { &[] } else { &["127.0.0.0/8", "::1"] };
    networks.iter().filter_map(|text| text.parse().ok()).collect()
}
