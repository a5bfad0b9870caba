//! `/auth` and `/v2/token`: from a routed request to a token.
//!
//! Owns what these endpoints ask and answer. Must not know sockets. Decision: trust is checked before
//! anything else that a request says is looked at.

use super::identity::{authenticated_user, single_header, untrusted_detail};
use super::refusal::Refusal;
use super::request::{Body, Request};
use super::response::Response;
use super::route::{Parameters, Route};
use super::{Note, Service, State};
use crate::claims::{self, Frame, Requested};
use crate::issuer::Issued;
use crate::policy::{Asker, Enforcement, Grant, Mode, Who};
use crate::scope::{self, Scope};
use crate::time::{Ttl, UnixTime};

/// What a handler works with.
pub(super) struct Call<'c> {
    pub(super) service: &'c Service,
    pub(super) state: &'c State,
    pub(super) request: &'c Request<'c>,
    pub(super) note: &'c mut Note,
}

impl Call<'_> {
    fn require_trust(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        if self.state.trust.covers(self.request.peer) {
            return Ok(());
        }
        self.note.detail = Some(untrusted_detail(self.request.peer));
        Err(refusal)
    }

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

/// `POST /auth`: a token for the claims in the body, from a trusted peer.
pub(super) fn auth(mut call: Call<'_>) -> Result<Response, Refusal> {
    call.require_trust(Refusal::Untrusted)?;
    let body = match &call.request.body {
        Body::Bytes(body) => body,
        Body::Absent => return Err(Refusal::LengthRequired),
        Body::TooLarge => return Err(Refusal::TooLarge),
        Body::Incomplete => return Err(Refusal::Timeout),
        Body::Malformed(problem) => return Err(Refusal::Malformed(problem)),
    };
    let content_type = single_header(call.request, "Content-Type")?.unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::MediaType);
    }
    let requested = Requested::new(claims::read_object(body)?)?;
    let user = requested.user()?.to_owned();
    call.note.user = Some(user.clone());
    let issuer = &call.state.issuer;
    let (asked, dropped) = issuer.filter().apply(requested);
    let (now, id) = ((call.service.sources.clock)(), call.new_id()?);
    let claims = claims::custom(&issuer.frame(now, issuer.default_ttl(), &id), issuer.filter(), &asked)?;
    let issued = call.issue(claims)?;
    let body = format!("{{\"token\":\"{}\",\"claims\":{}}}", issued.token.expose(), issued.claims.json());
    log_token(&call, Route::Auth, now, &issued, |line| {
        line.text("user", &user)
            .maybe("dropped", Some(dropped.join(" ").as_str()).filter(|names| !names.is_empty()))
    });
    Ok(token_response(body))
}

/// `GET /v2/token`: the Docker registry token protocol (distribution: docs/spec/auth/token.md).
pub(super) fn token(mut call: Call<'_>, parameters: &Parameters<'_>) -> Result<Response, Refusal> {
    call.require_trust(Refusal::Unauthenticated)?;
    let user = authenticated_user(call.request)?.ok_or(Refusal::Unauthenticated)?;
    call.note.user = Some(user.to_owned());
    let state = call.state;
    let service = audience(state, parameters)?;
    let asked = asked_scopes(call.request, parameters)?;
    let hosts = [service, state.issuer.audience()];
    let asker = Asker { who: Who::User(user), hosts: &hosts, default_ttl: state.issuer.default_ttl() };
    let grant = if wants_everything(call.request)? {
        everything(&mut call, &asker)?
    } else {
        some(state, &asker, &asked)?
    };
    let ttl = state.issuer.registry_ttl(grant.ttl);
    let (now, id) = ((call.service.sources.clock)(), call.new_id()?);
    let frame = Frame { audience: service, ..state.issuer.frame(now, ttl, &id) };
    let claims = claims::registry(&frame, state.issuer.filter(), user, &grant.access)?;
    let issued = call.issue(claims)?;
    log_token(&call, Route::Token, now, &issued, |line| {
        line.text("user", user)
            .text("service", service)
            .text("asked", &scope::join(&asked))
            .text("granted", &scope::join(&grant.access))
    });
    Ok(token_response(registry_body(&issued, now, ttl)))
}

/// The token's `aud`: the service asked for, where it is one that tokens are signed for.
fn audience<'s>(state: &'s State, parameters: &Parameters<'_>) -> Result<&'s str, Refusal> {
    let own = state.issuer.audience();
    match parameters.one("service").map_err(Refusal::Invalid)? {
        None | Some("") => Ok(own),
        Some(service) => std::iter::once(own)
            .chain(state.allowed_services.iter().map(String::as_str))
            .find(|known| *known == service)
            .ok_or(Refusal::Service),
    }
}

/// What `scope` parameters and `X-Scopes` ask together.
fn asked_scopes(request: &Request<'_>, parameters: &Parameters<'_>) -> Result<Vec<Scope>, Refusal> {
    let header = single_header(request, "X-Scopes")?;
    scope::parse_all(parameters.all("scope").chain(header)).map_err(Refusal::Scope)
}

fn wants_everything(request: &Request<'_>) -> Result<bool, Refusal> {
    match single_header(request, "X-Policy-Generate")? {
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

/// The answer's fields, as clients need them: a whole number of seconds, and RFC 3339 with `Z`.
fn registry_body(issued: &Issued, now: UnixTime, ttl: Ttl) -> String {
    let token = issued.token.expose();
    format!(
        "{{\"token\":\"{token}\",\"access_token\":\"{token}\",\"expires_in\":{},\"issued_at\":\"{now}\",\"claims\":{}}}",
        ttl.seconds(),
        issued.claims.json()
    )
}

fn token_response(body: String) -> Response {
    Response::json(200, body.into_bytes()).header("Cache-Control", "no-store")
}

/// One line for each token: who got what, for how long; never the token itself.
fn log_token(
    call: &Call<'_>,
    route: Route,
    now: UnixTime,
    issued: &Issued,
    fields: impl FnOnce(crate::log::Line) -> crate::log::Line,
) {
    let algorithm = call.state.issuer.algorithm();
    call.service.metrics.token(route, algorithm);
    let line =
        call.service.log.line(now, "token").text("route", route.label()).text("jti", issued.claims.id());
    fields(line.text("peer", &call.request.peer.to_string()).text("algorithm", algorithm.name()))
        .text("expires", &issued.claims.expires_at().to_string())
        .end();
}
