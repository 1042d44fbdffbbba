//! The old file system under the new image's files.
//!
//! Where the image has a symbolic link to a directory and the archive a directory (`/bin` in newer
//! distributions), the archive's files go where the link leads, inside the root, and give way there too.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::super::entry::{Entry, EntryKind};
use super::super::image_names::{ImageCursor, ImageHas};
use super::super::manifest::ArchiveLine;
use super::super::member::Member;
use super::super::place::Placer;
use super::super::selection::Selection;
use super::super::{ArchiveError, ImageNames, Watch};
use super::{Applied, for_each_deleted};
use crate::guest_path::GuestPath;
use crate::rootfs::{Fact, Root};

/// Puts a round in around what the image has.
pub(super) fn fill_in(
    dir: &Path,
    line: &ArchiveLine,
    number: u32,
    to: &Root,
    image: &ImageNames,
    watch: &Watch,
) -> Result<Applied, ArchiveError> {
    let archive = line.path(dir);
    // Where links of the image lead is outside the archive's own inclusions: everything is in reach.
    let everywhere = Selection { include: vec![GuestPath::root()], exclude: line.selection.exclude.clone() };
    let mut filler = Filler {
        to,
        image: image.cursor()?,
        placer: Placer::new(to, &everywhere, &archive),
        led: Vec::new(),
        shut: None,
        orphans: BTreeMap::new(),
        applied: Applied::default(),
    };
    if number > 1 {
        for_each_deleted(dir, line, number, |path| {
            watch.entry()?;
            filler.delete(path)
        })?;
    }
    let mut member = Member::open(dir, line, number, watch)?;
    while let Some(entry) = member.next()? {
        filler.entry(entry, &mut watch.reading(&mut member))?;
    }
    for earlier in (1..=number).rev() {
        filler.adopt(Member::open(dir, line, earlier, watch)?, watch)?;
    }
    filler.placer.finish()?;
    Ok(filler.applied)
}

struct Filler<'a> {
    to: &'a Root,
    image: ImageCursor<'a>,
    placer: Placer<'a>,
    /// Directories of the archive that are links in the image, and where those lead; innermost last.
    led: Vec<(GuestPath, GuestPath)>,
    /// A directory of the archive where the image has something that is none.
    shut: Option<GuestPath>,
    /// Other names of files that gave way themselves: they still need the data.
    orphans: BTreeMap<GuestPath, Vec<Entry>>,
    applied: Applied,
}

impl Filler<'_> {
    fn entry(&mut self, mut entry: Entry, data: &mut dyn io::Read) -> Result<(), ArchiveError> {
        self.led.retain(|(from, _)| entry.path.is_within(from));
        if self.shut.as_ref().is_some_and(|shut| entry.path.is_within(shut)) {
            return self.give_way();
        }
        let stands_at = std::mem::replace(&mut entry.path, GuestPath::root());
        entry.path = self.where_led(&stands_at)?;
        let has = self.image.look_up(&entry.path)?;
        match (&entry.kind, has) {
            (EntryKind::Dir, Some(ImageHas::Dir)) => {
                self.give_way()?;
                self.merge_dir(&entry.path)
            }
            (EntryKind::Dir, Some(ImageHas::Other)) => {
                self.give_way()?;
                self.lead(stands_at, &entry.path)
            }
            (_, Some(_)) => self.give_way(),
            (EntryKind::Hardlink { target }, None) => {
                let target = target.clone();
                self.link(entry, &target)
            }
            (_, None) => self.place(&entry, data),
        }
    }

    fn place(&mut self, entry: &Entry, data: &mut dyn io::Read) -> Result<(), ArchiveError> {
        self.applied.entries = self.applied.entries.saturating_add(1);
        self.placer.place(entry, data)
    }

    fn give_way(&mut self) -> Result<(), ArchiveError> {
        self.applied.gave_way = self.applied.gave_way.saturating_add(1);
        Ok(())
    }

    /// A directory both have keeps the image's metadata, its time included.
    fn merge_dir(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        if self.placer.is_in(path) {
            return Ok(());
        }
        let meta = self.to.dir_at(path).and_then(|dir| dir.as_node()?.metadata());
        let meta = meta.map_err(ArchiveError::guest("open", self.to.label(), path))?;
        self.placer.pass_dir(path, meta)
    }

    fn lead(&mut self, from: GuestPath, path: &GuestPath) -> Result<(), ArchiveError> {
        let leads_to = match self.to.fact(path)? {
            Fact::Symlink => self.to.real_path(path),
            Fact::Missing | Fact::File | Fact::Dir | Fact::Other => Err(Errno::NOTDIR),
        };
        match leads_to {
            Ok(real) => {
                self.merge_dir(&real)?;
                self.led.push((from, real));
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.shut = Some(from),
            Err(error) => return Err(ArchiveError::guest("follow", self.to.label(), path)(error)),
        }
        Ok(())
    }

    fn where_led(&self, path: &GuestPath) -> Result<GuestPath, ArchiveError> {
        let Some((from, real)) = self.led.iter().rev().find(|(from, _)| path.is_within(from)) else {
            return Ok(path.clone());
        };
        let rest: Vec<&[u8]> = path.names().skip(from.names().count()).collect();
        real.join(&rest.join(&b'/'))
            .map_err(|_| ArchiveError::guest("place", self.to.label(), path)(Errno::NAMETOOLONG))
    }

    /// A link to a file that gave way must not become a link to the image's file.
    fn link(&mut self, mut entry: Entry, target: &GuestPath) -> Result<(), ArchiveError> {
        let real = self.real_place(target)?;
        if self.image.look_up(&real)?.is_some() {
            self.orphans.entry(target.clone()).or_default().push(entry);
            return Ok(());
        }
        entry.kind = EntryKind::Hardlink { target: real };
        self.place(&entry, &mut io::empty())
    }

    /// Gives orphaned names their data from `member`.
    fn adopt(&mut self, mut member: Member<'_>, watch: &Watch) -> Result<(), ArchiveError> {
        while !self.orphans.is_empty() {
            let Some(entry) = member.next()? else { return Ok(()) };
            if !matches!(entry.kind, EntryKind::File { .. }) {
                continue;
            }
            let Some(names) = self.orphans.remove(&entry.path) else { continue };
            let mut first: Option<GuestPath> = None;
            for name in names {
                let kind = match &first {
                    None => entry.kind.clone(),
                    Some(target) => EntryKind::Hardlink { target: target.clone() },
                };
                first.get_or_insert_with(|| name.path.clone());
                self.keep_time_around(&name.path)?;
                self.place(&Entry { kind, ..name }, &mut watch.reading(&mut member))?;
            }
        }
        Ok(())
    }

    /// Keeps the time of the directory of `path`, which is about to change outside the order of the walk.
    fn keep_time_around(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.to.fact(&parent)? {
            Fact::Dir => self.merge_dir(&parent),
            Fact::Missing | Fact::File | Fact::Symlink | Fact::Other => Ok(()),
        }
    }

    fn delete(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        let real = self.real_place(path)?;
        if self.image.look_up(&real)?.is_some() {
            return self.give_way();
        }
        self.applied.deleted = self.applied.deleted.saturating_add(1);
        self.keep_time_around(&real)?;
        self.placer.remove(&real)
    }

    /// Where a name of the archive is in the target; the same where its directory is no more.
    fn real_place(&self, path: &GuestPath) -> Result<GuestPath, ArchiveError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path.clone()) };
        let failed = ArchiveError::guest("find", self.to.label(), path);
        match self.to.real_path(&parent) {
            Ok(real) => real.join(name).map_err(|_| failed(Errno::NAMETOOLONG)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(path.clone()),
            Err(error) => Err(failed(error)),
        }
    }
}
