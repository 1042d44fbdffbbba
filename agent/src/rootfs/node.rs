//! One file held open without reading it, so that what is looked at, read and restored is the very same file.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::kernel;
use super::meta;
use super::stat::Stat;
use crate::archive::entry::Metadata;

/// An open file of any kind with what the kernel said about it when it was opened.
#[derive(Debug)]
pub(crate) struct Node {
    fd: OwnedFd,
    pub(crate) stat: Stat,
}

impl Node {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = Stat::of_fd(fd.as_fd())?;
        Ok(Self { fd, stat })
    }

    /// Opens a regular file for reading. Must not be called for anything else: opening a device or a FIFO has
    /// effects.
    pub(crate) fn open_data(&self) -> Result<File, Errno> {
        kernel::reopen_for_reading(self.fd.as_fd())
    }

    /// The text of a symbolic link.
    pub(crate) fn link_text(&self) -> Result<Vec<u8>, Errno> {
        rustix::fs::readlinkat(&self.fd, "", Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// Everything that is kept besides the contents.
    pub(crate) fn metadata(&self) -> Result<Metadata, Errno> {
        Ok(Metadata {
            mode: self.stat.mode,
            uid: self.stat.uid,
            gid: self.stat.gid,
            mtime: self.stat.mtime,
            xattrs: meta::read_xattrs(self.fd.as_fd())?,
        })
    }

    /// Puts owner, attributes, mode and time on it.
    pub(crate) fn restore(&self, meta: &Metadata) -> Result<(), Errno> {
        meta::restore(self.fd.as_fd(), self.stat.kind, meta)?;
        self.restore_mtime(meta)
    }

    /// Puts the time on it alone.
    pub(crate) fn restore_mtime(&self, meta: &Metadata) -> Result<(), Errno> {
        meta::restore_mtime(self.fd.as_fd(), meta.mtime)
    }

    /// As [`Node::restore`], without the time: for directories, whose time comes when they are left.
    pub(crate) fn restore_all_but_mtime(&self, meta: &Metadata) -> Result<(), Errno> {
        meta::restore(self.fd.as_fd(), self.stat.kind, meta)
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
