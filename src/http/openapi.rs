//! `/openapi.json`: the HTTP API as programs read it.
//!
//! Owns the document (`OpenAPI` 3.1), which is written by hand. Decision: what a deployment switches off is in it all the
//! same, with the answer that says so, so that one document is true everywhere.

use super::response::Response;

/// The document.
pub const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn get() -> Response {
    Response::json(200, DOCUMENT.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::ISSUER_CLAIMS;
    use crate::ground::time::Ttl;
    use crate::http::refusal::Refusal;
    use crate::http::request::Method;
    use crate::http::route::Route;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn paths(document: &Value) -> &Map<String, Value> {
        document["paths"].as_object().unwrap()
    }

    #[test]
    fn its_paths_are_the_routes() {
        let document = document();
        let labels: BTreeSet<_> = paths(&document).keys().map(|path| Route::of(path).label()).collect();
        let routes = Route::LABELS.into_iter().filter(|label| *label != "other");
        assert_eq!(labels, routes.collect(), "and each path is a route");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn its_methods_are_those_that_the_routes_answer() {
        for (path, item) in paths(&document()) {
            let route = Route::of(path);
            for name in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
                let documented = item.get(name.to_lowercase()).is_some();
                assert_eq!(documented, route.allows(Method::of(name), true), "{name} {path}");
            }
            // Said once, in the description: every GET also answers HEAD.
            assert_eq!(item.get("get").is_some(), route.allows(Method::Head, true), "{path}");
        }
    }

    #[test]
    fn its_codes_and_bounds_are_those_of_the_program() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Code"]["enum"], json!(Refusal::CODES));
        assert_eq!(schemas["Seconds"]["maximum"], json!(Ttl::MAX.seconds()));
        let request = &schemas["TokenRequest"]["properties"]["spec"]["properties"];
        assert_eq!(request["expirationSeconds"]["minimum"], json!(Ttl::KUBERNETES_MIN.seconds()));
        let refused = schemas["ClaimName"]["not"]["pattern"].as_str().unwrap();
        for (name, _) in ISSUER_CLAIMS {
            let folded = name.chars().map(|c| match c {
                '.' => "\\.".to_owned(),
                's' => "[sS\u{17f}]".to_owned(),
                'k' => "[kK\u{212a}]".to_owned(),
                c => format!("[{c}{}]", c.to_ascii_uppercase()),
            });
            assert!(refused.contains(&folded.collect::<String>()), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_part_is_used() {
        fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
            match value {
                Value::Object(object) => object.iter().for_each(|(name, value)| match value {
                    Value::String(text) if name == "$ref" => drop(found.insert(text)),
                    value => references(value, found),
                }),
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let (document, mut found) = (document(), BTreeSet::new());
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        for kind in ["schemas", "responses", "parameters", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(found.contains(format!("#/components/{kind}/{name}").as_str()), "{kind} {name}");
            }
        }
    }
}
