//! The configuration file, read into types that cannot be wrong.
//!
//! Owns every key that the file may hold, their defaults and how they exclude each other. Must not know
//! requests or the command line. Decision: keys are loaded here too, so that a bad one is reported at
//! the line that names it.

mod clients;
mod key;
mod logins;
mod profiles;
mod ring;
mod sealing;
mod service;
mod store;
mod tls;

pub use crate::ground::net::Bind;
pub use profiles::Profiles;
pub use sealing::{FernetFolder, Sealing};
pub use service::{LogFormat, ServiceConfig, services, shared_address};

use crate::claims::{self, ClaimFilter, ISSUER_CLAIMS};
use crate::ground::diagnostic::Diagnostic;
use crate::ground::document::{Document, DocumentError, MAX_FILE_BYTES, Node};
use crate::ground::file::Files;
use crate::ground::input;
use crate::ground::time::{Lifetimes, Ttl};
use crate::issuer::Issuer;
use crate::key::keyring::Keyring;
use crate::login::LoginConfig;
use crate::login::clients::Clients;
use crate::store::config::StoreConfig;
use serde_json::Map;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Everything that a configuration file says.
#[derive(Debug)]
pub struct Config {
    /// `issuer`: the `iss` of every token.
    pub issuer: String,
    /// `audience`: the `aud` of a token that asks for no other.
    pub audience: String,
    /// `default_ttl_seconds` and `max_ttl_seconds`
    pub lifetimes: Lifetimes,
    /// The keys.
    pub keyring: Keyring,
    /// `token_format` and what belongs to it.
    pub sealing: Sealing,
    /// `allowed_custom_claims` and `static_claims`
    pub filter: ClaimFilter,
    /// `profiles` and `claim_mapping`
    pub profiles: Profiles,
    /// `policy: none`
    pub policy_off: bool,
    /// `policy_file`
    pub policy_file: Option<PathBuf>,
    /// `users_file` and what belongs to it; `None` where no password is checked here.
    pub logins: Option<LoginConfig>,
    /// `clients`: who may ask about tokens, or end them.
    pub clients: Clients,
    /// `store` and what belongs to it; `None` where nothing is remembered.
    pub store: Option<StoreConfig>,
    /// `service`
    pub service: ServiceConfig,
}

/// What a configuration says of names, lives and the policy: all that a policy can be judged by, without any key.
#[derive(Debug)]
pub struct Terms {
    /// `issuer`
    pub issuer: String,
    /// `audience`
    pub audience: String,
    /// `default_ttl_seconds` and `max_ttl_seconds`
    pub lifetimes: Lifetimes,
    /// `policy: none`
    pub policy_off: bool,
    /// `policy_file`
    pub policy_file: Option<PathBuf>,
}

/// The keys of the file beside those that name a signing key.
const KEYS: [&str; 9] = [
    "issuer",
    "audience",
    "default_ttl_seconds",
    "max_ttl_seconds",
    "static_claims",
    "allowed_custom_claims",
    "policy",
    "policy_file",
    "service",
];

impl Config {
    /// Every audience that a registry's token may be for.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        services(&self.audience, &self.service.allowed_services)
    }

    /// Warns where tokens would live for less than clients of registries can use.
    pub fn short_life(&self) -> Option<Diagnostic> {
        let (default, least) = (self.lifetimes.default, Ttl::REGISTRY_MIN);
        let what = format!(
            "default_ttl_seconds is {default}, but a registry's token lives at least {least}: clients round \
             anything shorter up to that"
        );
        (default < least).then(|| Diagnostic::advice("ttl", what, "set default_ttl_seconds to 60 or more"))
    }

    /// The issuer that it describes.
    pub fn into_issuer(self) -> Issuer {
        let Sealing { typ, .. } = self.sealing;
        let (format, openers) = (self.sealing.sealer(&self.keyring), self.sealing.openers());
        Issuer::new(self.issuer, self.audience, self.lifetimes, self.filter, self.keyring)
            .with_format(format, typ, openers)
    }

    /// Reads a configuration file and the keys that it names.
    pub fn load(path: &Path, files: &mut Files) -> Result<Self, DocumentError> {
        Self::read_with(&document(path, files)?, files)
    }

    /// The folder that `key_dir` names, where the configuration has it. The keys in it are not read, nor
    /// is the rest of the configuration judged: the folder may still have to be made.
    pub fn key_dir(path: &Path) -> Result<Option<PathBuf>, DocumentError> {
        match ring::source(&document(path, &mut Files::default())?.root())? {
            Some(("key_dir", node)) => node.path(&mut Files::default()).map(Some),
            _ => Ok(None),
        }
    }

    /// The folder of Fernet keys that `fernet` names, likewise.
    pub fn fernet_folder(path: &Path) -> Result<Option<FernetFolder>, DocumentError> {
        FernetFolder::read(&document(path, &mut Files::default())?.root(), &mut Files::default())
    }

    /// The file that `users_file` names, where the configuration has it. The file is not read, nor is the rest of
    /// the configuration judged.
    pub fn users_file(path: &Path) -> Result<Option<PathBuf>, DocumentError> {
        let document = document(path, &mut Files::default())?;
        document.root().get("users_file").map(|node| node.path(&mut Files::default())).transpose()
    }

    /// As [`Config::read_with`], where nobody asks which files were read.
    pub fn read(document: &Document) -> Result<Self, DocumentError> {
        Self::read_with(document, &mut Files::default())
    }

    /// Reads a parsed configuration; relative paths in it are relative to its own folder.
    pub fn read_with(document: &Document, files: &mut Files) -> Result<Self, DocumentError> {
        let root = document.root();
        let Terms { issuer, audience, lifetimes, policy_off, policy_file } = Terms::read(&root, files)?;
        let (filter, service) = (filter(&root)?, ServiceConfig::read(&root)?);
        let services: Vec<&str> = services(&audience, &service.allowed_services).collect();
        let profiles = Profiles::read(&root, lifetimes, &filter, &services)?;
        let keyring = match ring::load(&root, files)? {
            Some(ring) => ring,
            None => key::load(document, &root, files)?,
        };
        Ok(Self {
            issuer,
            audience,
            lifetimes,
            sealing: Sealing::read(&root, &keyring, files)?,
            keyring,
            filter,
            profiles,
            policy_off,
            policy_file,
            logins: LoginConfig::read(&root, files)?,
            clients: clients::read(&root, files)?,
            store: store::read(document, &root)?,
            service,
        })
    }
}

impl Terms {
    /// Reads them from a configuration file. Its keys need not be readable.
    pub fn load(path: &Path, files: &mut Files) -> Result<Self, DocumentError> {
        Self::read(&document(path, files)?.root(), files)
    }

    fn read(root: &Node<'_>, files: &mut Files) -> Result<Self, DocumentError> {
        let known: Vec<&str> = KEYS
            .into_iter()
            .chain(logins::KEYS)
            .chain(profiles::KEYS)
            .chain([clients::KEY])
            .chain(store::KEYS)
            .chain(ring::KEYS)
            .chain(key::KEYS)
            .chain(sealing::KEYS)
            .collect();
        let astray = |key: &&&str| root.get(key).is_some() && !known.contains(*key);
        if let Some(key) = service::KEYS.iter().find(astray) {
            let error = root.key_error(key, format!("unknown key `{key}`"));
            return Err(error.hint(format!("`{key}` belongs under `service`")));
        }
        root.allow_keys(&known)?;
        let default_ttl = ttl(root, "default_ttl_seconds")?;
        let max_ttl = ttl(root, "max_ttl_seconds")?;
        if let (Some(default), Some(max), Some(node)) =
            (default_ttl, max_ttl, root.get("default_ttl_seconds"))
            && default > max
        {
            return Err(node.error(format!("{default} is more than `max_ttl_seconds`, {max}")));
        }
        let none = Lifetimes::default();
        let default_ttl = default_ttl.unwrap_or(none.default.min(max_ttl.unwrap_or(Ttl::MAX)));
        let policy_off = policy_off(root)?;
        let policy_file = root.get("policy_file");
        if let Some(node) = policy_file.as_ref().filter(|_| policy_off) {
            let error = node.error("`policy_file` contradicts `policy: none`");
            return Err(error.hint("leave one of them out"));
        }
        Ok(Self {
            issuer: required(
                root,
                "issuer",
                "the name that verifiers expect in `iss`, such as \"registry.example.com\"",
            )?,
            audience: required(
                root,
                "audience",
                "the name that verifiers expect in `aud`, such as \"registry.example.com\"",
            )?,
            lifetimes: Lifetimes { default: default_ttl, max: max_ttl.unwrap_or(none.max.max(default_ttl)) },
            policy_off,
            policy_file: policy_file.map(|node| node.path(files)).transpose()?,
        })
    }
}

/// Reads and parses a configuration file. `-` is standard input, whose relative paths are relative to the
/// working folder; it is kept, because it can be read only once.
pub fn document(path: &Path, files: &mut Files) -> Result<Document, DocumentError> {
    static STANDARD_INPUT: Mutex<Option<Zeroizing<Vec<u8>>>> = Mutex::new(None);
    if path != Path::new("-") {
        return Document::load(path, files)
            .map_err(|error| error.if_absent("keypebble init DIR makes a configuration"));
    }
    let mut kept = STANDARD_INPUT.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = match kept.take() {
        Some(bytes) => bytes,
        None => input::stdin("the configuration", MAX_FILE_BYTES)
            .map_err(|error| DocumentError::unreadable(path, error))?,
    };
    Document::decode(path, kept.insert(bytes).clone())
}

fn required(root: &Node<'_>, key: &str, what: &str) -> Result<String, DocumentError> {
    Ok(root.required(key, &format!("add `{key}:` with {what}"))?.string()?.to_owned())
}

fn ttl(root: &Node<'_>, key: &str) -> Result<Option<Ttl>, DocumentError> {
    let read = |node: Node<'_>| node.integer(1, u64::from(Ttl::MAX.seconds())).map(Ttl::new);
    root.get(key).map_or(Ok(None), read)
}

fn filter(root: &Node<'_>) -> Result<ClaimFilter, DocumentError> {
    let mut statics = Map::new();
    if let Some(node) = root.get("static_claims") {
        for (name, value) in node.entries()? {
            if name == "sub" {
                let error =
                    value.error("the claim `sub` says whom a token is for: it cannot be the same in all");
                return Err(error.hint("a caller names it: --claims '{\"sub\": \"alice\"}'"));
            }
            check_claim(name, |problem| value.error(problem))?;
            let json = value.json()?;
            claims::check_value(&json).map_err(|error| value.error(error.to_string()))?;
            statics.insert(name.to_owned(), json);
        }
    }
    let mut allowed = None;
    if let Some(list) = root.get("allowed_custom_claims") {
        let mut names = BTreeSet::new();
        for item in list.items()? {
            check_claim(item.string()?, |problem| item.error(problem))?;
            names.insert(item.string()?.to_owned());
        }
        allowed = Some(names);
    }
    // Both may end up in one token.
    if let Err(error) = claims::check_distinct(statics.keys().chain(allowed.iter().flatten())) {
        let key = if allowed.is_some() { "allowed_custom_claims" } else { "static_claims" };
        return Err(root.key_error(key, error.to_string()));
    }
    Ok(ClaimFilter::new(allowed, statics))
}

/// That a claim of this name is not the issuer's own, nor looks like one that means something.
fn check_claim(name: &str, error: impl Fn(String) -> DocumentError) -> Result<(), DocumentError> {
    match ISSUER_CLAIMS.into_iter().find(|own| own.0 == name) {
        Some((_, setter)) => Err(error(format!("the claim `{name}` is the issuer's own")).hint(setter)),
        None => claims::check_name(name).map_err(|problem| error(problem.to_string())),
    }
}

fn policy_off(root: &Node<'_>) -> Result<bool, DocumentError> {
    let Some(node) = root.get("policy") else { return Ok(false) };
    if node.is_string() && node.string()? == "none" {
        return Ok(true);
    }
    Err(node
        .error("expected `none`, which switches enforcement off")
        .hint("a policy file is named by `policy_file`"))
}

#[cfg(test)]
mod tests;
