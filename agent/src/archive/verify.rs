//! Reads a whole archive back: sizes, checksums, gzip and tar structure, number of entries.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::Sha256;

use super::manifest::ArchiveLine;
use super::member::Member;
use super::seal::line_on_disk;
use super::tally::{Tally, hex};
use super::tar_read::{Limits, TarReader};
use super::{ArchiveError, Watch};

const BUFFER_BYTES: usize = 128 * 1024;

/// Is the finished archive `line` in `dir` whole and readable to its end, and just what its line says? One that was
/// sealed, and only `line` does not say so yet, is compared with the line of its sealing.
///
/// # Errors
/// [`ArchiveError::Damaged`] and others, all naming the archive.
pub fn verify(dir: &Path, line: &ArchiveLine, watch: &Watch) -> Result<(), ArchiveError> {
    match line_on_disk(dir, line).and_then(|line| read_back(dir, &line, watch)) {
        Err(_) if watch.is_cancelled() => Err(ArchiveError::Cancelled),
        outcome => outcome,
    }
}

/// Is round `number` (from 1) of the archive `line` in `dir`, finished or not, on disk just as it was written?
///
/// # Errors
/// As [`verify`].
pub fn verify_round(dir: &Path, line: &ArchiveLine, number: u32, watch: &Watch) -> Result<(), ArchiveError> {
    let mut member = Member::open(dir, line, number, watch)?;
    while member.next()?.is_some() {}
    Ok(())
}

fn read_back(dir: &Path, line: &ArchiveLine, watch: &Watch) -> Result<(), ArchiveError> {
    let archive = line.path(dir);
    let file = File::open(&archive).map_err(ArchiveError::host("open", &archive))?;
    let packed = Tally::new(watch.reading(file), Sha256::default());
    let plain = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, packed));
    let mut tar = TarReader::new(Tally::new(plain, Sha256::default()), Limits::default());
    let mut entries: u64 = 0;
    while tar.next().map_err(ArchiveError::tar(&archive))?.is_some() {
        watch.entry()?;
        entries = entries.saturating_add(1);
    }
    let mut plain = tar.into_inner();
    let rest = io::copy(&mut plain, &mut io::sink()).map_err(ArchiveError::host("read", &archive))?;
    let (plain, _, tar_sha256) = plain.into_parts();
    let mut packed = plain.into_inner();
    io::copy(&mut packed, &mut io::sink()).map_err(ArchiveError::host("read", &archive))?;
    let (_, bytes, sha256) = packed.into_inner().into_parts();
    let damaged = |detail| Err(ArchiveError::Damaged { archive: archive.clone(), detail });
    if bytes != line.bytes {
        return damaged("its size is wrong");
    }
    if hex(sha256) != line.sha256 {
        return damaged("its checksum is wrong");
    }
    if hex(tar_sha256) != line.tar_sha256 || rest > 0 {
        return damaged("what is packed in it has the wrong checksum");
    }
    if entries != line.entries.saturating_add(line.superseded) {
        return damaged("it holds another number of entries than it should");
    }
    Ok(())
}
