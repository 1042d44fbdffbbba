//! Makes an archive of several rounds an ordinary one: only the current copies, in the order of a walk.
//!
//! What is written, in this order: the new file beside the old one, synced and read back; its line beside it
//! (`STEM.sealed.json`); the new file renamed over the old one; by the caller, the line into the manifest; by the
//! next sealing, that note removed. The rule that holds between any two of these: *the archive is the old one, which
//! the manifest's line describes, or the new one, which the note describes until the manifest does.* So
//! [`verify`](super::verify()) and [`put_back`](super::put_back()) take whichever line the manifest has, and look at
//! the note if that is the old one. A sealing that was interrupted is finished, or begun anew, by the next one.
//!
//! The index stays, untouched: its round numbers mean something only to the old line, a sealed archive has
//! everything in its one round. Must never remove an index or write it anew: it goes when the archive goes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::current::CurrentCopies;
use super::files::{sealed_line_path_of, sealing_name};
use super::gzip::GzipWriter;
use super::manifest::{ArchiveLine, RoundLine};
use super::member::create_private;
use super::note;
use super::rebuild::settled_index;
use super::tally::{Tally, hex};
use super::tar_write::TarWriter;
use super::verify::verify;
use super::{ArchiveError, Watch};
use crate::durable;

const PACKING_THREADS_MAX: usize = 4;

/// Seals the finished archive `line` in `dir` and gives its new line; store that. Sealed already is success, and
/// tidies up: a line that says so must be stored before it is given here.
///
/// # Errors
/// [`ArchiveError`]; the archive is as it was.
pub fn seal(dir: &Path, line: &ArchiveLine, watch: &Watch) -> Result<ArchiveLine, ArchiveError> {
    let fresh = dir.join(sealing_name(&line.stem));
    let on_disk = line_on_disk(dir, line)?;
    let sealed = if on_disk.sealed {
        on_disk
    } else if let Some(rounds) = plain_already(line) {
        // Whoever puts back from a sealed archive believes its index.
        settled_index(dir, line, watch)?;
        ArchiveLine { sealed: true, rounds, ..on_disk }
    } else {
        let sealed = rewrite(dir, line, watch)?;
        note::store(&sealed_line_path_of(dir, &line.stem), &sealed)?;
        durable::rename(&fresh, &sealed.path(dir))?;
        return Ok(sealed);
    };
    durable::remove_file(&fresh)?;
    if line.sealed {
        durable::remove_file(&sealed_line_path_of(dir, &line.stem))?;
    }
    Ok(sealed)
}

/// The line of the archive as it lies in `dir`: that of its sealing, if only the manifest has not heard of it.
pub(super) fn line_on_disk(dir: &Path, line: &ArchiveLine) -> Result<ArchiveLine, ArchiveError> {
    if line.sealed {
        return Ok(line.clone());
    }
    match note::load(&sealed_line_path_of(dir, &line.stem), dir, &line.stem) {
        Some(sealed) if digest_of(&sealed.path(dir))? == sealed.sha256 => Ok(sealed),
        Some(_) | None => Ok(line.clone()),
    }
}

/// The one round of an archive that needs no rewriting: nothing in it is out of date, and nothing is elsewhere.
fn plain_already(line: &ArchiveLine) -> Option<Vec<RoundLine>> {
    let mut full = line.rounds.iter().filter(|round| round.entries > 0);
    let only = full.next().or(line.rounds.first());
    let plain = line.superseded == 0 && line.deleted == 0 && full.next().is_none();
    plain.then(|| only.cloned().into_iter().collect())
}

fn rewrite(dir: &Path, line: &ArchiveLine, watch: &Watch) -> Result<ArchiveLine, ArchiveError> {
    settled_index(dir, line, watch)?;
    let path = dir.join(sealing_name(&line.stem));
    let file = create_private(&path).map_err(ArchiveError::host("create", &path))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(PACKING_THREADS_MAX);
    let gzip = GzipWriter::new(Tally::new(&file, Sha256::default()), line.level, threads);
    let mut tar = TarWriter::new(Tally::new(gzip, Sha256::default()));
    let mut copies = CurrentCopies::open(dir, line, watch)?;
    let mut entries: u64 = 0;
    while let Some((_, entry, data)) = copies.next()? {
        tar.append(&entry, &mut watch.reading(data)).map_err(|error| {
            if watch.is_cancelled() { ArchiveError::Cancelled } else { ArchiveError::tar(&path)(error) }
        })?;
        entries = entries.saturating_add(1);
    }
    let (gzip, _, tar_sha256) = tar.finish().map_err(ArchiveError::tar(&path))?.into_parts();
    let output = gzip.finish().map_err(ArchiveError::host("write", &path))?;
    let (_, bytes, sha256) = output.into_parts();
    let (sha256, tar_sha256) = (hex(sha256), hex(tar_sha256));
    file.sync_all().map_err(ArchiveError::host("write", &path))?;
    let round = RoundLine { offset: 0, bytes, sha256: sha256.clone(), entries, deleted: 0 };
    let sealed = ArchiveLine {
        bytes,
        sha256,
        tar_sha256,
        entries,
        superseded: 0,
        deleted: 0,
        rounds: vec![round],
        sealed: true,
        ..line.clone()
    };
    verify(dir, &ArchiveLine { file: sealing_name(&line.stem), ..sealed.clone() }, watch)?;
    Ok(sealed)
}

fn digest_of(path: &Path) -> Result<String, ArchiveError> {
    let mut file = File::open(path).map_err(ArchiveError::host("open", path))?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    loop {
        match file.read(&mut block).map_err(ArchiveError::host("read", path))? {
            0 => return Ok(hex(digest)),
            read => digest.update(block.get(..read).unwrap_or_default()),
        }
    }
}
