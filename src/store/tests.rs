//! The same table of tests for both engines.

use super::entry::{EventKind, Target};
use super::*;
use config::Place;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A configuration of an empty store, which goes when the test ends.
pub(super) struct Scratch {
    pub(super) config: StoreConfig,
    folder: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn sqlite(required: bool) -> Scratch {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("keypebble-store-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let config = StoreConfig { place: Place::Sqlite(folder.join("s.db")), required, keep_days: 1 };
    Scratch { config, folder }
}

pub(super) fn open(config: &StoreConfig) -> Store {
    Store::open(config, Box::new(|_| ())).unwrap()
}

const NOW: UnixTime = UnixTime(1_800_000_000);

pub(super) fn entry(id: &str, subject: &str) -> Entry {
    Entry {
        id: id.to_owned(),
        profile: "registry".to_owned(),
        subject: subject.to_owned(),
        granted: "repository:a/b:pull,push".to_owned(),
        issued_at: NOW,
        expires_at: UnixTime(NOW.0 + 300),
        key_id: Some("k1".to_owned()),
        client: Some("docker".to_owned()),
        ..Entry::default()
    }
}

fn sought<'s>(id: &'s str, subject: &'s str) -> Sought<'s> {
    Sought { id, subject, key_id: Some("k1"), issued_at: NOW }
}

fn name(known: &Known) -> &'static str {
    match known {
        Known::Active(_) => "active",
        Known::Revoked(Some(_), _) => "revoked",
        Known::Revoked(None, _) => "revoked unseen",
        Known::Expired(_) => "expired",
        Known::Unknown => "unknown",
    }
}

fn look(store: &Store, id: &str, subject: &str) -> &'static str {
    name(&store.look(&sought(id, subject), NOW).unwrap())
}

fn revocation(target: Target) -> Revocation {
    Revocation { target, before: NOW, at: NOW, actor: "test".to_owned() }
}

#[test]
fn what_is_remembered_is_known_until_it_expires_or_is_revoked() {
    for required in [false, true] {
        let scratch = sqlite(required);
        assert_eq!(init(&scratch.config), Ok(Prepared::Created));
        assert_eq!(init(&scratch.config), Ok(Prepared::Unchanged));
        let store = open(&scratch.config);
        let refresh = Entry { profile: "refresh".into(), login: Some("r".into()), ..entry("r", "alice") };
        let from_it = Entry { login: Some("r".into()), ..entry("a2", "alice") };
        store.remember(vec![entry("a1", "alice"), refresh, from_it, entry("b1", "bob")]).unwrap();
        assert_eq!(look(&store, "a1", "alice"), "active");
        assert_eq!(look(&store, "x", "alice"), "unknown");
        assert_eq!(name(&store.look(&sought("a1", "alice"), UnixTime(NOW.0 + 300)).unwrap()), "expired");

        let target = Target::Token { id: "r".into(), expires_at: UnixTime(NOW.0 + 300) };
        let ended = store.revoke(&revocation(target)).unwrap();
        assert_eq!(ended.tokens, if UnixTime::now() < UnixTime(NOW.0 + 300) { 2 } else { 0 });
        for (id, known) in [("r", "revoked"), ("a2", "revoked"), ("a1", "active"), ("b1", "active")] {
            assert_eq!(look(&store, id, ""), known, "{id}");
        }
        store.revoke(&revocation(Target::User("bob".into()))).unwrap();
        for (id, subject, known) in
            [("b1", "bob", "revoked"), ("b0", "bob", "revoked unseen"), ("a1", "alice", "active")]
        {
            assert_eq!(look(&store, id, subject), known, "{id}");
        }
        let later = Entry { issued_at: UnixTime(NOW.0 + 1), ..entry("b2", "bob") };
        store.remember(vec![later]).unwrap();
        let sought = Sought { issued_at: UnixTime(NOW.0 + 1), ..sought("b2", "bob") };
        assert_eq!(name(&store.look(&sought, NOW).unwrap()), "active");
        store.revoke(&revocation(Target::Client("docker".into()))).unwrap();
        assert_eq!(look(&store, "a1", "alice"), "revoked");
        store.revoke(&revocation(Target::Key("k1".into()))).unwrap();
        assert_eq!(look(&store, "never", "carol"), "revoked unseen");
        let filter = EventFilter { kind: Some(EventKind::Revoked), limit: 9, ..EventFilter::default() };
        assert_eq!(store.events(&filter).unwrap().len(), 4);
    }
}

#[test]
fn what_was_left_is_written_when_the_last_handle_goes() {
    let scratch = sqlite(false);
    init(&scratch.config).unwrap();
    open(&scratch.config).remember(vec![entry("a", "alice")]).unwrap();
    assert_eq!(check(&scratch.config).unwrap().tokens, 1);
}
