//! Where to listen, networks as `service.trusted_proxies` lists them, and the hosts that `Host` names.
//!
//! Owns the text of a listening address, CIDR text and containment, and the host of an authority. Must not
//! know sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// This host, to itself.
pub const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether a host is this one, by any loopback address or by name.
pub fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

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

/// Why a text is no [`Bind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBind;

impl fmt::Display for NoBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected HOST:PORT, [IPv6]:PORT or unix:/PATH")
    }
}

impl std::error::Error for NoBind {}

impl FromStr for Bind {
    type Err = NoBind;

    /// The form that it is printed in.
    fn from_str(text: &str) -> Result<Self, NoBind> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(NoBind) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(NoBind)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = Some(port).filter(|_| digits).and_then(|port| port.parse().ok()).ok_or(NoBind)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().map(|_| address).map_err(|_| NoBind)?,
            None if host.is_empty() || host.contains([':', '[', ']', '/']) => return Err(NoBind),
            None => host,
        };
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

/// An address with a prefix length: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkError {
    /// Neither an IPv4 nor an IPv6 address before the slash.
    Address,
    /// The prefix length is no number, or more than the address has bits.
    Prefix,
    /// Bits are set beyond the prefix: `10.0.0.5/8` may mean the host or the network.
    HostBits,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkError::Address => "expected an address such as 10.0.0.5 or a network such as 10.0.0.0/8; names are not looked up",
            NetworkError::Prefix => "the prefix length after the slash is 0 to 32 for IPv4 and 0 to 128 for IPv6",
            NetworkError::HostBits => "bits are set beyond the prefix length: write the network's own address, or leave the prefix out for one host",
        })
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let mut address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        if !text.contains('/') {
            return Ok(address.into());
        }
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let digits = Some(prefix).filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix = digits.and_then(|digits| digits.parse().ok()).filter(|prefix| *prefix <= bits);
        let mut prefix = prefix.ok_or(NetworkError::Prefix)?;
        // IPv4 in the form of IPv6 (RFC 4291, 2.5.5.2) is IPv4, as peers are.
        if prefix >= 96 && address.to_canonical() != address {
            (address, prefix) = (address.to_canonical(), prefix - 96);
        }
        let network = Self { address, prefix };
        if network.masked(address) == Some(address) { Ok(network) } else { Err(NetworkError::HostBits) }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl Network {
    /// Whether the address is in this network; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.masked(address.to_canonical()) == Some(self.address)
    }

    /// Whether strangers have many of its addresses: a wide network that is none of this host's, of a private
    /// network's (RFC 1918, 4193), of a link's or of a carrier's (RFC 6598).
    pub fn is_open(&self) -> bool {
        const CLOSED: [&str; 6] =
            ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10", "fc00::/7", "fe80::/10"];
        let holds = |text: &&str| {
            let outer = text.parse::<Network>();
            outer.is_ok_and(|outer| outer.prefix <= self.prefix && outer.contains(self.address))
        };
        let wide = if self.address.is_ipv4() { 16 } else { 32 };
        self.prefix < wide && !CLOSED.iter().any(holds)
    }

    /// The address with the bits beyond the prefix cleared; `None` for the other family.
    fn masked(&self, address: IpAddr) -> Option<IpAddr> {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Some(IpAddr::V4((u32::from(address) & mask).into()))
            }
            (IpAddr::V6(_), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Some(IpAddr::V6((u128::from(address) & mask).into()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => self.address.fmt(f),
            (address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

/// Peers, as a configuration lists them: networks, and perhaps whoever comes through the Unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those that come over TCP.
    pub networks: Vec<Network>,
    /// Those on this host that come through the Unix socket.
    pub unix: bool,
}

impl Peers {
    /// Whether a peer is one of them; `None` is the Unix socket.
    pub fn hold(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| self.networks.iter().any(|network| network.contains(address)))
    }

    /// Those that strangers can be.
    #[must_use]
    pub fn open(&self) -> Self {
        Self { networks: self.networks.iter().copied().filter(Network::is_open).collect(), unix: false }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

impl fmt::Display for Peers {
    /// As a list, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix = self.unix.then(|| "unix".to_owned());
        let all: Vec<String> = self.networks.iter().map(Network::to_string).chain(unix).collect();
        f.write_str(&if all.is_empty() { "none".to_owned() } else { all.join(", ") })
    }
}

/// The host of an authority (RFC 3986, 3.2.2), such as `localhost:8080` or `[::1]`: without its port, and
/// for an IPv6 address without the brackets. `None` where it is no such text.
pub fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let digits = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (!host.is_empty() && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_address_reads_as_it_is_printed() {
        for text in ["localhost:0", "0.0.0.0:8080", "[::1]:443", "[::]:65535", "unix:/run/keypebble.sock"] {
            assert_eq!(text.parse::<Bind>().map(|bind| bind.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "8080",
            ":8080",
            "host:",
            "host:65536",
            "host:+1",
            "::1:80",
            "[host]:80",
            "[::1]",
            "[::1]80",
            "http://host:80",
            "unix:run",
            "unix:",
            "a/b:80",
        ] {
            assert_eq!(text.parse::<Bind>(), Err(NoBind), "{text}");
        }
    }

    #[test]
    fn a_network_contains_its_own() {
        for (network, address, inside) in [
            ("127.0.0.0/8", "127.1.2.3", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
            ("fd00::/8", "fd12::1", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.2", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::ffff:0:0/96", "8.8.8.8", true),
            ("::/0", "8.8.8.8", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, error) in [
            ("", NetworkError::Address),
            ("localhost", NetworkError::Address),
            ("10.0.0", NetworkError::Address),
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/", NetworkError::Prefix),
            ("10.0.0.0/+8", NetworkError::Prefix),
            ("::/129", NetworkError::Prefix),
            ("10.0.0.5/8", NetworkError::HostBits),
            ("::ffff:10.0.0.5/104", NetworkError::HostBits),
            ("::ffff:10.0.0.5/95", NetworkError::HostBits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
    #[test]
    fn a_network_is_written_as_it_is_meant() {
        for (text, written) in
            [("::ffff:127.0.0.1", "127.0.0.1"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::1/128", "::1")]
        {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), written);
        }
        let unix = Peers { networks: vec!["10.0.0.5".parse().unwrap()], unix: true };
        assert_eq!(
            (unix.to_string(), Peers::default().to_string()),
            ("10.0.0.5, unix".into(), "none".into())
        );
    }

    #[test]
    fn wide_networks_of_strangers_are_open() {
        for (network, open) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("128.0.0.0/1", true),
            ("::ffff:0:0/96", true),
            ("2000::/3", true),
            ("104.16.0.0/13", true),
            ("10.0.0.0/8", false),
            ("172.16.0.0/12", false),
            ("172.0.0.0/11", true),
            ("192.168.0.0/16", false),
            ("127.0.0.0/8", false),
            ("fd00::/8", false),
            ("203.0.113.5", false),
            ("2001:db8::/32", false),
        ] {
            let peers = Peers { networks: vec![network.parse().unwrap()], unix: true };
            assert_eq!(peers.open().is_empty(), !open, "{network}");
        }
    }

    #[test]
    fn an_authority_has_a_host() {
        for (authority, host) in [
            ("localhost", Some("localhost")),
            ("localhost:8080", Some("localhost")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("[::1]", Some("::1")),
            ("::1", None),
            ("", None),
            (":80", None),
            ("[]:80", None),
            ("[::1", None),
            ("[::1]x", None),
            ("localhost:http", None),
            ("localhost:80:80", None),
            ("user@localhost", Some("user@localhost")),
        ] {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }
}
