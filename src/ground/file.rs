//! The operator's files: opened without waiting, bounded, judged, and remembered.
//!
//! Owns how configuration, policy, users, keys and certificates are read, which files a load depends on, and
//! the warnings about who else can read or change them. Must not know what they mean. Decision: whoever reads
//! a file reads it through [`Files`], which notes every path, also of what is not there, so that a server
//! watches exactly what was read.

use super::diagnostic::Diagnostic;
use super::encoding::byte_order;
use super::secret::Secret;
use super::sys::user_id;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What one load has read so far.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<PathBuf>,
    warnings: Vec<Diagnostic>,
}

impl Files {
    /// Every path that was read or looked for, in this order.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What works but should not stay as it is.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Adds a warning, unless it is there already.
    pub fn warn(&mut self, what: impl AsRef<str>, hint: impl AsRef<str>) {
        self.add(Diagnostic::advice("config", what, hint));
    }

    /// The same, for a warning that is made already.
    pub fn add(&mut self, warning: Diagnostic) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Notes that what is loaded depends on this path.
    pub fn note(&mut self, path: &Path) {
        if !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
    }

    /// Reads a regular file of at most `limit` bytes. Warns where others can change it.
    pub fn read(&mut self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        self.note(path);
        let file = open(path)?;
        self.judge(path, &file.metadata()?);
        contents(file, limit)
    }

    /// As [`Files::read`], for text that people edit: never UTF-16, nor with a byte order mark.
    pub fn read_text(&mut self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        text(self.read(path, limit)?)
    }

    /// The same for a file that is to be replaced, and whose it is. A link is not followed, also one that somebody
    /// puts there at this moment: what is behind it would end up in a file of theirs.
    pub fn read_itself(&mut self, path: &Path, limit: u64) -> io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
        self.note(path);
        let file = open_with(path, libc::O_NOFOLLOW)?;
        let metadata = file.metadata()?;
        self.judge(path, &metadata);
        Ok((text(contents(file, limit)?)?, metadata))
    }

    /// Reads a secret. Line ends at its end are an editor's, not the secret's.
    pub fn secret(&mut self, path: &Path, limit: u64) -> io::Result<Secret> {
        let mut bytes = self.read_text(path, limit)?;
        self.private(path);
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(bytes.into())
    }

    /// Warns where everybody can read a file that holds a secret.
    pub fn private(&mut self, path: &Path) {
        self.private_for(path, "holds a secret");
    }

    /// The same of a file of which `what` is true.
    pub fn private_for(&mut self, path: &Path, what: &str) {
        let Ok(mode) = path.metadata().map(|metadata| metadata.mode() & 0o777) else { return };
        if mode & 0o004 != 0 {
            let path = path.display();
            self.warn(
                format!("{path} {what} and can be read by every user of this host (mode {mode:04o})"),
                format!("chmod 600 {path}"),
            );
        }
    }

    /// Warns where others can change a file, or put another in its place.
    fn judge(&mut self, path: &Path, metadata: &Metadata) {
        self.judge_owner(path, metadata, "change it");
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // The file may be a link into another folder.
        for folder in [real(folder_of(path)), folder_of(&real(path)).to_owned()] {
            if let Ok(metadata) = folder.metadata() {
                self.judge_owner(&folder, &metadata, "put other files into it");
            }
        }
    }

    fn judge_owner(&mut self, path: &Path, metadata: &Metadata, can: &str) {
        let (mode, owner, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let path = path.display();
        // A group of the owner's own, as many systems make them, holds nobody else.
        let who = match mode {
            _ if mode & 0o002 != 0 => Some("every user of this host"),
            _ if mode & 0o020 != 0 && group != 0 && group != owner => Some("every member of its group"),
            _ => None,
        };
        if let Some(who) = who {
            self.warn(format!("{path}: {who} can {can} (mode {mode:04o})"), format!("chmod go-w {path}"));
        }
        if owner != 0 && owner != user_id() {
            self.warn(
                format!("{path} belongs to the user with id {owner}, who can {can}"),
                format!("chown root {path}, or run keypebble as that user"),
            );
        }
    }
}

/// Opens a regular file, without waiting for whoever should write into a pipe.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, 0)
}

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let denied = |error| denied(path, error);
    regular(&fs::metadata(path).map_err(denied)?)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags);
    let file = options.open(path).map_err(denied)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes that no load depends on.
pub fn read(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    contents(open(path)?, limit)
}

/// The folder of a path; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder.unwrap_or(path),
    }
}

/// Where a file may not be read: as which user that was tried, and whose it is, or the folder that bars the way.
fn denied(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    // What cannot be looked at stands in a folder that cannot be entered.
    let mut seen = path.ancestors().map(|at| if at.as_os_str().is_empty() { Path::new(".") } else { at });
    let Some((at, there)) = seen.find_map(|at| Some((at, fs::metadata(at).ok()?))) else {
        return error;
    };
    let (user, path, mode) = (user_id(), at.display(), there.mode() & 0o7777);
    let (owner, group) = (there.uid(), there.gid());
    io::Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "permission denied: this is user {user}, and {path} belongs to user {owner} and group {group}, with mode {mode:04o}"
        ),
    )
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

fn text(bytes: Zeroizing<Vec<u8>>) -> io::Result<Zeroizing<Vec<u8>>> {
    match byte_order(&bytes) {
        Some(problem) => Err(io::Error::new(ErrorKind::InvalidData, format!("it {problem}"))),
        None => Ok(bytes),
    }
}

/// All bytes, in one allocation, so that no copy is left unwiped.
fn contents(file: File, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let long = || io::Error::new(ErrorKind::FileTooLarge, format!("longer than {limit} bytes"));
    let length = file.metadata()?.len();
    if length > limit {
        return Err(long());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).map_err(|_| long())? + 1));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(long()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    /// A file with these bytes and this mode.
    fn file(folder: &Folder, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn only_a_regular_file_is_read_and_the_error_names_what_is_there() {
        let folder = Folder::new();
        let pipe = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        symlink("pipe", folder.join("link")).unwrap();
        for (path, what) in [
            (pipe, "it is a pipe, not a regular file"),
            (folder.join("link"), "it is a pipe"),
            (folder.join("socket"), "it is a socket"),
            (folder.path().to_owned(), "it is a folder"),
            ("/dev/null".into(), "it is a device"),
            (folder.join("absent"), "No such file"),
        ] {
            let mut files = Files::default();
            let error = files.read(&path, 10).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(files.paths(), [path], "what is not read is noted, too");
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_told_with_its_owner_and_who_asked() {
        let folder = Folder::new();
        let path = file(&folder, "key", b"", 0o640);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let said = |path: &Path| denied(path, ErrorKind::PermissionDenied.into()).to_string();
        let us = user_id();
        for (asked, seen, mode) in
            [(path.clone(), path.as_path(), "0640"), (folder.join("closed/key"), folder.path(), "0750")]
        {
            let told = format!(
                "this is user {us}, and {} belongs to user {us} and group {}, with mode {mode}",
                seen.display(),
                seen.metadata().unwrap().gid()
            );
            assert!(said(&asked).ends_with(&told), "{}", said(&asked));
        }
        assert_eq!(denied(&path, ErrorKind::NotFound.into()).kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_is_to_be_replaced_is_read_itself_and_never_through_a_link() {
        let folder = Folder::new();
        let path = file(&folder, "a", b"text", 0o640);
        let (bytes, metadata) = Files::default().read_itself(&path, 10).unwrap();
        assert_eq!((bytes.as_slice(), metadata.mode() & 0o777), (&b"text"[..], 0o640));
        symlink("a", folder.join("link")).unwrap();
        let error = Files::default().read_itself(&folder.join("link"), 10).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        assert!(Files::default().read_itself(folder.path(), 10).is_err());
    }

    #[test]
    fn a_file_is_bounded_and_a_secret_loses_its_line_end_alone() {
        let folder = Folder::new();
        let path = file(&folder, "a", b" a\tsecret \r\n\n", 0o600);
        assert_eq!(read(&path, 13).unwrap().len(), 13);
        assert_eq!(read(&path, 12).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(Files::default().secret(&path, 13).unwrap().expose(), b" a\tsecret ");
    }

    #[test]
    fn a_mark_or_an_encoding_is_named_and_never_part_of_a_secret() {
        let folder = Folder::new();
        let utf16 = |unit: fn(u16) -> [u8; 2]| "a secret".encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        for (bytes, named) in [
            (b"\xef\xbb\xbfa secret".to_vec(), "a byte order mark"),
            ([&b"\xff\xfe"[..], &utf16(u16::to_le_bytes)].concat(), "UTF-16"),
            ([&b"\xfe\xff"[..], &utf16(u16::to_be_bytes)].concat(), "UTF-16"),
            (utf16(u16::to_le_bytes), "UTF-16"),
        ] {
            let path = file(&folder, "secret", &bytes, 0o600);
            let error = Files::default().secret(&path, 100).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let random = file(&folder, "secret", b"\xff\xfe\x01\xd8 random bytes", 0o600);
        assert!(Files::default().secret(&random, 100).is_ok());
    }

    #[test]
    fn others_who_can_read_or_change_what_is_read_are_warned_of() {
        let folder = Folder::new();
        let messages = |path: &Path, private: bool| {
            let mut files = Files::default();
            files.read(path, 10).unwrap();
            if private {
                files.private(path);
            }
            files.warnings().iter().map(|warning| warning.what.clone()).collect::<Vec<_>>().join("\n")
        };
        for (mode, private, said) in [
            (0o600, true, ""),
            (0o644, false, ""),
            (0o644, true, "holds a secret and can be read by every user of this host (mode 0644)"),
            (0o666, false, "every user of this host can change it (mode 0666)"),
        ] {
            let messages = messages(&file(&folder, "a", b"", mode), private);
            assert_eq!(messages.is_empty(), said.is_empty(), "{mode:o}: {messages}");
            assert!(messages.contains(said), "{mode:o}: {messages}");
        }
        let (path, open) = (file(&folder, "a", b"", 0o600), folder.join("open"));
        symlink(&path, folder.join("link")).unwrap();
        fs::create_dir(&open).unwrap();
        symlink(&path, open.join("link")).unwrap();
        for mode in [0o777, 0o1777] {
            fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
            let said = messages(&open.join("link"), false);
            assert!(said.contains(&format!("can put other files into it (mode {mode:04o})")), "{said}");
        }
        assert_eq!(messages(&folder.join("link"), false), "");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            messages(&open.join("link"), false).contains("other files into it (mode 0777)"),
            "the target's"
        );
    }

    #[test]
    fn a_foreign_owner_is_warned_of() {
        let folder = Folder::new();
        let path = file(&folder, "a", b"", 0o600);
        let mut files = Files::default();
        files.read(&path, 10).unwrap();
        assert_eq!(files.warnings(), []);
        let owner = user_id();
        let theirs = std::os::unix::fs::chown(&path, Some(owner + 1000), None);
        if theirs.is_ok() {
            files.read(&path, 10).unwrap();
            let said = &files.warnings()[0].what;
            assert!(said.contains(&format!("belongs to the user with id {}", owner + 1000)), "{said}");
        } else {
            assert_ne!(owner, 0, "root may give files away");
        }
    }
}
