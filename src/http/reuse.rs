//! Registry tokens handed out again for a little while, where `service.token_reuse_seconds` asks for it.
//!
//! Owns which token stands for which grant, and how long. Must not know requests or what signs. Decision:
//! a token is kept for what the policy *granted*, and the policy is asked every time: nothing is handed out
//! that it would not grant now. All that a token depends on beside that (key, issuer, static claims) is in
//! the same [`State`](super::State), so that whatever replaces it also empties this.

use crate::ground::time::{Ttl, UnixTime};
use crate::issuer::Issued;
use crate::policy::scope::{self, Access};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most tokens that are kept: some two megabytes with RSA keys.
const MOST: usize = 1024;

/// The tokens that may be handed out again.
#[derive(Debug)]
pub struct Reuse {
    seconds: u32,
    kept: Mutex<HashMap<Same, Made>>,
}

/// What makes two registry tokens the same but for their times and ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Same {
    user: String,
    service: String,
    access: String,
    ttl: Ttl,
}

impl Same {
    /// Whose it is, for which service, what was granted, and how long a new one would live.
    pub fn new(user: &str, service: &str, access: &[Access], ttl: Ttl) -> Self {
        Self { user: user.to_owned(), service: service.to_owned(), access: scope::join(access), ttl }
    }
}

/// A token that was made, now or before.
#[derive(Debug, Clone)]
pub struct Made {
    /// The token and its claims.
    pub issued: Arc<Issued>,
    /// Its `issued_at`.
    pub at: UnixTime,
    /// Whether it is handed out again.
    pub reused: bool,
}

impl Reuse {
    /// None is older than that many seconds when it is handed out again; with 0 none is.
    pub fn new(seconds: u32) -> Self {
        Self { seconds, kept: Mutex::default() }
    }

    /// Whether any token is ever handed out again.
    pub fn is_on(&self) -> bool {
        self.seconds > 0
    }

    /// How old a token of that life may be: a tenth of it at most, and never so old that less is left of it
    /// than the registries' clients take for granted.
    fn window(&self, ttl: Ttl) -> i64 {
        let spare = ttl.seconds().saturating_sub(Ttl::REGISTRY_MIN.seconds());
        i64::from(self.seconds.min(ttl.seconds() / 10).min(spare))
    }

    /// The token that would be the same, if one is young enough. A clock that was set back makes none young.
    pub fn find(&self, same: &Same, now: UnixTime) -> Option<Made> {
        let made = self.lock().get(same).cloned()?;
        self.is_young(same, &made, now).then_some(Made { reused: true, ..made })
    }

    /// Keeps a token for a while. Where there is no room, the oldest goes.
    pub fn keep(&self, same: Same, made: &Made) {
        if self.window(same.ttl) == 0 {
            return;
        }
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|same, old| self.is_young(same, old, made.at));
        }
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, old)| old.at).map(|(same, _)| same.clone())
        {
            all.remove(&oldest);
        }
        all.insert(same, made.clone());
    }

    fn is_young(&self, same: &Same, made: &Made, now: UnixTime) -> bool {
        (0..self.window(same.ttl)).contains(&now.0.saturating_sub(made.at.0))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Same, Made>> {
        // Every change of the map is one call: poisoned or not, it holds whole tokens.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{ClaimFilter, registry};
    use crate::config::Config;
    use crate::ground::document::Document;
    use crate::issuer::Issuer;

    fn made(at: i64) -> Made {
        let yaml = "issuer: i\naudience: a\nhs256_secret: 0123456789abcdef0123456789abcdef\n".to_owned();
        let document = Document::parse(std::path::Path::new("config.yaml"), yaml).unwrap();
        let issuer = Issuer::open(Config::read(&document).unwrap());
        let frame = issuer.frame(UnixTime(at), Ttl::DEFAULT, "id");
        let claims = registry(&frame, &ClaimFilter::default(), "alice", &[]).unwrap();
        Made { issued: Arc::new(issuer.issue(claims).unwrap()), at: UnixTime(at), reused: false }
    }

    fn same(user: &str, ttl: u64) -> Same {
        Same::new(user, "a", &[], Ttl::new(ttl).unwrap())
    }

    #[test]
    fn a_token_is_reused_within_the_window_and_a_tenth_of_its_life() {
        for (seconds, ttl, last) in [
            (30, 3600, Some(29)),
            (600, 3600, Some(359)),
            (600, 300, Some(29)),
            (30, 62, Some(1)),
            (30, 60, None),
            (0, 3600, None),
        ] {
            let reuse = Reuse::new(seconds);
            reuse.keep(same("alice", ttl), &made(1_000));
            let found = |now: i64| reuse.find(&same("alice", ttl), UnixTime(now)).is_some();
            match last {
                Some(last) => assert!(found(1_000) && found(1_000 + last), "{seconds} {ttl}"),
                None => assert!(!found(1_000), "{seconds} {ttl}"),
            }
            assert!(!found(1_001 + last.unwrap_or(0)) && !found(999), "{seconds} {ttl}");
        }
    }

    #[test]
    fn another_user_or_life_has_a_token_of_its_own() {
        let reuse = Reuse::new(30);
        reuse.keep(same("alice", 3600), &made(1_000));
        assert!(reuse.find(&same("bob", 3600), UnixTime(1_000)).is_none());
        assert!(reuse.find(&same("alice", 1800), UnixTime(1_000)).is_none());
        assert!(reuse.find(&same("alice", 3600), UnixTime(1_000)).is_some_and(|made| made.reused));
    }

    #[test]
    fn there_is_never_more_than_so_many_and_the_oldest_goes() {
        let reuse = Reuse::new(300);
        let (old, new) = (made(1_000), made(1_001));
        reuse.keep(same("old", 3600), &old);
        for number in 0..MOST {
            reuse.keep(same(&number.to_string(), 3600), &new);
        }
        assert_eq!(reuse.lock().len(), MOST);
        assert!(reuse.find(&same("old", 3600), UnixTime(1_001)).is_none());
        // What is past its window goes first.
        reuse.keep(same("late", 3600), &made(2_000));
        assert_eq!(reuse.lock().len(), 1);
    }
}
