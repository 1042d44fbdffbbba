//! One regular file from one root to another, with everything the kernel keeps about it: the `.backup` files.

use std::fs::File;
use std::io;

use rustix::io::Errno;

use super::data::{self, CopyFailed, StoredBytes};
use super::dir::Dir;
use super::kernel::Follow;
use super::{FileKind, Root, RootError};
use crate::archive::entry::Metadata;
use crate::guest_path::GuestPath;

/// The copy is prepared beside its place under this name; a leftover of a crash is replaced.
const PART_NAME: &[u8] = b".redeploy-copy.part";

impl Root {
    /// Copies the regular file `path` of `from` to `dest_path` in `to`, replacing what is there (no directory)
    /// in one step. Missing parents get owner and mode of the same directories in `from`. `false`: there is
    /// no regular file at `path`; links are not followed, they may lead anywhere by now.
    ///
    /// # Errors
    /// [`RootError::NotAFile`], [`RootError::Access`]
    pub fn copy_as(
        from: &Self,
        path: &GuestPath,
        to: &Self,
        dest_path: &GuestPath,
    ) -> Result<bool, RootError> {
        let node = match from.node(path, Follow::Parents) {
            Ok(node) => node,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
            Err(source) => return Err(from.failed("read", path, source)),
        };
        if node.stat.kind != FileKind::File {
            return Ok(false);
        }
        let not_a_file = |root: &Self, path: &GuestPath| RootError::NotAFile {
            label: root.label.clone(),
            path: path.clone(),
        };
        let (Some(parent), Some(name)) = (dest_path.parent(), dest_path.file_name()) else {
            return Err(not_a_file(to, dest_path));
        };
        if to.stat(dest_path)?.is_some_and(|stat| stat.kind == FileKind::Dir) {
            return Err(not_a_file(to, dest_path));
        }
        let source = node.open_data().map_err(|source| from.failed("read", path, source))?;
        let meta = node.metadata().map_err(|source| from.failed("read", path, source))?;
        let dir = parent_of_copy(from, to, &parent)?;
        let copied = place(&dir, name, &source, &node.stat, &meta);
        copied.map(|()| true).map_err(|source| {
            let _ = dir.unlink(PART_NAME);
            RootError::Access { action: "write", label: to.label.clone(), path: dest_path.clone(), source }
        })
    }
}

fn place(dir: &Dir, name: &[u8], source: &File, stat: &super::Stat, meta: &Metadata) -> io::Result<()> {
    dir.unlink(PART_NAME)?;
    let copy = File::from(dir.make_file(PART_NAME)?);
    let map = data::map(source, stat, &|| false)?;
    data::write(&copy, stat.size, &map, &mut StoredBytes::new(source, stat.size, &map)).map_err(
        |failed| match failed {
            CopyFailed::Reading(error) | CopyFailed::Writing(error) => error,
        },
    )?;
    dir.node(PART_NAME)?.restore(meta)?;
    copy.sync_all()?;
    dir.rename(PART_NAME, name)?;
    Ok(dir.sync()?)
}

/// Opens `path` in `to`, creating what is missing of it.
fn parent_of_copy(from: &Root, to: &Root, path: &GuestPath) -> Result<Dir, RootError> {
    match to.dir_at(path) {
        Ok(dir) => return Ok(dir),
        Err(Errno::NOENT) => {}
        Err(source) => return Err(to.failed("open", path, source)),
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(to.failed("open", path, Errno::NOENT));
    };
    let dir = parent_of_copy(from, to, &above)?;
    let meta = match from.dir_at(path).and_then(|model| model.as_node()?.metadata()) {
        Ok(meta) => meta,
        Err(_) => Metadata { mode: 0o755, ..Metadata::default() },
    };
    let made = dir.make_dir(name).and_then(|()| {
        let made = dir.dir(name)?;
        made.as_node()?.restore_all_but_mtime(&meta)?;
        Ok(made)
    });
    made.map_err(|source| to.failed("create", path, source))
}
