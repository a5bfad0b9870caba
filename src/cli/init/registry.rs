//! The configurations of `keypebble init` for registries: distribution 2.8 and 3.x, and zot.
//!
//! Owns their text. Decision: each is whole, so that the registry starts with it as it is, and every path in it is
//! absolute, so that it starts anywhere on this host, and in a container that has the folders at the same paths.

use super::files::string;
use super::plan::Plan;
use serde_json::json;

/// `registry/config-2.8.yml`
pub(super) fn distribution_2(plan: &Plan) -> String {
    distribution(plan, "2.8 (docker-registry, registry:2)", "rootcertbundle", "registry/bundle.pem")
}

/// `registry/config-3.yml`
pub(super) fn distribution_3(plan: &Plan) -> String {
    distribution(plan, "3.x (registry:3)", "jwks", "registry/jwks.json")
}

fn distribution(plan: &Plan, version: &str, key: &str, file: &str) -> String {
    let path = |name: &str| string(&plan.path(name).display().to_string());
    let more = if plan.asked.self_signed {
        format!("\n  tls:\n    certificate: {}\n    key: {}", path("tls/server.crt"), path("tls/server.key"))
    } else if plan.sites.is_empty() {
        String::new()
    } else {
        // Behind a front, clients are sent to paths, whatever the registry takes its own name for.
        "\n  relativeurls: true".to_owned()
    };
    format!(
        "# For distribution {version}. It reads this file and the keys once: restart it after a change.\n\
         # Variables that begin with REGISTRY_ change what stands here.\n\
         version: 0.1\n\
         log:\n  level: info\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {}{more}\n\
         auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n    {key}: {}\n",
        path("images"),
        string(&plan.backend.to_string()),
        string(&format!("{}/v2/token", plan.url)),
        string(&plan.asked.registry.to_string()),
        string(&plan.url),
        path(file),
    )
}

/// `registry/zot.json`
pub(super) fn zot(plan: &Plan) -> String {
    let path = |name: &str| plan.path(name).display().to_string();
    let mut config = json!({
        "distSpecVersion": "1.1.0",
        "log": { "level": "info" },
        "storage": { "rootDirectory": path("images-zot") },
        "http": {
            "address": plan.backend.host.trim_matches(['[', ']']),
            "port": plan.backend.port.unwrap_or_default().to_string(),
            "auth": {
                "bearer": {
                    "realm": format!("{}/v2/token", plan.url),
                    "service": plan.asked.registry.to_string(),
                    "cert": path("registry/zot.pem"),
                },
            },
        },
    });
    if plan.asked.self_signed {
        config["http"]["tls"] = json!({ "cert": path("tls/server.crt"), "key": path("tls/server.key") });
    }
    format!("{config:#}\n")
}
