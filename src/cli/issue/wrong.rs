//! Tokens that are wrong on purpose, for tests of what verifies them.
//!
//! Owns the flags that say what is wrong, and how it is made so. Decision: they are here, at the outermost edge,
//! where a server has no way to them: whoever issues so holds the configuration and its keys. And each says on
//! standard error what it did, so that no such token comes about in silence.

use crate::cli::args::{Arguments, usage};
use crate::cli::error::Error;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::text::quoted;
use crate::ground::time::{Ttl, UnixTime};

/// Beyond any leeway: an hour.
const FAR_SECONDS: u32 = 3600;

/// The end of the year 9999, the last that RFC 3339 can write.
const LAST: UnixTime = UnixTime(253_402_300_799);

/// What is to be wrong with a token.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Wrong {
    time: When,
    signature: bool,
    audience: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum When {
    #[default]
    Now,
    /// `--at`
    At(UnixTime),
    /// `--expired`
    Expired,
    /// `--not-yet`
    NotYet,
}

impl Wrong {
    pub(super) fn read(arguments: &mut Arguments) -> Result<Self, Error> {
        let at = arguments.text("at")?.map(|text| time(&text)).transpose()?;
        let time = match (at, arguments.switch("expired"), arguments.switch("not-yet")) {
            (None, false, false) => When::Now,
            (Some(at), false, false) => When::At(at),
            (None, true, false) => When::Expired,
            (None, false, true) => When::NotYet,
            _ => return Err(usage("--at, --expired and --not-yet each set the time: only one of them fits")),
        };
        Ok(Self {
            time,
            signature: arguments.switch("wrong-signature"),
            audience: arguments.switch("wrong-audience"),
        })
    }

    /// Whether `aud` is to be wrong.
    pub(super) fn has_audience(&self) -> bool {
        self.audience
    }

    /// `aud`, where `right` would be right: a name below a domain that nobody can have (RFC 2606, 2).
    pub(super) fn audience(&self, right: &str) -> String {
        if self.audience { format!("wrong.{right}.invalid") } else { right.to_owned() }
    }

    /// When a token of that life is made.
    pub(super) fn time(&self, now: UnixTime, life: Ttl) -> UnixTime {
        match self.time {
            When::Now => now,
            When::At(at) => at,
            When::Expired => now.minus_seconds(FAR_SECONDS + life.seconds()),
            When::NotYet => UnixTime(now.0.saturating_add(FAR_SECONDS.into())),
        }
    }

    /// The token, whose signature is spoilt where it is to be wrong.
    pub(super) fn token(&self, token: &str) -> String {
        if self.signature { spoilt(token) } else { token.to_owned() }
    }

    /// What to say of a token that was made so.
    pub(super) fn warnings(&self, made: UnixTime, life: Ttl, audience: &str) -> Vec<Diagnostic> {
        let time = match self.time {
            When::Now => None,
            When::At(at) => {
                Some(format!("it says that it was made at {at} and is valid until {}", at.plus(life)))
            }
            When::Expired => Some(format!("it expired at {}", made.plus(life))),
            When::NotYet => Some(format!("it is not valid before {made}")),
        };
        let signature = self.signature.then(|| "its signature does not stand".to_owned());
        let audience = self.audience.then(|| format!("its audience is {audience}"));
        let said = [time, signature, audience].into_iter().flatten();
        said.map(|what| Diagnostic::warning("wrong", format!("wrong on purpose: {what}"))).collect()
    }
}

fn time(text: &str) -> Result<UnixTime, Error> {
    UnixTime::parse(text).filter(|time| (UnixTime(0)..=LAST).contains(time)).ok_or_else(|| {
        usage(format!("--at: expected a time from 1970 to 9999, found {}", quoted("", text)))
            .with_hint("such as 2026-11-26T12:00:00Z, or seconds since 1970")
    })
}

/// The token with another character in the middle of its last part, where every algorithm has bits that count:
/// in a MAC, an RSA number, the `s` of ECDSA and `EdDSA`, the response of ML-DSA. Another signature of the same
/// bytes that stood by chance would be a forgery, which none of them lets come about.
fn spoilt(token: &str) -> String {
    let start = token.rfind('.').map_or(0, |dot| dot + 1);
    let middle = start + (token.len() - start) / 2;
    let other = |c| if c == 'A' { 'B' } else { 'A' };
    token.char_indices().map(|(at, c)| if at == middle { other(c) } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::Key;
    use crate::key::algorithm::Algorithm;
    use crate::key::keyring::Keyring;
    use crate::token::{Sealer, Typ, VerifyError, verify};
    use std::sync::Arc;

    #[test]
    fn a_spoilt_signature_stands_for_no_algorithm() {
        let rsa = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa2048.pem"));
        for algorithm in Algorithm::ALL {
            let key = if algorithm.name().starts_with(['R', 'P']) {
                Key::from_pem(&Secret::new(rsa.to_vec()), Some(algorithm), None).unwrap()
            } else {
                Key::generate(algorithm).unwrap().0
            };
            let ring = Keyring::single(key);
            for _ in 0..20 {
                let token = Sealer::jws(Arc::clone(ring.active()))
                    .seal(b"{\"sub\":\"alice\"}", Typ::Jwt, UnixTime(0))
                    .unwrap();
                assert!(verify(&token, ring.verifiers()).is_ok(), "{algorithm}");
                let spoilt = spoilt(&token);
                assert_eq!(verify(&spoilt, ring.verifiers()), Err(VerifyError::Signature), "{algorithm}");
                assert_eq!(spoilt.len(), token.len(), "{algorithm}");
                assert_eq!(spoilt.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().0);
            }
        }
    }

    #[test]
    fn wrong_times_are_beyond_any_leeway() {
        let (now, life) = (UnixTime(1_000_000), Ttl::new(900).unwrap());
        for (time, made) in [
            (When::Now, 1_000_000),
            (When::At(UnixTime(7)), 7),
            (When::Expired, 1_000_000 - 900 - 3600),
            (When::NotYet, 1_000_000 + 3600),
        ] {
            let wrong = Wrong { time, ..Wrong::default() };
            assert_eq!(wrong.time(now, life), UnixTime(made));
            assert_eq!(wrong.warnings(UnixTime(made), life, "a").is_empty(), time == When::Now);
        }
    }
}
