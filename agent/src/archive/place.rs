//! Puts entries into a root, one after the other, in the order of a walk.
//!
//! Flows in: entries with their data. Flows out: the same files with everything the kernel keeps about them. Below
//! an inclusion no symbolic link is ever followed: what the archive says is a directory becomes one. Above it,
//! links inside the root are followed, as the container itself would. Every file appears at once: prepared under
//! another name, then renamed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::io::Errno;

use super::ArchiveError;
use super::entry::{Entry, EntryKind, Metadata};
use super::selection::Selection;
use crate::guest_path::GuestPath;
use crate::rootfs::data::{self, CopyFailed};
use crate::rootfs::dir::Dir;
use crate::rootfs::node::Node;
use crate::rootfs::{FileKind, Root, remove};

/// Files are prepared under this name in their directory. Only one at a time, so a leftover of a crash is
/// replaced when the round is put in again.
const PART_NAME: &[u8] = b".redeploy-place.part";

/// Entries on their way into a root.
pub(super) struct Placer<'a> {
    root: &'a Root,
    selection: &'a Selection,
    roots: Vec<GuestPath>,
    archive: &'a Path,
    /// The directory last worked in.
    parent: Option<(GuestPath, Dir)>,
    /// The directories around the current name whose time is to be put right on leaving, innermost last.
    around: Vec<Around>,
}

struct Around {
    path: GuestPath,
    meta: Metadata,
    touched: bool,
}

impl<'a> Placer<'a> {
    /// `archive` is named when its data cannot be read.
    pub(super) fn new(root: &'a Root, selection: &'a Selection, archive: &'a Path) -> Self {
        Self { root, selection, roots: selection.roots(), archive, parent: None, around: Vec::new() }
    }

    /// Empties the inclusions, but for what is excluded and for mounts.
    pub(super) fn clear(&mut self) -> Result<(), ArchiveError> {
        for path in self.roots.clone() {
            let keep = |path: &GuestPath| self.selection.excludes(path);
            let cleared = match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => match self.root.dir_at(&parent) {
                    Ok(dir) => remove::remove_tree(&dir, name, &path, &keep),
                    Err(Errno::NOENT | Errno::NOTDIR) => Ok(true),
                    Err(error) => Err(error),
                },
                _ => remove::clear(self.root.dir(), &path, &keep),
            };
            cleared.map_err(self.failed("remove", &path))?;
        }
        self.parent = None;
        Ok(())
    }

    /// Removes a name, whatever it is. One that is gone, or whose directory is, is success.
    pub(super) fn remove(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        self.leave_for(path)?;
        let Some(name) = path.file_name() else { return Ok(()) };
        let removed = match self.enter_parent(path) {
            Ok(()) => {
                let keep = |path: &GuestPath| self.selection.excludes(path);
                self.parent().and_then(|parent| remove::remove_tree(parent, name, path, &keep)).map(|_| ())
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(self.failed("remove", path))?;
        self.touch_parent(path);
        // The directory last worked in may have been what was removed.
        if self.parent.as_ref().is_some_and(|(parent, _)| parent.is_within(path)) {
            self.parent = None;
        }
        Ok(())
    }

    /// Puts one entry in its place; `data` gives its stored bytes.
    pub(super) fn place(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), ArchiveError> {
        self.leave_for(&entry.path)?;
        if Selection::root_of(&self.roots, &entry.path).is_none() {
            return self.place_above(&entry.path, &entry.meta);
        }
        match &entry.kind {
            EntryKind::Dir => self.place_dir(&entry.path, &entry.meta),
            EntryKind::File { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::Hardlink { .. }
            | EntryKind::Fifo => self.place_name(entry, data),
        }
    }

    /// Notes a directory that is as it should be, but whose time must be put right if something in it changes.
    pub(super) fn pass_dir(&mut self, path: &GuestPath, meta: Metadata) -> Result<(), ArchiveError> {
        if self.is_in(path) {
            return Ok(());
        }
        self.leave_for(path)?;
        self.around.push(Around { path: path.clone(), meta, touched: false });
        Ok(())
    }

    /// Is this the innermost directory that was passed or placed and not left?
    pub(super) fn is_in(&self, path: &GuestPath) -> bool {
        self.around.last().is_some_and(|around| around.path == *path)
    }

    /// Leaves all directories.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        while let Some(around) = self.around.pop() {
            self.leave(&around)?;
        }
        Ok(())
    }

    /// A parent of an inclusion: left alone where there is a directory, or a link to one inside the root.
    fn place_above(&mut self, path: &GuestPath, meta: &Metadata) -> Result<(), ArchiveError> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let there = match self.root.dir_at(path) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(error) => Err(error),
        };
        if there.map_err(self.failed("open", path))? {
            return Ok(());
        }
        let made = self.root.dir_at(&above).and_then(|dir| {
            dir.unlink(name)?;
            dir.make_dir(name)?;
            dir.dir(name)?.as_node()?.restore_all_but_mtime(meta)
        });
        made.map_err(self.failed("create", path))?;
        self.around.push(Around { path: path.clone(), meta: meta.clone(), touched: true });
        Ok(())
    }

    fn place_dir(&mut self, path: &GuestPath, meta: &Metadata) -> Result<(), ArchiveError> {
        let placed = match path.file_name() {
            None => self.root.dir().as_node(),
            Some(name) => self.enter_parent(path).and_then(|()| make_dir(self.parent()?, name)),
        };
        let placed = placed.and_then(|node| node.restore_all_but_mtime(meta));
        placed.map_err(self.failed("create", path))?;
        self.touch_parent(path);
        self.around.push(Around { path: path.clone(), meta: meta.clone(), touched: true });
        Ok(())
    }

    fn place_name(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), ArchiveError> {
        let path = &entry.path;
        let Some(name) = path.file_name() else {
            return Err(self.failed("replace", path)(Errno::ISDIR));
        };
        self.enter_parent(path).map_err(self.failed("open the directory of", path))?;
        self.prepare(entry, data).inspect_err(|_| {
            // Half of it is of no use to anybody; on a full disk least of all.
            let _ = self.parent().and_then(|parent| parent.unlink(PART_NAME));
        })?;
        let keep = |path: &GuestPath| self.selection.excludes(path);
        let placed = self.parent().and_then(|parent| {
            if parent.stat(name).is_ok_and(|stat| stat.kind == FileKind::Dir) {
                remove::remove_tree(parent, name, path, &keep)?;
            }
            parent.rename(PART_NAME, name)?;
            // Two names of one file are not renamed over one another: nothing happens, and the first stays.
            parent.unlink(PART_NAME)
        });
        placed.map_err(self.failed("replace", path))?;
        self.touch_parent(path);
        Ok(())
    }

    /// Makes the new file under its temporary name, complete.
    fn prepare(&self, entry: &Entry, data: &mut dyn Read) -> Result<(), ArchiveError> {
        let path = &entry.path;
        let failed = |error| self.failed("create", path)(error);
        let parent = self.parent().map_err(failed)?;
        parent.unlink(PART_NAME).map_err(failed)?;
        match &entry.kind {
            EntryKind::File { size, data: map } => {
                let file = File::from(parent.make_file(PART_NAME).map_err(failed)?);
                data::write(&file, *size, map, data).map_err(|error| match error {
                    CopyFailed::Reading(error) => ArchiveError::host("read", self.archive)(error),
                    CopyFailed::Writing(error) => {
                        ArchiveError::guest_io("write", self.root.label(), path)(error)
                    }
                })?;
            }
            EntryKind::Symlink { target } => parent.make_symlink(target, PART_NAME).map_err(failed)?,
            EntryKind::Fifo => parent.make_fifo(PART_NAME).map_err(failed)?,
            EntryKind::Hardlink { target } => {
                let node = self.link_target(target).map_err(failed)?;
                return parent.make_link(&node, PART_NAME).map_err(failed);
            }
            EntryKind::Dir => return Ok(()),
        }
        parent.node(PART_NAME).and_then(|node| node.restore(&entry.meta)).map_err(failed)
    }

    /// The file another name stands for; it must be a regular one.
    fn link_target(&self, target: &GuestPath) -> Result<Node, Errno> {
        let node = self.below_inclusion(target, |base, relative| base.node_below(relative))?;
        if node.stat.kind == FileKind::File { Ok(node) } else { Err(Errno::INVAL) }
    }

    /// Makes the directory of `path` the one worked in.
    fn enter_parent(&mut self, path: &GuestPath) -> Result<(), Errno> {
        let wanted = path.parent().ok_or(Errno::INVAL)?;
        if self.parent.as_ref().is_none_or(|(current, _)| *current != wanted) {
            self.parent = None;
            let dir = self.open(&wanted)?;
            self.parent = Some((wanted, dir));
        }
        Ok(())
    }

    fn parent(&self) -> Result<&Dir, Errno> {
        self.parent.as_ref().map(|(_, dir)| dir).ok_or(Errno::NOENT)
    }

    fn open(&self, path: &GuestPath) -> Result<Dir, Errno> {
        if path.is_root() || Selection::root_of(&self.roots, path).is_none() {
            return self.root.dir_at(path);
        }
        self.below_inclusion(path, |base, relative| base.dir_below(relative))
    }

    /// Splits `path` at its inclusion's parent, which may be reached through links; what is below may not.
    fn below_inclusion<T>(
        &self,
        path: &GuestPath,
        open: impl FnOnce(&Dir, &Path) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let inclusion = Selection::root_of(&self.roots, path).ok_or(Errno::NOENT)?;
        let base = inclusion.parent().unwrap_or_else(GuestPath::root);
        let relative = path.relative().strip_prefix(base.relative()).map_err(|_| Errno::INVAL)?;
        open(&self.root.dir_at(&base)?, relative)
    }

    fn touch_parent(&mut self, path: &GuestPath) {
        if let Some(around) = self.around.last_mut()
            && path.parent().is_some_and(|parent| parent == around.path)
        {
            around.touched = true;
        }
    }

    /// Leaves the directories `path` is not in.
    fn leave_for(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        while let Some(around) = self.around.pop_if(|around| !path.is_within(&around.path)) {
            self.leave(&around)?;
        }
        // Met again: a directory that was passed is now being restored.
        let _ = self.around.pop_if(|around| around.path == *path);
        Ok(())
    }

    fn leave(&self, around: &Around) -> Result<(), ArchiveError> {
        if !around.touched {
            return Ok(());
        }
        let done = self.open(&around.path).and_then(|dir| dir.as_node()?.restore_mtime(&around.meta));
        done.map_err(self.failed("set the time of", &around.path))
    }

    fn failed(&self, action: &'static str, path: &GuestPath) -> impl FnOnce(Errno) -> ArchiveError + use<> {
        ArchiveError::guest(action, self.root.label(), path)
    }
}

/// Opens the directory `name`, replacing anything else that has the name.
fn make_dir(parent: &Dir, name: &[u8]) -> Result<Node, Errno> {
    match parent.dir(name) {
        Ok(dir) => return dir.as_node(),
        Err(Errno::NOENT) => {}
        Err(Errno::NOTDIR | Errno::LOOP) => parent.unlink(name)?,
        Err(error) => return Err(error),
    }
    parent.make_dir(name)?;
    parent.dir(name)?.as_node()
}
