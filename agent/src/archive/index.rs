//! What is in an archive, as a file beside it: one record per name in `GuestPath` order, so that it can be
//! merged with a walk as a stream, a million names in a few kilobytes of memory.
//!
//! A record says how the file looked *before* it was read, and which round holds its current copy.

use std::path::Path;

use super::ArchiveError;
use super::entry::Timestamp;
use super::frames::{Body, Cursor, FrameReader, FrameWriter};
use crate::guest_path::GuestPath;
use crate::rootfs::{FileKind, Stat};

const MAGIC: [u8; 8] = *b"RDindex1";
const MAGIC_NAMES: [u8; 8] = *b"RDnames1";

const HOT: u8 = 1;
const ON_THE_WAY: u8 = 2;
const LINK: u8 = 4;

const TAG_RECORD: u8 = b'r';
const TAG_END: u8 = b'e';

/// One name in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) path: GuestPath,
    pub(super) kind: FileKind,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) ctime: Timestamp,
    /// The kernel's clock had hardly moved since its last change: a further change might not show.
    pub(super) hot: bool,
    /// Only a parent of an inclusion.
    pub(super) on_the_way: bool,
    /// Stored as another name of this one.
    pub(super) link_to: Option<GuestPath>,
    /// The round with its current copy, from 1.
    pub(super) round: u32,
}

impl Record {
    /// A name of which nobody knows any more how it looked: it looks like nothing.
    pub(super) fn unknown(self) -> Self {
        Self { dev: 0, ino: 0, hot: true, ..self }
    }

    /// Does the file look as it did then? Says nothing about whether looks can be trusted.
    pub(super) fn looks_like(&self, stat: &Stat) -> bool {
        let known = self.ino != 0;
        let looked = (self.kind, self.dev, self.ino, self.size, self.ctime);
        known && looked == (stat.kind, stat.dev, stat.ino, stat.size, stat.ctime)
    }
}

/// An index being written.
pub(super) struct IndexWriter(FrameWriter);

impl IndexWriter {
    pub(super) fn create(path: &Path) -> Result<Self, ArchiveError> {
        FrameWriter::create(path, MAGIC).map(Self)
    }

    pub(super) fn push(&mut self, record: &Record) -> Result<(), ArchiveError> {
        let mut body = Body::default();
        body.byte(TAG_RECORD);
        body.text(record.path.as_bytes());
        body.byte(kind_code(record.kind));
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let link = flag(record.link_to.is_some(), LINK);
        body.byte(flag(record.hot, HOT) | flag(record.on_the_way, ON_THE_WAY) | link);
        for number in [record.dev, record.ino, record.size, record.round.into()] {
            body.number(number);
        }
        push_time(&mut body, record.ctime);
        if let Some(target) = &record.link_to {
            body.text(target.as_bytes());
        }
        self.0.frame(&body.0)
    }

    /// Ends it.
    pub(super) fn finish(mut self, end: End) -> Result<(), ArchiveError> {
        self.0.frame(&end.encode())?;
        self.0.finish()
    }

    /// Ends it without waiting for the disk. After a power cut there may be an older one: `end.rounds` tells.
    pub(super) fn finish_unsynced(mut self, end: End) -> Result<(), ArchiveError> {
        self.0.frame(&end.encode())?;
        self.0.finish_unsynced()
    }
}

/// What an index says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Nothing was written to the root from the walk until this time, so a later write is sure to show in the ctime
    /// of everything changed well before it.
    pub(super) settled: Option<Timestamp>,
    /// How many rounds the archive had then; indexes of earlier versions do not say.
    pub(super) rounds: Option<u64>,
}

impl End {
    pub(super) fn of(rounds: usize, settled: Option<Timestamp>) -> Self {
        Self { settled, rounds: u64::try_from(rounds).ok() }
    }

    fn encode(self) -> Vec<u8> {
        let mut body = Body::default();
        body.byte(TAG_END);
        push_time(&mut body, self.settled.unwrap_or_default());
        body.number(self.rounds.unwrap_or_default());
        body.0
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let settled = take_time(&mut cursor)?;
        let rounds = cursor.number().filter(|rounds| *rounds > 0);
        Some(Self { settled: (settled != Timestamp::default()).then_some(settled), rounds })
    }
}

/// An index being read, one record looked at before it is taken.
pub(super) struct IndexReader {
    frames: FrameReader,
    peeked: Option<Record>,
}

impl IndexReader {
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut reader = Self { frames: FrameReader::open(path, MAGIC)?, peeked: None };
        reader.advance()?;
        Ok(reader)
    }

    /// Takes the next record if it stands before `path`; with `None`, whatever it is.
    pub(super) fn take_before(&mut self, path: Option<&GuestPath>) -> Result<Option<Record>, ArchiveError> {
        match (&self.peeked, path) {
            (Some(record), Some(path)) if record.path >= *path => Ok(None),
            _ => self.advance(),
        }
    }

    /// Takes the next record if it is that of `path`.
    pub(super) fn take_at(&mut self, path: &GuestPath) -> Result<Option<Record>, ArchiveError> {
        if self.peeked.as_ref().is_some_and(|record| record.path == *path) {
            self.advance()
        } else {
            Ok(None)
        }
    }

    /// Gives the record that was looked at and reads the one after it. Records out of order are damage.
    fn advance(&mut self) -> Result<Option<Record>, ArchiveError> {
        let next = match self.frames.next()? {
            None => None,
            Some([TAG_END, ..]) => None,
            Some(body) => match decode(body) {
                Some(record) => Some(record),
                None => return Err(self.frames.damaged()),
            },
        };
        let before = std::mem::replace(&mut self.peeked, next);
        match (&before, &self.peeked) {
            (Some(before), Some(after)) if before.path >= after.path => Err(self.frames.damaged()),
            _ => Ok(before),
        }
    }
}

/// Reads the whole index, which also proves it undamaged, and gives what it says at its end.
pub(super) fn end_of(path: &Path) -> Result<End, ArchiveError> {
    let mut frames = FrameReader::open(path, MAGIC)?;
    let mut end = None;
    while let Some(body) = frames.next()? {
        if let [TAG_END, rest @ ..] = body {
            end = End::decode(rest);
        }
    }
    end.ok_or_else(|| frames.damaged())
}

/// Names in order, nothing else.
pub(super) struct NameWriter(FrameWriter);

impl NameWriter {
    pub(super) fn create(path: &Path) -> Result<Self, ArchiveError> {
        FrameWriter::create(path, MAGIC_NAMES).map(Self)
    }

    pub(super) fn push(&mut self, path: &GuestPath) -> Result<(), ArchiveError> {
        self.0.frame(path.as_bytes())
    }

    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        self.0.finish()
    }
}

/// Such names being read.
pub(super) struct NameReader(FrameReader);

impl NameReader {
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        FrameReader::open(path, MAGIC_NAMES).map(Self)
    }

    pub(super) fn next(&mut self) -> Result<Option<GuestPath>, ArchiveError> {
        let path = match self.0.next()? {
            None => return Ok(None),
            Some(body) => GuestPath::new(body),
        };
        path.map(Some).map_err(|_| self.0.damaged())
    }
}

fn decode(body: &[u8]) -> Option<Record> {
    let mut cursor = Cursor(body);
    if cursor.byte()? != TAG_RECORD {
        return None;
    }
    let path = GuestPath::new(cursor.text()?).ok()?;
    let kind = kind_of(cursor.byte()?)?;
    let flags = cursor.byte()?;
    let (dev, ino, size, round) = (cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?);
    let ctime = take_time(&mut cursor)?;
    let link_to = if flags & LINK == 0 { None } else { Some(GuestPath::new(cursor.text()?).ok()?) };
    let round = u32::try_from(round).ok()?;
    let (hot, on_the_way) = (flags & HOT != 0, flags & ON_THE_WAY != 0);
    Some(Record { path, kind, dev, ino, size, ctime, hot, on_the_way, link_to, round })
}

fn push_time(body: &mut Body, time: Timestamp) {
    body.number(u64::from_le_bytes(time.secs.to_le_bytes()));
    body.number(time.nanos.into());
}

fn take_time(cursor: &mut Cursor<'_>) -> Option<Timestamp> {
    let secs = i64::from_le_bytes(cursor.number()?.to_le_bytes());
    Some(Timestamp { secs, nanos: u32::try_from(cursor.number()?).ok()? })
}

fn kind_code(kind: FileKind) -> u8 {
    match kind {
        FileKind::File => b'f',
        FileKind::Dir => b'd',
        FileKind::Symlink => b'l',
        FileKind::Fifo => b'p',
        FileKind::Socket => b's',
        FileKind::Device => b'b',
    }
}

fn kind_of(code: u8) -> Option<FileKind> {
    match code {
        b'f' => Some(FileKind::File),
        b'd' => Some(FileKind::Dir),
        b'l' => Some(FileKind::Symlink),
        b'p' => Some(FileKind::Fifo),
        _ => None,
    }
}
