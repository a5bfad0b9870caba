//! A users file (htpasswd), line by line against a second reading.

use keypebble::login::password::{FINGERPRINT, Hash, MAX_COST, MIN_COST};
use keypebble::login::users::Users;
use std::path::Path;

pub fn check(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    match Users::parse(Path::new("users"), bytes) {
        Ok(users) => {
            let mut names = Vec::new();
            let mut dearest = None;
            for line in &lines {
                let Some((name, hash)) = entry(std::str::from_utf8(line).unwrap()) else { continue };
                let hash: Hash = hash.parse().unwrap();
                assert!((MIN_COST..=MAX_COST).contains(&hash.cost()));
                dearest = dearest.max(Some(hash.cost()));
                same(&hash, users.hash_of(name).unwrap());
                same(&hash, &hash.to_string().parse().unwrap());
                assert!(!name.is_empty() && !name.chars().any(char::is_control) && name.trim() == name);
                names.push(name);
            }
            assert_eq!(users.count(), names.len());
            assert!(dearest.is_none_or(|dearest| dearest == users.dearest()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(users.count(), names.len(), "nobody twice");
            assert!(format!("{users:?}").len() < 60);
        }
        Err(error) => {
            let (line, column) = error.location.expect("a place");
            let wrong = lines[line - 1];
            assert!(column >= 1 && column <= wrong.len() + 1 && error.line.is_none());
            let shown = error.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            // Nothing of what stands behind the colon, which may be a password: but for how it begins, which
            // tells its kind, another text would be told the same.
            if let Some((name, hash)) = std::str::from_utf8(wrong).ok().and_then(entry) {
                let other =
                    |(at, c): (usize, char)| if at > 8 && c.is_ascii_alphanumeric() { 'Q' } else { c };
                let hash: String = hash.chars().enumerate().map(other).collect();
                let mut changed = lines.clone();
                let line_changed = format!("{name}:{hash}");
                changed[line - 1] = line_changed.as_bytes();
                let told = Users::parse(Path::new("users"), &changed.join(&b'\n')).map(|_| ());
                assert_eq!(told.map_err(|error| error.to_string()), Err(shown));
            }
        }
    }
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') { None } else { line.split_once(':') }
}

fn same(one: &Hash, other: &Hash) {
    let (one, other): ([u8; FINGERPRINT], _) = (one.fingerprint(), other.fingerprint());
    assert_eq!(one, other);
}
