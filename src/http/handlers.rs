//! `/auth` (in `auth`) and `/v2/token`: from a routed request to a token.
//!
//! Owns what these endpoints ask and answer. Must not know sockets. Decision: who asks is settled before
//! anything else that a request says is looked at.

mod auth;

pub(super) use auth::auth;

use super::identity::{self, Identity};
use super::oauth::is_in_policy;
use super::refusal::Refusal;
use super::request::Request;
use super::response::Response;
use super::reuse::{Made, Same};
use super::route::{Parameters, Route};
use super::{Note, Service, State};
use crate::claims::{self, Frame};
use crate::ground::time::UnixTime;
use crate::issuer::Issued;
use crate::login::refresh::Holder;
use crate::policy::scope::{self, Scope};
use crate::policy::{Asker, Enforcement, Grant, Mode};
use crate::telemetry::log::Line;
use crate::telemetry::metrics::RefreshEvent;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;

/// What a handler works with.
pub(super) struct Call<'c> {
    pub(super) service: &'c Service,
    pub(super) state: &'c State,
    pub(super) request: &'c Request<'c>,
    pub(super) note: &'c mut Note,
}

impl Call<'_> {
    fn new_id(&mut self) -> Result<String, Refusal> {
        (self.service.sources.id)().ok_or_else(|| {
            self.note.detail = Some("the system has no randomness to give".to_owned());
            Refusal::Internal
        })
    }

    fn issue(&mut self, claims: claims::Claims) -> Result<Issued, Refusal> {
        self.state.issuer.issue(claims).map_err(|error| {
            self.note.detail = Some(error.to_string());
            Refusal::Internal
        })
    }
}

/// `GET /v2/token`: the Docker registry token protocol (distribution: docs/spec/auth/token.md).
pub(super) fn token(mut call: Call<'_>, parameters: &Parameters<'_>) -> Result<Response, Refusal> {
    let identity = identity::of_get(&mut call)?;
    let one = |name| parameters.one(name).map_err(Refusal::Invalid);
    let wanted = Wanted {
        service: one("service")?.filter(|service| !service.is_empty()),
        scopes: asked_scopes(&call, parameters)?,
        everything: wants_everything(&call)?,
        refresh: one("offline_token")?.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    };
    answer(call, &identity, &wanted, Answer::Query)
}

/// What is asked of the token endpoint, in whatever form.
pub(super) struct Wanted<'w> {
    pub(super) service: Option<&'w str>,
    pub(super) scopes: Vec<Scope>,
    /// Generate mode: all that the policy gives, whatever is asked.
    pub(super) everything: bool,
    /// A refresh token, too.
    pub(super) refresh: bool,
}

/// Which fields the answer has.
#[derive(Clone, Copy)]
pub(super) enum Answer<'a> {
    /// Those of the token protocol.
    Query,
    /// Those of OAuth 2, with the refresh token that was sent.
    Form(Option<&'a str>),
}

/// A registry's token for somebody who is known.
pub(super) fn answer(
    mut call: Call<'_>,
    identity: &Identity,
    wanted: &Wanted<'_>,
    form: Answer<'_>,
) -> Result<Response, Refusal> {
    let state = call.state;
    let who = identity.who();
    call.note.user = Some(who.name().to_owned());
    let service = audience(state, wanted.service)?;
    let hosts = [service, state.issuer.audience()];
    let asker = Asker { who, hosts: &hosts, default_ttl: state.issuer.default_ttl() };
    let grant =
        if wanted.everything { everything(&mut call, &asker)? } else { some(state, &asker, &wanted.scopes)? };
    let now = (call.service.sources.clock)();
    let token = registry_token(&mut call, who.name(), service, &grant, now)?;
    let made = if wanted.refresh { refresh_token(&mut call, identity, service, now)? } else { None };
    let granted = scope::join(&grant.access);
    log_token(&mut call, Route::Token, now, &token, |line| {
        line.text("user", who.name())
            .text("service", service)
            .text("asked", &scope::join(&wanted.scopes))
            .text("granted", &granted)
            .maybe("refresh_token", made.as_ref().map(|_| "issued"))
    });
    let mut more = Vec::new();
    let kept = match form {
        Answer::Query => None,
        Answer::Form(sent) => {
            more.extend([("token_type", json!("Bearer")), ("scope", json!(granted))]);
            sent
        }
    };
    if let Some(refresh) = made.as_ref().map(crate::issuer::Token::expose).or(kept) {
        more.push(("refresh_token", json!(refresh)));
    }
    Ok(token_response(registry_body(&token, now, &more)))
}

/// The token for a grant: a new one, or where the configuration allows it one that was made just before.
fn registry_token(
    call: &mut Call<'_>,
    user: &str,
    service: &str,
    grant: &Grant,
    now: UnixTime,
) -> Result<Made, Refusal> {
    let state = call.state;
    let ttl = state.issuer.registry_ttl(grant.ttl);
    let same = state.reuse.is_on().then(|| Same::new(user, service, &grant.access, ttl));
    if let Some(made) = same.as_ref().and_then(|same| state.reuse.find(same, now)) {
        return Ok(made);
    }
    let id = call.new_id()?;
    let frame = Frame { audience: service, ..state.issuer.frame(now, ttl, &id) };
    let claims = claims::registry(&frame, state.issuer.filter(), user, &grant.access)?;
    let made = Made { issued: Arc::new(call.issue(claims)?), at: now, reused: false };
    if let Some(same) = same {
        state.reuse.keep(same, &made);
    }
    Ok(made)
}

/// A refresh token, for a user who just gave his password and whom it will be of use to. It is a
/// convenience: where it cannot be had, the answer is the same without it.
fn refresh_token(
    call: &mut Call<'_>,
    identity: &Identity,
    service: &str,
    now: UnixTime,
) -> Result<Option<crate::issuer::Token>, Refusal> {
    let state = call.state;
    let (Identity::Password(user), Some(logins)) = (identity, &state.logins) else { return Ok(None) };
    let (Some(refresh), Some(hash)) = (&logins.refresh, logins.users.hash_of(user)) else { return Ok(None) };
    if !is_in_policy(&state.enforcement, user) {
        return Ok(None);
    }
    let holder = Holder { user: user.clone(), service: service.to_owned() };
    let made = refresh.issue(&state.issuer, &holder, hash, now).map_err(|error| {
        call.note.detail = Some(format!("cannot sign a refresh token: {error}"));
        Refusal::Internal
    })?;
    call.service.metrics.refresh_token(RefreshEvent::Issued);
    Ok(Some(made))
}

/// The token's `aud`: the service asked for, where it is one that tokens are signed for.
fn audience<'s>(state: &'s State, asked: Option<&str>) -> Result<&'s str, Refusal> {
    let own = state.issuer.audience();
    let Some(asked) = asked else { return Ok(own) };
    std::iter::once(own)
        .chain(state.allowed_services.iter().map(String::as_str))
        .find(|known| *known == asked)
        .ok_or(Refusal::Service)
}

/// What `scope` parameters and a trusted peer's `X-Scopes` ask together.
fn asked_scopes(call: &Call<'_>, parameters: &Parameters<'_>) -> Result<Vec<Scope>, Refusal> {
    let header = trusted_header(call, "X-Scopes")?;
    scope::parse_all(parameters.all("scope").chain(header)).map_err(Refusal::Scope)
}

/// A header field that only a trusted peer may send: passed over in what others send.
fn trusted_header<'c>(call: &Call<'c>, name: &'static str) -> Result<Option<&'c str>, Refusal> {
    if call.state.trust.covers(call.request.peer) { call.request.header_text(name) } else { Ok(None) }
}

fn wants_everything(call: &Call<'_>) -> Result<bool, Refusal> {
    match trusted_header(call, "X-Policy-Generate")? {
        None | Some("") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Refusal::Invalid("X-Policy-Generate is true or false")),
    }
}

/// Generate mode: all that the policy gives the user.
fn everything(call: &mut Call<'_>, asker: &Asker<'_>) -> Result<Grant, Refusal> {
    let policy = match &call.state.enforcement {
        Enforcement::Policy(policy) => policy,
        Enforcement::Nothing => return Err(Refusal::UnknownUser),
        Enforcement::Off => return Err(Refusal::Invalid("there is no policy to generate claims from")),
    };
    let generated = policy.grants_of(asker).ok_or(Refusal::UnknownUser)?;
    if !generated.skipped.is_empty() {
        call.note.detail =
            Some(format!("left out, as registries compare names: {}", generated.skipped.join(" ")));
    }
    Ok(Grant { access: generated.access, ttl: generated.ttl, complete: true })
}

/// What is asked, as far as it is granted.
fn some(state: &State, asker: &Asker<'_>, asked: &[Scope]) -> Result<Grant, Refusal> {
    let grant = state.enforcement.grant(asker, asked);
    if grant.complete || state.enforcement.mode() == Mode::Filter { Ok(grant) } else { Err(Refusal::Denied) }
}

/// The answer's fields, as clients need them: a whole number of seconds that are left, and RFC 3339 with `Z`.
fn registry_body(made: &Made, now: UnixTime, more: &[(&str, serde_json::Value)]) -> String {
    let (token, claims) = (made.issued.token.expose(), &made.issued.claims);
    let left = claims.expires_at().0.saturating_sub(now.0);
    let mut body = String::with_capacity(2 * token.len() + claims.json().len() + 256);
    // Writing to a String does not fail.
    let _ = write!(
        body,
        "{{\"token\":\"{token}\",\"access_token\":\"{token}\",\"expires_in\":{left},\"issued_at\":\"{}\",\"claims\":{}",
        made.at,
        claims.json()
    );
    for (name, value) in more {
        let _ = write!(body, ",\"{name}\":{value}");
    }
    body.push('}');
    body
}

fn token_response(body: String) -> Response {
    Response::json(200, body.into_bytes()).header("Cache-Control", "no-store")
}

/// One line for each token: who got what, for how long; never the token itself.
fn log_token(
    call: &mut Call<'_>,
    route: Route,
    now: UnixTime,
    made: &Made,
    fields: impl for<'l> FnOnce(Line<'l>) -> Line<'l>,
) {
    let algorithm = call.state.issuer.algorithm();
    if made.reused {
        call.service.metrics.reused();
    } else {
        call.service.metrics.token(route, algorithm);
    }
    let claims = &made.issued.claims;
    let line = call.service.log.line(now, "token").text("route", route.label()).text("jti", claims.id());
    let line = fields(line.plain("peer", call.request.peer).text("algorithm", algorithm.name()))
        .plain("expires", claims.expires_at())
        .maybe("reused", made.reused.then_some("yes"));
    call.note.token = Some(line.finish());
}
