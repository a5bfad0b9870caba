//! What `serve` and `check` load: configuration and policy, in the same way.

use crate::cli::error::Error;
use crate::config::{Bind, Config, LoginConfig, ServiceConfig, Warning};
use crate::ground::document::DocumentError;
use crate::ground::net::is_local;
use crate::ground::time::Ttl;
use crate::issuer::Issuer;
use crate::login::Logins;
use crate::policy::{Enforcement, Policy};
use std::path::{Path, PathBuf};

/// Where a policy is looked for when none is named.
pub(crate) const DEFAULT_POLICY: &str = "/etc/keypebble/policy.yaml";

/// The files that most commands take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) config: PathBuf,
    pub(crate) policy: Option<PathBuf>,
}

/// Everything that serving needs.
pub(crate) struct Setup {
    pub(crate) issuer: Issuer,
    pub(crate) enforcement: Enforcement,
    pub(crate) policy_path: Option<PathBuf>,
    pub(crate) logins: Option<Logins>,
    pub(crate) users_path: Option<PathBuf>,
    pub(crate) service: ServiceConfig,
    /// Every file that this came from, and a default one that is not there yet.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) warnings: Vec<Warning>,
}

/// Loads a configuration.
pub(crate) fn config(path: &Path) -> Result<Config, Error> {
    Config::load(path).map_err(|source| Error::Document { what: "configuration", source })
}

/// Loads a policy.
pub(crate) fn policy(path: &Path) -> Result<Policy, Error> {
    Policy::load(path).map_err(policy_error)
}

/// A policy file is wrong.
pub(crate) fn policy_error(source: DocumentError) -> Error {
    Error::Document { what: "policy", source }
}

/// Loads the users file and what belongs to it.
pub(crate) fn logins(config: &LoginConfig, warnings: &mut Vec<Warning>) -> Result<Logins, Error> {
    let loaded = Logins::load(config);
    let (logins, more) = loaded.map_err(|source| Error::Document { what: "users file", source })?;
    warnings.extend(more);
    Ok(logins)
}

/// Passwords come over plain http: fine on this host, not on a network.
pub(crate) fn in_the_clear(bind: &Bind) -> Option<Warning> {
    let host = match bind {
        Bind::Unix(_) => return None,
        Bind::Tcp(host, _) => host,
    };
    (!is_local(host)).then(|| {
        Warning::new(
            format!("passwords come in over plain http on {host}: whoever sees the network sees them"),
            "put TLS in front: a proxy on this host, and `host: 127.0.0.1` or `host: unix:/PATH` under `service`",
        )
    })
}

/// Loads both, and decides what is enforced.
pub(crate) fn load(files: &Files) -> Result<Setup, Error> {
    let mut config = config(&files.config)?;
    let mut warnings = std::mem::take(&mut config.warnings);
    let (enforcement, policy_path) = enforcement(files, config.policy_off, &mut warnings)?;
    let service = config.service.clone();
    let mut watched = vec![files.config.clone()];
    if !config.policy_off {
        watched.push(files.policy.clone().unwrap_or_else(|| DEFAULT_POLICY.into()));
    }
    watched.append(&mut config.watched);
    let login_config = config.logins.take();
    let logins = login_config.as_ref().map(|login_config| logins(login_config, &mut warnings)).transpose()?;
    warnings.extend(service.open_to_strangers());
    if logins.is_some() {
        warnings.extend(in_the_clear(&service.bind));
        warnings.extend(service.shares_one_address(&config.audience));
    }
    let users_path = login_config.map(|login_config| login_config.users_file);
    let issuer = config.into_issuer();
    if issuer.lifetimes().default < Ttl::REGISTRY_MIN {
        warnings.push(Warning::new(
            format!(
                "default_ttl_seconds is {}, but a registry's token lives at least {}: clients take less as that",
                issuer.lifetimes().default,
                Ttl::REGISTRY_MIN
            ),
            "set default_ttl_seconds to 60 or more",
        ));
    }
    Ok(Setup { issuer, enforcement, policy_path, logins, users_path, service, files: watched, warnings })
}

pub(crate) fn enforcement(
    files: &Files,
    off: bool,
    warnings: &mut Vec<Warning>,
) -> Result<(Enforcement, Option<PathBuf>), Error> {
    if off {
        if let Some(path) = &files.policy {
            return Err(Error::Usage {
                message: format!(
                    "--policy {} contradicts `policy: none` in the configuration",
                    path.display()
                ),
                hint: Some("leave one of them out".to_owned()),
            });
        }
        warnings.push(Warning::new(
            "`policy: none`: every authenticated user gets whatever is asked",
            "name a policy with --policy PATH to enforce one",
        ));
        return Ok((Enforcement::Off, None));
    }
    let path = match &files.policy {
        Some(path) => path.clone(),
        None if Path::new(DEFAULT_POLICY).exists() => DEFAULT_POLICY.into(),
        None => {
            warnings.push(Warning::new(
                format!("there is no policy ({DEFAULT_POLICY} does not exist), so no access is granted"),
                "name one with --policy PATH, or set `policy: none` in the configuration to grant all that is asked",
            ));
            return Ok((Enforcement::Nothing, None));
        }
    };
    let policy = policy(&path)?;
    if policy.user_count() == 0 && !policy.has_anonymous() {
        warnings.push(Warning::new(
            format!("{} names no user, so no access is granted", path.display()),
            "add `users:`",
        ));
    }
    Ok((Enforcement::Policy(policy), Some(path)))
}
