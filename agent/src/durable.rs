//! Every durable write of the agent: whole files that appear at once or not at all, and directories synced.
//!
//! Flows in: bytes. Flows out: files that survive a power cut exactly when these functions returned. Must never
//! overwrite in place. Everything here is private to root (0600, 0700): plans hold the users' settings.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A durable write did not happen; what was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: check that the disk is not full or read-only", path = path.display())]
pub struct DurableError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl DurableError {
    fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// Puts `bytes` at `path`: written beside it, synced, renamed over it, directory synced.
///
/// # Errors
/// [`DurableError`]; the old contents, or their absence, are untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let part = part_of(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(DurableError::new("create", &part))?;
    file.write_all(bytes).map_err(DurableError::new("write", &part))?;
    file.sync_all().map_err(DurableError::new("sync", &part))?;
    rename(&part, path)
}

/// Renames a file or directory, replacing a file, and syncs the directory it ends up in.
///
/// # Errors
/// [`DurableError`]
pub fn rename(from: &Path, to: &Path) -> Result<(), DurableError> {
    rename_unsynced(from, to)?;
    sync_parent(to)
}

/// As [`rename`], but after a power cut `to` may be what it was before, or damaged.
///
/// # Errors
/// [`DurableError`]
#[expect(clippy::disallowed_methods, reason = "this is the place the rule sends everyone to")]
pub(crate) fn rename_unsynced(from: &Path, to: &Path) -> Result<(), DurableError> {
    std::fs::rename(from, to).map_err(DurableError::new("rename", to))
}

/// Creates a directory (and those above it) for root only. One that exists is success.
///
/// # Errors
/// [`DurableError`]
pub fn create_dir(path: &Path) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(DurableError::new("create directory", path))?;
    sync_parent(path)
}

/// Removes a file. One that is gone is success.
///
/// # Errors
/// [`DurableError`]
pub fn remove_file(path: &Path) -> Result<(), DurableError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DurableError::new("remove", path)(error)),
    }
}

/// Removes a directory and all in it. One that is gone is success.
///
/// # Errors
/// [`DurableError`]
pub fn remove_dir(path: &Path) -> Result<(), DurableError> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DurableError::new("remove directory", path)(error)),
    }
}

/// Makes a name that was just created, renamed or removed survive a power cut.
///
/// # Errors
/// [`DurableError`]
pub fn sync_parent(path: &Path) -> Result<(), DurableError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(DurableError::new("sync directory", parent))
}

/// Where the next contents of `path` are prepared. A leftover of a crash is simply written over.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write(&path, b"a longer first version").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_contents_and_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write(&path, b"kept").unwrap();
        std::fs::create_dir(dir.path().join("state.json.part")).unwrap();
        let error = write(&path, b"lost").unwrap_err();
        assert!(error.to_string().contains("state.json.part"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn removing_twice_and_creating_twice_is_success() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a/b");
        create_dir(&sub).unwrap();
        create_dir(&sub).unwrap();
        remove_dir(&sub).unwrap();
        remove_dir(&sub).unwrap();
        remove_file(&dir.path().join("nothing")).unwrap();
    }
}
