//! A request target, its query, and a form, which is read as a query is.

use keypebble::http::route::{Parameters, Route, split_target};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let split = split_target(text);
    assert_eq!(split.is_some(), text.starts_with('/'));
    if let Some((path, query)) = split {
        let mark = text.find('?').unwrap_or(text.len());
        assert_eq!((path, query), (&text[..mark], text.get(mark + 1..).unwrap_or_default()));
        let plain =
            ["/healthz", "/auth", "/v2/token", "/metrics", "/.well-known/jwks.json", "/command/token"];
        let plain = plain.contains(&path)
            || ["/.well-known/openid-configuration", "/introspect", "/revoke"].contains(&path);
        let parts: Vec<&str> = path.split('/').collect();
        let of_account = matches!(
            parts[..],
            ["", "apis", "authentication.k8s.io", "v1", "namespaces", _, "serviceaccounts", _, "token"]
                | ["", "api", "v1", "namespaces", _, "serviceaccounts", _, "token"]
        );
        assert_eq!(Route::of(path) != Route::Other, plain || of_account, "{path:?}");
        parameters(query);
    }
    parameters(text);
}

fn parameters(text: &str) {
    let parsed = Parameters::parse(text);
    let expected = reference(text);
    assert_eq!(parsed.is_ok(), expected.is_some(), "{text:?}: {parsed:?}");
    let (Ok(parsed), Some(expected)) = (parsed, expected) else { return };
    assert_eq!(format!("{parsed:?}"), format!("Parameters {{ count: {}, .. }}", expected.len()));
    for (name, _) in &expected {
        let values: Vec<&str> =
            expected.iter().filter(|(other, _)| other == name).map(|(_, v)| &**v).collect();
        assert_eq!(parsed.all(name).collect::<Vec<_>>(), values, "{name:?}");
        assert_eq!(parsed.one(name).ok(), (values.len() == 1).then_some(Some(values[0])));
    }
    assert!(
        Parameters::parse_all_but(Some("a"), text).is_ok(),
        "{text:?}: what is taken without is taken with"
    );
    let absent = text.to_owned() + "x"; // longer than any name in it
    assert_eq!(parsed.one(&absent), Ok(None));
}

fn reference(text: &str) -> Option<Vec<(String, String)>> {
    let pairs: Vec<&str> = text.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > 128 {
        return None;
    }
    let pair = |pair: &str| {
        let equals = pair.find('=').unwrap_or(pair.len());
        Some((decode(&pair[..equals])?, decode(pair.get(equals + 1..).unwrap_or_default())?))
    };
    pairs.into_iter().map(pair).collect()
}

/// Splits at each `%`, of which two hex digits must follow.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}
