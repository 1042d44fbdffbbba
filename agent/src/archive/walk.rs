//! Walks what a selection names, in `GuestPath` order: a directory, what is in it, its next neighbour.
//!
//! Flows in: a root that may change under our feet, and a selection. Flows out: one step after the other, each
//! with the very directory it was found in. Must never follow a link below an inclusion, enter another mount,
//! or open anything but directories.

use std::collections::VecDeque;
use std::rc::Rc;

use rustix::io::Errno;

use super::selection::{Selection, SkipReason, Skipped};
use super::{ArchiveError, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::dir::Dir;
use crate::rootfs::names::Names;
use crate::rootfs::node::Node;
use crate::rootfs::{FileKind, Root, Stat};

/// Each level holds a descriptor; deeper trees are refused.
const DEPTH_MAX: usize = 1000;

/// A name may turn from file to directory and back while we look at it; so often we look again.
const LOOK_ATTEMPTS: u32 = 8;

/// One step of a walk.
#[derive(Debug)]
pub(super) enum Step {
    /// Something that can be kept.
    Found(Found),
    /// Something that cannot.
    Skipped(Skipped),
    /// Something that should have been looked at, but the kernel refused.
    Unreadable { path: GuestPath, source: Errno },
}

/// Something that can be kept, where it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: GuestPath,
    pub(super) stat: Stat,
    /// Only on the way to an inclusion: kept so that its owner and mode are known.
    pub(super) on_the_way: bool,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Dir(Rc<Dir>),
    Name(Rc<Dir>),
}

impl Found {
    /// Opens it, as what it is now.
    pub(super) fn node(&self) -> Result<Node, Errno> {
        match &self.place {
            Place::Dir(dir) => dir.as_node(),
            Place::Name(parent) => parent.node(self.path.file_name().unwrap_or(b".")),
        }
    }
}

/// A walk under way.
pub(super) struct Walk<'a> {
    root: &'a Root,
    selection: &'a Selection,
    watch: &'a Watch,
    roots: VecDeque<GuestPath>,
    previous_root: Option<GuestPath>,
    levels: Vec<Level>,
    ready: VecDeque<Step>,
}

struct Level {
    path: GuestPath,
    dir: Rc<Dir>,
    names: Option<Names>,
    next: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Root, selection: &'a Selection, watch: &'a Watch) -> Self {
        Self {
            root,
            selection,
            watch,
            roots: selection.roots().into(),
            previous_root: None,
            levels: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next step; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Step>, ArchiveError> {
        loop {
            self.watch.check()?;
            if let Some(step) = self.ready.pop_front() {
                self.watch.entry()?;
                return Ok(Some(step));
            }
            if self.levels.is_empty() {
                let Some(path) = self.roots.pop_front() else { return Ok(None) };
                self.begin(path)?;
            } else if let Some(step) = self.advance() {
                self.watch.entry()?;
                return Ok(Some(step));
            }
        }
    }

    /// Begins with one inclusion: its parents first, as far as they were not on an earlier one's way.
    fn begin(&mut self, path: GuestPath) -> Result<(), ArchiveError> {
        let previous = self.previous_root.replace(path.clone());
        let Some(parent) = path.parent() else {
            let opened = self.root.dir_at(&path).and_then(|dir| Ok((dir.own_stat()?, dir)));
            let (stat, dir) = opened.map_err(ArchiveError::guest("open", self.root.label(), &path))?;
            let step = self.descend(path, stat, dir);
            self.ready.push_back(step);
            return Ok(());
        };
        let mut on_the_way = path.clone();
        let mut above = Vec::new();
        while let Some(parent) = on_the_way.parent().filter(|parent| !parent.is_root()) {
            if !previous.as_ref().is_some_and(|previous| previous.is_within(&parent)) {
                above.push(parent.clone());
            }
            on_the_way = parent;
        }
        for path in above.into_iter().rev() {
            match self.root.dir_at(&path).and_then(|dir| Ok((dir.own_stat()?, dir))) {
                Ok((stat, dir)) => {
                    let place = Place::Dir(Rc::new(dir));
                    self.ready.push_back(Step::Found(Found { path, stat, on_the_way: true, place }));
                }
                Err(_) => break,
            }
        }
        match self.root.dir_at(&parent) {
            Ok(dir) => {
                let step = self.look(&Rc::new(dir), path);
                self.ready.extend(step);
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::XDEV) => self.ready.push_back(skipped(path, SkipReason::Mount)),
            Err(source) => self.ready.push_back(Step::Unreadable { path, source }),
        }
        Ok(())
    }

    /// The next name of the innermost directory.
    fn advance(&mut self) -> Option<Step> {
        let level = self.levels.last_mut()?;
        if level.names.is_none() {
            match level.dir.names() {
                Ok(names) => level.names = Some(names),
                // Removed after we opened it.
                Err(Errno::NOENT) => level.names = Some(Names::default()),
                Err(source) => {
                    let path = level.path.clone();
                    self.levels.pop();
                    return Some(Step::Unreadable { path, source });
                }
            }
        }
        let Some(name) = level.names.as_ref().and_then(|names| names.get(level.next)) else {
            self.levels.pop();
            return None;
        };
        level.next += 1;
        let Ok(path) = level.path.join(name) else {
            let path = level.path.clone();
            return Some(Step::Unreadable { path, source: Errno::NAMETOOLONG });
        };
        if self.selection.excludes(&path) {
            return None;
        }
        let dir = Rc::clone(&level.dir);
        self.look(&dir, path)
    }

    /// Looks at one name of `parent`. `None`: it is gone.
    fn look(&mut self, parent: &Rc<Dir>, path: GuestPath) -> Option<Step> {
        let name = path.file_name().unwrap_or(b".").to_vec();
        let mut last = Errno::NOENT;
        for _ in 0..LOOK_ATTEMPTS {
            let stat = match parent.stat(&name) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return None,
                Err(source) => return Some(Step::Unreadable { path, source }),
            };
            let reason = match stat.kind {
                _ if stat.mount_root => Some(SkipReason::Mount),
                FileKind::Socket => Some(SkipReason::Socket),
                FileKind::Device => Some(SkipReason::Device),
                FileKind::File | FileKind::Dir | FileKind::Symlink | FileKind::Fifo => None,
            };
            if let Some(reason) = reason {
                return Some(skipped(path, reason));
            }
            if stat.kind != FileKind::Dir {
                let place = Place::Name(Rc::clone(parent));
                return Some(Step::Found(Found { path, stat, on_the_way: false, place }));
            }
            match parent.dir(&name).and_then(|dir| Ok((dir.own_stat()?, dir))) {
                Ok((stat, dir)) => return Some(self.descend(path, stat, dir)),
                Err(Errno::XDEV) => return Some(skipped(path, SkipReason::Mount)),
                Err(changed @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => last = changed,
                Err(source) => return Some(Step::Unreadable { path, source }),
            }
        }
        Some(Step::Unreadable { path, source: last })
    }

    fn descend(&mut self, path: GuestPath, stat: Stat, dir: Dir) -> Step {
        if self.levels.len() >= DEPTH_MAX {
            return Step::Unreadable { path, source: Errno::NAMETOOLONG };
        }
        let dir = Rc::new(dir);
        self.levels.push(Level { path: path.clone(), dir: Rc::clone(&dir), names: None, next: 0 });
        Step::Found(Found { path, stat, on_the_way: false, place: Place::Dir(dir) })
    }
}

fn skipped(path: GuestPath, reason: SkipReason) -> Step {
    Step::Skipped(Skipped { path, reason })
}
