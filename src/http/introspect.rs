//! `POST /introspect`: whether a token counts, and what it says (RFC 7662).
//!
//! Owns the answer. Must not know how a token is judged (`shown` does). Decision: whatever is not an active token of
//! the caller's business has one answer, so that nothing is learned from it. An active refresh token is `N_A`, the
//! type of what is no access token (RFC 8693, 2.2.1): a resource server must not take it for one.

use super::call::Call;
use super::refusal::Refusal;
use super::response::Response;
use super::shown::{Asked, Shown};
use crate::claims::REFRESH_AUDIENCE;
use crate::ground::fold::folds_to;
use crate::login::clients::Act;
use serde_json::{Map, Value, json};

/// What RFC 7662 (2.2) calls a token that is not active; nothing more is said of it.
const INACTIVE: &str = "{\"active\": false}";

/// Members of the answer that no claim of a token's own may stand for, nor be read as by a program that ignores
/// letter case; but for the `client_id` of an access token.
const OURS: [&str; 4] = ["active", "client_id", "username", "token_type"];

pub(super) fn post(mut call: Call<'_>, query: &str) -> Result<Response, Refusal> {
    let Asked { caller, shown } = Asked::read(&mut call, query, Act::Introspect)?;
    let known = shown.filter(|shown| caller.knows(&shown.audiences()));
    let answer = match known {
        Some(shown) if !shown.has_ended(&mut call)? => {
            Value::Object(members(call.state.issuer.name(), shown)).to_string()
        }
        _ => INACTIVE.to_owned(),
    };
    Ok(Response::json(200, answer.into_bytes()).header("Cache-Control", "no-store"))
}

/// What is said of an active token.
fn members(issuer: &str, shown: Shown) -> Map<String, Value> {
    let (mut members, token_type) = match shown {
        Shown::Access(opened) => {
            let mut claims = opened.claims;
            // The client that an access token was issued to (RFC 9068, 2.2) is what the answer's is (RFC 7662, 2.2).
            let is_client = |name: &str| opened.is_access_token && name == "client_id";
            claims.retain(|name, _| is_client(name) || !OURS.iter().any(|ours| folds_to(name, ours)));
            // A list of values, or the claim of another profile, is no `scope` (RFC 6749, 3.3).
            if claims.get("scope").is_some_and(|scope| !scope.is_string()) {
                claims.remove("scope");
            }
            (claims, "Bearer")
        }
        Shown::Refresh(holder) => {
            let said = json!({
                "iss": issuer,
                "aud": REFRESH_AUDIENCE,
                "sub": holder.user,
                "service": holder.service,
                "jti": holder.id,
                "iat": holder.issued_at.0,
                "exp": holder.expires_at.0,
            });
            (said.as_object().cloned().unwrap_or_default(), "N_A")
        }
    };
    let user = members.get("sub").filter(|sub| sub.is_string()).cloned();
    user.map(|user| members.insert("username".to_owned(), user));
    members.insert("token_type".to_owned(), token_type.into());
    members.insert("active".to_owned(), true.into());
    members
}
