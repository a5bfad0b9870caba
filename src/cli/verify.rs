//! `keypebble verify`: whether a token holds, for its issuer's keys or for a registry.

use super::args::{Arguments, Spec, usage};
use super::key_file::{file, opener, rejected};
use super::keys::export;
use super::{print, token_input};
use crate::claims::{self, ClaimsError};
use crate::cli::error::Error;
use crate::config::Config;
use crate::diagnosis::claims::Expected;
use crate::diagnosis::encrypted::Outer;
use crate::diagnosis::unverified::Unverified;
use crate::diagnosis::verdict::{self, Program, Trust};
use crate::diagnosis::verify::{self, Opened};
use crate::ground::diagnostic::{Diagnostic, Level, ascii_json, worst};
use crate::ground::file::Files;
use crate::ground::secret::Secret;
use crate::ground::time::UnixTime;
use crate::key::PublicKey;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::{KeySet, RingKey, State};
use crate::load::setup;
use crate::token::{Format, Inside, Opener, Typ, fernet};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The subcommand.
pub(super) const SPEC: Spec =
    Spec { name: "verify", operands: 1, help: include_str!("help/verify.txt"), run };

/// What is to be checked, and against what.
struct Verify {
    token: String,
    json: bool,
    audience: Option<String>,
    issuer: Option<String>,
    typ: Option<Typ>,
    decrypt_key: Option<PathBuf>,
    against: Against,
}

enum Against {
    Config(PathBuf),
    Jwks(PathBuf),
    Key(PathBuf, Option<Algorithm>),
    /// `--decrypt-key` alone: that it opens is all that is proven.
    Opens,
    /// With what `keys export` would give it.
    Exported(Program, PathBuf, Option<String>),
    Registry {
        program: Program,
        bundle: Option<PathBuf>,
        jwks: Option<PathBuf>,
        key: Option<PathBuf>,
        service: Option<String>,
    },
}

fn read(mut arguments: Arguments) -> Result<Verify, Error> {
    let (config, jwks, key) = (arguments.path("config")?, arguments.path("jwks")?, arguments.path("key")?);
    let (bundle, service) = (arguments.path("rootcertbundle")?, arguments.name("service")?);
    let algorithm = arguments.algorithm()?;
    let (audience, issuer) = (arguments.name("audience")?, arguments.name("issuer")?);
    let typ = arguments.one_of("typ", &Typ::ALL.map(Typ::name), Typ::named)?;
    let decrypt_key = arguments.path("decrypt-key")?;
    let program: Option<Program> = arguments.parsed("for")?;
    let against = match (program, config, jwks, key) {
        (Some(_), ..)
            if audience.is_some() || algorithm.is_some() || typ.is_some() || decrypt_key.is_some() =>
        {
            return Err(usage("--for knows neither --audience, --algorithm, --typ nor --decrypt-key")
                .with_hint("--service NAME is what a registry compares `aud` with"));
        }
        (Some(program), config, None, None) if bundle.is_none() => {
            match config.map_or_else(|| arguments.config_if_any(), |config| Ok(Some(config)))? {
                Some(config) => Against::Exported(program, config, service),
                None => return Err(arguments.missing("--rootcertbundle FILE, --jwks FILE or --config PATH")),
            }
        }
        (Some(_), Some(_), ..) => {
            return Err(usage("--config and the registry's own files both say what it trusts")
                .with_hint("leave one of them out; keypebble doctor compares the two sides"));
        }
        (Some(program), None, jwks, key) => {
            let files = [&bundle, &jwks, &key].into_iter().flatten().count();
            if program == Program::Zot && files > 1 {
                return Err(usage("zot has one file: --rootcertbundle, --jwks or --key, not several"));
            }
            Against::Registry { program, bundle, jwks, key, service }
        }
        (None, ..) if bundle.is_some() || service.is_some() => {
            return Err(usage("--rootcertbundle and --service are a registry's")
                .with_hint("name it: --for registry-2.8, registry-3 or zot"));
        }
        (None, _, _, None) if algorithm.is_some() => return Err(usage("--algorithm is for --key")),
        (None, Some(config), None, None) => Against::Config(config),
        (None, None, Some(jwks), None) => Against::Jwks(jwks),
        (None, None, None, Some(key)) => Against::Key(key, algorithm),
        (None, None, None, None) if decrypt_key.is_some() => Against::Opens,
        (None, None, None, None) => match arguments.config_if_any()? {
            Some(config) => Against::Config(config),
            None => return Err(arguments.missing("--config PATH, --jwks FILE or --key FILE")),
        },
        (None, ..) => return Err(usage("one of --config, --jwks and --key, not several")),
    };
    let json = arguments.switch("json");
    let token = token_input::read(&mut arguments)?;
    Ok(Verify { token, json, audience, issuer, typ, decrypt_key, against })
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let token = token_input::load(&command.token)?;
    let now = UnixTime::now();
    let issuer = command.issuer.as_deref();
    let audience = command.audience.as_deref();
    let own = match &command.against {
        Against::Config(path) => Some(setup::config(path, &mut Files::default())?),
        _ => None,
    };
    let mut openers = own.as_ref().map(|config| config.sealing.openers()).unwrap_or_default();
    openers.extend(command.decrypt_key.as_ref().map(|path| opener(path, &token)).transpose()?);
    let (token, opened) = match opened(command, token, &openers, now) {
        Ok((token, opened)) => (token, opened),
        Err(finding) => return answer(None, &[finding], command.json),
    };
    // A recipient has the secret of a configuration, too: claims that it opens prove nothing where tokens are signed,
    // unless --decrypt-key says that they do.
    let unsigned = if fernet::is_one(&token) { Format::Fernet } else { Format::Jwe };
    let relies = |config: &Config| config.sealing.format == unsigned || command.decrypt_key.is_some();
    let judge = |keys: Option<&KeySet>, expected: &Expected<'_>| match (&opened, keys) {
        (Some(opened), keys) => {
            let signed = keys.is_some() && !own.as_ref().is_some_and(relies);
            opened.judge(signed, command.typ, expected, now)
        }
        (None, Some(keys)) => {
            let mut findings = verify::verify(&token, keys, expected, now);
            if let (Some(_), Ok(read)) = (command.typ, Unverified::parse(&token)) {
                let kind = verify::kind(&read, read.header_text("typ"), command.typ);
                findings.extend(kind.into_iter().filter(|finding| finding.code == "typ"));
            }
            findings
        }
        (None, None) => vec![
            Diagnostic::error("signature", "the token is signed, and there is no key to check that with")
                .hint("give --config PATH, --jwks FILE or --key FILE"),
        ],
    };
    let (who, findings) = match &command.against {
        Against::Config(_) => {
            let Some(config) = &own else { return Err(Error::Negative) };
            let audiences = audience.map_or_else(|| config.services().collect(), |audience| vec![audience]);
            let expected = Expected { issuer: issuer.or(Some(&config.issuer)), audiences: &audiences };
            (None, judge(Some(config.keyring.verifiers()), &expected))
        }
        Against::Jwks(path) => (None, unnamed(judge, Some(&jwks(path)?), issuer, audience)),
        Against::Key(path, algorithm) => {
            (None, unnamed(judge, Some(&key_set(path, *algorithm, &token)?), issuer, audience))
        }
        Against::Opens => (None, unnamed(judge, None, issuer, audience)),
        Against::Exported(program, path, service) => {
            let config = setup::config(path, &mut Files::default())?;
            let audiences =
                service.as_deref().map_or_else(|| config.services().collect(), |service| vec![service]);
            let expected = Expected { issuer: issuer.or(Some(&config.issuer)), audiences: &audiences };
            let trust = export::for_registry(path, *program, now)?;
            let mut findings = verdict::judge(*program, &token, &trust, &expected, &[], now);
            findings.extend(ignored(*program, issuer, service.as_deref()));
            (Some(*program), findings)
        }
        Against::Registry { program, bundle, jwks, key, service } => {
            let trust = trust(bundle.as_deref(), jwks.as_deref(), key.as_deref())?;
            let audiences: Vec<&str> = service.as_deref().into_iter().collect();
            let expected = Expected { issuer, audiences: &audiences };
            let mut findings = verdict::judge(*program, &token, &trust, &expected, &[], now);
            findings.extend(ignored(*program, issuer, service.as_deref()));
            if *program != Program::Zot {
                findings.extend(unjudged("service", "--service NAME", service.is_none()));
                findings.extend(unjudged("issuer", "--issuer NAME", issuer.is_none()));
            }
            (Some(*program), findings)
        }
    };
    answer(who, &findings, command.json)
}

/// Says the verdict; an error without words where it is no.
fn answer(program: Option<Program>, findings: &[Diagnostic], json: bool) -> Result<(), Error> {
    let level = worst(findings);
    let verdict = match (level, program) {
        (Level::Error, Some(program)) => format!("refused: {} would not take this token", program.title()),
        (Level::Error, None) => "refused: the token does not hold".to_owned(),
        (Level::Unknown, Some(program)) => {
            format!("unknown: what {} would say cannot be told", program.title())
        }
        (Level::Unknown, None) => "unknown: that cannot be told".to_owned(),
        (_, Some(program)) => format!("accepted: {} would take this token", program.title()),
        (_, None) => "valid: the token holds".to_owned(),
    };
    if json {
        let accepted = match level {
            Level::Error => Value::Bool(false),
            Level::Unknown => Value::Null,
            _ => Value::Bool(true),
        };
        let findings: Vec<Value> = findings.iter().map(Diagnostic::json).collect();
        let program = program.map(Program::name);
        print(&ascii_json(&json!({ "accepted": accepted, "for": program, "findings": findings })))?;
    } else {
        let findings: String = findings.iter().map(Diagnostic::text).collect();
        print(&format!("{verdict}\n{findings}"))?;
    }
    if level < Level::Unknown { Ok(()) } else { Err(Error::Negative) }
}

/// The token that is to be judged: the one inside, where that is one; or the claims that were inside.
fn opened(
    command: &Verify,
    token: String,
    openers: &[Opener],
    now: UnixTime,
) -> Result<(String, Option<Opened>), Diagnostic> {
    // A registry's verdict, and what is no token at all, is for others to say.
    let outer = match (&command.against, Outer::parse(&token)) {
        (Against::Registry { .. } | Against::Exported(..), _) | (_, Ok(None) | Err(_)) => {
            return Ok((token, None));
        }
        (_, Ok(Some(outer))) => outer,
    };
    match outer.open(&token, openers, now)? {
        Inside::Signed(inner) => Ok((inner, None)),
        Inside::Claims { payload, authentic, typ } => {
            let read = Unverified::of_claims(&payload).map_err(|malformed| malformed.finding())?;
            Ok((token, Some(Opened { read, authentic, typ })))
        }
    }
}

/// With keys alone, what was not asked for is not judged, and that is said.
fn unnamed(
    judge: impl Fn(Option<&KeySet>, &Expected<'_>) -> Vec<Diagnostic>,
    keys: Option<&KeySet>,
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Vec<Diagnostic> {
    let audiences: Vec<&str> = audience.into_iter().collect();
    let mut findings = judge(keys, &Expected { issuer, audiences: &audiences });
    findings.extend(unjudged("issuer", "--issuer I", issuer.is_none()));
    findings.extend(unjudged("audience", "--audience A", audience.is_none()));
    findings
}

fn unjudged(code: &'static str, flag: &str, missing: bool) -> Option<Diagnostic> {
    missing.then(|| {
        Diagnostic::warning(code, format!("the {code} was not compared")).hint(format!("give {flag}"))
    })
}

/// What was given to be compared, and zot does not look at.
fn ignored(program: Program, issuer: Option<&str>, service: Option<&str>) -> Vec<Diagnostic> {
    let given = [("issuer", issuer), ("service", service)].into_iter().filter(|(_, given)| given.is_some());
    let ignored = given.filter(|_| program == Program::Zot).map(|(code, _)| {
        Diagnostic::warning(code, format!("zot does not compare the {code}"))
            .hint(format!("leave out --{code}"))
    });
    ignored.collect()
}

fn jwks(path: &Path) -> Result<KeySet, Error> {
    let object = match claims::read_object(&file(path)?) {
        Err(ClaimsError::NotAnObject) => Map::new(), // which has no `keys`
        read => read.map_err(|error| Error::key_file(path, &error.to_string()))?,
    };
    KeySet::from_jwks(&object.into()).map_err(|error| rejected(path, &error))
}

/// One key, which is tried whatever the token's `kid` is.
fn key_set(path: &Path, algorithm: Option<Algorithm>, token: &str) -> Result<KeySet, Error> {
    let key = verdict::public_key(&Secret::new(file(path)?)).map_err(|error| rejected(path, &error))?;
    let key = PublicKey::from_spki(key.spki_der(), algorithm).map_err(|error| rejected(path, &error))?;
    let kid = Unverified::parse(token).ok().and_then(|token| token.header_text("kid").map(str::to_owned));
    KeySet::new(vec![RingKey::public_only(key, kid, State::Active)]).map_err(|error| rejected(path, &error))
}

/// What a registry trusts, from its files.
pub(super) fn trust(bundle: Option<&Path>, jwks: Option<&Path>, key: Option<&Path>) -> Result<Trust, Error> {
    let mut trust = Trust::default();
    for (path, with) in [
        (bundle, Trust::with_bundle as fn(Trust, &[u8]) -> Trust),
        (jwks, Trust::with_jwks),
        (key, Trust::with_key),
    ] {
        if let Some(path) = path {
            trust = with(trust, &file(path)?);
        }
    }
    Ok(trust)
}
