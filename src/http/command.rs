//! `/command/token`: one command for one target, signed for a user.
//!
//! Owns what this endpoint takes and answers. Must not know what commands mean. Decision: a user asks for
//! themselves alone, and whether they may have the command done is the target's to decide: a token says who
//! wants what of whom, and no more.

use super::call::Call;
use super::identity;
use super::refusal::Refusal;
use super::response::Response;
use super::token::no_store;
use crate::claims::{self, Recipient, TargetCommand, UNKNOWN_USER};
use crate::ground::name;
use crate::ground::time::{Lifetimes, Ttl};
use crate::issuer::{Issuance, Profile};
use serde_json::{Map, Value, json};

/// What is asked; the first two must be there.
struct CommandRequest<'b> {
    target: &'b str,
    command: &'b str,
    user: Option<&'b str>,
    ttl: Ttl,
}

/// `POST /command/token`
pub(super) fn post(mut call: Call<'_>, query: &str) -> Result<Response, Refusal> {
    let own = identity::of_profile(&mut call)?;
    call.note.user.clone_from(&own);
    if !query.is_empty() {
        return Err(Refusal::Invalid("this path takes no parameters"));
    }
    let body = claims::read_object(call.json()?)?;
    let state = call.state;
    let wanted = CommandRequest::read(&body, state.issuer.lifetimes())?;
    let user = match (&own, wanted.user) {
        (Some(own), Some(user)) if user != own => return Err(Refusal::OtherUser),
        (Some(own), _) => own,
        (None, user) => user.unwrap_or(UNKNOWN_USER),
    };
    call.note.user = Some(user.to_owned());
    let target = Recipient::new(wanted.target, state.services())
        .map_err(|error| Refusal::Audience("target", error))?;
    if !state.profiles.allow_target(target.name(), own.is_some()) {
        call.note.detail = Some(format!("the target {} is not in command_targets", target.name()));
        return Err(Refusal::Target);
    }
    let command = TargetCommand::new(target, wanted.command)
        .ok_or(Refusal::Invalid("`command` has more than 4096 bytes, or none"))?;
    let profile = Profile::Command(&command);
    let issuance = Issuance { profile, subject: user, audience: target.name(), ttl: wanted.ttl };
    let issued = call.issue(&issuance, call.now(), &[])?;
    let record = &issued.record;
    let body = json!({
        "token": issued.token.expose(),
        "jti": record.id,
        "expires_in": record.expires_at.0.saturating_sub(record.issued_at.0),
        "issued_at": record.issued_at.to_string(),
    });
    Ok(no_store(200, body.to_string()))
}

impl<'b> CommandRequest<'b> {
    fn read(body: &'b Map<String, Value>, lifetimes: Lifetimes) -> Result<Self, Refusal> {
        let target = text(body, "target", "`target` is not a text")?.unwrap_or_default();
        if target.is_empty() {
            return Err(Refusal::Invalid("`target` is missing"));
        }
        let command = text(body, "command", "`command` is not a text")?.unwrap_or_default();
        if command.is_empty() {
            return Err(Refusal::Invalid("`command` is missing"));
        }
        let known = ["target", "command", "user", "expirationSeconds"];
        if body.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(Refusal::Invalid(
                "the body holds something else than target, command, user and expirationSeconds",
            ));
        }
        let user = text(body, "user", "`user` is not a text")?.filter(|user| !user.is_empty());
        if let Some(problem) = user.and_then(name::problem) {
            return Err(Refusal::Member("user", problem));
        }
        let ttl = match body.get("expirationSeconds").filter(|value| !value.is_null()) {
            None => lifetimes.default,
            Some(value) => claims::whole_number(value)
                .and_then(|seconds| lifetimes.asked(u64::try_from(seconds).ok()?))
                .ok_or(Refusal::Life("expirationSeconds", lifetimes.max))?,
        };
        Ok(Self { target, command, user, ttl })
    }
}

/// A member that is a text, or not there, or `null`.
pub(super) fn text<'b>(
    body: &'b Map<String, Value>,
    name: &str,
    problem: &'static str,
) -> Result<Option<&'b str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Invalid(problem)),
    }
}
