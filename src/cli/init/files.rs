//! What the files of `keypebble init` say that are Keypebble's own.
//!
//! Owns their text. Must not know how they are written. Decision: they are explained where they stand.

use super::plan::{PASSWORDS, Plan};
use crate::ground::text::{acts, escape};

/// A string as YAML and JSON read it, whatever is in it. Unicode's own line ends are some of YAML's.
pub(super) fn string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    escape(&mut quoted, text, |c| !acts(c) && c != '"' && c != '\\');
    quoted + "\""
}

/// `config.yaml`
pub(super) fn config(plan: &Plan) -> String {
    let (users, proxies) = if PASSWORDS {
        (
            "# Who may log in, and with which password; remove it if a proxy says who the user is.\n\
             users_file: users.htpasswd\n",
            "  # A proxy that says who the user is, in X-Authenticated-User: none, as passwords are checked here.\n  \
             trusted_proxies: []\n  \
             # A proxy that says for which client it passes a request on, in X-Forwarded-For. Wrong passwords count\n  \
             # by client.\n",
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
    let fronted = plan.url.starts_with("https://") && !plan.asked.self_signed;
    let forwarders = match (PASSWORDS, fronted) {
        (true, true) => "  forwarded_by: [\"127.0.0.1\", \"::1\"]\n",
        (true, false) => "  forwarded_by: []\n",
        (false, _) => "",
    };
    let listens = if plan.asked.self_signed {
        "# TLS of its own: the clients come here themselves.\n  \
         tls: {certificate_path: tls/server.crt, key_path: tls/server.key}\n  \
         host: \"0.0.0.0\""
    } else if fronted {
        "# Only for this host, where TLS ends in front of it. In a container of its own: 0.0.0.0.\n  \
         host: \"127.0.0.1\""
    } else {
        "# Only for this host, as passwords come over plain http. In a container of its own: 0.0.0.0.\n  \
         host: \"127.0.0.1\""
    };
    format!(
        "# Keypebble for the registry {}. Paths are relative to this file.\n\
         # See what it means: keypebble check --config config.yaml\n\n\
         # `issuer` and `service` in the registry's configuration: the same text, to the letter.\n\
         issuer: {}\n\
         audience: {}\n\n\
         # A registry's token serves one push or pull; a client asks for a new one by itself.\n\
         default_ttl_seconds: 300\n\n\
         # Changed by keypebble keys rotate and retire, never by hand.\n\
         key_dir: keys\n\n\
         # Who may do what.\n\
         policy_file: policy.yaml\n\n\
         {users}\n\
         service:\n  \
         {listens}\n  \
         port: {}\n\
         {proxies}{forwarders}",
        plan.asked.registry,
        string(&plan.url),
        string(&plan.asked.registry.to_string()),
        plan.port,
    )
}

/// `policy.yaml`
pub(super) fn policy(plan: &Plan) -> String {
    let (user, reader, namespace) = (yaml_name(&plan.asked.user), plan.reader(), plan.namespace());
    let space = yaml_name(namespace);
    format!(
        r#"# Who may do what in the registry. What a user asks and may not have is left out of the token.

users:
  # Everything in repositories that begin with {namespace}/. A push of large layers outlives five minutes.
  {user}:
    namespace: {space}
    repos: ["**"]
    actions: [pull, push, delete]
    # A push of large layers takes longer than the default of five minutes.
    ttl_seconds: 1800

  # Reads one repository, and nothing else.
  {reader}:
    namespace: {space}
    repos: [app]
    actions: [pull]

# Without a password: what is public.
# anonymous:
#   namespace: public
#   repos: ["**"]
#   actions: [pull]

# What must hold, tried whenever this file is read.
tests:
  - {{user: {user}, scope: "repository:{namespace}/app:pull,push", grants: "repository:{namespace}/app:pull,push"}}
  - {{user: {reader}, scope: "repository:{namespace}/app:pull,push", grants: "repository:{namespace}/app:pull"}}
  - {{user: {reader}, scope: "repository:{namespace}/other:pull", grants: ""}}
"#
    )
}

/// A user's name, in quotes where YAML could read it as something else.
fn yaml_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphabetic();
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if name.chars().all(plain) && !words.contains(&name.to_lowercase().as_str()) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// `users.htpasswd`, before the first user.
pub(super) const USERS: &str = "\
# One user a line, as keypebble user set NAME --config config.yaml writes it. What each may do stands in policy.yaml.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::document::Document;

    #[test]
    fn a_string_is_one_line_and_reads_back() {
        for text in
            ["", "a\"b", "a\\b", "a\u{2028}b: c", "a\nb: c", "\u{202e}x", "# no comment", "\u{e4}", "~"]
        {
            let written = string(text);
            assert!(!written.contains(['\n', '\u{2028}']), "{written}");
            let document = Document::parse("x".as_ref(), format!("a: {written}\n")).unwrap();
            assert_eq!(document.root().get("a").unwrap().string().unwrap(), text);
        }
    }
}
