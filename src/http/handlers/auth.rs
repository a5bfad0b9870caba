//! `/auth`: a generic token, for claims that a trusted peer sends, or for a user about himself.
//!
//! Owns what this endpoint takes and what a user may say of himself. Must not know the registry's protocol.

use super::{Call, log_token, some, token_response};
use crate::claims::{self, Requested};
use crate::http::State;
use crate::http::identity;
use crate::http::refusal::Refusal;
use crate::http::request::Body;
use crate::http::response::Response;
use crate::http::reuse::Made;
use crate::http::route::Route;
use crate::issuer::Issued;
use crate::policy::{Asker, Grant, Who};
use serde_json::Map;
use std::sync::Arc;

/// `POST /auth`: a token for the claims in the body, from a trusted peer; or for a user with a password,
/// about himself.
pub(in crate::http) fn auth(mut call: Call<'_>) -> Result<Response, Refusal> {
    let own = identity::of_auth(&mut call)?;
    call.note.user.clone_from(&own);
    let requested = Requested::new(claims::read_object(json_body(&call)?)?)?;
    let user = match &own {
        None => requested.user()?.to_owned(),
        Some(user) => user.clone(),
    };
    call.note.user = Some(user.clone());
    let issuer = &call.state.issuer;
    let (now, id) = ((call.service.sources.clock)(), call.new_id()?);
    let (claims, dropped) = match own {
        None => {
            let (asked, dropped) = issuer.filter().apply(requested);
            let frame = issuer.frame(now, issuer.default_ttl(), &id);
            (claims::custom(&frame, issuer.filter(), &asked)?, dropped)
        }
        Some(user) => {
            let (grant, dropped) = granted_to_himself(call.state, &user, &requested)?;
            let frame = issuer.frame(now, issuer.registry_ttl(grant.ttl), &id);
            (claims::granted(&frame, issuer.filter(), &Map::new(), &user, &grant.access)?, dropped)
        }
    };
    let made = Made { issued: Arc::new(call.issue(claims)?), at: now, reused: false };
    let Issued { token, claims } = &*made.issued;
    let body = format!("{{\"token\":\"{}\",\"claims\":{}}}", token.expose(), claims.json());
    log_token(&mut call, Route::Auth, now, &made, |line| {
        line.text("user", &user)
            .maybe("dropped", Some(dropped.join(" ").as_str()).filter(|names| !names.is_empty()))
    });
    Ok(token_response(body))
}

/// What a user may have in a token that he asks of `/auth` himself: his name, and of `scope` and `access`
/// what the policy gives. Such a token has the registry's audience, so it must not say more than one of
/// `/v2/token`; and what a user says of himself is not for the issuer to vouch for, so that the other
/// claims are left out, whatever `allowed_custom_claims` lets a trusted peer say.
fn granted_to_himself(
    state: &State,
    user: &str,
    requested: &Requested,
) -> Result<(Grant, Vec<String>), Refusal> {
    if !requested.is_about(user) {
        return Err(Refusal::OtherUser);
    }
    let asked = requested.scopes()?.unwrap_or_default();
    let hosts = [state.issuer.audience()];
    let asker = Asker { who: Who::User(user), hosts: &hosts, default_ttl: state.issuer.default_ttl() };
    let ours = |name: &&str| !matches!(*name, "sub" | "user" | "scope" | "access");
    let dropped = requested.names().filter(ours).map(str::to_owned).collect();
    Ok((some(state, &asker, &asked)?, dropped))
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
