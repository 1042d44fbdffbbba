//! How far a long copy is, and the order to stop it: shared by the one who works and the one who watches.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::ArchiveError;

/// Progress and cancellation of one archive operation. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct Watch {
    bytes: AtomicU64,
    files: AtomicU64,
    cancelled: AtomicBool,
}

impl Watch {
    /// Nothing done yet, nobody wants to stop.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of file contents moved so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Entries looked at or moved so far.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Asks the operation to stop at its next block or entry; it ends with [`ArchiveError::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Was it asked to stop?
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// One more entry; the place where every loop finds out that it is to stop.
    pub(super) fn entry(&self) -> Result<(), ArchiveError> {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    /// Is it to stop?
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        if self.is_cancelled() { Err(ArchiveError::Cancelled) } else { Ok(()) }
    }

    /// Counts what is read through it, and stops reading on cancellation.
    pub(super) fn reading<R: Read>(&self, inner: R) -> Watched<'_, R> {
        Watched { inner, watch: self }
    }
}

/// See [`Watch::reading`].
pub(super) struct Watched<'a, R> {
    inner: R,
    watch: &'a Watch,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let read = self.inner.read(buf)?;
        self.watch.bytes.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(read)
    }
}
