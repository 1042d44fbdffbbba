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

/// By a decoder that reads one member only and then wants the end.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::bufread::GzDecoder::new(packed);
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).unwrap();
    assert_eq!(decoder.into_inner().len(), 0, "something follows the member");
    plain
}

#[test]
fn sizes_around_block_borders_come_back_and_threads_do_not_matter() {
    for size in [0, 1, 131_071, 131_072, 131_073, 262_144, 5_000_000] {
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

#[test]
fn blocks_know_what_came_before_them() {
    // 20 KiB of noise over and over: only the bytes before a block make its first 20 KiB cheap.
    let mut noise = Vec::new();
    let mut state = 1_u64;
    while noise.len() < 20 * 1024 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push(state.to_le_bytes()[7]);
    }
    let plain = noise.repeat(64);
    let size = packed(&plain, 6, 2).len();
    assert!(size < 40 * 1024, "{size} bytes: the blocks were not primed");
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
