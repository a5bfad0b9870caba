//! The changes of a users file: one user's line is set or removed, and the file is replaced whole.
//!
//! Owns which lines are a user's. Must not know where names and passwords come from. Decision: every line of
//! anybody else stays as it is to the byte, also one that would be refused: a file that `htpasswd` made with other
//! hashes is mended user by user.

use super::users::MAX_FILE_BYTES;
use crate::ground::disk::{self, Disk};
use crate::ground::file::{Files, folder_of};
use crate::ground::lock::{self, LockError};
use crate::login::password::Hash;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A users file that is being changed; no other command can meanwhile.
pub struct Editor {
    path: PathBuf,
    text: Zeroizing<Vec<u8>>,
    /// The file that was read: its owner and mode.
    there: Option<Metadata>,
    /// Of the folder, locked until it is closed: the file itself is replaced.
    _lock: File,
}

/// Why a users file can't be changed.
#[derive(Debug)]
pub struct EditError {
    /// What was tried, to be followed by the path.
    pub what: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// What the system's error was about.
fn of(what: &'static str) -> impl Fn(io::Error) -> EditError {
    move |source| EditError { what, source }
}

impl Editor {
    /// Opens a users file to change it. One that is not there is empty so far.
    pub fn open(path: &Path, files: &mut Files) -> Result<Self, EditError> {
        let folder = File::open(folder_of(path)).map_err(of("open the folder of"))?;
        lock::lock(&folder).map_err(|error| match error {
            LockError::Held => of("change")(io::Error::other("another command is changing it: try again")),
            LockError::System(source) => of("lock the folder of")(source),
        })?;
        let (text, there) = match disk::there(path).map_err(of("change"))? {
            Some(_) => {
                let (text, there) = files.read_itself(path, MAX_FILE_BYTES).map_err(of("read"))?;
                if let Some(problem) = foreign(&text) {
                    return Err(of("change")(io::Error::new(io::ErrorKind::InvalidData, problem)));
                }
                (text, Some(there))
            }
            None => (Zeroizing::default(), None),
        };
        Ok(Self { path: path.to_owned(), text, there, _lock: folder })
    }

    /// Gives a user this password, in place of any that they had; whether they had one.
    pub fn set(&mut self, user: &str, hash: &Hash) -> bool {
        self.edit(user, Some(&format!("{user}:{hash}")))
    }

    /// Takes a user out; whether they were in.
    pub fn remove(&mut self, user: &str) -> bool {
        self.edit(user, None)
    }

    /// Puts one line where the user's first was, or at the end, and takes out all others of theirs.
    fn edit(&mut self, user: &str, line: Option<&str>) -> bool {
        let mut line = line;
        let mut found = false;
        let mut edited = Zeroizing::new(Vec::with_capacity(self.text.len() + 1024));
        for old in self.text.split_inclusive(|byte| *byte == b'\n') {
            if !is_of(user, old) {
                edited.extend_from_slice(old);
                continue;
            }
            found = true;
            if let Some(line) = line.take() {
                edited.extend_from_slice(line.as_bytes());
                edited.extend_from_slice(if old.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
            }
        }
        if let Some(line) = line {
            if edited.last().is_some_and(|last| *last != b'\n') {
                edited.push(b'\n');
            }
            edited.extend_from_slice(line.as_bytes());
            edited.push(b'\n');
        }
        self.text = edited;
        found
    }

    /// Replaces the file, which keeps its owner and mode; a new one only its owner can read. Gives the text.
    pub fn save(self, disk: &dyn Disk) -> Result<Zeroizing<Vec<u8>>, EditError> {
        if self.text.len() as u64 > MAX_FILE_BYTES {
            let long = format!("it would be longer than {MAX_FILE_BYTES} bytes");
            return Err(of("change")(io::Error::new(io::ErrorKind::FileTooLarge, long)));
        }
        disk::rewrite(disk, &self.path, self.there.as_ref(), &self.text).map_err(of("write"))?;
        Ok(self.text)
    }
}

/// Why a file can be no users file, also none of another program's. Nothing of it is shown.
fn foreign(text: &[u8]) -> Option<String> {
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0')) else {
        return Some("it is no text, and so no users file".to_owned());
    };
    let wrong = text.lines().position(|line| !may_stand(line.trim_end()))?;
    Some(format!("its line {} is not `name:hash`: is it a users file?", wrong + 1))
}

/// Whether a line is empty, a comment, or a name with what may be a hash of whatever kind: not a value of YAML or
/// JSON, an address, or one of more fields.
fn may_stand(line: &str) -> bool {
    let hash = |hash: &str| {
        !hash.is_empty()
            && !hash.starts_with("//")
            && !hash.contains(|c: char| c.is_whitespace() || ":\"".contains(c))
    };
    line.is_empty()
        || line.starts_with('#')
        || line
            .split_once(':')
            .is_some_and(|(name, text)| !name.is_empty() && !name.contains('"') && hash(text))
}

/// Whether a line is this user's, whatever hash it has.
fn is_of(user: &str, line: &[u8]) -> bool {
    line.strip_prefix(user.as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::disk::System;
    use crate::ground::disk::faulty::Faulty;
    use crate::scratch::Folder;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    const HASH: &str = "$2y$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";
    const NEW: &str = "$2b$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";

    struct Place(Folder);

    impl Place {
        fn new() -> Self {
            Self(Folder::new())
        }

        fn file(&self) -> PathBuf {
            self.0.join("users")
        }
    }

    fn open(path: &Path) -> Editor {
        Editor::open(path, &mut Files::default()).unwrap()
    }

    #[test]
    fn one_line_changes_and_every_other_stays_to_the_byte() {
        let place = Place::new();
        let set: fn(&mut Editor) -> bool = |editor| editor.set("bob", &NEW.parse().unwrap());
        let remove: fn(&mut Editor) -> bool = |editor| editor.remove("bob");
        let hash: Hash = NEW.parse().unwrap();
        for (before, edit, found, after) in [
            ("", set, false, format!("bob:{hash}\n")),
            ("# who\n\nalice:{SHA}x", set, false, format!("# who\n\nalice:{{SHA}}x\nbob:{hash}\n")),
            ("a:1\nbob:old\nz:2", set, true, format!("a:1\nbob:{hash}\nz:2")),
            ("a:1\r\nbob:old\r\nz:2\r\n", set, true, format!("a:1\r\nbob:{hash}\r\nz:2\r\n")),
            ("bob:1\na:1\nbob:2\n", set, true, format!("bob:{hash}\na:1\n")),
            (
                "#bob:1\nbobby:1\n bob:1\nBob:1\n",
                set,
                false,
                format!("#bob:1\nbobby:1\n bob:1\nBob:1\nbob:{hash}\n"),
            ),
            ("a:1\nbob:1\n\n# end\nbob:2", remove, true, "a:1\n\n# end\n".to_owned()),
            ("bobby:1\n#bob:1", remove, false, "bobby:1\n#bob:1".to_owned()),
        ] {
            fs::write(place.file(), before).unwrap();
            let mut editor = open(&place.file());
            assert_eq!(edit(&mut editor), found, "{before:?}");
            editor.save(&System).unwrap();
            assert_eq!(fs::read_to_string(place.file()).unwrap(), after, "{before:?}");
        }
        assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "no lock and no copy is left");
    }

    #[test]
    fn mode_and_owner_are_kept_and_a_new_file_is_private() {
        let place = Place::new();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
        let mut editor = open(&place.file());
        assert!(!editor.set("bob", &HASH.parse().unwrap()));
        editor.save(&System).unwrap();
        assert_eq!(mode(&place.file()), 0o600);
        fs::set_permissions(place.file(), Permissions::from_mode(0o664)).unwrap();
        let ours = place.file().metadata().unwrap().uid();
        // Only root may give files away.
        let owner = if ours == 0 { (65532, 65533) } else { (ours, place.file().metadata().unwrap().gid()) };
        chown(place.file(), Some(owner.0), Some(owner.1)).unwrap();
        let mut editor = open(&place.file());
        assert!(editor.set("bob", &NEW.parse().unwrap()));
        editor.save(&System).unwrap();
        let now = place.file().metadata().unwrap();
        assert_eq!((now.uid(), now.gid(), mode(&place.file())), (owner.0, owner.1, 0o664));
    }

    /// Whoever owns the folder may put another file there meanwhile, to be given what stands in the one that was read.
    #[test]
    fn the_file_that_was_read_decides_whose_the_new_one_is() {
        let place = Place::new();
        let put = |mode| {
            let _ = fs::remove_file(place.file());
            fs::write(place.file(), "alice:1\n").unwrap();
            fs::set_permissions(place.file(), Permissions::from_mode(mode)).unwrap();
        };
        put(0o600);
        let mut editor = open(&place.file());
        put(0o666);
        editor.set("bob", &HASH.parse().unwrap());
        editor.save(&System).unwrap();
        assert_eq!(place.file().metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_file_or_the_new_one() {
        let place = Place::new();
        let mut steps = 0;
        loop {
            fs::write(place.file(), format!("bob:{HASH}\n")).unwrap();
            let mut editor = open(&place.file());
            editor.set("bob", &NEW.parse().unwrap());
            let disk = Faulty::after(steps);
            let done = editor.save(&disk);
            let text = fs::read_to_string(place.file()).unwrap();
            let hash: Hash = NEW.parse().unwrap();
            assert!(text == format!("bob:{HASH}\n") || text == format!("bob:{hash}\n"), "{steps}: {text}");
            if done.is_ok() {
                assert_eq!(text, format!("bob:{hash}\n"));
                break;
            }
            steps += 1;
        }
        assert!(steps >= 5, "{steps}");
    }

    #[test]
    fn a_second_editor_waits_for_the_first() {
        let place = Place::new();
        let (first, path) = (open(&place.file()), place.file());
        let second = std::thread::spawn(move || {
            let mut editor = open(&path);
            assert!(editor.set("alice", &HASH.parse().unwrap()), "it reads what the first one wrote");
        });
        let mut first = first;
        first.set("alice", &NEW.parse().unwrap());
        first.save(&System).unwrap();
        second.join().unwrap();
    }

    #[test]
    fn what_is_no_users_file_is_not_changed() {
        let place = Place::new();
        for (text, problem) in [
            ("issuer: i\n", "its line 1 is not `name:hash`"),
            ("# who\nalice:$apr1$a$b\nusers:\n", "its line 3 is not `name:hash`"),
            ("a:{SHA}x\n-----BEGIN PRIVATE KEY-----\n", "its line 2 is not"),
            ("hunter2hunter2\n", "its line 1 is not"),
            ("{\"kty\":\"oct\",\"k\":\"AAAA\"}", "its line 1 is not"),
            ("{\"a\":1}", "its line 1 is not"),
            ("root:$6$a$b:19000:0\n", "its line 1 is not"),
            ("REALM=https://a.example.com\n", "its line 1 is not"),
            ("SQLite format 3\0", "it is no text"),
            ("a:\u{0}", "it is no text"),
        ] {
            fs::write(place.file(), text).unwrap();
            let Err(EditError { what, source }) = Editor::open(&place.file(), &mut Files::default()) else {
                panic!("it was opened: {text}");
            };
            assert_eq!(what, "change");
            assert!(source.to_string().starts_with(problem), "{text}: {source}");
        }
        fs::write(place.file(), b"a:\xff").unwrap();
        assert!(Editor::open(&place.file(), &mut Files::default()).is_err());
        fs::write(place.file(), "a:$apr1$z$h\r\nb:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nc:rqXexS6ZhobKA\n\n#\n")
            .unwrap();
        open(&place.file());
    }

    #[test]
    fn a_link_or_a_folder_is_not_changed() {
        let place = Place::new();
        std::os::unix::fs::symlink("elsewhere", place.file()).unwrap();
        let Err(EditError { what, source }) = Editor::open(&place.file(), &mut Files::default()) else {
            panic!("it was opened");
        };
        assert_eq!(what, "change");
        assert!(source.to_string().contains("a link to elsewhere: name the file itself"), "{source}");
        assert!(Editor::open(place.0.path(), &mut Files::default()).is_err());
    }
}
