//! What can go wrong at a root, in words an operator can act on. Must never carry contents of files.

use std::io;
use std::path::PathBuf;

use crate::guest_path::GuestPath;

/// Something in a container's root or a volume could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The root itself cannot be opened.
    #[error("cannot open {path}: check that the container or volume still exists", path = path.display())]
    Open {
        /// The host's path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A handle that was given is not a directory, or cannot be opened once more.
    #[error("cannot open the directory of {label}: check that it is one, and the limit of open files")]
    NotADirectory {
        /// Which root.
        label: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot {action} {path} in {label}")]
    Access {
        /// What was tried.
        action: &'static str,
        /// Which root.
        label: String,
        /// Where in it.
        path: GuestPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Only regular files can be taken here.
    #[error("{path} in {label} is not a regular file: name a file")]
    NotAFile {
        /// Which root.
        label: String,
        /// Where in it.
        path: GuestPath,
    },
    /// Larger than the caller is ready to hold.
    #[error("{path} in {label} is larger than {bytes_max} bytes: make it smaller")]
    TooLarge {
        /// Which root.
        label: String,
        /// Where in it.
        path: GuestPath,
        /// What is allowed.
        bytes_max: u64,
    },
    /// The limit of open files stays as it was.
    #[error("cannot raise the limit of open files from {soft} to {hard}: raise it in the service's settings")]
    OpenFiles {
        /// What is in force.
        soft: u64,
        /// What this process may ask for.
        hard: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}
