//! zot's configuration, as far as it speaks of who is let in.
//!
//! Owns `http.auth` as zot 2.1 reads it: keys in any case, numbers and truths as text, and no tokens asked for
//! unless realm, service and cert are all there. Must not know distribution's.

use super::{Gate, RegistryConfig};
use crate::ground::diagnostic::shortened;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A mapping, by its keys in lower case.
type Section<'v> = BTreeMap<String, &'v Value>;

/// What it knows below `http.auth.bearer`; another key stops it.
const KNOWN: [&str; 6] = ["realm", "service", "cert", "oidc", "awssecretsmanager", "upstreamtokenendpoint"];

/// Reads what is in the file.
pub(super) fn read(root: &Value) -> RegistryConfig {
    let config = of_root(root).unwrap_or_else(|gate| RegistryConfig { gate, ..RegistryConfig::default() });
    RegistryConfig { zot: true, ..config }
}

/// The settings of a zot that asks for tokens; else what it does instead.
fn of_root(root: &Value) -> Result<RegistryConfig, Gate> {
    let root = section(Some(root), "")?;
    if root.contains_key("version") {
        return Err(Gate::Stops("its file has a `version`, as distribution's has".to_owned()));
    }
    let http = section(root.get("http").copied(), "http")?;
    let auth = section(http.get("auth").copied(), "http.auth")?;
    let bearer = section(auth.get("bearer").copied(), "http.auth.bearer")?;
    if let Some(key) = bearer.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Gate::Stops(format!("it knows no `http.auth.bearer.{}`", shortened(key, 40))));
    }
    let of = |key: &str| text(bearer.get(key).copied(), key);
    let (realm, service, cert) = (of("realm")?, of("service")?, of("cert")?);
    let elsewhere = is_given(bearer.get("awssecretsmanager"));
    if elsewhere && cert.is_some() {
        return Err(Gate::Stops("`http.auth.bearer` has both cert and awsSecretsManager".to_owned()));
    }
    let missing =
        [("realm", realm.is_none()), ("service", service.is_none()), ("cert", cert.is_none() && !elsewhere)];
    let missing: Vec<&str> = missing.into_iter().filter_map(|(key, is)| is.then_some(key)).collect();
    if missing.is_empty() {
        return Ok(RegistryConfig {
            realm,
            service,
            bundle: cert.map(PathBuf::from),
            ..RegistryConfig::default()
        });
    }
    let others = [
        ("oidc", bearer.get("oidc").copied()),
        ("htpasswd", section(auth.get("htpasswd").copied(), "http.auth.htpasswd")?.get("path").copied()),
        ("ldap", auth.get("ldap").copied()),
        ("openid", auth.get("openid").copied()),
        ("apikey", auth.get("apikey").copied()),
        ("mtls", section(http.get("tls").copied(), "http.tls")?.get("cacert").copied()),
        ("accessControl", http.get("accesscontrol").copied()),
    ];
    Err(match others.into_iter().find(|(_, value)| is_given(value.as_ref())) {
        Some((name, _)) => Gate::Other(name.to_owned()),
        None => Gate::Open(format!(
            "its `http.auth.bearer` has no {}, and zot asks for tokens only with all of realm, service and cert",
            missing.join(", no ")
        )),
    })
}

fn section<'v>(value: Option<&'v Value>, name: &str) -> Result<Section<'v>, Gate> {
    let entries = match value {
        None | Some(Value::Null) => return Ok(Section::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(Gate::Stops(format!("`{name}` is not a mapping"))),
    };
    let mut found = Section::new();
    for (key, value) in entries {
        if found.insert(key.to_lowercase(), value).is_some() {
            let key = shortened(key, 40);
            return Err(Gate::Stops(format!(
                "`{key}` is there in two spellings, and chance says which one counts"
            )));
        }
    }
    Ok(found)
}

/// `None` where it is missing or empty.
fn text(value: Option<&Value>, key: &str) -> Result<Option<String>, Gate> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(truth)) => u8::from(*truth).to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Gate::Stops(format!("`http.auth.bearer.{key}` is not text"))),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Whether a setting is there and not empty.
fn is_given(value: Option<&&Value>) -> bool {
    value.is_some_and(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const REALM: &str = "http://a/v2/token";

    /// Each row was given to a zot of 2026-08-21, which did what is expected here.
    #[test]
    fn what_decides_is_found_as_zot_does() {
        let whole = json!({ "realm": REALM, "service": "s", "cert": "c" });
        let but = |key: &str, value: Value| {
            let mut bearer = whole.clone();
            bearer[key] = value;
            json!({ "auth": { "bearer": bearer } })
        };
        let users =
            json!({ "repositories": { "**": { "policies": [{ "users": ["a"], "actions": ["read"] }] } } });
        for (http, expected) in [
            (json!({ "auth": { "bearer": whole } }), "token s"),
            (json!({ "Auth": { "BEARER": { "Realm": REALM, "SERVICE": "s", "Cert": "c" } } }), "token s"),
            (json!({ "auth": { "bearer": whole, "htpasswd": { "path": "h" } } }), "token s"),
            (json!({ "auth": { "bearer": whole }, "accessControl": users }), "token s"),
            (but("service", json!(5)), "token 5"),
            (but("service", json!(true)), "token 1"),
            (json!({}), "open: no realm, no service, no cert"),
            (json!({ "auth": null }), "open: no realm, no service, no cert"),
            (json!({ "auth": {}, "accessControl": {} }), "open: no realm, no service, no cert"),
            (json!({ "auth": { "bearer": { "oidc": [] } } }), "open: no realm, no service, no cert"),
            (json!({ "auth": { "htpasswd": { "path": "" } } }), "open: no realm, no service, no cert"),
            (but("cert", json!("")), "open: no cert"),
            (but("realm", Value::Null), "open: no realm"),
            (but("service", json!("")), "open: no service"),
            (json!({ "auth": { "htpasswd": { "path": "h" } } }), "other: htpasswd"),
            (json!({ "auth": { "apikey": true } }), "other: apikey"),
            (json!({ "auth": { "bearer": { "oidc": [{ "issuer": "https://i" }] } } }), "other: oidc"),
            (json!({ "accessControl": { "repositories": {} } }), "other: accessControl"),
            (but("service", json!(["a"])), "stops: `http.auth.bearer.service` is not text"),
            (but("certificate", json!("c")), "stops: it knows no `http.auth.bearer.certificate`"),
            (
                but("Cert", json!("c")),
                "stops: `cert` is there in two spellings, and chance says which one counts",
            ),
            (
                but("awsSecretsManager", json!({ "region": "r" })),
                "stops: `http.auth.bearer` has both cert and awsSecretsManager",
            ),
            (json!({ "auth": { "bearer": [whole] } }), "stops: `http.auth.bearer` is not a mapping"),
            (json!({ "auth": "token" }), "stops: `http.auth` is not a mapping"),
        ] {
            let config = read(&json!({ "http": http }));
            let found = match config.gate {
                Gate::Token => format!("token {}", config.service.unwrap_or_default()),
                Gate::Open(why) => {
                    let missing = why
                        .strip_prefix("its `http.auth.bearer` has ")
                        .and_then(|rest| rest.split_once(", and"));
                    format!("open: {}", missing.unwrap().0)
                }
                Gate::Other(name) => format!("other: {name}"),
                Gate::Stops(why) => format!("stops: {why}"),
                Gate::Chance { .. } => "chance".to_owned(),
            };
            assert_eq!(found, expected, "{http}");
            assert!(config.zot);
        }
        let distributions = read(&json!({ "version": "0.1", "http": { "auth": { "bearer": whole } } }));
        assert!(matches!(distributions.gate, Gate::Stops(_)));
        let elsewhere = json!({ "realm": REALM, "service": "s", "awsSecretsManager": { "region": "r" } });
        let elsewhere = read(&json!({ "http": { "auth": { "bearer": elsewhere } } }));
        assert_eq!((elsewhere.gate, elsewhere.bundle), (Gate::Token, None));
    }
}
