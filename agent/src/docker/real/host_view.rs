//! Where the engine's host is, seen from this process.
//!
//! On the host itself that is `/`. An agent in a container with the host's PID namespace finds the host's file
//! system through process 1. Must never follow a host path's symlink out of the host's own tree.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};

/// How this process sees the engine's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    root: PathBuf,
}

impl HostView {
    /// Looks whether process 1 lives in our mount namespace. When that cannot be told, we have no other view
    /// than our own.
    #[must_use]
    pub fn detect() -> Self {
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
        match (namespace("1"), namespace("self")) {
            (Some(host), Some(own)) if host != own => Self::at("/proc/1/root"),
            _ => Self::at("/"),
        }
    }

    /// A view with the host's file system at `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where to find a path of the host. For opening directories prefer [`HostView::open_dir`], which also
    /// gets absolute symlinks right.
    #[must_use]
    pub fn path(&self, host: &Path) -> PathBuf {
        self.root.join(host.strip_prefix("/").unwrap_or(host))
    }

    /// Opens a directory of the host; symlinks in its path mean what they mean there.
    ///
    /// # Errors
    /// As the kernel says; `NotFound` when there is no such directory.
    pub fn open_dir(&self, host: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.root, flags, Mode::empty())?;
        let relative = host.strip_prefix("/").unwrap_or(host);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        Ok(rustix::io::retry_on_intr(|| {
            rustix::fs::openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        })?)
    }

    /// Opens `/proc/PID` of a process of the host. What is opened stays that process's, also after its end.
    pub(in crate::docker) fn open_process(&self, pid: i64) -> io::Result<OwnedFd> {
        let path = self.path(Path::new("/proc")).join(pid.to_string());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Opens the root directory of a process of the host.
    pub(in crate::docker) fn open_process_root(&self, pid: i64) -> io::Result<OwnedFd> {
        let path = self.path(Path::new("/proc")).join(pid.to_string()).join("root");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }
}

/// Is this directory the root of a mount (and not merely a directory where one would be)?
pub(in crate::docker) fn is_mount_root(directory: &OwnedFd) -> io::Result<bool> {
    let facts =
        rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE)?;
    if facts.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(facts.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    // Kernels before 5.8 do not tell; another device than the parent's is then the sign.
    let parent = rustix::fs::statat(directory, "..", AtFlags::empty())?;
    Ok(rustix::fs::fstat(directory)?.st_dev != parent.st_dev)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_lie_under_the_views_root() {
        assert_eq!(HostView::at("/").path(Path::new("/var/lib")), Path::new("/var/lib"));
        assert_eq!(HostView::at("/proc/1/root").path(Path::new("/var")), Path::new("/proc/1/root/var"));
    }

    #[test]
    fn an_absolute_symlink_of_the_host_stays_on_the_host() {
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(host.path().join("run/docker/inner")).unwrap();
        std::os::unix::fs::symlink("/run", host.path().join("link")).unwrap();
        let view = HostView::at(host.path());
        let opened = view.open_dir(Path::new("/link/docker")).unwrap();
        assert!(rustix::fs::statat(&opened, "inner", AtFlags::empty()).is_ok());
        let climbed = view.open_dir(Path::new("/../../run/docker")).unwrap();
        assert!(rustix::fs::statat(&climbed, "inner", AtFlags::empty()).is_ok());
    }

    #[test]
    fn a_plain_directory_is_no_mount_root_and_proc_is_one() {
        let plain = tempfile::tempdir().unwrap();
        let view = HostView::at("/");
        assert!(!is_mount_root(&view.open_dir(plain.path()).unwrap()).unwrap());
        assert!(is_mount_root(&view.open_dir(Path::new("/proc")).unwrap()).unwrap());
    }
}
