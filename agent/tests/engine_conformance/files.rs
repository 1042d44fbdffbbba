//! Reading and writing below a root handle.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use redeploy_agent::rootfs::Root;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};

/// Writes a file below the handle.
pub(crate) fn write(root: &Root, path: &str, bytes: &[u8]) {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root.as_fd(), path, flags, Mode::from_raw_mode(0o640)).unwrap();
    File::from(file).write_all(bytes).unwrap();
}

/// A file's bytes, if there is one.
pub(crate) fn read(root: &Root, path: &str) -> Option<Vec<u8>> {
    let file =
        rustix::fs::openat(root.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// Deletes a file.
pub(crate) fn delete(root: &Root, path: &str) {
    rustix::fs::unlinkat(root.as_fd(), path, AtFlags::empty()).unwrap();
}

/// What `stat` says of the root directory itself.
pub(crate) fn facts(root: &Root) -> Stat {
    rustix::fs::fstat(root.as_fd()).unwrap()
}
