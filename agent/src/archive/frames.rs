//! Sidecar files: checked frames in a row, written and read as a stream.
//!
//! Form: the magic, then frames of length (u32 LE), CRC-32 of the body (u32 LE), body; an empty body ends the
//! file. Numbers in bodies are little-endian. Must never believe a length before it was checked.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ArchiveError;
use crate::durable;

/// Two paths and some numbers; more is no frame of ours.
const FRAME_BYTES_MAX: usize = 16 * 1024;
const MAGIC_BYTES: usize = 8;
const BUFFER_BYTES: usize = 64 * 1024;

/// A sidecar being written beside its final name.
pub(super) struct FrameWriter {
    file: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
    offset: u64,
}

impl FrameWriter {
    pub(super) fn create(path: &Path, magic: [u8; MAGIC_BYTES]) -> Result<Self, ArchiveError> {
        let part = path.with_added_extension("part");
        let file = super::member::create_private(&part).map_err(ArchiveError::host("create", &part))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            part,
            path: path.to_owned(),
            offset: 0,
        };
        writer.bytes(&magic)?;
        Ok(writer)
    }

    pub(super) fn frame(&mut self, body: &[u8]) -> Result<(), ArchiveError> {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.bytes(&len.to_le_bytes())?;
        self.bytes(&crc32fast::hash(body).to_le_bytes())?;
        self.bytes(body)
    }

    /// Where the next frame will begin.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Ends it and puts it under its name, replacing an older one.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        let (file, part, path) = self.end()?;
        file.sync_all().map_err(ArchiveError::host("write", &part))?;
        Ok(durable::rename(&part, &path)?)
    }

    /// As [`FrameWriter::finish`], but a power cut may leave the older one, or none, or a damaged one: only for what
    /// its readers then recognise and can do without.
    pub(super) fn finish_unsynced(self) -> Result<(), ArchiveError> {
        let (_, part, path) = self.end()?;
        Ok(durable::rename_unsynced(&part, &path)?)
    }

    fn end(mut self) -> Result<(File, PathBuf, PathBuf), ArchiveError> {
        self.frame(&[])?;
        let Self { file, part, path, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        Ok((file.map_err(ArchiveError::host("write", &part))?, part, path))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.file.write_all(bytes).map_err(ArchiveError::host("write", &self.part))
    }
}

/// A sidecar being read.
pub(super) struct FrameReader {
    file: BufReader<File>,
    path: PathBuf,
    body: Vec<u8>,
    ended: bool,
}

impl FrameReader {
    pub(super) fn open(path: &Path, magic: [u8; MAGIC_BYTES]) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(ArchiveError::host("open", path))?;
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut reader = Self { file, path: path.to_owned(), body: Vec::new(), ended: false };
        let mut found = [0; MAGIC_BYTES];
        reader.fill(&mut found)?;
        if found == magic { Ok(reader) } else { Err(reader.damaged()) }
    }

    /// The next frame's body; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        let (mut len, mut checksum) = ([0; 4], [0; 4]);
        self.fill(&mut len)?;
        self.fill(&mut checksum)?;
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > FRAME_BYTES_MAX {
            return Err(self.damaged());
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(len, 0);
        self.fill(&mut body)?;
        if crc32fast::hash(&body) != u32::from_le_bytes(checksum) {
            return Err(self.damaged());
        }
        self.body = body;
        self.ended = len == 0;
        Ok(if self.ended { None } else { Some(&self.body) })
    }

    /// Goes on at a frame that begins at `offset`.
    pub(super) fn seek(&mut self, offset: u64) -> Result<(), ArchiveError> {
        self.ended = false;
        let moved = self.file.seek(SeekFrom::Start(offset));
        moved.map(|_| ()).map_err(ArchiveError::host("read", &self.path))
    }

    pub(super) fn damaged(&self) -> ArchiveError {
        ArchiveError::Sidecar { path: self.path.clone() }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), ArchiveError> {
        self.file.read_exact(buf).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                return self.damaged();
            }
            ArchiveError::host("read", &self.path)(error)
        })
    }
}

/// Puts numbers and byte strings into a body.
#[derive(Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.extend(len.to_le_bytes());
        self.0.extend(text.iter().take(len.into()));
    }
}

/// Takes them out again; `None` when the body is too short.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(u16::from_le_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}
