//! `keypebble doctor`: what is wrong between this issuer and a registry.
//!
//! Loads, asks and prints; what is looked for stands in `crate::diagnosis::doctor`. Decision: a file that does not
//! load is a finding like any other, so that one mistake does not hide the next.

#[cfg(feature = "tls")]
mod ask;
#[cfg(feature = "tls")]
mod client;

use super::args::{Arguments, Spec, usage};
use super::key_file::file;
use super::print;
#[cfg(feature = "tls")]
use super::progress;
use crate::cli::error::{Error, Exit};
use crate::config::{Config, ServiceConfig};
use crate::diagnosis::doctor;
use crate::diagnosis::registry::{RegistryConfig, env_file};
use crate::diagnosis::verdict::{Program, Trust};
use crate::ground::diagnostic::{Diagnostic, Level, ascii_json, worst};
use crate::ground::document::Document;
use crate::ground::file::Files;
#[cfg(feature = "tls")]
use crate::ground::text::quoted;
use crate::ground::text::sentence;
use crate::ground::time::UnixTime;
use crate::load::LoadError;
use crate::load::accounts::strangers;
use crate::load::setup::{self, Paths};
use crate::login::{LoginConfig, Logins};
use crate::policy::Enforcement;
use crate::store;
use crate::store::config::StoreConfig;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "doctor", operands: 0, help: include_str!("help/doctor.txt"), run };

/// What is to be looked at.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "`read` refuses --url and --ca"))]
struct Doctor {
    files: Paths,
    registry_config: Option<PathBuf>,
    registry_env: Option<PathBuf>,
    bundle: Option<PathBuf>,
    jwks: Option<PathBuf>,
    program: Option<Program>,
    url: Option<String>,
    ca: Option<PathBuf>,
    json: bool,
}

/// What a build that cannot ask says.
const NOT_ENABLED: [&str; 2] = [
    "--url: this build is without the feature `tls`",
    "build with `cargo build --release --features tls`, or ask without it: curl -i URL/v2/",
];

/// What is wrong with variables for zot.
const NO_VARIABLES: &str = "--registry-env is for distribution: zot reads no variables";

fn read(mut arguments: Arguments) -> Result<Doctor, Error> {
    let (url, ca) = (arguments.name("url")?, arguments.path("ca")?);
    if url.is_some() && !cfg!(feature = "tls") {
        return Err(Error::not_enabled(NOT_ENABLED));
    }
    if ca.is_some() && url.is_none() {
        return Err(usage("--ca is for --url"));
    }
    let (program, registry_env) = (arguments.parsed("for")?, arguments.path("registry-env")?);
    if program == Some(Program::Zot) && registry_env.is_some() {
        return Err(usage(NO_VARIABLES));
    }
    Ok(Doctor {
        files: arguments.files()?,
        registry_config: arguments.path("registry-config")?,
        registry_env,
        bundle: arguments.path("rootcertbundle")?,
        jwks: arguments.path("jwks")?,
        program,
        url,
        ca,
        json: arguments.switch("json"),
    })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let now = UnixTime::now();
    let mut findings = Vec::new();
    let mut files = Files::default();
    let config = setup::config(&command.files.config, &mut files).map_err(Error::Load);
    let config = take(config, "config", &mut findings);
    let registry = take(registry(command), "registry", &mut findings).flatten();
    let programs = match (command.program, &registry) {
        (Some(program), _) => vec![program],
        (None, Some(registry)) => doctor::programs(registry),
        (None, None) => Vec::new(),
    };
    if let Some(config) = &config {
        findings.extend(doctor::issuer(config, now));
        findings.extend(warnings("config", &files));
        let (users, said) = users(config);
        findings.extend(said);
        findings.extend(policy(command, config, users.as_ref()));
        findings.extend(config.store.as_ref().map(memory));
        findings.extend(match &registry {
            Some(registry) => doctor::registry(config, registry, &programs),
            None if findings.iter().any(|finding| finding.code == "registry") => Vec::new(), // it did not load
            None => vec![
                Diagnostic::ok(
                    "registry",
                    "no registry configuration was given, so nothing was compared with one",
                )
                .hint("--registry-config FILE, or --registry-env FILE"),
            ],
        });
    }
    let own = config.map(|config| {
        let services: Vec<String> = config.services().map(str::to_owned).collect();
        (services, listens(&config.service), config.into_issuer())
    });
    if let (Some((services, _, issuer)), Some(registry)) = (&own, &registry) {
        let (trust, complaints) = trusted(registry, command.registry_config.as_deref());
        let told = !complaints.is_empty();
        findings.extend(complaints);
        if registry.may_ask_for_tokens() && !told && (registry.bundle.is_some() || registry.jwks.is_some()) {
            findings.extend(doctor::ring(issuer.keyring(), &trust, registry));
            findings.extend(doctor::self_check(issuer, services, registry, &trust, &programs, now));
        }
    }
    #[cfg(feature = "tls")]
    if let Some(url) = &command.url {
        let checks = findings.iter().filter(|finding| finding.code == "self-check");
        let files = checks.map(|finding| finding.level).min();
        let own =
            own.as_ref().map(|(services, listens, issuer)| ask::Own { issuer, services, listens, files });
        let ask = || ask::ask(url, command.ca.as_deref(), own);
        findings.extend(progress::during(&format!("waiting for {}", quoted("", url)), ask));
    }
    // A registry that lets anybody in comes first.
    findings.sort_by_key(|finding| finding.code != "open");
    answer(&findings, command.json)
}

/// Where `serve` listens, and for what.
fn listens(service: &ServiceConfig) -> String {
    let tls = if service.tls.is_some() { ", with TLS" } else { "" };
    format!("this configuration listens on {}{tls}", service.bind)
}

/// The store, if it can be used.
fn memory(config: &StoreConfig) -> Diagnostic {
    match store::check(config) {
        Ok(report) => Diagnostic::ok("store", format!("{}: {report}", config.place)),
        Err(fault) => Diagnostic::error("store", fault.to_string())
            .why(if config.required {
                "no token is given out without it"
            } else {
                "nothing is recorded, and no refresh token is taken"
            })
            .hint(fault.hint.unwrap_or_default()),
    }
}

/// What loaded, or a finding in its place.
fn take<T>(loaded: Result<T, Error>, code: &'static str, findings: &mut Vec<Diagnostic>) -> Option<T> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            findings.push(complaint(code, &error));
            None
        }
    }
}

/// An error with all its causes as a finding.
fn complaint(code: &'static str, error: &Error) -> Diagnostic {
    Diagnostic::error(code, sentence(error)).hint(error.hint().unwrap_or_default())
}

/// Who checks passwords, and whether the users file loads.
fn users(config: &Config) -> (Option<Logins>, Vec<Diagnostic>) {
    let Some(logins) = &config.logins else {
        let what = "no users_file: a proxy checks passwords and names the user";
        return (None, vec![Diagnostic::ok("users", what)]);
    };
    let (mut files, mut findings) = (Files::default(), Vec::new());
    let loaded = setup::logins(logins, &config.service, &mut files).map_err(Error::Load);
    let loaded = take(loaded, "users", &mut findings);
    findings.extend(loaded.as_ref().map(|logins| {
        Diagnostic::ok("users", format!("passwords are checked here: {} user(s)", logins.users.count()))
    }));
    findings.extend(warnings("users", &files));
    (loaded, findings)
}

/// The warnings from reading these files.
fn warnings(code: &'static str, files: &Files) -> impl Iterator<Item = Diagnostic> {
    files.warnings().iter().cloned().map(move |warning| Diagnostic { code, ..warning })
}

fn policy(command: &Doctor, config: &Config, logins: Option<&Logins>) -> Vec<Diagnostic> {
    let mut files = Files::default();
    match setup::enforcement(&command.files, config, &mut files) {
        Ok((enforcement, path)) => {
            let place = path.map(|path| path.display().to_string()).unwrap_or_default();
            let mut findings = vec![doctor::policy(&enforcement, &place)];
            findings.extend(warnings("policy", &files));
            if let Enforcement::Policy(policy) = &enforcement {
                findings.extend(policy.findings(|ttl| config.lifetimes.of_rule(ttl)));
                // Users who are in the users file or in the policy alone.
                if let (Some(logins), Some(LoginConfig { users_file, .. })) = (logins, &config.logins) {
                    let proxies = !config.service.trusted_proxies.is_empty();
                    findings.extend(strangers((&logins.users, users_file), policy, proxies));
                }
            }
            findings
        }
        Err(error) => vec![complaint("policy", &error.into())],
    }
}

/// The registry's side; `None` if nothing of it was given.
fn registry(command: &Doctor) -> Result<Option<RegistryConfig>, Error> {
    let wrong = LoadError::of("the registry's configuration");
    let load = |path: &PathBuf| Document::load(path, &mut Files::default());
    let document = command.registry_config.as_ref().map(load).transpose().map_err(&wrong)?;
    let is_zots = document.as_ref().is_some_and(RegistryConfig::is_zots);
    if is_zots && command.program.is_some_and(|program| program != Program::Zot) {
        return Err(usage("--for names distribution, and the file of --registry-config is zot's"));
    }
    let zots = is_zots || command.program == Some(Program::Zot);
    let variables = match &command.registry_env {
        Some(_) if zots => return Err(usage(NO_VARIABLES)),
        None if zots => Vec::new(),
        Some(path) => env_file(&file(path)?).map_err(|problem| {
            Error::said(Exit::Rejected, format!("cannot use {}: {problem}", path.display()))
                .with_hint("one NAME=value a line, such as REGISTRY_AUTH_TOKEN_SERVICE=registry.example.com")
        })?,
        None => own_variables()?,
    };
    if document.is_none() && variables.is_empty() {
        return match command.bundle.as_ref().or(command.jwks.as_ref()) {
            None => Ok(None),
            Some(_) => {
                Err(usage("--rootcertbundle and --jwks are a registry's, and its configuration is missing")
                    .with_hint("add --registry-config FILE, or --registry-env FILE"))
            }
        };
    }
    let read = match &document {
        Some(document) if zots => RegistryConfig::of_zot(document),
        _ => RegistryConfig::read(document.as_ref(), &variables),
    };
    let read = read.map_err(&wrong)?;
    // What the command line names is where its files are on this host.
    Ok(Some(RegistryConfig {
        bundle: command.bundle.clone().or(read.bundle),
        jwks: command.jwks.clone().or(read.jwks),
        ..read
    }))
}

/// The variables of this process that are the registry's: `REGISTRY_AUTH_FILE` is skopeo's.
fn own_variables() -> Result<Vec<(String, String)>, Error> {
    let names = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let auth = names.filter(|(name, _)| name.starts_with("REGISTRY_AUTH") && name != "REGISTRY_AUTH_FILE");
    auth.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(usage(format!("{name} is not UTF-8"))),
    })
    .collect()
}

/// What it trusts. A path that does not exist here is looked for beside its configuration, too.
fn trusted(registry: &RegistryConfig, config: Option<&Path>) -> (Trust, Vec<Diagnostic>) {
    let folder = config.and_then(Path::parent).unwrap_or(Path::new(""));
    let (mut trust, mut findings) = (Trust::default(), Vec::new());
    for (path, flag, with) in [
        (&registry.bundle, "--rootcertbundle FILE", Trust::with_bundle as fn(Trust, &[u8]) -> Trust),
        (&registry.jwks, "--jwks FILE", Trust::with_jwks),
    ] {
        let Some(path) = path else { continue };
        let path = if path.exists() { path.clone() } else { folder.join(path) };
        match file(&path) {
            Ok(bytes) => trust = with(trust, &bytes),
            Err(error) => findings.push(complaint("trust", &error).hint(format!(
                "if the registry's path is not a path on this host, give the file with {flag}"
            ))),
        }
    }
    (trust, findings)
}

fn answer(findings: &[Diagnostic], json: bool) -> Result<(), Error> {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings, unknown) = (count(Level::Error), count(Level::Warning), count(Level::Unknown));
    let healthy = worst(findings) != Level::Error;
    if json {
        let list: Vec<Value> = findings.iter().map(Diagnostic::json).collect();
        print(&ascii_json(&json!({ "healthy": healthy, "findings": list })))?;
    } else {
        let text: String = findings.iter().map(Diagnostic::text).collect();
        print(&format!("{text}{errors} error(s), {warnings} warning(s), {unknown} unknown\n"))?;
    }
    if healthy { Ok(()) } else { Err(Error::Negative) }
}
