//! The token of a Kubernetes service account: `TokenRequest` of `authentication.k8s.io/v1`, as a cluster's API
//! server answers it.
//!
//! Owns what of the API is taken, what is refused because nothing here could keep its promise, and its form of
//! errors. Decision: only a trusted peer gets one, never a user, as no user is a service account.

mod body;
mod protobuf;
mod status;

pub(super) use status::refused;

use super::call::Call;
use super::identity;
use super::refusal::Refusal;
use super::response::Response;
use super::route::Parameters;
use super::token::no_store;
use crate::claims::{self, Recipient, ServiceAccount, TokenRequest};
use crate::ground::time::Ttl;
use crate::issuer::{Issuance, Profile};
use body::{API_VERSION, AUDIENCES, KIND, SECONDS, TokenRequestBody};
use serde_json::json;

/// The longest life that the API can ask for, in seconds.
const MAX_SECONDS: i64 = 1 << 32;

/// Parameters that clients send with every request and that change nothing here.
const PASSED_OVER: [&str; 4] = ["pretty", "fieldManager", "fieldValidation", "timeout"];

/// `POST .../namespaces/NAMESPACE/serviceaccounts/NAME/token`
pub(super) fn post(
    mut call: Call<'_>,
    (namespace, name): (&str, &str),
    query: &str,
) -> Result<Response, Refusal> {
    let own = identity::of_profile(&mut call)?;
    call.note.user.clone_from(&own);
    if own.is_some() {
        return Err(Refusal::PeersOnly);
    }
    let account = ServiceAccount::new(namespace, name).map_err(Refusal::Invalid)?;
    let subject = account.subject();
    call.note.user = Some(subject.clone());
    check_query(query)?;
    let wanted = read(&call)?;
    wanted.check(account)?;
    let state = call.state;
    let lifetimes = state.issuer.lifetimes();
    let ttl = match wanted.seconds {
        None => lifetimes.default,
        Some(seconds) => life(seconds)?,
    };
    let recipient = |name| {
        Recipient::new(name, state.services()).map_err(|error| Refusal::Spec(AUDIENCES, error.problem()))
    };
    let audiences = wanted.audiences.iter().map(|name| recipient(name)).collect::<Result<_, _>>()?;
    let request =
        TokenRequest::new(account, audiences).map_err(|problem| Refusal::Spec(AUDIENCES, problem))?;
    let audience = request.joined();
    let profile = Profile::Kubernetes(&request);
    let issued =
        call.issue(&Issuance { profile, subject: &subject, audience: &audience, ttl }, call.now(), &[])?;
    let record = &issued.record;
    let body = json!({
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {
            "name": account.name(),
            "namespace": account.namespace(),
            "creationTimestamp": record.issued_at.to_string(),
        },
        "spec": {
            "audiences": request.audiences(),
            "expirationSeconds": record.expires_at.0.saturating_sub(record.issued_at.0),
            "boundObjectRef": null,
        },
        "status": {
            "token": issued.token.expose(),
            "expirationTimestamp": record.expires_at.to_string(),
        },
    });
    Ok(no_store(201, body.to_string()))
}

/// At least ten minutes. More than is configured is no error: the answer says what it came to.
fn life(seconds: i64) -> Result<Ttl, Refusal> {
    if seconds < i64::from(Ttl::KUBERNETES_MIN.seconds()) {
        return Err(Refusal::Spec(SECONDS, "may not be less than 600, which is 10 minutes"));
    }
    if seconds > MAX_SECONDS {
        return Err(Refusal::Spec(SECONDS, "may not be more than 4294967296"));
    }
    Ok(u64::try_from(seconds).ok().and_then(Ttl::new).unwrap_or(Ttl::MAX))
}

fn check_query(query: &str) -> Result<(), Refusal> {
    let parameters = Parameters::parse(query)?;
    if parameters.all("dryRun").next().is_some() {
        return Err(Refusal::Invalid("dryRun is not supported: a token that is made can be used"));
    }
    if parameters.names().any(|name| !PASSED_OVER.contains(&name)) {
        return Err(Refusal::Invalid("the query holds a parameter that is not known here"));
    }
    Ok(())
}

fn read(call: &Call<'_>) -> Result<TokenRequestBody, Refusal> {
    let media_type = call.request.media_type()?;
    if media_type.eq_ignore_ascii_case(protobuf::MEDIA_TYPE) {
        return protobuf::token_request(call.body()?)
            .ok_or(Refusal::Invalid("the body is no TokenRequest in Kubernetes' protobuf"));
    }
    // The Python client names no type, and a cluster takes that for JSON.
    let body = if media_type.is_empty() { call.body()? } else { call.json()? };
    TokenRequestBody::of_json(&claims::read_object(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_ten_minutes_or_more() {
        for (seconds, life_seconds) in [
            (i64::MIN, None),
            (-1, None),
            (0, None),
            (599, None),
            (600, Some(600)),
            (MAX_SECONDS, Some(Ttl::MAX.seconds())),
            (MAX_SECONDS + 1, None),
            (i64::MAX, None),
        ] {
            assert_eq!(life(seconds).ok().map(Ttl::seconds), life_seconds, "{seconds}");
        }
    }
}
