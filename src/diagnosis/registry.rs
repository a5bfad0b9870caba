//! A registry's own configuration, as far as it speaks of tokens.
//!
//! Owns `auth.token` of distribution's config.yml and the `REGISTRY_AUTH_TOKEN_*` variables over it. Must
//! not know Keypebble's configuration. Decision: read leniently, as the registry reads it: what else its
//! file holds is none of our business.

use crate::ground::document::{Document, DocumentError, Node};
use std::path::PathBuf;

/// What a registry is told about tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Whether it asks for tokens at all.
    pub has_token_auth: bool,
    /// `realm`: where clients are sent for a token.
    pub realm: Option<String>,
    /// `service`: what `aud` must be.
    pub service: Option<String>,
    /// `issuer`: what `iss` must be.
    pub issuer: Option<String>,
    /// `rootcertbundle`
    pub bundle: Option<PathBuf>,
    /// `jwks` (3.x)
    pub jwks: Option<PathBuf>,
    /// `signingalgorithms` (3.x); empty means all.
    pub algorithms: Vec<String>,
    /// `autoredirect`: the realm is the registry's own host, and `realm` counts for nothing.
    pub autoredirect: bool,
    /// A variable that is meant for skopeo and stops a registry, which reads it as configuration.
    pub has_auth_file: bool,
}

const VARIABLE: &str = "REGISTRY_AUTH_TOKEN_";

impl RegistryConfig {
    /// Reads the file, where there is one, and the variables over it.
    pub fn read(
        document: Option<&Document>,
        variables: &[(String, String)],
    ) -> Result<RegistryConfig, DocumentError> {
        let mut config = match document {
            Some(document) => RegistryConfig::of_file(&document.root())?,
            None => RegistryConfig::default(),
        };
        for (name, value) in variables {
            let kind = name.eq_ignore_ascii_case("REGISTRY_AUTH") && value == "token";
            config.has_token_auth |= kind;
            config.has_auth_file |= name == "REGISTRY_AUTH_FILE";
            let Some(member) = name.strip_prefix(VARIABLE) else { continue };
            config.has_token_auth = true;
            config.set(&member.to_ascii_lowercase(), value.trim());
        }
        Ok(config)
    }

    fn of_file(root: &Node<'_>) -> Result<RegistryConfig, DocumentError> {
        let mut config = RegistryConfig::default();
        let Some(auth) = root.get("auth") else { return Ok(config) };
        let Some(token) = auth.get("token") else { return Ok(config) };
        config.has_token_auth = true;
        if token.is_null() {
            return Ok(config);
        }
        for (name, value) in token.entries()? {
            match name {
                "realm" | "service" | "issuer" | "rootcertbundle" | "jwks" => {
                    config.set(name, value.string_or_empty()?);
                }
                "autoredirect" => config.autoredirect = value.boolean()?,
                "signingalgorithms" => {
                    let names = value.items()?.map(|item| item.string().map(str::to_owned));
                    config.algorithms = names.collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) {
        let text = Some(value.to_owned()).filter(|text| !text.is_empty());
        match name {
            "realm" => self.realm = text,
            "service" => self.service = text,
            "issuer" => self.issuer = text,
            "rootcertbundle" => self.bundle = text.map(PathBuf::from),
            "jwks" => self.jwks = text.map(PathBuf::from),
            "autoredirect" => self.autoredirect = value.eq_ignore_ascii_case("true"),
            "signingalgorithms" => {
                let names = value
                    .trim_matches(['[', ']'])
                    .split(',')
                    .map(|name| name.trim().trim_matches(['"', '\'']));
                self.algorithms = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
            }
            _ => {}
        }
    }
}

/// The variables of an env file: `NAME=value` lines, as Docker and systemd read them.
pub fn env_file(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        (!name.starts_with('#')).then(|| (name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(yaml: &str, env: &str) -> Result<RegistryConfig, DocumentError> {
        let document = Document::parse(Path::new("config.yml"), yaml.to_owned())?;
        RegistryConfig::read(Some(&document), &env_file(env))
    }

    #[test]
    fn the_file_is_read_and_the_variables_win() {
        let yaml = "version: 0.1\nhttp: {addr: ':5000'}\nauth:\n  token:\n    realm: http://a/v2/token\n    service: s\n    issuer: i\n    rootcertbundle: /b.pem\n    signingalgorithms: [ES256]\n";
        let config = read(yaml, "").unwrap();
        assert!(config.has_token_auth && !config.autoredirect);
        assert_eq!(config.service.as_deref(), Some("s"));
        assert_eq!(config.bundle.as_deref(), Some(Path::new("/b.pem")));
        assert_eq!(config.algorithms, ["ES256"]);
        let env = "# a comment\nexport REGISTRY_AUTH_TOKEN_SERVICE=\"t\"\nREGISTRY_AUTH_TOKEN_JWKS=/j\nREGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS=[RS256, 'ES256']\nREGISTRY_AUTH_TOKEN_AUTOREDIRECT=true\nREGISTRY_STORAGE=x\n";
        let config = read(yaml, env).unwrap();
        assert_eq!(config.service.as_deref(), Some("t"));
        assert_eq!((config.issuer.as_deref(), config.autoredirect), (Some("i"), true));
        assert_eq!(config.algorithms, ["RS256", "ES256"]);
        assert_eq!(config.jwks.as_deref(), Some(Path::new("/j")));
    }

    #[test]
    fn without_token_auth_it_says_so_and_what_is_wrong_has_a_place() {
        assert!(!read("auth: {htpasswd: {realm: x}}", "").unwrap().has_token_auth);
        assert!(!read("version: 0.1", "REGISTRY_HTTP_ADDR=:1").unwrap().has_token_auth);
        assert!(read("version: 0.1", "REGISTRY_AUTH=token").unwrap().has_token_auth);
        assert!(read("version: 0.1", "REGISTRY_AUTH_FILE=/x").unwrap().has_auth_file);
        let error = read("auth:\n  token:\n    service: [a]\n", "").unwrap_err().to_string();
        assert!(error.contains("config.yml:3:14: auth.token.service: expected a string"), "{error}");
    }
}
