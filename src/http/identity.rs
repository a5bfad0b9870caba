//! Who asks: the one place that decides whom to believe.
//!
//! Owns the trusted peers and the order of the proofs: what a trusted peer says, then the `Authorization`
//! field, then a form, then nobody. Must not know what anyone may do. Decision: a peer that is not trusted
//! is treated as if it had not sent the trusted headers, and the log says which key of the configuration
//! would change that; and a proof that does not stand is refused, it never makes its sender anonymous.
//!
//! What a trusted peer says wins over an `Authorization` field beside it: nginx with `auth_basic` forwards
//! both, and the proxy, which was told to decide, may know passwords that are not in our file.

use super::call::Call;
use super::credentials::Credentials;
use super::refusal::Refusal;
use super::request::{Peer, Request};
use crate::ground::net::Network;
use crate::login::Logins;
use crate::login::attempts::{Client, Outcome};
use crate::login::users::MAX_NAME_BYTES;
use crate::policy::{Enforcement, Who};
use std::net::{IpAddr, SocketAddr};

/// Who may say who the user is.
#[derive(Debug, Clone)]
pub struct Trust {
    networks: Vec<Network>,
    unix: bool,
}

impl Trust {
    /// These networks, and perhaps whoever comes through the Unix socket.
    pub fn new(networks: Vec<Network>, unix: bool) -> Self {
        Self { networks, unix }
    }

    /// Whether this peer is believed.
    pub fn covers(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => self.unix,
            Peer::Ip(address) => self.contains(address),
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Who asks, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A trusted peer says so.
    Proxy(String),
    /// He knows the user's password.
    Password(String),
    /// Nobody in particular, where the policy has a word for that.
    Anonymous,
}

impl Identity {
    /// As a policy knows him.
    pub fn who(&self) -> Who<'_> {
        match self {
            Identity::Proxy(user) | Identity::Password(user) => Who::User(user),
            Identity::Anonymous => Who::Anonymous,
        }
    }
}

/// Who sends `GET /v2/token`.
pub(super) fn of_get(call: &mut Call<'_>) -> Result<Identity, Refusal> {
    if let Some(user) = by_proxy(call)? {
        return Ok(Identity::Proxy(user));
    }
    let state = call.state;
    let Some(logins) = &state.logins else {
        // Nobody here can check it, and who claims to be somebody is not nobody.
        return if has_authorization(call.request) { Err(Refusal::Unauthenticated) } else { anonymous(call) };
    };
    match by_basic(call, logins)? {
        Some(user) => Ok(Identity::Password(user)),
        None => anonymous(call),
    }
}

/// Who sends `POST /auth`: `None` is a trusted peer, who may ask for anybody's token.
pub(super) fn of_auth(call: &mut Call<'_>) -> Result<Option<String>, Refusal> {
    let state = call.state;
    let trusted = state.trust.covers(call.request.peer);
    let Some(logins) = &state.logins else {
        return if trusted { Ok(None) } else { Err(untrusted(call, Refusal::Untrusted)) };
    };
    let speaks_for_another = trusted && names_a_user(call.request);
    if !speaks_for_another && let Some(user) = by_basic(call, logins)? {
        return Ok(Some(user));
    }
    if trusted { Ok(None) } else { Err(untrusted(call, Refusal::Unauthenticated)) }
}

/// The user that a trusted peer names.
pub(super) fn by_proxy(call: &mut Call<'_>) -> Result<Option<String>, Refusal> {
    if call.state.trust.covers(call.request.peer) {
        return Ok(authenticated_user(call.request)?.map(str::to_owned));
    }
    if names_a_user(call.request) || call.state.logins.is_none() {
        call.note.detail = Some(untrusted_detail(call.request.peer));
    }
    Ok(None)
}

/// The user whose name and password the `Authorization` field has; `None` where there is no such field.
pub(super) fn by_basic(call: &mut Call<'_>, logins: &Logins) -> Result<Option<String>, Refusal> {
    match call.request.header_text("Authorization")? {
        None => Ok(None),
        Some(value) => checked(call, logins, Credentials::from_authorization(value)?).map(Some),
    }
}

/// The user, if the password is his.
pub(super) fn checked(
    call: &mut Call<'_>,
    logins: &Logins,
    credentials: Credentials,
) -> Result<String, Refusal> {
    let Credentials { user, password } = credentials;
    let client = client(call);
    let outcome = call.service.passwords.check(&logins.users, &user, &password, client);
    call.service.metrics.password(outcome);
    // An unknown name is not logged: it may be a password in the wrong field.
    let known = logins.users.hash_of(&user).is_some();
    let of =
        if known { format!("of {user}") } else { "of a user that the users file does not have".to_owned() };
    let (refusal, what) = match outcome {
        Outcome::Right | Outcome::Remembered => return Ok(user),
        Outcome::Wrong => (Refusal::Password, "wrong password"),
        Outcome::Throttled(seconds) => {
            (Refusal::Throttled(seconds), "too many wrong passwords; not checked that")
        }
        Outcome::Busy => (Refusal::Busy, "too many checks at once; not checked the password"),
    };
    call.note.detail = Some(format!("{what} {of}"));
    Err(refusal)
}

/// Nobody in particular, if the policy has a word for that.
fn anonymous(call: &mut Call<'_>) -> Result<Identity, Refusal> {
    match &call.state.enforcement {
        Enforcement::Policy(policy) if policy.has_anonymous() => Ok(Identity::Anonymous),
        _ => Err(Refusal::Unauthenticated),
    }
}

/// Who is slowed for wrong passwords: the peer, or whom a trusted one forwards: the last address of
/// `X-Forwarded-For` that is not a trusted peer itself.
fn client(call: &Call<'_>) -> Client {
    let trust = &call.state.trust;
    let own = match call.request.peer {
        Peer::Ip(address) => Some(address),
        Peer::Unix => None,
    };
    if !trust.covers(call.request.peer) {
        return Client::of(own);
    }
    let fields: Vec<&[u8]> = call.request.header_values("X-Forwarded-For").collect();
    let mut found = own;
    // What is not UTF-8 is no address, and ends the search as any other text does.
    let texts = fields.iter().rev().map(|field| str::from_utf8(field).unwrap_or_default());
    for text in texts.flat_map(|field| field.rsplit(',')) {
        let Some(address) = address(text.trim()) else { break };
        found = Some(address);
        if !trust.contains(address) {
            break;
        }
    }
    Client::of(found)
}

/// An address, which some proxies send with its port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches(['[', ']']);
    bare.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
}

/// The user that `X-Authenticated-User` names; `None` where it names nobody.
fn authenticated_user<'a>(request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(user) = request.header_text("X-Authenticated-User")?.filter(|user| !user.is_empty()) else {
        return Ok(None);
    };
    if user.len() > MAX_NAME_BYTES {
        return Err(Refusal::Field("X-Authenticated-User", "is longer than 256 bytes"));
    }
    Ok(Some(user))
}

/// Whether credentials are sent, of whatever kind.
pub(super) fn has_authorization(request: &Request<'_>) -> bool {
    request.header_values("Authorization").next().is_some()
}

/// Whether a user is named in the header field that only trusted peers may send.
fn names_a_user(request: &Request<'_>) -> bool {
    request.header_values("X-Authenticated-User").any(|value| !value.is_empty())
}

fn untrusted(call: &mut Call<'_>, refusal: Refusal) -> Refusal {
    call.note.detail = Some(untrusted_detail(call.request.peer));
    refusal
}

/// What the log says of a request from a peer that is not trusted.
fn untrusted_detail(peer: Peer) -> String {
    format!("{peer} is not in service.trusted_proxies, so what it says of users is not believed")
}
