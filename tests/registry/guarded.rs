//! Owns the checks that every combination of registry, algorithm and key id must pass.

use crate::client::{ALICE, BOB, CAROL, NOBODY, Skopeo};
use crate::image;
use crate::stage::Stage;

pub(crate) fn login_is_accepted(stage: &Stage) {
    Skopeo::new(stage, ALICE).login().accepted();
}

pub(crate) fn a_wrong_password_is_refused(stage: &Stage) {
    let intruder = Skopeo::new(stage, ("alice", "wrong"));
    intruder.login().refused();
    intruder.push("alice-space/app:1").refused();
}

pub(crate) fn a_push_is_accepted(stage: &Stage) {
    Skopeo::new(stage, ALICE).push("alice-space/app:1").accepted();
    assert_eq!(stage.stored_tags("alice-space/app"), ["1"], "the registry holds the tag");
}

pub(crate) fn a_pull_brings_the_same_bytes_back(stage: &Stage) {
    let alice = Skopeo::new(stage, ALICE);
    alice.push("alice-space/app:1").accepted();
    alice.pull("alice-space/app:1").accepted();
    image::assert_same(stage.image(), &alice.pulled());
}

pub(crate) fn a_pull_only_user_may_pull_and_not_push(stage: &Stage) {
    Skopeo::new(stage, ALICE).push("alice-space/app:1").accepted();
    let carol = Skopeo::new(stage, CAROL);
    carol.pull("alice-space/app:1").accepted();
    image::assert_same(stage.image(), &carol.pulled());
    carol.push("alice-space/app:2").refused();
    assert_eq!(stage.stored_tags("alice-space/app"), ["1"], "nothing was stored");
}

pub(crate) fn anothers_repository_is_refused(stage: &Stage) {
    Skopeo::new(stage, ALICE).push("alice-space/app:1").accepted();
    let bob = Skopeo::new(stage, BOB);
    bob.pull("alice-space/app:1").refused();
    bob.push("alice-space/app:2").refused();
    bob.push("bob-space/../alice-space/app:2").failed();
    assert_eq!(stage.stored_tags("alice-space/app"), ["1"], "nothing was stored");
}

pub(crate) fn a_copy_across_repositories_mounts_the_layers(stage: &Stage) {
    let alice = Skopeo::new(stage, ALICE);
    alice.push("alice-space/app:1").accepted();
    alice.copy("alice-space/app:1", "alice-space/copy:1").accepted();
    alice.pull("alice-space/copy:1").accepted();
    image::assert_same(stage.image(), &alice.pulled());
    stage.assert_mounted("alice-space/copy", "alice-space/app");
}

pub(crate) fn a_push_goes_on_where_the_mount_source_may_not_be_read(stage: &Stage) {
    Skopeo::new(stage, ALICE).push("alice-space/app:1").accepted();
    // The client remembers where it saw these layers: it asks for a token for both repositories,
    // looks into the other one, and goes on without it.
    let bob = Skopeo::new(stage, BOB);
    bob.push("bob-space/app:1").accepted();
    let other = "scope=repository%3Aalice-space%2Fapp%3Apull&";
    stage.assert_logged(&["/v2/token?account=bob", "bob-space%2Fapp", other], 200);
    stage.assert_logged(&["HEAD /v2/alice-space/app/blobs/"], 401);
    bob.pull("bob-space/app:1").accepted();
    image::assert_same(stage.image(), &bob.pulled());
}

pub(crate) fn delete_is_accepted_where_it_is_granted(stage: &Stage) {
    let alice = Skopeo::new(stage, ALICE);
    alice.push("alice-space/app:1").accepted();
    alice.delete("alice-space/app:1").accepted();
    alice.pull("alice-space/app:1").failed();
}

pub(crate) fn delete_is_refused_where_it_is_not_granted(stage: &Stage) {
    let bob = Skopeo::new(stage, BOB);
    bob.push("bob-space/app:1").accepted();
    bob.delete("bob-space/app:1").refused();
    bob.pull("bob-space/app:1").accepted();
}

pub(crate) fn an_anonymous_request_is_refused(stage: &Stage) {
    Skopeo::new(stage, ALICE).push("alice-space/app:1").accepted();
    let nobody = Skopeo::new(stage, NOBODY);
    nobody.pull("alice-space/app:1").refused();
    nobody.push("alice-space/app:2").refused();
}
