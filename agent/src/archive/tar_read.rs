//! Reads a tar stream, our own or a stranger's, one entry after another, and believes nothing in it.
//!
//! Flows in: bytes of an unpacked archive. Flows out: entries whose names are valid inside a container, and their
//! data. Must never hold more in memory than [`Limits`] allow, whatever a header claims, and never guess where an
//! entry ends: where two readers could disagree about that, the archive is refused.
//!
//! Understood: ustar, PAX (`x` and `g`), PAX sparse 1.0, GNU long names. A checksum of a surrounding gzip is only
//! checked by reading that to its end: see [`TarReader::into_inner`].

mod build;
mod header;

use std::io::{self, Read};

use super::entry::{Entry, SEGMENTS_MAX};
use super::pax::{self, Records};
pub use super::tar_error::TarError;
use crate::guest_path::PATH_BYTES_MAX;
use build::Extra;
use header::Header;

/// The default limit for extended headers.
pub const PAX_BYTES_MAX: u64 = 1024 * 1024;
const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;

type Block = [u8; BLOCK];

/// What a reader is ready to hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one entry's extended header, and of all global ones together.
    pub pax_bytes_max: u64,
    /// Bytes of a GNU long name, with its final NUL.
    pub name_bytes_max: u64,
    /// Stretches of data in a sparse file.
    pub segments_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let name_bytes_max = u64::try_from(PATH_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
        Self { pax_bytes_max: PAX_BYTES_MAX, name_bytes_max, segments_max: SEGMENTS_MAX }
    }
}

/// A tar stream being read from `R`. As [`Read`] it gives the stored data of the entry that [`next`] gave last.
///
/// [`next`]: TarReader::next
pub struct TarReader<R: Read> {
    input: R,
    limits: Limits,
    /// Bytes taken from the input.
    offset: u64,
    /// Data of the current entry not yet read.
    rest: u64,
    /// What pads that data to a full block.
    padding: u64,
    globals: Records,
    globals_bytes: u64,
    state: State,
}

/// ```text
/// Reading ──two zero blocks──▶ Ended ──read_past_end──▶ PastEnd ──entry──▶ Reading
///    └─────an error that ends reading──▶ Broken
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    /// Zero blocks and the end of the input are nothing special here.
    PastEnd,
    Broken,
}

impl<R: Read> TarReader<R> {
    /// Nothing is read yet.
    pub fn new(input: R, limits: Limits) -> Self {
        let globals = Records::new();
        Self {
            input,
            limits,
            offset: 0,
            rest: 0,
            padding: 0,
            globals,
            globals_bytes: 0,
            state: State::Reading,
        }
    }

    /// The next entry, past what was not read of this one's data; `None` after the end marker.
    ///
    /// # Errors
    /// Where [`TarError::ends_reading`] says no, the entry at hand is lost and the one after it can be read. After
    /// the others every call gives [`TarError::AlreadyBroken`].
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend the entry's data")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        match self.state {
            State::Broken => return Err(TarError::AlreadyBroken),
            State::Ended => return Ok(None),
            State::Reading | State::PastEnd => {}
        }
        let outcome = self.skip_data().and_then(|()| self.read_entry());
        match &outcome {
            Ok(Some(_)) => self.state = State::Reading,
            Ok(None) => self.state = State::Ended,
            Err(error) if error.ends_reading() => self.state = State::Broken,
            Err(_) => self.state = State::Reading,
        }
        outcome
    }

    /// After the end marker: lets [`next`](Self::next) look for another archive right behind it.
    pub fn read_past_end(&mut self) {
        if self.state == State::Ended {
            self.state = State::PastEnd;
        }
    }

    /// Bytes of the unpacked stream taken so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The input, right behind what was read. Read it to its end to have a gzip's checksum checked.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Headers up to and including the one of an entry.
    fn read_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extra = Extra::default();
        loop {
            let offset = self.offset;
            let Some(block) = self.header_block(extra.is_empty())? else { return Ok(None) };
            let header = Header::parse(&block).map_err(|detail| TarError::Header { offset, detail })?;
            match header.type_flag {
                b'x' => extra.set_records(self.records(&header)?, offset)?,
                b'g' => self.add_globals(&header)?,
                b'L' => extra.name = Some(self.long_name(&header)?),
                b'K' => extra.link = Some(self.long_name(&header)?),
                _ => return self.build(header, extra, offset).map(Some),
            }
        }
    }

    /// The next block that is not an end marker; `None` at the end. `end_allowed` unless an extended header waits
    /// for its entry.
    fn header_block(&mut self, end_allowed: bool) -> Result<Option<Block>, TarError> {
        const LONE: &str = "a header is missing";
        loop {
            let offset = self.offset;
            let Some(block) = self.block()? else {
                let past_end = self.state == State::PastEnd && end_allowed;
                return if past_end { Ok(None) } else { Err(TarError::Truncated { offset }) };
            };
            if block != [0; BLOCK] {
                return Ok(Some(block));
            }
            if self.state == State::PastEnd {
                continue;
            }
            match self.block()? {
                None => return Err(TarError::Truncated { offset: self.offset }),
                Some(second) if second == [0; BLOCK] && end_allowed => return Ok(None),
                Some(_) => return Err(TarError::Header { offset, detail: LONE }),
            }
        }
    }

    fn records(&mut self, header: &Header) -> Result<Records, TarError> {
        let offset = self.offset;
        let mut records = Records::new();
        let bytes = self.body("extended header", header.size, self.limits.pax_bytes_max)?;
        pax::parse(&bytes, &mut records).map_err(|detail| TarError::Pax { offset, detail })?;
        Ok(records)
    }

    fn add_globals(&mut self, header: &Header) -> Result<(), TarError> {
        let offset = self.offset;
        let left = self.limits.pax_bytes_max.saturating_sub(self.globals_bytes);
        let bytes = self.body("global extended headers", header.size, left)?;
        // A header of its own costs at least a block, so that endless empty ones meet the limit too.
        self.globals_bytes = self.globals_bytes.saturating_add(header.size).saturating_add(BLOCK_BYTES);
        pax::parse(&bytes, &mut self.globals).map_err(|detail| TarError::Pax { offset, detail })
    }

    /// A GNU long name: the name, with or without a final NUL.
    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut name = self.body("long name", header.size, self.limits.name_bytes_max)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// The data of a header that describes another. Grows with what is there, not with what is claimed.
    fn body(&mut self, what: &'static str, bytes: u64, max: u64) -> Result<Vec<u8>, TarError> {
        let offset = self.offset;
        if bytes > max {
            return Err(TarError::TooLarge { offset, what, bytes, max });
        }
        self.expect_data(bytes);
        let mut body = Vec::new();
        let source = (&mut *self).take(bytes).read_to_end(&mut body);
        source.map_err(|source| self.input_error(source))?;
        self.skip_data()?;
        Ok(body)
    }

    /// What follows is `bytes` of data.
    fn expect_data(&mut self, bytes: u64) {
        self.rest = bytes;
        self.padding = bytes.wrapping_neg() % BLOCK_BYTES;
    }

    fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        self.rest = self.rest.saturating_add(std::mem::take(&mut self.padding));
        let skipped = io::copy(&mut *self, &mut io::sink());
        skipped.map(|_| ()).map_err(|source| self.input_error(source))
    }

    /// A whole block, or nothing at the very end of the input.
    fn block(&mut self) -> Result<Option<Block>, TarError> {
        let mut block = [0; BLOCK];
        let [first, others @ ..] = &mut block;
        let got = loop {
            match self.input.read(std::slice::from_mut(first)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(|source| self.input_error(source))?,
            }
        };
        if got == 0 {
            return Ok(None);
        }
        self.offset = self.offset.saturating_add(1);
        self.rest = BLOCK_BYTES - 1;
        let read = self.read_exact(others);
        read.map_err(|source| self.input_error(source))?;
        Ok(Some(block))
    }

    /// Tells an input that stopped from one that failed.
    fn input_error(&mut self, source: io::Error) -> TarError {
        self.state = State::Broken;
        if source.kind() == io::ErrorKind::UnexpectedEof {
            TarError::Truncated { offset: self.offset }
        } else {
            TarError::Input { offset: self.offset, source }
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    /// An input that stops inside an entry is an error here, and from then on.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.rest).unwrap_or(usize::MAX).min(buf.len());
        if room == 0 {
            return Ok(0);
        }
        let got = self.input.read(buf.get_mut(..room).unwrap_or_default())?;
        if got == 0 {
            self.state = State::Broken;
            let detail = TarError::Truncated { offset: self.offset };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
        }
        let got = got.min(room);
        let bytes = u64::try_from(got).unwrap_or(u64::MAX);
        self.rest = self.rest.saturating_sub(bytes);
        self.offset = self.offset.saturating_add(bytes);
        Ok(got)
    }
}

#[cfg(test)]
mod tests;
