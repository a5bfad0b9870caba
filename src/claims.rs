//! From what a caller asks ([`Requested`]) to what a token says.
//!
//! Owns the registered claims, the allow-list and one pure builder per token profile. Must not know keys
//! or sockets. Decision: `Requested` is untrusted, and the builders take only [`Allowed`], which the
//! allow-list alone makes of it, so that it cannot be skipped. The payload's text is made here, once: what
//! an answer shows is byte for byte what was signed.

mod ambiguous;
mod command;
mod kubernetes;
pub mod mapping;
mod recipient;
mod requested;

pub use ambiguous::{check_distinct, check_members, check_name, check_value};
pub use command::{TargetCommand, command};
pub use kubernetes::{ServiceAccount, TokenRequest, service_account};
pub use recipient::{Recipient, RecipientError};
pub use requested::{ClaimsError, Requested, UNKNOWN_USER, read_object, whole_number};

use crate::ground::time::{Ttl, UnixTime};
use crate::policy::scope::Access;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The claims that only the issuer sets, each with what sets it (RFC 7519, 4.1). The last is the one that
/// makes a service account of its bearer.
pub const ISSUER_CLAIMS: [(&str, &str); 7] = [
    ("iss", "`issuer` in the configuration sets it"),
    ("aud", "`audience` in the configuration or `--audience` sets it"),
    ("iat", "the clock sets it"),
    ("nbf", "the clock sets it"),
    ("exp", "`default_ttl_seconds` in the configuration or `--ttl` sets it"),
    ("jti", "it is a new random id for each token"),
    ("kubernetes.io", "the profile `kubernetes` sets it"),
];

/// Some verifiers allow no leeway on `iat` and `nbf`, and clocks differ: a registry's tokens begin this
/// many seconds before they are made.
pub const REGISTRY_BACKDATE_SECONDS: u32 = 10;

/// What the configuration says of claims.
#[derive(Debug, Default)]
pub struct ClaimFilter {
    allowed: Option<BTreeSet<String>>,
    statics: Map<String, Value>,
}

impl ClaimFilter {
    /// `allowed`: the names that a caller may set, `None` for any. `statics`: claims of every token, which
    /// an allowed claim of the caller's replaces.
    pub fn new(allowed: Option<BTreeSet<String>>, statics: Map<String, Value>) -> Self {
        Self { allowed, statics }
    }

    /// Splits what a caller asks into what the allow-list lets through and the names that it does not.
    pub fn apply(&self, requested: Requested) -> (Allowed, Vec<String>) {
        let mut claims = requested.into_map();
        let dropped: Vec<String> = claims.keys().filter(|name| !self.allows(name)).cloned().collect();
        claims.retain(|name, _| self.allows(name));
        (Allowed(claims), dropped)
    }

    /// Whether a caller may set this claim.
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(name))
    }

    /// Every name that the configuration knows: the static claims and the allow-list.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.statics.keys().chain(self.allowed.iter().flatten())
    }

    /// The static claims that do not speak of access: those of every token whose `access` is the policy's,
    /// or that has none.
    fn without_access(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.statics.iter().filter(|(name, _)| !matches!(name.as_str(), "access" | "scope"))
    }
}

/// A caller's claims, as far as the allow-list lets them through.
#[derive(Debug, Clone, Default)]
pub struct Allowed(Map<String, Value>);

impl Allowed {
    /// The names of the claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whom they are about: `sub`, else `user`, else [`UNKNOWN_USER`]; an empty name is none.
    pub fn subject(&self) -> &str {
        let named = |name| self.0.get(name).and_then(Value::as_str).filter(|name: &&str| !name.is_empty());
        named("sub").or_else(|| named("user")).unwrap_or(UNKNOWN_USER)
    }

    /// The same with what an access token must say (RFC 9068, 2.2): `sub`, and `client_id`, the client that asks.
    /// Where neither the caller nor the static claims name one, the subject is the client itself.
    pub fn for_access_token(&self, filter: &ClaimFilter, subject: &str) -> Result<Allowed, ClaimsError> {
        let mut claims = self.0.clone();
        for name in ["sub", "client_id"] {
            let named = claims.get(name).or_else(|| filter.statics.get(name));
            match named {
                None => drop(claims.insert(name.to_owned(), subject.into())),
                Some(Value::String(text)) if !text.is_empty() => {}
                Some(_) => return Err(ClaimsError::Type(name, "a string that is not empty")),
            }
        }
        Ok(Allowed(claims))
    }
}

/// What every token says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `aud` of all but the profiles that bring their own; one string, because distribution 2.8 rejects a
    /// list.
    pub audience: &'a str,
    /// When the token is made.
    pub now: UnixTime,
    /// How long it lives from now.
    pub ttl: Ttl,
    /// `jti`, a new random id.
    pub id: &'a str,
}

/// A generic token: the static claims, and over them what the caller asked and may set.
pub fn generic(frame: &Frame<'_>, filter: &ClaimFilter, claims: &Allowed) -> Result<String, ClaimsError> {
    check_distinct(filter.statics.keys().chain(claims.0.keys()))?;
    build(frame, frame.audience, frame.now, |payload| {
        entries(payload, filter.statics.iter().filter(|(name, _)| !claims.0.contains_key(*name)))?;
        entries(payload, claims.0.iter())
    })
}

/// A generic token under a policy: as [`generic`], but `sub`, `access` and `scope` are the policy's.
pub fn granted(
    frame: &Frame<'_>,
    filter: &ClaimFilter,
    claims: &Allowed,
    user: &str,
    access: &[Access],
) -> Result<String, ClaimsError> {
    check_distinct(filter.statics.keys().chain(claims.0.keys()))?;
    let ours = |name: &str| matches!(name, "sub" | "access" | "scope");
    build(frame, frame.audience, frame.now, |payload| {
        payload.serialize_entry("sub", user)?;
        payload.serialize_entry("access", access)?;
        payload.serialize_entry("scope", &crate::policy::scope::join(access))?;
        entries(
            payload,
            filter.statics.iter().filter(|(name, _)| !ours(name) && !claims.0.contains_key(*name)),
        )?;
        entries(payload, claims.0.iter().filter(|(name, _)| !ours(name)))
    })
}

/// A registry's token: `access` and, of the static claims, those that do not speak of access.
///
/// No `scope` claim: a registry reads `access` only, and a token past 8 kB is refused by proxies.
pub fn registry(
    frame: &Frame<'_>,
    filter: &ClaimFilter,
    user: &str,
    access: &[Access],
) -> Result<String, ClaimsError> {
    build(frame, frame.audience, frame.now.minus_seconds(REGISTRY_BACKDATE_SECONDS), |payload| {
        payload.serialize_entry("sub", user)?;
        payload.serialize_entry("access", access)?;
        entries(payload, filter.without_access())
    })
}

/// `aud` of every refresh token: such a token is for its issuer alone.
pub const REFRESH_AUDIENCE: &str = "keypebble-refresh";

/// A refresh token: whose it is, and the one service that it gives tokens for, which is the frame's audience.
pub fn refresh(frame: &Frame<'_>, user: &str, key_id: Option<&str>) -> Result<String, ClaimsError> {
    build(frame, REFRESH_AUDIENCE, frame.now, |payload| {
        payload.serialize_entry("sub", user)?;
        payload.serialize_entry("service", frame.audience)?;
        key_id.map_or(Ok(()), |id| payload.serialize_entry("kid", id))
    })
}

type Payload<'w> = <&'w mut serde_json::Serializer<Vec<u8>> as Serializer>::SerializeMap;

fn entries<'v>(
    payload: &mut Payload<'_>,
    claims: impl Iterator<Item = (&'v String, &'v Value)>,
) -> Result<(), serde_json::Error> {
    claims.into_iter().try_for_each(|(name, value)| payload.serialize_entry(name, value))
}

/// The registered claims first, in one order, then the profile's.
fn build(
    frame: &Frame<'_>,
    audience: &(impl Serialize + ?Sized),
    since: UnixTime,
    profile: impl FnOnce(&mut Payload<'_>) -> Result<(), serde_json::Error>,
) -> Result<String, ClaimsError> {
    let mut serializer = serde_json::Serializer::new(Vec::with_capacity(512));
    let written = (|| {
        let mut payload = (&mut serializer).serialize_map(None)?;
        payload.serialize_entry("iss", frame.issuer)?;
        payload.serialize_entry("aud", audience)?;
        payload.serialize_entry("iat", &since.0)?;
        payload.serialize_entry("nbf", &since.0)?;
        payload.serialize_entry("exp", &frame.now.plus(frame.ttl).0)?;
        payload.serialize_entry("jti", frame.id)?;
        profile(&mut payload)?;
        payload.end()
    })();
    written.map_err(|error| ClaimsError::Write(error.to_string()))?;
    String::from_utf8(serializer.into_inner()).map_err(|error| ClaimsError::Write(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scope::{Action, Resource};

    pub(super) fn frame() -> Frame<'static> {
        Frame { issuer: "i", audience: "a", now: UnixTime(1_000), ttl: Ttl::new(60).unwrap(), id: "x" }
    }

    pub(super) fn statics(json: &str) -> Map<String, Value> {
        read_object(json.as_bytes()).unwrap()
    }

    fn requested(json: &str) -> Requested {
        Requested::new(read_object(json.as_bytes()).unwrap()).unwrap()
    }

    const STATICS: &str = r#"{"roles":["controller"],"scope":"s"}"#;

    #[test]
    fn the_allow_list_filters_what_a_caller_asks_and_nothing_else() {
        let allowed = ["sub".to_owned(), "roles".to_owned()].into();
        let filter = ClaimFilter::new(Some(allowed), statics(STATICS));
        let (claims, dropped) = filter.apply(requested(r#"{"sub":"alice","admin":true,"roles":["x"]}"#));
        assert_eq!(dropped, ["admin"]);
        assert_eq!(
            generic(&frame(), &filter, &claims).unwrap(),
            r#"{"iss":"i","aud":"a","iat":1000,"nbf":1000,"exp":1060,"jti":"x","scope":"s","roles":["x"],"sub":"alice"}"#
        );
        let (claims, _) = filter.apply(requested(r#"{"access":[],"scope":"mine","edge":1}"#));
        let access = [Access::granted(Resource::repository("a"), vec![Action::Pull]).unwrap()];
        assert_eq!(
            granted(&frame(), &filter, &claims, "alice", &access).unwrap(),
            r#"{"iss":"i","aud":"a","iat":1000,"nbf":1000,"exp":1060,"jti":"x","sub":"alice","access":[{"type":"repository","name":"a","actions":["pull"]}],"scope":"repository:a:pull","roles":["controller"]}"#
        );
    }

    #[test]
    fn without_an_allow_list_all_is_allowed_and_with_an_empty_one_nothing() {
        let (claims, dropped) = ClaimFilter::default().apply(requested(r#"{"a":1}"#));
        assert_eq!((claims.0.len(), dropped.len()), (1, 0));
        let (claims, dropped) = ClaimFilter::new(Some([].into()), Map::new()).apply(requested(r#"{"a":1}"#));
        assert_eq!((claims.0.len(), dropped.len()), (0, 1));
    }

    #[test]
    fn a_registry_s_token_is_backdated_and_has_no_scope() {
        let filter = ClaimFilter::new(None, statics(STATICS));
        assert_eq!(
            registry(&frame(), &filter, "alice", &[]).unwrap(),
            r#"{"iss":"i","aud":"a","iat":990,"nbf":990,"exp":1060,"jti":"x","sub":"alice","access":[],"roles":["controller"]}"#
        );
    }
}
