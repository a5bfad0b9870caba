//! `/auth`: a generic token, for claims that a trusted peer sends, or for a user about himself.
//!
//! Owns what this endpoint takes and what a user may say of himself. Must not know the registry's protocol.

use super::call::Call;
use super::identity;
use super::refusal::Refusal;
use super::request::Body;
use super::response::Response;
use super::token::{granted, no_store};
use crate::claims::{self, Allowed, Requested};
use crate::issuer::{Issuance, Profile};
use crate::policy::{Asker, Grant, Who};

/// `POST /auth`: a token for the claims in the body, from a trusted peer; or for a user with a password,
/// about themselves.
pub(super) fn auth(mut call: Call<'_>) -> Result<Response, Refusal> {
    let own = identity::of_auth(&mut call)?;
    call.note.user.clone_from(&own);
    let requested = Requested::new(claims::read_object(json_body(&call)?)?)?;
    let user = match &own {
        None => requested.user()?.to_owned(),
        Some(user) => user.clone(),
    };
    call.note.user = Some(user.clone());
    let issuer = &call.state.issuer;
    let (none, lifetimes) = (Allowed::default(), issuer.lifetimes());
    let (asked, grant, dropped) = match own {
        None => {
            let (asked, dropped) = issuer.filter().apply(requested);
            (asked, None, dropped)
        }
        Some(user) => {
            let (grant, dropped) = granted_to_themselves(&mut call, &user, &requested)?;
            (none, Some(grant), dropped)
        }
    };
    let (profile, ttl) = match &grant {
        None => (Profile::Generic(&asked), lifetimes.default),
        Some(grant) => (Profile::Granted(&asked, &grant.access), lifetimes.registry(grant.ttl)),
    };
    let issuance = Issuance { profile, subject: &user, audience: issuer.audience(), ttl };
    let dropped = dropped.join(" ");
    let more = if dropped.is_empty() { &[][..] } else { &[("dropped", dropped.as_str())] };
    let issued = call.issue(&issuance, call.now(), more)?;
    Ok(no_store(format!("{{\"token\":\"{}\",\"claims\":{}}}", issued.token.expose(), issued.claims)))
}

/// What users may have in a token that they ask of `/auth` for themselves: their name, and of `scope` and `access`
/// what the policy gives. Such a token has the registry's audience, so it must not say more than one of
/// `/v2/token`; and what a user says of himself is not for the issuer to vouch for, so that the other
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

fn json_body<'c>(call: &Call<'c>) -> Result<&'c [u8], Refusal> {
    let body = match &call.request.body {
        Body::Bytes(body) => body,
        Body::Absent => return Err(Refusal::LengthRequired),
        Body::TooLarge => return Err(Refusal::TooLarge),
        Body::Incomplete => return Err(Refusal::Timeout),
        Body::Malformed(problem) => return Err(Refusal::Malformed(problem)),
    };
    let is_json = call.request.media_type()?.eq_ignore_ascii_case(b"application/json");
    if is_json { Ok(body) } else { Err(Refusal::MediaType) }
}
