//! Writes a tar stream that GNU tar, bsdtar and Python read alike: ustar headers, and a PAX extended header only
//! where ustar cannot say something exactly.
//!
//! Flows in: entries and the bytes of their files. Flows out: whole 512-byte blocks. Must never write half an
//! entry and go on: a file that shrinks while it is read is filled up with zeros, one that grows is cut. Must
//! never write an entry the reader with default limits would refuse.

mod head;

use std::io::{self, Read, Write};

use super::entry::Entry;
use super::sparse::Piece;
pub use super::tar_error::TarError;

/// Bytes of a tar block.
const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;
const BUFFER_BYTES: usize = 64 * 1024;

/// What became of an entry's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// All of it is in the archive.
    Whole,
    /// The source ended early (the file was cut while it was read); the rest stands as zeros.
    Short {
        /// How many bytes are zeros.
        missing: u64,
    },
}

/// A tar stream being written to `W`.
pub struct TarWriter<W: Write> {
    inner: W,
    buffer: Vec<u8>,
    broken: bool,
}

impl<W: Write> TarWriter<W> {
    /// Begins, or goes on with, a stream; nothing is written yet.
    pub fn new(inner: W) -> Self {
        Self { inner, buffer: vec![0; BUFFER_BYTES], broken: false }
    }

    /// Writes one entry. `data` gives the stored stretches one after another, [`stored_bytes`] in all; it is not
    /// read for entries without data.
    ///
    /// # Errors
    /// [`TarError::Unfit`] and [`TarError::AttributesTooLarge`]: nothing was written, go on with other entries.
    /// [`TarError::Source`]: the entry is in, filled up with zeros; go on or give up. [`TarError::Output`]: the
    /// stream is lost.
    ///
    /// [`stored_bytes`]: super::entry::EntryKind::stored_bytes
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<Appended, TarError> {
        if self.broken {
            return Err(TarError::AlreadyBroken);
        }
        let head = head::of(entry)?;
        self.broken = true;
        let copied = self.inner.write_all(&head.blocks).and_then(|()| self.copy(&head.pieces, data));
        let (missing, failure) =
            copied.map_err(|source| TarError::Output { path: entry.path.clone(), source })?;
        self.broken = false;
        match (missing, failure) {
            (missing, Some(source)) => Err(TarError::Source { path: entry.path.clone(), missing, source }),
            (0, None) => Ok(Appended::Whole),
            (missing, None) => Ok(Appended::Short { missing }),
        }
    }

    /// Ends the stream with the two zero blocks.
    ///
    /// # Errors
    /// [`TarError::Finish`], or [`TarError::AlreadyBroken`] after a lost write: a broken stream gets no end.
    pub fn finish(mut self) -> Result<W, TarError> {
        if self.broken {
            return Err(TarError::AlreadyBroken);
        }
        self.inner.write_all(&[0; 2 * BLOCK]).map_err(TarError::Finish)?;
        Ok(self.inner)
    }

    /// Gives back the output without an end: another writer goes on with the same stream later.
    pub fn into_inner_unterminated(self) -> W {
        self.inner
    }

    /// Writes all pieces and the padding. Gives how many bytes of data were missing, and why if the source failed.
    fn copy(&mut self, pieces: &[Piece], data: &mut dyn Read) -> io::Result<(u64, Option<io::Error>)> {
        let mut missing = 0;
        let mut failure = None;
        let mut written: u64 = 0;
        for piece in pieces {
            // Once it has ended, a source is not asked again: what came then would stand in the wrong place.
            let rest = if missing > 0 { piece.data } else { self.copy_some(piece.data, data, &mut failure)? };
            missing += rest;
            self.zeros(rest + piece.zeros)?;
            written += piece.data + piece.zeros;
        }
        self.zeros(written.wrapping_neg() % BLOCK_BYTES)?;
        Ok((missing, failure))
    }

    /// Copies `bytes` bytes, or fewer if the source ends; gives how many are missing.
    fn copy_some(
        &mut self,
        bytes: u64,
        data: &mut dyn Read,
        failure: &mut Option<io::Error>,
    ) -> io::Result<u64> {
        let mut rest = bytes;
        while rest > 0 {
            let want = usize::try_from(rest).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            let room = self.buffer.get_mut(..want).unwrap_or_default();
            match data.read(room) {
                Ok(0) => break,
                Ok(got) => {
                    let bytes = room.get(..got).ok_or_else(|| io::Error::other("a source gave too much"))?;
                    self.inner.write_all(bytes)?;
                    rest = rest.saturating_sub(u64::try_from(got).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *failure = Some(error);
                    break;
                }
            }
        }
        Ok(rest)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), &mut self.inner).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
