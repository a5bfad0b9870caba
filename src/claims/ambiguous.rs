//! Claims that two programs would read differently: what is refused wherever claims are named.
//!
//! Owns the names that mean something to a verifier, and what JSON leaves open: the letter case of names
//! and the size of numbers. Must not know who names the claims. Decision: names are compared as Go's reader
//! does ([`fold`]), in every object at any depth, because registries are written in Go; and a number that
//! a reader would round is refused, because what it then says is not what was signed.

use super::{ClaimsError, ISSUER_CLAIMS};
use crate::ground::diagnostic::printable;
use crate::ground::fold::{fold, folds_to};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The claims beside the issuer's own that mean something to a verifier: a policy or a profile sets them.
const OWNED: [&str; 3] = ["sub", "access", "scope"];

/// 2^53: from here on a double no longer stands for itself alone.
const ROUNDED: f64 = 9_007_199_254_740_992.0;

/// That a claim is not one of the owned ones in another letter case.
pub fn check_name(name: &str) -> Result<(), ClaimsError> {
    let mut owned = ISSUER_CLAIMS.into_iter().map(|(name, _)| name).chain(OWNED);
    match owned.find(|owned| folds_to(name, owned)) {
        Some(owned) if owned != name => Err(ClaimsError::Disguised(printable(name), owned)),
        _ => Ok(()),
    }
}

/// That no two of these names differ in letter case alone.
pub fn check_distinct<'n>(names: impl Iterator<Item = &'n String>) -> Result<(), ClaimsError> {
    let mut known: HashMap<String, &str> = HashMap::new();
    for name in names {
        match known.insert(fold(name), name) {
            Some(other) if other != name => {
                return Err(ClaimsError::Alike(printable(other), printable(name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// That all programs read the members of this object alike, at any depth. Whole numbers may be as large as
/// 64 bits hold, with or without a sign: who reads them as whole numbers keeps them.
pub fn check_members(object: &Map<String, Value>) -> Result<(), ClaimsError> {
    check_distinct(object.keys())?;
    object.values().try_for_each(check_value)
}

/// As [`check_members`], for one value.
pub fn check_value(value: &Value) -> Result<(), ClaimsError> {
    match value {
        Value::Object(object) => check_members(object),
        Value::Array(list) => list.iter().try_for_each(check_value),
        Value::Number(n) if n.is_f64() && n.as_f64().is_none_or(|n| n.abs() >= ROUNDED) => {
            Err(ClaimsError::Number(n.to_string()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Requested, read_object};

    /// Every spelling that folds to a name.
    fn spellings(name: &str) -> Vec<String> {
        name.chars().fold(vec![String::new()], |words, c| {
            let mut letters = vec![c, c.to_ascii_uppercase()];
            letters.extend(
                ['\u{17f}', '\u{212a}']
                    .into_iter()
                    .filter(|other| folds_to(&other.to_string(), &c.to_string())),
            );
            letters.dedup();
            let with = |letter: &char| words.iter().map(|word| format!("{word}{letter}")).collect::<Vec<_>>();
            letters.iter().flat_map(with).collect()
        })
    }

    #[test]
    fn every_letter_case_of_an_owned_name_is_refused() {
        for (owned, count) in [
            ("iss", 18),
            ("sub", 12),
            ("aud", 8),
            ("exp", 8),
            ("nbf", 8),
            ("iat", 8),
            ("jti", 8),
            ("access", 144),
            ("scope", 48),
            ("kubernetes.io", 9 * 1024),
        ] {
            let all = spellings(owned);
            assert_eq!(all.len(), count, "{owned}");
            for name in all {
                let claims = Map::from_iter([(name.clone(), Value::String("x".into()))]);
                let expected = match ISSUER_CLAIMS.into_iter().find(|(known, _)| *known == name) {
                    Some((known, setter)) => Err(ClaimsError::Reserved(known, setter)),
                    None if name == owned => Ok(()),
                    None => Err(ClaimsError::Disguised(name.clone(), owned)),
                };
                assert_eq!(Requested::new(claims).map(|_| ()), expected, "{name}");
            }
        }
        assert_eq!(ISSUER_CLAIMS.len() + OWNED.len(), 10, "each is in the table above");
    }

    #[test]
    fn what_is_alike_or_rounded_is_refused_at_any_depth() {
        for (json, part) in [
            (r#"{"a":1,"A":1}"#, "`A` and `a` are the same name"),
            (r#"{"x":{"s":1,"\u017f":1}}"#, "are the same name"),
            (r#"{"x":[[{"\u00e5":1,"\u212b":1}]]}"#, "are the same name"),
            (r#"{"x":[{"a":1},{"A":1}]}"#, ""),
            (r#"{"ab":1,"ac":1}"#, ""),
            (r#"{"x":[9007199254740992.0]}"#, "the number 9007199254740992.0"),
            (r#"{"x":{"y":-1e16}}"#, "the number -1e+16"),
            (r#"{"x":18446744073709551616}"#, "the number 1.8446744073709552e+19"),
            (r#"{"x":[18446744073709551615,-9223372036854775808,9007199254740991.0,0.1]}"#, ""),
        ] {
            let checked = check_members(&read_object(json.as_bytes()).unwrap());
            let said = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(part) && said.is_empty() == part.is_empty(), "{json}: {said}");
        }
    }
}
