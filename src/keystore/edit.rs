//! The changes of a key folder: generate, rotate, retire, and the mark of an export.
//!
//! Owns what each change needs and in which order its writes happen. Must not know the command line.
//! Decision: an edit never touches a key file that is there, and ends with the one rename that makes it
//! real, so that it can be stopped anywhere and simply be run again.

use super::error::failed;
use super::lock::{lock, make_folder, refuse_foreign};
use super::manifest::{Entry, Manifest, is_key_file};
use super::{KeystoreError, MANIFEST, keyring, read_manifest};
use crate::ground::disk::{self, Disk, PRIVATE};
use crate::ground::file::Files;
use crate::ground::time::{Ttl, UnixTime};
use crate::key::Key;
use crate::key::algorithm::Algorithm;
use crate::key::keyring::State;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// How long after its last token's end a key is kept: verifiers allow 60 s, and a running server needs a
/// moment to notice that the key no longer signs.
pub const LEEWAY_SECONDS: u32 = 300;

/// A folder that is being changed; nobody else can meanwhile.
pub struct Editor<'d> {
    folder: PathBuf,
    disk: &'d dyn Disk,
    manifest: Manifest,
    /// Locked until it is dropped, or the process ends, however it does.
    _lock: File,
}

/// What a rotation did.
#[derive(Debug)]
pub struct Rotated {
    /// Signs now.
    pub active: Entry,
    /// Signed until now.
    pub previous: Entry,
    /// New.
    pub next: Entry,
}

/// What was retired, and what could not be.
#[derive(Debug)]
pub struct Retired {
    /// Gone.
    pub retired: Vec<Entry>,
    /// Their tokens can be valid until then.
    pub kept: Vec<(Entry, UnixTime)>,
}

impl<'d> Editor<'d> {
    /// Opens a folder to change it.
    pub fn open(folder: &Path, disk: &'d dyn Disk) -> Result<Self, KeystoreError> {
        read_manifest(folder, &mut Files::default())?; // a folder that isn't ours gets no lock file
        let lock = lock(folder, disk)?;
        let manifest = read_manifest(folder, &mut Files::default())?;
        Ok(Self { folder: folder.to_owned(), disk, manifest, _lock: lock })
    }

    /// Opens a folder, or makes a new one for a first key.
    pub fn create(folder: &Path, disk: &'d dyn Disk) -> Result<Self, KeystoreError> {
        make_folder(folder, disk)?;
        if folder.join(MANIFEST).exists() {
            return Self::open(folder, disk);
        }
        let ours = |name: &str| *name == format!("{MANIFEST}.new") || is_key_file(name);
        refuse_foreign(folder, "keys", ours)?;
        let lock = lock(folder, disk)?;
        // Another command may have made the first key meanwhile.
        let manifest = if folder.join(MANIFEST).exists() {
            read_manifest(folder, &mut Files::default())?
        } else {
            Manifest::default()
        };
        Ok(Self { folder: folder.to_owned(), disk, manifest, _lock: lock })
    }

    /// Which key is which.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Makes the folder's first key, which is active at once, or a next one.
    pub fn generate(&mut self, algorithm: Algorithm, now: UnixTime) -> Result<Entry, KeystoreError> {
        let state = if self.manifest.active().is_some() { State::Next } else { State::Active };
        if let Some(next) = self.manifest.next() {
            return Err(KeystoreError::refused(
                format!("a key is staged already: {}", next.id),
                "export it and rotate, or drop it first: keypebble keys retire --id ID",
            ));
        }
        let activated = (state == State::Active).then_some(now);
        let entry = Entry { state, activated, ..self.new_key(algorithm, now)? };
        let mut manifest = self.manifest.clone();
        manifest.entries.push(entry.clone());
        self.commit(manifest)?;
        Ok(entry)
    }

    /// The next key becomes active, the active one previous, and a new one is next.
    ///
    /// Refused where the next key was never exported, unless `force` is set: verifiers would not know it.
    pub fn rotate(
        &mut self,
        algorithm: Option<Algorithm>,
        force: bool,
        now: UnixTime,
    ) -> Result<Rotated, KeystoreError> {
        let (active, next) = rotation(&self.manifest, &self.folder, force)?;
        keyring(&self.folder, &self.manifest, &mut Files::default())?; // a key that is lost would sign nothing
        let new = Entry { state: State::Next, ..self.new_key(algorithm.unwrap_or(next.algorithm), now)? };
        let mut manifest = self.manifest.clone();
        for entry in &mut manifest.entries {
            if entry.id == active.id {
                (entry.state, entry.stopped) = (State::Previous, Some(now));
            } else if entry.id == next.id {
                (entry.state, entry.activated) = (State::Active, Some(now));
            }
        }
        manifest.entries.push(new.clone());
        self.commit(manifest)?;
        let find = |id: &str, before: Entry| self.manifest.find(id).cloned().unwrap_or(before);
        Ok(Rotated {
            active: find(&next.id, next.clone()),
            previous: find(&active.id, active.clone()),
            next: new,
        })
    }

    /// Removes previous keys, or the key of this id, none of whose tokens can be valid any more if none
    /// lived longer than `longest`. With `force` whatever their tokens.
    pub fn retire(
        &mut self,
        id: Option<&str>,
        longest: Ttl,
        force: bool,
        now: UnixTime,
    ) -> Result<Retired, KeystoreError> {
        let chosen = self.retirable(id)?;
        let until = |entry: &Entry| {
            let stopped = entry.stopped.filter(|_| !force)?;
            let until = UnixTime(stopped.plus(longest).0.saturating_add(i64::from(LEEWAY_SECONDS)));
            (until > now).then_some(until)
        };
        let (kept, retired): (Vec<Entry>, Vec<Entry>) =
            chosen.into_iter().partition(|entry| until(entry).is_some());
        if !retired.is_empty() {
            let mut manifest = self.manifest.clone();
            manifest.entries.retain(|entry| !retired.iter().any(|gone| gone.id == entry.id));
            self.commit(manifest)?;
            for entry in &retired {
                let path = self.folder.join(&entry.file);
                match self.disk.remove(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("remove", &path, source));
                    }
                    _ => {}
                }
            }
            self.sync_folder()?;
        }
        let kept = kept.into_iter().filter_map(|entry| Some((until(&entry)?, entry)));
        Ok(Retired { retired, kept: kept.map(|(until, entry)| (entry, until)).collect() })
    }

    fn retirable(&self, id: Option<&str>) -> Result<Vec<Entry>, KeystoreError> {
        let entries = self.manifest.entries();
        let Some(id) = id else {
            return Ok(entries.iter().filter(|entry| entry.state == State::Previous).cloned().collect());
        };
        let Some(entry) = self.manifest.find(id) else {
            let known: Vec<&str> = entries.iter().map(|entry| &*entry.id).collect();
            return Err(KeystoreError::refused(
                format!("no key has the id `{}`", id.escape_debug()),
                format!("the ids here are {}", known.join(", ")),
            ));
        };
        if entry.state == State::Active {
            return Err(KeystoreError::refused(
                format!("{id} is the active key: without it nothing is signed"),
                "rotate first: keypebble keys rotate",
            ));
        }
        Ok(vec![entry.clone()])
    }

    /// Notes that the public halves of these keys were handed out. True where that is news.
    pub fn mark_exported(&mut self, ids: &[String], now: UnixTime) -> Result<bool, KeystoreError> {
        let mut manifest = self.manifest.clone();
        for entry in manifest.entries.iter_mut().filter(|entry| ids.contains(&entry.id)) {
            entry.exported.get_or_insert(now);
        }
        let news = manifest != self.manifest;
        if news {
            self.commit(manifest)?;
        }
        Ok(news)
    }

    /// A new key, its file on the disk.
    fn new_key(&self, algorithm: Algorithm, now: UnixTime) -> Result<Entry, KeystoreError> {
        let (key, secret) = Key::generate(algorithm).map_err(KeystoreError::Make)?;
        let digits = disk::random_name()
            .map_err(|source| KeystoreError::System { what: "cannot get random bytes".to_owned(), source })?;
        let (id, suffix) = match key.id() {
            Some(id) => (id.to_owned(), "pem"),
            // A hash of a secret would help to guess it: its id is a random name.
            None => (digits.clone(), "secret"),
        };
        let file = format!("key-{digits}.{suffix}");
        let path = self.folder.join(&file);
        disk::write_new(self.disk, &path, PRIVATE, secret.expose())
            .map_err(|source| failed("write", &path, source))?;
        self.sync_folder()?;
        let (exported, activated, stopped) = (None, None, None);
        Ok(Entry { id, algorithm, state: State::Next, file, created: now, exported, activated, stopped })
    }

    /// Makes a change real.
    fn commit(&mut self, mut manifest: Manifest) -> Result<(), KeystoreError> {
        manifest.sort();
        let path = self.folder.join(MANIFEST);
        let aside = self.folder.join(format!("{MANIFEST}.new"));
        disk::replace(self.disk, &path, &aside, PRIVATE, manifest.text().as_bytes())
            .map_err(|source| failed("write", &path, source))?;
        self.manifest = manifest;
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), KeystoreError> {
        self.disk.sync_folder(&self.folder).map_err(|source| failed("sync", &self.folder, source))
    }
}

/// The key that signs and the one that would after a rotation, where that is not refused.
pub fn rotation(manifest: &Manifest, folder: &Path, force: bool) -> Result<(Entry, Entry), KeystoreError> {
    let folder = folder.display().to_string();
    let (Some(active), Some(next)) = (manifest.active(), manifest.next()) else {
        return Err(KeystoreError::refused(
            "no key is staged, so none can become active",
            format!("stage one with: keypebble keys generate --dir {folder} --algorithm ES256"),
        ));
    };
    if next.exported.is_none() && !force {
        return Err(unexported(next, &folder));
    }
    Ok((active.clone(), next.clone()))
}

fn unexported(next: &Entry, folder: &str) -> KeystoreError {
    let (message, hint) = if next.algorithm.is_hmac() {
        (
            format!("{} is a shared secret, which is never exported: verifiers may not know it", next.id),
            format!("give every verifier {folder}/{}, then add --force", next.file),
        )
    } else {
        (
            format!("{} was never exported: no verifier would know it", next.id),
            format!(
                "give it to every verifier first: keypebble keys export --dir {folder} --format jwks --out FILE \
                 (or --format cert for a rootcertbundle), and restart each registry"
            ),
        )
    };
    KeystoreError::refused(message, hint)
}
