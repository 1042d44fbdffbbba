//! Archives: what is kept of a container's root or of a volume, as ordinary `.tar.gz` files on the host.
//!
//! Flows in: directory handles (`rootfs::Root`) and a selection of paths. Flows out: archive files, their
//! line in the manifest, and restored trees. Must never resolve a path by itself (that is `rootfs`), and
//! never hold more of a file in memory than a block.
//!
//! Life of an archive: `Capture::begin` ▸ `round` while the container runs, as often as it pays ▸ a last
//! `round` after it stopped ▸ `finish` (manifest line) ▸ `verify` ▸ after the commit `seal`.
//! Each round appends gzip members; an on-disk index says what is already in and how it looked. `apply` puts
//! one round into another root, `put_back` restores a volume to what was captured.
//!
//! Files of an archive `STEM` in its directory:
//!
//! | name | what |
//! |---|---|
//! | `STEM.tar.gz.part`, `STEM.tar.gz` | the archive, before and after `finish` |
//! | `STEM.index` | what is in it, which round holds the current copy, how the file looked then |
//! | `STEM.deleted-N` | the names that had vanished when round N was made |
//! | `STEM.wanted` | during `put_back`: the names to be restored |
//! | `STEM.sealed.json`, `STEM.tar.gz.sealing` | a sealing under way (see `seal`) |
//! | `STEM.line.json` | the line of an archive that no manifest has: what `put_back` kept aside |
//!
//! The index stays as long as the archive: a revert puts back from a sealed archive, days later.

mod acl;
pub mod apply;
pub mod capture;
mod clock;
mod current;
pub mod entry;
mod error;
mod files;
mod frames;
pub mod gzip;
pub mod image_names;
mod index;
mod links;
pub mod manifest;
mod measure;
mod member;
mod note;
mod pack;
mod pax;
mod place;
pub mod put_back;
mod rebuild;
pub mod round;
pub mod seal;
pub mod selection;
mod sparse;
mod tally;
mod tar_error;
pub mod tar_read;
pub mod tar_write;
pub mod verify;
mod walk;
mod watch;

pub use apply::{Applied, ApplyMode, apply};
pub use capture::Capture;
pub use error::ArchiveError;
pub use image_names::ImageNames;
pub use manifest::{ArchiveLine, Manifest, ManifestError, RoundLine};
pub use measure::{Measured, measure};
pub use put_back::{Aside, PutBack, put_back};
pub use round::{PackOptions, Round, RoundKind};
pub use seal::seal;
pub use selection::{Selection, SkipReason, Skipped};
pub use tar_error::TarError;
pub use verify::{verify, verify_round};
pub use watch::Watch;

#[cfg(test)]
mod tests;
