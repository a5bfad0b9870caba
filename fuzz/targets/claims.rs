//! The JSON body of `POST /auth`, and the claims that are made of it.

use keypebble::claims::{self, ClaimFilter, Frame, ISSUER_CLAIMS, Requested, read_object};
use keypebble::ground::time::{Ttl, UnixTime};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub fn check(bytes: &[u8]) {
    let plain = serde_json::from_slice::<Value>(bytes);
    let object = match read_object(bytes) {
        Ok(object) => object,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // Refused for a name that stands twice, or plain JSON's reader refuses it, too.
            if let Ok(Value::Object(plain)) = plain {
                let names = bytes.split(|byte| *byte == b':').count() - 1;
                assert!(names > count(&Value::Object(plain)), "{error}");
            }
            return;
        }
    };
    assert_eq!(plain.ok(), Some(Value::Object(object.clone())));
    let asked = object.clone();
    let Ok(requested) = Requested::new(object) else {
        let reserved = ISSUER_CLAIMS.iter().any(|(name, _)| asked.contains_key(*name));
        assert!(reserved || asked.get("sub").is_some_and(|sub| !sub.is_string()));
        return;
    };
    assert!(requested.names().eq(asked.keys().map(String::as_str)));
    if let Ok(user) = requested.user() {
        assert!(!user.is_empty());
        let named = ["sub", "user"].iter().any(|name| asked.get(*name).is_some_and(|value| value == user));
        assert!(named || user == "unknown");
    }
    if requested.is_about("alice") {
        let other =
            |name| asked.get(name).and_then(Value::as_str).is_some_and(|n| !n.is_empty() && n != "alice");
        assert!(!other("sub") && !other("user"));
    }
    if let Ok(Some(scopes)) = requested.scopes() {
        let mut resources: Vec<_> = scopes.iter().map(|scope| format!("{:?}", scope.resource)).collect();
        resources.sort();
        resources.dedup();
        assert_eq!(resources.len(), scopes.len());
    }
    build(&requested, &asked);
}

fn build(requested: &Requested, asked: &Map<String, Value>) {
    let Value::Object(statics) = json!({ "env": "test", "roles": ["a"] }) else { return };
    let allowed: BTreeSet<String> = ["sub", "env", "scope", "x"].map(str::to_owned).into();
    let frame =
        Frame { issuer: "i", audience: "a", now: UnixTime(1_000_000), ttl: Ttl::DEFAULT, id: "the id" };
    for allowed in [None, Some(allowed)] {
        let filter = ClaimFilter::new(allowed.clone(), statics.clone());
        let (passed, dropped) = filter.apply(requested.clone());
        assert_eq!(passed.names().count() + dropped.len(), asked.len());
        let custom = claims::generic(&frame, &filter, &passed).unwrap();
        // Nothing stands twice in it: what one reader takes, all take.
        let payload = read_object(custom.as_bytes()).unwrap();
        issuers(&payload);
        for (name, value) in payload.iter().filter(|(name, _)| !is_issuers(name)) {
            let may = allowed.as_ref().is_none_or(|allowed| allowed.contains(name));
            let from = if may && asked.contains_key(name) { asked } else { &statics };
            assert!(from.get(name).is_some_and(|asked| same(asked, value)), "{name}: {value}");
        }
        assert!(passed.names().all(|name| payload.contains_key(name)));
        let granted = claims::granted(&frame, &filter, &passed, "alice", &[]).unwrap();
        let payload = read_object(granted.as_bytes()).unwrap();
        issuers(&payload);
        assert_eq!(
            (&payload["sub"], &payload["access"], &payload["scope"]),
            (&json!("alice"), &json!([]), &json!(""))
        );
    }
}

/// Equal, but for the last digit of a fraction, which `serde_json` reads by a short way (`float_roundtrip` is
/// the long one).
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= a.abs() * 4.0 * f64::EPSILON || a.to_bits().abs_diff(b.to_bits()) <= 4
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (one, other) => one == other,
    }
}

fn is_issuers(name: &str) -> bool {
    ISSUER_CLAIMS.iter().any(|(known, _)| *known == name)
}

fn issuers(payload: &Map<String, Value>) {
    let expected = [
        ("iss", json!("i")),
        ("aud", json!("a")),
        ("iat", json!(1_000_000)),
        ("nbf", json!(1_000_000)),
        ("exp", json!(1_000_000 + i64::from(Ttl::DEFAULT.seconds()))),
        ("jti", json!("the id")),
    ];
    for (name, value) in expected {
        assert_eq!(payload[name], value, "{name}");
    }
}

/// How many names there are, at any depth.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(count).sum::<usize>(),
        Value::Array(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}
