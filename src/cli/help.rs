//! The usage texts.

/// `keypebble --help`
pub(super) const MAIN: &str = "\
Keypebble issues tokens: JWTs for services, and the Docker registry token protocol.

Usage: keypebble COMMAND [FLAGS]

Commands:
  issue        Print one signed token
  serve        Answer HTTP: /auth, /v2/token, /healthz, /metrics
  check        Load the configuration and the policy, and say what was found
  healthcheck  Ask a running server whether it is well

Flags:
  -h, --help     Print help; with a command, that command's
  -V, --version  Print the version

Exit codes:
  0  done
  1  the operation failed
  2  the command line is wrong
  3  the configuration, the policy or a key is rejected
  4  refused by the policy

Examples:
  keypebble issue --config config.yaml --claims '{\"sub\": \"alice\"}'
  keypebble serve --config config.yaml --policy policy.yaml
";

/// `keypebble issue --help`
pub(super) const ISSUE: &str = "\
Print one signed token and a newline on stdout, nothing else.

Usage: keypebble issue --config PATH [--claims JSON|@FILE|-] [--policy PATH] [--generate]
                       [--ttl SECONDS] [--audience AUD]

Flags:
  --config PATH    The configuration file (YAML)
  --claims JSON    Claims as a JSON object; @FILE reads them from a file, - from standard input
  --policy PATH    A policy file: `scope` and `access` keep only what it grants the user
  --generate       Take all that the policy gives the user, whatever the claims ask
  --ttl SECONDS    How long the token lives, 1 s to ten years
  --audience AUD   `aud` of the token, instead of the configuration's `audience`
  -h, --help       Print this help

The user is `sub`, else `user`, else `unknown`. The claims iss, aud, iat, nbf, exp and jti are the
issuer's own. With a policy and neither `scope` nor `access` asked, --generate is understood.

Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, policy or key rejected, 4 refused by the policy.

Examples:
  keypebble issue --config config.yaml --claims '{\"sub\": \"alice\"}'
  keypebble issue --config config.yaml --policy policy.yaml \\
    --claims '{\"sub\": \"alice\", \"scope\": \"repository:alice-space/app-api:pull,push\"}'
  keypebble issue --config config.yaml --policy policy.yaml --generate --claims '{\"sub\": \"alice\"}'
";

/// `keypebble serve --help`
pub(super) const SERVE: &str = "\
Answer HTTP: GET /healthz, POST /auth, GET /v2/token, GET /metrics.

Usage: keypebble serve --config PATH [--policy PATH]

Flags:
  --config PATH  The configuration file (YAML); `service.host` and `service.port` say where to listen
  --policy PATH  The policy file; without it /etc/keypebble/policy.yaml if that is there, else nothing
                 is granted (`policy: none` in the configuration grants all that is asked)
  -h, --help     Print this help

It prints one line with the address it listens on, then one line for each request and each token, on
stderr. SIGTERM and SIGINT finish what is in flight and end it with 0.

Exit codes: 0 stopped by a signal, 1 failed, 2 usage, 3 configuration, policy or key rejected.

Example:
  keypebble serve --config config.yaml --policy policy.yaml
";

/// `keypebble check --help`
pub(super) const CHECK: &str = "\
Load the configuration, the key and the policy as serve would; print what was found and every warning.

Usage: keypebble check --config PATH [--policy PATH]

Flags:
  --config PATH  The configuration file (YAML)
  --policy PATH  The policy file; without it as for serve
  -h, --help     Print this help

Exit codes: 0 serve would start, 2 usage, 3 serve would refuse.
";

/// `keypebble healthcheck --help`
pub(super) const HEALTHCHECK: &str = "\
Ask the server of this configuration, on this host, for GET /healthz: for a container without curl.

Usage: keypebble healthcheck --config PATH

Flags:
  --config PATH  The configuration file (YAML); `service.host` and `service.port` say where to ask
  -h, --help     Print this help

Exit codes: 0 healthy, 1 not healthy, 2 usage, 3 configuration rejected.
";

/// `keypebble --version`
pub(super) fn version() -> String {
    concat!("keypebble ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}
