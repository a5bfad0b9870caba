use super::*;
use crate::ground::disk::faulty::Faulty;
use crate::ground::disk::{self, Disk, System};
use crate::ground::time::{Ttl, UnixTime};
use crate::key::algorithm::Algorithm;
use crate::scratch;
use std::sync::atomic::Ordering;

/// A folder's place, gone when the test is.
struct Place(scratch::Folder);

impl Place {
    fn new() -> Place {
        Place(scratch::Folder::new())
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn copy_of(&self, source: &Path) {
        std::fs::create_dir(self.keys()).unwrap();
        for entry in std::fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), self.keys().join(entry.file_name())).unwrap();
        }
    }
}

const NOW: UnixTime = UnixTime(1_800_000_000);

fn day() -> Ttl {
    Ttl::new(86_400).unwrap()
}

fn later(seconds: i64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn load(folder: &Path) -> Result<Keystore, KeystoreError> {
    Keystore::load(folder, &mut Files::default())
}

fn states(folder: &Path) -> Vec<(State, String)> {
    let store = load(folder).unwrap();
    store.manifest().entries().iter().map(|entry| (entry.state, entry.id.clone())).collect()
}

/// A folder with an active, a next (exported) and two previous keys.
fn full() -> Place {
    let place = Place::new();
    let mut editor = Editor::create(&place.keys(), &System).unwrap();
    editor.generate(Algorithm::ES256, NOW).unwrap();
    editor.generate(Algorithm::ES256, NOW).unwrap();
    for round in 1..3 {
        editor.rotate(None, true, later(round)).unwrap();
    }
    let next = editor.manifest().next().unwrap().id.clone();
    editor.mark_exported(&[next], later(9)).unwrap();
    place
}

type Edit = fn(&Path, &dyn Disk) -> Result<(), KeystoreError>;

fn generate(folder: &Path, disk: &dyn Disk) -> Result<(), KeystoreError> {
    Editor::create(folder, disk)?.generate(Algorithm::EdDSA, NOW).map(drop)
}

fn rotate(folder: &Path, disk: &dyn Disk) -> Result<(), KeystoreError> {
    Editor::open(folder, disk)?.rotate(None, false, later(10)).map(drop)
}

fn retire(folder: &Path, disk: &dyn Disk) -> Result<(), KeystoreError> {
    Editor::open(folder, disk)?.retire(None, day(), false, later(200_000)).map(drop)
}

fn mark(folder: &Path, disk: &dyn Disk) -> Result<(), KeystoreError> {
    let mut editor = Editor::open(folder, disk)?;
    let ids: Vec<String> = editor.manifest().entries().iter().map(|entry| entry.id.clone()).collect();
    editor.mark_exported(&ids, later(10)).map(drop)
}

/// Stops an edit after each of its operations: the folder loads with one active key, as before the edit or
/// as after it, and the edit can be run again.
#[test]
fn a_crash_after_any_operation_leaves_a_folder_that_loads() {
    let full = full();
    for (name, edit) in [("rotate", rotate as Edit), ("retire", retire as Edit), ("export", mark as Edit)] {
        let before = states(&full.keys());
        let mut stops = 0;
        loop {
            let place = Place::new();
            place.copy_of(&full.keys());
            let disk = Faulty::after(stops);
            let done = edit(&place.keys(), &disk);
            let found = states(&place.keys());
            let active = found.iter().filter(|(state, _)| *state == State::Active).count();
            assert_eq!(active, 1, "{name} stopped after {stops}");
            if done.is_ok() && !disk.died() {
                break;
            }
            let fresh = disk.trace.borrow().iter().all(|step| *step != "rename keyring.json");
            if fresh {
                assert_eq!(found, before, "{name} stopped after {stops}: nothing has changed");
                edit(&place.keys(), &System).unwrap_or_else(|error| panic!("{name} again: {error}"));
                assert_eq!(
                    states(&place.keys()).len(),
                    if name == "rotate" {
                        5
                    } else if name == "retire" {
                        2
                    } else {
                        4
                    }
                );
            } else if name != "rotate" {
                edit(&place.keys(), &System).unwrap_or_else(|error| panic!("{name} again: {error}"));
            } else {
                // It has happened: a second run would promote a key that nobody has, and is refused.
                let again = rotate(&place.keys(), &System);
                assert!(matches!(again, Err(KeystoreError::Refused { .. })), "{name} stopped after {stops}");
            }
            stops += 1;
        }
        assert!(stops >= 5, "{name} has {stops} operations");
    }
}

#[test]
fn a_crash_while_the_first_key_is_made_leaves_nothing_or_a_folder_that_loads() {
    for stops in 0.. {
        let place = Place::new();
        let disk = Faulty::after(stops);
        let done = generate(&place.keys(), &disk);
        if done.is_ok() && !disk.died() {
            assert!(stops > 8, "{stops}");
            return;
        }
        let made = place.keys().join(MANIFEST).exists();
        assert_eq!(load(&place.keys()).is_ok(), made, "stopped after {stops}");
        generate(&place.keys(), &System).unwrap();
        assert_eq!(states(&place.keys()).len(), 1 + usize::from(made), "stopped after {stops}");
    }
}

/// What a power failure could lose must be on the disk before anything that relies on it.
#[test]
fn every_file_is_synced_before_it_is_named_and_every_folder_after() {
    for (edit, expected) in [
        (
            rotate as Edit,
            "create .lock,create KEY,write,sync,sync-folder,\
             remove keyring.json.new,create keyring.json.new,write,sync,rename keyring.json,sync-folder",
        ),
        (
            retire as Edit,
            "create .lock,remove keyring.json.new,create keyring.json.new,write,sync,rename keyring.json,\
             sync-folder,remove KEY,remove KEY,sync-folder",
        ),
    ] {
        let place = full();
        let disk = Faulty::after(usize::MAX);
        edit(&place.keys(), &disk).unwrap();
        let trace: Vec<String> = disk
            .trace
            .borrow()
            .iter()
            .map(|step| {
                step.split_once("key-").map_or_else(|| step.clone(), |(verb, _)| format!("{verb}KEY"))
            })
            .collect();
        assert_eq!(trace.join(","), expected);
    }
}

#[cfg(unix)]
#[test]
fn the_folder_and_its_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = full();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.keys()), 0o700);
    let names = std::fs::read_dir(place.keys()).unwrap().map(|entry| entry.unwrap().path());
    let modes: Vec<(PathBuf, u32)> = names.map(|path| (path.clone(), mode(&path))).collect();
    assert_eq!(modes.len(), 6, "four keys, manifest and lock: {modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[test]
fn every_algorithm_is_generated_and_signs() {
    for algorithm in Algorithm::ALL {
        let place = Place::new();
        let made = Editor::create(&place.keys(), &System).unwrap().generate(algorithm, NOW).unwrap();
        let store = load(&place.keys()).unwrap();
        assert_eq!(store.keyring().active().algorithm(), algorithm);
        assert_eq!(store.keyring().active().id(), Some(&*made.id), "{algorithm}");
        assert_eq!(store.keyring().jwks()["keys"].as_array().unwrap().is_empty(), algorithm.is_hmac());
        let again = Editor::create(&place.keys(), &System).unwrap().generate(Algorithm::ES256, NOW).unwrap();
        assert_eq!(again.state, State::Next);
    }
}

#[test]
fn a_rotation_needs_a_staged_key_that_was_exported() {
    let place = Place::new();
    let mut editor = Editor::create(&place.keys(), &System).unwrap();
    let first = editor.generate(Algorithm::ES256, NOW).unwrap();
    let refused = |done: Result<Rotated, KeystoreError>| match done {
        Err(KeystoreError::Refused { message, .. }) => message,
        other => panic!("{other:?}"),
    };
    assert!(refused(editor.rotate(None, false, NOW)).contains("no key is staged"));
    let second = editor.generate(Algorithm::ES256, NOW).unwrap();
    assert!(refused(editor.rotate(None, false, NOW)).contains("was never exported"));
    let third = editor.generate(Algorithm::ES256, NOW);
    assert!(
        matches!(third, Err(KeystoreError::Refused { message, .. }) if message.contains("staged already"))
    );
    assert!(editor.mark_exported(std::slice::from_ref(&second.id), NOW).unwrap());
    assert!(!editor.mark_exported(std::slice::from_ref(&second.id), later(1)).unwrap());
    let rotated = editor.rotate(Some(Algorithm::EdDSA), false, later(2)).unwrap();
    assert_eq!((&rotated.active.id, &rotated.previous.id), (&second.id, &first.id));
    assert_eq!(rotated.previous.stopped, Some(later(2)));
    assert_eq!(rotated.next.algorithm, Algorithm::EdDSA);
    drop(editor);
    let ring = load(&place.keys()).unwrap().into_keyring();
    assert_eq!(ring.active().id(), Some(&*second.id));
    assert_eq!(ring.find(&first.id).unwrap().state(), State::Previous);
}

#[test]
fn a_key_is_retired_when_its_last_token_has_ended() {
    let place = full();
    let mut editor = Editor::open(&place.keys(), &System).unwrap();
    let active = editor.manifest().active().unwrap().id.clone();
    assert!(
        editor.retire(Some(&active), day(), true, later(0)).is_err(),
        "not the active one, whatever is forced"
    );
    assert!(editor.retire(Some("none"), day(), false, later(0)).is_err());
    let end = 1 + 86_400 + i64::from(LEEWAY_SECONDS);
    let early = editor.retire(None, day(), false, later(end - 1)).unwrap();
    assert_eq!((early.retired.len(), early.kept.len()), (0, 2));
    let first = editor.retire(None, day(), false, later(end)).unwrap();
    assert_eq!((first.retired.len(), first.kept.len()), (1, 1));
    assert_eq!(first.kept[0].1, later(end + 1));
    assert!(!place.keys().join(&first.retired[0].file).exists());
    assert_eq!(editor.retire(None, day(), true, later(20)).unwrap().retired.len(), 1, "forced");
    drop(editor);
    assert_eq!(states(&place.keys()).len(), 2);
}

#[test]
fn of_two_rotations_at_once_one_happens() {
    for _ in 0..8 {
        let place = full();
        let folder = place.keys();
        let done: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| rotate(&folder, &System).is_ok())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(done.iter().filter(|done| **done).count(), 1);
        assert_eq!(states(&folder).len(), 5);
    }
}

#[test]
fn a_reader_never_sees_half_a_change() {
    let place = full();
    let folder = place.keys();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !stop.load(Ordering::Relaxed) {
                load(&folder).unwrap();
                read += 1;
            }
            read
        });
        for round in 0..40 {
            let mut editor = Editor::open(&folder, &System).unwrap();
            editor.rotate(None, true, later(round)).unwrap();
            editor.retire(None, day(), true, later(round)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
}

#[test]
fn what_is_not_a_key_folder_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.keys()).unwrap();
    std::fs::write(place.keys().join("photo.jpg"), "x").unwrap();
    let refused = Editor::create(&place.keys(), &System).err().unwrap();
    assert!(refused.to_string().contains("is not a folder of keys: it holds \"photo.jpg\""), "{refused}");
    assert_eq!(std::fs::read_dir(place.keys()).unwrap().count(), 1);
    let missing = load(&place.0.join("none")).err().unwrap();
    assert_eq!(missing.exit_code(), 3);
    assert!(missing.hint().unwrap().contains("keys generate --dir"));
}

fn key_files(place: &Place) -> Vec<PathBuf> {
    let store = load(&place.keys()).unwrap();
    store.manifest().entries().iter().map(|entry| place.keys().join(&entry.file)).collect()
}

#[test]
fn every_file_of_the_folder_is_noted() {
    let place = full();
    let mut files = Files::default();
    Keystore::load(&place.keys(), &mut files).unwrap();
    let mut expected = key_files(&place);
    expected.insert(0, place.keys().join(MANIFEST));
    assert_eq!(files.paths(), expected);
}

#[test]
fn a_key_file_that_was_swapped_is_noticed_and_a_stray_one_listed() {
    let place = full();
    let store = load(&place.keys()).unwrap();
    assert!(store.strays().is_empty());
    let files = key_files(&place);
    let stray = place.keys().join("key-0123456789abcdef.pem");
    std::fs::copy(&files[0], &stray).unwrap();
    assert_eq!(load(&place.keys()).unwrap().strays(), [stray]);
    std::fs::copy(&files[0], &files[1]).unwrap();
    let error = load(&place.keys()).err().unwrap().to_string();
    assert!(error.contains("holds a different key than keyring.json says"), "{error}");
    std::fs::write(&files[1], "").unwrap();
    let error = load(&place.keys()).err().unwrap();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("no PEM block"), "{error}");
}

#[test]
fn nothing_is_rotated_where_a_key_is_lost_or_is_another() {
    let spoil: [fn(&[PathBuf]); 3] = [
        |files| std::fs::remove_file(&files[1]).unwrap(),
        |files| std::fs::copy(&files[0], &files[1]).map(drop).unwrap(),
        |files| std::fs::write(&files[2], "").unwrap(),
    ];
    for spoil in spoil {
        let place = full();
        spoil(&key_files(&place));
        let manifest = std::fs::read(place.keys().join(MANIFEST)).unwrap();
        let there = std::fs::read_dir(place.keys()).unwrap().count();
        assert!(Editor::open(&place.keys(), &System).unwrap().rotate(None, true, later(10)).is_err());
        assert_eq!(std::fs::read(place.keys().join(MANIFEST)).unwrap(), manifest);
        assert_eq!(std::fs::read_dir(place.keys()).unwrap().count(), there);
    }
}

#[test]
fn what_is_published_replaces_only_what_was_published_before() {
    let place = Place::new();
    let out = place.0.join("out");
    for (there, replaced) in [("", true), ("ours: 1", true), ("another's", false)] {
        std::fs::write(&out, there).unwrap();
        let done = disk::publish(&System, &out, b"new", |there| there.starts_with(b"ours"));
        assert_eq!(done.is_ok(), replaced, "{there}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), if replaced { "new" } else { there });
    }
}

#[test]
fn publishing_follows_no_link_and_replaces_only_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (target, link, planted) = (place.0.join("target"), place.0.join("link"), place.0.join("planted"));
    std::fs::write(&target, "root's").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let error = disk::publish(&System, &link, b"new", |_| true).unwrap_err().to_string();
    assert!(error.contains("it is a link to /") && error.contains("name the file itself"), "{error}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "root's");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    for path in [Path::new("/dev/null"), place.0.path()] {
        let error = disk::publish(&System, path, b"new", |_| true).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
    // Another user's file, which stays open to that user, is replaced and not written to.
    std::fs::write(&planted, "").unwrap();
    std::fs::set_permissions(&planted, std::fs::Permissions::from_mode(0o666)).unwrap();
    let theirs = std::fs::OpenOptions::new().read(true).open(&planted).unwrap();
    disk::publish(&System, &planted, b"new", |_| true).unwrap();
    assert_eq!(theirs.metadata().unwrap().len(), 0);
    assert_eq!(planted.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 3, "nothing is left aside");
}
