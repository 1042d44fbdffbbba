//! Removing a tree without following links, leaving mounts and excepted subtrees where they are.
//!
//! Each level on the way down holds a descriptor, so what is nested deeper is first moved up beside the start.

use rustix::io::Errno;

use super::dir::Dir;
use super::stat::FileKind;
use crate::guest_path::GuestPath;

/// Levels gone down at once.
const LEVELS_MAX: usize = 500;
/// What is moved up is named so, with a number.
const MOVED_PREFIX: &str = ".redeploy-remove.";

/// Removes `name` in `dir`, whatever it is, with all below. `keep` says which paths stay; a directory on the way
/// to one stays as well, and so does a mount. Returns whether all of it is gone.
pub(crate) fn remove_tree(
    dir: &Dir,
    name: &[u8],
    path: &GuestPath,
    keep: &dyn Fn(&GuestPath) -> bool,
) -> Result<bool, Errno> {
    let mut removal = Removal { start: dir, keep, moved: Vec::new(), moves: 0 };
    let gone = removal.remove(dir, name, path, LEVELS_MAX)?;
    removal.remove_moved(path)?;
    Ok(gone)
}

/// Removes all that is in `dir`, but not the directory itself.
pub(crate) fn clear(dir: &Dir, path: &GuestPath, keep: &dyn Fn(&GuestPath) -> bool) -> Result<bool, Errno> {
    let mut removal = Removal { start: dir, keep, moved: Vec::new(), moves: 0 };
    let gone = removal.clear(dir, path, LEVELS_MAX)?;
    removal.remove_moved(path)?;
    Ok(gone)
}

struct Removal<'a> {
    start: &'a Dir,
    keep: &'a dyn Fn(&GuestPath) -> bool,
    moved: Vec<String>,
    moves: u64,
}

impl Removal<'_> {
    fn remove(&mut self, dir: &Dir, name: &[u8], path: &GuestPath, levels: usize) -> Result<bool, Errno> {
        if (self.keep)(path) {
            return Ok(false);
        }
        let stat = match dir.stat(name) {
            Err(Errno::NOENT) => return Ok(true),
            other => other?,
        };
        if stat.mount_root {
            return Ok(false);
        }
        if stat.kind != FileKind::Dir {
            return dir.unlink(name).map(|()| true);
        }
        let Some(levels) = levels.checked_sub(1) else {
            return self.move_up(dir, name).map(|()| true);
        };
        let below = match dir.dir(name) {
            Err(Errno::XDEV) => return Ok(false),
            other => other?,
        };
        if !self.clear(&below, path, levels)? {
            return Ok(false);
        }
        dir.remove_dir(name).map(|()| true)
    }

    fn clear(&mut self, dir: &Dir, path: &GuestPath, levels: usize) -> Result<bool, Errno> {
        let mut all = true;
        for name in dir.names()?.iter() {
            // What has no path of its own cannot be excepted either.
            let below = path.join(name).unwrap_or_else(|_| path.clone());
            all &= self.remove(dir, name, &below, levels)?;
        }
        Ok(all)
    }

    fn move_up(&mut self, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
        loop {
            let moved = format!("{MOVED_PREFIX}{}", self.moves);
            self.moves = self.moves.saturating_add(1);
            match dir.move_to(name, self.start, moved.as_bytes()) {
                Err(Errno::EXIST) => {}
                Ok(()) => {
                    self.moved.push(moved);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Until nothing is left that was moved up.
    fn remove_moved(&mut self, path: &GuestPath) -> Result<(), Errno> {
        while let Some(moved) = self.moved.pop() {
            self.remove(self.start, moved.as_bytes(), path, LEVELS_MAX)?;
        }
        Ok(())
    }
}
