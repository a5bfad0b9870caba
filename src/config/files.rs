//! The files that a configuration names: keys, secrets and certificates.
//!
//! Owns reading them, bounded and relative to the configuration's folder, and the warning about those
//! that others can read. Must not know what is in them.

use super::Warning;
use crate::ground::document::{DocumentError, Node, read_bounded};
use crate::ground::secret::Secret;
use std::path::{Path, PathBuf};

/// A key or chain file is a few kilobytes; ML-DSA's largest is under ten.
const MAX_KEY_FILE_BYTES: u64 = 256 * 1024;

/// Files named by the configuration, relative to its folder.
pub(super) struct Files<'f> {
    pub(super) folder: &'f Path,
    pub(super) warnings: &'f mut Vec<Warning>,
}

impl Files<'_> {
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// A secret's file; line ends at its end are an editor's, not the secret's.
    pub(super) fn secret(&mut self, node: &Node<'_>) -> Result<Secret, DocumentError> {
        let path = self.path(node.string()?);
        let mut bytes = read_file(node, &path)?;
        self.warn_of_readers(&path, "");
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(Secret::new(bytes))
    }

    /// A PEM file.
    pub(super) fn pem(&mut self, node: &Node<'_>) -> Result<Secret, DocumentError> {
        let path = self.path(node.string()?);
        let bytes = read_file(node, &path)?;
        self.warn_of_readers(&path, "");
        Ok(Secret::new(bytes))
    }

    /// A PEM file that may hold a public key, which everyone may read.
    pub(super) fn public(&self, node: &Node<'_>) -> Result<Secret, DocumentError> {
        read_file(node, &self.path(node.string()?)).map(Secret::new)
    }

    /// Warns of a folder in which users other than its owner can put files.
    #[cfg(unix)]
    pub(super) fn warn_of_writers(&mut self, path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = path.metadata() else { return };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o022 != 0 {
            let path = path.display();
            let message = format!("{path}: others can exchange the keys in it (mode {mode:04o})");
            self.warnings.push(Warning::new(message, format!("chmod 700 {path}")));
        }
    }

    /// Elsewhere permissions are not modes.
    #[cfg(not(unix))]
    pub(super) fn warn_of_writers(&mut self, _: &Path) {
        let _ = &self.warnings;
    }

    /// Warns of a file that users other than its owner and group can read or change.
    #[cfg(unix)]
    pub(super) fn warn_of_readers(&mut self, path: &Path, holds: &str) {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = path.metadata() else { return };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o006 != 0 {
            let path = path.display();
            let message = format!("{path}{holds} can be read by every user of this host (mode {mode:04o})");
            self.warnings.push(Warning::new(message, format!("chmod 600 {path}")));
        }
    }

    /// Elsewhere permissions are not modes.
    #[cfg(not(unix))]
    pub(super) fn warn_of_readers(&mut self, _: &Path, _: &str) {
        let _ = &self.warnings;
    }
}

pub(super) fn read_file(node: &Node<'_>, path: &Path) -> Result<Vec<u8>, DocumentError> {
    read_bounded(path, MAX_KEY_FILE_BYTES).map_err(|error| {
        let mut failed = node.error(format!("cannot read {}", path.display()));
        if error.kind() == std::io::ErrorKind::NotFound && path.is_relative() {
            failed = failed.hint("relative paths are relative to the configuration file's folder");
        }
        failed.source = Some(error);
        failed
    })
}
