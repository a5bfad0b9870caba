//! `/v2/token`: the Docker registry token protocol, from who asks and what they ask to the answer.
//!
//! Owns what is asked and answered, in both forms; `oauth` reads the form of a POST. Must not know sockets.
//! Decision: who asks is settled before anything else that a request says is looked at.

use super::State;
use super::call::Call;
use super::identity::{self, Identity, trusted_header};
use super::refusal::Refusal;
use super::response::Response;
use super::route::Parameters;
use crate::ground::time::UnixTime;
use crate::issuer::{Issuance, Issued, Profile, Token};
use crate::policy::scope::{self, Scope};
use crate::policy::{Asker, Enforcement, Grant};
use serde_json::json;
use std::fmt::Write as _;

/// `GET /v2/token`: the Docker registry token protocol (distribution: docs/spec/auth/token.md).
pub(super) fn get(mut call: Call<'_>, query: &str) -> Result<Response, Refusal> {
    let identity = identity::of_get(&mut call)?;
    let parameters = Parameters::parse(query)?;
    call.note_client(&parameters);
    let wanted = Wanted {
        service: parameters.one("service")?.filter(|service| !service.is_empty()),
        scopes: asked_scopes(&mut call, &parameters)?,
        everything: wants_everything(&mut call)?,
        refresh: parameters.one("offline_token")?.is_some_and(|value| value.eq_ignore_ascii_case("true")),
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
    let service = audience(&mut call, wanted.service)?;
    let hosts = [service, state.issuer.audience()];
    let asker = Asker { who, hosts: &hosts, default_ttl: state.issuer.lifetimes().default };
    let grant = if wanted.everything {
        everything(&mut call, &asker)?
    } else {
        granted(state, &asker, &wanted.scopes)?
    };
    call.note_rules(&asker, &grant.access);
    let now = call.now();
    let profile = Profile::Registry(&grant.access);
    let issuance = Issuance { profile, subject: who.name(), audience: service, ttl: grant.ttl };
    let issued = call.issue(&issuance, now, &[("asked", &scope::join(&wanted.scopes))])?;
    let made = if wanted.refresh { refresh_token(&mut call, identity, service, now)? } else { None };
    let mut more = Vec::new();
    let (oauth, kept) = match form {
        Answer::Query => (false, None),
        Answer::Form(sent) => (true, sent),
    };
    if oauth {
        more.extend([("token_type", json!("Bearer")), ("scope", json!(issued.record.granted))]);
    }
    if let Some(refresh) = made.as_ref().map(Token::expose).or(kept) {
        more.push(("refresh_token", json!(refresh)));
    }
    let answer = no_store(200, body(&issued, &more));
    // RFC 6749, 5.1.
    Ok(if oauth { answer.header("Pragma", "no-cache") } else { answer })
}

/// A refresh token, for a user who just gave their password and whom it will be of use to. It is a
/// convenience: where it cannot be had, the answer is the same without it.
fn refresh_token(
    call: &mut Call<'_>,
    identity: &Identity,
    service: &str,
    now: UnixTime,
) -> Result<Option<Token>, Refusal> {
    let state = call.state;
    let (Identity::Password(user), Some(logins)) = (identity, &state.logins) else { return Ok(None) };
    let (Some(refresh), Some(hash)) = (&logins.refresh, logins.users.hash_of(user)) else { return Ok(None) };
    if !state.enforcement.may_know(user) {
        return Ok(None);
    }
    let fingerprint = hash.fingerprint();
    let issued = call.issue(&refresh.issuance(user, service, &fingerprint), now, &[])?;
    // What is given with it ends with it (RFC 7009, 2.1).
    let login = &issued.record.id;
    call.note.entries.iter_mut().for_each(|entry| entry.login = Some(login.clone()));
    Ok(Some(issued.token))
}

/// The token's `aud`: the service asked for, where it is one that tokens are signed for.
pub(super) fn audience<'c>(call: &mut Call<'c>, asked: Option<&str>) -> Result<&'c str, Refusal> {
    let state = call.state;
    let Some(asked) = asked else { return Ok(state.issuer.audience()) };
    state.services().find(|known| *known == asked).ok_or_else(|| {
        let shown: String = asked.chars().take(200).collect();
        call.note.detail = Some(format!("asked for the service {shown}"));
        Refusal::Service
    })
}

/// What `scope` parameters and a trusted peer's `X-Scopes` ask together.
fn asked_scopes(call: &mut Call<'_>, parameters: &Parameters<'_>) -> Result<Vec<Scope>, Refusal> {
    let header = trusted_header(call, "X-Scopes")?;
    scope::parse_all(parameters.all("scope").chain(header)).map_err(Refusal::Scope)
}

fn wants_everything(call: &mut Call<'_>) -> Result<bool, Refusal> {
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
            Some(format!("left out, because registries compare names: {}", generated.skipped.join(" ")));
    }
    Ok(Grant { access: generated.access, ttl: generated.ttl, complete: true, refused: false })
}

/// What is asked, as far as it is granted.
pub(super) fn granted(state: &State, asker: &Asker<'_>, asked: &[Scope]) -> Result<Grant, Refusal> {
    let grant = state.enforcement.grant(asker, asked);
    if grant.refused { Err(Refusal::Denied) } else { Ok(grant) }
}

/// The answer's fields, as clients need them: a whole number of seconds, and RFC 3339 with `Z`.
fn body(issued: &Issued<'_>, more: &[(&str, serde_json::Value)]) -> String {
    let (token, record) = (issued.token.expose(), &issued.record);
    let left = record.expires_at.0.saturating_sub(record.issued_at.0);
    let mut body = String::with_capacity(2 * token.len() + issued.claims.len() + 256);
    // Writing to a String does not fail.
    let _ = write!(
        body,
        "{{\"token\":\"{token}\",\"access_token\":\"{token}\",\"expires_in\":{left},\"issued_at\":\"{}\",\"claims\":{}",
        record.issued_at, issued.claims
    );
    for (name, value) in more {
        let _ = write!(body, ",\"{name}\":{value}");
    }
    body.push('}');
    body
}

/// An answer that holds a token: nobody may keep it but the one who asked.
pub(super) fn no_store(status: u16, body: String) -> Response {
    Response::json(status, body.into_bytes()).header("Cache-Control", "no-store")
}
