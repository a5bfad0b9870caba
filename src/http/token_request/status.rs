//! A refusal as clients of Kubernetes read it.

use super::body::KIND;
use crate::http::refusal::Refusal;
use crate::http::response::Response;
use serde_json::json;

/// A `Status` (Kubernetes API conventions, "Response Status Kind").
pub(in crate::http) fn refused(refusal: &Refusal) -> Response {
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
    use super::super::body::SECONDS;
    use super::*;
    use serde_json::Value;

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
