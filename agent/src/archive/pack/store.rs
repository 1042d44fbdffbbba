//! One thing of a walk becomes one entry of the stream: as what it is now, with what is known of how it looked.

use std::io::{self, Write};

use rustix::io::Errno;

use super::Packer;
use crate::archive::clock::well_before;
use crate::archive::entry::{Entry, EntryKind};
use crate::archive::index::Record;
use crate::archive::links::FirstName;
use crate::archive::round::RoundKind;
use crate::archive::selection::{SkipReason, Skipped};
use crate::archive::tar_write::Appended;
use crate::archive::walk::Found;
use crate::archive::{ArchiveError, TarError};
use crate::guest_path::GuestPath;
use crate::rootfs::data::{self, StoredBytes};
use crate::rootfs::node::Node;
use crate::rootfs::{FileKind, Stat};

/// Why something is not in the round after all.
pub(super) enum Missed {
    /// It is gone or has become something else.
    Gone,
    /// It cannot be read.
    Unreadable(io::Error),
    /// The archive itself failed.
    Fatal(ArchiveError),
}

impl<W: Write> Packer<'_, W> {
    /// Writes one entry, as what it is now.
    pub(super) fn store(&mut self, found: &Found) -> Result<Record, Missed> {
        let node = found.node().map_err(|error| match error {
            Errno::NOENT | Errno::XDEV | Errno::NOTDIR => Missed::Gone,
            error => Missed::Unreadable(error.into()),
        })?;
        let stat = node.stat;
        let keepable = match stat.kind {
            FileKind::File | FileKind::Symlink | FileKind::Fifo => true,
            FileKind::Dir => found.stat.same_file(&stat),
            FileKind::Socket | FileKind::Device => false,
        };
        if !keepable {
            return Err(Missed::Gone);
        }
        let mut hot = !self.rules.trusted || !well_before(stat.ctime, self.rules.began);
        let in_reach = |first: &&FirstName| first.packed || !self.rules.against_another;
        let first = self.links.first(&stat).filter(in_reach).cloned();
        if let Some(first) = &first {
            hot |= first.looked != (stat.size, stat.ctime);
        }
        let link_to = first.map(|first| first.path);
        let whole = self.append(&found.path, &node, link_to.clone())?;
        if link_to.is_some() {
            self.links.met(&stat);
        } else {
            self.links.note(&found.path, &stat, true);
        }
        hot |= whole != Appended::Whole;
        if hot {
            self.round.hot = self.round.hot.saturating_add(1);
            self.hottest = self.hottest.max(stat.ctime);
        }
        let Stat { kind, dev, ino, size, ctime, .. } = stat;
        let (path, on_the_way, round) = (found.path.clone(), found.on_the_way, self.rules.number);
        Ok(Record { path, kind, dev, ino, size, ctime, hot, on_the_way, link_to, round })
    }

    pub(super) fn append(
        &mut self,
        path: &GuestPath,
        node: &Node,
        link_to: Option<GuestPath>,
    ) -> Result<Appended, Missed> {
        let unreadable = |error: Errno| Missed::Unreadable(error.into());
        let meta = node.metadata().map_err(unreadable)?;
        let entry = |kind| Entry { path: path.clone(), kind, meta };
        match (node.stat.kind, link_to) {
            (FileKind::File, Some(target)) => self.write(&entry(EntryKind::Hardlink { target }), None),
            (FileKind::File, None) => {
                let file = node.open_data().map_err(unreadable)?;
                let data = data::map(&file, &node.stat, &|| self.watch.is_cancelled()).map_err(|error| {
                    if self.watch.is_cancelled() {
                        Missed::Fatal(ArchiveError::Cancelled)
                    } else {
                        Missed::Unreadable(error)
                    }
                })?;
                let stored = StoredBytes::new(&file, node.stat.size, &data);
                self.write(&entry(EntryKind::File { size: node.stat.size, data }), Some(stored))
            }
            (FileKind::Symlink, _) => {
                let target = node.link_text().map_err(unreadable)?;
                self.write(&entry(EntryKind::Symlink { target }), None)
            }
            (FileKind::Fifo, _) => self.write(&entry(EntryKind::Fifo), None),
            (FileKind::Dir, _) => self.write(&entry(EntryKind::Dir), None),
            (FileKind::Socket | FileKind::Device, _) => Err(Missed::Gone),
        }
    }

    fn write(&mut self, entry: &Entry, stored: Option<StoredBytes<'_>>) -> Result<Appended, Missed> {
        let appended = match stored {
            Some(stored) => self.tar.append(entry, &mut self.watch.reading(stored)),
            None => self.tar.append(entry, &mut io::empty()),
        };
        let in_stream = matches!(appended, Ok(_) | Err(TarError::Source { .. }));
        if in_stream {
            self.round.written = self.round.written.saturating_add(1);
            self.round.bytes = self.round.bytes.saturating_add(entry.kind.stored_bytes());
        }
        match appended {
            Ok(appended) => Ok(appended),
            Err(_) if self.watch.is_cancelled() => Err(Missed::Fatal(ArchiveError::Cancelled)),
            // Zeros are in the stream now: a live round counts it as stored and reads it again next time.
            Err(TarError::Source { missing, path, .. }) if self.rules.kind == RoundKind::Live => {
                self.skip(Skipped { path, reason: SkipReason::Unreadable });
                Ok(Appended::Short { missing })
            }
            Err(TarError::Source { source, .. }) => Err(Missed::Unreadable(source)),
            Err(error @ (TarError::Unfit { .. } | TarError::AttributesTooLarge { .. })) => {
                Err(Missed::Unreadable(io::Error::other(error)))
            }
            Err(error) => Err(Missed::Fatal(ArchiveError::tar(self.archive)(error))),
        }
    }
}
