//! How much a selection holds, before anything is archived. Only looks.

use super::walk::{Step, Walk};
use super::{ArchiveError, Selection, Watch};
use crate::rootfs::{FileKind, Root};

/// What a selection holds now. A live tree may hold more a moment later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Bytes of file contents. Names that share a file count each, holes do not.
    pub bytes: u64,
    /// Names.
    pub entries: u64,
}

/// Bytes in one of `stat`'s blocks (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Adds up what `selection` names in `root`. What cannot be looked at is left out.
///
/// # Errors
/// [`ArchiveError`]
pub fn measure(root: &Root, selection: &Selection, watch: &Watch) -> Result<Measured, ArchiveError> {
    let mut walk = Walk::new(root, selection, watch);
    let mut sum = Measured::default();
    while let Some(step) = walk.next()? {
        let Step::Found(found) = step else { continue };
        sum.entries = sum.entries.saturating_add(1);
        if found.stat.kind == FileKind::File {
            let on_disk = found.stat.blocks.saturating_mul(BLOCK_BYTES);
            sum.bytes = sum.bytes.saturating_add(found.stat.size.min(on_disk));
        }
    }
    Ok(sum)
}
