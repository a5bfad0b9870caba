//! Killed in the middle of answers, and started again. `cargo bench --bench fire -- restarts` does it
//! thousands of times.

use super::*;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

#[test]
fn after_a_kill_it_starts_again_on_the_same_socket_or_port() {
    let port = common::free_port();
    let folders = [folder(&format!("host: 127.0.0.1, port: {port}")), Folder::new()];
    let socket = folders[1].path().join("socket");
    folders[1].write("policy.yaml", POLICY);
    configure(
        &folders[1],
        "hs256_secret: 0123456789abcdef0123456789abcdef",
        &format!("host: 'unix:{}'", socket.display()),
    );
    let mut ids = std::collections::HashSet::new();
    for round in 0..6 {
        let server = Server::run(&mut serve(&folders[0]));
        let claims = right(&server.get(TARGET, &[ALICE]));
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()), "an id came twice");
        let _unfinished = server.connect();
        drop(server); // SIGKILL

        assert_eq!(socket.exists(), round > 0, "it was left behind");
        let _child = Killed(serve(&folders[1]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("it listens", || UnixStream::connect(&socket).is_ok());
        let stream = UnixStream::connect(&socket).unwrap();
        let claims = right(&common::exchange(stream, "GET", TARGET, &[ALICE], None));
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()), "an id came twice");
    }
}
