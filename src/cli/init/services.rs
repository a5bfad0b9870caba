//! What `keypebble init` writes to run it all: containers, a system service, and a front with TLS.
//!
//! Owns the text of compose.yaml, the systemd unit, Caddyfile and nginx.conf. Decision: a front passes on the token
//! endpoint and the registry's own paths, and nothing else: `/auth` and `/metrics` stay on this host.

use super::files::string;
use super::plan::{Plan, Site};
use std::fmt::Write as _; // to a String: cannot fail

/// The fields with which a proxy says who a user is. These fronts do not know, so a client's are dropped.
const PROXY_FIELDS: [&str; 3] = ["X-Authenticated-User", "X-Scopes", "X-Policy-Generate"];

/// `Caddyfile`
pub(super) fn caddy(plan: &Plan) -> String {
    let mut text =
        "# The front with TLS: caddy run --config Caddyfile. It gets its certificates by itself.\n"
            .to_owned();
    for site in &plan.sites {
        let _ = write!(
            text,
            "\n{} {{\n\
             \t# With a certificate of your own:\n\
             \t# tls /path/to/fullchain.pem /path/to/privkey.pem\n",
            site.address
        );
        if let Some(path) = &site.token {
            let inner = if path == "/v2/token" { "" } else { "\t\trewrite * /v2/token\n" };
            let drop = PROXY_FIELDS.map(|field| format!("\t\t\theader_up -{field}\n")).concat();
            let _ = write!(
                text,
                "\n\thandle {path} {{\n{inner}\t\treverse_proxy 127.0.0.1:{} {{\n\
                 \t\t\t# Who a user is, Keypebble finds out: what a client says of it is dropped.\n{drop}\
                 \t\t}}\n\t}}\n",
                plan.port
            );
        }
        if site.registry {
            let _ = write!(text, "\n\thandle /v2/* {{\n\t\treverse_proxy {}\n\t}}\n", plan.backend);
        }
        text += "\n\t# Nothing else is passed on.\n\thandle {\n\t\trespond 404\n\t}\n}\n";
    }
    text
}

/// `nginx.conf`
pub(super) fn nginx(plan: &Plan) -> String {
    let mut text =
        "# The front with TLS: link this into /etc/nginx/conf.d, where nginx.conf of a distribution\n\
        # includes it inside of `http`, and reload nginx.\n"
            .to_owned();
    for site in &plan.sites {
        let Site { address, token, registry } = site;
        let _ = write!(
            text,
            "\nserver {{\n    listen {} ssl;\n    server_name {};\n\n\
             \x20   # Where certbot puts them.\n\
             \x20   ssl_certificate     /etc/letsencrypt/live/{host}/fullchain.pem;\n\
             \x20   ssl_certificate_key /etc/letsencrypt/live/{host}/privkey.pem;\n\n\
             \x20   # Layers have any size, and are not kept on disk here.\n\
             \x20   client_max_body_size    0;\n\
             \x20   proxy_buffering         off;\n\
             \x20   proxy_request_buffering off;\n\
             \x20   proxy_http_version      1.1;\n",
            address.port.unwrap_or(443),
            address.host,
            host = address.host,
        );
        if let Some(path) = token {
            let drop = PROXY_FIELDS.map(|field| format!("        proxy_set_header {field} \"\";\n")).concat();
            let _ = write!(
                text,
                "\n    location = {path} {{\n\
                 \x20       proxy_pass http://127.0.0.1:{}/v2/token;\n\
                 \x20       proxy_set_header Connection \"\";\n\
                 \x20       proxy_set_header Host $http_host;\n\
                 \x20       # Which client it is.\n\
                 \x20       proxy_set_header X-Forwarded-For $remote_addr;\n\
                 \x20       # Who a user is, Keypebble finds out: what a client says of it is dropped.\n{drop}    }}\n",
                plan.port
            );
        }
        if *registry {
            let _ = write!(
                text,
                "\n    location /v2/ {{\n\
                 \x20       proxy_pass http://{};\n\
                 \x20       proxy_set_header Connection \"\";\n\
                 \x20       proxy_set_header Host $http_host;\n\
                 \x20       proxy_set_header X-Forwarded-Proto https;\n\
                 \x20       proxy_read_timeout 900;\n\
                 \x20   }}\n",
                plan.backend
            );
        }
        text += "\n    # Nothing else is passed on.\n    location / {\n        return 404;\n    }\n}\n";
    }
    text
}

/// `compose.yaml`
pub(super) fn compose(plan: &Plan) -> String {
    let (user, group) = plan.asked.owner;
    // Compose reads `$` as a variable's.
    let path = |name: &str| string(&plan.path(name).display().to_string().replace('$', "$$"));
    let fronted = !plan.sites.is_empty();
    let registry_port = plan.backend.port.unwrap_or_default();
    let (front, own, registry) = if fronted {
        let mut ports: Vec<u16> = plan.sites.iter().map(|site| site.address.port.unwrap_or(443)).collect();
        ports.push(80); // where Let's Encrypt asks
        ports.sort_unstable();
        ports.dedup();
        let ports = ports.iter().map(|port| format!("\"{port}:{port}\"")).collect::<Vec<_>>().join(", ");
        // One network for all three, so that the addresses of Caddyfile, config.yaml and the registry fit.
        let shared = "    network_mode: \"service:front\"\n".to_owned();
        (
            format!(
                "  front:\n    image: docker.io/library/caddy:2\n    ports: [{ports}]\n    volumes:\n\
                 \x20     - {{type: bind, source: ./Caddyfile, target: /etc/caddy/Caddyfile, read_only: true}}\n\
                 \x20     - {{type: volume, source: certificates, target: /data}}\n\
                 \x20   restart: unless-stopped\n\n"
            ),
            shared.clone(),
            shared,
        )
    } else {
        let host = if plan.asked.self_signed { "" } else { "127.0.0.1:" };
        let address = |port: u16| format!("    ports: [\"{host}{port}:{port}\"]\n");
        (
            String::new(),
            format!(
                "    command: [serve, --config, /etc/keypebble/config.yaml, --listen, \"0.0.0.0:{}\"]\n{}",
                plan.port,
                address(plan.port)
            ),
            format!(
                "    environment: {{REGISTRY_HTTP_ADDR: \"0.0.0.0:{registry_port}\", OTEL_TRACES_EXPORTER: none}}\n{}",
                address(registry_port)
            ),
        )
    };
    let certificates = if plan.asked.self_signed {
        ["tls/server.crt", "tls/server.key"]
            .map(|name| {
                format!("      - {{type: bind, source: ./{name}, target: {}, read_only: true}}\n", path(name))
            })
            .concat()
    } else {
        String::new()
    };
    let quiet = if fronted { "    environment: {OTEL_TRACES_EXPORTER: none}\n" } else { "" };
    let volumes = if fronted { "\nvolumes:\n  certificates: {}\n" } else { "" };
    format!(
        "# Keypebble and a registry in containers: docker compose up -d, in this folder. The image of Keypebble is\n\
         # built once, in its repository: docker build -t localhost/keypebble -f Containerfile .\n\
         services:\n{front}\
         \x20 keypebble:\n    image: localhost/keypebble\n    pull_policy: never\n\
         \x20   # Whose folder this is: nobody else may read the keys.\n    user: \"{user}:{group}\"\n{own}\
         \x20   volumes:\n\
         \x20     # The folder and not the files in it: a file that is replaced would stay the old one.\n\
         \x20     - {{type: bind, source: ., target: /etc/keypebble, read_only: true}}\n\
         \x20   read_only: true\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n\
         \x20   healthcheck:\n\
         \x20     test: [CMD, /keypebble, healthcheck, --config, /etc/keypebble/config.yaml]\n\
         \x20   restart: unless-stopped\n\n\
         \x20 registry:\n    image: docker.io/library/registry:3\n    command: [{}]\n{registry}{quiet}\
         \x20   volumes:\n\
         \x20     - {{type: bind, source: ./registry, target: {}, read_only: true}}\n\
         \x20     - {{type: bind, source: ./images, target: {}}}\n{certificates}\
         \x20   restart: unless-stopped\n{volumes}",
        path("registry/config-3.yml"),
        path("registry"),
        path("images"),
    )
}

/// `keypebble.service`
pub(super) fn unit(plan: &Plan) -> String {
    let (user, group) = plan.asked.owner;
    let root = if user == 0 {
        "# This folder is root's, so the service is, too, though without a capability. Better is a user of its own:\n\
         # useradd --system keypebble, chown -R keypebble: this folder, and that user below.\n"
    } else {
        ""
    };
    format!(
        "# Keypebble with this folder. Install:\n#\n\
         #   sudo cp keypebble.service /etc/systemd/system/\n\
         #   sudo systemctl daemon-reload\n\
         #   sudo systemctl enable --now keypebble\n\n\
         [Unit]\nDescription=Keypebble token issuer\nAfter=network.target\n\n\
         [Service]\nExecStart={} serve --config {}\n\
         # `systemctl reload` has the files read again at once; a change is noticed within seconds without it.\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         {root}User={user}\nGroup={group}\n\
         Restart=on-failure\n\
         # A rejected configuration stays rejected.\nRestartPreventExitStatus=2 3\nTimeoutStopSec=10\n\n\
         # Nothing is written, and the folder may be anybody's home.\n\
         ProtectSystem=strict\nProtectHome=read-only\n{HARDENING}\n\
         [Install]\nWantedBy=multi-user.target\n",
        unit_word(&plan.asked.program.display().to_string()),
        unit_word(&plan.path("config.yaml").display().to_string()),
    )
}

const HARDENING: &str = "\
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
";

/// One word of a command line in a unit (systemd.service, systemd.unit: quotes, `%` and `$`).
fn unit_word(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$"))
}
