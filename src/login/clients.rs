//! OAuth 2.0 clients: programs that may ask about tokens, or end them.
//!
//! Owns who they are and what they may ask. Must not know requests. Decision: a client is checked like a user, by the
//! same limits on guessing, under a name that no user can have. The secret of a file is kept as a hash as well, so
//! that what is in memory does not open anything; the cheapest one will do, since such a secret cannot be guessed.

use crate::ground::digest;
use crate::ground::secret::Secret;
use crate::login::password::{Hash, MAX_BYTES, MIN_COST, Password, SALT};
use crate::login::users::Users;
use std::collections::HashMap;
use zeroize::Zeroizing;

/// The shortest secret of a client's `secret_path`, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// What a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Whether a token counts, and what it says (RFC 7662).
    Introspect,
    /// That a token ends (RFC 7009).
    Revoke,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 2] = [Self::Introspect, Self::Revoke];

    /// The act as a configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
        }
    }
}

/// One client.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it may ask.
    pub may: Vec<Act>,
    /// The audiences whose tokens are its business; `None` for all.
    pub audiences: Option<Vec<String>>,
}

impl Client {
    /// Whether tokens for these audiences are its business: one of them is enough.
    pub fn knows(&self, audiences: &[&str]) -> bool {
        let known = |audience: &&str| self.audiences.iter().flatten().any(|own| own == audience);
        self.audiences.is_none() || audiences.iter().any(known)
    }
}

/// All of them.
#[derive(Debug)]
pub struct Clients {
    proofs: Users,
    clients: HashMap<Box<str>, Client>,
}

impl Default for Clients {
    fn default() -> Self {
        Self::new([])
    }
}

impl Clients {
    /// Clients of these names, with the hashes of their secrets.
    pub fn new(clients: impl IntoIterator<Item = (String, Hash, Client)>) -> Self {
        let (mut proofs, mut known) = (HashMap::new(), HashMap::new());
        for (name, hash, client) in clients {
            proofs.insert(Self::proof_name(&name).into(), hash);
            known.insert(name.into(), client);
        }
        Self { proofs: Users::of(proofs), clients: known }
    }

    /// What [`Passwords::check`](super::attempts::Passwords::check) checks a secret against, under
    /// [`Clients::proof_name`].
    pub fn proofs(&self) -> &Users {
        &self.proofs
    }

    /// The name under which a client's secret is checked: no user's, for those have no colon.
    pub fn proof_name(name: &str) -> String {
        format!("client:{name}")
    }

    /// The client of that name.
    pub fn find(&self, name: &str) -> Option<&Client> {
        self.clients.get(name)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is one that may ask this.
    pub fn any_may(&self, act: Act) -> bool {
        self.clients.values().any(|client| client.may.contains(&act))
    }
}

/// The hash of a secret that cannot be guessed; an error says why it is no such secret.
pub fn hash_of(secret: &Secret) -> Result<Hash, String> {
    let bytes = secret.expose();
    if !(MIN_SECRET_BYTES..=MAX_BYTES).contains(&bytes.len()) {
        return Err(format!("a client's secret has {MIN_SECRET_BYTES} to {MAX_BYTES} bytes"));
    }
    let text = str::from_utf8(bytes).map_err(|_| "a client's secret is text in UTF-8".to_owned())?;
    let password = Password::new(Zeroizing::new(text.to_owned())).map_err(|error| error.text().to_owned())?;
    // Always the same for one secret, so that a secret that was right stays known when the file is read again.
    let mut salt = [0; SALT];
    salt.iter_mut()
        .zip(digest::mac(&digest::sha256(b"a client's secret"), bytes))
        .for_each(|(to, from)| *to = from);
    Hash::make(&password, MIN_COST, salt).ok_or_else(|| super::users::NOT_ENABLED[0].to_owned())
}

#[cfg(all(test, feature = "passwords"))]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_secret_is_long_enough_not_to_be_guessed_and_short_enough_to_be_seen_whole() {
        for (text, taken) in [
            ("x".repeat(31), false),
            ("x".repeat(32), true),
            ("x".repeat(72), true),
            ("x".repeat(73), false),
            (format!("{}\n", "x".repeat(32)), false),
        ] {
            assert_eq!(hash_of(&secret(&text)).is_ok(), taken, "{text:?}");
        }
        assert!(hash_of(&Secret::new(vec![0xff; 40])).is_err());
        let (one, same) = (hash_of(&secret(&"x".repeat(40))), hash_of(&secret(&"x".repeat(40))));
        assert_eq!(one, same, "a reload changes nothing");
        assert_ne!(one, hash_of(&secret(&"y".repeat(40))));
    }

    #[test]
    fn a_client_knows_tokens_for_one_of_its_audiences() {
        let of = |audiences: Option<&[&str]>| Client {
            may: vec![Act::Introspect],
            audiences: audiences.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        };
        for (client, audiences, knows) in [
            (of(None), &["a"][..], true),
            (of(None), &[], true),
            (of(Some(&["a", "b"])), &["b"], true),
            (of(Some(&["a"])), &["b", "a"], true),
            (of(Some(&["a"])), &["b"], false),
            (of(Some(&["a"])), &["A"], false),
            (of(Some(&["a"])), &[], false),
            (of(Some(&[])), &["a"], false),
        ] {
            assert_eq!(client.knows(audiences), knows, "{client:?} {audiences:?}");
        }
    }

    #[test]
    fn a_client_is_no_user() {
        let client = Client { may: vec![Act::Revoke], audiences: None };
        let clients =
            Clients::new([("alice".to_owned(), hash_of(&secret(&"x".repeat(40))).unwrap(), client)]);
        assert!(clients.proofs().hash_of("alice").is_none());
        assert!(clients.proofs().hash_of(&Clients::proof_name("alice")).is_some());
        assert!(clients.any_may(Act::Revoke) && !clients.any_may(Act::Introspect));
    }
}
