//! A shelf of hostile archives, and random ones: nothing panics, nothing is believed unchecked.

mod shelf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::archive::entry::{DataMap, EntryKind, arbitrary};
use crate::archive::tar_write::TarWriter;
use shelf::{Shelved, block, extended, member};

/// Reads to the end or to the first error that ends reading, data included.
fn drain(bytes: &[u8]) -> Result<Vec<Entry>, TarError> {
    let mut reader = TarReader::new(bytes, Limits::default());
    let mut entries = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return Ok(entries),
            Err(error) if error.ends_reading() => {
                assert!(matches!(reader.next(), Err(TarError::AlreadyBroken)));
                return Err(error);
            }
            Err(_) => continue,
        }
        if io::copy(&mut reader, &mut io::sink()).is_err() {
            assert!(matches!(reader.next(), Err(TarError::AlreadyBroken)));
            return Err(TarError::Truncated { offset: reader.offset() });
        }
    }
}

fn first_error(bytes: &[u8]) -> TarError {
    let mut reader = TarReader::new(bytes, Limits::default());
    loop {
        match reader.next() {
            Ok(entry) => assert!(entry.is_some(), "the archive was read to its end without an error"),
            Err(error) => return error,
        }
    }
}

#[test]
fn hostile_archives_are_refused_each_for_its_own_reason() {
    for Shelved { title, bytes, expected } in shelf::shelf() {
        let error = first_error(&bytes);
        assert!(expected(&error), "{title}: {error:?}");
    }
}

#[test]
fn after_an_entry_that_cannot_be_taken_the_next_one_is_read() {
    for bad in [
        member("../evil", b'0', b"contents"),
        member("dev/sda", b'4', b""),
        member("whatever", b'Z', &[1; 700]),
        [extended(&[("mtime", b"soon")]), member("f", b'0', b"contents")].concat(),
        [extended(&[("SCHILY.acl.access", b"user:lisa:rwx")]), member("f", b'0', b"contents")].concat(),
        [extended(&[("GNU.sparse.major", b"0"), ("GNU.sparse.minor", b"1")]), member("f", b'0', b"x")]
            .concat(),
    ] {
        let bytes = [bad, member("good", b'0', b"data"), vec![0; 1024]].concat();
        let mut reader = TarReader::new(bytes.as_slice(), Limits::default());
        let error = reader.next().unwrap_err();
        assert!(!error.ends_reading(), "{error}");
        assert_eq!(reader.next().unwrap().unwrap().path.to_string(), "/good");
        let mut data = String::new();
        reader.read_to_string(&mut data).unwrap();
        assert_eq!(data, "data");
        assert_eq!(reader.next().unwrap(), None);
    }
}

#[test]
fn a_device_is_named_with_its_type() {
    let error = first_error(&member("dev/sda", b'4', b""));
    assert!(matches!(&error, TarError::Unsupported { type_flag: b'4', .. }), "{error:?}");
    assert_eq!(error.to_string(), "/dev/sda is of a kind that is not restored (tar type 4)");
}

#[test]
fn an_attribute_cannot_smuggle_records() {
    let value = b"x\n21 path=etc/evil.so\n";
    let bytes =
        [extended(&[("SCHILY.xattr.user.x", value)]), member("good", b'0', b""), vec![0; 1024]].concat();
    let entries = drain(&bytes).unwrap();
    assert_eq!(entries[0].path.to_string(), "/good");
    assert_eq!(entries[0].meta.xattrs, [(b"user.x".to_vec(), value.to_vec())]);
}

#[test]
fn global_records_apply_until_an_entry_says_otherwise() {
    let mut global = extended(&[("uid", b"77"), ("comment", b"from git")]);
    global[156] = b'g';
    shelf::seal(&mut global);
    let own = extended(&[("uid", b"5")]);
    let bytes =
        [global, member("a", b'0', b""), own, member("b", b'0', b""), member("c", b'0', b""), vec![0; 1024]];
    let owners: Vec<u32> = drain(&bytes.concat()).unwrap().iter().map(|entry| entry.meta.uid).collect();
    assert_eq!(owners, [77, 5, 77]);
}

#[test]
fn numbers_beyond_octal_are_read_in_base_256() {
    let mut bytes = member("old", b'0', b"");
    bytes[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xee, 0x6b, 0x28, 0]);
    bytes[136..148].copy_from_slice(&[0xff; 12]);
    shelf::seal(&mut bytes);
    let entry = drain(&[bytes, vec![0; 1024]].concat()).unwrap().remove(0);
    assert_eq!(entry.meta.uid, 4_000_000_000);
    assert_eq!(entry.meta.mtime.secs, -1);
}

#[test]
fn the_prefix_of_a_ustar_name_counts() {
    let mut bytes = member("name", b'0', b"");
    bytes[345..352].copy_from_slice(b"in/here");
    shelf::seal(&mut bytes);
    assert_eq!(drain(&[bytes, vec![0; 1024]].concat()).unwrap()[0].path.to_string(), "/in/here/name");
}

#[test]
fn nothing_is_read_past_the_end_marker_unless_told() {
    let one = [member("one", b'0', b"x"), vec![0; 10_240]].concat();
    let both = [one, member("two", b'0', b"y"), vec![0; 1024]].concat();
    let mut reader = TarReader::new(both.as_slice(), Limits::default());
    assert_eq!(reader.next().unwrap().unwrap().path.to_string(), "/one");
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.offset(), 2 * 512 + 1024);
    reader.read_past_end();
    assert_eq!(reader.next().unwrap().unwrap().path.to_string(), "/two");
    assert_eq!(reader.next().unwrap(), None);
    reader.read_past_end();
    assert_eq!(reader.next().unwrap(), None);
}

/// Endless, and counts what is taken.
struct Endless<'a> {
    head: &'a [u8],
    taken: usize,
}

impl Read for Endless<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = if self.head.is_empty() { io::repeat(b'1').read(buf)? } else { self.head.read(buf)? };
        self.taken += got;
        Ok(got)
    }
}

#[test]
fn what_claims_too_much_is_refused_before_it_is_taken() {
    let claims = |type_flag, size: u64| {
        let mut header = block("x", type_flag, size);
        shelf::seal(&mut header);
        header
    };
    for head in [claims(b'x', 1 << 33), claims(b'g', 1 << 33), claims(b'L', 5000), claims(b'K', 8000)] {
        let mut input = Endless { head: &head, taken: 0 };
        let error = TarReader::new(&mut input, Limits::default()).next().unwrap_err();
        assert!(matches!(error, TarError::TooLarge { .. }), "{error:?}");
        assert_eq!(input.taken, 512);
    }
    let head = [extended(shelf::SPARSE), claims(b'0', 1 << 33), b"262145\n".to_vec()].concat();
    let mut input = Endless { head: &head, taken: 0 };
    let error = TarReader::new(&mut input, Limits::default()).next().unwrap_err();
    assert!(matches!(error, TarError::TooLarge { what: "map of a sparse file", .. }), "{error:?}");
    assert!(input.taken <= 4 * 512, "{}", input.taken);
}

#[test]
fn endless_global_headers_meet_a_limit() {
    let mut global = extended(&[("a", b"b")]);
    global[156] = b'g';
    shelf::seal(&mut global);
    let error = drain(&global.repeat(3000)).unwrap_err();
    assert!(matches!(error, TarError::TooLarge { what: "global extended headers", .. }), "{error:?}");
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, data) in entries {
        writer.append(entry, &mut data.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn an_archive_cut_anywhere_never_looks_whole() {
    let sparse = DataMap::Sparse(vec![super::super::entry::Segment { offset: 512, len: 512 }]);
    let long = crate::guest_path::GuestPath::new("n".repeat(120)).unwrap();
    let meta = crate::archive::entry::Metadata::default();
    let entries = [
        (
            Entry {
                path: long,
                kind: EntryKind::File { size: 700, data: DataMap::Whole },
                meta: meta.clone(),
            },
            700,
        ),
        (
            Entry {
                path: crate::guest_path::GuestPath::new("s").unwrap(),
                kind: EntryKind::File { size: 5000, data: sparse },
                meta,
            },
            512,
        ),
    ];
    let bytes = archive(&entries.map(|(entry, stored)| (entry, vec![1; stored])));
    assert!(drain(&bytes).is_ok());
    for cut in 0..bytes.len() {
        let error = drain(&bytes[..cut]).unwrap_err();
        assert!(matches!(error, TarError::Truncated { .. }), "cut at {cut}: {error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_end_in_an_error_or_an_end(bytes in vec(any::<u8>(), 0..4000)) {
        let _ = drain(&bytes);
    }

    /// Changed bytes with the checksums made right again, so that they get past the first door.
    #[test]
    fn mutated_archives_never_panic(
        entries in vec(arbitrary::entry(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        sealed in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = archive(&entries);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if sealed {
            for header in bytes.chunks_mut(512).filter(|header| header[257..262] == *b"ustar") {
                shelf::seal(header);
            }
        }
        let _ = drain(&bytes);
        let _ = drain(&bytes[..cut.index(bytes.len())]);
    }

    /// Without a checksum made right, a changed header is always noticed.
    #[test]
    fn a_changed_header_is_noticed(entry in arbitrary::entry(), at in 0..512_usize, bit in 0..8_u8) {
        let mut bytes = archive(&[entry]);
        bytes[at] ^= 1 << bit;
        prop_assert!(drain(&bytes).is_err() || (148..156).contains(&at));
    }
}
