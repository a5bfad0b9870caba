//! The issuer's own side: key, certificates, lifetimes, who may ask, what is enforced.

use crate::claims::Requested;
use crate::config::Config;
use crate::diagnosis::verdict::{Form, Program, form};
use crate::ground::diagnostic::{Diagnostic, Level, shortened};
use crate::ground::net::LOOPBACK;
use crate::ground::time::UnixTime;
use crate::ground::when::duration;
use crate::key::algorithm::Algorithm;
use crate::key::x509::{PathError, verify_path};
use crate::key::{Chain, Key};
use crate::policy::{Enforcement, Mode, PUSH_SECONDS};
use serde_json::Map;

/// A certificate with less than this left is worth a warning, in seconds: 30 days.
const SOON: i64 = 30 * 86_400;

/// The issuer's own side: key, certificates, lifetimes, who may ask.
pub fn issuer(config: &Config, now: UnixTime) -> Vec<Diagnostic> {
    let key = config.keyring.active();
    let loads = format!("the configuration loads: issuer `{}`", shortened(&config.issuer, 100));
    let mut findings = vec![Diagnostic::ok("config", loads), signing_key(key)];
    if let Some(id) = key.id().filter(|id| form(id) == Form::Literal && !key.algorithm().is_hmac()) {
        let what = format!("the key id `{}` is a name of your own", shortened(id, 80));
        let finding = Diagnostic::warning("key-id", what)
            .why("distribution 2.8 never knows it, and 3 only through a jwks with this `kid`");
        findings.push(
            finding.hint("leave `kid` out: the default is the id that registries compute from the key"),
        );
    }
    if let Some(chain) = key.chain() {
        findings.extend(certificates(chain, now));
    }
    findings.extend(lifetimes(config));
    findings.extend(who_may_ask(config));
    findings
}

fn signing_key(key: &Key) -> Diagnostic {
    let algorithm = key.algorithm();
    let id = key.id().map_or_else(|| "no key id".to_owned(), |id| format!("key id `{}`", shortened(id, 80)));
    let id = if algorithm.is_hmac() { "a shared secret" } else { &id };
    let what = format!("signs with {algorithm}, {id}");
    match unfit_for_registries(algorithm).filter(|_| !Program::Registry3.takes(algorithm)) {
        None => Diagnostic::ok("key", what),
        Some(unfit) => Diagnostic::warning("key", what).why(unfit.what).hint(unfit.hint),
    }
}

/// Warns of an algorithm that not every registry takes.
pub fn unfit_for_registries(algorithm: Algorithm) -> Option<Diagnostic> {
    let (who, hint) = if Program::Registry28.takes(algorithm) {
        return None;
    } else if Program::Registry3.takes(algorithm) {
        ("distribution 2.8 does not accept it, 3.x does", "use RS256 or ES256 for both")
    } else {
        ("no Docker registry accepts it", "use private_key_path with an RSA or P-256 key for a registry")
    };
    Some(Diagnostic::advice("algorithm", format!("{algorithm}: {who}"), hint))
}

/// Days left, and whether each certificate is issued by the next.
pub(super) fn certificates(chain: &Chain, now: UnixTime) -> Vec<Diagnostic> {
    let again = "make a new certificate for the same key (its id stays), and give it to the registry too";
    let mut findings = Vec::new();
    for (index, certificate) in chain.certificates().iter().enumerate() {
        let name = format!("certificate {} of x5c (`{}`)", index + 1, shortened(&certificate.name(), 60));
        let left = certificate.not_after().saturating_sub(now.0);
        let days = left / 86_400;
        findings.push(if left < 0 {
            let ago = duration(left.unsigned_abs());
            Diagnostic::error("certificate", format!("{name} expired {ago} ago"))
                .why("registries refuse every token that carries it")
                .hint(again)
        } else if now.0 < certificate.not_before() {
            let start = UnixTime(certificate.not_before());
            Diagnostic::error("certificate", format!("{name} is not valid before {start}"))
                .hint("check this host's clock")
        } else if left < SOON {
            Diagnostic::advice("certificate", format!("{name} expires in {days} day(s)"), again)
        } else {
            Diagnostic::ok("certificate", format!("{name} is valid for another {days} days"))
        });
    }
    // Each to its successor: the order that a verifier expects.
    let pairs = chain.certificates().iter().zip(chain.certificates().iter().skip(1));
    for (index, (child, parent)) in pairs.enumerate() {
        let middle = child.not_before().max(parent.not_before());
        let outcome = verify_path(std::slice::from_ref(child), std::slice::from_ref(parent), middle);
        if matches!(outcome, Err(PathError::Unknown | PathError::NotAuthority)) {
            let what = format!("certificate {} of x5c is not issued by certificate {}", index + 1, index + 2);
            let hint = "order the file: the signing key's certificate first, then each one's issuer, no root";
            findings.push(Diagnostic::error("chain-order", what).hint(hint));
        }
    }
    findings
}

fn lifetimes(config: &Config) -> Vec<Diagnostic> {
    let (default, most) = (config.lifetimes.default, config.lifetimes.max);
    let mut findings: Vec<Diagnostic> = config.short_life().into_iter().collect();
    // The policy's own findings judge the life that it gives a push.
    if most.seconds() < PUSH_SECONDS {
        let what = format!("a registry's token lives {most} at most, whatever a policy says");
        let finding = Diagnostic::warning("ttl", what)
            .why("a push of large layers takes longer, and fails in the middle with `unauthorized`");
        findings.push(finding.hint(format!("set max_ttl_seconds to {PUSH_SECONDS} or more")));
    }
    if findings.is_empty() {
        findings.push(Diagnostic::ok("ttl", format!("tokens live {default}, a registry's at most {most}")));
    }
    findings
}

/// Trusted proxies, and `/auth`, which signs what they ask.
fn who_may_ask(config: &Config) -> Vec<Diagnostic> {
    let proxies = &config.service.trusted_proxies;
    let mut findings = Vec::new();
    if let Some(open) = config.service.open_to_strangers() {
        findings.push(Diagnostic { level: Level::Error, ..open });
    } else if proxies.is_empty() {
        let what = "no proxy is trusted: nobody can name a user in a header";
        findings.push(if config.logins.is_some() {
            Diagnostic::ok("proxies", what)
        } else {
            Diagnostic::warning("proxies", what)
                .why("there is no users_file either, so no user can be known")
                .hint("set users_file, or name the proxy that checks passwords in service.trusted_proxies")
        });
    } else {
        findings.push(Diagnostic::ok("proxies", format!("trusted to name the user: {proxies}")));
    }
    let shared = config.logins.as_ref().and_then(|_| config.service.shares_one_address(&config.audience));
    findings.extend(shared);
    let mut remote = proxies.clone();
    remote.unix = false;
    remote.networks.retain(|network| network.is_open() || !LOOPBACK.iter().any(|own| network.contains(*own)));
    if remote.is_empty() {
        findings.push(Diagnostic::ok("auth", "POST /auth answers only this host"));
    } else {
        let mut probe = Map::new();
        probe.insert("a claim of no list".to_owned(), true.into());
        let unlisted = Requested::new(probe).is_ok_and(|asked| config.filter.apply(asked).1.is_empty());
        let claims =
            if unlisted { "any claims, `access` too," } else { "the claims of allowed_custom_claims" };
        let what = format!("POST /auth signs {claims} for anybody who asks from {remote}");
        let finding = Diagnostic::warning("auth", what)
            .why("a proxy that passes /auth on from its clients lets them write their own tokens");
        findings.push(finding.hint(
            "pass only /v2/token on; for /auth set allowed_custom_claims, or give it an instance of its own",
        ));
    }
    findings
}

/// What the policy enforces, if there is one.
pub fn policy(enforcement: &Enforcement, place: &str) -> Diagnostic {
    let advice = |what: &str, hint: &str| Diagnostic::advice("policy", what, hint);
    match enforcement {
        Enforcement::Off => advice(
            "`policy: none`: every authenticated user gets everything they ask for",
            "name a policy with --policy PATH, and remove `policy: none`",
        ),
        Enforcement::Nothing => {
            advice("there is no policy: nobody is granted any access", "name one with --policy PATH")
        }
        Enforcement::Policy(policy) if policy.user_count() == 0 && !policy.has_anonymous() => {
            advice(&format!("{place} names no user: no access is granted"), "add `users:`")
        }
        Enforcement::Policy(policy) => {
            let anonymous = if policy.has_anonymous() { " and anonymous" } else { "" };
            let (users, mode) = (policy.user_count(), policy.mode());
            let what = format!("{place}: {users} user(s){anonymous}, mode {}", mode.name());
            match mode {
                Mode::Filter => Diagnostic::ok("policy", what),
                Mode::Deny => advice(&what, "remove `mode: deny` if Docker pushes").why(
                    "cross-repository pushes ask for more than they need, and are then refused as a whole",
                ),
            }
        }
    }
}
