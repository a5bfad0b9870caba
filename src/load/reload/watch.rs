//! What a set of files looks like, so that two looks can be compared.
//!
//! Owns the fingerprint: which file it is (device, inode), when it changed, how long it is, and a hash of
//! its content. Must not know what the files mean. Decision: the content is read again only where the rest
//! differs, or where the last change is so young that another in the same tick of the file system's clock
//! would not show.

use crate::ground::file;
use sha2::{Digest, Sha256};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// The coarsest clock that a file system in use has, and room.
const TICK: Duration = Duration::from_secs(2);

/// A tick of the kernel's clock, by which a file's time may lie before the system's.
const JIFFY: Duration = Duration::from_millis(10);

/// What one look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen(Vec<(PathBuf, Print)>);

/// One file, through whatever links lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Print {
    identity: Option<Identity>,
    content: Result<[u8; 32], io::ErrorKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// When anything about it changed: unlike `modified`, no program can set this.
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it changed at that time or later.
    fn changed_since(&self, time: SystemTime) -> bool {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        self.changed >= (seconds, i64::from(since.subsec_nanos()))
    }
}

impl Seen {
    /// Looks at these files; `last` saves reading what did not change.
    pub(super) fn look(files: &[PathBuf], last: &Seen) -> Self {
        Self(files.iter().map(|path| (path.clone(), Print::take(path, last.of(path)))).collect())
    }

    fn of(&self, path: &Path) -> Option<&Print> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, print)| print)
    }

    /// Whether loading would read the same.
    pub(super) fn same_content(&self, other: &Seen) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(path, print)| other.of(path).is_some_and(|o| o.content == print.content))
    }

    /// Whether no file that both saw differs in anything.
    pub(super) fn agrees(&self, other: &Seen) -> bool {
        self.0.iter().all(|(path, print)| other.of(path).is_none_or(|other| other == print))
    }

    /// Whether a file that `other` did not see changed at that time or later.
    pub(super) fn any_newer(&self, time: SystemTime, other: &Seen) -> bool {
        let time = time.checked_sub(JIFFY).unwrap_or(time);
        let newer = |print: &Print| print.identity.is_some_and(|identity| identity.changed_since(time));
        self.0.iter().any(|(path, print)| other.of(path).is_none() && newer(print))
    }
}

impl Print {
    fn take(path: &Path, last: Option<&Print>) -> Self {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return Self { identity: None, content: Err(error.kind()) },
        };
        let identity = Identity::of(&metadata);
        let young = SystemTime::now().checked_sub(TICK).is_none_or(|then| identity.changed_since(then));
        if !young
            && metadata.is_file()
            && let Some(last) = last
            && last.identity == Some(identity)
        {
            return last.clone();
        }
        Self { identity: Some(identity), content: hash_file(path).map_err(|error| error.kind()) }
    }
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = file::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = Zeroizing::new(vec![0; 64 * 1024]); // it may hold a key
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;

    #[test]
    fn every_way_to_change_a_file_shows_and_a_touch_is_no_change() {
        let folder = Folder::new();
        let file = folder.write("a", "one");
        let files = [file.clone(), folder.join("absent")];
        let first = Seen::look(&files, &Seen::default());
        let look = || Seen::look(&files, &first);
        assert_eq!(look(), first);

        folder.write("a", "two"); // of the same length, within one tick of the clock
        assert!(!look().same_content(&first));
        folder.write("b", "one");
        fs::rename(folder.join("b"), &file).unwrap();
        assert!(look().same_content(&first) && look() != first && !look().agrees(&first));

        folder.write("absent", "");
        assert!(!look().same_content(&first));
        fs::remove_file(folder.join("absent")).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(!look().same_content(&first));
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let folder = Folder::new();
        let (one, two) = (folder.write("1", "one"), folder.write("2", "two"));
        let link = folder.join("link");
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let files = [link.clone()];
        let first = Seen::look(&files, &Seen::default());
        std::os::unix::fs::symlink(&two, folder.join("new")).unwrap();
        fs::rename(folder.join("new"), &link).unwrap();
        assert!(!Seen::look(&files, &first).same_content(&first));
    }

    #[test]
    fn a_young_file_is_read_again_though_it_looks_the_same() {
        let folder = Folder::new();
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let files = [folder.write("a", "one"), old];
        let first = Seen::look(&files, &Seen::default());
        let mut forged = first.clone();
        forged.0.iter_mut().for_each(|(_, print)| print.content = Ok([1; 32]));
        let second = Seen::look(&files, &forged);
        assert_eq!(second.0[0], first.0[0]);
        assert_eq!(second.0[1], forged.0[1]);
    }
}
