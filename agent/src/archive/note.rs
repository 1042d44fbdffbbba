//! An archive's line in a file of its own beside it: for the time in which the archive is finished or sealed but
//! nobody else has stored its line. Written before the archive gets its name, so whoever finds the archive finds it.

use std::path::Path;

use super::ArchiveError;
use super::files::finished_name;
use super::manifest::ArchiveLine;
use crate::durable;

/// Writes `line` at `path`, all or nothing.
pub(super) fn store(path: &Path, line: &ArchiveLine) -> Result<(), ArchiveError> {
    let json = serde_json::to_vec(line).map_err(|_| ArchiveError::Sidecar { path: path.to_owned() })?;
    Ok(durable::write(path, &json)?)
}

/// The line at `path`, if it can be read and fits the name and the size of the archive `stem` in `dir`.
pub(super) fn load(path: &Path, dir: &Path, stem: &str) -> Option<ArchiveLine> {
    let line: ArchiveLine = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let size = std::fs::metadata(dir.join(finished_name(stem))).ok()?.len();
    (line.stem == stem && line.file == finished_name(stem) && line.bytes == size).then_some(line)
}
