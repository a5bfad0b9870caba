//! A Kubernetes service account's token, as its API server's `TokenRequest` makes one.
//!
//! Owns the names of service accounts and what their token says. Must not know requests. Decision: there is
//! no cluster behind it that knows which accounts exist, so a token says who asked to be believed, and no
//! `uid` that a verifier could look up.

use super::{ClaimFilter, ClaimsError, Frame, Recipient, build, entries};
use serde::ser::SerializeMap;
use serde_json::json;

/// The most audiences of one token.
const MAX_AUDIENCES: usize = 16;

/// A service account: a DNS label and a DNS subdomain, so that no part of them is read as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceAccount<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl<'a> ServiceAccount<'a> {
    /// Takes the names as they stand in a path; what is percent-encoded is no such name.
    pub fn new(namespace: &'a str, name: &'a str) -> Result<Self, &'static str> {
        if namespace.len() > 63 || !is_label(namespace) {
            return Err("the namespace is no DNS label: at most 63 of a-z, 0-9 and -");
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err("the service account's name is no DNS subdomain: at most 253 of a-z, 0-9, - and .");
        }
        Ok(Self { namespace, name })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `sub` of its tokens, which is its user name in a cluster.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// RFC 1123, 2.1, in small letters: letters and digits, and hyphens between them.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

/// A service account and whom its token is for.
#[derive(Debug, Clone)]
pub struct TokenRequest<'a> {
    account: ServiceAccount<'a>,
    audiences: Vec<Recipient<'a>>,
}

impl<'a> TokenRequest<'a> {
    /// Takes 1 to 16 audiences, each once.
    pub fn new(account: ServiceAccount<'a>, audiences: Vec<Recipient<'a>>) -> Result<Self, &'static str> {
        if audiences.is_empty() {
            return Err("is required: a list of at least one audience");
        }
        if audiences.len() > MAX_AUDIENCES {
            return Err("has more than 16 audiences");
        }
        if audiences.iter().enumerate().any(|(at, audience)| audiences[..at].contains(audience)) {
            return Err("names an audience twice");
        }
        Ok(Self { account, audiences })
    }

    /// Its audiences, separated by spaces.
    pub fn joined(&self) -> String {
        self.audiences.iter().map(|audience| audience.name()).collect::<Vec<_>>().join(" ")
    }

    /// Whose token it is.
    pub fn account(&self) -> ServiceAccount<'a> {
        self.account
    }

    /// Whom it is for.
    pub fn audiences(&self) -> &[Recipient<'a>] {
        &self.audiences
    }
}

/// A service account's token: `aud` is always a list, as in a cluster, and of the static claims there are
/// those that do not speak of access.
pub fn service_account(
    frame: &Frame<'_>,
    filter: &ClaimFilter,
    request: &TokenRequest<'_>,
) -> Result<String, ClaimsError> {
    let ServiceAccount { namespace, name } = request.account;
    build(frame, &request.audiences, frame.now, |payload| {
        payload.serialize_entry("sub", &request.account.subject())?;
        payload.serialize_entry(
            "kubernetes.io",
            &json!({ "namespace": namespace, "serviceaccount": { "name": name } }),
        )?;
        entries(payload, filter.without_access())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frame, statics};
    use super::*;

    #[test]
    fn it_says_what_a_cluster_s_token_says() {
        let account = ServiceAccount::new("build", "deploy.er").unwrap();
        let recipient = |name| Recipient::new(name, std::iter::empty()).unwrap();
        let request = TokenRequest::new(account, vec![recipient("vault"), recipient("https://b")]).unwrap();
        let filter = ClaimFilter::new(None, statics(r#"{"scope":"s","access":[],"zone":1}"#));
        assert_eq!(
            service_account(&frame(), &filter, &request).unwrap(),
            r#"{"iss":"i","aud":["vault","https://b"],"iat":1000,"nbf":1000,"exp":1060,"jti":"x","sub":"system:serviceaccount:build:deploy.er","kubernetes.io":{"namespace":"build","serviceaccount":{"name":"deploy.er"}},"zone":1}"#
        );
        assert_eq!(request.joined(), "vault https://b");
    }

    #[test]
    fn names_are_those_of_dns() {
        let long = "x".repeat(64);
        for (namespace, name, fits) in [
            ("build", "deployer", true),
            ("b", "d-1.e.2", true),
            ("7", "7", true),
            (&long[..63], &long, true),
            (&long, "d", false),
            ("", "d", false),
            ("b", "", false),
            ("Build", "d", false),
            ("-b", "d", false),
            ("b-", "d", false),
            ("b.c", "d", false),
            ("b:c", "d", false),
            ("b%2fc", "d", false),
            ("b%62", "d", false),
            ("b\u{fc}", "d", false),
            ("b", "D", false),
            ("b", ".d", false),
            ("b", "d.", false),
            ("b", "d..e", false),
            ("b", "d.-e", false),
            ("b", "..", false),
            ("b", "d:e", false),
            ("b", "d%2Fe", false),
            ("b", "d_e", false),
            ("b", &"x.".repeat(126)[..251], true),
            ("b", &("x.".repeat(126) + "yz"), false),
        ] {
            assert_eq!(ServiceAccount::new(namespace, name).is_ok(), fits, "{namespace} {name}");
        }
    }

    #[test]
    fn audiences_are_few_and_different() {
        let account = ServiceAccount::new("b", "d").unwrap();
        let names: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        let all: Vec<Recipient> =
            names.iter().map(|name| Recipient::new(name, std::iter::empty()).unwrap()).collect();
        assert!(TokenRequest::new(account, all[..16].to_vec()).is_ok());
        for wrong in [vec![], all.clone(), vec![all[0], all[1], all[0]]] {
            assert!(TokenRequest::new(account, wrong).is_err());
        }
    }
}
