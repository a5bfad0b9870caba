//! An authority and a certificate for a network without a public name: `init --self-signed`.
//!
//! Owns what both say, and where clients want the authority. Decision: the authority can vouch for the names of
//! this one service and for nothing else (RFC 5280, 4.2.1.10), because people put such a thing into the trust
//! store of a whole machine, and its key then must not be a key to every site.

use super::plan::{Asked, Plan};
use crate::cli::error::Error;
use crate::ground::disk::{self, Disk, PRIVATE, PUBLIC, System};
use crate::ground::net::host_of;
use crate::ground::time::{UnixTime, civil};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// Ten years: replacing the authority means a visit to every client.
const AUTHORITY_DAYS: i64 = 3653;
/// The longest that Apple's clients take from public authorities, less one: nobody takes less.
const SERVER_DAYS: i64 = 397;

/// Both certificates and their keys, as PEM.
struct Certificates {
    authority: String,
    authority_key: Zeroizing<String>,
    server: String,
    server_key: Zeroizing<String>,
}

/// Writes `tls/` into the folder.
pub(super) fn write(folder: &Path, plan: &Plan, now: UnixTime) -> Result<(), Error> {
    let tls = folder.join("tls");
    let made = make(&hosts(plan), now)
        .map_err(|error| Error::file("make a certificate for", &tls, io::Error::other(error)))?;
    System.create_folder(&tls, 0o755).map_err(|source| Error::file("create", &tls, source))?;
    for (name, mode, text) in [
        ("ca.crt", PUBLIC, made.authority.as_str()),
        ("ca.key", PRIVATE, &made.authority_key),
        ("server.crt", PUBLIC, &made.server),
        ("server.key", PRIVATE, &made.server_key),
    ] {
        let path = tls.join(name);
        disk::write_new(&System, &path, mode, text.as_bytes())
            .map_err(|source| Error::file("write", &path, source))?;
    }
    System.sync_folder(&tls).map_err(|source| Error::file("sync", &tls, source))
}

/// Where clients want the authority, and what it is worth.
pub(super) fn trust(plan: &Plan) -> String {
    let Asked { registry, folder, .. } = &plan.asked;
    let hosts = hosts(plan).join(" and ");
    format!(
        "\nclients must trust the authority {authority}. Copy it to each of them, by a way that nobody else can \
         change:\n  \
           docker          /etc/docker/certs.d/{registry}/ca.crt\n  \
           podman, skopeo  /etc/containers/certs.d/{registry}/ca.crt\n  \
           containerd      /etc/containerd/certs.d/{registry}/hosts.toml, with the path of the copy:\n  \
           \x20               [host.\"https://{registry}\"]\n  \
           \x20                 ca = \"/etc/containerd/certs.d/{registry}/ca.crt\"\n  \
           the system      Debian: /usr/local/share/ca-certificates/keypebble.crt, then update-ca-certificates\n  \
           \x20               Fedora: /etc/pki/ca-trust/source/anchors/keypebble.crt, then update-ca-trust\n\n\
         what it is worth: a client that has it knows this server from impostors, and nobody on the network reads\n\
         along. It vouches for {hosts} and nothing else, for ten years; the server's certificate ends after {days}\n\
         days. Keep {folder}/tls/ca.key off this host: only a new certificate needs it (docs/quickstart-tls.md).\n",
        authority = folder.join("tls/ca.crt").display(),
        days = SERVER_DAYS,
        folder = folder.display(),
    )
}

/// The hosts of the registry and of the address where clients get tokens.
fn hosts(plan: &Plan) -> Vec<String> {
    let authority = |url: &'_ str| {
        url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default().to_owned()
    };
    let both = [plan.asked.registry.to_string(), authority(&plan.url)];
    let mut hosts: Vec<String> = both.iter().filter_map(|name| host_of(name)).map(str::to_owned).collect();
    hosts.dedup();
    hosts
}

fn make(hosts: &[String], now: UnixTime) -> Result<Certificates, rcgen::Error> {
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = named("Keypebble authority", &[], now, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(only_for(hosts));
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::from_params(&params, &authority_key);

    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = named("Keypebble server", hosts, now, SERVER_DAYS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = params.signed_by(&server_key, &issuer)?;
    Ok(Certificates {
        authority: authority.pem(),
        authority_key: Zeroizing::new(authority_key.serialize_pem()),
        server: server.pem(),
        server_key: Zeroizing::new(server_key.serialize_pem()),
    })
}

/// Valid from yesterday, for clocks that are behind.
fn named(name: &str, hosts: &[String], now: UnixTime, days: i64) -> Result<CertificateParams, rcgen::Error> {
    let date = |day: i64| {
        let (year, month, day) = civil(day);
        let small = |number: i64| u8::try_from(number).unwrap_or(1);
        date_time_ymd(i32::try_from(year).unwrap_or(i32::MAX).min(9999), small(month), small(day))
    };
    let today = now.0.div_euclid(86_400);
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date(today - 1), date(today + days - 1));
    Ok(params)
}

/// These names and addresses. Of a kind of which there is none, none at all: a constraint on names says nothing
/// of addresses, nor the other way round.
fn only_for(hosts: &[String]) -> NameConstraints {
    let mut excluded = Vec::new();
    let (addresses, names): (Vec<&String>, Vec<&String>) =
        hosts.iter().partition(|host| host.parse::<IpAddr>().is_ok());
    if addresses.is_empty() {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)));
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)));
    }
    if names.is_empty() {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    let addresses = addresses.into_iter().filter_map(|host| host.parse::<IpAddr>().ok());
    let alone = |address: IpAddr| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
    };
    let names = names.into_iter().cloned().map(GeneralSubtree::DnsName);
    let permitted = names.chain(addresses.map(alone)).collect();
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}
