//! Sizes around the borders of blocks, any number of threads, outputs that fail.

use std::io::Read;

use proptest::prelude::*;

use super::*;

/// Compressible, but not from one block alone.
fn plain(size: u32) -> Vec<u8> {
    (0..size)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes())
        .take(size.try_into().unwrap())
        .collect()
}

fn packed(plain: &[u8], level: u32, threads: usize) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new(), level, threads);
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::bufread::MultiGzDecoder::new(packed).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn sizes_around_block_borders_come_back_and_threads_do_not_matter() {
    for size in [0, 1, 262_143, 262_144, 262_145, 524_288, 5_000_000] {
        let plain = plain(size);
        for level in [2, 6] {
            let one = packed(&plain, level, 1);
            assert!(unpacked(&one) == plain, "{size} at {level}");
            for threads in [0, 2, 4] {
                assert!(packed(&plain, level, threads) == one, "{size} at {level} on {threads}");
            }
        }
    }
}

#[test]
fn every_level_is_taken() {
    let plain = plain(300_000);
    for level in [0, 1, 3, 4, 5, 7, 8, 9, 99] {
        assert!(unpacked(&packed(&plain, level, 2)) == plain, "level {level}");
    }
    assert!(packed(&plain, 9, 2).len() < packed(&plain, 0, 2).len());
}

/// A level that packs worse than zlib's of the same number would be a false promise.
#[test]
fn no_level_packs_worse_than_gzip_at_the_same() {
    let text = include_bytes!("../../../../Cargo.lock");
    for level in 1..=9 {
        let mut usual = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        usual.write_all(text).unwrap();
        let (ours, usual) = (packed(text, level, 1).len(), usual.finish().unwrap().len());
        assert!(ours <= usual + usual / 50, "level {level}: {ours} bytes, {usual} are usual");
    }
}

#[test]
fn every_block_can_be_read_without_those_before_it() {
    let plain = plain(600_000);
    let packed = packed(&plain, 6, 2);
    let mut rest = packed.as_slice();
    let mut sizes = Vec::new();
    while !rest.is_empty() {
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        sizes.push(io::copy(&mut decoder, &mut io::sink()).unwrap());
        rest = decoder.into_inner();
    }
    assert_eq!(sizes, [262_144, 262_144, 75_712]);
}

#[test]
fn members_one_after_another_read_as_one() {
    let first = packed(b"one, ", 4, 2);
    let mut writer = GzipWriter::new(first, 4, 2);
    writer.write_all(b"two").unwrap();
    let both = writer.finish().unwrap();
    let mut plain = String::new();
    flate2::read::MultiGzDecoder::new(both.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, "one, two");
}

/// Takes some bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_is_told_and_stays_failed() {
    let plain = plain(3_000_000);
    for threads in [1, 2, 4] {
        for room in [0, 5, 100_000] {
            let mut writer = GzipWriter::new(Full(room), 2, threads);
            let written = writer.write_all(&plain);
            if let Err(error) = &written {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            }
            assert!(written.is_ok() || writer.write(b"more").is_err());
            assert!(writer.finish().is_err(), "{threads} threads, room for {room}");
        }
    }
}

#[test]
fn dropping_it_half_way_does_not_hang() {
    for threads in [1, 2, 4] {
        let mut writer = GzipWriter::new(Vec::new(), 9, threads);
        writer.write_all(&plain(2_000_000)).unwrap();
        drop(writer);
        drop(GzipWriter::new(Vec::new(), 9, threads));
    }
}

#[test]
fn flushing_passes_on_and_changes_nothing() {
    let mut writer = GzipWriter::new(Vec::new(), 4, 2);
    writer.write_all(b"half").unwrap();
    writer.flush().unwrap();
    writer.write_all(b"half").unwrap();
    assert_eq!(writer.finish().unwrap(), packed(b"halfhalf", 4, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_it_is_chopped_the_same_bytes_come_out(
        size in 0..700_000_u32,
        chop in 1..300_000_usize,
        threads in 1..5_usize,
    ) {
        let plain = plain(size);
        let mut writer = GzipWriter::new(Vec::new(), 1, threads);
        for part in plain.chunks(chop) {
            writer.write_all(part).unwrap();
        }
        let chopped = writer.finish().unwrap();
        prop_assert!(chopped == packed(&plain, 1, 1));
        prop_assert!(unpacked(&chopped) == plain);
    }
}
