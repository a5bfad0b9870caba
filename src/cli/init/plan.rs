//! What stands where: every name, address and port that the files of `keypebble init` agree on.
//!
//! Owns what follows from the registry's name. Must not know how any file is written. Decision: what a name on this
//! host needs is plain http and nothing between; any other name has a front with TLS, which alone is open to others.

use crate::cli::args::usage;
use crate::cli::error::Error;
use crate::ground::net::is_local;
use crate::ground::text::quoted;
use crate::key::algorithm::Algorithm;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// Whether this build checks passwords. Where it does not, a proxy in front must.
pub(super) const PASSWORDS: bool = cfg!(feature = "passwords");

/// A host and perhaps a port, as image names have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Address {
    /// Reads `HOST[:PORT]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rfind(':').filter(|at| !text[*at..].contains(']')) {
            Some(at) => (&text[..at], Some(text[at + 1..].parse().ok().filter(|port| *port != 0)?)),
            None => (text, None),
        };
        let label = |label: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !label.is_empty() && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
        };
        let valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.len() <= 253 && host.split('.').all(label),
        };
        valid.then(|| Self { host: host.to_owned(), port })
    }

    /// Whether clients take it for this host, and so without TLS.
    pub(super) fn is_local(&self) -> bool {
        is_local(self.host.trim_matches(['[', ']']))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The registry's name from the command line.
pub(super) fn registry(text: &str) -> Result<Address, Error> {
    let wrong =
        |what: &str, hint: &str| Err(usage(format!("--registry: {} {what}", shown(text))).with_hint(hint));
    let Some(address) = Address::parse(text) else {
        return wrong(
            "is not the name of a registry",
            "as in image names: registry.example.com or localhost:5000, without https://",
        );
    };
    // Docker takes the first part of `registry/app` for a user of its own hub.
    if !text.contains(['.', ':']) && text != "localhost" {
        return wrong(
            "is no registry in an image name, as it has neither a dot nor a port",
            "name its port, too, such as registry:443",
        );
    }
    Ok(address)
}

/// What is given, unless a password may stand before its `@`.
fn shown(text: &str) -> String {
    if text.contains('@') { "what is given".to_owned() } else { quoted("", text) }
}

/// Where clients reach Keypebble, from the command line.
pub(super) fn url(text: &str) -> Result<String, Error> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    // What means nothing more to any of the files: `*` is a pattern to Caddy, `$` a variable to others.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]".contains(c);
    let known = |rest: &&str| {
        Address::parse(rest.split('/').next().unwrap_or_default()).is_some() && rest.chars().all(plain)
    };
    match rest.filter(known) {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err(usage(format!("--url: {} is not the address of a server", shown(text)))
            .with_hint("such as https://auth.example.com, and perhaps a path of letters, digits and -._~")),
    }
}

/// What the front with TLS serves under one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) address: Address,
    /// The path that goes to Keypebble.
    pub(super) token: Option<String>,
    /// Whether the rest of `/v2/` goes to the registry.
    pub(super) registry: bool,
}

/// What is asked for.
pub(super) struct Asked {
    /// Absolute.
    pub(super) folder: PathBuf,
    pub(super) registry: Address,
    /// Where clients are to reach Keypebble, if that is said.
    pub(super) url: Option<String>,
    pub(super) algorithm: Algorithm,
    /// Keypebble and the registry speak TLS themselves, with a certificate of an authority that is made here.
    pub(super) self_signed: bool,
    /// Who pushes.
    pub(super) user: String,
    /// Whether that user has a password.
    pub(super) has_password: bool,
    /// This program's file.
    pub(super) program: PathBuf,
    /// What a shell calls it by.
    pub(super) command: String,
    /// The user and group whose files these are.
    pub(super) owner: (u32, u32),
}

/// Everything that the files say.
pub(super) struct Plan {
    pub(super) asked: Asked,
    /// Where clients reach Keypebble.
    pub(super) url: String,
    /// Where Keypebble listens: on 127.0.0.1, or for all hosts where it speaks TLS itself.
    pub(super) port: u16,
    /// Where the registry listens: for all hosts where it speaks TLS itself.
    pub(super) backend: Address,
    /// What the front with TLS serves; none where no name needs one.
    pub(super) sites: Vec<Site>,
}

impl Plan {
    /// Where everything stands.
    pub(super) fn new(asked: Asked) -> Self {
        let (registry, self_signed) = (&asked.registry, asked.self_signed);
        // A front has the registry's own port.
        let fronted = !(self_signed || registry.is_local() && PASSWORDS);
        let plain = registry.is_local() && !self_signed;
        let public = registry.port.unwrap_or(if plain { 80 } else { 443 });
        let host = match registry.host.as_str() {
            _ if self_signed => "0.0.0.0",
            own if !fronted && own != "localhost" => own,
            _ => "127.0.0.1",
        };
        let backend = if fronted { free(5000, &[public]) } else { public };
        let backend = Address { host: host.to_owned(), port: Some(backend) };
        let taken = [public, backend.port.unwrap_or_default()];
        let url = asked.url.clone().unwrap_or_else(|| match registry.is_local() {
            _ if self_signed => format!("https://{}:{}", registry.host, free(8443, &taken)),
            true if PASSWORDS => format!("http://localhost:{}", free(8080, &taken)),
            true => format!("http://{registry}"),
            false => format!("https://{registry}"),
        });
        let port = own_port(&url, self_signed).unwrap_or_else(|| free(8080, &taken));
        let sites = if PASSWORDS && !self_signed { sites(registry, &url) } else { Vec::new() };
        Self { asked, url, port, backend, sites }
    }

    /// Whether clients speak plain http to the registry.
    pub(super) fn is_plain(&self) -> bool {
        self.asked.registry.is_local() && !self.asked.self_signed
    }

    /// A path inside of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.asked.folder.join(name)
    }

    /// What the user's repositories begin with: their name where it is one of a repository.
    pub(super) fn namespace(&self) -> &str {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if self.asked.user.chars().all(plain) { &self.asked.user } else { "images" }
    }

    /// Who else is in the policy, and may only read.
    pub(super) fn reader(&self) -> &'static str {
        if self.asked.user == "bob" { "alice" } else { "bob" }
    }
}

/// The first port from this one on that nothing here has.
fn free(wanted: u16, taken: &[u16]) -> u16 {
    (wanted..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(wanted)
}

/// The port of a URL, where nothing stands between it and Keypebble.
fn own_port(url: &str, self_signed: bool) -> Option<u16> {
    let (rest, usual) = match url.strip_prefix("https://") {
        Some(rest) => (Some(rest).filter(|_| self_signed), Some(443)),
        None => (url.strip_prefix("http://").filter(|_| PASSWORDS), None),
    };
    Address::parse(rest?.split('/').next()?)?.port.or(usual)
}

/// One site for the registry and Keypebble, or one for each, without what needs no TLS.
fn sites(registry: &Address, url: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    if !registry.is_local() {
        sites.push(Site { address: registry.clone(), token: None, registry: true });
    }
    let Some(rest) = url.strip_prefix("https://") else { return sites };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let token = Some(format!("{path}/v2/token"));
    let Some(address) = Address::parse(authority) else { return sites };
    let port = |address: &Address| address.port.unwrap_or(443);
    match sites
        .iter_mut()
        .find(|site| site.address.host == address.host && port(&site.address) == port(&address))
    {
        Some(site) => site.token = token,
        None => sites.push(Site { address, token, registry: false }),
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "passwords")]
    fn plan(registry: &str, url: Option<&str>) -> Plan {
        Plan::new(Asked {
            folder: "/srv/auth".into(),
            registry: super::registry(registry).unwrap(),
            url: url.map(|text| super::url(text).unwrap()),
            algorithm: Algorithm::ES256,
            self_signed: false,
            user: "alice".to_owned(),
            has_password: false,
            program: "/usr/bin/keypebble".into(),
            command: "keypebble".to_owned(),
            owner: (1000, 1000),
        })
    }

    #[cfg(feature = "passwords")]
    #[test]
    fn no_two_of_them_have_one_port_and_only_another_name_has_a_front() {
        for (name, url, expected_url, port, backend, sites) in [
            ("localhost:5000", None, "http://localhost:8080", 8080, "127.0.0.1:5000", ""),
            ("localhost:8080", None, "http://localhost:8081", 8081, "127.0.0.1:8080", ""),
            ("localhost", None, "http://localhost:8080", 8080, "127.0.0.1:80", ""),
            ("[::1]:5000", None, "http://localhost:8080", 8080, "[::1]:5000", ""),
            ("127.0.0.1:5000", Some("http://127.0.0.1:9/"), "http://127.0.0.1:9", 9, "127.0.0.1:5000", ""),
            ("r.example", None, "https://r.example", 8080, "127.0.0.1:5000", "r.example /v2/token registry"),
            (
                "127.0.0.1.nip.io",
                None,
                "https://127.0.0.1.nip.io",
                8080,
                "127.0.0.1:5000",
                "127.0.0.1.nip.io /v2/token registry",
            ),
            (
                "r.example:5000",
                None,
                "https://r.example:5000",
                8080,
                "127.0.0.1:5001",
                "r.example:5000 /v2/token registry",
            ),
            (
                "r.example:8080",
                Some("https://a.example/x"),
                "https://a.example/x",
                8081,
                "127.0.0.1:5000",
                "r.example:8080 - registry, a.example /x/v2/token",
            ),
            (
                "r.example",
                Some("https://r.example:443"),
                "https://r.example:443",
                8080,
                "127.0.0.1:5000",
                "r.example /v2/token registry",
            ),
            ("localhost:5000", Some("https://a.b"), "https://a.b", 8080, "127.0.0.1:5000", "a.b /v2/token"),
        ] {
            let plan = plan(name, url);
            let shown = |site: &Site| {
                let token = site.token.as_deref().unwrap_or("-");
                format!("{} {token}{}", site.address, if site.registry { " registry" } else { "" })
            };
            let shown = plan.sites.iter().map(shown).collect::<Vec<_>>().join(", ");
            assert_eq!(
                (&*plan.url, plan.port, &*plan.backend.to_string(), &*shown),
                (expected_url, port, backend, sites),
                "{name} {url:?}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "a b.c",
            "https://a.b",
            "a.b/c",
            "a.b:",
            "a.b:0",
            "a.b:70000",
            "a..b",
            "-a.b",
            "[::1",
            "[x]:5",
            "registry",
            "a.b:5:6",
            "::1",
        ] {
            assert!(registry(text).is_err(), "{text}");
        }
        for text in ["a.example", "A.b:1", "registry:443", "localhost", "[2001:db8::1]:5000", "10.0.0.1:5000"]
        {
            assert_eq!(registry(text).unwrap().to_string(), text);
        }
        for text in [
            "a.b",
            "ftp://a.b",
            "https://",
            "https:///x",
            "https://a.b?x",
            "https://u@a.b",
            "https://a.b;x",
            "https://a.b/*",
            "https://a.b/$x",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        let error = url("https://alice:sesame@a.b").unwrap_err().to_string();
        assert!(!error.contains("sesame"), "{error}");
    }
}
