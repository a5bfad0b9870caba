//! Passwords, and their bcrypt hashes in the text form of htpasswd files.
//!
//! Owns what a password may be, and the reading, making and checking of hashes; no other file names the
//! `bcrypt` crate. Must not know files or users. Decision: a password that bcrypt would not see whole
//! (empty, over 72 bytes, or with a NUL) is no [`Password`]: it can be neither hashed nor checked, so that
//! two passwords are never taken for one.

use crate::ground::base64;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Whether this build has the feature `passwords`; without it no password is ever right.
pub const ENABLED: bool = cfg!(feature = "passwords");

/// The longest password, in bytes: bcrypt reads no more.
pub const MAX_BYTES: usize = 72;

/// The cheapest hash that is read: bcrypt's own minimum.
pub const MIN_COST: u8 = 4;
/// The dearest hash that is read: each login takes about a second of one core.
pub const MAX_COST: u8 = 14;
/// The cost of a new hash where none is named, and the one below which a file's hashes are warned of.
pub const DEFAULT_COST: u8 = 10;

/// A password as its user wrote it, in UTF-8. Wiped when dropped, not shown in `Debug`.
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordError {
    /// No characters at all.
    Empty,
    /// Over [`MAX_BYTES`].
    TooLong,
    /// A NUL, a line end or another control character (RFC 7617, 2).
    Control,
}

impl PasswordError {
    /// Why, in words that say nothing of the password.
    pub fn text(self) -> &'static str {
        match self {
            PasswordError::Empty => "the password is empty",
            PasswordError::TooLong => "a password has at most 72 bytes: bcrypt reads no more of it",
            PasswordError::Control => "a password holds no control characters",
        }
    }
}

impl Password {
    /// Takes the text over.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PasswordError> {
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        Ok(Self(text))
    }

    /// The bytes themselves: every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// A bcrypt hash: `$2b$10$`, 22 characters of salt, 31 of hash. `$2a$` and `$2y$` are the same function.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    cost: u8,
    salt: [u8; SALT],
    digest: [u8; DIGEST],
}

/// A salt's length, in bytes.
pub const SALT: usize = 16;
/// bcrypt makes 24 bytes, of which the text form has always left out the last.
const DIGEST: usize = 23;
/// The length of [`Hash::fingerprint`], in bytes.
pub const FINGERPRINT: usize = 1 + SALT + DIGEST;

/// Why a text is no hash that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashError {
    /// Another kind of hash, or none at all.
    Kind(&'static str),
    /// A cost outside [`MIN_COST`] to [`MAX_COST`].
    Cost(u8),
    /// bcrypt, but damaged.
    Damaged,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashError::Kind(kind) => write!(f, "expected a bcrypt hash ($2b$, $2y$ or $2a$), found {kind}"),
            HashError::Cost(cost) if *cost > MAX_COST => {
                write!(f, "a bcrypt cost of {cost}: above {MAX_COST}, each login takes seconds")
            }
            HashError::Cost(cost) => write!(f, "a bcrypt cost of {cost}: at least {MIN_COST} is expected"),
            HashError::Damaged => {
                f.write_str("a damaged bcrypt hash: expected 60 characters such as $2b$10$ and 53 more")
            }
        }
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let rest = ["$2b$", "$2y$", "$2a$"].iter().find_map(|prefix| text.strip_prefix(prefix));
        let rest = rest.ok_or_else(|| HashError::Kind(kind_of(text)))?;
        let (cost, rest) = rest.split_once('$').ok_or(HashError::Damaged)?;
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(HashError::Damaged);
        }
        let cost = cost.parse().map_err(|_| HashError::Damaged)?;
        let (salt, digest) = rest.split_at_checked(22).ok_or(HashError::Damaged)?;
        let (salt, digest) = decode(salt).zip(decode(digest)).ok_or(HashError::Damaged)?;
        let known = (MIN_COST..=MAX_COST).contains(&cost);
        if known { Ok(Hash { cost, salt, digest }) } else { Err(HashError::Cost(cost)) }
    }
}

/// What a text is that is no bcrypt hash; nothing of it is shown, as it may be a password.
fn kind_of(text: &str) -> &'static str {
    let known = [
        ("{SHA}", "an unsalted SHA-1 hash ({SHA})"),
        ("{SSHA}", "a SHA-1 hash ({SSHA})"),
        ("$apr1$", "an MD5 hash of Apache's ($apr1$)"),
        ("$1$", "an MD5 hash ($1$)"),
        ("$2x$", "a bcrypt hash of a broken version ($2x$)"),
        ("$2$", "a bcrypt hash of an old version ($2$)"),
        ("$5$", "a SHA-256 hash ($5$)"),
        ("$6$", "a SHA-512 hash ($6$)"),
        ("$y$", "a yescrypt hash ($y$)"),
        ("$argon2", "an Argon2 hash"),
        ("$", "a hash of another kind"),
        ("{", "a hash of another kind"),
    ];
    match known.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        Some((_, kind)) => kind,
        None if text.is_empty() => "nothing",
        None if text.len() == 13 => "a DES hash (crypt) or a plain password",
        None => "a plain password, or a hash of another kind",
    }
}

impl Hash {
    /// Hashes a password; `None` in a build without the feature.
    pub fn make(password: &Password, cost: u8, salt: [u8; SALT]) -> Option<Self> {
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(raw(cost, salt, password)?.get(..DIGEST)?);
        Some(Self { cost, salt, digest })
    }

    /// Whether this is the password's hash. Takes as long for a wrong one as for the right one.
    pub fn matches(&self, password: &Password) -> bool {
        let Some(found) = raw(self.cost, self.salt, password) else { return false };
        let difference = self.digest.iter().zip(&found).fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        std::hint::black_box(difference) == 0
    }

    /// Takes as long as checking a password against a hash of that cost.
    pub fn waste(cost: u8, password: &Password) {
        std::hint::black_box(raw(cost, [0; SALT], password));
    }

    /// The base 2 logarithm of the work.
    pub fn cost(&self) -> u8 {
        self.cost
    }

    /// All that the hash is: two lines of one fingerprint accept the same password in the same way.
    pub fn fingerprint(&self) -> [u8; FINGERPRINT] {
        let mut bytes = [self.cost; FINGERPRINT];
        for (to, from) in bytes.iter_mut().skip(1).zip(self.salt.iter().chain(&self.digest)) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Display for Hash {
    /// The text form, as `$2b$`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$2b${:02}${}{}", self.cost, base64::bcrypt(&self.salt), base64::bcrypt(&self.digest))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(feature = "passwords")]
fn raw(cost: u8, salt: [u8; SALT], password: &Password) -> Option<[u8; 24]> {
    // As C has it: with the NUL at the end, if there is room for it.
    let mut bytes = Zeroizing::new([0; MAX_BYTES + 1]);
    bytes.iter_mut().zip(password.expose()).for_each(|(to, from)| *to = *from);
    let seen = bytes.get(..(password.expose().len() + 1).min(MAX_BYTES))?;
    Some(bcrypt::bcrypt(u32::from(cost), salt, seen))
}

#[cfg(not(feature = "passwords"))]
fn raw(_: u8, _: [u8; SALT], _: &Password) -> Option<[u8; 24]> {
    None
}

/// The bytes of a salt or a digest; bits beyond them are passed over, since some programs leave them set.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    // Filled up with zeros, these bits belong to bytes that are cut off.
    let whole = N.div_ceil(3) * 4;
    base64::read_bcrypt(&format!("{text:.<whole$}"))?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn what_bcrypt_would_not_see_whole_is_no_password() {
        for (text, error) in [
            (String::new(), Some(PasswordError::Empty)),
            ("x".repeat(72), None),
            ("x".repeat(73), Some(PasswordError::TooLong)),
            ("ä".repeat(36), None),
            ("ä".repeat(37), Some(PasswordError::TooLong)),
            ("a\0b".to_owned(), Some(PasswordError::Control)),
            ("a\n".to_owned(), Some(PasswordError::Control)),
            ("a\u{85}".to_owned(), Some(PasswordError::Control)),
            (" a b ".to_owned(), None),
        ] {
            assert_eq!(Password::new(Zeroizing::new(text.clone())).err(), error, "{text:?}");
        }
    }

    #[test]
    fn neither_passwords_nor_hashes_are_shown() {
        let hash: Hash = "$2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        assert_eq!(format!("{:?} {hash:?}", password("hunter2")), "Password(redacted) Hash { cost: 4, .. }");
    }

    #[test]
    fn other_kinds_are_named() {
        for (text, part) in [
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{SHA}"),
            ("$apr1$Sm3yXVIr$q2cZaD..8JKGIUnRH46VR1", "$apr1$"),
            ("$5$salt$hash", "$5$"),
            ("$6$salt$hash", "$6$"),
            ("$2x$05$abc", "$2x$"),
            ("$y$j9T$a$b", "yescrypt"),
            ("$argon2id$v=19$a", "Argon2"),
            ("rqXexS6ZhobKA", "crypt"),
            ("hunter2", "plain"),
            ("", "nothing"),
            ("$2b$03$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a bcrypt cost of 3"),
            ("$2b$15$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a bcrypt cost of 15"),
            ("$2b$10$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
            ("$2b$1$AAAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
            ("$2b$+9$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
            ("$2b$10$AAAAAAAAAAAAAAAAAAAAA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
            ("$2b$10$AAAAAAAAAAAAAAAAAAAAäaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
        ] {
            let error = text.parse::<Hash>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_text_form_reads_back_without_bits_that_belong_to_no_byte() {
        let first = "$2b$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";
        for (text, written) in [
            (first, first),
            ("$2b$06$DCq7YPn5Rq63x1Lad4cll/TV4S6ytwfsfvkgY8jIucDrjc8deX1s/", first),
            (
                "$2b$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq",
                "$2b$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq",
            ),
        ] {
            assert_eq!(text.parse::<Hash>().unwrap().to_string(), written);
        }
    }

    /// Vectors of `jBCrypt` (TestBCrypt.java) and of `crypt_blowfish` (wrapper.c).
    #[cfg(feature = "passwords")]
    #[test]
    fn hashes_are_those_of_other_programs() {
        for (text, hash) in [
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            ("abc", "$2a$08$Ro0CUfOqk6cXEKf3dyaM7OhSCvnwM9s4wIX9JeLapehKK5YdLxKcm"),
            ("abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"),
            ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
            (
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
            ),
        ] {
            let known: Hash = hash.parse().unwrap();
            assert!(known.matches(&password(text)), "{text}");
            assert!(!known.matches(&password("hunter2")), "{text}");
            let made = Hash::make(&password(text), known.cost(), known.salt).unwrap();
            assert_eq!(made, known);
        }
    }

    #[cfg(feature = "passwords")]
    #[test]
    fn every_byte_of_a_long_password_counts() {
        let long = "x".repeat(71);
        let hash = Hash::make(&password(&format!("{long}a")), 4, [7; SALT]).unwrap();
        assert!(hash.matches(&password(&format!("{long}a"))));
        for wrong in [format!("{long}b"), long, "x".repeat(72)] {
            assert!(!hash.matches(&password(&wrong)), "{wrong}");
        }
    }
}
