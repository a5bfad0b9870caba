//! A registry's own configuration, as far as it speaks of who is let in.
//!
//! Owns `auth` of distribution's config.yml and the `REGISTRY_AUTH*` variables over it, and which file is zot's.
//! Must not know Keypebble's configuration. Decision: read leniently, as the registry reads it: what else its file holds is
//! none of our business.

mod auth;
mod zot;

use crate::diagnosis::verdict::{KNOWN_TO_3, Program};
use crate::ground::diagnostic::shortened;
use crate::ground::document::{Document, DocumentError};
use auth::{Auth, of_value, overlay};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::PathBuf;

/// How the registry decides who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gate {
    /// By tokens.
    #[default]
    Token,
    /// It lets anybody in: why.
    Open(String),
    /// By something else, of this name.
    Other(String),
    /// It does not start: why.
    Stops(String),
    /// By one of these types: which one is left to chance at each start.
    Chance {
        /// Their names.
        types: String,
        /// Whether one of them lets anybody in.
        open: bool,
    },
}

/// What a registry is told about who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Whether it is zot's. Else it is distribution's.
    pub zot: bool,
    /// What decides.
    pub gate: Gate,
    /// `realm`: where clients are sent for a token.
    pub realm: Option<String>,
    /// `service`: what `aud` must be.
    pub service: Option<String>,
    /// `issuer`: what `iss` must be.
    pub issuer: Option<String>,
    /// `rootcertbundle`, or zot's `cert`.
    pub bundle: Option<PathBuf>,
    /// `jwks` (3.x)
    pub jwks: Option<PathBuf>,
    /// `signingalgorithms` (3.x); empty means all.
    pub algorithms: Vec<String>,
    /// `autoredirect`: the realm is the registry's own host, and `realm` counts for nothing.
    pub autoredirect: bool,
    /// Options that stop a program at its start: what is wrong with them.
    pub stops: Vec<(Program, &'static str)>,
}

impl RegistryConfig {
    /// Reads the file, if there is one, and the variables over it, which are distribution's.
    pub fn read(
        document: Option<&Document>,
        variables: &[(String, String)],
    ) -> Result<RegistryConfig, DocumentError> {
        let root = document.map(Document::root);
        let file = root.as_ref().and_then(|root| root.get("auth")).map(|auth| auth.json()).transpose()?;
        let auth = match of_value(file.unwrap_or_default()).and_then(|auth| overlay(auth, variables)) {
            Ok(auth) => auth,
            Err(why) => return Ok(RegistryConfig { gate: Gate::Stops(why), ..RegistryConfig::default() }),
        };
        let none = Map::new();
        let options = auth.get("token").and_then(Value::as_object).unwrap_or(&none);
        let replaced = variables.iter().any(|(name, _)| name == "REGISTRY_AUTH");
        Ok(RegistryConfig { gate: gate(&auth, replaced), ..of_options(options) })
    }

    /// Reads zot's file.
    pub fn of_zot(document: &Document) -> Result<RegistryConfig, DocumentError> {
        Ok(zot::read(&document.root().json()?))
    }

    /// Whether a file is zot's: distribution's has a `version`.
    pub fn is_zots(document: &Document) -> bool {
        let root = document.root();
        let has = |key: &str| root.get(key).is_some();
        !has("version")
            && (has("distSpecVersion") || root.get("http").is_some_and(|http| http.get("auth").is_some()))
    }

    /// Where the file has these settings.
    pub fn section(&self) -> &'static str {
        if self.zot { "http.auth.bearer" } else { "auth.token" }
    }

    /// Whether tokens may decide.
    pub fn may_ask_for_tokens(&self) -> bool {
        match &self.gate {
            Gate::Token => true,
            Gate::Chance { types, .. } => types.split(", ").any(|name| name == "token"),
            _ => false,
        }
    }
}

fn gate(auth: &Auth, replaced: bool) -> Gate {
    let is_open = |name: &str| name.is_empty() || name.eq_ignore_ascii_case("none");
    let names: Vec<&str> = auth.keys().map(String::as_str).collect();
    match names[..] {
        [] if replaced => Gate::Open("REGISTRY_AUTH is empty, and replaces the file's `auth`".to_owned()),
        [] => Gate::Open("neither its file nor its environment has an `auth`".to_owned()),
        [name] if is_open(name) => Gate::Open(format!("its type of `auth` is `{name}`")),
        ["token"] => Gate::Token,
        ["silly"] => Gate::Open("`auth.silly` takes any Authorization header".to_owned()),
        ["htpasswd"] => Gate::Other("htpasswd".to_owned()),
        [name] => Gate::Stops(format!("it knows no `auth` of the type `{}`", shortened(name, 40))),
        _ => Gate::Chance {
            types: shortened(&names.join(", "), 120),
            open: names.iter().any(|name| is_open(name) || *name == "silly"),
        },
    }
}

fn of_options(options: &Map<String, Value>) -> RegistryConfig {
    let text = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_owned);
    let path = |name: &str| text(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let mut config = RegistryConfig {
        realm: text("realm"),
        service: text("service"),
        issuer: text("issuer"),
        bundle: path("rootcertbundle"),
        jwks: path("jwks"),
        ..RegistryConfig::default()
    };
    match options.get("autoredirect") {
        None => {}
        Some(Value::Bool(on)) => config.autoredirect = *on,
        Some(_) => config.stops.extend(
            [Program::Registry28, Program::Registry3]
                .map(|one| (one, "autoredirect is neither true nor false")),
        ),
    }
    if config.autoredirect && options.get("autoredirectpath").is_some_and(|path| !path.is_string()) {
        config.stops.push((Program::Registry3, "autoredirectpath is not a string"));
    }
    if let Some(algorithms) = options.get("signingalgorithms") {
        let list = algorithms.as_array().map(|list| list.iter().map(Value::as_str).collect());
        match list {
            Some(Some(names)) => {
                let names: Vec<&str> = names;
                if !names.iter().all(|name| KNOWN_TO_3.contains(name)) {
                    config
                        .stops
                        .push((Program::Registry3, "signingalgorithms names one that it does not know"));
                }
                config.algorithms = names.into_iter().map(str::to_owned).collect();
            }
            _ => config.stops.push((Program::Registry3, "signingalgorithms is not a list of names")),
        }
    }
    config
}

/// The variables of an env file: `NAME=value` lines, as Docker and systemd read them. An error says what is wrong.
pub fn env_file(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let (mut variables, mut names) = (Vec::new(), HashSet::new());
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let variable = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let (name, value) = variable.ok_or_else(|| format!("its line {number} has no `=`"))?;
        let (name, value) = (name.trim(), value.trim());
        if !names.insert(name) {
            return Err(format!("its line {number} has a name that was there before"));
        }
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        variables.push((name.to_owned(), bare.unwrap_or(value).to_owned()));
    }
    if variables.is_empty() { Err("it holds no variable".to_owned()) } else { Ok(variables) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(yaml: &str, env: &str) -> RegistryConfig {
        let document = Document::parse(Path::new("config.yml"), yaml.to_owned()).unwrap();
        let variables = env_file(format!("# a comment\n\nHOME=/\n{env}").as_bytes()).unwrap();
        RegistryConfig::read(Some(&document), &variables).unwrap()
    }

    #[test]
    fn the_file_is_read_and_the_variables_win() {
        let yaml = "version: 0.1\nhttp: {addr: ':5000'}\nauth:\n  token:\n    realm: http://a/v2/token\n    service: s\n    issuer: i\n    rootcertbundle: /b.pem\n    signingalgorithms: [ES256]\n";
        let config = read(yaml, "");
        assert!(config.gate == Gate::Token && !config.autoredirect);
        assert_eq!(config.service.as_deref(), Some("s"));
        assert_eq!(config.bundle.as_deref(), Some(Path::new("/b.pem")));
        assert_eq!(config.algorithms, ["ES256"]);
        let env = "# a comment\nexport REGISTRY_AUTH_TOKEN_SERVICE=\"t\"\nREGISTRY_AUTH_TOKEN_JWKS=/j\nREGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS=[RS256, 'ES256']\nREGISTRY_AUTH_TOKEN_AUTOREDIRECT=true\nREGISTRY_STORAGE=x\n";
        let config = read(yaml, env);
        assert_eq!(config.service.as_deref(), Some("t"));
        assert_eq!((config.issuer.as_deref(), config.autoredirect), (Some("i"), true));
        assert_eq!(config.algorithms, ["RS256", "ES256"]);
        assert_eq!(config.jwks.as_deref(), Some(Path::new("/j")));
    }

    #[test]
    fn a_file_of_variables_is_taken_whole_or_not_at_all() {
        for (text, problem) in [
            (&b""[..], "it holds no variable"),
            (b"# A=b\n\n", "it holds no variable"),
            (b"A=b\nREGISTRY_AUTH\n", "its line 2 has no `=`"),
            (b"A=b\n#\nexport A=c", "its line 3 has a name that was there before"),
            (b"A=\xff", "it is not UTF-8"),
        ] {
            assert_eq!(env_file(text).unwrap_err(), problem);
        }
    }

    #[test]
    fn what_decides_is_found_as_the_registry_does() {
        let token = "auth: {token: {realm: r}}";
        for (yaml, env, expected) in [
            (token, "", "token"),
            ("version: 0.1", "REGISTRY_HTTP_ADDR=:1", "open"),
            ("auth:", "", "open"),
            ("auth: {}", "", "open"),
            ("auth: none", "", "open"),
            ("auth: token", "", "token"),
            ("auth: {htpasswd: {realm: x}}", "", "other"),
            ("auth: {htpasswd: {}, token: {}}", "", "stops"),
            ("auth: [token]", "", "stops"),
            ("auth: {token: x}", "", "stops"),
            ("auth: {basic: {}}", "", "stops"),
            (token, "REGISTRY_AUTH=", "open"),
            (token, "REGISTRY_AUTH=~", "open"),
            (token, "REGISTRY_AUTH=token", "token"),
            ("version: 0.1", "REGISTRY_AUTH=token", "token"),
            ("version: 0.1", "REGISTRY_AUTH_TOKEN_REALM=x", "token"),
            (token, "REGISTRY_AUTH={htpasswd: {}}", "other"),
            (token, "REGISTRY_AUTH=[", "stops"),
            (token, "REGISTRY_AUTH_FILE=/x", "stops"),
            (token, "REGISTRY_AUTH_FILE=", "chance"),
            (token, "REGISTRY_AUTH_HTPASSWD_REALM=x", "chance"),
            (token, "REGISTRY_AUTH_=", "chance, open"),
            (token, "REGISTRY_AUTHX=none", "token"),
            (token, "REGISTRY_auth=none", "token"),
        ] {
            let found = match read(yaml, env).gate {
                Gate::Token => "token",
                Gate::Open(_) => "open",
                Gate::Other(_) => "other",
                Gate::Stops(_) => "stops",
                Gate::Chance { open: false, .. } => "chance",
                Gate::Chance { open: true, .. } => "chance, open",
            };
            assert_eq!(found, expected, "{yaml} {env}");
        }
    }

    #[test]
    fn an_option_that_is_no_text_is_none() {
        for (value, expected) in [
            ("a", Some("a")),
            ("'5'", Some("5")),
            ("5", None),
            ("on", None),
            ("No", None),
            ("1_000", None),
            ("0777", None),
            ("2020-01-01", Some("2020-01-01")),
            ("a: b", None),
            ("", None),
            ("a # b", Some("a")),
        ] {
            let variables = [("REGISTRY_AUTH_TOKEN_SERVICE".to_owned(), value.to_owned())];
            let config = RegistryConfig::read(None, &variables).unwrap();
            assert_eq!(config.service.as_deref(), expected, "{value}");
        }
    }
}
