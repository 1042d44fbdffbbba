//! The manifest: one line per archive, kept beside them. Versioned, strict, limited in size.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::selection::{Selection, Skipped};
use crate::durable::{self, DurableError};

/// The form of the manifest on disk; a file of another version is refused.
pub const MANIFEST_VERSION: u32 = 1;
/// No manifest of ours comes near: a line is bounded, and so is the number of archives of one node.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// All archives of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`]
    pub version: u32,
    /// One line each.
    pub archives: Vec<ArchiveLine>,
}

/// What is known about one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveLine {
    /// What all its files' names begin with.
    pub stem: String,
    /// The archive's own name in the same directory.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Of the file.
    pub sha256: String,
    /// Of the unpacked tar stream: stays the same if it is packed anew by a newer packer.
    pub tar_sha256: String,
    /// Names it restores.
    pub entries: u64,
    /// Older copies it holds besides those.
    pub superseded: u64,
    /// Names it held that had vanished by the last round.
    pub deleted: u64,
    /// Its rounds, in order.
    pub rounds: Vec<RoundLine>,
    /// Rewritten, or found to need no rewriting: plain `tar xzf` restores it exactly.
    pub sealed: bool,
    /// The packing level, for sealing.
    pub level: u32,
    /// The root's label.
    pub source: String,
    /// What was asked for.
    pub selection: Selection,
    /// The first of what was left out.
    pub skipped: Vec<Skipped>,
    /// How much was left out.
    pub skipped_count: u64,
}

/// One round: one gzip member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundLine {
    /// Where the member begins in the file.
    pub offset: u64,
    /// Its packed size.
    pub bytes: u64,
    /// Of the member.
    pub sha256: String,
    /// Entries in it.
    pub entries: u64,
    /// Names that had vanished.
    pub deleted: u64,
}

/// The manifest could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file refuses.
    #[error("cannot read the manifest {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No manifest is that large.
    #[error("the manifest {path} is larger than {bytes_max} bytes: it is not ours", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What is allowed.
        bytes_max: u64,
    },
    /// Not the JSON we write.
    #[error("the manifest {path} cannot be understood: restore it from a copy", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version of the agent.
    #[error("the manifest {path} has version {version}, this agent reads {MANIFEST_VERSION}", path = path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// It could not be written.
    #[error("the manifest was not stored")]
    Store(#[from] DurableError),
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: MANIFEST_VERSION, archives: Vec::new() }
    }
}

impl Manifest {
    /// The line of the archive `stem`.
    #[must_use]
    pub fn archive(&self, stem: &str) -> Option<&ArchiveLine> {
        self.archives.iter().find(|line| line.stem == stem)
    }

    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// [`ManifestError`]; a missing file is [`ManifestError::Read`] with kind `NotFound`.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let read = |source| ManifestError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(read)?;
        file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(read)?;
        if u64::try_from(bytes.len()).map_or(true, |len| len > MANIFEST_BYTES_MAX) {
            return Err(ManifestError::TooLarge { path: path.to_owned(), bytes_max: MANIFEST_BYTES_MAX });
        }
        Self::parse(&bytes, path)
    }

    /// Understands a manifest's bytes. `path` is for errors.
    ///
    /// # Errors
    /// [`ManifestError::Parse`], [`ManifestError::Version`]
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, ManifestError> {
        let parse = |source| ManifestError::Parse { path: path.to_owned(), source };
        let version = serde_json::from_slice::<VersionOnly>(bytes).map_err(parse)?.version;
        if version != MANIFEST_VERSION {
            return Err(ManifestError::Version { path: path.to_owned(), version });
        }
        serde_json::from_slice(bytes).map_err(parse)
    }

    /// Writes it to `path`, all or nothing.
    ///
    /// # Errors
    /// [`ManifestError`]
    pub fn store(&self, path: &Path) -> Result<(), ManifestError> {
        let parse = |source| ManifestError::Parse { path: path.to_owned(), source };
        let bytes = serde_json::to_vec_pretty(self).map_err(parse)?;
        Ok(durable::write(path, &bytes)?)
    }
}

impl ArchiveLine {
    /// Where the archive is.
    #[must_use]
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(&self.file)
    }
}

/// The version first: the rest of another version need not be understood.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}
