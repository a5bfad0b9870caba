//! The users file: who has a password, and whether one is right.
//!
//! Owns the htpasswd form, one `name:hash` a line, and its complaints. Must not know requests. Decision: a
//! check that fails costs the same for every name, known or not: as much as the dearest line of the file.
//! A file may hold hashes of different cost, so a wrong password for a cheap line is followed by work that
//! makes up the difference; only a right one may be faster, and it has nothing to hide.

use crate::ground::document::DocumentError;
use crate::ground::file::Files;
use crate::ground::name::{MAX_NAME_BYTES, is_composed};
use crate::ground::text::{quoted, word};
use crate::login::password::{DEFAULT_COST, ENABLED, Hash, HashError, Password};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// The longest users file, in bytes: room for some 100,000 users.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What a build without the feature says, and what to do about it.
pub const NOT_ENABLED: [&str; 2] = [
    "this build is without the feature `passwords`",
    "build with `cargo build --release --features passwords`, or let a proxy say who the user is",
];

/// How to make a line that is accepted.
const MAKE: &str =
    "set the password with `keypebble user set NAME`, or make a line with `htpasswd -nB -C 10 NAME`";

/// A users file, read whole.
pub struct Users {
    hashes: HashMap<Box<str>, Hash>,
    /// The cost of the dearest hash.
    dearest: u8,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// Why a text is no user name; `None` where it is one.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a user name is missing")
    } else if name.len() > MAX_NAME_BYTES {
        Some("a user name has at most 256 bytes")
    } else if name.contains(':') {
        Some("a user name cannot hold a colon, where Basic authentication ends it (RFC 7617, 2)")
    } else if name.chars().any(char::is_control) {
        Some("a user name holds no control characters")
    } else if name.trim() != name {
        Some("a user name cannot begin or end with a space")
    } else if !is_composed(name) {
        Some("a user name is in Unicode's composed form (NFC): a letter and its accent are one character")
    } else {
        None
    }
}

impl Users {
    /// Reads a users file; may be called again when it changes.
    pub fn load(path: &Path, files: &mut Files) -> Result<Self, DocumentError> {
        if !ENABLED {
            let [problem, hint] = NOT_ENABLED;
            return Err(DocumentError::new(path, problem).hint(hint));
        }
        let text = files.read_text(path, MAX_FILE_BYTES);
        let unreadable = |error| {
            let file = word(&path.display().to_string());
            let made_by = format!("keypebble user set NAME --users-file {file} makes it");
            DocumentError::unreadable(path, error).if_absent(&made_by)
        };
        let users = Self::parse(path, &text.map_err(unreadable)?)?;
        files.private(path);
        users.warn(path, files);
        Ok(users)
    }

    /// Reads the text of a users file. Empty lines and those that begin with `#` are passed over.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, DocumentError> {
        let mut hashes: HashMap<Box<str>, Hash> = HashMap::new();
        let mut first_lines: HashMap<Box<str>, usize> = HashMap::new();
        let mut dearest = None;
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            // Nothing of the line is shown: a plain password may stand in it.
            let at =
                |column: usize, problem: &str| DocumentError::new(path, problem).at(Some((number, column)));
            let line = std::str::from_utf8(line).map_err(|_| at(1, "is not UTF-8"))?;
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, hash)) = line.split_once(':') else {
                return Err(at(1, "expected `name:hash`, found no colon").hint(MAKE));
            };
            if let Some(problem) = name_problem(name) {
                return Err(at(1, problem));
            }
            let hash: Hash = hash.parse().map_err(|error: HashError| {
                at(name.chars().count() + 2, &error.to_string()).hint(mend(hash))
            })?;
            if let Some(first) = first_lines.get(name) {
                let problem = format!("the user {} is already in line {first}", quoted("", name));
                return Err(
                    at(1, &problem).hint("leave one of the two out: which one counts would be a guess")
                );
            }
            dearest = dearest.max(Some(hash.cost()));
            first_lines.insert(name.into(), number);
            hashes.insert(name.into(), hash);
        }
        Ok(Self { hashes, dearest: dearest.unwrap_or(DEFAULT_COST) })
    }

    /// Those of these names and hashes.
    pub(super) fn of(hashes: HashMap<Box<str>, Hash>) -> Self {
        let dearest = hashes.values().map(Hash::cost).max().unwrap_or(DEFAULT_COST);
        Self { hashes, dearest }
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Every user by name, with the cost of a login.
    pub fn costs(&self) -> Vec<(&str, u8)> {
        let mut costs: Vec<_> = self.hashes.iter().map(|(name, hash)| (&**name, hash.cost())).collect();
        costs.sort_unstable();
        costs
    }

    /// The cost that a failed check has.
    pub fn dearest(&self) -> u8 {
        self.dearest
    }

    /// A user's hash; `None` for an unknown user.
    pub fn hash_of(&self, user: &str) -> Option<&Hash> {
        self.hashes.get(user)
    }

    /// Whether this is the user's password. Takes tens of milliseconds to a second of a core.
    pub fn check(&self, user: &str, password: &Password) -> bool {
        let Some(hash) = self.hashes.get(user) else {
            Hash::waste(self.dearest, password);
            return false;
        };
        if hash.matches(password) {
            return true;
        }
        // 2^c done, and 2^c + 2^(c+1) + .. + 2^(d-1) more: 2^d in all.
        (hash.cost()..self.dearest).for_each(|cost| Hash::waste(cost, password));
        false
    }

    fn warn(&self, path: &Path, files: &mut Files) {
        let path = path.display();
        let cheap: Vec<u8> =
            self.hashes.values().map(Hash::cost).filter(|cost| *cost < DEFAULT_COST).collect();
        if let Some(least) = cheap.iter().min() {
            files.warn(
                format!(
                    "{path}: {} hash(es) of a bcrypt cost under {DEFAULT_COST} (the least is {least}): quick to guess for anybody who gets the file",
                    cheap.len()
                ),
                "set the passwords anew with `keypebble user set NAME`",
            );
        }
        if self.hashes.is_empty() {
            files.warn(format!("{path} names no user, so no password is right"), MAKE);
        }
    }
}

/// What to do about what stands where a hash should.
fn mend(hash: &str) -> &'static str {
    if hash.starts_with("$$") {
        "`$$` for `$` is how a compose file writes it: write each `$` once here"
    } else if hash.contains(':') {
        "a line ends with the hash: leave out the colon after it and what follows"
    } else {
        MAKE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "passwords")]
    use zeroize::Zeroizing;

    const ALICE: &str = "$2b$04$AAAAAAAAAAAAAAAAAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const BOB: &str = "$2y$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";

    fn parse(text: &str) -> Result<Users, DocumentError> {
        Users::parse(Path::new("users"), text.as_bytes())
    }

    #[test]
    fn lines_are_read_and_comments_passed_over() {
        let users = parse(&format!("# who\n\nalice:{ALICE}\r\nbob smith:{BOB}  \n")).unwrap();
        assert_eq!((users.count(), users.dearest()), (2, 6));
        assert!(users.hash_of("bob smith").is_some() && users.hash_of("Alice").is_none());
        assert_eq!(parse("").unwrap().dearest(), DEFAULT_COST);
        assert!(!format!("{users:?}").contains('$'));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_nothing_of_it() {
        for (text, part) in [
            (
                format!("alice:{ALICE}\nbob:hunter2"),
                "users:2:5: expected a bcrypt hash ($2b$, $2y$ or $2a$), found a plain",
            ),
            ("a:{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=".into(), "users:1:3: expected a bcrypt hash"),
            ("a:$apr1$M0RDDGLb$eMEUW6YFX./y0Ccx./K4n1".into(), "found an MD5 hash of Apache's"),
            ("hunter2".into(), "users:1:1: expected `name:hash`, found no colon"),
            (format!(":{ALICE}"), "users:1:1: a user name is missing"),
            (format!(" a:{ALICE}"), "cannot begin or end with a space"),
            (format!("a\u{1}:{ALICE}"), "no control characters"),
            (format!("{}:{ALICE}", "a".repeat(257)), "at most 256 bytes"),
            (format!("a:{ALICE}:x"), "leave out the colon after it"),
            (format!("a:{}", BOB.replace('$', "$$")), "write each `$` once here"),
            (format!("a:{ALICE}\nb:{BOB}\na:{BOB}"), "users:3:1: the user `a` is already in line 1"),
        ] {
            let error = parse(&text).unwrap_err();
            let shown = format!("{error} {error:?} {:?} {:?}", error.hint, error.excerpt());
            assert!(shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("aaaaaaaaaa"), "{shown}");
        }
        assert!(Users::parse(Path::new("users"), b"a:\xff").unwrap_err().to_string().contains("UTF-8"));
    }

    #[cfg(feature = "passwords")]
    #[test]
    fn only_the_right_password_of_a_known_user_is_right() {
        let password = |text: &str| Password::new(Zeroizing::new(text.to_owned())).unwrap();
        let line = |name: &str, text: &str, cost| {
            format!("{name}:{}\n", Hash::make(&password(text), cost, [3; 16]).unwrap())
        };
        let users = parse(&(line("alice", "a secret", 4) + &line("bob", "another", 6))).unwrap();
        for (user, text, right) in [
            ("alice", "a secret", true),
            ("alice", "another", false),
            ("bob", "another", true),
            ("Alice", "a secret", false),
            ("", "a secret", false),
            ("mallory", "a secret", false),
        ] {
            assert_eq!(users.check(user, &password(text)), right, "{user} {text}");
        }
    }

    #[cfg(not(feature = "passwords"))]
    #[test]
    fn without_the_feature_nothing_is_read() {
        let error = Users::load(Path::new("users"), &mut Files::default()).unwrap_err();
        assert!(error.to_string().contains("without the feature `passwords`"), "{error}");
    }
}
