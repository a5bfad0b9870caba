//! What `keypebble init` prints: every command from here to the first push, as it can be pasted.
//!
//! Owns the text. Decision: no word is a placeholder but the image; passwords are asked for by the programs.

use super::plan::{PASSWORDS, Plan};
use crate::cli::keys::quoted;
use crate::diagnosis::verdict::Program;
use crate::ground::text::word;
use crate::tls::ENABLED;
use std::fmt::Write as _;

/// An image that anybody can have.
const IMAGE: &str = "docker.io/library/alpine:3";

/// What is printed when all is made; `trust` says what clients must be given first, if anything.
pub(super) fn next(plan: &Plan, trust: &str) -> String {
    let path = |name: &str| quoted(&plan.path(name));
    let program = &plan.asked.command;
    let config = path("config.yaml");
    let mut text = format!(
        "made {}: {} keys, configuration, policy, users, and what a registry needs\n",
        plan.asked.folder.display(),
        plan.asked.algorithm
    );
    let mut step = 0;
    let mut say = |title: &str, lines: &[String]| {
        step += 1;
        let _ = writeln!(text, "\n{step}. {title}"); // to a String: cannot fail
        for line in lines {
            let _ = writeln!(text, "   {line}");
        }
    };
    if !PASSWORDS {
        say(
            "this build checks no passwords: put a proxy in front that does and sets X-Authenticated-User",
            &["see docs/proxy-logins.md".to_owned()],
        );
    } else if !plan.asked.has_password {
        say(
            &format!("set the password of {}", plan.asked.user),
            &[format!("{program} user set {} --config {config}", word(&plan.asked.user))],
        );
    }
    say("start Keypebble, which goes on until Ctrl-C", &[format!("{program} serve --config {config}")]);
    say("in another terminal, start a registry: one of", &registries(plan));
    if !plan.sites.is_empty() {
        say(
            &format!("in another terminal, start a front with TLS for {}: one of", plan.asked.registry),
            &[
                format!("sudo caddy run --config {}", path("Caddyfile")),
                format!(
                    "sudo ln -s {} /etc/nginx/conf.d/keypebble.conf && sudo nginx -s reload",
                    path("nginx.conf")
                ),
            ],
        );
    }
    if !trust.is_empty() {
        say("on every client, once", &trust.trim().lines().map(str::to_owned).collect::<Vec<_>>());
    }
    say(&format!("push as {}, with one of", plan.asked.user), &clients(plan));
    say(
        "if it does not work",
        &[format!(
            "{program} doctor --config {config} --registry-config {} --for registry-3{}",
            path("registry/config-3.yml"),
            asking(plan)
        )],
    );
    let _ = writeln!(
        text,
        "\nto start all of it with containers instead, once there is an image of Keypebble (docs/compose.md):\n   \
         docker compose -f {} up -d\n\
         to run Keypebble as a service: the head of {} says how",
        path("compose.yaml"),
        path("keypebble.service"),
    );
    text
}

/// What lets `doctor` ask the registry as a client does, in a build that can.
fn asking(plan: &Plan) -> String {
    if !ENABLED {
        return String::new();
    }
    let scheme = if plan.is_plain() { "http" } else { "https" };
    let authority = quoted(&plan.path("tls/ca.crt"));
    let authority = if plan.asked.self_signed { format!(" --ca {authority}") } else { String::new() };
    format!(" --url {scheme}://{}{authority}", plan.asked.registry)
}

fn registries(plan: &Plan) -> Vec<String> {
    let path = |name: &str| quoted(&plan.path(name));
    let port = plan.backend.port.unwrap_or_default();
    let two = if Program::Registry28.takes(plan.asked.algorithm) {
        format!("docker-registry serve {}", path("registry/config-2.8.yml"))
    } else {
        format!("(distribution 2.8 does not accept {})", plan.asked.algorithm)
    };
    let mount = |name: &str, mode: &str| word(&format!("{0}:{0}{mode}", plan.path(name).display()));
    let own = if plan.asked.self_signed { &["tls/server.crt", "tls/server.key"][..] } else { &[] };
    let certificates: Vec<String> = own.iter().map(|name| format!(" -v {}", mount(name, ":ro"))).collect();
    let certificates = certificates.concat();
    vec![
        format!(
            "docker run --rm -p {host}:{port}:{port} -e REGISTRY_HTTP_ADDR=0.0.0.0:{port} -e OTEL_TRACES_EXPORTER=none \\",
            host = plan.backend.host,
        ),
        format!("  -v {} -v {}{certificates} \\", mount("registry", ":ro"), mount("images", "")),
        format!("  docker.io/library/registry:3 {}", path("registry/config-3.yml")),
        two,
        format!("OTEL_TRACES_EXPORTER=none registry serve {}", path("registry/config-3.yml")),
        format!("zot serve {}", path("registry/zot.json")),
    ]
}

/// Log in and push, for each client, with what it needs to be told of a registry without TLS.
fn clients(plan: &Plan) -> Vec<String> {
    let (registry, user) = (&plan.asked.registry, word(&plan.asked.user));
    let target = format!("{registry}/{}/app:1", plan.namespace());
    let plain = plan.is_plain();
    let flag = |flag: &'static str| if plain { flag } else { "" };
    let (verify, insecure) = (flag(" --tls-verify=false"), flag(" --insecure-registry"));
    let (podman, skopeo) = (verify, flag(" --dest-tls-verify=false"));
    let mut lines = Vec::new();
    for (program, login, push) in [("docker", "", ""), ("podman", podman, podman)] {
        lines.push(format!("{program} login{login} -u {user} {registry}"));
        lines.push(format!("{program} pull {IMAGE}"));
        lines.push(format!("{program} tag {IMAGE} {target}"));
        lines.push(format!("{program} push{push} {target}"));
    }
    lines.push(format!("skopeo login{verify} -u {user} {registry}"));
    lines.push(format!("skopeo copy{skopeo} docker://{IMAGE} docker://{target}"));
    lines.push(format!("nerdctl{insecure} login -u {user} {registry}"));
    lines.push(format!("nerdctl pull {IMAGE}"));
    lines.push(format!("nerdctl tag {IMAGE} {target}"));
    lines.push(format!("nerdctl{insecure} push {target}"));
    lines
}
