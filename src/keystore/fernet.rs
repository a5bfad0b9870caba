//! A folder of Fernet keys as Keystone keeps it: each key a file, whose name is a number.
//!
//! `0` is staged, the highest number encrypts, and all of them open. Owns the folder's rotation. Decision: every
//! change replaces a whole file by one rename, and the new key that encrypts is a copy of the staged one; so that
//! the folder is whole at every moment, with `0` in it. Keystone moves `0` away before a new one takes its place:
//! a crash in between leaves a folder without `0` and a `0.tmp` that nothing reads, which is taken up here.
//!
//! A key is removed only when no token of it can live: it stopped encrypting when the file of the next number was
//! written. `0` and the highest number are never removed, so that there are never fewer than two.

use super::error::failed;
use super::lock::{lock, make_folder, refuse_foreign};
use super::{ATTEMPTS, KeystoreError, LEEWAY_SECONDS};
use crate::ground::disk::{self, Disk, PRIVATE};
use crate::ground::file::Files;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::KeyError;
use crate::key::fernet::{FernetKey, FernetKeys};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many keys a rotation leaves where nothing is said: one that encrypts, one that is staged, one that opens.
pub const MAX_ACTIVE_KEYS: usize = 3;
/// The number of the staged key.
const STAGED: u64 = 0;
/// Where a new staged key is written first, as Keystone does.
const ASIDE: &str = "0.tmp";
/// The largest file that is read: a key has 44 characters.
const MAX_BYTES: u64 = 1024;
/// More keys than anybody needs: every one is tried for a token.
const MAX_KEYS: usize = 1000;
/// More files than are listed, so that there is a bound; below it, `retire` can take the number down.
const MAX_FILES: usize = 100 * MAX_KEYS;

/// A key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub number: u64,
    /// When it was last written, renamed or restored.
    pub written: UnixTime,
}

/// A folder, read whole.
#[derive(Debug)]
pub struct Folder {
    /// The key files, the highest number first.
    entries: Vec<Entry>,
    keys: FernetKeys,
}

impl Folder {
    /// Reads every key.
    pub fn load(folder: &Path, files: &mut Files) -> Result<Self, KeystoreError> {
        let mut attempt = 1;
        loop {
            let entries = entries(folder)?;
            if entries.len() > MAX_KEYS {
                return Err(KeystoreError::refused(
                    format!("{} holds more than {MAX_KEYS} keys", folder.display()),
                    "remove those whose tokens have ended: keypebble keys retire",
                ));
            }
            let read = entries.iter().map(|entry| read(&path(folder, entry.number), files)).collect();
            match read {
                Ok(keys) => {
                    if entries.len() < 2 {
                        return Err(KeystoreError::refused(
                            format!(
                                "{} holds {} Fernet key(s), at least two are needed",
                                folder.display(),
                                entries.len()
                            ),
                            format!(
                                "make them with: keypebble keys generate --dir {} --fernet",
                                folder.display()
                            ),
                        ));
                    }
                    let wrong = |source| KeystoreError::Key { path: folder.to_owned(), source };
                    return Ok(Self { entries, keys: FernetKeys::new(keys).map_err(wrong)? });
                }
                // A rotation may have removed it meanwhile.
                Err(error) => {
                    if attempt == ATTEMPTS || self::entries(folder)? == entries {
                        return Err(error);
                    }
                    attempt += 1;
                }
            }
        }
    }

    /// The key files, the one that encrypts first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The keys, the one that encrypts first.
    pub fn into_keys(self) -> FernetKeys {
        self.keys
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

fn read(path: &Path, files: &mut Files) -> Result<FernetKey, KeystoreError> {
    let secret = files.secret(path, MAX_BYTES).map_err(|source| KeystoreError::System {
        what: format!("cannot read {}", path.display()),
        source,
    })?;
    FernetKey::read(&secret).map_err(|source| KeystoreError::Key { path: path.to_owned(), source })
}

/// The key files of a folder, the highest number first. Other names are passed over, as Keystone does.
fn entries(folder: &Path) -> Result<Vec<Entry>, KeystoreError> {
    let failed = |source| failed("read", folder, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok().filter(|n: &u64| n.to_string() == name));
        let Some(number) = number else { continue };
        match entry.metadata() {
            Ok(metadata) => {
                let written = UnixTime(metadata.mtime().max(metadata.ctime()));
                found.push(Entry { number, written });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        if found.len() > MAX_FILES {
            return Err(KeystoreError::refused(
                format!("{} holds more than {MAX_FILES} keys", folder.display()),
                "is it a folder of keys?",
            ));
        }
    }
    found.sort_by_key(|entry| std::cmp::Reverse(entry.number));
    Ok(found)
}

/// A folder that is being changed; nobody else can meanwhile.
pub struct Editor<'d> {
    folder: PathBuf,
    disk: &'d dyn Disk,
    _lock: File,
}

/// What a rotation or a removal did.
#[derive(Debug)]
pub struct Done {
    /// Encrypts now.
    pub primary: u64,
    /// Gone.
    pub removed: Vec<u64>,
    /// Too many, but their tokens can be valid until then.
    pub kept: Vec<(u64, UnixTime)>,
}

impl<'d> Editor<'d> {
    /// Opens a folder of Fernet keys to change it.
    pub fn open(folder: &Path, disk: &'d dyn Disk) -> Result<Self, KeystoreError> {
        if entries(folder)?.is_empty() {
            return Err(KeystoreError::refused(
                format!("{} holds no Fernet key", folder.display()),
                format!(
                    "make the first ones with: keypebble keys generate --dir {} --fernet",
                    folder.display()
                ),
            ));
        }
        let editor = Self { folder: folder.to_owned(), disk, _lock: lock(folder, disk)? };
        editor.take_up()?;
        Ok(editor)
    }

    /// Makes a folder with its first two keys, or finishes one that has a single key.
    pub fn create(folder: &Path, disk: &'d dyn Disk) -> Result<Self, KeystoreError> {
        make_folder(folder, disk)?;
        let ours = |name: &str| name.strip_suffix(".tmp").unwrap_or(name).parse::<u64>().is_ok();
        refuse_foreign(folder, "Fernet keys", ours)?;
        let editor = Self { folder: folder.to_owned(), disk, _lock: lock(folder, disk)? };
        let there = entries(folder)?;
        if there.len() > 1 {
            return Err(KeystoreError::refused(
                format!("{} has its keys already", folder.display()),
                "a new one comes with: keypebble keys rotate --fernet",
            ));
        }
        if there.first().is_none_or(|entry| entry.number == STAGED) {
            editor.write(1, &new_key()?)?;
        }
        editor.take_up()?;
        Ok(editor)
    }

    /// What stands in the folder, the key that encrypts first.
    pub fn entries(&self) -> Result<Vec<Entry>, KeystoreError> {
        entries(&self.folder)
    }

    /// The staged key encrypts, and a new one is staged. Of the others, as many are left as `most` allows, and
    /// every one of which a token can live that is no older than `longest`.
    pub fn rotate(&self, most: usize, longest: Ttl, now: UnixTime) -> Result<Done, KeystoreError> {
        let highest = self.highest()?;
        let next = highest.checked_add(1).ok_or_else(|| {
            KeystoreError::refused(
                "no number is left above the highest",
                "make a new folder, and let the old one open",
            )
        })?;
        let staged = self.read(STAGED)?;
        // A folder with a file that is no key does not load.
        self.entries()?.iter().try_for_each(|entry| self.read(entry.number).map(drop))?;
        self.write(next, &staged)?;
        self.write(STAGED, &new_key()?)?;
        self.remove(Some(most), longest, now)
    }

    /// Removes keys of which no token can live that is no older than `longest`: all of them, or as many as are too
    /// many.
    pub fn remove(&self, most: Option<usize>, longest: Ttl, now: UnixTime) -> Result<Done, KeystoreError> {
        let entries = self.entries()?;
        let mut done = Done { primary: self.highest()?, removed: Vec::new(), kept: Vec::new() };
        // The oldest first, each with the key that took its place.
        let pairs = entries.windows(2).rev().filter_map(|pair| match pair {
            [later, old] if old.number != STAGED => Some((old.number, later.written)),
            _ => None,
        });
        for (number, stopped) in pairs {
            if most.is_some_and(|most| entries.len() - done.removed.len() <= most) {
                break;
            }
            let until = UnixTime(stopped.plus(longest).0.saturating_add(i64::from(LEEWAY_SECONDS)));
            if until > now {
                done.kept.push((number, until));
                continue;
            }
            self.unlink(number)?;
            done.removed.push(number);
        }
        if !done.removed.is_empty() {
            self.sync()?;
        }
        Ok(done)
    }

    /// Removes one key, whatever tokens it has.
    pub fn remove_one(&self, number: u64) -> Result<Done, KeystoreError> {
        let primary = self.highest()?;
        if number == STAGED || number == primary {
            return Err(KeystoreError::refused(
                format!(
                    "key {number} is {}",
                    if number == STAGED { "staged" } else { "the one that encrypts" }
                ),
                "rotate first: keypebble keys rotate --fernet",
            ));
        }
        if !self.entries()?.iter().any(|entry| entry.number == number) {
            return Err(KeystoreError::refused(
                format!("there is no key {number} in {}", self.folder.display()),
                "keypebble keys list --fernet shows the numbers",
            ));
        }
        self.unlink(number)?;
        self.sync()?;
        Ok(Done { primary, removed: vec![number], kept: Vec::new() })
    }

    /// Finishes what was interrupted: a folder without `0`, or whose `0` encrypts already.
    fn take_up(&self) -> Result<(), KeystoreError> {
        let (zero, aside) = (path(&self.folder, STAGED), self.folder.join(ASIDE));
        let there = self.entries()?;
        if !there.iter().any(|entry| entry.number == STAGED) {
            // Keystone's new key, where it was written whole.
            if read(&aside, &mut Files::default()).is_ok() {
                self.disk.rename(&aside, &zero).map_err(|source| failed("rename", &aside, source))?;
                return self.sync();
            }
            return self.write(STAGED, &new_key()?);
        }
        let highest = self.highest()?;
        if highest != STAGED && self.read(STAGED)?.text().expose() == self.read(highest)?.text().expose() {
            return self.write(STAGED, &new_key()?);
        }
        Ok(())
    }

    fn highest(&self) -> Result<u64, KeystoreError> {
        let highest = self.entries()?.first().map(|entry| entry.number);
        highest.ok_or(KeystoreError::Key { path: self.folder.clone(), source: KeyError::NoKeys })
    }

    fn read(&self, number: u64) -> Result<FernetKey, KeystoreError> {
        read(&path(&self.folder, number), &mut Files::default())
    }

    fn write(&self, number: u64, key: &FernetKey) -> Result<(), KeystoreError> {
        let path = path(&self.folder, number);
        let aside = self.folder.join(format!("{number}.tmp"));
        disk::replace(self.disk, &path, &aside, PRIVATE, key.text().expose())
            .map_err(|source| failed("write", &path, source))
    }

    fn unlink(&self, number: u64) -> Result<(), KeystoreError> {
        let path = path(&self.folder, number);
        match self.disk.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, source)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        self.disk.sync_folder(&self.folder).map_err(|source| failed("sync", &self.folder, source))
    }
}

fn new_key() -> Result<FernetKey, KeystoreError> {
    FernetKey::generate().map_err(KeystoreError::Make)
}

#[cfg(test)]
mod tests;
