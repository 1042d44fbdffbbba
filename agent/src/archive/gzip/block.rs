//! Packs one block on its own, as a gzip member.
//!
//! Pure: the same block at the same level always gives the same.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// Input bytes of a block. Twice as many save 0.3 % of the size; half as many cost 0.5 %.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// libdeflate's level for each of gzip's: about the quickest whose output is not larger than gzip's at that level, as
/// measured on a tree of programs, libraries and texts (`make bench` prints the size beside the speed).
const LEVELS: [i32; 10] = [0, 1, 2, 2, 3, 5, 5, 6, 7, 9];

/// A block on its way through a packer and back. Both buffers keep their memory.
#[derive(Default)]
pub(super) struct Block {
    pub(super) plain: Vec<u8>,
    pub(super) packed: Vec<u8>,
}

/// Packs blocks at one level.
pub(super) struct Packer(Compressor);

impl Packer {
    pub(super) fn new(level: u32) -> Self {
        let level = usize::try_from(level).ok().and_then(|level| LEVELS.get(level)).copied();
        let level = level.and_then(|level| CompressionLvl::new(level).ok());
        Self(Compressor::new(level.unwrap_or_default()))
    }

    /// Fills `block.packed` from `block.plain`. Nothing is remembered from one block to the next.
    pub(super) fn pack(&mut self, block: &mut Block) -> io::Result<()> {
        let room = self.0.gzip_compress_bound(block.plain.len());
        block.packed.resize(room, 0);
        let packed = self.0.gzip_compress(&block.plain, &mut block.packed);
        block.packed.truncate(packed.map_err(io::Error::other)?);
        Ok(())
    }
}
