//! What is read to its end: standard input, a pipe.
//!
//! Owns who gets standard input, which can be read once. Decision: whoever comes second is refused and told who
//! was first: there is nothing left to read, and an empty text can look like an answer.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::iter::successors;
use std::sync::OnceLock;
use zeroize::Zeroizing;

static TAKEN: OnceLock<&'static str> = OnceLock::new();

/// Standard input was given for two things.
#[derive(Debug)]
struct Taken {
    first: &'static str,
    what: &'static str,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standard input is {}, and can't be {} as well", self.first, self.what)
    }
}

impl Error for Taken {}

/// Whether an error, or one that it comes from, is that standard input was given for two things.
pub fn is_given_twice(error: &(dyn Error + 'static)) -> bool {
    let causes = successors(Some(error), |&error| error.source());
    let mut system = causes.filter_map(|error| error.downcast_ref::<io::Error>()?.get_ref());
    system.any(<dyn Error + Send + Sync>::is::<Taken>)
}

/// All of standard input, at most `limit` bytes, as what it is: `the configuration`.
pub fn stdin(what: &'static str, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if TAKEN.set(what).is_err() {
        let first = TAKEN.get().copied().unwrap_or_default();
        return Err(io::Error::other(Taken { first, what }));
    }
    all(io::stdin().lock(), limit)
}

/// All that comes, at most `limit` bytes.
pub fn all(source: impl Read, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for what is usual, so that no copy is left unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}
