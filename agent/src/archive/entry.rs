//! One thing in an archive: its name, what it is, and everything the kernel keeps about it.
//!
//! Flows in: what `rootfs` saw, or what the tar reader parsed. Flows out: the same, to the tar writer or to
//! `rootfs`. Plain data; must never open or read anything.

use crate::guest_path::GuestPath;

/// Most stretches of data a sparse file may be described with; a file with more is stored by its caller with
/// small holes closed, or as [`DataMap::Whole`]. Bounds memory on both sides (16 bytes each).
pub const SEGMENTS_MAX: usize = 262_144;

/// One entry. The path `/` is the root directory itself; it stands in archives as `./`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: GuestPath,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, mode, time, extended attributes.
    pub meta: Metadata,
}

/// What can be kept. Sockets and devices cannot: the first mean nothing without their process, the second are
/// the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Length in bytes, holes included.
        size: u64,
        /// Which of these bytes are stored.
        data: DataMap,
    },
    /// A symbolic link.
    Symlink {
        /// Its text, as it is.
        target: Vec<u8>,
    },
    /// Another name of a file that stands earlier in the archive.
    Hardlink {
        /// That earlier name.
        target: GuestPath,
    },
    /// A named pipe.
    Fifo,
}

/// Which bytes of a file are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataMap {
    /// All of them.
    Whole,
    /// Only these stretches, ascending and not overlapping; the rest are holes.
    Sparse(Vec<Segment>),
}

/// A stretch of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

/// What the kernel keeps about a file besides its contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Owner, a number: names mean different things in different containers.
    pub uid: u32,
    /// Group, a number.
    pub gid: u32,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Extended attributes as the kernel names and stores them, `system.posix_acl_*` and
    /// `security.capability` among them. The reader gives them in order of their names.
    pub xattrs: Xattrs,
}

/// Names and values of extended attributes.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A point in time: `secs` + `nanos` / 10⁹ seconds since 1970. Half a second before is `-1` and `500_000_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub secs: i64,
    /// Nanoseconds on top, below 10⁹.
    pub nanos: u32,
}

impl EntryKind {
    /// How many bytes of data belong to the entry: what the writer takes from its source, and what the reader
    /// gives. (In the stream the writer fills odd stretches of a sparse file up to whole blocks, with zeros; the
    /// reader then tells of those longer stretches.)
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        match self {
            Self::File { size, data: DataMap::Whole } => *size,
            Self::File { data: DataMap::Sparse(segments), .. } => {
                segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.len))
            }
            Self::Dir | Self::Symlink { .. } | Self::Hardlink { .. } | Self::Fifo => 0,
        }
    }
}

#[cfg(test)]
pub(super) mod arbitrary;
