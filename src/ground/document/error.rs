//! What is wrong with a file: `path:line:column: problem`, the source line with a caret, a hint.
//!
//! Owns the form. Must not know how the place was found.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

/// What is wrong with a file, and where. Boxed: it is large, and the results that carry it are many.
#[derive(Debug)]
pub struct DocumentError(Box<Details>);

/// The parts of a [`DocumentError`].
#[derive(Debug)]
pub struct Details {
    /// The file.
    pub path: PathBuf,
    /// Line and column, counted from 1, where they are known.
    pub location: Option<(usize, usize)>,
    /// The place in the tree, such as `users.alice.actions`; empty for the whole file.
    pub at: String,
    /// What was found and what was expected.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself, unless it may hold a secret.
    pub line: Option<String>,
    /// What the operating system said, where the file could not be read.
    pub source: Option<io::Error>,
}

impl Deref for DocumentError {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for DocumentError {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl From<Details> for DocumentError {
    fn from(details: Details) -> Self {
        Self(Box::new(details))
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.location {
            write!(f, ":{line}:{column}")?;
        }
        if !self.at.is_empty() {
            write!(f, ": {}", self.at)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for DocumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

impl DocumentError {
    /// With something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The source line with a caret under the column, where both are known.
    pub fn excerpt(&self) -> Option<String> {
        let (number, column) = self.location?;
        let line = self.line.as_deref()?;
        let before: String =
            line.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let margin = " ".repeat(number.to_string().len());
        Some(format!("{number} | {line}\n{margin} | {before}^"))
    }
}
