//! Lays the corpora out for the fuzzer, and makes archives of them again: see README.md.
#![allow(clippy::print_stderr, reason = "a program")]

use keypebble_fuzz::{TARGETS, archive};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

/// What a step comes to.
type Done = Result<(), Box<dyn Error>>;

const USAGE: &str = "usage: corpus unpack|pack [TARGET...]";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let Some((verb, targets)) = words.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match verb.as_str() {
        "unpack" => each(targets, unpack),
        "pack" => each(targets, pack),
        _ => Err(USAGE.into()),
    };
    if let Err(error) = done {
        eprintln!("corpus: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// All targets, where none is named.
fn each(named: &[String], act: fn(&Path, &Path) -> Done) -> Done {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    if let Some(name) = named.iter().find(|name| TARGETS.iter().all(|(known, _)| known != name)) {
        return Err(format!("no such target: {name}").into());
    }
    for (target, _) in
        TARGETS.iter().filter(|(known, _)| named.is_empty() || named.iter().any(|n| n == known))
    {
        act(&corpus.join(target), &corpus.join(format!("{target}.archive")))
            .map_err(|error| format!("{target}: {error}"))?;
    }
    Ok(())
}

/// The archive's inputs as files, beside whatever is there.
fn unpack(folder: &Path, archive: &Path) -> Done {
    fs::create_dir_all(folder)?;
    for (name, bytes) in archive::read(&fs::read(archive)?)? {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// The folder's files, as `cargo fuzz cmin` leaves them, in place of the archive. The names that the fuzzer gives
/// are cut short.
fn pack(folder: &Path, archive: &Path) -> Done {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let mut name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.len() == 40 {
            name.truncate(12);
        }
        inputs.push((name, fs::read(path)?));
    }
    let packed = archive::write(inputs);
    archive::read(&packed)?;
    fs::write(archive, packed)?;
    Ok(())
}
