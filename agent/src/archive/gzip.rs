//! Writes one standard gzip member on several threads.
//!
//! The input is cut into blocks of 128 KiB; each is packed on its own, primed with the 32 KiB before it, and
//! ends on a byte border, so the packed blocks stand one after another and any gunzip reads them as one.
//! The same bytes come out whatever the number of threads and however the input was chopped into writes.
//! Must never hold more than a few blocks per thread, and never wait for a thread when it is dropped.
//!
//! Form: RFC 1952 (gzip), RFC 1951 (deflate).

mod block;
mod pool;

use std::io::{self, Write};
use std::sync::Arc;

use block::{BLOCK_BYTES, Job, Packed};
use pool::Pool;

/// Magic, deflate, no flags, no time, no hints, unknown system: nothing in it depends on where it was written.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A gzip member being written to `W`.
pub struct GzipWriter<W: Write> {
    inner: W,
    pool: Pool,
    /// The block being filled. A full one waits until it is known whether it is the last.
    block: Vec<u8>,
    /// The block before, for priming.
    previous: Option<Arc<Vec<u8>>>,
    trailer: Trailer,
    started: bool,
    failed: bool,
}

/// What the member's end says about all of the input.
#[derive(Default)]
struct Trailer {
    checksum: crc32fast::Hasher,
    bytes: u64,
}

impl<W: Write> GzipWriter<W> {
    /// Packs at `level` (0 to 9) on `threads` threads; with one, in the caller's own.
    pub fn new(inner: W, level: u32, threads: usize) -> Self {
        Self {
            inner,
            pool: Pool::new(level.min(9), threads),
            block: Vec::with_capacity(BLOCK_BYTES),
            previous: None,
            trailer: Trailer::default(),
            started: false,
            failed: false,
        }
    }

    /// Packs what is left, writes the trailer and gives back the output, not flushed.
    ///
    /// # Errors
    /// The output's own, also if an earlier write met it.
    pub fn finish(mut self) -> io::Result<W> {
        self.unless_failed(|writer| {
            writer.pack_block(true)?;
            while let Some(packed) = writer.pool.next_packed()? {
                writer.put(&packed)?;
            }
            let trailer = std::mem::take(&mut writer.trailer);
            writer.inner.write_all(&trailer.bytes())
        })?;
        let Self { inner, pool, .. } = self;
        pool.join();
        Ok(inner)
    }

    /// Hands the block to the pool, and writes what the pool has ready once its queues are full.
    fn pack_block(&mut self, last: bool) -> io::Result<()> {
        while self.pool.is_full() {
            if let Some(packed) = self.pool.next_packed()? {
                self.put(&packed)?;
            }
        }
        let block = Arc::new(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES)));
        let previous = self.previous.replace(Arc::clone(&block));
        self.pool.submit(Job { previous, block, last })
    }

    fn put(&mut self, packed: &Packed) -> io::Result<()> {
        if !self.started {
            self.inner.write_all(&HEADER)?;
            self.started = true;
        }
        self.trailer.add(packed);
        self.inner.write_all(&packed.bytes)
    }

    /// After a failed write bytes are missing from the output: whatever is tried next must fail too.
    fn unless_failed<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(io::Error::other("an earlier write to this gzip file failed"));
        }
        self.failed = true;
        let done = work(self)?;
        self.failed = false;
        Ok(done)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_failed(|writer| {
            if writer.block.len() >= BLOCK_BYTES && !bytes.is_empty() {
                writer.pack_block(false)?;
            }
            let room = BLOCK_BYTES.saturating_sub(writer.block.len());
            let taken = bytes.get(..room).unwrap_or(bytes);
            writer.block.extend(taken);
            Ok(taken.len())
        })
    }

    /// Flushes the output only. What is still being gathered stays: cutting a block here would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed(|writer| writer.inner.flush())
    }
}

impl Trailer {
    fn add(&mut self, packed: &Packed) {
        self.checksum.combine(&packed.checksum);
        self.bytes = self.bytes.wrapping_add(packed.plain_bytes);
    }

    /// Checksum, then the size modulo 2³².
    fn bytes(self) -> [u8; 8] {
        let [c0, c1, c2, c3] = self.checksum.finalize().to_le_bytes();
        let [s0, s1, s2, s3, ..] = self.bytes.to_le_bytes();
        [c0, c1, c2, c3, s0, s1, s2, s3]
    }
}

#[cfg(test)]
mod tests;
