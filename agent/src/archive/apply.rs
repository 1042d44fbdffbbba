//! Puts one round of an archive into another root: the new container's.
//!
//! Flows in: an archive (finished or not), the number of a round, a root nobody uses yet. Flows out: that root
//! with the round's deletions and entries. Doing it again gives the same. Rounds must come in order.

use std::path::Path;

use super::files::deleted_path_of;
use super::index::NameReader;
use super::manifest::ArchiveLine;
use super::member::Member;
use super::place::Placer;
use super::{ArchiveError, ImageNames, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::Root;

mod underlay;

/// Who wins where both have something.
#[derive(Debug)]
pub enum ApplyMode {
    /// The archive: what the target had at the included paths is removed first, except what the selection
    /// excludes.
    Replace,
    /// The archive, onto a root it was compared with (see [`Capture::against`](super::Capture::against)): also in the
    /// first round only what had vanished is removed.
    Difference,
    /// The image whose names these are: the archive's entries fill in around it, directories merge and keep the
    /// image's metadata.
    Underlay(ImageNames),
}

/// What was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Entries put in place.
    pub entries: u64,
    /// Names removed because they had vanished.
    pub deleted: u64,
    /// Entries and deletions that gave way to the image.
    pub gave_way: u64,
}

/// Puts round `number` (from 1) of the archive `line` in `dir` into `to`. When it returns, what was put in
/// survives a power cut.
///
/// # Errors
/// [`ArchiveError`]; the target is then partly written: start again from round 1, or drop it.
pub fn apply(
    dir: &Path,
    line: &ArchiveLine,
    number: u32,
    to: &Root,
    mode: &ApplyMode,
    watch: &Watch,
) -> Result<Applied, ArchiveError> {
    let applied = match mode {
        ApplyMode::Replace => replace(dir, line, number, number == 1, to, watch),
        ApplyMode::Difference => replace(dir, line, number, false, to, watch),
        ApplyMode::Underlay(image) => underlay::fill_in(dir, line, number, to, image, watch),
    };
    match applied {
        Err(_) if watch.is_cancelled() => Err(ArchiveError::Cancelled),
        Err(error) => Err(error),
        Ok(applied) => {
            to.flush()?;
            Ok(applied)
        }
    }
}

fn replace(
    dir: &Path,
    line: &ArchiveLine,
    number: u32,
    clears: bool,
    to: &Root,
    watch: &Watch,
) -> Result<Applied, ArchiveError> {
    let mut member = Member::open(dir, line, number, watch)?;
    let archive = line.path(dir);
    let mut placer = Placer::new(to, &line.selection, &archive);
    let mut applied = Applied::default();
    if clears {
        placer.clear()?;
    } else {
        for_each_deleted(dir, line, number, |path| {
            watch.entry()?;
            applied.deleted = applied.deleted.saturating_add(1);
            placer.remove(path)
        })?;
    }
    while let Some(entry) = member.next()? {
        placer.place(&entry, &mut watch.reading(&mut member))?;
        applied.entries = applied.entries.saturating_add(1);
    }
    placer.finish()?;
    Ok(applied)
}

/// The names that had vanished when round `number` was made.
fn for_each_deleted(
    dir: &Path,
    line: &ArchiveLine,
    number: u32,
    mut each: impl FnMut(&GuestPath) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut names = NameReader::open(&deleted_path_of(dir, &line.stem, number))?;
    while let Some(path) = names.next()? {
        each(&path)?;
    }
    Ok(())
}
