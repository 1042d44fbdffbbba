//! Owner, mode, time and extended attributes: read from one file, put on another.
//!
//! All by descriptor (through `/proc/self/fd` where the kernel has no other call), so nothing is resolved again.
//! Order of restoring: owner first (a chown drops setuid bits and capabilities), then attributes (an ACL sets
//! the group bits), then the mode, the time last.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::kernel;
use super::stat::FileKind;
use crate::archive::entry::{Metadata, Timestamp};

/// Attributes can change between asking for their size and reading them; so often we ask again.
const READ_ATTEMPTS: u32 = 16;

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The kept attributes, in order of their names.
pub(super) fn read_xattrs(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let path = kernel::path_of_fd(fd);
    let mut xattrs = Xattrs::new();
    for name in kept_names(&path)? {
        if let Some(value) = read_value(&path, &name)? {
            xattrs.push((name, value));
        }
    }
    Ok(xattrs)
}

/// Puts owner, attributes and mode of `meta` on a file; attributes it has beyond those are taken off.
pub(super) fn restore(fd: BorrowedFd<'_>, kind: FileKind, meta: &Metadata) -> Result<(), Errno> {
    let owner = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
    rustix::fs::chownat(fd, "", owner.0, owner.1, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)?;
    let path = kernel::path_of_fd(fd);
    for name in kept_names(&path)? {
        if !meta.xattrs.iter().any(|(kept, _)| *kept == name) {
            match rustix::fs::removexattr(path.as_str(), name.as_slice()) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => return Err(error),
            }
        }
    }
    for (name, value) in meta.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        rustix::fs::setxattr(path.as_str(), name.as_slice(), value, XattrFlags::empty())?;
    }
    if kind != FileKind::Symlink {
        rustix::fs::chmodat(CWD, path.as_str(), Mode::from_raw_mode(meta.mode & 0o7777), AtFlags::empty())?;
    }
    Ok(())
}

/// Puts the time of the last change on a file; its access time stays.
pub(super) fn restore_mtime(fd: BorrowedFd<'_>, mtime: Timestamp) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    };
    rustix::fs::utimensat(CWD, kernel::path_of_fd(fd), &times, AtFlags::empty())
}

/// What belongs to the user. SELinux labels belong to the host's policy, overlayfs' marks to its layers.
fn is_kept(name: &[u8]) -> bool {
    if name == b"security.selinux" || name.starts_with(b"trusted.overlay.") {
        return false;
    }
    let spaces: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];
    spaces.iter().any(|space| name.starts_with(space))
}

fn kept_names(path: &str) -> Result<Vec<Vec<u8>>, Errno> {
    for _ in 0..READ_ATTEMPTS {
        let size = match rustix::fs::listxattr_query(path) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            other => other?,
        };
        let mut list = vec![0; size];
        match rustix::fs::listxattr(path, list.as_mut_slice()) {
            Ok(size) => {
                list.truncate(size);
                let names = list.split(|byte| *byte == 0).filter(|name| is_kept(name));
                let mut names: Vec<_> = names.map(<[u8]>::to_vec).collect();
                names.sort_unstable();
                return Ok(names);
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::RANGE)
}

/// `None`: taken off meanwhile.
fn read_value(path: &str, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    for _ in 0..READ_ATTEMPTS {
        let size = match rustix::fs::getxattr_query(path, name) {
            Err(Errno::NODATA) => return Ok(None),
            other => other?,
        };
        let mut value = vec![0; size];
        match rustix::fs::getxattr(path, name, value.as_mut_slice()) {
            Ok(size) => {
                value.truncate(size);
                return Ok(Some(value));
            }
            Err(Errno::NODATA) => return Ok(None),
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::RANGE)
}
