use super::*;
use crate::ground::disk::System;
use crate::ground::disk::faulty::Faulty;
use crate::scratch;
use std::fs;

/// A folder's place, gone when the test is.
struct Place(scratch::Folder);

impl Place {
    fn new() -> Place {
        Place(scratch::Folder::new())
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::new(seconds).unwrap()
}

/// After every token that could have been made today.
fn later() -> UnixTime {
    UnixTime(UnixTime::now().0 + 1_000_000)
}

fn numbers(folder: &Path) -> Vec<u64> {
    Folder::load(folder, &mut Files::default()).unwrap().entries().iter().map(|entry| entry.number).collect()
}

fn text(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

fn rotate(folder: &Path, disk: &dyn Disk, now: UnixTime) -> Result<Done, KeystoreError> {
    Editor::open(folder, disk)?.rotate(3, ttl(60), now)
}

#[test]
fn the_staged_key_comes_to_encrypt_and_old_ones_go() {
    let place = Place::new();
    let keys = place.keys();
    Editor::create(&keys, &System).unwrap();
    assert_eq!(numbers(&keys), [1, 0]);
    let staged = text(&keys, "0");
    let done = rotate(&keys, &System, later()).unwrap();
    assert_eq!((done.primary, done.removed, numbers(&keys)), (2, vec![], vec![2, 1, 0]));
    assert_eq!(text(&keys, "2"), staged, "what was staged encrypts");
    assert_ne!(text(&keys, "0"), staged);
    let done = rotate(&keys, &System, later()).unwrap();
    assert_eq!((done.primary, done.removed, numbers(&keys)), (3, vec![1], vec![3, 2, 0]));
    let load = Folder::load(&keys, &mut Files::default()).unwrap().into_keys();
    assert_eq!(load.primary().unwrap().text().expose(), text(&keys, "3"));
    assert!(matches!(Editor::create(&keys, &System), Err(KeystoreError::Refused { .. })));
}

#[test]
fn no_key_goes_while_its_tokens_live_and_never_the_last_two() {
    let place = Place::new();
    let keys = place.keys();
    Editor::create(&keys, &System).unwrap();
    let now = UnixTime::now();
    for _ in 0..3 {
        rotate(&keys, &System, now).unwrap();
    }
    assert_eq!(numbers(&keys), [4, 3, 2, 1, 0]);
    let editor = Editor::open(&keys, &System).unwrap();
    let done = editor.remove(Some(3), ttl(60), now).unwrap();
    assert_eq!(done.kept.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(done.kept.iter().all(|(_, until)| until.0 >= now.0 + 60 + i64::from(LEEWAY_SECONDS) - 2));
    for number in [0, 4, 9] {
        assert!(editor.remove_one(number).is_err(), "{number}");
    }
    assert_eq!(editor.remove_one(2).unwrap().removed, [2]);
    assert_eq!(editor.remove(None, ttl(60), later()).unwrap().removed, [1, 3]);
    assert_eq!(editor.remove(None, ttl(60), later()).unwrap().removed, [0; 0]);
    assert_eq!(numbers(&keys), [4, 0]);
}

/// Stops a rotation after each of its operations: the folder loads with `0` in it, and the next rotation leaves it
/// as a whole one would have.
#[test]
fn a_crash_after_any_operation_leaves_a_folder_that_loads() {
    for stops in 0.. {
        let place = Place::new();
        let keys = place.keys();
        Editor::create(&keys, &System).unwrap();
        rotate(&keys, &System, later()).unwrap();
        let (staged, primary) = (text(&keys, "0"), text(&keys, "2"));
        let disk = Faulty::after(stops);
        let done = rotate(&keys, &disk, later());
        let there = numbers(&keys);
        assert!(there.contains(&0) && there.len() >= 2, "{stops}: {there:?}");
        if done.is_ok() && !disk.died() {
            assert!(stops > 8, "{stops}");
            return;
        }
        let now = text(&keys, &there[0].to_string());
        assert!(now == primary || now == staged, "stopped after {stops}");
        let editor = Editor::open(&keys, &System).unwrap();
        assert_ne!(editor.read(0).unwrap().text().expose(), text(&keys, &there[0].to_string()));
        assert_eq!(editor.rotate(3, ttl(60), later()).unwrap().primary, there[0] + 1);
    }
}

#[test]
fn a_crash_while_the_first_keys_are_made_can_be_made_good() {
    for stops in 0.. {
        let place = Place::new();
        let disk = Faulty::after(stops);
        if Editor::create(&place.keys(), &disk).is_ok() && !disk.died() {
            assert!(stops > 8, "{stops}");
            return;
        }
        match Editor::create(&place.keys(), &System) {
            Ok(_) | Err(KeystoreError::Refused { .. }) => {}
            Err(error) => panic!("stopped after {stops}: {error}"),
        }
        assert_eq!(numbers(&place.keys()), [1, 0], "stopped after {stops}");
    }
}

/// As Keystone's rotation leaves it when it dies between its two renames.
#[test]
fn a_folder_whose_staged_key_was_lost_by_keystone_is_taken_up() {
    let place = Place::new();
    let keys = place.keys();
    Editor::create(&keys, &System).unwrap();
    fs::rename(keys.join("0"), keys.join("2")).unwrap();
    let fresh = FernetKey::generate().unwrap().text();
    fs::write(keys.join("0.tmp"), fresh.expose()).unwrap();
    assert_eq!(numbers(&keys), [2, 1], "it opens and makes tokens as it is");
    Editor::open(&keys, &System).unwrap();
    assert_eq!((numbers(&keys), text(&keys, "0").as_slice()), (vec![2, 1, 0], fresh.expose()));
    // Half a key is no key.
    fs::remove_file(keys.join("0")).unwrap();
    fs::write(keys.join("0.tmp"), "cw_0x689").unwrap();
    Editor::open(&keys, &System).unwrap();
    assert_eq!(numbers(&keys), [2, 1, 0]);
    assert!(!keys.join("0.tmp").exists());
}

#[test]
fn what_is_no_key_is_named_and_other_names_are_passed_over() {
    let place = Place::new();
    let keys = place.keys();
    Editor::create(&keys, &System).unwrap();
    for name in ["00", "-1", "01", "1.bak", "x"] {
        fs::write(keys.join(name), "no key").unwrap();
    }
    assert_eq!(numbers(&keys), [1, 0]);
    fs::write(keys.join("7"), text(&keys, "1")).unwrap();
    fs::write(keys.join("2"), "no key").unwrap();
    let error = rotate(&keys, &System, later()).unwrap_err();
    assert!(error.to_string().ends_with("2: not a well-formed Fernet key"), "{error}");
    assert!(!keys.join("8").exists());
    fs::remove_file(keys.join("2")).unwrap();
    fs::write(keys.join("7"), "no key").unwrap();
    let error = Folder::load(&keys, &mut Files::default()).unwrap_err();
    assert!(error.to_string().ends_with("7: not a well-formed Fernet key"), "{error}");
    let one = Place::new();
    fs::create_dir(one.keys()).unwrap();
    fs::write(one.keys().join("0"), FernetKey::generate().unwrap().text().expose()).unwrap();
    assert!(Folder::load(&one.keys(), &mut Files::default()).is_err(), "one key is not enough");
    assert!(Editor::create(&one.keys(), &System).is_ok());
    assert_eq!(numbers(&one.keys()), [1, 0]);
    let foreign = Place::new();
    fs::create_dir(foreign.keys()).unwrap();
    fs::write(foreign.keys().join("keyring.json"), "{}").unwrap();
    assert!(Editor::create(&foreign.keys(), &System).is_err());
    assert!(Editor::open(&foreign.keys(), &System).is_err());
}
