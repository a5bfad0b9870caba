//! Whose folder it is: nobody else's files, and no second command at the same time.
//!
//! Owns the lock's file. Must not know the changes.

use super::error::failed;
use super::{KeystoreError, LOCK};
use crate::ground::disk::{Disk, PRIVATE};
use crate::ground::file::folder_of;
use crate::ground::lock::{self, LockError};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder that only its owner can enter, unless it is there.
pub(super) fn make_folder(folder: &Path, disk: &dyn Disk) -> Result<(), KeystoreError> {
    let made = match disk.create_folder(folder, 0o700) {
        Ok(()) => disk.sync_folder(folder_of(folder)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|source| failed("create the folder", folder, source))
}

/// A folder that holds something else than files of these names is somebody else's. `what` it should be.
pub(super) fn refuse_foreign(folder: &Path, what: &str, ours: fn(&str) -> bool) -> Result<(), KeystoreError> {
    let listed = std::fs::read_dir(folder).map_err(|source| failed("read", folder, source))?;
    for entry in listed {
        let name = entry.map_err(|source| failed("read", folder, source))?.file_name();
        let name = name.to_string_lossy();
        if name != LOCK && !ours(&name) {
            return Err(KeystoreError::refused(
                format!("{} is not a folder of {what}: it holds {name:?}", folder.display()),
                "name a folder that is empty or does not exist",
            ));
        }
    }
    Ok(())
}

/// Waits for the lock.
pub(super) fn lock(folder: &Path, disk: &dyn Disk) -> Result<File, KeystoreError> {
    let path = folder.join(LOCK);
    match disk.create(&path, PRIVATE) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create", &path, error));
        }
        _ => {}
    }
    let file = OpenOptions::new().write(true).open(&path).map_err(|source| failed("open", &path, source))?;
    match lock::lock(&file) {
        Ok(()) => Ok(file),
        Err(LockError::System(source)) => Err(failed("lock", &path, source)),
        Err(LockError::Held) => Err(KeystoreError::refused(
            format!("another command is changing {}", folder.display()),
            "try again when it is done",
        )),
    }
}
