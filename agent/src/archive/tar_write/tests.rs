//! What is written here is read back by our own reader; sources and outputs that fail leave what is promised.

mod oracle;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::archive::entry::{DataMap, EntryKind, Metadata, Segment, Timestamp, arbitrary};
use crate::archive::sparse;
use crate::archive::tar_read::{Limits, TarReader};
use crate::guest_path::GuestPath;

fn entry(path: &[u8], kind: EntryKind) -> Entry {
    Entry { path: GuestPath::new(path).unwrap(), kind, meta: Metadata { mode: 0o640, ..Metadata::default() } }
}

fn whole(size: u64) -> EntryKind {
    EntryKind::File { size, data: DataMap::Whole }
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, data) in entries {
        assert_eq!(writer.append(entry, &mut data.as_slice()).unwrap(), Appended::Whole);
    }
    writer.finish().unwrap()
}

/// Reads every entry with its data.
fn read_all(bytes: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = TarReader::new(bytes, Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        entries.push((entry, data));
    }
    entries
}

/// With the stretches of a sparse file filled up to whole blocks.
fn as_stored((entry, data): &(Entry, Vec<u8>)) -> (Entry, Vec<u8>) {
    let EntryKind::File { size, data: DataMap::Sparse(segments) } = &entry.kind else {
        return (entry.clone(), data.clone());
    };
    let (stretches, pieces) = sparse::in_blocks(segments, *size);
    let mut source = data.as_slice();
    let mut stored = Vec::new();
    for piece in pieces {
        let (taken, rest) = source.split_at(usize::try_from(piece.data).unwrap());
        stored.extend(taken);
        stored.resize(stored.len() + usize::try_from(piece.zeros).unwrap(), 0);
        source = rest;
    }
    let kind = EntryKind::File { size: *size, data: DataMap::Sparse(stretches) };
    (Entry { kind, ..entry.clone() }, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_entries_come_back_exactly(entries in vec(arbitrary::entry(), 0..6)) {
        let bytes = archive(&entries);
        prop_assert_eq!(bytes.len() % 512, 0);
        let stored: Vec<_> = entries.iter().map(as_stored).collect();
        prop_assert_eq!(read_all(&bytes), stored);
    }

    #[test]
    fn unread_data_is_skipped(entries in vec(arbitrary::entry(), 1..6)) {
        let bytes = archive(&entries);
        let mut reader = TarReader::new(bytes.as_slice(), Limits::default());
        for entry in &entries {
            prop_assert_eq!(reader.next().unwrap(), Some(as_stored(entry).0));
            io::copy(&mut (&mut reader).take(100), &mut io::sink()).unwrap();
        }
        prop_assert_eq!(reader.next().unwrap(), None);
        prop_assert_eq!(reader.into_inner().len(), 0);
    }
}

#[test]
fn plain_entries_need_no_extended_header() {
    let mut plain = entry(b"/etc/app.conf", whole(0));
    plain.meta.mtime = Timestamp { secs: 1_700_000_000, nanos: 0 };
    plain.meta.uid = 0o7_777_777;
    assert_eq!(archive(&[(plain.clone(), vec![])]).len(), 3 * 512);
    plain.meta.uid += 1;
    assert_eq!(archive(&[(plain, vec![])]).len(), 5 * 512);
}

#[test]
fn a_file_beyond_the_octal_field_keeps_its_size() {
    let large = entry(b"/large", whole(9 << 30));
    let head = head::of(&large).unwrap().blocks;
    let read = TarReader::new(head.as_slice(), Limits::default()).next().unwrap();
    assert_eq!(read, Some(large));
}

#[test]
fn unterminated_rounds_make_one_stream() {
    let mut rounds = Vec::new();
    for name in ["/one", "/two"] {
        let mut writer = TarWriter::new(rounds);
        writer.append(&entry(name.as_bytes(), EntryKind::Dir), &mut io::empty()).unwrap();
        rounds = writer.into_inner_unterminated();
    }
    let bytes = TarWriter::new(rounds).finish().unwrap();
    let names: Vec<String> = read_all(&bytes).iter().map(|(entry, _)| entry.path.to_string()).collect();
    assert_eq!(names, ["/one", "/two"]);
}

#[test]
fn a_source_that_ends_early_is_filled_up_and_a_longer_one_is_cut() {
    let mut writer = TarWriter::new(Vec::new());
    let shrunk = entry(b"/shrunk", whole(1000));
    assert_eq!(writer.append(&shrunk, &mut &[7; 10][..]).unwrap(), Appended::Short { missing: 990 });
    let grown = entry(b"/grown", whole(10));
    let mut source = &[7; 1000][..];
    assert_eq!(writer.append(&grown, &mut source).unwrap(), Appended::Whole);
    assert_eq!(source.len(), 990);
    let read = read_all(&writer.finish().unwrap());
    assert_eq!(read[0], (shrunk, [&[7; 10][..], &[0; 990]].concat()));
    assert_eq!(read[1], (grown, vec![7; 10]));
}

/// Gives some bytes, then an error.
struct Failing(u64);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("bad sector"));
        }
        let room = buf.len().min(usize::try_from(self.0).unwrap());
        buf[..room].fill(7);
        self.0 -= u64::try_from(room).unwrap();
        Ok(room)
    }
}

#[test]
fn a_source_that_fails_is_told_and_the_stream_stays_whole() {
    let mut writer = TarWriter::new(Vec::new());
    let bad = entry(b"/bad", whole(100));
    let error = writer.append(&bad, &mut Failing(60)).unwrap_err();
    assert!(matches!(error, TarError::Source { missing: 40, .. }), "{error}");
    let good = entry(b"/good", whole(0));
    writer.append(&good, &mut io::empty()).unwrap();
    let read = read_all(&writer.finish().unwrap());
    assert_eq!(read[0].1, [[7; 60].as_slice(), &[0; 40]].concat());
    assert_eq!(read[1].0, good);
}

#[test]
fn after_a_failed_output_nothing_can_pretend_to_be_whole() {
    let mut room = [0; 700];
    let mut writer = TarWriter::new(room.as_mut_slice());
    let error = writer.append(&entry(b"/f", whole(600)), &mut io::repeat(1)).unwrap_err();
    assert!(matches!(error, TarError::Output { .. }), "{error}");
    let again = writer.append(&entry(b"/g", whole(0)), &mut io::empty());
    assert!(matches!(again, Err(TarError::AlreadyBroken)));
    assert!(matches!(writer.finish(), Err(TarError::AlreadyBroken)));
}

#[test]
fn what_cannot_be_read_back_is_refused_before_a_byte_is_written() {
    let sparse = |segments: &[(u64, u64)]| {
        let segments = segments.iter().map(|&(offset, len)| Segment { offset, len }).collect();
        entry(b"/s", EntryKind::File { size: 100, data: DataMap::Sparse(segments) })
    };
    let with = |change: fn(&mut Metadata)| {
        let mut entry = entry(b"/m", EntryKind::Dir);
        change(&mut entry.meta);
        entry
    };
    for unfit in [
        sparse(&[(0, 10), (5, 10)]),
        sparse(&[(50, 10), (0, 10)]),
        sparse(&[(95, 10)]),
        sparse(&[(u64::MAX, 10)]),
        entry(b"/", whole(0)),
        entry(b"/big", whole(u64::MAX)),
        entry(b"/l", EntryKind::Symlink { target: vec![] }),
        entry(b"/l", EntryKind::Symlink { target: b"a\0b".to_vec() }),
        entry(b"/l", EntryKind::Symlink { target: vec![b'x'; 5000] }),
        entry(b"/h", EntryKind::Hardlink { target: GuestPath::root() }),
        with(|meta| meta.mtime.nanos = 1_000_000_000),
        with(|meta| meta.xattrs = vec![(vec![], vec![])]),
        with(|meta| meta.xattrs = vec![(b"user.\0".to_vec(), vec![])]),
    ] {
        let mut written = Vec::new();
        let error = TarWriter::new(&mut written).append(&unfit, &mut io::empty()).unwrap_err();
        assert!(matches!(error, TarError::Unfit { .. }), "{unfit:?}: {error}");
        assert_eq!(written.len(), 0);
    }
    let heavy = with(|meta| meta.xattrs = vec![(b"user.heavy".to_vec(), vec![0; 1 << 20])]);
    let error = TarWriter::new(Vec::new()).append(&heavy, &mut io::empty()).unwrap_err();
    assert!(matches!(error, TarError::AttributesTooLarge { max: 1_048_576, .. }), "{error}");
}
