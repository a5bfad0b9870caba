//! For which client a request is passed on: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Owns the reading of both, from peers that are believed. Must not know who the user is. Decision: what
//! cannot be read, or says two things, names nobody: then the peer itself is the client, so that whoever
//! sends nonsense through a proxy shares one count of wrong passwords with all who do. Both lists are read
//! from their end, up to the first address that is no such peer: what stands before it, the client wrote.

use super::request::{Peer, Request};
use super::trust::Trust;
use crate::ground::net::host_of;
use std::net::IpAddr;

const MALFORMED: &str = "X-Forwarded-For or Forwarded cannot be read: the peer counts as the client";
const CONFLICT: &str = "X-Forwarded-For and Forwarded name two clients: the peer counts as the client";

/// The client of a request, and what the log should say of that.
pub(super) fn client(request: &Request<'_>, trust: &Trust) -> (Peer, Option<&'static str>) {
    if !trust.forwards(request.peer) {
        return (request.peer, None);
    }
    let listed = named(request, trust, "X-Forwarded-For", |list| Some(list.split(',').collect()), address);
    let elements = named(request, trust, "Forwarded", |list| split(list, ','), for_of);
    match (listed, elements) {
        (Ok(Some(one)), Ok(Some(other))) if one != other => (request.peer, Some(CONFLICT)),
        (Ok(one), Ok(other)) => (one.or(other).unwrap_or(request.peer), None),
        _ => (request.peer, Some(MALFORMED)),
    }
}

/// Whether a request says that it is passed on, in any of the ways that proxies have, be that believed or not.
pub(super) fn is_forwarded(request: &Request<'_>) -> bool {
    const NAMES: [&str; 3] = ["Forwarded", "Via", "X-Real-IP"];
    let says = |name: &str| {
        let start = name.get(.."X-Forwarded-".len()).unwrap_or_default();
        start.eq_ignore_ascii_case("X-Forwarded-")
            || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    request.headers.iter().any(|(name, _)| says(name))
}

/// The last client in a list that does not pass on itself; `None` where there is no list.
fn named<'r>(
    request: &Request<'r>,
    trust: &Trust,
    name: &str,
    entries: fn(&'r str) -> Option<Vec<&'r str>>,
    read: fn(&str) -> Option<IpAddr>,
) -> Result<Option<Peer>, ()> {
    let mut found = None;
    let fields: Vec<&[u8]> = request.header_values(name).collect();
    for field in fields.into_iter().rev() {
        let field = str::from_utf8(field).map_err(|_| ())?;
        for entry in entries(field).ok_or(())?.into_iter().rev() {
            let peer = Peer::Ip(read(entry.trim()).ok_or(())?);
            found = Some(peer);
            if !trust.forwards(peer) {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// An address, which some proxies send with its port.
fn address(text: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = text.parse().ok().or_else(|| host_of(text)?.parse().ok());
    address.map(|address| address.to_canonical())
}

/// The address in an element of `Forwarded`: the one `for`, which is quoted for IPv6 and with a port.
fn for_of(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';')?;
    let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
    let mut nodes =
        pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, node)| node.trim());
    let (node, None) = (nodes.next()?, nodes.next()) else { return None };
    address(node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node))
}

/// Splits at a mark outside of quoted strings (RFC 9110, 5.6.4); `None` where such a string does not end.
fn split(text: &str, mark: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let at = |c| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        c == mark && !quoted
    };
    let parts = text.split(at).collect();
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Body, Method};

    #[test]
    fn a_client_is_the_last_that_no_proxy_is() {
        const XFF: &str = "X-Forwarded-For";
        const FWD: &str = "Forwarded";
        let table: [(&[(&str, &str)], &str); 38] = [
            (&[], "peer"),
            (&[(XFF, "10.0.0.1")], "10.0.0.1"),
            (&[(XFF, "1.2.3.4, 10.0.0.1")], "10.0.0.1"),
            (&[(XFF, "evil, 10.0.0.1")], "10.0.0.1"),
            (&[(XFF, "10.0.0.1, 192.0.2.7")], "10.0.0.1"),
            (&[(XFF, "10.0.0.1"), (XFF, "192.0.2.7")], "10.0.0.1"),
            (&[(XFF, "10.0.0.1, evil"), (XFF, "192.0.2.7")], "malformed"),
            (&[(XFF, "192.0.2.7")], "192.0.2.7"),
            (&[(XFF, "10.0.0.1:4711")], "10.0.0.1"),
            (&[(XFF, "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[(XFF, "[2001:db8::1]")], "2001:db8::1"),
            (&[(XFF, "2001:db8::1")], "2001:db8::1"),
            (&[(XFF, "::ffff:10.0.0.1")], "10.0.0.1"),
            (&[(XFF, "::ffff:192.0.2.7, ::ffff:192.0.2.7")], "192.0.2.7"),
            (&[(XFF, "")], "malformed"),
            (&[(XFF, "10.0.0.1,")], "malformed"),
            (&[(XFF, "unknown")], "malformed"),
            (&[(XFF, "10.0.0.1 10.0.0.2")], "malformed"),
            (&[(XFF, "10.0.0.1:http")], "malformed"),
            (&[(XFF, "fe80::1%eth0")], "malformed"),
            (&[(FWD, "for=192.0.2.60;proto=http;by=203.0.113.43")], "192.0.2.60"), // RFC 7239, 4
            (&[(FWD, "For=\"[2001:db8:cafe::17]:4711\"")], "2001:db8:cafe::17"),   // RFC 7239, 4
            (&[(FWD, "for=192.0.2.43, for=198.51.100.17")], "198.51.100.17"),      // RFC 7239, 4
            (&[(FWD, "for=10.0.0.1"), (FWD, "proto=https; for=192.0.2.7")], "10.0.0.1"),
            (&[(FWD, "for=_hidden, for=10.0.0.1")], "10.0.0.1"),
            (&[(FWD, "for=10.0.0.1;host=\"x, for=6.6.6.6;a=\"")], "10.0.0.1"),
            (&[(FWD, "for=10.0.0.1;host=\"x\\\", for=6.6.6.6;a=\"")], "10.0.0.1"),
            (&[(FWD, "for=10.0.0.1;host=x;for=6.6.6.6")], "malformed"),
            (&[(FWD, "for=\"x, for=10.0.0.1")], "malformed"),
            (&[(FWD, "for=\"x, for=\"[2001:db8::1]\"")], "malformed"),
            (&[(FWD, "for=unknown")], "malformed"),
            (&[(FWD, "for=_hidden")], "malformed"),
            (&[(FWD, "proto=https")], "malformed"),
            (&[(FWD, "for=\"10.0.0.1")], "malformed"),
            (&[(XFF, "10.0.0.1"), (FWD, "for=10.0.0.1")], "10.0.0.1"),
            (&[(XFF, "10.0.0.1"), (FWD, "for=6.6.6.6")], "conflict"),
            (&[(XFF, "10.0.0.1"), (FWD, "nonsense")], "malformed"),
            (&[(XFF, "10.0.0.1, 192.0.2.7"), (FWD, "for=\"10.0.0.1:1\", for=192.0.2.7")], "10.0.0.1"),
        ];
        let proxy = Peer::Ip([192, 0, 2, 7].into());
        let trust = Trust::of(&[], true, &["192.0.2.7"], &[]);
        for (headers, expected) in table {
            let request = |peer| Request {
                method: Method::Get,
                target: "/",
                headers: headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
                body: Body::Absent,
                peer,
            };
            let found = match client(&request(proxy), &trust) {
                (peer, Some(MALFORMED)) if peer == proxy => "malformed".to_owned(),
                (peer, Some(CONFLICT)) if peer == proxy => "conflict".to_owned(),
                (peer, None) if headers.is_empty() && peer == proxy => "peer".to_owned(),
                (peer, problem) => format!("{peer}{}", problem.unwrap_or_default()),
            };
            assert_eq!(found, expected, "{headers:?}");
            for stranger in [Peer::Ip([192, 0, 2, 8].into()), Peer::Unix] {
                assert_eq!(client(&request(stranger), &trust), (stranger, None), "{headers:?}");
            }
        }
    }
}
