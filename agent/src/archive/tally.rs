//! Writers and readers that count and digest what passes through them.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

/// Counts and digests bytes on their way to or from `inner`.
pub(super) struct Tally<T> {
    pub(super) inner: T,
    pub(super) bytes: u64,
    digest: Sha256,
    /// One that goes on from earlier bytes.
    longer: Option<Sha256>,
}

impl<T> Tally<T> {
    /// `digest`: a new one, or one that goes on from earlier bytes.
    pub(super) fn new(inner: T, digest: Sha256) -> Self {
        Self { inner, bytes: 0, digest, longer: None }
    }

    /// A new digest, and beside it `before` going on. Of nothing before, both are the same and made once.
    pub(super) fn beside(inner: T, before: &Sha256, bytes_before: u64) -> Self {
        let longer = (bytes_before > 0).then(|| before.clone());
        Self { inner, bytes: 0, digest: Sha256::default(), longer }
    }

    /// As [`Tally::into_parts`], for both digests of [`Tally::beside`]: the new one, then the longer one.
    pub(super) fn into_both(self) -> (T, u64, Sha256, Sha256) {
        let longer = self.longer.unwrap_or_else(|| self.digest.clone());
        (self.inner, self.bytes, self.digest, longer)
    }

    /// What was behind it; how many bytes passed; the digest.
    pub(super) fn into_parts(self) -> (T, u64, Sha256) {
        (self.inner, self.bytes, self.digest)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        if let Some(longer) = &mut self.longer {
            longer.update(bytes);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.count(buf.get(..written).unwrap_or(buf));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.count(buf.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Refuses bytes beyond a limit, and remembers that it did.
pub(super) struct Limited<W> {
    pub(super) inner: W,
    left: Option<u64>,
    exceeded: Arc<AtomicBool>,
}

impl<W> Limited<W> {
    /// `left`: how many bytes may still come; `None` is no limit.
    pub(super) fn new(inner: W, left: Option<u64>) -> (Self, Arc<AtomicBool>) {
        let exceeded = Arc::new(AtomicBool::new(false));
        (Self { inner, left, exceeded: Arc::clone(&exceeded) }, exceeded)
    }
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let wanted = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        if self.left.is_some_and(|left| wanted > left) {
            self.exceeded.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the limit of the archive's size is reached"));
        }
        let written = self.inner.write(buf)?;
        let taken = u64::try_from(written).unwrap_or(u64::MAX);
        self.left = self.left.map(|left| left.saturating_sub(taken));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A digest as it is written in manifests.
pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
