//! A token that is shown to be judged: which kind it is, whose, and whether it counts.
//!
//! Owns the form of both endpoints that take one, and the one place where every kind of token is known. Must not know
//! what is answered. Decision: `token_type_hint` is not looked at. A token's own form says what it is, so a hint could
//! only hide one (RFC 7009, 2.1; RFC 7662, 2.1).

use super::call::Call;
use super::caller::{self, Caller};
use super::oauth;
use super::refusal::Refusal;
use super::route::Parameters;
use crate::ground::time::UnixTime;
use crate::issuer::Opened;
use crate::login::clients::Act;
use crate::login::refresh::Holder;
use crate::store::entry::{Known, Sought};

/// What somebody asks about a token.
pub(super) struct Asked<'c> {
    pub(super) caller: Caller<'c>,
    /// The token, if it is one that counts as far as it alone can tell, or may count again.
    pub(super) shown: Option<Shown>,
}

/// A token of ours that has neither expired nor been changed.
pub(super) enum Shown {
    /// A token for others.
    Access(Opened),
    /// What a client keeps instead of a password.
    Refresh(Holder),
}

impl Shown {
    /// The one place where every kind is known. A refresh token whose user is out of the policy counts for nothing,
    /// and can be revoked: they may come back.
    fn read(call: &Call<'_>, token: &str, act: Act) -> Option<Self> {
        let (state, now) = (call.state, call.now());
        if let Some(opened) = state.issuer.open(token, now) {
            return Some(Self::Access(opened));
        }
        let logins = state.logins.as_ref()?;
        let holder = logins.refresh.as_ref()?.verify(&state.issuer, &logins.users, token, now).ok()?;
        (act == Act::Revoke || state.enforcement.may_know(&holder.user)).then_some(Self::Refresh(holder))
    }

    /// What the store may know of it.
    pub(super) fn sought(&self) -> Sought<'_> {
        match self {
            Self::Access(opened) => Sought {
                id: opened.text("jti"),
                subject: opened.text("sub"),
                key_id: opened.key_id.as_deref(),
                issued_at: opened.issued_at,
            },
            Self::Refresh(holder) => oauth::sought(holder),
        }
    }

    /// From when on it counts no more.
    pub(super) fn expires_at(&self) -> UnixTime {
        match self {
            Self::Access(opened) => opened.expires_at,
            Self::Refresh(holder) => holder.expires_at,
        }
    }

    /// Whom it is meant to be shown to; for a refresh token the service that it gets tokens for.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match self {
            Self::Access(opened) => opened.audiences(),
            Self::Refresh(holder) => vec![&holder.service],
        }
    }

    /// Whether the store says that it has ended.
    pub(super) fn has_ended(&self, call: &mut Call<'_>) -> Result<bool, Refusal> {
        let known = call.known(&self.sought(), call.now())?;
        Ok(!matches!(known, None | Some(Known::Active(_))))
    }
}

/// Parameters that may stand once; others are passed over.
const ONCE: [&str; 2] = ["token", "token_type_hint"];

impl<'c> Asked<'c> {
    /// Reads the form of a caller that may ask this.
    pub(super) fn read(call: &mut Call<'c>, query: &str, act: Act) -> Result<Self, Refusal> {
        let text = oauth::form(call)?;
        // A token may be any text: what is none is not active, which is no error.
        let form = Parameters::parse_all_but(Some(ONCE[0]), text)?;
        let caller = caller::of(call, &form, act)?;
        if !query.is_empty() {
            return Err(Refusal::Invalid("parameters are taken from the form, not from the address"));
        }
        for name in ONCE {
            form.one(name)?;
        }
        let token = form.all(ONCE[0]).next().filter(|token| !token.is_empty());
        let token = token.ok_or(Refusal::Invalid("the form has no `token`"))?;
        Ok(Self { caller, shown: Shown::read(call, token, act) })
    }
}
