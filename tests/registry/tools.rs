//! Owns what the tests do with files, and the encodings and hashes that they need, from openssl.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::Folder;

/// Writes a file in a folder of the test's, and the folders that it is in.
pub(crate) fn write_file(folder: &Folder, name: &str, text: &str) -> PathBuf {
    fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
    folder.write(name, text)
}

/// The standard output of a command that must succeed.
pub(crate) fn output(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    output("openssl", &["dgst", "-sha256", "-binary"], data)
}

pub(crate) fn hex(data: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    data.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// `bits` of each character, over an alphabet: base64 and base32 differ in nothing else but the padding.
fn encode(data: &[u8], bits: u32, alphabet: &[u8]) -> String {
    let (mut text, mut held, mut have) = (String::new(), 0u32, 0);
    for &byte in data {
        held = (held << 8) | u32::from(byte);
        have += 8;
        while have >= bits {
            have -= bits;
            text.push(char::from(alphabet[(held >> have) as usize & ((1 << bits) - 1)]));
        }
        held &= (1 << have) - 1;
    }
    if have > 0 {
        text.push(char::from(alphabet[(held << (bits - have)) as usize]));
    }
    text
}

pub(crate) fn base64url(data: &[u8]) -> String {
    encode(data, 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}

pub(crate) fn base64(data: &[u8]) -> String {
    let text = encode(data, 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    let padding = text.len().next_multiple_of(4) - text.len();
    text + &"=".repeat(padding)
}

pub(crate) fn base32(data: &[u8]) -> String {
    encode(data, 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

/// A copy of a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
