//! The one act of issuing: an [`Issuance`] in, a signed token and its record out.
//!
//! Owns what is the same for every token: the issuer's name, the lives, the claim filter, the keys and the
//! seal. Must not know who asks or how. Decision: whoever makes a token goes through [`Issuer::issue`]
//! (both endpoints, the command line, refresh tokens, diagnosis), and the log, the metrics and whatever
//! else remembers tokens are fed from the one [`Record`] that it gives, so that none can be forgotten.

mod opened;

pub use opened::Opened;

use crate::claims::{self, Allowed, ClaimFilter, ClaimsError, Frame, TargetCommand, TokenRequest};
use crate::ground::secret::Secret;
use crate::ground::time::{Lifetimes, Ttl, UnixTime};
use crate::key::algorithm::Algorithm;
use crate::key::keyring::Keyring;
use crate::policy::scope::{self, Access};
use crate::token::{Opener, SealError, Sealer, Typ, refresh};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use crate::token::SealedBy;

/// Makes tokens.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    audience: String,
    lifetimes: Lifetimes,
    filter: ClaimFilter,
    keyring: Keyring,
    /// A registry's tokens are always signed JWTs.
    sealer: Sealer,
    /// What seals the others, where that is anything else.
    format: Option<Sealer>,
    typ: Typ,
    openers: Vec<Opener>,
}

/// What a token is for, which decides what is in it.
#[derive(Debug, Clone, Copy)]
pub enum Profile<'a> {
    /// Whatever a trusted caller asks, as far as the allow-list lets it through.
    Generic(&'a Allowed),
    /// The same, but `sub`, `access` and `scope` are what the policy grants.
    Granted(&'a Allowed, &'a [Access]),
    /// A Docker registry's token: what the policy grants, and no claim of a caller's.
    Registry(&'a [Access]),
    /// One user's command for one target.
    Command(&'a TargetCommand<'a>),
    /// A Kubernetes service account's token.
    Kubernetes(&'a TokenRequest<'a>),
    /// What a client keeps instead of a password: no JWT, and taken by nobody but this issuer.
    Refresh {
        /// The fingerprint of what the token must not outlive: the user's line of the users file.
        bound_to: &'a [u8],
        /// A secret of its own; without one the ring's active key signs.
        secret: Option<&'a Secret>,
    },
}

/// How logs and records name the profile of a refresh token, with which a login begins.
pub const REFRESH: &str = "refresh";

impl<'a> Profile<'a> {
    /// The profile as logs and records name it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Generic(_) => "generic",
            Profile::Granted(..) => "granted",
            Profile::Registry(_) => "registry",
            Profile::Command(_) => "command",
            Profile::Kubernetes(_) => "kubernetes",
            Profile::Refresh { .. } => REFRESH,
        }
    }

    fn access(self) -> &'a [Access] {
        match self {
            Profile::Granted(_, access) | Profile::Registry(access) => access,
            Profile::Generic(_) | Profile::Command(_) | Profile::Kubernetes(_) | Profile::Refresh { .. } => {
                &[]
            }
        }
    }

    /// The life of such a token, of which this is what is wanted.
    fn life(self, wanted: Ttl, lifetimes: Lifetimes) -> Ttl {
        match self {
            Profile::Registry(_) => lifetimes.registry(wanted),
            Profile::Command(_) => wanted.min(lifetimes.max),
            Profile::Kubernetes(_) => lifetimes.service_account(wanted),
            Profile::Generic(_) | Profile::Granted(..) | Profile::Refresh { .. } => wanted,
        }
    }
}

/// A token that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Issuance<'a> {
    /// What it is for.
    pub profile: Profile<'a>,
    /// Whom it is for: `sub`, except in a generic token, whose `sub` is the caller's to set.
    pub subject: &'a str,
    /// `aud`; for a refresh token the one service that it gives tokens for, for a service account all of its
    /// audiences, separated by spaces.
    pub audience: &'a str,
    /// How long it should live; a registry's or a profile's token lives within the bounds of [`Lifetimes`].
    pub ttl: Ttl,
}

/// A token and what is remembered of it.
#[derive(Debug)]
pub struct Issued<'a> {
    /// The token: a credential. Never logged.
    pub token: Token,
    /// What it says: its payload, exactly as it is signed.
    pub claims: String,
    /// What is remembered of it.
    pub record: Record<'a>,
}

/// What is remembered of a token: for the log, the metrics and whatever else keeps account.
#[derive(Debug)]
pub struct Record<'a> {
    /// `jti`
    pub id: String,
    /// [`Profile::name`]
    pub profile: &'static str,
    /// Whom it is for.
    pub subject: &'a str,
    /// Whom it is meant to be shown to.
    pub audience: &'a str,
    /// What it grants, as `scope` parameters write it.
    pub granted: String,
    /// When it was made.
    pub issued_at: UnixTime,
    /// From when on it counts no more.
    pub expires_at: UnixTime,
    /// What signed it, or encrypted it where nothing did.
    pub algorithm: SealedBy,
    /// That key, where that has an id.
    pub key_id: Option<&'a str>,
}

/// A signed token: whoever holds it has what it grants, so `Debug` does not show it.
pub struct Token(String);

impl Token {
    /// The token itself, for the one who asked.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A token could not be made.
#[derive(Debug)]
pub enum IssueError {
    /// Its claims cannot be written.
    Claims(ClaimsError),
    /// It cannot be signed.
    Seal(SealError),
}

impl IssueError {
    /// What stands behind it, in one line.
    pub fn cause(&self) -> String {
        match self {
            IssueError::Claims(error) => error.to_string(),
            IssueError::Seal(error) => error.to_string(),
        }
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot issue the token")
    }
}

impl std::error::Error for IssueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            IssueError::Claims(error) => Some(error),
            IssueError::Seal(error) => Some(error),
        }
    }
}

impl Issuer {
    /// An issuer of that name, whose tokens are for `audience` where nothing else is asked.
    pub fn new(
        name: String,
        audience: String,
        lifetimes: Lifetimes,
        filter: ClaimFilter,
        keyring: Keyring,
    ) -> Self {
        let sealer = Sealer::jws(Arc::clone(keyring.active()));
        Self {
            name,
            audience,
            lifetimes,
            filter,
            keyring,
            sealer,
            format: None,
            typ: Typ::Jwt,
            openers: Vec::new(),
        }
    }

    /// The same, whose tokens are sealed otherwise and of this kind, except those that only a registry, or only
    /// this issuer, ever reads; and what opens them where that is here.
    #[must_use]
    pub fn with_format(self, format: Option<Sealer>, typ: Typ, openers: Vec<Opener>) -> Self {
        Self { format, typ, openers, ..self }
    }

    /// What seals tokens that are neither a registry's nor refresh tokens.
    pub fn format(&self) -> &Sealer {
        self.format.as_ref().unwrap_or(&self.sealer)
    }

    /// `iss` of every token.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `aud` where nothing else is asked.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// How long tokens live.
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// The allow-list and the static claims.
    pub fn filter(&self) -> &ClaimFilter {
        &self.filter
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Makes a token. `now` and `id`, which is new for each token, come from the edge.
    pub fn issue<'a>(
        &'a self,
        issuance: &Issuance<'a>,
        now: UnixTime,
        id: String,
    ) -> Result<Issued<'a>, IssueError> {
        let Issuance { profile, subject, audience, ttl } = *issuance;
        let ttl = profile.life(ttl, self.lifetimes);
        let frame = Frame { issuer: &self.name, audience, now, ttl, id: &id };
        let key = self.keyring.active();
        let sealer = if matches!(profile, Profile::Registry(_)) { &self.sealer } else { self.format() };
        let (mut algorithm, mut key_id) = sealer.sealed_by();
        let typ =
            if matches!(profile, Profile::Generic(_) | Profile::Granted(..)) { self.typ } else { Typ::Jwt };
        let completed = |claims: &'a Allowed| match typ {
            Typ::AccessToken => claims.for_access_token(&self.filter, subject).map(Cow::Owned),
            Typ::Jwt => Ok(Cow::Borrowed(claims)),
        };
        let payload = match profile {
            Profile::Generic(claims) => {
                completed(claims).and_then(|claims| claims::generic(&frame, &self.filter, &claims))
            }
            Profile::Granted(claims, access) => completed(claims)
                .and_then(|claims| claims::granted(&frame, &self.filter, &claims, subject, access)),
            Profile::Registry(access) => claims::registry(&frame, &self.filter, subject, access),
            Profile::Command(command) => claims::command(&frame, &self.filter, command, subject),
            Profile::Kubernetes(request) => claims::service_account(&frame, &self.filter, request),
            Profile::Refresh { secret, .. } => {
                (algorithm, key_id) = match secret {
                    Some(_) => (SealedBy::Signature(Algorithm::HS256), None),
                    None => self.sealer.sealed_by(),
                };
                claims::refresh(&frame, subject, key_id)
            }
        };
        let payload = payload.map_err(IssueError::Claims)?;
        let token = match profile {
            Profile::Refresh { bound_to, secret } => {
                refresh::seal(payload.as_bytes(), bound_to, refresh::SigningKey::of(secret, key))
            }
            _ => sealer.seal(payload.as_bytes(), typ, now),
        };
        let record = Record {
            id,
            profile: profile.name(),
            subject,
            audience,
            granted: scope::join(profile.access()),
            issued_at: now,
            expires_at: now.plus(ttl),
            algorithm,
            key_id,
        };
        Ok(Issued { token: Token(token.map_err(IssueError::Seal)?), claims: payload, record })
    }
}
