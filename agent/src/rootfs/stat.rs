//! What the kernel says about one file, without opening it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use super::kernel;
use crate::archive::entry::Timestamp;

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A block or character device.
    Device,
}

/// What the kernel says about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid, sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// How many names it has.
    pub nlink: u32,
    /// Number on its device.
    pub ino: u64,
    /// The device: major in the upper half, minor in the lower.
    pub dev: u64,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Last change of anything; only the kernel sets it.
    pub ctime: Timestamp,
    /// Is it where another mount begins?
    pub mount_root: bool,
}

impl Stat {
    /// Of the name `name` in `dir`, not followed.
    pub(crate) fn of_name(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let path = kernel::as_path(name);
        let found = statx(dir, path, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut stat = Self::from_statx(&found);
        if !found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            // Kernels before 5.8 do not say; opening does.
            stat.mount_root = kernel::open_below(dir, path, OFlags::PATH, rustix::fs::Mode::empty()).err()
                == Some(Errno::XDEV);
        }
        Ok(stat)
    }

    /// Of an open file.
    pub(crate) fn of_fd(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        statx(fd, Path::new(""), AtFlags::EMPTY_PATH).map(|found| Self::from_statx(&found))
    }

    /// Is it the same file, as far as names on one device go?
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.kind) == (other.dev, other.ino, other.kind)
    }

    fn from_statx(found: &Statx) -> Self {
        Self {
            kind: match FileType::from_raw_mode(found.stx_mode.into()) {
                FileType::RegularFile => FileKind::File,
                FileType::Directory => FileKind::Dir,
                FileType::Symlink => FileKind::Symlink,
                FileType::Fifo => FileKind::Fifo,
                FileType::Socket => FileKind::Socket,
                FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => FileKind::Device,
            },
            mode: u32::from(found.stx_mode) & 0o7777,
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            blocks: found.stx_blocks,
            nlink: found.stx_nlink,
            ino: found.stx_ino,
            dev: (u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor),
            mtime: timestamp(found.stx_mtime),
            ctime: timestamp(found.stx_ctime),
            mount_root: found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}

fn statx(fd: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<Statx, Errno> {
    rustix::fs::statx(fd, path, flags | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)
}

fn timestamp(time: StatxTimestamp) -> Timestamp {
    Timestamp { secs: time.tv_sec, nanos: time.tv_nsec }
}
