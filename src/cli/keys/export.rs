//! `keypebble keys export`: what verifiers need to know.

use super::super::args::{Arguments, Spec, usage};
use super::super::{print, say_line, warn};
use super::{Loaded, Place};
use crate::cli::error::Error;
use crate::diagnosis::verdict::{Program, Trust};
use crate::ground::diagnostic::Diagnostic;
use crate::ground::disk::{self, System};
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::{Keyring, RingKey, State};
use crate::keystore::{Editor, KeystoreError, Manifest};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The subcommand.
pub(in crate::cli) const SPEC: Spec =
    Spec { name: "keys export", operands: 0, help: include_str!("../help/keys-export.txt"), run };

/// Validity of certificates: ten years of 365 days. A registry checks it only where a token carries x5c.
pub(in crate::cli) const DAYS: u32 = 3650;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jwks,
    Pem,
    Cert,
    Id,
}

/// Each form under its name.
const FORMATS: [(&str, Format); 4] =
    [("jwks", Format::Jwks), ("pem", Format::Pem), ("cert", Format::Cert), ("id", Format::Id)];

/// What is to be printed.
struct Export {
    place: Place,
    format: Format,
    out: Option<PathBuf>,
    id: Option<String>,
    state: Option<State>,
    days: u32,
}

fn read(mut arguments: Arguments) -> Result<Export, Error> {
    let place = super::place(&mut arguments)?;
    let read = |name: &str| FORMATS.into_iter().find(|(known, _)| *known == name);
    let Some((_, format)) = arguments.one_of("format", &FORMATS.map(|(name, _)| name), read)? else {
        return Err(arguments.missing("--format jwks|pem|cert|id"));
    };
    let (out, id) = (arguments.target("out")?, arguments.name("id")?);
    let state = arguments.one_of("state", &State::ALL.map(State::name), State::named)?;
    if id.is_some() && state.is_some() {
        return Err(usage("--id and --state both choose keys").with_hint("leave one of them out"));
    }
    let days = arguments.number("days", 1..=36_500)?;
    if days.is_some() && format != Format::Cert {
        return Err(usage("--days goes with --format cert"));
    }
    let days = days.unwrap_or(DAYS);
    Ok(Export { place, format, out, id, state, days })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    if command.place.is_fernet(false) {
        let error = KeystoreError::refused(
            "Fernet keys are shared secrets, which are never printed",
            "copy the folder",
        );
        return Err(Error::Keys(error));
    }
    let now = UnixTime::now();
    let Loaded { folder, manifest, keyring, .. } = command.place.load()?;
    let keys: Vec<&RingKey> = keyring
        .verifiers()
        .iter()
        .filter(|key| command.id.as_deref().is_none_or(|id| key.id() == Some(id)))
        .filter(|key| command.state.is_none_or(|state| key.state() == state))
        .collect();
    let public: Vec<&RingKey> = keys.iter().copied().filter(|key| key.public().is_some()).collect();
    if public.is_empty() {
        return Err(Error::Keys(nothing(command, &keyring, keys.is_empty())));
    }
    let text = match command.format {
        Format::Jwks => {
            warn(&unfit_for_registries(Format::Jwks, &public));
            Keyring::jwks_text_of(public.iter().copied())
        }
        Format::Pem => pems(&public),
        Format::Cert => certificates(&keyring, &public, &manifest, command.days, now)?,
        Format::Id => ids(&public),
    };
    match &command.out {
        None => print(&text)?,
        Some(path) => disk::publish(&System, path, text.as_bytes(), is_export)
            .map_err(|source| Error::file("write", path, source))?,
    }
    if let Some(path) = &command.out {
        say_line(&format!("wrote {}: {}", path.display(), counted(public.len())));
    }
    if let Some(folder) = folder.filter(|_| command.format != Format::Id) {
        let ids: Vec<String> = public.iter().filter_map(|key| key.id().map(str::to_owned)).collect();
        if manifest.entries().iter().any(|entry| ids.contains(&entry.id) && entry.exported.is_none()) {
            let mut editor = Editor::open(&folder, &System).map_err(Error::Keys)?;
            editor.mark_exported(&ids, now).map_err(Error::Keys)?;
        }
    }
    Ok(())
}

/// Whether a file is what this command wrote before, in any of its formats: only that is replaced.
fn is_export(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    is_key_set(text) || is_pem(text) || is_ids(text)
}

fn is_ids(text: &str) -> bool {
    let names = ["kid       ", "key       ", "libtrust  ", "rfc7638   "];
    text.lines().all(|line| line.is_empty() || names.iter().any(|name| line.starts_with(name)))
}

/// `{"keys": [...]}`, of public keys alone.
fn is_key_set(text: &str) -> bool {
    let set: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array).filter(|_| set.len() == 1);
    keys.is_some_and(|keys| keys.iter().all(|key| PublicKey::from_jwk(key).is_ok()))
}

/// Blocks of public keys and certificates, and nothing around them.
fn is_pem(text: &str) -> bool {
    let inside = text.lines().try_fold(false, |inside, line| match line.trim_end() {
        "-----BEGIN CERTIFICATE-----" | "-----BEGIN PUBLIC KEY-----" if !inside => Some(true),
        "-----END CERTIFICATE-----" | "-----END PUBLIC KEY-----" if inside => Some(false),
        line => (!line.contains("-----") && (inside || line.is_empty())).then_some(inside),
    });
    inside == Some(false)
}

fn counted(keys: usize) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}

/// Why there is nothing to print.
fn nothing(command: &Export, keyring: &Keyring, none_chosen: bool) -> KeystoreError {
    let ids: Vec<&str> = keyring.verifiers().iter().filter_map(RingKey::id).collect();
    match (&command.id, command.state) {
        (Some(id), _) if none_chosen => KeystoreError::refused(
            format!("no key has the id `{}`", id.escape_debug()),
            format!("the ids here are {}", ids.join(", ")),
        ),
        (_, Some(state)) if none_chosen => {
            KeystoreError::refused(format!("no key is {}", state.name()), "see keypebble keys list")
        }
        _ => no_public_half(),
    }
}

fn no_public_half() -> KeystoreError {
    KeystoreError::refused(
        "a shared secret (HS256, HS384, HS512) has no public half to export",
        "a verifier of such tokens needs the secret itself",
    )
}

/// What a registry trusts that has what this command prints for it: a bundle for distribution 2.8, a key set for 3,
/// and for zot, which takes a single key, the certificate of the active one.
pub(in crate::cli) fn for_registry(config: &Path, program: Program, now: UnixTime) -> Result<Trust, Error> {
    let Loaded { manifest, keyring, .. } = Place::Config(config.to_owned()).load()?;
    let given = |key: &&RingKey| program != Program::Zot || key.state() == State::Active;
    let keys: Vec<&RingKey> =
        keyring.verifiers().iter().filter(given).filter(|key| key.public().is_some()).collect();
    if keys.is_empty() {
        return Err(Error::Keys(no_public_half()));
    }
    Ok(match program {
        Program::Registry3 => {
            warn(&unfit_for_registries(Format::Jwks, &keys));
            Trust::default().with_jwks(Keyring::jwks_text_of(keys.iter().copied()).as_bytes())
        }
        Program::Registry28 | Program::Zot => {
            Trust::default().with_bundle(certificates(&keyring, &keys, &manifest, DAYS, now)?.as_bytes())
        }
    })
}

fn pems(keys: &[&RingKey]) -> String {
    keys.iter().filter_map(|key| key.public()).map(PublicKey::to_pem).collect()
}

fn ids(keys: &[&RingKey]) -> String {
    let mut text = String::new();
    for key in keys {
        let Some(public) = key.public() else { continue };
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "kid       {}\nkey       {}, {}\nlibtrust  {}\nrfc7638   {}\n\n",
            key.id().unwrap_or_default(),
            key.algorithm(),
            key.state().name(),
            public.libtrust_id(),
            public.thumbprint()
        );
    }
    text.truncate(text.len().saturating_sub(1));
    text
}

/// One certificate for each key, all states in one bundle.
pub(in crate::cli) fn certificates(
    keyring: &Keyring,
    keys: &[&RingKey],
    manifest: &Manifest,
    days: u32,
    now: UnixTime,
) -> Result<String, Error> {
    let mut text = String::new();
    for key in keys {
        let Some(public) = key.public() else { continue };
        let made = key.id().and_then(|id| manifest.find(id)).map_or(now, |entry| entry.created);
        // An hour for clocks that are late.
        let (from, until) = (made.minus_seconds(3600).0, made.0.saturating_add(i64::from(days) * 86_400));
        if until < now.0 {
            warn(&[Diagnostic::advice(
                "keys",
                format!("the certificate of {} expired at {}", key.id().unwrap_or_default(), UnixTime(until)),
                "rotate to a new key, or give --days more",
            )]);
        }
        // A key whose private half is gone can't sign its own: the active one does.
        let signer = key.own_key().unwrap_or(keyring.active());
        let made = signer.certificate(public, from, until);
        text += &made.map_err(|error| Error::Keys(KeystoreError::Make(error)))?;
    }
    warn(&unfit_for_registries(Format::Cert, keys));
    Ok(text)
}

/// Some registries do not start over some keys: distribution 2.8 over its certificates, 3 over its key set.
/// Both read the file whole.
fn unfit_for_registries(format: Format, keys: &[&RingKey]) -> Vec<Diagnostic> {
    let (unfit, registry): (fn(Algorithm) -> bool, _) = match format {
        Format::Cert => (
            |algorithm| algorithm == Algorithm::EdDSA || algorithm.is_ml_dsa(),
            "distribution 2.8 does not start with it in its rootcertbundle",
        ),
        Format::Jwks => (Algorithm::is_ml_dsa, "distribution 3 does not start with it in its jwks"),
        Format::Pem | Format::Id => return Vec::new(),
    };
    let warning = |key: &&RingKey| {
        Diagnostic::advice(
            "keys",
            format!("{} is for {}: {registry}", key.id().unwrap_or_default(), key.algorithm()),
            "leave it out with --id or --state, or give the registry an ES256 or RS256 key",
        )
    };
    keys.iter().filter(|key| unfit(key.algorithm())).map(warning).collect()
}
