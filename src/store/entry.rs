//! What is kept: tokens (never the token itself), revocations, events; and what can be asked.
//!
//! Owns plain data. Must not know SQL.

use crate::ground::time::UnixTime;
use crate::issuer::Record;

/// One token that was issued: a row of the memory. Nothing in it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `jti`
    pub id: String,
    /// `generic`, `granted`, `registry` or `refresh`
    pub profile: String,
    /// Whom it is for.
    pub subject: String,
    /// Whom it is meant to be shown to.
    pub audience: String,
    /// What it grants, as `scope` parameters write it.
    pub granted: String,
    /// When it was made.
    pub issued_at: UnixTime,
    /// From when on it counts no more.
    pub expires_at: UnixTime,
    /// The key that signed it, where that has an id.
    pub key_id: Option<String>,
    /// Who connected: an address, `unix`, or `command line`.
    pub peer: String,
    /// For whom the peer passed the request on; the peer itself where it did not.
    pub address: String,
    /// The client's own name, as it says itself.
    pub client: Option<String>,
    /// The login that it came from: the id of that login's refresh token, its own where it is one.
    pub login: Option<String>,
    /// The hash of the policy that decided, where there is one.
    pub policy: Option<String>,
    /// The places of the rules that granted it, in that policy.
    pub rules: String,
}

impl Entry {
    /// What a record says; the rest is the caller's to fill in.
    pub fn of(record: &Record<'_>) -> Self {
        Self {
            id: record.id.clone(),
            profile: record.profile.to_owned(),
            subject: record.subject.to_owned(),
            audience: record.audience.to_owned(),
            granted: record.granted.clone(),
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            key_id: record.key_id.map(str::to_owned),
            ..Self::default()
        }
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts =
            [&self.id, &self.subject, &self.audience, &self.granted, &self.rules, &self.peer, &self.address];
        let more = [&self.key_id, &self.client, &self.login, &self.policy];
        512 + texts.into_iter().chain(more.into_iter().flatten()).map(String::len).sum::<usize>()
    }
}

/// How a policy's hash stands in a token's row: long enough to tell policies apart. The event that says when the
/// policy came into force has all of it.
pub fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// A token of the memory, with its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number: later tokens of one node have higher ones.
    pub number: i64,
    /// What was recorded.
    pub entry: Entry,
    /// When it was revoked, by itself or with others.
    pub revoked_at: Option<UnixTime>,
}

/// A token as its holder shows it, after its signature was verified.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'s> {
    /// `jti`
    pub id: &'s str,
    /// `sub`: what is revoked for a user holds also for tokens that were never recorded.
    pub subject: &'s str,
    /// `kid`
    pub key_id: Option<&'s str>,
    /// `iat`
    pub issued_at: UnixTime,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It was recorded, and nothing speaks against it.
    Active(Box<Listed>),
    /// It was revoked at that time, by itself or with others; also where it was not recorded.
    Revoked(Option<Box<Listed>>, UnixTime),
    /// It has lived its time.
    Expired(Box<Listed>),
    /// Nothing: it was not recorded, or its record has left, and no revocation speaks of it.
    Unknown,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One token; a refresh token with everything that came from it.
    Token {
        /// `jti`
        id: String,
        /// `exp`, after which nobody needs to know.
        expires_at: UnixTime,
    },
    /// All of a user.
    User(String),
    /// All of a client, by the name that it gives itself.
    Client(String),
    /// All that a key signed.
    Key(String),
}

/// An act of revoking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub target: Target,
    /// Tokens issued at this second or before are ended; for a single token it does not matter.
    pub before: UnixTime,
    /// When it is done.
    pub at: UnixTime,
    /// Who does it: a client's name, or `command line`.
    pub actor: String,
}

/// What a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Recorded tokens that had not expired.
    pub tokens: u64,
    /// When the last of them expires that a registry takes: it does so until then.
    pub latest: Option<UnixTime>,
}

/// Which tokens are listed; every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `jti`
    pub id: Option<String>,
    /// The user.
    pub subject: Option<String>,
    /// The client's own name.
    pub client: Option<String>,
    /// The key that signed.
    pub key_id: Option<String>,
    /// [`Entry::profile`]
    pub profile: Option<String>,
    /// [`Entry::login`]
    pub login: Option<String>,
    /// Granted something on this repository.
    pub repository: Option<String>,
    /// Granted this action on `repository`.
    pub action: Option<String>,
    /// Issued then or later.
    pub issued_from: Option<UnixTime>,
    /// Issued then or earlier.
    pub issued_until: Option<UnixTime>,
    /// Expires later than that.
    pub expires_after: Option<UnixTime>,
    /// Of a lower number: the next page.
    pub before: Option<i64>,
    /// The most of them.
    pub limit: u32,
}

impl Filter {
    /// Whether what was granted is what is asked for: the part that SQL does not judge.
    pub(super) fn fits(&self, granted: &str) -> bool {
        let Some(repository) = &self.repository else { return true };
        granted.split(' ').any(|entry| {
            let named = entry.strip_prefix("repository:").and_then(|entry| entry.rsplit_once(':'));
            named.is_some_and(|(name, actions)| {
                let has = |action: &String| actions.split(',').any(|known| known == action);
                name == repository && self.action.as_ref().is_none_or(has)
            })
        })
    }
}

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Somebody revoked something.
    Revoked,
    /// A refresh token was used after it was revoked: it may have been stolen.
    RevokedTokenUsed,
    /// A policy came into force; the detail is its hash.
    Policy,
    /// Records were dropped; the detail says how many.
    Dropped,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Revoked, Self::RevokedTokenUsed, Self::Policy, Self::Dropped];

    /// Its name in the memory and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::RevokedTokenUsed => "revoked_token_used",
            Self::Policy => "policy",
            Self::Dropped => "dropped",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number; 0 until it is kept.
    pub number: i64,
    /// When.
    pub at: UnixTime,
    /// What.
    pub kind: EventKind,
    /// The user that it is about, if any.
    pub subject: Option<String>,
    /// The token that it is about, if any.
    pub token: Option<String>,
    /// Who did it: an address, a client's name, `command line`.
    pub actor: Option<String>,
    /// More, perhaps empty.
    pub detail: String,
}

impl Event {
    /// A policy of that hash, or none, is in force from now on.
    pub fn policy(at: UnixTime, which: &str) -> Self {
        let (kind, detail) = (EventKind::Policy, which.to_owned());
        Self { number: 0, at, kind, subject: None, token: None, actor: None, detail }
    }
}

/// Which events are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// About this user.
    pub subject: Option<String>,
    /// Then or later.
    pub from: Option<UnixTime>,
    /// Then or earlier.
    pub until: Option<UnixTime>,
    /// Of a lower number: the next page.
    pub before: Option<i64>,
    /// The most of them.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_found_by_its_whole_name_and_an_action_on_it_alone() {
        let granted = "repository:a/b:pull,push repository:c:pull registry:catalog:*";
        for (repository, action, fits) in [
            ("a/b", None, true),
            ("a/b", Some("push"), true),
            ("c", Some("push"), false),
            ("c", Some("pull"), true),
            ("b", None, false),
            ("a", None, false),
            ("catalog", None, false),
        ] {
            let (repository, action) = (Some(repository.to_owned()), action.map(str::to_owned));
            let filter = Filter { repository, action, ..Filter::default() };
            assert_eq!(filter.fits(granted), fits, "{filter:?}");
        }
        assert!(Filter::default().fits(""));
    }
}
