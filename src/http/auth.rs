//! `/auth`: a generic token, for claims that a trusted peer sends, or for a user about themselves.
//!
//! Owns what this endpoint takes and what users may say of themselves. Must not know the registry's protocol.

use super::call::Call;
use super::identity;
use super::refusal::Refusal;
use super::response::Response;
use super::route::Parameters;
use super::token::{audience, granted, no_store};
use crate::claims::{self, Allowed, Requested};
use crate::ground::time::{Lifetimes, Ttl};
use crate::issuer::{Issuance, Profile};
use crate::policy::{Asker, Grant, Who};
use serde_json::{Map, Value};

/// `POST /auth`: a token for the claims in the body, from a trusted peer; or for a user with a password,
/// about themselves.
pub(super) fn auth(mut call: Call<'_>, query: &str) -> Result<Response, Refusal> {
    let own = identity::of_auth(&mut call)?;
    call.note.user.clone_from(&own);
    let parameters = parameters(&call, query)?;
    let (asked_audience, asked_ttl) = (parameters.one(AUDIENCE)?, parameters.one(TTL)?);
    if own.is_some() && (asked_audience.is_some() || asked_ttl.is_some()) {
        return Err(Refusal::PeersOnly);
    }
    let body = claims::read_object(call.json()?)?;
    let body = if own.is_none() { mapped(&call, body, &parameters)? } else { body };
    let requested = Requested::new(body)?;
    let issuer = &call.state.issuer;
    let (none, lifetimes) = (Allowed::default(), issuer.lifetimes());
    let (asked, grant, dropped) = match &own {
        None => {
            requested.user()?;
            let (asked, dropped) = issuer.filter().apply(requested);
            (asked, None, dropped)
        }
        Some(user) => {
            let (grant, dropped) = granted_to_themselves(&mut call, user, &requested)?;
            (none, Some(grant), dropped)
        }
    };
    // What the allow-list leaves out names nobody.
    let user = own.unwrap_or_else(|| asked.subject().to_owned());
    call.note.user = Some(user.clone());
    let (profile, ttl) = match &grant {
        None => (Profile::Generic(&asked), ttl(asked_ttl, lifetimes)?),
        Some(grant) => (Profile::Granted(&asked, &grant.access), lifetimes.registry(grant.ttl)),
    };
    let audience = audience(&mut call, asked_audience)?;
    let issuance = Issuance { profile, subject: &user, audience, ttl };
    let dropped = dropped.join(" ");
    let more = if dropped.is_empty() { &[][..] } else { &[("dropped", dropped.as_str())] };
    let issued = call.issue(&issuance, call.now(), more)?;
    Ok(no_store(200, format!("{{\"token\":\"{}\",\"claims\":{}}}", issued.token.expose(), issued.claims)))
}

const AUDIENCE: &str = "audience";
const TTL: &str = "ttl_seconds";

/// The query's parameters. One that nothing looks at is refused: a slip of the pen in `ttl_seconds` would
/// otherwise make a token that lives too long.
fn parameters<'q>(call: &Call<'_>, query: &'q str) -> Result<Parameters<'q>, Refusal> {
    let parameters = Parameters::parse(query)?;
    let mapping = &call.state.profiles.mapping;
    let known =
        |name: &str| [AUDIENCE, TTL].contains(&name) || mapping.parameters().any(|known| known == name);
    if parameters.names().all(known) {
        Ok(parameters)
    } else {
        Err(Refusal::Invalid("the parameters are audience, ttl_seconds and those that claim_mapping names"))
    }
}

fn ttl(asked: Option<&str>, lifetimes: Lifetimes) -> Result<Ttl, Refusal> {
    let Some(asked) = asked else { return Ok(lifetimes.default) };
    let seconds = asked.bytes().all(|byte| byte.is_ascii_digit()).then(|| asked.parse().ok()).flatten();
    seconds.and_then(|seconds| lifetimes.asked(seconds)).ok_or(Refusal::Life(TTL, lifetimes.max))
}

/// The claims of a trusted peer: its body, and over it what `claim_mapping` finds.
fn mapped(
    call: &Call<'_>,
    body: Map<String, Value>,
    parameters: &Parameters<'_>,
) -> Result<Map<String, Value>, Refusal> {
    let query = |name: &str| match parameters.one(name) {
        Ok(text) => Ok(text.map(str::to_owned)),
        Err(_) => Err("may be given once, and was given twice"),
    };
    let header = |name: &str| call.request.one_text(name).map(|text| text.map(str::to_owned));
    call.state.profiles.mapping.apply(body, query, header).map_err(Refusal::Mapping)
}

/// What users may have in a token that they ask of `/auth` for themselves: their name, and of `scope` and `access`
/// what the policy gives. Such a token has the registry's audience, so it must not say more than one of
/// `/v2/token`; and what users say of themselves is not for the issuer to vouch for, so that the other
/// claims are left out, whatever `allowed_custom_claims` lets a trusted peer say.
fn granted_to_themselves(
    call: &mut Call<'_>,
    user: &str,
    requested: &Requested,
) -> Result<(Grant, Vec<String>), Refusal> {
    if !requested.is_about(user) {
        return Err(Refusal::OtherUser);
    }
    let state = call.state;
    let asked = requested.scopes()?.unwrap_or_default();
    let hosts = [state.issuer.audience()];
    let asker = Asker { who: Who::User(user), hosts: &hosts, default_ttl: state.issuer.lifetimes().default };
    let ours = |name: &&str| !matches!(*name, "sub" | "user" | "scope" | "access");
    let dropped = requested.names().filter(ours).map(str::to_owned).collect();
    let grant = granted(state, &asker, &asked)?;
    call.note_rules(&asker, &grant.access);
    Ok((grant, dropped))
}
