//! Is a built program newer than everything it was built from?
//!
//! Flows in: a program cargo built, with the `.d` file cargo wrote beside it. Flows out: yes, or the first reason
//! why not. Must never guess: without a `.d` file the answer is no.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Why a program must be built again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// There is no program, or nothing that says what it was made from.
    Missing(PathBuf),
    /// This source is newer than the program, or gone.
    Changed(PathBuf),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{} does not exist", path.display()),
            Self::Changed(path) => write!(f, "{} changed since", path.display()),
        }
    }
}

impl std::error::Error for Stale {}

/// Compares the program's time with those of its sources.
///
/// # Errors
/// [`Stale`]: it has to be built (again).
pub fn check(program: &Path) -> Result<(), Stale> {
    let listing = program.with_extension("d");
    let text = fs::read_to_string(&listing).map_err(|_| Stale::Missing(listing))?;
    let built = fs::metadata(program).and_then(|metadata| metadata.modified());
    let built = built.map_err(|_| Stale::Missing(program.to_owned()))?;
    for source in sources(&text) {
        let changed = fs::metadata(&source).and_then(|metadata| metadata.modified());
        if !changed.is_ok_and(|changed| changed <= built) {
            return Err(Stale::Changed(source));
        }
    }
    Ok(())
}

/// The right side of cargo's `program: source source …`, where a blank inside a path is `\ `.
fn sources(text: &str) -> Vec<PathBuf> {
    let right = text.split_once(": ").map_or("", |(_, right)| right);
    let marked = right.replace("\\ ", "\0");
    marked.split_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_program_is_fresh_until_a_source_changes_or_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (program, source) = (dir.path().join("tool"), dir.path().join("a b.rs"));
        assert!(matches!(check(&program), Err(Stale::Missing(_))));

        let escaped = source.to_str().unwrap().replace(' ', "\\ ");
        fs::write(&source, "").unwrap();
        fs::write(dir.path().join("tool.d"), format!("{}: {escaped}\n", program.display())).unwrap();
        assert_eq!(check(&program), Err(Stale::Missing(program.clone())));

        fs::write(&program, "").unwrap();
        assert_eq!(check(&program), Ok(()));

        let file = fs::File::open(&source).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert_eq!(check(&program), Err(Stale::Changed(source.clone())));

        fs::remove_file(&source).unwrap();
        assert_eq!(check(&program), Err(Stale::Changed(source)));
    }
}
