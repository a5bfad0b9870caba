//! The token of a Kubernetes service account: `TokenRequest` of `authentication.k8s.io/v1`, as a cluster's API
//! server answers it.
//!
//! Owns what of the API is taken, what is refused because nothing here could keep its promise, and its form of
//! errors. Decision: only a trusted peer gets one, never a user, as no user is a service account.

use super::call::Call;
use super::identity;
use super::protobuf;
use super::refusal::Refusal;
use super::response::Response;
use super::route::Parameters;
use super::token::no_store;
use crate::claims::{self, Recipient, ServiceAccount, TokenRequest};
use crate::ground::time::Ttl;
use crate::issuer::{Issuance, Profile};
use serde_json::{Map, Value, json};

/// The longest life that the API can ask for, in seconds.
const MAX_SECONDS: i64 = 1 << 32;

/// Parameters that clients send with every request and that change nothing here.
const PASSED_OVER: [&str; 4] = ["pretty", "fieldManager", "fieldValidation", "timeout"];

const AUDIENCES: &str = "spec.audiences";
const SECONDS: &str = "spec.expirationSeconds";

/// What a client asks, in either encoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
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

/// `POST .../namespaces/NAMESPACE/serviceaccounts/NAME/token`
pub(super) fn post(
    mut call: Call<'_>,
    (namespace, name): (&str, &str),
    query: &str,
) -> Result<Response, Refusal> {
    let own = identity::of_profile(&mut call)?;
    call.note.user.clone_from(&own);
    if own.is_some() {
        return Err(Refusal::PeersOnly);
    }
    let account = ServiceAccount::new(namespace, name).map_err(Refusal::Invalid)?;
    let subject = account.subject();
    call.note.user = Some(subject.clone());
    check_query(query)?;
    let wanted = read(&call)?;
    wanted.check(account)?;
    let state = call.state;
    let lifetimes = state.issuer.lifetimes();
    let ttl = match wanted.seconds {
        None => lifetimes.default,
        Some(seconds) => life(seconds)?,
    };
    let recipient = |name| {
        Recipient::new(name, state.services()).map_err(|error| Refusal::Spec(AUDIENCES, error.problem()))
    };
    let audiences = wanted.audiences.iter().map(|name| recipient(name)).collect::<Result<_, _>>()?;
    let request =
        TokenRequest::new(account, audiences).map_err(|problem| Refusal::Spec(AUDIENCES, problem))?;
    let audience = request.joined();
    let profile = Profile::Kubernetes(&request);
    let issued =
        call.issue(&Issuance { profile, subject: &subject, audience: &audience, ttl }, call.now(), &[])?;
    let record = &issued.record;
    let body = json!({
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {
            "name": account.name(),
            "namespace": account.namespace(),
            "creationTimestamp": record.issued_at.to_string(),
        },
        "spec": {
            "audiences": request.audiences(),
            "expirationSeconds": record.expires_at.0.saturating_sub(record.issued_at.0),
            "boundObjectRef": null,
        },
        "status": {
            "token": issued.token.expose(),
            "expirationTimestamp": record.expires_at.to_string(),
        },
    });
    Ok(no_store(201, body.to_string()))
}

const KIND: &str = "TokenRequest";
const API_VERSION: &str = "authentication.k8s.io/v1";

/// At least ten minutes. More than is configured is no error: the answer says what it came to.
fn life(seconds: i64) -> Result<Ttl, Refusal> {
    if seconds < i64::from(Ttl::KUBERNETES_MIN.seconds()) {
        return Err(Refusal::Spec(SECONDS, "may not be less than 600, which is 10 minutes"));
    }
    if seconds > MAX_SECONDS {
        return Err(Refusal::Spec(SECONDS, "may not be more than 4294967296"));
    }
    Ok(u64::try_from(seconds).ok().and_then(Ttl::new).unwrap_or(Ttl::MAX))
}

fn check_query(query: &str) -> Result<(), Refusal> {
    let parameters = Parameters::parse(query).map_err(Refusal::Invalid)?;
    if parameters.all("dryRun").next().is_some() {
        return Err(Refusal::Invalid("dryRun is not supported: a token that is made can be used"));
    }
    if parameters.names().any(|name| !PASSED_OVER.contains(&name)) {
        return Err(Refusal::Invalid("the query holds a parameter that is not known here"));
    }
    Ok(())
}

fn read(call: &Call<'_>) -> Result<Wanted, Refusal> {
    let media_type = call.request.media_type()?;
    if media_type.eq_ignore_ascii_case(protobuf::MEDIA_TYPE) {
        return protobuf::token_request(call.body()?)
            .ok_or(Refusal::Invalid("the body is no TokenRequest in Kubernetes' protobuf"));
    }
    // The Python client names no type, and a cluster takes that for JSON.
    let body = if media_type.is_empty() { call.body()? } else { call.json()? };
    Wanted::of_json(&claims::read_object(body)?)
}

impl Wanted {
    fn of_json(body: &Map<String, Value>) -> Result<Self, Refusal> {
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
        let text = |object: &Map<String, Value>, name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => {
                Err(Refusal::Invalid("kind, apiVersion, metadata.name and metadata.namespace are texts"))
            }
        };
        let present = |name| spec.get(name).filter(|value| !value.is_null());
        let audiences = match present("audiences") {
            None => Vec::new(),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|_| Refusal::Spec(AUDIENCES, "is not a list of texts"))?,
        };
        let seconds = present("expirationSeconds")
            .map(|value| value.as_i64().ok_or(Refusal::Spec(SECONDS, "is not a whole number")));
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
    fn check(&self, account: ServiceAccount<'_>) -> Result<(), Refusal> {
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

/// A refusal as clients of Kubernetes read it: a `Status` (API conventions, "Response Status Kind").
pub(super) fn refused(refusal: &Refusal) -> Response {
    let (status, message) = (refusal.status(), refusal.message());
    let reason = match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        408 => "Timeout",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "Unknown",
    };
    let mut body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
    });
    match refusal {
        Refusal::Spec(field, problem) => {
            let cause = json!({ "reason": "FieldValueInvalid", "message": problem, "field": field });
            body["details"] = json!({ "group": "authentication.k8s.io", "kind": KIND, "causes": [cause] });
        }
        Refusal::Throttled(seconds) => body["details"] = json!({ "retryAfterSeconds": seconds }),
        _ => {}
    }
    refusal.with_body(status, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> Result<Wanted, Refusal> {
        let wanted = Wanted::of_json(&claims::read_object(json.as_bytes()).unwrap())?;
        wanted.check(ServiceAccount::new("build", "deployer").unwrap())?;
        Ok(wanted)
    }

    #[test]
    fn what_clients_send_is_taken() {
        let both = |seconds| Wanted { audiences: vec!["vault".into()], seconds, ..Wanted::default() };
        for (json, expected) in [
            (r#"{"spec":{"audiences":["vault"]}}"#, both(None)),
            (r#"{"spec":{"audiences":["vault"],"expirationSeconds":600}}"#, both(Some(600))),
            (
                r#"{"metadata":{"creationTimestamp":null},"spec":{"audiences":["vault"],"expirationSeconds":null,"boundObjectRef":null},"status":{"token":"","expirationTimestamp":null}}"#,
                both(None),
            ),
            (
                r#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"name":"deployer","namespace":"build"},"spec":{"audiences":["vault"]}}"#,
                Wanted {
                    kind: KIND.into(),
                    api_version: API_VERSION.into(),
                    namespace: "build".into(),
                    name: "deployer".into(),
                    ..both(None)
                },
            ),
            ("{}", Wanted::default()),
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

    #[test]
    fn a_life_is_ten_minutes_or_more() {
        for (seconds, life_seconds) in [
            (i64::MIN, None),
            (-1, None),
            (0, None),
            (599, None),
            (600, Some(600)),
            (MAX_SECONDS, Some(Ttl::MAX.seconds())),
            (MAX_SECONDS + 1, None),
            (i64::MAX, None),
        ] {
            assert_eq!(life(seconds).ok().map(Ttl::seconds), life_seconds, "{seconds}");
        }
    }

    #[test]
    fn a_refusal_is_a_status() {
        for (refusal, status, reason) in [
            (Refusal::Invalid("x"), 400, "BadRequest"),
            (Refusal::Unauthenticated, 401, "Unauthorized"),
            (Refusal::PeersOnly, 403, "Forbidden"),
            (Refusal::NotFound, 404, "NotFound"),
            (Refusal::Method("POST"), 405, "MethodNotAllowed"),
            (Refusal::TooLarge, 413, "RequestEntityTooLarge"),
            (Refusal::MediaType, 415, "UnsupportedMediaType"),
            (Refusal::Spec(SECONDS, "x"), 422, "Invalid"),
            (Refusal::Throttled(7), 429, "TooManyRequests"),
            (Refusal::Internal, 500, "InternalError"),
        ] {
            let response = refused(&refusal);
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(
                (response.status, &body["code"], &body["reason"]),
                (status, &json!(status), &json!(reason))
            );
            assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Failure")));
        }
        let body: Value = serde_json::from_slice(&refused(&Refusal::Spec(SECONDS, "x")).body).unwrap();
        assert_eq!(body["details"]["causes"][0]["field"], SECONDS);
    }
}
