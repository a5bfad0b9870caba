//! What the files of `keypebble init` say.
//!
//! Owns their text. Must not know how they are written. Decision: they are explained where they stand, and
//! every path in the registry's files is absolute, so that on one host nothing needs to be edited.

use crate::cli::keys::quoted;
use crate::key::algorithm::Algorithm;
use std::path::PathBuf;

/// Whether this build reads `users_file`.
const USERS_FILE: bool = cfg!(feature = "passwords");

/// What the folder is for.
pub(super) struct Plan {
    /// Absolute.
    pub(super) folder: PathBuf,
    pub(super) registry: String,
    pub(super) url: String,
    pub(super) algorithm: Algorithm,
    /// Keypebble speaks TLS itself, with a certificate of an authority that is made here.
    pub(super) self_signed: bool,
}

/// Whether distribution 2.8 takes it.
pub(super) fn on_registry_2(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::ES256 | Algorithm::ES384
    )
}

/// Whether distribution 3.x takes it.
pub(super) fn on_registry_3(algorithm: Algorithm) -> bool {
    on_registry_2(algorithm)
        || matches!(algorithm, Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA)
}

/// A string as YAML reads it, whatever is in it.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `config.yaml`
pub(super) fn config(plan: &Plan) -> String {
    let (users, proxies) = if USERS_FILE {
        (
            "# Who may log in, and with which password; remove it if a proxy says who the user is.\n\
             users_file: users.htpasswd\n",
            "  # A proxy that says who the user is, in X-Authenticated-User: none, as passwords are checked here.\n  \
             trusted_proxies: []\n  \
             # A proxy that says for which client it passes a request on, in X-Forwarded-For (nginx:\n  \
             # proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for). Wrong passwords count by client.\n",
        )
    } else {
        (
            "# This build checks no passwords (feature passwords): a proxy must say who the user is.\n\
             # users_file: users.htpasswd\n",
            "  # The proxy that checks passwords and says who the user is in X-Authenticated-User. It must drop\n  \
             # that header, X-Scopes and X-Policy-Generate from what clients send.\n  \
             trusted_proxies: [\"127.0.0.1\", \"::1\"]\n",
        )
    };
    let forwarders = match (USERS_FILE, plan.url.starts_with("https://") && !plan.self_signed) {
        (true, true) => "  forwarded_by: [\"127.0.0.1\", \"::1\"]\n",
        (true, false) => "  forwarded_by: []\n",
        (false, _) => "",
    };
    let port = port(plan);
    let listens = if plan.self_signed {
        "# TLS of its own: the clients come here themselves.\n  \
         tls: {certificate_path: tls/server.crt, key_path: tls/server.key}\n  \
         host: \"0.0.0.0\""
    } else {
        "# In a container: 0.0.0.0.\n  host: \"127.0.0.1\""
    };
    format!(
        "# Keypebble for the registry {}. Paths are relative to this file.\n\
         # See what it means: keypebble check --config config.yaml --policy policy.yaml\n\n\
         # `issuer` and `service` in the registry's configuration: the same text, to the letter.\n\
         issuer: {}\n\
         audience: {}\n\n\
         # A registry's token serves one push or pull; a client asks for a new one by itself.\n\
         default_ttl_seconds: 300\n\n\
         # Changed by keypebble keys rotate and retire, never by hand.\n\
         key_dir: keys\n\n\
         {users}\n\
         service:\n  \
         {listens}\n  \
         port: {port}\n\
         {proxies}{forwarders}",
        plan.registry,
        yaml(&plan.url),
        yaml(&plan.registry),
    )
}

/// Where clients on this machine reach Keypebble: itself, or the proxy in front of it and the registry.
pub(super) fn local_url(registry: &str) -> String {
    if USERS_FILE { "http://localhost:8080".to_owned() } else { format!("http://{registry}") }
}

/// The port to listen on: that of the URL where nothing stands between, else 8080.
fn port(plan: &Plan) -> u16 {
    let (scheme, usual) = if plan.self_signed { ("https://", 443) } else { ("http://", 8080) };
    if !USERS_FILE && !plan.self_signed {
        return usual;
    }
    let authority = plan.url.strip_prefix(scheme).and_then(|rest| rest.split('/').next());
    let port =
        authority.and_then(|authority| authority.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
    port.filter(|port| *port != 0).unwrap_or(usual)
}

/// `policy.yaml`
pub(super) const POLICY: &str = r#"# Who may do what in the registry. What a user asks and may not have is left out of the token.

users:
  # Everything in repositories that begin with alice/. A push of large layers outlives five minutes.
  alice:
    namespace: alice
    repos: ["**"]
    actions: [pull, push, delete]
    # A push of large layers takes longer than the default of five minutes.
    ttl_seconds: 1800

  # Reads one repository, and nothing else.
  bob:
    namespace: alice
    repos: [app]
    actions: [pull]

# Without a password: what is public.
# anonymous:
#   namespace: public
#   repos: ["**"]
#   actions: [pull]

# What must hold, tried whenever this file is read.
tests:
  - {user: alice, scope: "repository:alice/app:pull,push", grants: "repository:alice/app:pull,push"}
  - {user: bob, scope: "repository:alice/app:pull,push", grants: "repository:alice/app:pull"}
  - {user: bob, scope: "repository:bob/app:pull", grants: ""}
"#;

/// `users.htpasswd`
pub(super) const USERS: &str = "\
# One user a line: printf %s \"$PASSWORD\" | keypebble hash-password --user alice >> users.htpasswd
# What each may do stands in policy.yaml.
";

/// `registry/config-2.8.yml`
pub(super) fn registry_2(plan: &Plan) -> String {
    let bundle = plan.folder.join("registry/bundle.pem");
    head(plan, "2.8 (docker-registry)")
        + &format!("    rootcertbundle: {}\n", yaml(&bundle.display().to_string()))
}

/// `registry/config-3.yml`
pub(super) fn registry_3(plan: &Plan) -> String {
    let jwks = plan.folder.join("registry/jwks.json");
    head(plan, "3.x") + &format!("    jwks: {}\n", yaml(&jwks.display().to_string()))
}

fn head(plan: &Plan, version: &str) -> String {
    format!(
        "# For distribution {version}: put this into its config.yml and restart it. It reads keys once.\n\
         # In a container, mount this folder and write the path as the container sees it. As variables:\n\
         # REGISTRY_AUTH_TOKEN_REALM, _SERVICE, _ISSUER and so on; no other variable may begin with REGISTRY_.\n\
         auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n",
        yaml(&format!("{}/v2/token", plan.url)),
        yaml(&plan.registry),
        yaml(&plan.url),
    )
}

/// What is printed when all is made.
pub(super) fn next_steps(plan: &Plan) -> String {
    let path = |name: &str| quoted(&plan.folder.join(name));
    let files = format!("--config {} --policy {}", path("config.yaml"), path("policy.yaml"));
    let who = if USERS_FILE {
        let users = path("users.htpasswd");
        format!("set a password:  printf %s \"$PASSWORD\" | keypebble hash-password --user alice >> {users}")
    } else {
        "put a proxy in front that checks passwords and sets X-Authenticated-User (docs/quickstart-proxy.md)"
            .to_owned()
    };
    let two = if on_registry_2(plan.algorithm) {
        format!("\n       distribution 2.8: {}", path("registry/config-2.8.yml"))
    } else {
        format!("\n       distribution 2.8: does not accept {}", plan.algorithm)
    };
    format!(
        "made {}: {} keys, configuration, policy, and the settings for a registry\n\n\
         \x20 1. {who}\n\
         \x20 2. keypebble check {files}\n\
         \x20 3. keypebble serve {files}\n\
         \x20 4. put this section into the registry's config.yml, and restart the registry{two}\n\
         \x20      distribution 3.x: {}\n\
         \x20 5. push as alice: skopeo copy --dest-creds alice:PASSWORD IMAGE docker://{}/alice/app:1\n",
        plan.folder.display(),
        plan.algorithm,
        path("registry/config-3.yml"),
        plan.registry,
    )
}
