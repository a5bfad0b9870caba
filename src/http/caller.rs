//! Who asks about a token, or ends one: a client of the configuration, or a trusted peer.
//!
//! Owns the authentication of clients (RFC 6749, 2.3.1). Must not know what is asked. Decision: a trusted peer may
//! ask without a secret only for itself. What it passes on for somebody else needs that one's own, so that a proxy
//! which hands every path on does not lend its trust to strangers.

use super::call::Call;
use super::credentials::Credentials;
use super::identity::{self, Words};
use super::refusal::Refusal;
use super::route::Parameters;
use crate::login::clients::{Act, Client, Clients};
use zeroize::Zeroizing;

/// Who asks.
pub(super) enum Caller<'c> {
    /// A peer that is trusted for its address.
    Peer,
    /// A client that showed its secret.
    Client(String, &'c Client),
}

impl Caller<'_> {
    /// Whether tokens for these audiences are its business.
    pub(super) fn knows(&self, audiences: &[&str]) -> bool {
        match self {
            Caller::Peer => true,
            Caller::Client(_, client) => client.knows(audiences),
        }
    }

    /// As the store names who did something.
    pub(super) fn actor(&self, call: &Call<'_>) -> String {
        match self {
            Caller::Peer => call.request.peer.to_string(),
            Caller::Client(name, _) => Clients::proof_name(name),
        }
    }
}

/// Who sends this form, if they may ask this at all.
pub(super) fn of<'c>(call: &mut Call<'c>, form: &Parameters<'_>, act: Act) -> Result<Caller<'c>, Refusal> {
    let authorization = call.request.header_text("Authorization")?;
    let name = form.one("client_id")?.filter(|name| !name.is_empty());
    // An empty one is none beside `Authorization`; alone, it is a wrong one.
    let secret = form.one("client_secret")?.filter(|secret| !secret.is_empty() || authorization.is_none());
    let credentials = match (authorization, name, secret) {
        (Some(_), _, Some(_)) => {
            return Err(Refusal::Invalid("credentials are both in the form and in Authorization"));
        }
        (Some(value), name, None) => {
            let credentials = Credentials::of_client(value)?;
            if name.is_some_and(|name| name != credentials.user) {
                return Err(Refusal::Invalid("`client_id` is not the client in Authorization"));
            }
            credentials
        }
        (None, Some(name), Some(secret)) => Credentials::new(name, Zeroizing::new(secret.to_owned()))?,
        (None, None, Some(secret)) if !secret.is_empty() => {
            return Err(Refusal::Invalid("the form has `client_secret` alone"));
        }
        // Whoever says which client they are has to show that they are it, also where both were left empty.
        (None, Some(_), None) | (None, None, Some(_)) => return Err(Refusal::Client),
        (None, None, None) => {
            let itself = identity::is_peer_itself(call)?;
            return if itself { Ok(Caller::Peer) } else { Err(Refusal::Unauthenticated) };
        }
    };
    let (name, client) = checked(call, credentials)?;
    call.note.user = Some(Clients::proof_name(&name));
    if !client.may.contains(&act) {
        call.note.detail = Some(format!("the client {name} has no {} in `may`", act.name()));
        return Err(Refusal::NotTheirs);
    }
    Ok(Caller::Client(name, client))
}

/// The client, if the secret is its own.
fn checked<'c>(call: &mut Call<'c>, credentials: Credentials) -> Result<(String, &'c Client), Refusal> {
    let Credentials { user: name, password } = credentials;
    let clients = &call.state.clients;
    let known = clients.find(&name);
    let whose = if known.is_some() { &*name } else { "a client that is not in `clients`" };
    let words = Words { proof: "secret", whose, wrong: Refusal::Client };
    identity::prove(call, clients.proofs(), (&Clients::proof_name(&name), &password), words)?;
    known.map(|client| (name, client)).ok_or(Refusal::Client)
}
