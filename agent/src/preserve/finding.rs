//! What is worth telling somebody about a redeploy.conf: one vocabulary for the parser and for those who can look
//! into the container.
//!
//! Flows in: kinds, line numbers, raw text of a file users write. Flows out: sentences that are safe to print.
//! Must never grow without limit, and never carry a control character to a terminal or a log.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::sentence;

/// How many findings are kept; the rest is only counted.
pub const FINDINGS_MAX: usize = 1_000;

/// How much of a line a finding shows, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// How much a finding matters. None of them stops a redeploy; a file that is too long does, because reading it from a
/// container fails ([`crate::rootfs::RootError::TooLarge`]) and only `check-conf` sees this finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// A line does not do what its writer probably wanted.
    Warning,
    /// An unknown number of lines is not honoured.
    Error,
}

/// One remark about one line, or about the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Line of redeploy.conf, from 1; `None` for a remark on the whole file or on a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The path, or the line where it yields none: escaped, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it is about.
    #[serde(flatten)]
    pub kind: FindingKind,
}

/// Everything that can be remarked. The names are part of the JSON form and frozen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FindingKind {
    /// The file is larger than [`super::CONF_BYTES_MAX`].
    TooLong,
    /// More different paths than [`super::ENTRIES_MAX`].
    TooManyEntries,
    /// More findings than [`FINDINGS_MAX`].
    MoreFindings {
        /// How many are not shown.
        count: u64,
    },
    /// Does not begin with `/`.
    Relative,
    /// Listed before.
    Duplicate {
        /// Where.
        first_line: u32,
    },
    /// Inside a directory that is kept as a whole.
    AlreadyKept {
        /// That directory.
        by: String,
    },
    /// `backup:` of something that is kept, so that there is nothing to back up.
    KeptAndBackup {
        /// The kept path.
        by: String,
    },
    /// The directory is kept, except one part that belongs to the image.
    PartlyExcluded {
        /// That part.
        excluded: String,
    },
    /// `${home}`, and the image's user has no known home.
    UnknownHome,
    /// `${home}`, and the home of the image's user is `/`.
    HomeIsRoot,
    /// A `$…` other than a leading `${home}`, or a leading `~`.
    Variable,
    /// Holds `..`.
    Climbs,
    /// Holds a NUL byte.
    Nul,
    /// Longer than the kernel takes.
    PathTooLong,
    /// The root of the container.
    Root,
    /// Made by the engine for every container.
    EngineOwned,
    /// `backup:` and nothing after it.
    BackupWithoutPath,
    /// May be two lines in one.
    LooksGlued,
    /// May have a comment after the path.
    LooksCommented,
    /// Holds `*` or `?`.
    Wildcard,
    /// Nothing there. Only found by looking.
    Missing,
    /// `backup:` of a directory. Only found by looking, except for `/`.
    BackupIsDirectory,
    /// On a volume whose data stays anyway. Only found by looking.
    InsideVolume {
        /// Mount point of the volume.
        volume: String,
    },
    /// A socket, pipe or device. Only found by looking.
    SpecialFile,
    /// A symbolic link. Only found by looking.
    Symlink,
}

impl FindingKind {
    /// How much findings of this kind matter.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::TooLong | Self::TooManyEntries => Severity::Error,
            Self::MoreFindings { .. }
            | Self::Duplicate { .. }
            | Self::AlreadyKept { .. }
            | Self::PartlyExcluded { .. }
            | Self::InsideVolume { .. } => Severity::Info,
            Self::Relative
            | Self::KeptAndBackup { .. }
            | Self::UnknownHome
            | Self::HomeIsRoot
            | Self::Variable
            | Self::Climbs
            | Self::Nul
            | Self::PathTooLong
            | Self::Root
            | Self::EngineOwned
            | Self::BackupWithoutPath
            | Self::LooksGlued
            | Self::LooksCommented
            | Self::Wildcard
            | Self::Missing
            | Self::BackupIsDirectory
            | Self::SpecialFile
            | Self::Symlink => Severity::Warning,
        }
    }
}

impl Finding {
    /// A remark with the kind's own severity on a path, or on the text of a line.
    #[must_use]
    pub fn new(kind: FindingKind, line: Option<u32>, path: &[u8]) -> Self {
        Self { severity: kind.severity(), line, path: Some(shown(path)), kind }
    }

    /// A remark on the whole file.
    #[must_use]
    pub fn on_file(kind: FindingKind) -> Self {
        Self { severity: kind.severity(), line: None, path: None, kind }
    }
}

/// `bytes` as printable ASCII, cut to what a person reads.
pub(super) fn shown(bytes: &[u8]) -> String {
    let escaped = bytes
        .get(..SHOWN_CHARS_MAX + 1)
        .unwrap_or(bytes)
        .escape_ascii()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"");
    if escaped.len() <= SHOWN_CHARS_MAX {
        return escaped;
    }
    escaped.chars().take(SHOWN_CHARS_MAX - 1).chain(['…']).collect()
}

// === impl Finding: words ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// `line 3: warning: what it is, what comes of it, what to do.`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let Some(path) = &self.path {
            write!(f, "\"{path}\": ")?;
        }
        f.write_str(&sentence(&self.kind))
    }
}
