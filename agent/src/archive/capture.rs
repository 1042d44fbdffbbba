//! An archive being made: round after round appended, then finished.
//!
//! Flows in: a root, a selection, limits. Flows out: `STEM.tar.gz` and its line for the manifest. A round that
//! fails leaves the archive as it was before it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use sha2::Sha256;

use super::clock::{coarse_now, settle};
use super::entry::Timestamp;
use super::files::{
    check_stem, deleted_path_of, finished_name, index_path_of, line_path_of, remove_sidecars,
    sealed_line_path_of, sealing_name,
};
use super::gzip::GzipWriter;
use super::index::{self, IndexReader, IndexWriter, NameWriter, Record};
use super::links::Links;
use super::manifest::{ArchiveLine, RoundLine};
use super::member::create_private;
use super::pack::{Packer, Rules};
use super::round::{PackOptions, Round, RoundKind};
use super::selection::Selection;
use super::tally::{Limited, Tally, hex};
use super::tar_write::TarWriter;
use super::walk::{Step, Walk};
use super::{ArchiveError, Watch};
use crate::durable;
use crate::guest_path::GuestPath;
use crate::rootfs::{Root, Stat};

/// Sealing and undo hold one reader per round.
pub const ROUNDS_MAX: usize = 64;

/// An archive being made.
pub struct Capture {
    dir: PathBuf,
    options: PackOptions,
    line: ArchiveLine,
    file: File,
    /// Digests of file and tar stream so far.
    whole: Sha256,
    tar: Sha256,
    /// The index the next round compares with.
    compare_with: Option<PathBuf>,
    /// What that index says of the time after it (see [`IndexWriter::finish`]).
    settled: Option<Timestamp>,
}

impl Capture {
    /// Begins the archive `stem` in `dir`. Leftovers of one that was never finished are replaced.
    ///
    /// # Errors
    /// [`ArchiveError`]; a finished archive of that name is in the way ([`ArchiveError::Exists`]).
    pub fn begin(
        dir: &Path,
        stem: &str,
        selection: Selection,
        options: PackOptions,
    ) -> Result<Self, ArchiveError> {
        check_stem(stem)?;
        let finished = dir.join(finished_name(stem));
        if finished.exists() {
            return Err(ArchiveError::Exists { path: finished });
        }
        Self::discard(dir, stem)?;
        let name = format!("{}.part", finished_name(stem));
        let path = dir.join(&name);
        let file = create_private(&path).map_err(ArchiveError::host("create", &path))?;
        durable::sync_parent(&path)?;
        let line = ArchiveLine {
            stem: stem.to_owned(),
            file: name,
            bytes: 0,
            sha256: hex(Sha256::default()),
            tar_sha256: hex(Sha256::default()),
            entries: 0,
            superseded: 0,
            deleted: 0,
            rounds: Vec::new(),
            sealed: false,
            level: options.level.min(9),
            source: String::new(),
            selection,
            skipped: Vec::new(),
            skipped_count: 0,
        };
        let (whole, tar) = (Sha256::default(), Sha256::default());
        Ok(Self { dir: dir.to_owned(), options, line, file, whole, tar, compare_with: None, settled: None })
    }

    /// As [`Capture::begin`], but the first round holds only what differs from another archive's `index`.
    pub(super) fn begin_against(
        dir: &Path,
        stem: &str,
        selection: Selection,
        options: PackOptions,
        index: PathBuf,
    ) -> Result<Self, ArchiveError> {
        let capture = Self::begin(dir, stem, selection, options)?;
        let settled = index::settled_at(&index)?;
        Ok(Self { compare_with: Some(index), settled, ..capture })
    }

    /// The first round shall hold only what differs from `base`, a root that was just made from the same image as
    /// `root`, which will be captured: to be applied to `base` as [`super::ApplyMode::Difference`]. A name whose kind,
    /// inode, size and ctime are the same in both is the image's own file: a changed one has a ctime of its own.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub fn against(self, base: &Root, root: &Root, watch: &Watch) -> Result<Self, ArchiveError> {
        let index = index_path_of(&self.dir, &self.line.stem);
        let top = |root: &Root| root.dir().as_node().map(|node| node.stat.dev);
        let dev = top(root).map_err(ArchiveError::guest("open", root.label(), &GuestPath::root()))?;
        write_base(base, dev, &self.line.selection, &index, watch)?;
        Ok(Self { compare_with: Some(index), ..self })
    }

    /// Removes what an unfinished archive left behind. A finished one is not touched.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub fn discard(dir: &Path, stem: &str) -> Result<(), ArchiveError> {
        check_stem(stem)?;
        if dir.join(finished_name(stem)).exists() {
            return Ok(());
        }
        durable::remove_file(&dir.join(format!("{}.part", finished_name(stem))))?;
        durable::remove_file(&line_path_of(dir, stem))?;
        durable::remove_file(&sealed_line_path_of(dir, stem))?;
        durable::remove_file(&dir.join(sealing_name(stem)))?;
        remove_sidecars(dir, stem)
    }

    /// Appends a round: everything the first time, later what changed since.
    ///
    /// # Errors
    /// [`ArchiveError`]; the archive is as it was before the round.
    pub fn round(&mut self, root: &Root, kind: RoundKind, watch: &Watch) -> Result<Round, ArchiveError> {
        let began = Instant::now();
        if self.line.rounds.len() >= ROUNDS_MAX {
            let stem = self.line.stem.clone();
            return Err(ArchiveError::TooManyRounds { stem, rounds_max: ROUNDS_MAX });
        }
        let number = u32::try_from(self.line.rounds.len() + 1).unwrap_or(u32::MAX);
        let made = self.append(root, kind, number, watch);
        match made {
            Ok(mut round) => {
                round.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                Ok(round)
            }
            Err(error) => {
                self.take_back()?;
                Err(error)
            }
        }
    }

    /// What is known about the archive so far; enough to `apply` its rounds.
    #[must_use]
    pub fn line(&self) -> &ArchiveLine {
        &self.line
    }

    /// Ends the stream, syncs the file, gives it its name.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub fn finish(self) -> Result<ArchiveLine, ArchiveError> {
        self.finish_noting(|_| Ok(()))
    }

    /// As [`Capture::finish`]; `note` may amend the line and write it down before the archive gets its name.
    pub(super) fn finish_noting(
        mut self,
        note: impl FnOnce(&mut ArchiveLine) -> Result<(), ArchiveError>,
    ) -> Result<ArchiveLine, ArchiveError> {
        let part = self.line.path(&self.dir);
        let output = Tally::new(&self.file, self.whole.clone());
        let plain = Tally::new(GzipWriter::new(output, 1, 1), self.tar.clone());
        let plain = TarWriter::new(plain).finish().map_err(ArchiveError::tar(&part))?;
        let (packer, _, tar) = plain.into_parts();
        let output = packer.finish().map_err(ArchiveError::host("write", &part))?;
        let (_, bytes, whole) = output.into_parts();
        self.file.sync_all().map_err(ArchiveError::host("write", &part))?;
        self.line.bytes = self.line.bytes.saturating_add(bytes);
        self.line.sha256 = hex(whole);
        self.line.tar_sha256 = hex(tar);
        self.line.file = finished_name(&self.line.stem);
        note(&mut self.line)?;
        durable::rename(&part, &self.line.path(&self.dir))?;
        Ok(self.line)
    }

    fn append(
        &mut self,
        root: &Root,
        kind: RoundKind,
        number: u32,
        watch: &Watch,
    ) -> Result<Round, ArchiveError> {
        let index_path = index_path_of(&self.dir, &self.line.stem);
        let deleted_path = deleted_path_of(&self.dir, &self.line.stem, number);
        let rules = self.rules(root, kind, number)?;
        let archive = self.line.path(&self.dir);
        let limit = self.options.archive_bytes_max;
        let left = (limit > 0).then(|| limit.saturating_sub(self.line.bytes));
        let (output, exceeded) = Limited::new(&self.file, left);
        let output = Tally::beside(output, &self.whole, self.line.bytes);
        let gzip = GzipWriter::new(output, self.line.level, self.options.threads);
        let mut packer = Packer {
            root,
            archive: &archive,
            watch,
            rules,
            tar: TarWriter::new(Tally::new(gzip, self.tar.clone())),
            previous: self.compare_with.as_deref().map(IndexReader::open).transpose()?,
            index: IndexWriter::create(&index_path)?,
            deleted: NameWriter::create(&deleted_path)?,
            round: Round { number, ..Round::default() },
            links: Links::default(),
            around: Vec::new(),
            hottest: Timestamp::default(),
        };
        let too_large = |error| {
            if exceeded.load(Ordering::Relaxed) {
                return ArchiveError::ArchiveTooLarge { archive: archive.clone(), bytes_max: limit };
            }
            error
        };
        packer.run(&mut Walk::new(root, &self.line.selection, watch)).map_err(too_large)?;
        let Packer { tar, index, deleted, round, hottest, .. } = packer;
        let (gzip, _, tar) = tar.into_inner_unterminated().into_parts();
        let written = gzip.finish().map_err(ArchiveError::host("write", &archive)).map_err(too_large)?;
        let (_, bytes, sha256, whole) = written.into_both();
        let settled = match kind {
            RoundKind::Live => {
                // Now, while the container serves: `finish`, after it stopped, is left with little to wait for.
                self.file.sync_data().map_err(ArchiveError::host("write", &archive))?;
                None
            }
            RoundKind::Final => Some(settle(hottest)),
        };
        deleted.finish()?;
        index.finish(settled)?;
        let member = RoundLine {
            offset: self.line.bytes,
            bytes,
            sha256: hex(sha256),
            entries: round.written,
            deleted: round.deleted,
        };
        self.compare_with = Some(index_path);
        self.settled = settled;
        (self.whole, self.tar) = (whole, tar);
        self.note(root, &round, member);
        Ok(round)
    }

    /// The clock is read before the flush: what changes after is newer than the clock says. In a last round nobody
    /// is left who could write through a page that was not flushed, and a flush would wait for the whole disk while
    /// nothing serves.
    fn rules(&self, root: &Root, kind: RoundKind, number: u32) -> Result<Rules, ArchiveError> {
        let settled = self.settled;
        let began = coarse_now();
        if kind == RoundKind::Live || !root.stamps_at_once()? {
            root.flush()?;
        }
        let trusted = root.stamps_changes()?;
        let against_another = self.line.rounds.is_empty() && self.compare_with.is_some();
        let entries_max = self.options.entries_max;
        Ok(Rules { number, kind, trusted, began, settled, against_another, entries_max })
    }

    fn note(&mut self, root: &Root, round: &Round, member: RoundLine) {
        let line = &mut self.line;
        line.bytes = line.bytes.saturating_add(member.bytes);
        line.sha256 = hex(self.whole.clone());
        line.tar_sha256 = hex(self.tar.clone());
        line.rounds.push(member);
        let held: u64 = line.rounds.iter().map(|round| round.entries).sum();
        line.entries = round.names;
        line.superseded = held.saturating_sub(round.names);
        line.deleted = line.deleted.saturating_add(round.deleted);
        root.label().clone_into(&mut line.source);
        line.skipped.clone_from(&round.skipped);
        line.skipped_count = round.skipped_count;
    }

    /// Cuts off what a failed round wrote.
    fn take_back(&mut self) -> Result<(), ArchiveError> {
        let path = self.line.path(&self.dir);
        self.file
            .set_len(self.line.bytes)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.line.bytes)))
            .and_then(|_| self.file.flush())
            .map_err(ArchiveError::host("write", &path))
    }
}

/// Writes down how everything in `base` looks, as if it were on the device `dev`: each container's root is a mount of
/// its own, and the inodes below are those of the image.
fn write_base(
    base: &Root,
    dev: u64,
    selection: &Selection,
    index: &Path,
    watch: &Watch,
) -> Result<(), ArchiveError> {
    let mut writer = IndexWriter::create(index)?;
    let mut links = Links::default();
    let mut walk = Walk::new(base, selection, watch);
    while let Some(step) = walk.next()? {
        let Step::Found(found) = step else { continue };
        let link_to = links.first(&found.stat).map(|first| first.path.clone());
        match link_to {
            Some(_) => links.met(&found.stat),
            None => links.note(&found.path, &found.stat, false),
        }
        let Stat { kind, ino, size, ctime, .. } = found.stat;
        let (path, on_the_way) = (found.path, found.on_the_way);
        writer.push(&Record {
            path,
            kind,
            dev,
            ino,
            size,
            ctime,
            hot: false,
            on_the_way,
            link_to,
            round: 1,
        })?;
    }
    writer.finish(None)
}
