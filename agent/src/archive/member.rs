//! One round read back: some gzip members of an archive, its entries, and the proof that all of it was there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Chain, Read, Repeat, Seek, SeekFrom, Take};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::Sha256;

use super::entry::Entry;
use super::manifest::{ArchiveLine, RoundLine};
use super::tally::{Tally, hex};
use super::tar_read::{Limits, TarReader};
use super::{ArchiveError, Watch};

/// The two zero blocks that end a tar stream; a round has none.
const END_BYTES: u64 = 1024;
const BUFFER_BYTES: usize = 128 * 1024;

type Packed = BufReader<Tally<Take<File>>>;
type Plain = Chain<MultiGzDecoder<Packed>, Take<Repeat>>;

/// A round being read.
pub(super) struct Member<'a> {
    tar: Option<TarReader<Plain>>,
    archive: PathBuf,
    expected: RoundLine,
    entries: u64,
    watch: &'a Watch,
}

impl<'a> Member<'a> {
    /// Opens round `number` (from 1) of an archive in `dir`.
    pub(super) fn open(
        dir: &Path,
        line: &ArchiveLine,
        number: u32,
        watch: &'a Watch,
    ) -> Result<Self, ArchiveError> {
        let position = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let expected = position.and_then(|position| line.rounds.get(position)).cloned();
        let no_such_round = || ArchiveError::NoSuchRound { stem: line.stem.clone(), round: number };
        let expected = expected.ok_or_else(no_such_round)?;
        let archive = line.path(dir);
        let mut file = File::open(&archive).map_err(ArchiveError::host("open", &archive))?;
        file.seek(SeekFrom::Start(expected.offset)).map_err(ArchiveError::host("read", &archive))?;
        let packed = Tally::new(file.take(expected.bytes), Sha256::default());
        let plain = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, packed));
        let tar = TarReader::new(plain.chain(io::repeat(0).take(END_BYTES)), Limits::default());
        Ok(Self { tar: Some(tar), archive, expected, entries: 0, watch })
    }

    /// The next entry; at the end, everything is checked against the manifest's line before `None` comes.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.watch.entry()?;
        let Some(tar) = &mut self.tar else { return Ok(None) };
        match tar.next().map_err(ArchiveError::tar(&self.archive))? {
            Some(entry) => {
                self.entries = self.entries.saturating_add(1);
                Ok(Some(entry))
            }
            None => self.check_end().map(|()| None),
        }
    }

    fn check_end(&mut self) -> Result<(), ArchiveError> {
        let Some(tar) = self.tar.take() else { return Ok(()) };
        let (mut plain, _) = tar.into_inner().into_inner();
        let read = ArchiveError::host("read", &self.archive);
        let rest = match io::copy(&mut plain, &mut io::sink()) {
            Ok(rest) => rest,
            Err(error) => return Err(read(error)),
        };
        let mut packed = plain.into_inner();
        io::copy(&mut packed, &mut io::sink()).map_err(ArchiveError::host("read", &self.archive))?;
        let (_, bytes, sha256) = packed.into_inner().into_parts();
        let damaged = |detail| Err(ArchiveError::Damaged { archive: self.archive.clone(), detail });
        if bytes != self.expected.bytes {
            return damaged("it is too short");
        }
        if hex(sha256) != self.expected.sha256 {
            return damaged("its checksum is wrong");
        }
        if rest > 0 || self.entries != self.expected.entries {
            return damaged("it holds another number of entries than it should");
        }
        Ok(())
    }
}

impl Read for Member<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.tar {
            Some(tar) => tar.read(buf),
            None => Ok(0),
        }
    }
}

/// A new, empty file for root's eyes only; a leftover is emptied.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}
