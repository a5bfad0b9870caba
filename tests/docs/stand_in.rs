//! `curl` and `jq` for a machine that has neither: this test program, run again.
//!
//! Only what the documentation uses of them; with real programs at hand the same blocks run with those.

use crate::common::exchange;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::Path;

/// Names the file that has the arguments, each ended by a NUL.
const ARGUMENTS: &str = "DOCUMENTATION_STAND_IN";

/// Puts both beside `keypebble`. libtest writes on standard output, so what is printed goes through a file.
pub(crate) fn install(programs: &Path) {
    let test = std::env::current_exe().unwrap();
    for name in ["curl", "jq"] {
        let script = format!(
            "#!/bin/sh\nset -eu\nat=$(mktemp)\nprintf '%s\\0' {name} \"$@\" >\"$at\"\nstatus=0\n\
             [ {name} = curl ] || cat >\"$at.in\"\n\
             {ARGUMENTS}=\"$at\" '{}' --exact --ignored stand_in::runs_as_another_program >\"$at.log\" 2>&1 \
             || {{ cat \"$at.log\" >&2; status=22; }}\n\
             cat \"$at.out\" 2>/dev/null || :\nrm -f \"$at\" \"$at.in\" \"$at.out\" \"$at.log\"\nexit $status\n",
            test.display()
        );
        let path = programs.join(name);
        std::fs::write(&path, script).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

#[test]
#[ignore = "is run by the shell scripts of `install`, and does nothing without them"]
fn runs_as_another_program() {
    let Ok(at) = std::env::var(ARGUMENTS) else { return };
    let arguments = std::fs::read_to_string(&at).unwrap();
    let mut arguments = arguments.split_terminator('\0');
    let printed = match arguments.next() {
        Some("curl") => curl(arguments),
        Some("jq") => jq(arguments, &std::fs::read_to_string(format!("{at}.in")).unwrap()),
        other => panic!("{other:?}"),
    };
    std::fs::write(format!("{at}.out"), printed).unwrap();
}

fn curl<'a>(mut arguments: impl Iterator<Item = &'a str>) -> String {
    let (mut method, mut url, mut headers, mut body) = (None, "", Vec::new(), Vec::new());
    let (mut fails, mut head) = (false, false);
    let mut split;
    while let Some(argument) = arguments.next() {
        match argument {
            "-X" => method = arguments.next(),
            "-H" => {
                split = arguments.next().unwrap().split_once(": ").unwrap();
                headers.push((split.0.to_owned(), split.1.to_owned()));
            }
            "-d" => body.push(arguments.next().unwrap()),
            "-u" => {
                let encoded = crate::common::encode::base64(arguments.next().unwrap().as_bytes());
                headers.push(("Authorization".to_owned(), format!("Basic {encoded}")));
            }
            flags if flags.starts_with('-') => {
                assert!(flags[1..].chars().all(|flag| "sSfi".contains(flag)), "{flags}");
                fails |= flags.contains('f');
                head |= flags.contains('i');
            }
            target => url = target,
        }
    }
    let url = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = url.split_once('/').unwrap_or((url, ""));
    let body = (!body.is_empty()).then(|| body.join("&"));
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if body.is_some() && !typed {
        headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let stream = TcpStream::connect(authority.replace("localhost", "127.0.0.1")).unwrap();
    let answer = exchange(stream, method, &format!("/{path}"), &headers, body.as_deref());
    assert!(!fails || answer.status < 400, "{answer:?}");
    let mut printed = String::new();
    if head {
        let _ = writeln!(printed, "HTTP/1.1 {}", answer.status);
        for (name, value) in &answer.headers {
            let _ = writeln!(printed, "{name}: {value}");
        }
        printed.push('\n');
    }
    printed + &answer.body
}

fn jq<'a>(arguments: impl Iterator<Item = &'a str>, input: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(input).unwrap();
    let arguments: Vec<&str> = arguments.collect();
    match arguments[..] {
        ["-S", "."] => format!("{value:#}\n"),
        ["-r", path] => {
            let found = path.split('.').skip(1).fold(&value, |value, name| &value[name]);
            format!("{}\n", found.as_str().map_or_else(|| found.to_string(), str::to_owned))
        }
        _ => panic!("jq {arguments:?}"),
    }
}
