//! Writes that survive a crash.
//!
//! Owns every call that changes a file, one method for each point at which a crash can leave something
//! behind, and the ways they are put together: a new file, and a file replaced whole. Must not know
//! what the files say. Decision: the calls are a trait, so that a test can stop after any of them; nothing else in the
//! program has a reason to implement it.

use super::file::{self, folder_of};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file that only its owner may read: every private key.
pub const PRIVATE: u32 = 0o600;
/// A file that everyone may read: what is published.
pub const PUBLIC: u32 = 0o644;

/// The calls that change files.
pub trait Disk {
    /// `mkdir` with this mode; fails where something is there.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// `open` with `O_CREAT | O_EXCL` and this mode: never an existing file, nor through a link.
    fn create(&self, path: &Path, mode: u32) -> io::Result<File>;
    /// `fchown` and `fchmod`: the owner, group and mode of another file.
    fn give(&self, file: &File, like: &Metadata) -> io::Result<()>;
    /// `write`
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// `fsync`
    fn sync(&self, file: &File) -> io::Result<()>;
    /// `rename`, which replaces what is there at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// `unlink`
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// `fsync` of a folder: what was created, renamed or removed in it is so after a power failure, too.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Disk for System {
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
    }

    fn give(&self, file: &File, like: &Metadata) -> io::Result<()> {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (like.uid(), like.gid()) {
            fchown(file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Writes a file that must not be there yet, down to the disk. What is half written is taken away again.
pub fn write_new(disk: &dyn Disk, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    write(disk, path, mode, None, bytes)
}

/// The same, with the owner, group and mode of another file before the first byte.
fn write(disk: &dyn Disk, path: &Path, mode: u32, like: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.create(path, mode)?;
    let written = like
        .map_or(Ok(()), |like| disk.give(&file, like))
        .and_then(|()| disk.write(&mut file, bytes))
        .and_then(|()| disk.sync(&file));
    if written.is_err() {
        let _ = disk.remove(path);
    }
    written
}

/// Replaces a file whole: at every moment its path shows the old text or the new one, never a part. The
/// new text is written to `aside`, in the same folder, first.
pub fn replace(disk: &dyn Disk, path: &Path, aside: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    match disk.remove(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write(disk, aside, mode, None, bytes)?;
    put_in_place(disk, aside, path)
}

fn put_in_place(disk: &dyn Disk, aside: &Path, path: &Path) -> io::Result<()> {
    if let Err(error) = disk.rename(aside, path) {
        let _ = disk.remove(aside);
        return Err(error);
    }
    disk.sync_folder(folder_of(path))
}

/// Replaces a file of the user's, which keeps the owner, group and mode that it had when it was read, or makes a
/// private one.
pub fn rewrite(disk: &dyn Disk, path: &Path, like: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let aside = aside(path)?;
    write(disk, &aside, PRIVATE, like, bytes)?;
    put_in_place(disk, &aside, path)
}

/// Replaces a file of the user's that everyone may read, if it is empty or `ours` says that it was made so before.
/// Whoever types the path of a key or of a configuration should not lose it.
pub fn publish(disk: &dyn Disk, path: &Path, bytes: &[u8], ours: fn(&[u8]) -> bool) -> io::Result<()> {
    let mut mode = PUBLIC;
    if let Some(there) = there(path)? {
        let content = file::read(path, 1024 * 1024)?;
        if !content.is_empty() && !ours(&content) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it holds something else"));
        }
        mode = there.mode() & 0o755; // perhaps another user's choice: nobody else may write
    }
    replace(disk, path, &aside(path)?, mode, bytes)
}

/// What is at a path that a file is to take: nothing, or a regular file. A link, perhaps another user's in a
/// folder open to all, is never followed.
pub fn there(path: &Path) -> io::Result<Option<Metadata>> {
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => refused(match fs::read_link(path) {
            Ok(target) => format!("it is a link to {}: name the file itself", target.display()),
            Err(_) => "it is a link: name the file itself".to_owned(),
        }),
        Ok(there) if !there.is_file() => refused("what is there is not a regular file".to_owned()),
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A hidden name beside a file or a folder.
pub(crate) fn aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", random_name()?));
    Ok(path.with_file_name(name))
}

/// A name that nobody can have taken before: 64 random bits, in hexadecimal.
pub fn random_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_be_bytes(random)))
}

#[cfg(test)]
pub(crate) mod faulty {
    //! A disk that dies.

    use super::*;
    use std::cell::{Cell, RefCell};

    /// Does what it is told until `left` is used up, then fails for good, as after a crash: half of a
    /// write that is under way is done.
    pub(crate) struct Faulty {
        left: Cell<usize>,
        pub(crate) trace: RefCell<Vec<String>>,
    }

    impl Faulty {
        pub(crate) fn after(operations: usize) -> Self {
            Faulty { left: Cell::new(operations), trace: RefCell::default() }
        }

        pub(crate) fn died(&self) -> bool {
            self.left.get() == 0
        }

        fn step(&self, what: &str, path: &Path) -> io::Result<()> {
            let Some(left) = self.left.get().checked_sub(1) else {
                return Err(io::Error::other("the disk has died"));
            };
            self.left.set(left);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.trace.borrow_mut().push(format!("{what} {name}").trim_end().to_owned());
            Ok(())
        }
    }

    impl Disk for Faulty {
        fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
            self.step("mkdir", path).and_then(|()| System.create_folder(path, mode))
        }
        fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
            self.step("create", path).and_then(|()| System.create(path, mode))
        }
        fn give(&self, file: &File, like: &Metadata) -> io::Result<()> {
            self.step("give", Path::new("")).and_then(|()| System.give(file, like))
        }
        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            if let Err(error) = self.step("write", Path::new("")) {
                System.write(file, &bytes[..bytes.len() / 2])?;
                return Err(error);
            }
            System.write(file, bytes)
        }
        fn sync(&self, file: &File) -> io::Result<()> {
            self.step("sync", Path::new("")).and_then(|()| System.sync(file))
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.step("rename", to).and_then(|()| System.rename(from, to))
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            self.step("remove", path).and_then(|()| System.remove(path))
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.step("sync-folder", Path::new("")).and_then(|()| System.sync_folder(path))
        }
    }
}
