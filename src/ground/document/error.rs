//! What is wrong with a file: `path:line:column: problem`, the source line with a caret, a hint.
//!
//! Owns the form. Must not know how the place was found.

use crate::ground::text::{acts, escape, looks_secret, shortened};
use std::env::current_dir;
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

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

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.location {
            write!(f, ":{line}:{column}")?;
        }
        if !self.at.is_empty() && !looks_secret(&self.at) {
            write!(f, ": {}", shortened(&self.at, 200))?;
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
    /// Something is wrong with a whole file.
    pub fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self(Box::new(Details {
            path: path.to_owned(),
            location: None,
            at: String::new(),
            problem: problem.into(),
            hint: None,
            line: None,
            source: None,
        }))
    }

    /// The system did not let a file be read.
    pub fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::new(path, "cannot be read").caused_by(source)
    }

    /// With what the system said.
    #[must_use]
    pub fn caused_by(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// At this line and column, counted from 1.
    #[must_use]
    pub fn at(mut self, location: Option<(usize, usize)>) -> Self {
        self.location = location;
        self
    }

    /// With something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// If there is no such file, with where it was looked for and what makes it.
    #[must_use]
    pub fn if_absent(self, made_by: &str) -> Self {
        if self.source.as_ref().is_none_or(|source| source.kind() != ErrorKind::NotFound) {
            return self;
        }
        let folder = current_dir().ok().filter(|_| self.path.is_relative());
        let looked = folder.map(|folder| format!("looked in {}; ", folder.display()));
        self.hint(looked.unwrap_or_default() + made_by)
    }

    /// The source line with a caret under the column, where both are known.
    pub fn excerpt(&self) -> Option<String> {
        let (number, column) = self.location?;
        let line = self.line.as_deref()?;
        let (mut shown, mut before) = (String::new(), String::new());
        for (place, c) in line.chars().enumerate() {
            let start = shown.len();
            escape(&mut shown, c.encode_utf8(&mut [0; 4]), |c| c == '\t' || !acts(c));
            if place + 1 < column {
                let width = shown.get(start..).map_or(0, |shown| shown.chars().count());
                before.push_str(&if c == '\t' { "\t".to_owned() } else { " ".repeat(width) });
            }
        }
        let margin = " ".repeat(number.to_string().len());
        Some(format!("{number} | {shown}\n{margin} | {before}^"))
    }
}
