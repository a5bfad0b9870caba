//! What `serve` and `check` load: configuration, policy and users, in the same way.

use super::LoadError;
use crate::config::{Bind, Config, ServiceConfig, Terms};
use crate::ground::file::Files;
use crate::ground::net::{host_of, is_local};
use crate::ground::time::UnixTime;
use crate::http::State;
use crate::login::{LoginConfig, Logins};
use crate::policy::{Enforcement, Policy};
use crate::store::config::StoreConfig;
use crate::tls::Identity;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The configuration where none is named.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/keypebble/config.yaml";

/// Where a policy is looked for when none is named.
const DEFAULT_POLICY: &str = "/etc/keypebble/policy.yaml";

/// The files that most commands take, and what a flag puts in place of what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) config: PathBuf,
    pub(crate) policy: Option<PathBuf>,
    /// Where to listen, instead of the configuration's `service.host` and `service.port`.
    pub(crate) listen: Option<Bind>,
}

/// Everything that serving needs.
pub(crate) struct Loaded {
    /// What the service answers from.
    pub(crate) state: State,
    /// The configuration's `service`, of which some cannot change while running.
    pub(crate) service: ServiceConfig,
    /// The server's certificate and key, where it speaks TLS.
    pub(crate) tls: Option<Identity>,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) users: Option<PathBuf>,
    /// What is to remember tokens; not opened yet.
    pub(crate) store: Option<StoreConfig>,
}

/// Loads a configuration.
pub(crate) fn config(path: &Path, files: &mut Files) -> Result<Config, LoadError> {
    Config::load(path, files).map_err(LoadError::of("configuration"))
}

/// Loads what a configuration says of names, lives and the policy.
pub(crate) fn terms(path: &Path, files: &mut Files) -> Result<Terms, LoadError> {
    Terms::load(path, files).map_err(LoadError::of("configuration"))
}

/// Loads a policy.
pub(crate) fn policy(path: &Path, files: &mut Files) -> Result<Policy, LoadError> {
    Policy::load(path, files).map_err(LoadError::of("policy"))
}

/// Loads the users file and what belongs to it.
pub(crate) fn logins(
    config: &LoginConfig,
    service: &ServiceConfig,
    files: &mut Files,
) -> Result<Logins, LoadError> {
    let logins = Logins::load(config, files).map_err(LoadError::of("users file"))?;
    warn_of_plain_http(service, "passwords", files);
    Ok(logins)
}

/// Warns where secrets come over plain http: fine on this host, not on a network.
fn warn_of_plain_http(service: &ServiceConfig, what: &str, files: &mut Files) {
    if let Some(host) = service.open_address().filter(|_| service.tls.is_none()) {
        files.warn(
            format!("{what} come in over plain http on {host}: anybody who sees the network sees them"),
            "set `tls` under `service`; or put TLS in front: a proxy on this host, and `host: 127.0.0.1` or \
             `host: unix:/PATH` under `service`",
        );
    }
}

/// Loads the server's certificate and key, where it speaks TLS.
fn tls(config: &Config, service: &ServiceConfig, files: &mut Files) -> Result<Option<Identity>, LoadError> {
    let Some(paths) = &service.tls else { return Ok(None) };
    // Under these clients come: the realm's host is most often the issuer's.
    let issuer = config.issuer.strip_prefix("https://").and_then(|rest| host_of(rest.split('/').next()?));
    let listens = match &service.bind {
        Bind::Tcp(host, _) if host.parse::<IpAddr>().is_err() && !is_local(host) => host_of(host),
        _ => None,
    };
    let mut names: Vec<String> = service.hosts.clone();
    names.extend(issuer.into_iter().chain(listens).map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    Identity::load(paths, &names, UnixTime::now(), files).map(Some).map_err(LoadError::Tls)
}

/// Loads all of it. `files` has what was read, or looked for, also where that fails.
pub(crate) fn load(paths: &Paths, files: &mut Files) -> Result<Loaded, LoadError> {
    let mut config = config(&paths.config, files)?;
    let mut service = config.service.clone();
    if let Some(listen) = &paths.listen {
        if service.tls.is_some() && matches!(listen, Bind::Unix(_)) {
            return Err(LoadError::Contradiction(format!(
                "--listen {listen} contradicts `tls` in the configuration: a Unix socket needs none"
            )));
        }
        service.bind = listen.clone();
    }
    let (enforcement, policy) = enforcement(paths, &config, files)?;
    warn_of(&enforcement, policy.as_deref(), files);
    let (login_config, store) = (config.logins.take(), config.store.take());
    let clients = std::mem::take(&mut config.clients);
    let tls = tls(&config, &service, files)?;
    let load = |config: &LoginConfig| logins(config, &service, files);
    let logins = login_config.as_ref().map(load).transpose()?;
    if logins.is_none() && clients.count() > 0 {
        warn_of_plain_http(&service, "the secrets of `clients`", files);
    }
    let shared = logins.as_ref().and_then(|_| service.shares_one_address(&config.audience));
    for warning in service.open_to_strangers().into_iter().chain(shared) {
        files.add(warning);
    }
    let profiles = std::mem::take(&mut config.profiles);
    if let Some(host) = service.open_address().filter(|_| config.keyring.active().weakness().is_some()) {
        files.warn(
            format!(
                "{host} is open to the network and the secret is short: whoever gets one token can find the \
                 secret by trying, and then sign any token"
            ),
            "make one with: openssl rand -base64 48; or listen on this host alone: `host: 127.0.0.1` under `service`",
        );
    }
    config.short_life().into_iter().for_each(|warning| files.add(warning));
    let issuer = config.into_issuer();
    let state = State::new(issuer, enforcement, logins, clients, profiles, &service);
    let users = login_config.map(|config| config.users_file);
    Ok(Loaded { state, service, tls, policy, users, store })
}

/// What is enforced, and the file that says so.
pub(crate) fn enforcement(
    paths: &Paths,
    config: &Config,
    files: &mut Files,
) -> Result<(Enforcement, Option<PathBuf>), LoadError> {
    if config.policy_off {
        refuse_policy(paths.policy.as_deref())?;
        return Ok((Enforcement::Off, None));
    }
    let named = paths.policy.as_ref().or(config.policy_file.as_ref());
    let Some(path) = named.cloned().or_else(|| default_policy(files)) else {
        return Ok((Enforcement::Nothing, None));
    };
    Ok((Enforcement::Policy(policy(&path, files)?), Some(path)))
}

/// Where the configuration says `policy: none`, no flag can name one.
pub(crate) fn refuse_policy(flag: Option<&Path>) -> Result<(), LoadError> {
    flag.map_or(Ok(()), |path| {
        Err(LoadError::Contradiction(format!(
            "--policy {} contradicts `policy: none` in the configuration",
            path.display()
        )))
    })
}

/// The policy that nothing names, if it exists.
pub(crate) fn default_policy(files: &mut Files) -> Option<PathBuf> {
    let path = Path::new(DEFAULT_POLICY);
    files.note(path);
    path.exists().then(|| path.to_owned())
}

/// Warns of an enforcement that is none, or grants nothing.
fn warn_of(enforcement: &Enforcement, path: Option<&Path>, files: &mut Files) {
    match (enforcement, path) {
        (Enforcement::Off, _) => files.warn(
            "`policy: none`: every authenticated user gets whatever is asked",
            "name a policy with `policy_file` instead to enforce one",
        ),
        (Enforcement::Policy(policy), Some(path)) if policy.user_count() == 0 && !policy.has_anonymous() => {
            files.warn(format!("{} names no user, so no access is granted", path.display()), "add `users:`");
        }
        (Enforcement::Policy(_), _) => {}
        (Enforcement::Nothing, _) => files.warn(
            format!("there is no policy ({DEFAULT_POLICY} does not exist), so no access is granted"),
            "name one with `policy_file` in the configuration or with --policy PATH, or set `policy: none` to grant everything that is asked",
        ),
    }
}
