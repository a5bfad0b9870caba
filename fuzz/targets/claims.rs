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
        let ambiguous = asked.keys().any(|name| claims::check_name(name).is_err());
        let ambiguous = ambiguous || claims::check_members(&asked).is_err();
        assert!(reserved || ambiguous || asked.get("sub").is_some_and(|sub| !sub.is_string()));
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
        let Ok(custom) = claims::generic(&frame, &filter, &passed) else {
            let like = |name: &str| {
                name.eq_ignore_ascii_case("env") || name.to_lowercase().replace('ſ', "s") == "roles"
            };
            assert!(passed.names().any(like), "{passed:?}");
            continue;
        };
        // Nothing stands twice in it: what one reader takes, all take.
        let payload = read_object(custom.as_bytes()).unwrap();
        issuers(&payload);
        for (name, value) in payload.iter().filter(|(name, _)| !is_issuers(name)) {
            let may = allowed.as_ref().is_none_or(|allowed| allowed.contains(name));
            let from = if may && asked.contains_key(name) { asked } else { &statics };
            assert_eq!(from.get(name), Some(value), "{name}");
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
