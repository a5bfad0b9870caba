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
use super::forwarded::is_forwarded;
use super::refusal::Refusal;
use super::request::{Peer, Request};
use crate::config::shared_address;
use crate::ground::name;
use crate::login::Logins;
use crate::login::attempts::{Client, Outcome};
use crate::login::password::Password;
use crate::login::users::Users;
use crate::policy::{Enforcement, Who};

/// Who asks, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A trusted peer says so.
    Proxy(String),
    /// They know the user's password.
    Password(String),
    /// Anonymous, if the policy has an `anonymous` entry.
    Anonymous,
}

impl Identity {
    /// As a policy knows them.
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
    let trusted = trusts(call)?;
    let speaks_for_another = trusted && names_a_user(call.request);
    let Some(logins) = &state.logins else {
        if !trusted {
            return Err(untrusted(call, Refusal::Untrusted));
        }
        // Nobody here can check it, as in `of_get`.
        let claims = !speaks_for_another && has_authorization(call.request);
        return if claims { Err(Refusal::Unauthenticated) } else { Ok(None) };
    };
    if !speaks_for_another && let Some(user) = by_basic(call, logins)? {
        return Ok(Some(user));
    }
    if trusted { Ok(None) } else { Err(untrusted(call, Refusal::Unauthenticated)) }
}

/// Who asks for a token of a profile: `None` is a trusted peer that speaks for nobody else. Unlike at `/auth`,
/// one that names a user asks for that user, so that a proxy may pass such requests on; whom it passes on and does not
/// name has not logged in.
pub(super) fn of_profile(call: &mut Call<'_>) -> Result<Option<String>, Refusal> {
    match by_proxy(call)? {
        Some(user) => Ok(Some(user)),
        None if trusted_header(call, "X-Authenticated-User")?.is_some() => Err(Refusal::Unauthenticated),
        None => match of_auth(call)? {
            None if is_forwarded(call.request) => Err(Refusal::Unauthenticated),
            asker => Ok(asker),
        },
    }
}

/// The user that a trusted peer names.
pub(super) fn by_proxy(call: &mut Call<'_>) -> Result<Option<String>, Refusal> {
    let names = names_a_user(call.request);
    if names && trusts(call)? {
        return Ok(authenticated_user(call.request)?.map(str::to_owned));
    }
    if (names || call.state.logins.is_none()) && !call.state.trust.covers(call.request.peer) {
        call.note.detail = Some(untrusted_detail(call.request.peer));
    }
    Ok(None)
}

/// Whether a trusted peer sends this of its own: neither for a user nor for a client of its own.
pub(super) fn is_peer_itself(call: &mut Call<'_>) -> Result<bool, Refusal> {
    // An empty name is how a proxy passes on somebody who has not logged in.
    let passed_on =
        is_forwarded(call.request) || call.request.header_values("X-Authenticated-User").next().is_some();
    Ok(!passed_on && trusts(call)?)
}

/// A header field that only a trusted peer may send: passed over in what others send.
pub(super) fn trusted_header<'c>(
    call: &mut Call<'c>,
    name: &'static str,
) -> Result<Option<&'c str>, Refusal> {
    let is_there = call.request.header_values(name).next().is_some();
    if is_there && trusts(call)? { call.request.header_text(name) } else { Ok(None) }
}

/// Whether the peer is believed in this request.
fn trusts(call: &mut Call<'_>) -> Result<bool, Refusal> {
    let trusted = call.state.trust.admits(call.request);
    if let Err(Refusal::Foreign(_)) = trusted {
        let value = |name| call.request.header_values(name).next().unwrap_or_default();
        let shown = |name| String::from_utf8_lossy(value(name)).chars().take(100).collect::<String>();
        call.note.detail = Some(format!("Host: {}, Origin: {}", shown("Host"), shown("Origin")));
    }
    trusted
}

/// The user whose name and password the `Authorization` field has; `None` where there is no such field.
pub(super) fn by_basic(call: &mut Call<'_>, logins: &Logins) -> Result<Option<String>, Refusal> {
    match call.request.header_text("Authorization")? {
        None => Ok(None),
        Some(value) => checked(call, logins, Credentials::from_authorization(value)?).map(Some),
    }
}

/// The user, if the password is theirs.
pub(super) fn checked(
    call: &mut Call<'_>,
    logins: &Logins,
    credentials: Credentials,
) -> Result<String, Refusal> {
    let Credentials { user, password } = credentials;
    let known = logins.users.hash_of(&user).is_some();
    let whose = if known { &*user } else { "a user that the users file does not have" };
    let words = Words { proof: "password", whose, wrong: Refusal::Password };
    prove(call, &logins.users, (&user, &password), words)?;
    Ok(user)
}

/// How a proof that fails is told.
pub(super) struct Words<'w> {
    /// What it is called.
    pub(super) proof: &'static str,
    /// Whose it was, for the log. An unknown name is none: it may be a secret in the wrong field.
    pub(super) whose: &'w str,
    /// What the client is told of a wrong one.
    pub(super) wrong: Refusal,
}

/// Checks a password or a secret, within the limits of guessing; counts it, and notes why it does not hold.
pub(super) fn prove(
    call: &mut Call<'_>,
    proofs: &Users,
    (name, proof): (&str, &Password),
    words: Words<'_>,
) -> Result<(), Refusal> {
    let client = Client::of(call.client.address());
    let outcome = call.service.passwords.check(proofs, name, proof, client);
    call.service.metrics.password(outcome);
    tell_of_shared_address(call, outcome);
    let Words { proof, whose, wrong } = words;
    let (refusal, what) = match outcome {
        Outcome::Right | Outcome::Remembered => return Ok(()),
        Outcome::Wrong => (wrong, format!("wrong {proof}")),
        Outcome::Throttled(seconds) => {
            (Refusal::Throttled(seconds), format!("too many wrong {proof}s; not checked that"))
        }
        Outcome::Busy => (Refusal::Busy, format!("too many checks at once; not checked the {proof}")),
    };
    call.note.detail = Some(format!("{what} of {whose}"));
    Err(refusal)
}

/// Says once that a proxy on this host passes on logins that all count as its own.
fn tell_of_shared_address(call: &Call<'_>, outcome: Outcome) {
    let peer = call.request.peer;
    let is_local = peer.address().is_none_or(|address| address.is_loopback());
    let bites = is_forwarded(call.request) || matches!(outcome, Outcome::Throttled(_));
    if is_local && bites && !call.state.trust.forwards(peer) {
        call.service.tell_once(&shared_address());
    }
}

/// Anonymous, if the policy has an `anonymous` entry.
fn anonymous(call: &mut Call<'_>) -> Result<Identity, Refusal> {
    match &call.state.enforcement {
        Enforcement::Policy(policy) if policy.has_anonymous() => Ok(Identity::Anonymous),
        _ => Err(Refusal::Unauthenticated),
    }
}

/// The user that `X-Authenticated-User` names; `None` where it names nobody.
fn authenticated_user<'a>(request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(user) = request.header_text("X-Authenticated-User")?.filter(|user| !user.is_empty()) else {
        return Ok(None);
    };
    name::problem(user).map_or(Ok(Some(user)), |problem| Err(Refusal::Field("X-Authenticated-User", problem)))
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
