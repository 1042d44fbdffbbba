//! Brings a volume back to what an archive holds; on request what differs is archived first.
//!
//! Order: the archive of what differs is finished before the first change. Then names that were not captured go, and
//! what differs is replaced by its captured copy. Only when all is done a fresh index says so: interrupted, it starts
//! over; done, it finds nothing to do. Days later, and from a sealed archive, it works the same: what cannot be shown
//! to be as captured is restored. Must never conclude from size and time that a file is as it was.

use std::path::Path;

use super::capture::Capture;
use super::clock::{settle, well_before};
use super::current::CurrentCopies;
use super::entry::Timestamp;
use super::files::{
    deleted_path_of, finished_name, index_path_of, line_path_of, remove_sidecars, removed_path_of,
    wanted_path_of,
};
use super::index::{End, IndexReader, IndexWriter, NameReader, NameWriter, Record};
use super::manifest::ArchiveLine;
use super::note;
use super::place::Placer;
use super::rebuild::settled_index;
use super::round::{PackOptions, RoundKind};
use super::seal::line_on_disk;
use super::walk::{Step, Walk};
use super::{ArchiveError, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::{FileKind, Root, Stat};

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutBack {
    /// Names restored from the archive.
    pub restored: u64,
    /// Names removed that were not captured.
    pub removed: u64,
    /// The archive of what was found; `None` when nothing differed, when none was asked for, or when an earlier
    /// attempt made it and its note is lost.
    pub failed: Option<ArchiveLine>,
}

/// Where to keep what differs before it is replaced.
#[derive(Debug, Clone, Copy)]
pub struct Aside<'a> {
    /// The directory of that archive; it need not be that of the archive which is put back.
    pub dir: &'a Path,
    /// Its stem. A finished archive of that name is kept: an earlier attempt made it.
    pub stem: &'a str,
    /// How it is packed.
    pub options: &'a PackOptions,
}

/// Brings `to` back to what the finished archive `line` in `dir`, sealed or not, holds. What differs is first archived
/// as `aside` says. An index that is lost is made anew: then everything is restored.
///
/// # Errors
/// [`ArchiveError`]; run it again.
pub fn put_back(
    dir: &Path,
    line: &ArchiveLine,
    to: &Root,
    aside: Option<Aside<'_>>,
    watch: &Watch,
) -> Result<PutBack, ArchiveError> {
    match carry_out(dir, line, to, aside, watch) {
        Err(_) if watch.is_cancelled() => Err(ArchiveError::Cancelled),
        done => done,
    }
}

fn carry_out(
    dir: &Path,
    line: &ArchiveLine,
    to: &Root,
    aside: Option<Aside<'_>>,
    watch: &Watch,
) -> Result<PutBack, ArchiveError> {
    let line = line_on_disk(dir, line)?;
    let settled = settled_index(dir, &line, watch)?;
    let kept = match aside {
        Some(aside) => archive_what_differs(dir, &line, to, aside, watch)?,
        None => Kept::Nothing,
    };
    match kept {
        Kept::NothingDiffers => Ok(PutBack::default()),
        Kept::Nothing => restore(dir, &line, to, settled, watch),
        Kept::All(failed) => {
            Ok(PutBack { failed: Some(*failed), ..restore(dir, &line, to, settled, watch)? })
        }
    }
}

enum Kept {
    NothingDiffers,
    /// Not asked for, or kept before by somebody whose note is lost.
    Nothing,
    /// Now or by an earlier attempt.
    All(Box<ArchiveLine>),
}

fn archive_what_differs(
    dir: &Path,
    line: &ArchiveLine,
    to: &Root,
    aside: Aside<'_>,
    watch: &Watch,
) -> Result<Kept, ArchiveError> {
    let note_path = line_path_of(aside.dir, aside.stem);
    if aside.dir.join(finished_name(aside.stem)).exists() {
        tell_what_was_removed(aside.dir, aside.stem)?;
        remove_sidecars(aside.dir, aside.stem)?;
        let before = note::load(&note_path, aside.dir, aside.stem);
        return Ok(before.map_or(Kept::Nothing, |line| Kept::All(Box::new(line))));
    }
    let index = index_path_of(dir, &line.stem);
    let (selection, options) = (line.selection.clone(), aside.options.clone());
    let mut capture = Capture::begin_against(aside.dir, aside.stem, selection, options, index)?;
    // Nobody writes any more, but what cannot be kept must not stop the undo: it is noted as in a live round.
    let round = capture.round(to, RoundKind::Live, watch)?;
    if round.changed == 0 && round.deleted == 0 && round.skipped_count == 0 {
        drop(capture);
        Capture::discard(aside.dir, aside.stem)?;
        return Ok(Kept::NothingDiffers);
    }
    let failed = capture.finish_noting(|failed| {
        // It was compared with another archive: every entry in it counts.
        failed.entries = round.written;
        (failed.superseded, failed.deleted) = (0, 0);
        failed.sealed = true;
        note::store(&note_path, failed)
    })?;
    tell_what_was_removed(aside.dir, aside.stem)?;
    // For the same reason its own index means nothing.
    remove_sidecars(aside.dir, aside.stem)?;
    Ok(Kept::All(Box::new(failed)))
}

/// What the archive lacks because it was removed since the capture, for people: `./NAME`, each ended by a zero byte.
fn tell_what_was_removed(dir: &Path, stem: &str) -> Result<(), ArchiveError> {
    let list = deleted_path_of(dir, stem, 1);
    let removed = removed_path_of(dir, stem);
    if removed.exists() || !list.exists() {
        return Ok(());
    }
    let mut names = NameReader::open(&list)?;
    let mut text = Vec::new();
    while let Some(path) = names.next()? {
        text.push(b'.');
        text.extend_from_slice(path.as_bytes());
        text.push(0);
    }
    if !text.is_empty() {
        crate::durable::write(&removed, &text)?;
    }
    Ok(())
}

fn restore(
    dir: &Path,
    line: &ArchiveLine,
    to: &Root,
    settled: Option<Timestamp>,
    watch: &Watch,
) -> Result<PutBack, ArchiveError> {
    let wanted_path = wanted_path_of(dir, &line.stem);
    let archive = line.path(dir);
    let removed = compare(dir, line, to, settled, watch)?;
    let mut done = PutBack { removed, ..PutBack::default() };
    let mut wanted = NameReader::open(&wanted_path)?;
    let mut next = wanted.next()?;
    if next.is_none() {
        crate::durable::remove_file(&wanted_path)?;
        return Ok(done);
    }
    let mut copies = CurrentCopies::open(dir, line, watch)?;
    let mut placer = Placer::new(to, &line.selection, &archive);
    while let Some((record, entry, data)) = copies.next()? {
        if next.as_ref() == Some(&record.path) {
            placer.place(&entry, &mut watch.reading(data))?;
            done.restored = done.restored.saturating_add(1);
            next = wanted.next()?;
        } else if record.kind == FileKind::Dir && !record.on_the_way {
            placer.pass_dir(&record.path, entry.meta)?;
        }
    }
    placer.finish()?;
    refresh_index(dir, line, to, watch)?;
    crate::durable::remove_file(&wanted_path)?;
    Ok(done)
}

/// Removes names that were not captured and lists those whose captured copy is wanted. Gives the number removed.
fn compare(
    dir: &Path,
    line: &ArchiveLine,
    to: &Root,
    settled: Option<Timestamp>,
    watch: &Watch,
) -> Result<u64, ArchiveError> {
    let archive = line.path(dir);
    let mut index = IndexReader::open(&index_path_of(dir, &line.stem))?;
    let mut wanted = NameWriter::create(&wanted_path_of(dir, &line.stem))?;
    let mut remover = Placer::new(to, &line.selection, &archive);
    let mut removed: u64 = 0;
    let trusted = to.stamps_changes()?;
    let is_good = |record: &Record, stat: &Stat| {
        let believed = !record.hot || settled.is_some_and(|at| well_before(record.ctime, at));
        trusted && believed && record.looks_like(stat)
    };
    let mut walk = Walk::new(to, &line.selection, watch);
    while let Some(step) = walk.next()? {
        let path = path_of(&step).clone();
        while let Some(record) = index.take_before(Some(&path))? {
            wanted.push(&record.path)?;
        }
        match (step, index.take_at(&path)?) {
            (Step::Found(found), Some(record)) if is_good(&record, &found.stat) => {}
            (_, Some(record)) => wanted.push(&record.path)?,
            (Step::Found(found), None) if !found.on_the_way => {
                remover.remove(&found.path)?;
                removed = removed.saturating_add(1);
            }
            (Step::Unreadable { path, source }, None) => {
                return Err(ArchiveError::guest("read", to.label(), &path)(source));
            }
            (Step::Found(_) | Step::Skipped(_), None) => {}
        }
    }
    while let Some(record) = index.take_before(None)? {
        wanted.push(&record.path)?;
    }
    remover.finish()?;
    wanted.finish()?;
    Ok(removed)
}

/// Writes down how the restored files look now, so that a second run finds nothing to do. A name that is not there
/// again, whatever took it away, stays in the index.
fn refresh_index(dir: &Path, line: &ArchiveLine, to: &Root, watch: &Watch) -> Result<(), ArchiveError> {
    let path = index_path_of(dir, &line.stem);
    let mut old = IndexReader::open(&path)?;
    let mut new = IndexWriter::create(&path)?;
    to.flush()?;
    let trusted = to.stamps_changes()?;
    let mut newest = Timestamp::default();
    let mut walk = Walk::new(to, &line.selection, watch);
    while let Some(step) = walk.next()? {
        let Step::Found(found) = step else { continue };
        while let Some(gone) = old.take_before(Some(&found.path))? {
            new.push(&gone.unknown())?;
        }
        let Some(record) = old.take_at(&found.path)? else { continue };
        let Stat { kind, dev, ino, size, ctime, .. } = found.stat;
        newest = newest.max(ctime);
        new.push(&Record { kind, dev, ino, size, ctime, hot: !trusted, ..record })?;
    }
    while let Some(gone) = old.take_before(None)? {
        new.push(&gone.unknown())?;
    }
    new.finish(End::of(line.rounds.len(), Some(settle(newest))))
}

fn path_of(step: &Step) -> &GuestPath {
    match step {
        Step::Found(found) => &found.path,
        Step::Skipped(skipped) => &skipped.path,
        Step::Unreadable { path, .. } => path,
    }
}
