//! What can go wrong with archives, in words an operator can act on.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::tar_error::TarError;
use crate::durable::DurableError;
use crate::guest_path::GuestPath;
use crate::rootfs::RootError;

/// An archive could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Somebody asked to stop. What was there before is still there.
    #[error("stopped as asked")]
    Cancelled,
    /// No room for what is being written.
    #[error("the disk is full at {place}: make room and run it again")]
    DiskFull {
        /// Host file, or root and path.
        place: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The root itself is in the way.
    #[error("the root cannot be used")]
    Root(#[from] RootError),
    /// Something in the root cannot be read or written.
    #[error("cannot {action} {path} in {root}")]
    Access {
        /// What was tried.
        action: &'static str,
        /// The root's label.
        root: String,
        /// Where in it.
        path: GuestPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of ours on the host refuses.
    #[error("cannot {action} {path}: check the disk it is on", path = path.display())]
    Host {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A durable write did not happen.
    #[error("the archive's directory cannot be written")]
    Durable(#[from] DurableError),
    /// The tar stream of an archive cannot be written or read.
    #[error("the archive {archive} cannot be used", archive = archive.display())]
    Tar {
        /// Which archive.
        archive: PathBuf,
        /// Why.
        #[source]
        source: TarError,
    },
    /// An archive is not what its line in the manifest says.
    #[error("the archive {archive} is damaged: {detail}; do not use it", archive = archive.display())]
    Damaged {
        /// Which archive.
        archive: PathBuf,
        /// How we know.
        detail: &'static str,
    },
    /// A sidecar file of an archive is damaged.
    #[error("{path} is damaged: capture again", path = path.display())]
    Sidecar {
        /// Which file.
        path: PathBuf,
    },
    /// The archive has no such round.
    #[error("the archive {stem} has no round {round}")]
    NoSuchRound {
        /// Which archive.
        stem: String,
        /// What was asked for.
        round: u32,
    },
    /// More rounds than an archive may have.
    #[error("the archive {stem} has {rounds_max} rounds already: stop the container and make the last one")]
    TooManyRounds {
        /// Which archive.
        stem: String,
        /// What is allowed.
        rounds_max: usize,
    },
    /// More entries than allowed.
    #[error("{root} holds more than {entries_max} entries to keep: raise the limit, or keep less")]
    TooManyEntries {
        /// The root's label.
        root: String,
        /// What is allowed.
        entries_max: u64,
    },
    /// The archive would get larger than allowed.
    #[error("the archive {archive} would take more than {bytes_max} bytes: raise the limit, or keep less",
        archive = archive.display())]
    ArchiveTooLarge {
        /// Which archive.
        archive: PathBuf,
        /// What is allowed.
        bytes_max: u64,
    },
    /// Directories nested deeper than we follow, or names longer than any path can be.
    #[error("what is below {path} in {root} is nested too deep to be kept: make it flatter, or leave it out")]
    TooDeep {
        /// The root's label.
        root: String,
        /// The deepest directory still reached.
        path: GuestPath,
    },
    /// A finished archive is in the way.
    #[error("{path} is there already: finished archives are not replaced", path = path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A stem that is no plain file name.
    #[error("{0:?} cannot name an archive: use letters, digits, '.', '_' and '-'")]
    BadStem(String),
}

impl ArchiveError {
    /// Is it the disk that ran full?
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// About a host file of ours.
    pub(super) fn host(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            if is_full(&source) {
                Self::DiskFull { place: path.display().to_string(), source }
            } else {
                Self::Host { action, path, source }
            }
        }
    }

    /// About something inside a root.
    pub(super) fn guest(
        action: &'static str,
        root: &str,
        path: &GuestPath,
    ) -> impl FnOnce(Errno) -> Self + use<> {
        let access = Self::guest_io(action, root, path);
        move |source| access(source.into())
    }

    /// As [`ArchiveError::guest`], for errors of the standard library.
    pub(super) fn guest_io(
        action: &'static str,
        root: &str,
        path: &GuestPath,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let (root, path) = (root.to_owned(), path.clone());
        move |source| {
            if is_full(&source) {
                Self::DiskFull { place: format!("{path} in {root}"), source }
            } else {
                Self::Access { action, root, path, source }
            }
        }
    }

    /// About an archive's tar stream.
    pub(super) fn tar(archive: &Path) -> impl FnOnce(TarError) -> Self + use<> {
        let archive = archive.to_owned();
        move |source| {
            if let TarError::Output { source: cause, .. } | TarError::Finish(cause) = &source
                && is_full(cause)
            {
                let place = archive.display().to_string();
                return Self::DiskFull { place, source: io::Error::from(cause.kind()) };
            }
            Self::Tar { archive, source }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
