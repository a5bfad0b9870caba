//! Who asks: the one place that decides whom to believe.
//!
//! Owns the trusted peers and the reading of `X-Authenticated-User`. Must not know policies. Decision: a
//! peer that is not trusted is treated as if it had not sent the trusted headers, and the log says which
//! key of the configuration would change that.

use super::refusal::Refusal;
use super::request::{Peer, Request};
use crate::net::Network;

/// Who may say who the user is.
#[derive(Debug, Clone)]
pub struct Trust(Vec<Network>);

/// The longest user name, in bytes.
const MAX_USER_BYTES: usize = 256;

impl Trust {
    /// These networks, and whoever comes through the Unix socket.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether this peer is believed.
    pub fn covers(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Ip(address) => self.0.iter().any(|network| network.contains(address)),
        }
    }
}

/// The user that a trusted peer names; `None` where it names nobody.
pub fn authenticated_user<'a>(request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(user) = single_header(request, "X-Authenticated-User")?.filter(|user| !user.is_empty()) else {
        return Ok(None);
    };
    if user.len() > MAX_USER_BYTES || user.chars().any(char::is_control) {
        return Err(Refusal::Invalid(
            "X-Authenticated-User is no user name: at most 256 bytes, no control characters",
        ));
    }
    Ok(Some(user))
}

/// The value of a header field that may stand once: two of them could be read by two programs differently.
pub fn single_header<'a>(request: &Request<'a>, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = request.header_values(name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(str::trim)),
        _ => Err(Refusal::Invalid("a header field that may stand once stands twice")),
    }
}

/// What the log says of a request from a peer that is not trusted.
pub fn untrusted_detail(peer: Peer) -> String {
    format!("{peer} is not in service.trusted_proxies, so what it says of users is not believed")
}
