//! The issuer's own side: key, certificates, lifetimes, who may ask, what is enforced.

use crate::claims::Requested;
use crate::config::Config;
use crate::diagnosis::inspect::duration;
use crate::diagnosis::verdict::{Form, form};
use crate::ground::finding::{Finding, shortened};
use crate::ground::net::LOOPBACK;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::algorithm::Algorithm;
use crate::key::x509::{PathError, X509, verify_path};
use crate::key::{Chain, Key};
use crate::policy::{Enforcement, Mode};
use serde_json::Map;

/// A certificate with less than this left is worth a warning, in seconds: 30 days.
const SOON: i64 = 30 * 86_400;
/// A push of large layers takes longer than this, in seconds.
const PUSH: u32 = 900;

/// The issuer's own side: key, certificates, lifetimes, who may ask.
pub fn issuer(config: &Config, now: UnixTime) -> Vec<Finding> {
    let key = config.keyring.active();
    let mut findings = vec![
        Finding::ok(
            "config",
            format!("the configuration loads: issuer `{}`", shortened(&config.issuer, 100)),
        ),
        signing_key(key),
    ];
    if let Some(id) = key.id().filter(|id| form(id) == Form::Literal && !key.algorithm().is_hmac()) {
        findings.push(
            Finding::warning("key-id", format!("the key id `{}` is a name of your own", shortened(id, 80)))
                .why("distribution 2.8 never knows it, and 3 only through a jwks with this `kid`")
                .mend("leave `kid` out: the default is the id that registries compute from the key"),
        );
    }
    if let Some(chain) = key.chain() {
        findings.extend(certificates(chain, now));
    }
    findings.extend(lifetimes(config));
    findings.extend(who_may_ask(config));
    findings
}

fn signing_key(key: &Key) -> Finding {
    let algorithm = key.algorithm();
    let id = key.id().map_or_else(|| "no key id".to_owned(), |id| format!("key id `{}`", shortened(id, 80)));
    if algorithm.is_hmac() {
        return Finding::warning("key", format!("signs with {algorithm}, a shared secret"))
            .why("no Docker registry accepts it; anybody who can verify a token can also make one")
            .mend("for a registry set private_key_path to an RSA or P-256 key");
    }
    match algorithm {
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
            Finding::warning("key", format!("signs with {algorithm}, {id}"))
                .why("no Docker registry accepts it yet")
                .mend("for a registry use an RSA or P-256 key")
        }
        _ => Finding::ok("key", format!("signs with {algorithm}, {id}")),
    }
}

/// Days left, and whether each certificate is issued by the next.
pub(super) fn certificates(chain: &Chain, now: UnixTime) -> Vec<Finding> {
    let read: Vec<X509> = chain.x5c().iter().filter_map(|text| X509::from_base64(text).ok()).collect();
    let mut findings = Vec::new();
    for (index, certificate) in read.iter().enumerate() {
        let left = certificate.not_after().saturating_sub(now.0);
        let name = format!("certificate {} of x5c (`{}`)", index + 1, shortened(&certificate.name(), 60));
        let again = "make a new certificate for the same key (its id stays), and give it to the registry too";
        findings.push(if left < 0 {
            let ago = duration(left.unsigned_abs());
            Finding::error("certificate", format!("{name} expired {ago} ago"))
                .why("registries refuse every token that carries it")
                .mend(again)
        } else if now.0 < certificate.not_before() {
            Finding::error(
                "certificate",
                format!("{name} is not valid before {}", UnixTime(certificate.not_before())),
            )
            .mend("check this host's clock")
        } else if left < SOON {
            let days = left / 86_400;
            Finding::warning("certificate", format!("{name} expires in {days} day(s)")).mend(again)
        } else {
            Finding::ok("certificate", format!("{name} is valid for another {} days", left / 86_400))
        });
    }
    // Each to its successor: the order that a verifier expects.
    for (index, pair) in read.windows(2).enumerate() {
        let [child, parent] = pair else { continue };
        let middle = child.not_before().max(parent.not_before());
        let outcome = verify_path(std::slice::from_ref(child), std::slice::from_ref(parent), middle);
        if matches!(outcome, Err(PathError::Unknown | PathError::NotAuthority)) {
            findings.push(
                Finding::error(
                    "chain-order",
                    format!("certificate {} of x5c is not issued by certificate {}", index + 1, index + 2),
                )
                .mend("order the file: the signing key's certificate first, then each one's issuer, no root"),
            );
        }
    }
    findings
}

fn lifetimes(config: &Config) -> Vec<Finding> {
    let (default, most) = (config.lifetimes.default, config.lifetimes.max);
    let mut findings = Vec::new();
    if default < Ttl::REGISTRY_MIN {
        findings.push(
            Finding::warning("ttl", format!("default_ttl_seconds is {default}"))
                .why("Docker's clients round anything shorter up to 60 s, so a registry token lives at least 60 s")
                .mend("set default_ttl_seconds to 60 or more"),
        );
    }
    // What a policy gives for a push, its own findings say.
    if most.seconds() < PUSH {
        findings.push(
            Finding::warning(
                "ttl",
                format!("a registry's token lives {most} at most, whatever a policy says"),
            )
            .why("a push of large layers takes longer, and fails in the middle with `unauthorized`")
            .mend(format!("set max_ttl_seconds to {PUSH} or more")),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok("ttl", format!("tokens live {default}, a registry's at most {most}")));
    }
    findings
}

/// Trusted proxies, and `/auth`, which signs what they ask.
fn who_may_ask(config: &Config) -> Vec<Finding> {
    let proxies = &config.service.trusted_proxies;
    let mut findings = Vec::new();
    if let Some(open) = config.service.open_to_strangers() {
        findings.push(Finding::error("proxies", open.message).mend(open.hint.unwrap_or_default()));
    } else if proxies.is_empty() {
        let what = "no proxy is trusted: nobody can name a user in a header";
        findings.push(if config.logins.is_some() {
            Finding::ok("proxies", what)
        } else {
            Finding::warning("proxies", what)
                .why("there is no users_file either, so no user can be known")
                .mend("set users_file, or name the proxy that checks passwords in service.trusted_proxies")
        });
    } else {
        findings.push(Finding::ok("proxies", format!("trusted to name the user: {proxies}")));
    }
    let shared = config.logins.as_ref().and_then(|_| config.service.shares_one_address(&config.audience));
    findings.extend(
        shared
            .map(|shared| Finding::warning("clients", shared.message).mend(shared.hint.unwrap_or_default())),
    );
    let mut remote = proxies.clone();
    remote.unix = false;
    remote.networks.retain(|network| network.is_open() || !LOOPBACK.iter().any(|own| network.contains(*own)));
    if remote.is_empty() {
        findings.push(Finding::ok("auth", "POST /auth answers only this host"));
    } else {
        let mut probe = Map::new();
        probe.insert("a claim of no list".to_owned(), true.into());
        let unlisted = Requested::new(probe).is_ok_and(|asked| config.filter.apply(asked).1.is_empty());
        let what = if unlisted { "any claims, `access` too," } else { "the claims of allowed_custom_claims" };
        let finding = Finding::warning(
            "auth",
            format!("POST /auth signs {what} for anybody who asks from {remote}"),
        )
        .why("a proxy that passes /auth on from its clients lets them write their own tokens")
        .mend(
            "pass only /v2/token on; for /auth set allowed_custom_claims, or give it an instance of its own",
        );
        findings.push(finding);
    }
    findings
}

/// What is enforced.
pub fn policy(enforcement: &Enforcement, place: &str) -> Finding {
    match enforcement {
        Enforcement::Off => Finding::warning(
            "policy",
            "`policy: none`: every authenticated user gets everything they ask for",
        )
        .mend("name a policy with --policy PATH, and remove `policy: none`"),
        Enforcement::Nothing => {
            Finding::warning("policy", "there is no policy: nobody is granted any access")
                .mend("name one with --policy PATH")
        }
        Enforcement::Policy(policy) if policy.user_count() == 0 && !policy.has_anonymous() => {
            Finding::warning("policy", format!("{place} names no user: no access is granted"))
                .mend("add `users:`")
        }
        Enforcement::Policy(policy) => {
            let anonymous = if policy.has_anonymous() { " and anonymous" } else { "" };
            let mode = if policy.mode() == Mode::Deny { "deny" } else { "filter" };
            let finding = format!("{place}: {} user(s){anonymous}, mode {mode}", policy.user_count());
            if policy.mode() == Mode::Deny {
                return Finding::warning("policy", finding)
                    .why("cross-repository pushes ask for more than they need, and are then refused as a whole")
                    .mend("remove `mode: deny` if Docker pushes");
            }
            Finding::ok("policy", finding)
        }
    }
}
