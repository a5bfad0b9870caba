//! Whose folder it is: nobody else's files, and no second command at the same time.
//!
//! Owns the lock. Must not know the changes. Decision: the system's lock on an open file (flock), which ends
//! with its holder however that ends, so that no lock is ever stale and none has to be broken.

use super::disk::{Disk, PRIVATE};
use super::error::failed;
use super::{LOCK, StoreError};
use crate::ground::file::folder_of;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for another command that changes the folder.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Makes a folder that only its owner can enter, unless it is there.
pub(super) fn make_folder(folder: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let made = match disk.create_folder(folder, 0o700) {
        Ok(()) => disk.sync_folder(folder_of(folder)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|source| failed("create the folder", folder, source))
}

/// A folder that holds something else than files of these names is somebody else's. `what` it should be.
pub(super) fn refuse_foreign(folder: &Path, what: &str, ours: fn(&str) -> bool) -> Result<(), StoreError> {
    let listed = std::fs::read_dir(folder).map_err(|source| failed("read", folder, source))?;
    for entry in listed {
        let name = entry.map_err(|source| failed("read", folder, source))?.file_name();
        let name = name.to_string_lossy();
        if name != LOCK && !ours(&name) {
            return Err(StoreError::refused(
                format!("{} is not a folder of {what}: it holds {name:?}", folder.display()),
                "name a folder that is empty or does not exist",
            ));
        }
    }
    Ok(())
}

/// Waits for the lock. The system gives it back when its holder ends, so that none is ever stale.
pub(super) fn lock(folder: &Path, disk: &dyn Disk) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    match disk.create(&path, PRIVATE) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create", &path, error));
        }
        _ => {}
    }
    let file = OpenOptions::new().write(true).open(&path).map_err(|source| failed("open", &path, source))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            Err(TryLockError::WouldBlock) if started.elapsed() > LOCK_WAIT => {
                return Err(StoreError::refused(
                    format!("another command is changing {}", folder.display()),
                    "try again when it is done",
                ));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
