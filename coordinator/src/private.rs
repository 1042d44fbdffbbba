//! Is what we keep ours alone? Looked at before anything is opened.
//!
//! Flows in: paths of the data directory. Flows out: yes, or what is wrong with it and what to do. Must never open up
//! anything; what others can only read and holds no secret is closed to them.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bits of the mode by which others could change something, and by which they could read it.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ANYTHING: u32 = 0o077;

/// Somebody else can get at it.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    /// It cannot be looked at.
    #[error("cannot look at {path}: check that this user may", path = path.display())]
    Look {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner} and this program runs as user {we}: run it as {owner}, or `chown -R {we}` the data directory",
        path = path.display()
    )]
    Owner {
        /// What.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// Who we are.
        we: u32,
    },
    /// Others may have put something into it.
    #[error(
        "others may write to {path} (mode {mode:o}): what is in it may not be ours. Look at it, then `chmod go-rwx {path}`",
        path = path.display()
    )]
    Writable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may have read a secret.
    #[error(
        "others may read {path} (mode {mode:o}), which holds a secret: `chmod 600 {path}`, and if anybody else uses this machine take it as known",
        path = path.display()
    )]
    Readable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// A directory, or a file without secrets: ours, and closed to others from now on.
///
/// # Errors
/// [`NotPrivate`]
pub(crate) fn closed(path: &Path) -> Result<(), NotPrivate> {
    let Some(found) = ours(path)? else { return Ok(()) };
    let mode = found.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(NotPrivate::Writable { path: path.to_owned(), mode });
    }
    if mode & OTHERS_ANYTHING == 0 {
        return Ok(());
    }
    let closed = Permissions::from_mode(mode & !OTHERS_ANYTHING);
    std::fs::set_permissions(path, closed)
        .map_err(|source| NotPrivate::Look { path: path.to_owned(), source })
}

/// A file with a secret: ours, and never open to others.
///
/// # Errors
/// [`NotPrivate`]
pub(crate) fn secret(path: &Path) -> Result<(), NotPrivate> {
    let Some(found) = ours(path)? else { return Ok(()) };
    let mode = found.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(NotPrivate::Writable { path: path.to_owned(), mode });
    }
    if mode & OTHERS_ANYTHING != 0 {
        return Err(NotPrivate::Readable { path: path.to_owned(), mode });
    }
    Ok(())
}

/// What is there, if it is ours. What is not there yet is made by us.
fn ours(path: &Path) -> Result<Option<Metadata>, NotPrivate> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NotPrivate::Look { path: path.to_owned(), source }),
    };
    let (owner, we) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner == we { Ok(Some(found)) } else { Err(NotPrivate::Owner { path: path.to_owned(), owner, we }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::File::create(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn what_others_could_read_is_closed_and_what_they_could_write_is_refused() {
        let (_dir, path) = with_mode(0o644);
        closed(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        for mode in [0o620, 0o602, 0o666] {
            let (_dir, path) = with_mode(mode);
            let error = closed(&path).unwrap_err().to_string();
            assert!(error.contains("chmod go-rwx") && error.contains(&format!("{mode:o}")), "{error}");
        }
        closed(Path::new("/nowhere/at/all")).unwrap();
    }

    #[test]
    fn a_secret_that_was_open_is_refused_with_what_to_do() {
        let (_dir, path) = with_mode(0o600);
        secret(&path).unwrap();
        for mode in [0o640, 0o604] {
            let (_dir, path) = with_mode(mode);
            let error = secret(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains("secret"), "{error}");
        }
    }
}
