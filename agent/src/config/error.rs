//! Everything that is wrong with the configuration, at once.
//!
//! Must never show the value of a variable that can hold a password (`DOCKER_HOST`).

use std::fmt;
use std::path::PathBuf;

/// The configuration cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Every mistake, in the order of the file, those of the environment after it. Never empty.
    pub problems: Vec<Problem>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was made.
    pub place: Place,
    /// Which setting, written with dots; empty if the mistake is not about one.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(PathBuf),
    /// A line of the file, from 1.
    Line(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// Nobody set it.
    BuiltIn,
}

/// One problem a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::BuiltIn => f.write_str("built-in default"),
        }
    }
}
