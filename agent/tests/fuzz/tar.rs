//! Tar streams: nothing that is read is more than what was there, and what was read can be written and read again.

use std::io::{self, Read};

use redeploy_agent::archive::entry::{Entry, EntryKind};
use redeploy_agent::archive::tar_read::{Limits, TarReader};
use redeploy_agent::archive::tar_write::{Appended, TarWriter};

use super::Target;

const BLOCK: usize = 512;
/// Where a header has its checksum, and how long that is (POSIX ustar).
const CHECKSUM: std::ops::Range<usize> = 148..156;

pub(crate) const TARGET: Target = Target {
    name: "tar",
    check,
    words: &[
        b"ustar\x0000",
        b"ustar  \0",
        b"00000000000\0",
        b"77777777777\0",
        b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"x",
        b"g",
        b"L",
        b"K",
        b"S",
        b"5",
        b"2",
        b"../../etc/passwd\0",
        b"/etc/shadow\0",
        b"30 mtime=1350244992.023960108\n",
        b"9 path=/\n",
        b"22 GNU.sparse.major=1\n",
        b"22 GNU.sparse.minor=0\n",
        b"28 GNU.sparse.realsize=8192\n",
        b"18 size=999999999\n",
        b"999999999 path=a\n",
        b"\n",
    ],
    mend,
};

/// Stops at the first error that ends reading, and after so many entries: a stream has no more headers than blocks.
fn check(bytes: &[u8]) {
    let mut reader = TarReader::new(bytes, Limits::default());
    let mut writer = TarWriter::new(Vec::new());
    let mut entries: Vec<(Entry, Vec<u8>)> = Vec::new();
    let mut data_bytes = 0;
    for _ in 0..=bytes.len() / BLOCK * 2 + 2 {
        match reader.next() {
            Ok(None) => break,
            Err(error) if error.ends_reading() => break,
            Err(_) => {}
            Ok(Some(entry)) => {
                let mut data = Vec::new();
                let whole = (&mut reader).take(1 << 24).read_to_end(&mut data).is_ok();
                data_bytes += data.len();
                assert!(data_bytes <= bytes.len(), "more data than input");
                assert!(entry.path.as_bytes().first() == Some(&b'/'), "{}", entry.path);
                if whole && written(&mut writer, &entry, &data) {
                    entries.push((entry, data));
                }
            }
        }
    }
    read_again(&writer.finish().unwrap(), &entries);
}

/// An entry that was read can be written, unless its attributes do not fit into one of ours.
fn written(writer: &mut TarWriter<Vec<u8>>, entry: &Entry, data: &[u8]) -> bool {
    match writer.append(entry, &mut &*data) {
        Ok(appended) => {
            assert_eq!(appended, Appended::Whole, "{}", entry.path);
            true
        }
        Err(error) => {
            assert!(!matches!(error, redeploy_agent::archive::TarError::Output { .. }), "{error}");
            false
        }
    }
}

fn read_again(stream: &[u8], entries: &[(Entry, Vec<u8>)]) {
    let mut reader = TarReader::new(stream, Limits::default());
    for (expected, data) in entries {
        let entry = reader.next().unwrap().unwrap();
        assert_eq!((&entry.path, &entry.meta), (&expected.path, &expected.meta));
        assert_eq!(shape(&entry.kind), shape(&expected.kind), "{}", entry.path);
        let mut found = Vec::new();
        io::Read::read_to_end(&mut reader, &mut found).unwrap();
        // Stretches of sparse files are filled up with zeros to whole blocks.
        let holes = matches!(&entry.kind, EntryKind::File { size, .. } if u64::try_from(data.len()).unwrap() != *size);
        assert!(holes || found == *data, "{}", entry.path);
    }
    assert!(reader.next().unwrap().is_none());
}

/// What must stay the same of a kind.
fn shape(kind: &EntryKind) -> (u8, u64, Vec<u8>) {
    match kind {
        EntryKind::Dir => (0, 0, Vec::new()),
        EntryKind::File { size, .. } => (1, *size, Vec::new()),
        EntryKind::Symlink { target } => (2, 0, target.clone()),
        EntryKind::Hardlink { target } => (3, 0, target.as_bytes().to_vec()),
        EntryKind::Fifo => (4, 0, Vec::new()),
    }
}

/// Gives every block that looks like a header the checksum it deserves.
#[expect(clippy::ptr_arg, reason = "other readers' files change their length when they are mended")]
fn mend(bytes: &mut Vec<u8>) {
    for block in bytes.chunks_exact_mut(BLOCK) {
        if block[257..262] == *b"ustar" {
            block[CHECKSUM].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
