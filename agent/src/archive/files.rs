//! The names of an archive's files in its directory, and tidying them up.

use std::path::{Path, PathBuf};

use super::ArchiveError;
use super::capture::ROUNDS_MAX;
use crate::durable;

/// The name of a finished archive.
pub(super) fn finished_name(stem: &str) -> String {
    format!("{stem}.tar.gz")
}

/// Where the index of `stem` is.
pub(super) fn index_path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.index"))
}

/// Where the names that had vanished by `round` are.
pub(super) fn deleted_path_of(dir: &Path, stem: &str, round: u32) -> PathBuf {
    dir.join(format!("{stem}.deleted-{round}"))
}

/// Where the names stand that a failed container had removed, for people.
pub(super) fn removed_path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.removed"))
}

/// Where the names whose captured copy is wanted are listed meanwhile.
pub(super) fn wanted_path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.wanted"))
}

/// Where the line of a finished archive stands whose maker may have died before it could tell it.
pub(super) fn line_path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.line.json"))
}

/// Where the line of a sealed archive stands until the manifest has it.
pub(super) fn sealed_line_path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.sealed.json"))
}

/// The name of a sealed archive until it takes the place of the one before.
pub(super) fn sealing_name(stem: &str) -> String {
    format!("{}.sealing", finished_name(stem))
}

/// Removes index and lists of names.
pub(super) fn remove_sidecars(dir: &Path, stem: &str) -> Result<(), ArchiveError> {
    let index = index_path_of(dir, stem);
    let wanted = wanted_path_of(dir, stem);
    let parts = [index.with_added_extension("part"), wanted.with_added_extension("part")];
    let mut names = vec![index, wanted];
    names.extend(parts);
    for number in 1..=u32::try_from(ROUNDS_MAX).unwrap_or(u32::MAX) {
        let deleted = deleted_path_of(dir, stem, number);
        names.push(deleted.with_added_extension("part"));
        names.push(deleted);
    }
    for name in names.iter().filter(|name| name.exists()) {
        durable::remove_file(name)?;
    }
    Ok(())
}

pub(super) fn check_stem(stem: &str) -> Result<(), ArchiveError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !stem.is_empty() && stem.len() <= 200 && stem.bytes().all(plain) && !stem.starts_with('.') {
        return Ok(());
    }
    Err(ArchiveError::BadStem(stem.to_owned()))
}
