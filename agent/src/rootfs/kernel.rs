//! The three ways a name becomes a file descriptor: inside a root, below a directory, and again by descriptor.
//!
//! Flows in: directory descriptors and names. Flows out: descriptors. Must never be given a path that is to be
//! taken from the host's root.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::guest_path::GuestPath;

/// The kernel gives up (EAGAIN) when something is renamed while it resolves `..` in a link; trying again is
/// the documented answer (openat2(2)). A container that renames without pause must not hold us forever.
const RESOLVE_ATTEMPTS: u32 = 128;

/// `syncfs` tells each earlier failure to write a page out once for each open file (syncfs(2), since Linux 5.8), also one
/// that happened long before the call.
const FLUSH_ATTEMPTS: u32 = 16;

/// Which symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Those on the way to the last name.
    Parents,
    /// Those and the last name.
    Last,
}

/// May another mount be entered?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounts {
    /// Yes.
    Cross,
    /// No: `EXDEV`.
    Stay,
}

/// Opens `path` as a process whose root is `root` would.
pub(crate) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &GuestPath,
    flags: OFlags,
    follow: Follow,
    mounts: Mounts,
) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if mounts == Mounts::Stay {
        resolve |= ResolveFlags::NO_XDEV;
    }
    let flags = match follow {
        Follow::Parents => flags | OFlags::NOFOLLOW,
        Follow::Last => flags,
    };
    let relative = if path.is_root() { Path::new(".") } else { path.relative() };
    open_again(root, relative, flags, Mode::empty(), resolve)
}

/// Opens `relative` below `dir`, where no part of it may be a symbolic link and none another mount. With
/// `O_PATH` the last part may be a link and is opened itself.
pub(crate) fn open_below(
    dir: BorrowedFd<'_>,
    relative: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    open_again(dir, relative, flags | OFlags::NOFOLLOW, mode, resolve)
}

fn open_again(
    dir: BorrowedFd<'_>,
    relative: &Path,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut last = Errno::AGAIN;
    for _ in 0..RESOLVE_ATTEMPTS {
        match rustix::fs::openat2(dir, relative, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(again @ (Errno::AGAIN | Errno::INTR)) => last = again,
            other => return other,
        }
    }
    Err(last)
}

/// Writes all dirty pages of the file system out.
///
/// A program that is killed while the kernel writes a page of its out through FUSE leaves EINTR behind: it was the
/// program that was interrupted, not this call. The page is still what the kernel shows whoever reads the file.
pub(crate) fn flush(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    until_told(|| rustix::fs::syncfs(fd))
}

fn until_told(mut sync: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    let mut attempts = 1..FLUSH_ATTEMPTS;
    loop {
        match sync() {
            Err(Errno::INTR) if attempts.next().is_some() => {}
            other => return other,
        }
    }
}

/// The name under which the kernel lets us reach the very file behind a descriptor, whatever its path means now.
pub(crate) fn path_of_fd(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Where the kernel says a descriptor's file is, from our own root or that of its unmounted mount: only to be
/// compared with the answer for another descriptor of the same mount.
pub(crate) fn where_is(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    let text = rustix::fs::readlinkat(CWD, path_of_fd(fd), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(text.to_bytes())))
}

/// Opens the regular file behind `fd` for reading. Its access time is left alone where the kernel allows it.
pub(crate) fn reopen_for_reading(fd: BorrowedFd<'_>) -> Result<File, Errno> {
    let path = path_of_fd(fd);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(CWD, path.as_str(), flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty()),
        other => other,
    };
    opened.map(File::from)
}

/// One name of a directory as the kernel wants it.
pub(crate) fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_interrupted_others_does_not_interrupt_a_flush() {
        let mut told = [Err(Errno::INTR), Err(Errno::INTR), Ok(())].into_iter();
        assert_eq!(until_told(|| told.next().unwrap()), Ok(()));
        assert_eq!(told.next(), None, "it is asked until nothing is left to tell");
    }

    #[test]
    fn a_flush_that_fails_says_why_and_one_without_end_ends() {
        assert_eq!(until_told(|| Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(until_told(|| Err(Errno::INTR)), Err(Errno::INTR));
    }
}
