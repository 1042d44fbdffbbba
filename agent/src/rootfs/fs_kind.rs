//! Which file system it is, and what that lets us believe. Must never guess: unknown means untrusted.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// A file system by its magic number (linux/magic.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// ext2, ext3, ext4.
    Ext,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// The kernel's overlayfs.
    Overlay,
    /// Any file system in user space.
    Fuse,
    /// In memory.
    Tmpfs,
    /// Another one.
    Other,
}

impl FsKind {
    /// What people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ext => "ext",
            Self::Xfs => "XFS",
            Self::Btrfs => "Btrfs",
            Self::Overlay => "overlayfs",
            Self::Fuse => "FUSE",
            Self::Tmpfs => "tmpfs",
            Self::Other => "of another kind",
        }
    }

    pub(super) fn of(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        // The magic is 32 bits wide; the field's type and sign depend on the machine.
        let magic = rustix::fs::fstatfs(fd)?.f_type;
        Ok(match u64::try_from(magic).unwrap_or(u64::MAX) & 0xffff_ffff {
            0xef53 => Self::Ext,
            0x5846_5342 => Self::Xfs,
            0x9123_683e => Self::Btrfs,
            0x794c_7630 => Self::Overlay,
            0x6573_5546 => Self::Fuse,
            0x0102_1994 => Self::Tmpfs,
            _ => Self::Other,
        })
    }

    /// Does every change of a file, also through `mmap` after a flush, move its ctime? Network file systems may
    /// change behind the kernel's back, and tmpfs has no write-back that would protect mapped pages.
    pub(super) fn stamps_changes(self, of_container: bool) -> bool {
        match self {
            Self::Ext | Self::Xfs | Self::Btrfs | Self::Overlay => true,
            Self::Fuse => of_container,
            Self::Tmpfs | Self::Other => false,
        }
    }

    /// Does a write through `mmap` move the ctime when it happens?
    pub(super) fn stamps_at_once(self) -> bool {
        match self {
            Self::Ext | Self::Xfs | Self::Btrfs | Self::Overlay => true,
            Self::Fuse | Self::Tmpfs | Self::Other => false,
        }
    }
}
