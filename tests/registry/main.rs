//! Owns the proof that real programs take Keypebble's tokens: docker-registry 2.8 and distribution 3,
//! nginx with a password file, skopeo and crane, with the real binary between them; and, in `passwords`, that
//! without nginx podman, containerd and docker are served too.
//!
//! Ignored in a plain `cargo test`, which needs nothing but Rust; `.ci/run` installs the programs and runs
//! them. Every check brings up its own registry on loopback, so that none depends on another: what one
//! costs (about a second) is less than what an order between them would cost the reader.
//!
//!     apt-get install -y --no-install-recommends docker-registry nginx skopeo openssl podman docker.io
//!     cargo test --features full --test registry -- --ignored
//!
//! distribution 3 (`registry`), `crane` and `zot-verdict` (`zot/main.go`) are taken from PATH. A check whose program
//! is missing fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a test has to say")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod compose;
#[cfg(feature = "passwords")]
mod engines;
mod environment;
mod guarded;
mod image;
mod init;
mod judges;
mod keys;
#[cfg(feature = "passwords")]
mod passwords;
mod process;
mod smuggling;
mod spellings;
mod stage;
mod tokens;
mod tools;
mod trusts;
mod verdicts;
mod world;
#[cfg(feature = "tls")]
mod wrong;

use client::{ALICE, BOB, CAROL, Crane, NOBODY, Skopeo};
use keys::{Algorithm, KeyId};
use stage::{Generation, Plan, Stage, Trust};

/// A test for each of these checks, on each of these stages.
macro_rules! guarded_registries {
    ($checks:tt $($name:ident: $plan:expr;)+) => {$(
        mod $name {
            use super::*;
            guarded_registry!($plan, $checks);
        }
    )+};
}

macro_rules! guarded_registry {
    ($plan:expr, [$($check:ident,)+]) => {$(
        #[test]
        #[ignore = "needs docker-registry or distribution 3, nginx and skopeo: see .ci/run"]
        fn $check() {
            guarded::$check(&Stage::up(&$plan));
        }
    )+};
}

guarded_registries! {
    [
        login_is_accepted,
        a_wrong_password_is_refused,
        a_push_is_accepted,
        a_pull_brings_the_same_bytes_back,
        a_pull_only_user_may_pull_and_not_push,
        anothers_repository_is_refused,
        a_copy_across_repositories_mounts_the_layers,
        a_push_goes_on_where_the_mount_source_may_not_be_read,
        delete_is_accepted_where_it_is_granted,
        delete_is_refused_where_it_is_not_granted,
        an_anonymous_request_is_refused,
    ]
    registry2_rs256_kid: Plan::new(Generation::V2, Algorithm::Rs256, KeyId::Kid, Trust::Bundle);
    registry2_rs256_x5c: Plan::new(Generation::V2, Algorithm::Rs256, KeyId::X5c, Trust::Bundle);
    registry2_es256_kid: Plan::new(Generation::V2, Algorithm::Es256, KeyId::Kid, Trust::Bundle);
    registry2_es256_x5c: Plan::new(Generation::V2, Algorithm::Es256, KeyId::X5c, Trust::Bundle);
    registry3_rs256_jwks: Plan::new(Generation::V3, Algorithm::Rs256, KeyId::Kid, Trust::Jwks);
    registry3_es256_jwks: Plan::new(Generation::V3, Algorithm::Es256, KeyId::Kid, Trust::Jwks);
    registry3_eddsa_jwks: Plan::new(Generation::V3, Algorithm::EdDsa, KeyId::Kid, Trust::Jwks);
    registry3_rs256_x5c: Plan::new(Generation::V3, Algorithm::Rs256, KeyId::X5c, Trust::Bundle);
    registry3_es256_x5c: Plan::new(Generation::V3, Algorithm::Es256, KeyId::X5c, Trust::Bundle);
}

/// What a second, unrelated client sees: its own login, challenge parsing, mounts and error texts.
macro_rules! crane {
    ($($name:ident: $plan:expr;)+) => {$(
        #[test]
        #[ignore = "needs docker-registry or distribution 3, nginx and crane: see .ci/run"]
        fn $name() {
            let stage = Stage::up(&$plan);
            let (alice, bob, carol) =
                (Crane::new(&stage, ALICE), Crane::new(&stage, BOB), Crane::new(&stage, CAROL));
            alice.push("alice-space/app:1").accepted();
            alice.pull("alice-space/app:1").accepted();
            image::assert_same(stage.image(), &alice.pulled());
            alice.copy("alice-space/app:1", "alice-space/copy:1").accepted();
            stage.assert_mounted("alice-space/copy", "alice-space/app");
            carol.pull("alice-space/app:1").accepted();
            carol.push("alice-space/app:2").refused();
            bob.pull("alice-space/app:1").refused();
            bob.push("alice-space/app:2").refused();
            Crane::new(&stage, NOBODY).pull("alice-space/app:1").refused();
            Crane::new(&stage, ("alice", "wrong")).pull("alice-space/app:1").refused();
            carol.delete("alice-space/app:1").refused();
            alice.delete("alice-space/app:1").accepted();
            alice.pull("alice-space/app:1").failed();
        }
    )+};
}

crane! {
    crane_on_registry2: Plan::new(Generation::V2, Algorithm::Rs256, KeyId::Kid, Trust::Bundle);
    crane_on_registry3: Plan::new(Generation::V3, Algorithm::Es256, KeyId::Kid, Trust::Jwks);
}

/// The control of all the others: were the registry to take any token, they would pass too.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn a_token_signed_with_another_key_is_refused() {
    let plan = Plan::new(Generation::V2, Algorithm::Rs256, KeyId::Kid, Trust::Bundle).distrusted();
    let stage = Stage::up(&plan);
    Skopeo::new(&stage, ALICE).push("alice-space/app:1").refused();
    stage.assert_registry_said("token signed by untrusted key");
    assert!(stage.stored_tags("alice-space/app").is_empty(), "nothing was stored");
}

/// Why README says that a registry needs an asymmetric key.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn hs256_is_accepted_by_no_registry() {
    // Each is told to trust a key of the id that the token names: the algorithm alone is what is wrong.
    for (generation, trust, reason) in [
        (Generation::V2, Trust::Bundle, "Algorithm \\\"HS256\\\" not supported"),
        (Generation::V3, Trust::Jwks, "error in cryptographic primitive"),
    ] {
        let plan = Plan::new(generation, Algorithm::Hs256, KeyId::Kid, trust);
        let stage = Stage::up(&plan);
        Skopeo::new(&stage, ALICE).push("alice-space/app:1").refused();
        stage.assert_registry_said(reason);
        assert!(stage.stored_tags("alice-space/app").is_empty(), "nothing was stored");
    }
}

/// nginx and Keypebble on one host need no port between them.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn keypebble_behind_a_unix_socket() {
    let plan = Plan::new(Generation::V2, Algorithm::Es256, KeyId::Kid, Trust::Bundle).over_unix_socket();
    let stage = Stage::up(&plan);
    let alice = Skopeo::new(&stage, ALICE);
    alice.push("alice-space/app:1").accepted();
    alice.pull("alice-space/app:1").accepted();
    image::assert_same(stage.image(), &alice.pulled());
    Skopeo::new(&stage, BOB).pull("alice-space/app:1").refused();
}

/// The proxy alone says who the user is: what a client sends in the headers of that name is dropped.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn a_client_cannot_name_its_own_user_or_scopes() {
    let plan = Plan::new(Generation::V2, Algorithm::Es256, KeyId::Kid, Trust::Bundle);
    let stage = Stage::up(&plan);
    let path = "/v2/token?service=registry.example.com";
    let forged = [
        ("X-Authenticated-User", "alice"),
        ("X-Scopes", "repository:alice-space/app:pull"),
        ("X-Policy-Generate", "true"),
    ];
    let answer = stage.get(path, None, &forged);
    assert_eq!(answer.status, 401, "no password, whatever the headers say");
    assert_eq!(answer.code(), "UNAUTHORIZED");
    let challenges = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"));
    assert_eq!(challenges.count(), 1, "{answer:?}");

    // Carol's policy names a repository without a wildcard, so that generating it would show.
    let answer = stage.get(path, Some(CAROL), &forged);
    assert_eq!(answer.status, 200, "{answer:?}");
    let claims = &answer.json()["claims"];
    assert_eq!(claims["sub"], "carol");
    assert_eq!(claims["access"], serde_json::json!([]), "a login asks nothing, and gets it");
}

/// Clients that try the password grant first (containerd, Docker 29) must find an answer that sends them
/// on to GET: 401, 404 or 405, in JSON.
#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn a_post_is_answered_so_that_clients_fall_back_to_get() {
    let plan = Plan::new(Generation::V2, Algorithm::Es256, KeyId::Kid, Trust::Bundle);
    let stage = Stage::up(&plan);
    let form = "grant_type=password&service=registry.example.com&username=alice&password=alices-password";
    let answer = stage.post("/v2/token", form);
    assert!(matches!(answer.status, 401 | 404 | 405), "{answer:?}");
    assert_eq!(answer.code(), "UNSUPPORTED", "{answer:?}");
}

/// The folder that README tells a newcomer to copy, step by step, on this machine's programs.
fn compose_example_guards(generation: Generation) {
    let stage = compose::up(generation);
    let (alice, bob) = (Skopeo::new(&stage, ALICE), Skopeo::new(&stage, BOB));
    alice.login().accepted();
    bob.push("bob-space/app-api:1").accepted();
    bob.pull("bob-space/app-api:1").accepted();
    image::assert_same(stage.image(), &bob.pulled());
    alice.push("alice-space/app-api:1").refused();
    alice.pull("bob-space/app-api:1").refused();
    Skopeo::new(&stage, NOBODY).pull("bob-space/app-api:1").refused();
    Skopeo::new(&stage, ("bob", "wrong")).push("bob-space/app-api:2").refused();
    assert_eq!(stage.get("/v2/", None, &[]).status, 401, "the registry itself asks for a token");
}

#[test]
#[ignore = "needs docker-registry, nginx and skopeo: see .ci/run"]
fn the_docker_compose_example_guards_a_registry() {
    compose_example_guards(Generation::V2);
}

#[test]
#[ignore = "needs distribution 3, nginx and skopeo: see .ci/run"]
fn the_docker_compose_example_guards_a_registry_of_version_3() {
    compose_example_guards(Generation::V3);
}
