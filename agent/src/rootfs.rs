//! Directory handles on roots, and the only code that resolves a path inside one.
//!
//! Flows in: a directory (a container's root, a volume) and guest paths. Flows out: opened files and facts about
//! them. Must never use path strings to decide where something is: the kernel resolves inside the root
//! (openat2, RESOLVE_IN_ROOT), whatever the container's content has been turned into meanwhile.
//!
//! Everything here blocks: call it through `spawn_blocking`.

mod copy;
pub(crate) mod data;
pub(crate) mod dir;
mod error;
mod fs_kind;
pub(crate) mod kernel;
mod limit;
pub(crate) mod meta;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod remove;
mod stat;

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::guest_path::GuestPath;
use dir::Dir;
use kernel::Follow;
use node::Node;

pub use error::RootError;
pub use fs_kind::FsKind;
pub use limit::raise_open_files_limit;
pub use stat::{FileKind, Stat};

/// A handle on a directory that is somebody's root: a container's, or a volume. It keeps the mount it lies on
/// alive, so it stays readable and writable after the engine has unmounted it elsewhere.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
    label: String,
    of_container: bool,
}

/// What stands at a path, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Nothing.
    Missing,
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, whatever it points to.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

impl std::os::fd::AsFd for Root {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Root {
    /// Opens a directory of the host. `label` names the root in reports and errors (`volume data`).
    ///
    /// # Errors
    /// [`RootError::Open`]
    pub fn open_dir(host_path: &Path, label: impl Into<String>) -> Result<Self, RootError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(host_path, flags, Mode::empty())
            .map_err(|source| RootError::Open { path: host_path.to_owned(), source: source.into() })?;
        Ok(Self { dir: Dir::new(fd), label: label.into(), of_container: false })
    }

    /// Takes a directory somebody else opened, with `O_PATH` or for reading.
    ///
    /// # Errors
    /// [`RootError::NotADirectory`] when it is none.
    pub fn from_fd(fd: OwnedFd, label: impl Into<String>) -> Result<Self, RootError> {
        let label = label.into();
        match Dir::new(fd).reopen() {
            Ok(dir) => Ok(Self { dir, label, of_container: false }),
            Err(source) => Err(RootError::NotADirectory { label, source: source.into() }),
        }
    }

    /// Says that this is a container's root as its engine mounted it. Then FUSE means fuse-overlayfs, which
    /// stamps changes like the file system below it; any other FUSE is not trusted to.
    #[must_use]
    pub fn of_container(mut self) -> Self {
        self.of_container = true;
        self
    }

    /// The name of this root in reports.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A second handle on the same directory.
    ///
    /// # Errors
    /// [`RootError::NotADirectory`] when the process is out of descriptors.
    pub fn try_clone(&self) -> Result<Self, RootError> {
        let dir = self.dir.reopen().map_err(|source| RootError::NotADirectory {
            label: self.label.clone(),
            source: source.into(),
        })?;
        Ok(Self { dir, label: self.label.clone(), of_container: self.of_container })
    }

    /// What the kernel knows of `path` itself; a symbolic link is not followed. `None`: nothing is there.
    ///
    /// # Errors
    /// [`RootError::Access`]
    pub fn stat(&self, path: &GuestPath) -> Result<Option<Stat>, RootError> {
        match self.node(path, Follow::Parents) {
            Ok(node) => Ok(Some(node.stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(source) => Err(self.failed("look at", path, source)),
        }
    }

    /// The kind of thing at `path`; a symbolic link is not followed.
    ///
    /// # Errors
    /// [`RootError::Access`]
    pub fn fact(&self, path: &GuestPath) -> Result<Fact, RootError> {
        Ok(match self.stat(path)?.map(|stat| stat.kind) {
            None => Fact::Missing,
            Some(FileKind::File) => Fact::File,
            Some(FileKind::Dir) => Fact::Dir,
            Some(FileKind::Symlink) => Fact::Symlink,
            Some(FileKind::Fifo | FileKind::Socket | FileKind::Device) => Fact::Other,
        })
    }

    /// The contents of a regular file of at most `bytes_max` bytes. A symbolic link is followed inside the root,
    /// as a process in the container would. `None`: nothing is there.
    ///
    /// # Errors
    /// [`RootError::NotAFile`], [`RootError::TooLarge`], [`RootError::Access`]
    pub fn read_file(&self, path: &GuestPath, bytes_max: u64) -> Result<Option<Vec<u8>>, RootError> {
        let node = match self.node(path, Follow::Last) {
            Ok(node) => node,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(source) => return Err(self.failed("read", path, source)),
        };
        if node.stat.kind != FileKind::File {
            return Err(RootError::NotAFile { label: self.label.clone(), path: path.clone() });
        }
        let file = node.open_data().map_err(|source| self.failed("read", path, source))?;
        let mut bytes = Vec::new();
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(|source| {
            RootError::Access { action: "read", label: self.label.clone(), path: path.clone(), source }
        })?;
        if u64::try_from(bytes.len()).map_or(true, |len| len > bytes_max) {
            return Err(RootError::TooLarge { label: self.label.clone(), path: path.clone(), bytes_max });
        }
        Ok(Some(bytes))
    }

    /// Bytes an unprivileged process could still write here.
    ///
    /// # Errors
    /// [`RootError::Access`]
    pub fn free_space(&self) -> Result<u64, RootError> {
        let space = rustix::fs::fstatvfs(self.dir.as_fd())
            .map_err(|source| self.failed("ask for the free space of", &GuestPath::root(), source))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// The file system the root lies on.
    ///
    /// # Errors
    /// [`RootError::Access`]
    pub fn fs_kind(&self) -> Result<FsKind, RootError> {
        FsKind::of(self.dir.as_fd())
            .map_err(|source| self.failed("ask for the file system of", &GuestPath::root(), source))
    }

    /// Is every later change of a file here sure to show in its ctime? Not known means no.
    pub(crate) fn stamps_changes(&self) -> Result<bool, RootError> {
        Ok(self.fs_kind()?.stamps_changes(self.of_container))
    }

    /// Writes all dirty pages out, which also write-protects them: a later write through `mmap` must move the
    /// ctime again.
    pub(crate) fn flush(&self) -> Result<(), RootError> {
        kernel::flush(self.dir.as_fd()).map_err(|source| self.failed("flush", &GuestPath::root(), source))
    }

    /// Does a write through `mmap` move the ctime when it happens, not only when the page is written out? A program
    /// behind FUSE learns of it only then.
    pub(crate) fn stamps_at_once(&self) -> Result<bool, RootError> {
        Ok(self.fs_kind()?.stamps_at_once())
    }

    /// The root as a directory.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Opens what is at `path` without reading or changing it.
    pub(crate) fn node(&self, path: &GuestPath, follow: Follow) -> Result<Node, Errno> {
        kernel::open_in_root(self.dir.as_fd(), path, OFlags::PATH, follow, kernel::Mounts::Cross)
            .and_then(Node::new)
    }

    /// Opens the directory at `path`, following symbolic links inside the root; never into another mount
    /// (`EXDEV`).
    pub(crate) fn dir_at(&self, path: &GuestPath) -> Result<Dir, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        kernel::open_in_root(self.dir.as_fd(), path, flags, Follow::Last, kernel::Mounts::Stay).map(Dir::new)
    }

    /// The path without links under which the directory at `path` is in this root.
    pub(crate) fn real_path(&self, path: &GuestPath) -> Result<GuestPath, Errno> {
        let dir = self.dir_at(path)?;
        let whole = kernel::where_is(dir.as_fd())?;
        let root = kernel::where_is(self.dir.as_fd())?;
        let inside = whole.strip_prefix(root).map_err(|_| Errno::NOENT)?;
        let text = inside.as_os_str().as_bytes();
        if text.is_empty() { Ok(GuestPath::root()) } else { GuestPath::new(text).map_err(|_| Errno::INVAL) }
    }

    /// An error about `path` in this root.
    pub(crate) fn failed(&self, action: &'static str, path: &GuestPath, source: Errno) -> RootError {
        RootError::Access { action, label: self.label.clone(), path: path.clone(), source: source.into() }
    }
}

#[cfg(test)]
mod tests;
