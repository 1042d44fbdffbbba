//! An index that is lost is made anew from the archive itself: which names are current, and in which round.
//!
//! How the files looked when they were captured nobody knows any more, and size and time prove nothing about
//! contents. So in such an index every name is unknown: whoever compares with it finds that everything differs, and
//! restores everything.

use std::io;
use std::path::Path;

use super::entry::{Entry, EntryKind, Timestamp};
use super::files::{deleted_path_of, index_path_of};
use super::index::{self, End, IndexWriter, NameReader, Record};
use super::manifest::ArchiveLine;
use super::member::Member;
use super::selection::Selection;
use super::{ArchiveError, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::FileKind;

/// Until when the root was left alone, as the archive's index says (see [`End::settled`]). An index that is missing or
/// damaged, or that a power cut left as it was before the last round, is made anew first.
pub(super) fn settled_index(
    dir: &Path,
    line: &ArchiveLine,
    watch: &Watch,
) -> Result<Option<Timestamp>, ArchiveError> {
    let path = index_path_of(dir, &line.stem);
    match index::end_of(&path) {
        Ok(end) if is_current(end, line) => return Ok(end.settled),
        Err(error) if !is_lost(&error) => return Err(error),
        Ok(_) | Err(_) => {}
    }
    tracing::warn!(index = %path.display(), "the index is lost: it is made anew from the archive");
    rebuild(dir, line, &path, watch).map(|()| None)
}

/// Was it written after the archive's last round? A sealed archive was looked at before it was sealed.
fn is_current(end: End, line: &ArchiveLine) -> bool {
    line.sealed || end.rounds.is_none() || end.rounds == End::of(line.rounds.len(), None).rounds
}

fn is_lost(error: &ArchiveError) -> bool {
    if let ArchiveError::Host { source, .. } = error {
        return source.kind() == io::ErrorKind::NotFound;
    }
    matches!(error, ArchiveError::Sidecar { .. })
}

/// Reads the whole archive, which also proves it undamaged.
fn rebuild(dir: &Path, line: &ArchiveLine, path: &Path, watch: &Watch) -> Result<(), ArchiveError> {
    let mut index = IndexWriter::create(path)?;
    let roots = line.selection.roots();
    let numbers = 1..=u32::try_from(line.rounds.len()).unwrap_or(u32::MAX);
    let rounds: Result<Vec<_>, _> = numbers.map(|number| Mentions::open(dir, line, number, watch)).collect();
    let mut rounds = rounds?;
    while let Some(path) = rounds.iter().filter_map(Mentions::first).min().cloned() {
        let mut current = None;
        for (number, round) in (1..).zip(&mut rounds) {
            // A round that deleted a name and has an entry for it found something there again.
            if round.take_deleted(&path)? {
                current = None;
            }
            if let Some(entry) = round.take_entry(&path)? {
                current = Some((number, entry));
            }
        }
        if let Some((number, entry)) = current {
            index.push(&record(entry, number, &roots))?;
        }
    }
    index.finish(End::of(line.rounds.len(), None))
}

fn record(entry: Entry, round: u32, roots: &[GuestPath]) -> Record {
    let (kind, size, link_to) = match entry.kind {
        EntryKind::Dir => (FileKind::Dir, 0, None),
        EntryKind::File { size, .. } => (FileKind::File, size, None),
        EntryKind::Hardlink { target } => (FileKind::File, 0, Some(target)),
        EntryKind::Symlink { .. } => (FileKind::Symlink, 0, None),
        EntryKind::Fifo => (FileKind::Fifo, 0, None),
    };
    let on_the_way = Selection::root_of(roots, &entry.path).is_none();
    let (dev, ino, ctime) = (0, 0, Timestamp::default());
    let path = entry.path;
    Record { path, kind, dev, ino, size, ctime, hot: true, on_the_way, link_to, round }.unknown()
}

/// What one round says: its entries, and the names that had vanished, both in the order of a walk.
struct Mentions<'a> {
    member: Member<'a>,
    entry: Option<Entry>,
    names: Option<NameReader>,
    deleted: Option<GuestPath>,
}

impl<'a> Mentions<'a> {
    fn open(dir: &Path, line: &ArchiveLine, number: u32, watch: &'a Watch) -> Result<Self, ArchiveError> {
        let mut member = Member::open(dir, line, number, watch)?;
        let entry = member.next()?;
        let position = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        let has_deleted = line.rounds.get(position).is_some_and(|round| round.deleted > 0);
        let names = has_deleted.then(|| NameReader::open(&deleted_path_of(dir, &line.stem, number)));
        let mut mentions = Self { member, entry, names: names.transpose()?, deleted: None };
        mentions.advance_deleted()?;
        Ok(mentions)
    }

    fn first(&self) -> Option<&GuestPath> {
        self.entry.as_ref().map(|entry| &entry.path).into_iter().chain(&self.deleted).min()
    }

    fn take_entry(&mut self, path: &GuestPath) -> Result<Option<Entry>, ArchiveError> {
        if self.entry.as_ref().is_some_and(|entry| entry.path == *path) {
            let next = self.member.next()?;
            return Ok(std::mem::replace(&mut self.entry, next));
        }
        Ok(None)
    }

    fn take_deleted(&mut self, path: &GuestPath) -> Result<bool, ArchiveError> {
        let is_it = self.deleted.as_ref() == Some(path);
        if is_it {
            self.advance_deleted()?;
        }
        Ok(is_it)
    }

    fn advance_deleted(&mut self) -> Result<(), ArchiveError> {
        self.deleted = match &mut self.names {
            Some(names) => names.next()?,
            None => None,
        };
        Ok(())
    }
}
