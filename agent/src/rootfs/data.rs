//! The bytes of regular files with their holes: where data is, reading only that, writing only that.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::fs_kind::FsKind;
use super::stat::Stat;
use crate::archive::entry::{DataMap, SEGMENTS_MAX, Segment};

/// How much is moved at once.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;

/// Holes are looked for in units of this when the file system does not tell them.
const PAGE_BYTES: usize = 4096;

/// Which bytes of `file` are data. A file without holes is [`DataMap::Whole`]; beyond [`SEGMENTS_MAX`] stretches
/// the rest counts as data. That may take as long as reading the file: once `is_cancelled` says so it ends with an
/// error.
pub(crate) fn map(file: &File, stat: &Stat, is_cancelled: &dyn Fn() -> bool) -> io::Result<DataMap> {
    if stat.size == 0 || stat.blocks.saturating_mul(512) >= stat.size {
        return Ok(DataMap::Whole);
    }
    let segments = match told_by_kernel(file, stat.size, is_cancelled)? {
        Some(segments) => segments,
        None => found_by_reading(file, stat.size, is_cancelled)?,
    };
    Ok(match segments.as_slice() {
        [only] if only.offset == 0 && only.len == stat.size => DataMap::Whole,
        _ => DataMap::Sparse(segments),
    })
}

/// The stretches of data as the file system knows them. `None`: it does not. FUSE answers that all is data when
/// the program behind it (fuse-overlayfs) was never asked.
fn told_by_kernel(
    file: &File,
    size: u64,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<Option<Vec<Segment>>> {
    let mut segments = Vec::new();
    let mut from = 0;
    while from < size {
        check(is_cancelled)?;
        let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let hole = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
            Err(Errno::NXIO) => size,
            other => other?.min(size),
        };
        from = add_stretch(&mut segments, start, hole, size).max(from.saturating_add(1));
    }
    let all_data = matches!(segments.as_slice(), [only] if only.offset == 0 && only.len == size);
    Ok(if all_data && FsKind::of(file.as_fd())? == FsKind::Fuse { None } else { Some(segments) })
}

/// The stretches that are not zeros. Reads the file once more than needed, which only happens to files with holes
/// on file systems that do not tell them.
fn found_by_reading(file: &File, size: u64, is_cancelled: &dyn Fn() -> bool) -> io::Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut offset = 0;
    while offset < size {
        check(is_cancelled)?;
        let read = file.read_at(&mut block, offset)?;
        if read == 0 {
            break;
        }
        for page in block.get(..read).unwrap_or_default().chunks(PAGE_BYTES) {
            let end = offset.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX)).min(size);
            if page.iter().any(|byte| *byte != 0) {
                let adjoining =
                    segments.last_mut().filter(|last| last.offset.saturating_add(last.len) == offset);
                if let Some(last) = adjoining {
                    last.len = end - last.offset;
                } else if add_stretch(&mut segments, offset, end, size) == size {
                    return Ok(segments);
                }
            }
            offset = end;
        }
    }
    Ok(segments)
}

fn check(is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    if is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
}

/// Adds a stretch, or everything that is left if it is the last one allowed; says where it ends.
fn add_stretch(segments: &mut Vec<Segment>, start: u64, end: u64, size: u64) -> u64 {
    let end = if segments.len() + 1 >= SEGMENTS_MAX { size } else { end };
    if end > start {
        segments.push(Segment { offset: start, len: end - start });
    }
    end
}

/// Reads the stored bytes of a file: its stretches of data, one after the other.
pub(crate) struct StoredBytes<'a> {
    file: &'a File,
    segments: std::vec::IntoIter<Segment>,
    current: Segment,
}

impl<'a> StoredBytes<'a> {
    pub(crate) fn new(file: &'a File, size: u64, data: &DataMap) -> Self {
        Self { file, segments: stretches(size, data).into_iter(), current: Segment { offset: 0, len: 0 } }
    }
}

impl Read for StoredBytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.len == 0 {
            match self.segments.next() {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
        let wanted = usize::try_from(self.current.len).unwrap_or(usize::MAX).min(buf.len());
        let read = self.file.read_at(buf.get_mut(..wanted).unwrap_or_default(), self.current.offset)?;
        let advanced = u64::try_from(read).unwrap_or(u64::MAX);
        self.current.offset = self.current.offset.saturating_add(advanced);
        self.current.len = self.current.len.saturating_sub(advanced);
        Ok(read)
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(crate) enum CopyFailed {
    Reading(io::Error),
    Writing(io::Error),
}

/// Fills a new, empty file from its stored bytes; what is not stored becomes a hole.
pub(crate) fn write(file: &File, size: u64, data: &DataMap, stored: &mut dyn Read) -> Result<(), CopyFailed> {
    let mut block = vec![0; BLOCK_BYTES];
    for mut segment in stretches(size, data) {
        while segment.len > 0 {
            let wanted = usize::try_from(segment.len).unwrap_or(usize::MAX).min(block.len());
            let part = block.get_mut(..wanted).unwrap_or_default();
            stored.read_exact(part).map_err(CopyFailed::Reading)?;
            file.write_all_at(part, segment.offset).map_err(CopyFailed::Writing)?;
            let moved = u64::try_from(wanted).unwrap_or(u64::MAX);
            segment.offset = segment.offset.saturating_add(moved);
            segment.len = segment.len.saturating_sub(moved);
        }
    }
    file.set_len(size).map_err(CopyFailed::Writing)
}

fn stretches(size: u64, data: &DataMap) -> Vec<Segment> {
    match data {
        DataMap::Whole => vec![Segment { offset: 0, len: size }],
        DataMap::Sparse(segments) => segments.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(stretches: &[(u64, &[u8])], size: u64) -> File {
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        for (offset, bytes) in stretches {
            file.write_all_at(bytes, *offset).unwrap();
        }
        file.set_len(size).unwrap();
        file
    }

    #[test]
    fn reading_finds_the_holes_the_kernel_would_tell() {
        let page = vec![1; PAGE_BYTES];
        let long = vec![2; 3 * BLOCK_BYTES];
        for (stretches, size) in [
            (vec![], 1 << 20),
            (vec![(0, page.as_slice())], 1 << 20),
            (vec![(1 << 20, page.as_slice())], (1 << 20) + 4096),
            (vec![(8192, page.as_slice()), (16384, page.as_slice()), (1 << 20, long.as_slice())], 5 << 20),
        ] {
            let file = file_with(&stretches, size);
            let told = told_by_kernel(&file, size, &|| false).unwrap().unwrap();
            assert_eq!(found_by_reading(&file, size, &|| false).unwrap(), told, "{stretches:?}");
            assert_eq!(told.len(), stretches.len());
        }
    }

    #[test]
    fn what_is_stored_makes_the_same_file_again() {
        let file = file_with(&[(100, b"one"), (1 << 20, b"two")], 3 << 20);
        let stat = Stat::of_fd(file.as_fd()).unwrap();
        let map = map(&file, &stat, &|| false).unwrap();
        assert!(matches!(&map, DataMap::Sparse(segments) if segments.len() == 2), "{map:?}");
        let copy = tempfile::tempfile_in("/var/tmp").unwrap();
        write(&copy, stat.size, &map, &mut StoredBytes::new(&file, stat.size, &map)).unwrap();
        let mut bytes = [vec![0; 3 << 20], vec![0; 3 << 20]];
        file.read_exact_at(&mut bytes[0], 0).unwrap();
        copy.read_exact_at(&mut bytes[1], 0).unwrap();
        assert!(bytes[0] == bytes[1]);
        assert_eq!(Stat::of_fd(copy.as_fd()).unwrap().blocks, stat.blocks);
    }

    #[test]
    fn looking_for_holes_ends_when_it_is_cancelled() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let polls = std::cell::Cell::new(0);
        let is_cancelled = || polls.replace(polls.get() + 1) >= 3;
        assert!(found_by_reading(&file, 1 << 40, &is_cancelled).is_err());
        assert!(told_by_kernel(&file, 1 << 40, &|| true).is_err());
    }
}
