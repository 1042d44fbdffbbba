//! One open directory and what can be done with the names in it: each call takes a single name (or a chain of
//! real directories), never follows a symbolic link and never enters another mount.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::kernel;
use super::names::Names;
use super::node::Node;
use super::stat::Stat;

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
}

impl Dir {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// A descriptor of its own for the same directory, open for reading.
    pub(crate) fn reopen(&self) -> Result<Self, Errno> {
        rustix::fs::openat(&self.fd, ".", OPEN_DIR | OFlags::CLOEXEC, Mode::empty()).map(Self::new)
    }

    /// What the kernel says about the directory itself.
    pub(crate) fn own_stat(&self) -> Result<Stat, Errno> {
        Stat::of_fd(self.fd.as_fd())
    }

    /// The directory itself as a node.
    pub(crate) fn as_node(&self) -> Result<Node, Errno> {
        let fd = rustix::fs::openat(&self.fd, ".", OPEN_DIR | OFlags::CLOEXEC, Mode::empty())?;
        Node::new(fd)
    }

    /// What the kernel says about a name.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<Stat, Errno> {
        Stat::of_name(self.fd.as_fd(), name)
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Result<Names, Errno> {
        Names::read(&self.reopen()?.fd)
    }

    /// Opens a name without touching what it names.
    pub(crate) fn node(&self, name: &[u8]) -> Result<Node, Errno> {
        self.node_below(kernel::as_path(name))
    }

    /// Opens what a chain of real directories leads to.
    pub(crate) fn node_below(&self, relative: &Path) -> Result<Node, Errno> {
        kernel::open_below(self.fd.as_fd(), relative, OFlags::PATH, Mode::empty()).and_then(Node::new)
    }

    /// Opens a directory in it.
    pub(crate) fn dir(&self, name: &[u8]) -> Result<Self, Errno> {
        self.dir_below(kernel::as_path(name))
    }

    /// Opens the directory a chain of real directories leads to; an empty chain is the directory itself.
    pub(crate) fn dir_below(&self, relative: &Path) -> Result<Self, Errno> {
        if relative.as_os_str().is_empty() {
            return self.reopen();
        }
        kernel::open_below(self.fd.as_fd(), relative, OPEN_DIR, Mode::empty()).map(Self::new)
    }

    /// Creates a directory that is root's alone until its metadata is put on.
    pub(crate) fn make_dir(&self, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.fd, kernel::as_path(name), Mode::RWXU)
    }

    /// Creates a file that was not there, for writing, root's alone.
    pub(crate) fn make_file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        kernel::open_below(self.fd.as_fd(), kernel::as_path(name), flags, Mode::RUSR | Mode::WUSR)
    }

    /// Creates a symbolic link.
    pub(crate) fn make_symlink(&self, target: &[u8], name: &[u8]) -> Result<(), Errno> {
        rustix::fs::symlinkat(kernel::as_path(target), &self.fd, kernel::as_path(name))
    }

    /// Creates a named pipe.
    pub(crate) fn make_fifo(&self, name: &[u8]) -> Result<(), Errno> {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&self.fd, kernel::as_path(name), rustix::fs::FileType::Fifo, mode, 0)
    }

    /// Gives the very file behind `node` a second name.
    pub(crate) fn make_link(&self, node: &Node, name: &[u8]) -> Result<(), Errno> {
        let from = kernel::path_of_fd(node.as_fd());
        let flags = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(rustix::fs::CWD, from.as_str(), &self.fd, kernel::as_path(name), flags)
    }

    /// Renames within the directory, over anything but a directory.
    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        rustix::fs::renameat(&self.fd, kernel::as_path(from), &self.fd, kernel::as_path(to))
    }

    /// Moves a name into another directory of the same mount, where it must be new.
    pub(super) fn move_to(&self, name: &[u8], other: &Self, new_name: &[u8]) -> Result<(), Errno> {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(
            &self.fd,
            kernel::as_path(name),
            &other.fd,
            kernel::as_path(new_name),
            flags,
        )
    }

    /// Removes a name that is no directory. One that is gone is success.
    pub(crate) fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        gone(rustix::fs::unlinkat(&self.fd, kernel::as_path(name), AtFlags::empty()))
    }

    /// Removes an empty directory. One that is gone is success.
    pub(crate) fn remove_dir(&self, name: &[u8]) -> Result<(), Errno> {
        gone(rustix::fs::unlinkat(&self.fd, kernel::as_path(name), AtFlags::REMOVEDIR))
    }

    /// Makes the names in it survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        rustix::fs::fsync(&self.fd)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
