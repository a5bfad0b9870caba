//! The password: from a file in libpq's form (PostgreSQL manual, 34.16), and from nowhere else.

use crate::ground::file;
use crate::store::server::{Host, Server};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The longest file, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The password for a host; `None` where no file is named, or no line of it fits. The file is read for each
/// connection, so that a new password needs no restart. An error says what is wrong and what to do.
pub(super) fn password(server: &Server, host: &Host) -> Result<Option<Zeroizing<Vec<u8>>>, [String; 2]> {
    let named = server.passfile.clone();
    let Some(path) = named.or_else(|| std::env::var_os("PGPASSFILE").map(PathBuf::from)) else {
        return Ok(None);
    };
    let shown = path.display();
    let there = fs::metadata(&path).map_err(|error| {
        [
            format!("the passfile {shown} cannot be read: {error}"),
            "see `passfile` in docs/store.md".to_owned(),
        ]
    })?;
    if there.mode() & 0o077 != 0 {
        return Err([
            format!("the passfile {shown} can be read by other users (mode {:04o})", there.mode() & 0o7777),
            format!("chmod 600 {shown}"),
        ]);
    }
    let text = file::read(&path, MAX_BYTES)
        .map_err(|error| [format!("the passfile {shown} cannot be read: {error}"), String::new()])?;
    let (name, port) = match host {
        Host::Tcp(name, port) => (name.clone(), port),
        // libpq looks for `localhost` where the socket is in the usual folder; the folder itself fits, too.
        Host::Unix(folder, port) => (folder.display().to_string(), port),
    };
    let wanted = [name.as_str(), &port.to_string(), &server.database, &server.user];
    Ok(text
        .split(|byte| *byte == b'\n')
        .find_map(|line| of_line(line, &wanted, matches!(host, Host::Unix(..)))))
}

/// The password of a line `host:port:database:user:password`, where that line is for us. `*` fits anything; a
/// colon or backslash within a field has a backslash before it.
fn of_line(line: &[u8], wanted: &[&str; 4], near: bool) -> Option<Zeroizing<Vec<u8>>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut fields: Vec<Zeroizing<Vec<u8>>> = vec![Zeroizing::new(Vec::with_capacity(line.len()))];
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b':' if fields.len() < 5 => fields.push(Zeroizing::new(Vec::with_capacity(line.len()))),
            b'\\' => fields.last_mut()?.extend(bytes.next()),
            byte => fields.last_mut()?.push(*byte),
        }
    }
    let password = if fields.len() == 5 { fields.pop()? } else { return None };
    let fits = fields.iter().zip(wanted).enumerate().all(|(at, (field, wanted))| {
        field.as_slice() == b"*"
            || field.as_slice() == wanted.as_bytes()
            || (at == 0 && near && field.as_slice() == b"localhost")
    });
    (fits && !line.starts_with(b"#")).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_by_its_four_fields_and_gives_the_fifth() {
        let wanted = ["db", "5432", "d", "a:b"];
        for (line, near, password) in [
            ("db:5432:d:a\\:b:pass:word", false, Some("pass:word")),
            ("*:*:*:*:x\\\\y\r", false, Some("x\\y")),
            ("localhost:5432:d:a\\:b:p", true, Some("p")),
            ("localhost:5432:d:a\\:b:p", false, None),
            ("db:5433:d:a\\:b:p", false, None),
            ("db:5432:d:a:b:p", false, None),
            ("#*:*:*:*:p", false, None),
            ("*:*:*:p", false, None),
            ("", false, None),
        ] {
            let found = of_line(line.as_bytes(), &wanted, near);
            assert_eq!(found.as_deref().map(Vec::as_slice), password.map(str::as_bytes), "{line}");
        }
    }
}
