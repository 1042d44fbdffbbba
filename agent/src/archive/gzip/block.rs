//! Packs one block on its own.
//!
//! Pure: the same block and the same bytes before it always give the same.

use std::io;
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Input bytes of a block. Larger ones pack no better; smaller ones lose more at their borders.
pub(super) const BLOCK_BYTES: usize = 128 * 1024;
/// How far back deflate can refer.
const WINDOW_BYTES: usize = 32 * 1024;
/// Room that is always enough for the few bytes a flush adds.
const SPARE_BYTES: usize = 1024;

/// A block to pack.
pub(super) struct Job {
    /// The block before it.
    pub(super) previous: Option<Arc<Vec<u8>>>,
    pub(super) block: Arc<Vec<u8>>,
    /// Is it the member's last?
    pub(super) last: bool,
}

/// A packed block.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// Of the block alone.
    pub(super) checksum: crc32fast::Hasher,
    pub(super) plain_bytes: u64,
}

/// Packs blocks at one level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packer {
    level: Compression,
}

impl Packer {
    pub(super) fn new(level: u32) -> Self {
        Self { level: Compression::new(level) }
    }

    /// With a compressor of its own: one that was only reset still remembers enough of its last block to choose
    /// other matches (seen with zlib-rs 0.6.8), and the bytes would depend on which thread packed what.
    pub(super) fn pack(self, job: &Job) -> io::Result<Packed> {
        let mut compress = Compress::new(self.level, false);
        if let Some(previous) = &job.previous {
            let start = previous.len().saturating_sub(WINDOW_BYTES);
            compress.set_dictionary(previous.get(start..).unwrap_or_default())?;
        }
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&job.block);
        let bytes = deflate(&mut compress, &job.block, job.last)?;
        let plain_bytes = u64::try_from(job.block.len()).unwrap_or(u64::MAX);
        Ok(Packed { bytes, checksum, plain_bytes })
    }
}

fn deflate(compress: &mut Compress, input: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut output = Vec::with_capacity(input.len() / 2 + SPARE_BYTES);
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = input.get(done..).unwrap_or_default();
        let status = compress.compress_vec(rest, &mut output, flush)?;
        // A flush is complete when it left room unused, the end when it is told.
        let flushed = !last && output.len() < output.capacity();
        if flushed || matches!(status, Status::StreamEnd) {
            return Ok(output);
        }
        output.reserve(input.len() / 2 + SPARE_BYTES);
    }
}
