//! A panic in the handler, in the binary that ships, which has no way to be made to panic: gdb does it, by
//! turning the call of the handler into a call of `core::panicking::panic`.

use super::*;
use std::path::Path;
use std::process::Stdio;

/// What gdb does once it is attached, as x86-64 passes arguments: waits for the handler to be called, and
/// goes on in `panic(message, location)` with the caller, whose call must unwind, as it is.
fn script(base: u64, symbols: &str, armed: &Path) -> String {
    let address = |what: &str, is_it: fn(&str) -> bool| {
        let named = symbols.lines().filter_map(|line| Some((line.get(..16)?, line.get(19..)?)));
        let found: Vec<&str> = named.filter(|(_, name)| is_it(name)).map(|(address, _)| address).collect();
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        base + u64::from_str_radix(found[0], 16).unwrap()
    };
    let is_handler =
        |name: &str| name.starts_with("<keypebble::http::Service as ") && name.ends_with("Handler>::handle");
    format!(
        r#"
break *{handler:#x}
shell touch {armed}
continue
delete
set $place = ((char *(*)(long)) {malloc:#x})(128)
set {{char[8]}} $place = "by gdb."
set {{long}} ($place + 64) = $place
set {{long}} ($place + 72) = 7
set {{int}} ($place + 80) = 1
set {{int}} ($place + 84) = 1
set $rdi = $place
set $rsi = 7
set $rdx = $place + 64
set $pc = {panic:#x}
detach
"#,
        armed = armed.display(),
        handler = address("the handler", is_handler),
        malloc = address("malloc", |name| name == "malloc"),
        panic = address("the panic", |name| name == "core::panicking::panic"),
    )
}

/// Where the process has its binary's first byte.
fn base(server: &Server) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let first = maps.lines().find(|line| line.contains(" 00000000 ") && line.contains('/'));
    u64::from_str_radix(first.expect("its binary").split('-').next().unwrap(), 16).unwrap()
}

#[test]
#[ignore = "needs gdb, and KEYPEBBLE_SYMBOLS, the static KEYPEBBLE_BIN before it was stripped: see .ci/run"]
fn a_panic_in_the_handler_is_answered_with_500_and_the_next_request_as_ever() {
    let symbols = std::env::var("KEYPEBBLE_SYMBOLS").expect("KEYPEBBLE_SYMBOLS");
    let symbols = common::output("nm", &["-C", &symbols], "");
    let server = Server::run(&mut serve(&folder(TCP)));
    right(&server.get(TARGET, &[ALICE]));

    let folder = Folder::new();
    let armed = folder.join("armed");
    let script = script(base(&server), std::str::from_utf8(&symbols).unwrap(), &armed);
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-p", &server.pid().to_string(), "-x"]).arg(folder.write("script", &script));
    gdb.stdin(Stdio::null()).stdout(Stdio::null());
    let mut gdb = Killed(gdb.spawn().expect("gdb"));
    until("gdb waits for a call of the handler", || armed.exists());

    let answer = server.get(TARGET, &[ALICE]);
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(!answer.body.contains("gdb"), "{answer:?}");
    assert!(gdb.0.wait().unwrap().success());
    for _ in 0..3 {
        right(&server.get(TARGET, &[ALICE]));
    }
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("by gdb."), "{log}");
    assert_eq!(log.matches("what=handler_panicked").count(), 1, "{log}");
}
