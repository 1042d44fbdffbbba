//! The coordinator's durable writes outside its store: whole files, for root only, that appear at once or not at all.
//!
//! Flows in: bytes. Flows out: files that survive a power cut exactly when [`write()`] returned. Must never overwrite in
//! place.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A durable write did not happen; what was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: check that the disk is not full or read-only", path = path.display())]
pub struct DurableError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Puts `bytes` at `path`, which only its owner may read: written beside it, synced, renamed, directory synced. Makes
/// the directory.
///
/// # Errors
/// [`DurableError`]
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    replace(path, bytes).map_err(|source| DurableError { path: path.to_owned(), source })
}

#[expect(clippy::disallowed_methods, reason = "this is the place the rule sends everyone to")]
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    // A leftover of a crash may have other rights.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    File::open(parent)?.sync_all()
}
