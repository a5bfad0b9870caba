//! Whom to believe: trusted proxies, those that pass requests on, and this host's own programs.
//!
//! Owns which peers those are, and the one rule for a request's `Host`, `Origin` and `Sec-Fetch-Site`. Must
//! not know users. Decision: whoever the configuration lists is believed as it stands. Without a list this
//! host is trusted, but a web browser on it runs other people's programs: a page can reach a loopback
//! address, by its name or, if its own name is made to mean that address (DNS rebinding), as its own server.
//! Browsers say under which name they came and which page sent them, and neither can be set by that page.

use super::refusal::Refusal;
use super::request::{Peer, Request};
use crate::config::ServiceConfig;
use crate::ground::net::{Peers, host_of};
use std::net::IpAddr;

/// Who may say who the user is, and for which client a request is passed on.
#[derive(Debug, Clone)]
pub struct Trust {
    proxies: Peers,
    /// Whether the configuration lists them.
    listed: bool,
    forwarders: Peers,
    hosts: Vec<String>,
}

impl Trust {
    /// As a configuration says.
    pub fn new(service: &ServiceConfig) -> Self {
        Self {
            proxies: service.trusted_proxies.clone(),
            listed: service.lists_proxies,
            forwarders: service.forwarded_by.clone(),
            hosts: service.hosts.clone(),
        }
    }

    /// Whether this peer is believed when it says who the user is.
    pub(super) fn covers(&self, peer: Peer) -> bool {
        self.proxies.hold(peer.address())
    }

    /// Whether this peer is believed when it says for which client it passes a request on.
    pub(super) fn forwards(&self, peer: Peer) -> bool {
        self.proxies.hold(peer.address()) || self.forwarders.hold(peer.address())
    }

    /// Whether this request may use the trust in its peer: an error where a web page could have made it.
    pub(super) fn admits(&self, request: &Request<'_>) -> Result<bool, Refusal> {
        if !self.covers(request.peer) {
            return Ok(false);
        }
        if self.listed || request.peer == Peer::Unix {
            return Ok(true);
        }
        let host = request.header_text("Host")?.unwrap_or_default();
        let is_own = |name: &str| {
            name.parse::<IpAddr>().is_ok()
                || name.eq_ignore_ascii_case("localhost")
                || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        if !host_of(host).is_some_and(is_own) {
            return Err(Refusal::Foreign(
                "without service.trusted_proxies this host's programs are trusted, under the Host localhost, \
                 an IP address or a name in service.hosts; a proxy is to be listed in service.trusted_proxies",
            ));
        }
        let origin = request.header_text("Origin")?;
        let is_same = |origin: &str| {
            let authority = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        };
        let site = request.header_text("Sec-Fetch-Site")?.unwrap_or_default();
        if !origin.is_none_or(is_same) || site.eq_ignore_ascii_case("cross-site") {
            return Err(Refusal::Foreign("a web page of another origin gets no token here"));
        }
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn of(proxies: &[&str], listed: bool, forwarders: &[&str], hosts: &[&str]) -> Self {
        let peers = |texts: &[&str]| Peers {
            networks: texts.iter().map(|text| text.parse().unwrap()).collect(),
            unix: !listed,
        };
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self { proxies: peers(proxies), listed, forwarders: peers(forwarders), hosts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Body, Method};

    #[test]
    fn trust_in_this_host_is_not_trust_in_a_web_page() {
        let table: [(&[(&str, &str)], bool); 27] = [
            (&[("Host", "localhost")], true),
            (&[("Host", "LOCALHOST:8080")], true),
            (&[("Host", "127.0.0.1:8080")], true),
            (&[("Host", "192.168.1.7")], true),
            (&[("Host", "[::1]:8080")], true),
            (&[("Host", "registry.example.com")], true),
            (&[("Host", "Registry.Example.com:443")], true),
            (&[], false),
            (&[("Host", "")], false),
            (&[("Host", "evil.example")], false),
            (&[("Host", "evil.example:8080")], false),
            (&[("Host", "localhost.evil.example")], false),
            (&[("Host", "127.0.0.1.evil.example")], false),
            (&[("Host", "localhost@evil.example")], false),
            (&[("Host", "localhost:80@evil.example")], false),
            (&[("Host", "127.1")], false),
            (&[("Host", "localhost"), ("Host", "localhost")], false),
            (&[("Host", "localhost:8080"), ("Origin", "http://localhost:8080")], true),
            (&[("Host", "registry.example.com"), ("Origin", "https://Registry.example.com")], true),
            (&[("Host", "localhost:8080"), ("Origin", "http://localhost:3000")], false),
            (&[("Host", "localhost:8080"), ("Origin", "http://evil.example")], false),
            (&[("Host", "localhost:8080"), ("Origin", "null")], false),
            (&[("Host", "localhost:8080"), ("Origin", "")], false),
            (&[("Host", "localhost"), ("Origin", "ftp://localhost")], false),
            (&[("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")], false),
            (&[("Host", "localhost"), ("Sec-Fetch-Site", "same-origin")], true),
            (&[("Host", "localhost"), ("Sec-Fetch-Site", "none")], true),
        ];
        let this_host = Trust::of(&["127.0.0.1", "::1"], false, &[], &["registry.example.com"]);
        let listed = Trust::of(&["127.0.0.1"], true, &[], &[]);
        for (headers, own) in table {
            let request = |peer| Request {
                method: Method::Post,
                target: "/auth",
                headers: headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
                body: Body::Absent,
                peer,
            };
            let [here, mapped, elsewhere] =
                ["127.0.0.1", "::1", "127.0.0.2"].map(|text| text.parse().unwrap());
            for peer in [here, mapped].map(Peer::Ip) {
                assert_eq!(this_host.admits(&request(peer)) == Ok(true), own, "{headers:?}");
            }
            assert_eq!(this_host.admits(&request(Peer::Ip(elsewhere))), Ok(false), "{headers:?}");
            assert_eq!(this_host.admits(&request(Peer::Unix)), Ok(true), "no page reaches it: {headers:?}");
            assert_eq!(listed.admits(&request(Peer::Ip(here))), Ok(true), "{headers:?}");
            assert_eq!(listed.admits(&request(Peer::Unix)), Ok(false), "{headers:?}");
        }
    }
}
