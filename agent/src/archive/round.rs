//! What a round is asked to do, and what it says it did. Plain data.

use super::selection::Skipped;

/// How an archive is packed, and how large it may get.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// 0 to 9, as for gzip.
    pub level: u32,
    /// Packing threads.
    pub threads: usize,
    /// Most names in it; 0 is no limit.
    pub entries_max: u64,
    /// Most bytes of the file; 0 is no limit.
    pub archive_bytes_max: u64,
}

/// Does anybody still write to the root?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundKind {
    /// Yes: what cannot be read now is tried again later.
    Live,
    /// No: the container is stopped. What cannot be read is an error.
    Final,
}

/// What a round did.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// Names the archive stands for now.
    pub names: u64,
    /// Entries written: what changed and the directories around it.
    pub written: u64,
    /// Of these, what changed or is new.
    pub changed: u64,
    /// Bytes of contents written, unpacked.
    pub bytes: u64,
    /// Names that vanished since the round before.
    pub deleted: u64,
    /// Names whose copy from an earlier round is still good.
    pub unchanged: u64,
    /// Names that must be looked at again: changed so recently that a further change might not show, unreadable,
    /// changed while being read, or on a file system that is not trusted.
    pub hot: u64,
    /// The first of what was left out.
    pub skipped: Vec<Skipped>,
    /// How much was left out.
    pub skipped_count: u64,
    /// How long it took.
    pub duration_ms: u64,
}
