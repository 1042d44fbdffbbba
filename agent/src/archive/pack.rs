//! One round: a walk merged with the index of the round before, what differs written to a tar stream.
//!
//! Flows in: steps of a walk, records of the old index. Flows out: tar entries, the new index, the names that
//! vanished. A directory in which something changed is written again before it, so that its time ends up right
//! in whatever the round is put into.

mod store;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::clock::well_before;
use super::entry::Timestamp;
use super::index::{IndexReader, IndexWriter, NameWriter, Record};
use super::links::Links;
use super::round::{Round, RoundKind};
use super::selection::{SkipReason, Skipped};
use super::tar_write::TarWriter;
use super::walk::{Found, Step, Walk};
use super::{ArchiveError, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::{FileKind, Root, Stat};
use store::Missed;

/// So many of the things left out are named; all are counted.
const SKIPPED_MAX: usize = 1000;

/// What this round believes and does.
pub(super) struct Rules {
    pub(super) number: u32,
    pub(super) kind: RoundKind,
    /// The file system shows every change in the ctime.
    pub(super) trusted: bool,
    /// The coarse clock when the round began, before the flush.
    pub(super) began: Timestamp,
    /// Until when nothing was written after the round before (see `index::End`).
    pub(super) settled: Option<Timestamp>,
    /// The index belongs to another archive: what is carried is not in this one, and cannot be linked to.
    pub(super) against_another: bool,
    /// 0 is no limit.
    pub(super) entries_max: u64,
}

/// Where it all goes.
pub(super) struct Packer<'a, W: Write> {
    pub(super) root: &'a Root,
    pub(super) archive: &'a Path,
    pub(super) watch: &'a Watch,
    pub(super) rules: Rules,
    pub(super) tar: TarWriter<W>,
    pub(super) previous: Option<IndexReader>,
    pub(super) index: IndexWriter,
    pub(super) deleted: Deleted,
    pub(super) round: Round,
    pub(super) links: Links,
    /// The directories around the current name, innermost last.
    pub(super) around: Vec<Around>,
    /// The latest ctime that was hot.
    pub(super) hottest: Timestamp,
}

/// The names that vanished; a file only if there are any.
pub(super) struct Deleted {
    path: PathBuf,
    names: Option<NameWriter>,
}

impl Deleted {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, names: None }
    }

    fn push(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        if self.names.is_none() {
            self.names = Some(NameWriter::create(&self.path)?);
        }
        self.names.as_mut().map_or(Ok(()), |names| names.push(path))
    }

    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        self.names.map_or(Ok(()), NameWriter::finish)
    }
}

/// A directory on the way to the current name.
pub(super) struct Around {
    found: Found,
    written: bool,
}

impl<W: Write> Packer<'_, W> {
    /// Packs all of `walk`.
    pub(super) fn run(&mut self, walk: &mut Walk<'_>) -> Result<(), ArchiveError> {
        while let Some(step) = walk.next()? {
            match step {
                Step::Found(found) => self.found(found)?,
                Step::Skipped(skipped) => {
                    self.vanished_before(Some(&skipped.path))?;
                    self.skip(skipped);
                }
                Step::Unreadable { path, source } => {
                    self.vanished_before(Some(&path))?;
                    let record = self.take_previous(&path)?;
                    self.unreadable(path, record, source.into())?;
                }
            }
        }
        self.vanished_before(None)
    }

    fn found(&mut self, found: Found) -> Result<(), ArchiveError> {
        self.vanished_before(Some(&found.path))?;
        let record = self.take_previous(&found.path)?;
        self.leave_for(&found.path);
        self.round.names = self.round.names.saturating_add(1);
        if self.rules.entries_max > 0 && self.round.names > self.rules.entries_max {
            let root = self.root.label().to_owned();
            return Err(ArchiveError::TooManyEntries { root, entries_max: self.rules.entries_max });
        }
        match record {
            Some(record) if self.is_unchanged(&record, &found.stat) => self.carry(found, &record),
            record => self.change(found, record),
        }
    }

    /// Is the copy that is already in the archive still good?
    fn is_unchanged(&self, record: &Record, stat: &Stat) -> bool {
        let believed = match (self.rules.trusted, self.rules.kind) {
            (true, _) => !record.hot || self.rules.settled.is_some_and(|at| well_before(record.ctime, at)),
            (false, RoundKind::Live) => !self.rules.against_another,
            (false, RoundKind::Final) => false,
        };
        let same_role = match (&record.link_to, self.links.first(stat)) {
            (None, None) => true,
            (Some(target), Some(first)) => !first.packed && first.path == *target,
            (None, Some(_)) | (Some(_), None) => false,
        };
        believed && same_role && record.looks_like(stat)
    }

    fn carry(&mut self, found: Found, record: &Record) -> Result<(), ArchiveError> {
        self.index.push(record)?;
        self.round.unchanged = self.round.unchanged.saturating_add(1);
        self.round.hot = self.round.hot.saturating_add(u64::from(record.hot));
        if record.link_to.is_some() {
            self.links.met(&found.stat);
        } else {
            self.links.note(&found.path, &found.stat, false);
        }
        if found.stat.kind == FileKind::Dir {
            self.around.push(Around { found, written: false });
        }
        Ok(())
    }

    fn change(&mut self, found: Found, record: Option<Record>) -> Result<(), ArchiveError> {
        self.write_around()?;
        match self.store(&found) {
            Ok(stored) => {
                self.round.changed = self.round.changed.saturating_add(1);
                self.index.push(&stored)?;
                if stored.kind == FileKind::Dir {
                    self.around.push(Around { found, written: true });
                }
                Ok(())
            }
            Err(Missed::Fatal(error)) => Err(error),
            Err(Missed::Unreadable(source)) => {
                self.round.names = self.round.names.saturating_sub(1);
                self.unreadable(found.path, record, source)
            }
            Err(Missed::Gone) => {
                self.round.names = self.round.names.saturating_sub(1);
                self.round.hot = self.round.hot.saturating_add(1);
                record.map_or(Ok(()), |record| self.vanished(&record))
            }
        }
    }

    /// In the last round what cannot be read fails it; before, it is noted and looked at again.
    fn unreadable(
        &mut self,
        path: GuestPath,
        record: Option<Record>,
        source: io::Error,
    ) -> Result<(), ArchiveError> {
        if self.rules.kind == RoundKind::Final {
            if source.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()) {
                return Err(ArchiveError::TooDeep { root: self.root.label().to_owned(), path });
            }
            return Err(ArchiveError::guest_io("read", self.root.label(), &path)(source));
        }
        self.round.hot = self.round.hot.saturating_add(1);
        self.skip(Skipped { path, reason: SkipReason::Unreadable });
        match record {
            Some(record) => {
                self.round.names = self.round.names.saturating_add(1);
                self.index.push(&Record { hot: true, ..record })
            }
            None => Ok(()),
        }
    }

    fn skip(&mut self, skipped: Skipped) {
        self.round.skipped_count = self.round.skipped_count.saturating_add(1);
        if self.round.skipped.len() < SKIPPED_MAX {
            self.round.skipped.push(skipped);
        }
    }

    fn take_previous(&mut self, path: &GuestPath) -> Result<Option<Record>, ArchiveError> {
        match &mut self.previous {
            Some(previous) => previous.take_at(path),
            None => Ok(None),
        }
    }

    /// Everything the old index has before `path` is no longer there.
    fn vanished_before(&mut self, path: Option<&GuestPath>) -> Result<(), ArchiveError> {
        while let Some(previous) = &mut self.previous {
            let Some(record) = previous.take_before(path)? else { return Ok(()) };
            self.vanished(&record)?;
        }
        Ok(())
    }

    fn vanished(&mut self, record: &Record) -> Result<(), ArchiveError> {
        if record.on_the_way {
            return Ok(());
        }
        self.leave_for(&record.path);
        self.write_around()?;
        self.round.deleted = self.round.deleted.saturating_add(1);
        self.deleted.push(&record.path)
    }

    /// Forgets the directories `path` is not in.
    fn leave_for(&mut self, path: &GuestPath) {
        while self.around.last().is_some_and(|around| !path.is_within(&around.found.path)) {
            self.around.pop();
        }
    }

    /// Writes the directories around the current name that are not in this round yet.
    fn write_around(&mut self) -> Result<(), ArchiveError> {
        let mut around = std::mem::take(&mut self.around);
        for directory in around.iter_mut().filter(|directory| !directory.written) {
            directory.written = true;
            let path = &directory.found.path;
            let written = match directory.found.node() {
                Ok(node) => self.append(path, &node, None).map(|_| ()),
                Err(error) => Err(Missed::Unreadable(error.into())),
            };
            match written {
                Ok(()) | Err(Missed::Gone) => {}
                Err(Missed::Fatal(error)) => return Err(error),
                Err(Missed::Unreadable(source)) => self.unreadable(path.clone(), None, source)?,
            }
        }
        self.around = around;
        Ok(())
    }
}
