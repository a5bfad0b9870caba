//! `POST /revoke`: a token ends before its time (RFC 7009).
//!
//! Owns the answer. Must not know how tokens are remembered. Decision: 200 is said when the revocation is on the disk,
//! or when there is nothing to revoke; never because a store could not be asked.

use super::call::Call;
use super::refusal::Refusal;
use super::response::Response;
use super::shown::Asked;
use crate::login::clients::Act;
use crate::store::entry::{Revocation, Target};

pub(super) fn post(mut call: Call<'_>, query: &str) -> Result<Response, Refusal> {
    let Asked { caller, shown } = Asked::read(&mut call, query, Act::Revoke)?;
    let Some(store) = &call.service.store else {
        call.note.detail = Some("there is no store to remember a revocation".to_owned());
        return Err(Refusal::TokenKind);
    };
    let Some(shown) = shown else { return Ok(done()) }; // it counts no more, or never did
    if !caller.knows(&shown.audiences()) {
        return Err(Refusal::NotTheirs);
    }
    let id = shown.sought().id.to_owned();
    if id.is_empty() {
        call.note.detail = Some("the token has no `jti`".to_owned());
        return Err(Refusal::TokenKind);
    }
    call.note.detail = Some(format!("revoked {id}"));
    let now = call.now();
    let target = Target::Token { id, expires_at: shown.expires_at() };
    let revocation = Revocation { target, before: now, at: now, actor: caller.actor(&call) };
    store.revoke(&revocation).map_err(|fault| call.forgetful(&fault))?;
    Ok(done())
}

/// What clients pass over (RFC 7009, 2.2).
fn done() -> Response {
    Response::json(200, &b"{}"[..]).header("Cache-Control", "no-store")
}
