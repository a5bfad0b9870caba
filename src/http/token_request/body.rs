//! What a `TokenRequest` asks, in either encoding, and whether it can be had.
//!
//! Owns the fields that count. Decision: a field that is not known is refused, since what it asks for would
//! silently not be so.

use crate::claims::{ServiceAccount, whole_number};
use crate::http::command::text;
use crate::http::refusal::Refusal;
use serde_json::{Map, Value};

pub(super) const KIND: &str = "TokenRequest";
pub(super) const API_VERSION: &str = "authentication.k8s.io/v1";
pub(super) const AUDIENCES: &str = "spec.audiences";
pub(super) const SECONDS: &str = "spec.expirationSeconds";

/// What a client asks, in either encoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TokenRequestBody {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// `metadata.namespace` and `metadata.name`
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) audiences: Vec<String>,
    pub(super) seconds: Option<i64>,
    /// Whether `spec.boundObjectRef` is there.
    pub(super) bound: bool,
}

impl TokenRequestBody {
    pub(super) fn of_json(body: &Map<String, Value>) -> Result<Self, Refusal> {
        const UNKNOWN: Refusal = Refusal::Invalid("the body holds a field that a TokenRequest does not have");
        // A client's empty `status` is the server's to fill.
        let known = ["kind", "apiVersion", "metadata", "spec", "status"];
        if body.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(UNKNOWN);
        }
        let empty = Map::new();
        let object = |name, problem| match body.get(name) {
            None | Some(Value::Null) => Ok(&empty),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(Refusal::Invalid(problem)),
        };
        let (metadata, spec) =
            (object("metadata", "`metadata` is not an object")?, object("spec", "`spec` is not an object")?);
        if spec
            .keys()
            .any(|name| !["audiences", "expirationSeconds", "boundObjectRef"].contains(&name.as_str()))
        {
            return Err(UNKNOWN);
        }
        let text = |object, name| {
            let text = text(object, name, "kind, apiVersion, metadata.name and metadata.namespace are texts");
            text.map(|text| text.unwrap_or_default().to_owned())
        };
        let present = |name| spec.get(name).filter(|value| !value.is_null());
        let audiences = match present("audiences") {
            None => Vec::new(),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|_| Refusal::Spec(AUDIENCES, "is not a list of texts"))?,
        };
        let seconds = present("expirationSeconds")
            .map(|value| whole_number(value).ok_or(Refusal::Spec(SECONDS, "is not a whole number")));
        Ok(Self {
            api_version: text(body, "apiVersion")?,
            kind: text(body, "kind")?,
            namespace: text(metadata, "namespace")?,
            name: text(metadata, "name")?,
            audiences,
            seconds: seconds.transpose()?,
            bound: present("boundObjectRef").is_some(),
        })
    }

    /// That it is such an object, about that account, and asks for nothing that cannot be kept.
    pub(super) fn check(&self, account: ServiceAccount<'_>) -> Result<(), Refusal> {
        let agrees = |found: &str, expected: &str| found.is_empty() || found == expected;
        if !agrees(&self.kind, KIND) || !agrees(&self.api_version, API_VERSION) {
            return Err(Refusal::Invalid("expected kind TokenRequest of authentication.k8s.io/v1"));
        }
        if !agrees(&self.namespace, account.namespace()) || !agrees(&self.name, account.name()) {
            return Err(Refusal::Invalid("`metadata` names another service account than the path"));
        }
        if self.bound {
            return Err(Refusal::Spec(
                "spec.boundObjectRef",
                "is not supported: nothing here knows when such an object ends",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::read_object;

    fn wanted(json: &str) -> Result<TokenRequestBody, Refusal> {
        let wanted = TokenRequestBody::of_json(&read_object(json.as_bytes()).unwrap())?;
        wanted.check(ServiceAccount::new("build", "deployer").unwrap())?;
        Ok(wanted)
    }

    #[test]
    fn what_clients_send_is_taken() {
        let both = |seconds| TokenRequestBody {
            audiences: vec!["vault".into()],
            seconds,
            ..TokenRequestBody::default()
        };
        for (json, expected) in [
            (r#"{"spec":{"audiences":["vault"]}}"#, both(None)),
            (r#"{"spec":{"audiences":["vault"],"expirationSeconds":600}}"#, both(Some(600))),
            (
                r#"{"metadata":{"creationTimestamp":null},"spec":{"audiences":["vault"],"expirationSeconds":null,"boundObjectRef":null},"status":{"token":"","expirationTimestamp":null}}"#,
                both(None),
            ),
            (
                r#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"name":"deployer","namespace":"build"},"spec":{"audiences":["vault"]}}"#,
                TokenRequestBody {
                    kind: KIND.into(),
                    api_version: API_VERSION.into(),
                    namespace: "build".into(),
                    name: "deployer".into(),
                    ..both(None)
                },
            ),
            ("{}", TokenRequestBody::default()),
        ] {
            assert_eq!(wanted(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, status, part) in [
            (r#"{"audiences":["vault"]}"#, 400, "a field that a TokenRequest does not have"),
            (r#"{"spec":{"audience":["vault"]}}"#, 400, "a field that a TokenRequest does not have"),
            (r#"{"spec":[]}"#, 400, "`spec` is not an object"),
            (r#"{"metadata":"x"}"#, 400, "`metadata` is not an object"),
            (r#"{"metadata":{"name":7}}"#, 400, "are texts"),
            (r#"{"spec":{"audiences":"vault"}}"#, 422, "spec.audiences is not a list"),
            (r#"{"spec":{"audiences":[1]}}"#, 422, "spec.audiences is not a list"),
            (r#"{"spec":{"expirationSeconds":"600"}}"#, 422, "spec.expirationSeconds is not a whole"),
            (r#"{"spec":{"expirationSeconds":600.5}}"#, 422, "spec.expirationSeconds is not a whole"),
            (r#"{"spec":{"boundObjectRef":{}}}"#, 422, "spec.boundObjectRef is not supported"),
            (r#"{"kind":"TokenReview"}"#, 400, "expected kind TokenRequest"),
            (r#"{"apiVersion":"v1"}"#, 400, "expected kind TokenRequest"),
            (r#"{"metadata":{"name":"other"}}"#, 400, "another service account"),
            (r#"{"metadata":{"namespace":"other"}}"#, 400, "another service account"),
        ] {
            let refusal = wanted(json).expect_err(json);
            assert_eq!(refusal.status(), status, "{json}");
            assert!(refusal.message().contains(part), "{json}: {}", refusal.message());
        }
    }
}
