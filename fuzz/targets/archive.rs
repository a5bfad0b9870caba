//! A target's corpus as one file: thousands of files of a few bytes each are a burden to git.
//!
//! The inputs stand one after another, sorted by name: a line `NAME LENGTH`, so many bytes, and a line feed. The
//! same inputs always make the same file. A name is of `a` to `z`, `0` to `9` and `-`.

/// An input's name and bytes.
pub type Input = (String, Vec<u8>);

/// The archive of these inputs.
pub fn write(mut inputs: Vec<Input>) -> Vec<u8> {
    inputs.sort();
    let mut archive = Vec::new();
    for (name, bytes) in inputs {
        archive.extend(format!("{name} {}\n", bytes.len()).into_bytes());
        archive.extend(bytes);
        archive.push(b'\n');
    }
    archive
}

/// The inputs of an archive, or what is wrong with it and in which byte.
pub fn read(archive: &[u8]) -> Result<Vec<Input>, String> {
    let mut inputs: Vec<Input> = Vec::new();
    let mut rest = archive;
    while !rest.is_empty() {
        let (input, behind) = one(rest).ok_or(format!("no input at byte {}", archive.len() - rest.len()))?;
        if inputs.last().is_some_and(|last| last.0 >= input.0) {
            return Err(format!("{} is out of order", input.0));
        }
        inputs.push(input);
        rest = behind;
    }
    Ok(inputs)
}

/// The first input, and what is behind it.
fn one(archive: &[u8]) -> Option<(Input, &[u8])> {
    let end = archive.iter().position(|byte| *byte == b'\n')?;
    let (name, length) = std::str::from_utf8(&archive[..end]).ok()?.split_once(' ')?;
    let is_named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_named) {
        return None;
    }
    let (bytes, behind) = archive[end + 1..].split_at_checked(length.parse().ok()?)?;
    Some(((name.to_owned(), bytes.to_vec()), behind.strip_prefix(b"\n")?))
}
