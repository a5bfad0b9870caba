//! `POST /v2/token`: the same tokens, for a form (distribution: docs/spec/auth/oauth.md; RFC 6749, 4.3, 6).
//!
//! Owns the form. Must not know how tokens are made (`token` does). Decision: a proof may come in one
//! place only (RFC 6749, 2.3): a form with a name or a password beside an `Authorization` field is refused,
//! since it would be a guess which of the two counts.

use super::call::Call;
use super::credentials::Credentials;
use super::identity::{self, Identity, by_basic, by_proxy, has_authorization};
use super::refusal::Refusal;
use super::request::Body;
use super::response::Response;
use super::route::Parameters;
use super::token::{Answer, Wanted, answer};
use crate::login::Logins;
use crate::login::refresh::{Holder, Refresh};
use crate::policy::scope;
use crate::store::entry::{Event, EventKind, Known, Sought};
use crate::telemetry::metrics::RefreshEvent;
use zeroize::Zeroizing;

/// Parameters that may stand once; `scope` may be repeated, and others are passed over.
const ONCE: [&str; 7] =
    ["grant_type", "username", "password", "refresh_token", "service", "client_id", "access_type"];

pub(super) fn post(mut call: Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let Some(logins) = &state.logins else { return Err(Refusal::Method("GET, HEAD")) };
    let body = form(&call)?;
    let form = Parameters::parse(body)?;
    call.note_client(&form);
    for name in ONCE {
        form.one(name)?;
    }
    let one = |name| form.one(name).map(Option::unwrap_or_default);
    let asked = Some(one("service")?).filter(|service| !service.is_empty());
    let token = one("refresh_token")?;
    // Who asks, and for a refresh token the service that it is for.
    let (identity, bound) = match one("grant_type")? {
        "password" => (by_password(&mut call, logins, &form)?, None),
        "refresh_token" => {
            if let Some(user) = by_proxy(&mut call)? {
                (Identity::Proxy(user), None)
            } else {
                let Holder { user, service, id, .. } = by_refresh_token(&mut call, logins, token, asked)?;
                call.origin.login = Some(id);
                (Identity::Password(user), Some(service))
            }
        }
        "" => return Err(Refusal::Invalid("the form has no `grant_type`")),
        _ => return Err(Refusal::GrantType),
    };
    let wanted = Wanted {
        service: bound.as_deref().or(asked),
        scopes: scope::parse_all(form.all("scope")).map_err(Refusal::Scope)?,
        everything: false,
        refresh: bound.is_none() && one("access_type")? == "offline",
    };
    answer(call, &identity, &wanted, Answer::Form(bound.as_ref().map(|_| token)))
}

/// The text of a form.
pub(super) fn form<'c>(call: &Call<'c>) -> Result<&'c str, Refusal> {
    let body = match call.request.body {
        Body::Absent => return Err(Refusal::Invalid("a form is expected in the body")),
        _ => call.body()?,
    };
    // Not 415, which breaks pulls.
    if !call.request.media_type()?.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Err(Refusal::Invalid("expected Content-Type: application/x-www-form-urlencoded"));
    }
    std::str::from_utf8(body).map_err(|_| Refusal::Invalid("the form is not UTF-8"))
}

/// In the order of precedence: the trusted header, Basic, the form.
fn by_password(call: &mut Call<'_>, logins: &Logins, form: &Parameters<'_>) -> Result<Identity, Refusal> {
    if let Some(user) = by_proxy(call)? {
        return Ok(Identity::Proxy(user));
    }
    let (name, password) = (form.one("username")?, form.one("password")?);
    let has_basic = has_authorization(call.request);
    if has_basic && (name.is_some() || password.is_some()) {
        return Err(Refusal::Invalid("credentials are both in the form and in Authorization"));
    }
    if let Some(user) = by_basic(call, logins)? {
        return Ok(Identity::Password(user));
    }
    let (Some(name), Some(password)) = (name, password) else {
        return Err(Refusal::Invalid("the form needs `username` and `password`"));
    };
    let credentials = Credentials::new(name, Zeroizing::new(password.to_owned()))?;
    identity::checked(call, logins, credentials).map(Identity::Password)
}

/// Whose the refresh token is, if it stands, is for the service asked, and its user is still known.
fn by_refresh_token(
    call: &mut Call<'_>,
    logins: &Logins,
    token: &str,
    asked: Option<&str>,
) -> Result<Holder, Refusal> {
    if has_authorization(call.request) {
        return Err(Refusal::Invalid("credentials are both in the form and in Authorization"));
    }
    if token.is_empty() {
        return Err(Refusal::Invalid("the form has no `refresh_token`"));
    }
    let verify = |refresh: &Refresh| refresh.verify(&call.state.issuer, &logins.users, token, call.now());
    let problem = match logins.refresh.as_ref().map(verify) {
        None => "refresh_ttl_seconds is 0, so no refresh token is taken".to_owned(),
        Some(Err(error)) => error.to_string(),
        Some(Ok(holder)) if asked.is_some_and(|asked| asked != holder.service) => {
            "the refresh token is for another service".to_owned()
        }
        Some(Ok(holder)) if !call.state.enforcement.may_know(&holder.user) => {
            format!("{} is not in the policy any more", holder.user)
        }
        Some(Ok(holder)) if is_revoked(call, &holder)? => {
            "the refresh token was revoked: somebody else may have it".to_owned()
        }
        Some(Ok(holder)) => {
            call.service.metrics.refresh_token(RefreshEvent::Used);
            return Ok(holder);
        }
    };
    call.service.metrics.refresh_token(RefreshEvent::Refused);
    call.note.detail = Some(problem);
    Err(Refusal::RefreshToken)
}

/// What the store may know of a refresh token.
pub(super) fn sought(holder: &Holder) -> Sought<'_> {
    Sought {
        id: &holder.id,
        subject: &holder.user,
        key_id: holder.key_id.as_deref(),
        issued_at: holder.issued_at,
    }
}

/// Whether the store says that a refresh token was revoked, or would have to know it and does not.
fn is_revoked(call: &mut Call<'_>, holder: &Holder) -> Result<bool, Refusal> {
    let now = call.now();
    let known = call.known(&sought(holder), now)?;
    if let (Some(Known::Revoked(..)), Some(store)) = (&known, &call.service.store)
        && let Some(left_out) = call.service.revoked_uses.take(now)
    {
        let more = if left_out == 0 { String::new() } else { format!(", and {left_out} uses before") };
        let (kind, detail) = (EventKind::RevokedTokenUsed, format!("{}{more}", holder.service));
        let (subject, token) = (Some(holder.user.clone()), Some(holder.id.clone()));
        let actor = Some(call.client.to_string());
        store.note(Event { number: 0, at: now, kind, subject, token, actor, detail });
    }
    Ok(matches!(known, Some(Known::Revoked(..) | Known::Unknown)))
}
