//! What `serve` and `check` load: configuration, policy and users, in the same way.

use super::LoadError;
use crate::config::{Bind, Config, ServiceConfig};
use crate::ground::file::Files;
use crate::ground::net::is_local;
use crate::ground::time::Ttl;
use crate::http::State;
use crate::login::{LoginConfig, Logins};
use crate::policy::{Enforcement, Policy};
use crate::store::config::StoreConfig;
use std::path::{Path, PathBuf};

/// Where a policy is looked for when none is named.
const DEFAULT_POLICY: &str = "/etc/keypebble/policy.yaml";

/// The files that most commands take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) config: PathBuf,
    pub(crate) policy: Option<PathBuf>,
}

/// Everything that serving needs.
pub(crate) struct Loaded {
    /// What the service answers from.
    pub(crate) state: State,
    /// The configuration's `service`, of which some cannot change while running.
    pub(crate) service: ServiceConfig,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) users: Option<PathBuf>,
    /// What is to remember tokens; not opened yet.
    pub(crate) store: Option<StoreConfig>,
}

/// Loads a configuration.
pub(crate) fn config(path: &Path, files: &mut Files) -> Result<Config, LoadError> {
    Config::load(path, files).map_err(LoadError::of("configuration"))
}

/// Loads a policy.
pub(crate) fn policy(path: &Path, files: &mut Files) -> Result<Policy, LoadError> {
    Policy::load(path, files).map_err(LoadError::of("policy"))
}

/// Loads the users file and what belongs to it.
pub(crate) fn logins(config: &LoginConfig, bind: &Bind, files: &mut Files) -> Result<Logins, LoadError> {
    let logins = Logins::load(config, files).map_err(LoadError::of("users file"))?;
    // Passwords come over plain http: fine on this host, not on a network.
    if let Bind::Tcp(host, _) = bind
        && !is_local(host)
    {
        files.warn(
            format!("passwords come in over plain http on {host}: anybody who sees the network sees them"),
            "put TLS in front: a proxy on this host, and `host: 127.0.0.1` or `host: unix:/PATH` under `service`",
        );
    }
    Ok(logins)
}

/// Loads all of it. `files` has what was read, or looked for, also where that fails.
pub(crate) fn load(paths: &Paths, files: &mut Files) -> Result<Loaded, LoadError> {
    let mut config = config(&paths.config, files)?;
    let service = config.service.clone();
    let (enforcement, policy) = enforcement(paths, config.policy_off, files)?;
    warn_of(&enforcement, policy.as_deref(), files);
    let (login_config, store) = (config.logins.take(), config.store.take());
    let clients = std::mem::take(&mut config.clients);
    let load = |config: &LoginConfig| logins(config, &service.bind, files);
    let logins = login_config.as_ref().map(load).transpose()?;
    let shared = logins.as_ref().and_then(|_| service.shares_one_address(&config.audience));
    for warning in service.open_to_strangers().into_iter().chain(shared) {
        files.add(warning);
    }
    let issuer = config.into_issuer();
    if issuer.lifetimes().default < Ttl::REGISTRY_MIN {
        files.warn(
            format!(
                "default_ttl_seconds is {}, but a registry's token lives at least {}: clients round anything shorter up to that",
                issuer.lifetimes().default,
                Ttl::REGISTRY_MIN
            ),
            "set default_ttl_seconds to 60 or more",
        );
    }
    let state = State::new(issuer, enforcement, logins, clients, &service);
    Ok(Loaded { state, service, policy, users: login_config.map(|config| config.users_file), store })
}

/// What is enforced, and the file that says so.
pub(crate) fn enforcement(
    paths: &Paths,
    off: bool,
    files: &mut Files,
) -> Result<(Enforcement, Option<PathBuf>), LoadError> {
    let path = match &paths.policy {
        Some(path) if off => {
            return Err(LoadError::Contradiction(format!(
                "--policy {} contradicts `policy: none` in the configuration",
                path.display()
            )));
        }
        None if off => return Ok((Enforcement::Off, None)),
        Some(path) => path.as_path(),
        None => Path::new(DEFAULT_POLICY),
    };
    files.note(path);
    if paths.policy.is_none() && !path.exists() {
        return Ok((Enforcement::Nothing, None));
    }
    Ok((Enforcement::Policy(policy(path, files)?), Some(path.to_owned())))
}

/// Warns of an enforcement that is none, or grants nothing.
fn warn_of(enforcement: &Enforcement, path: Option<&Path>, files: &mut Files) {
    match (enforcement, path) {
        (Enforcement::Off, _) => files.warn(
            "`policy: none`: every authenticated user gets whatever is asked",
            "name a policy with --policy PATH to enforce one",
        ),
        (Enforcement::Policy(policy), Some(path)) if policy.user_count() == 0 && !policy.has_anonymous() => {
            files.warn(format!("{} names no user, so no access is granted", path.display()), "add `users:`");
        }
        (Enforcement::Policy(_), _) => {}
        (Enforcement::Nothing, _) => files.warn(
            format!("there is no policy ({DEFAULT_POLICY} does not exist), so no access is granted"),
            "name one with --policy PATH, or set `policy: none` in the configuration to grant everything that is asked",
        ),
    }
}
