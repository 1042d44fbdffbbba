//! Writes gzip on several threads.
//!
//! The input is cut into blocks of 256 KiB and each becomes a gzip member of its own. Members one after another are
//! one gzip file to every reader that follows RFC 1952: GNU gzip and tar, bsdtar, pigz, Python, Go. The same bytes
//! come out whatever the number of threads and however the input was chopped into writes.
//! Must never hold more than a few blocks per thread, and never wait for a thread when it is dropped.
//!
//! Form: RFC 1952 (gzip), RFC 1951 (deflate).

mod block;
mod pool;

use std::io::{self, Write};

use block::{BLOCK_BYTES, Block};
use pool::Pool;

/// Gzip members being written to `W`.
pub struct GzipWriter<W: Write> {
    inner: W,
    pool: Pool,
    /// The block being filled.
    block: Block,
    /// Blocks that are written, to be filled again: memory that is warm costs nothing.
    spare: Vec<Block>,
    started: bool,
    failed: bool,
}

impl<W: Write> GzipWriter<W> {
    /// Packs at `level` (0 to 9) on `threads` threads; with one, in the caller's own.
    pub fn new(inner: W, level: u32, threads: usize) -> Self {
        let (pool, block) = (Pool::new(level.min(9), threads), Block::default());
        Self { inner, pool, block, spare: Vec::new(), started: false, failed: false }
    }

    /// Packs what is left, an empty member if nothing was written, and gives back the output, not flushed.
    ///
    /// # Errors
    /// The output's own, also if an earlier write met it.
    pub fn finish(mut self) -> io::Result<W> {
        self.unless_failed(|writer| {
            if !writer.block.plain.is_empty() || !writer.started {
                writer.pack_block()?;
            }
            while let Some(packed) = writer.pool.next_packed()? {
                writer.put(packed)?;
            }
            Ok(())
        })?;
        let Self { inner, pool, .. } = self;
        pool.join();
        Ok(inner)
    }

    /// Hands the block to the pool, and writes what the pool has ready once its queues are full.
    fn pack_block(&mut self) -> io::Result<()> {
        self.started = true;
        while self.pool.is_full() {
            if let Some(packed) = self.pool.next_packed()? {
                self.put(packed)?;
            }
        }
        let next = self.spare.pop().unwrap_or_default();
        let block = std::mem::replace(&mut self.block, next);
        self.pool.submit(block)
    }

    fn put(&mut self, mut block: Block) -> io::Result<()> {
        self.inner.write_all(&block.packed)?;
        block.plain.clear();
        self.spare.push(block);
        Ok(())
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
            if writer.block.plain.len() >= BLOCK_BYTES && !bytes.is_empty() {
                writer.pack_block()?;
            }
            let room = BLOCK_BYTES.saturating_sub(writer.block.plain.len());
            let taken = bytes.get(..room).unwrap_or(bytes);
            writer.block.plain.extend_from_slice(taken);
            Ok(taken.len())
        })
    }

    /// Flushes the output only. What is still being gathered stays: cutting a block here would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed(|writer| writer.inner.flush())
    }
}

#[cfg(test)]
mod tests;
