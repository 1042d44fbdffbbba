//! Archives that are not what they were: found out, and named.

use std::error::Error;
use std::fs;

use super::tree::*;
use crate::archive::{ArchiveError, ArchiveLine, RoundKind, Watch, verify};

fn archive(bench: &Bench) -> ArchiveLine {
    fill_with_everything(&bench.old());
    // Something that does not pack, so that a cut anywhere is a cut in data.
    let noise: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    put(&bench.old(), "noise", noise);
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Final);
    capture.finish().unwrap()
}

fn told(error: &ArchiveError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn must_be_found(bench: &Bench, line: &ArchiveLine) {
    let error = verify(&bench.archives(), line, &Watch::new()).unwrap_err();
    assert!(told(&error).contains("data.tar.gz"), "{}", told(&error));
    let error = bench.apply(line, 1).unwrap_err();
    assert!(told(&error).contains("data.tar.gz"), "{}", told(&error));
}

#[test]
fn cut_short() {
    let bench = Bench::new();
    let line = archive(&bench);
    let file = line.path(&bench.archives());
    let bytes = fs::read(&file).unwrap();
    for keep in [0, 5, 1000, bytes.len() / 2, bytes.len() - 40] {
        fs::write(&file, &bytes[..keep]).unwrap();
        must_be_found(&bench, &line);
    }
    fs::remove_file(&file).unwrap();
    must_be_found(&bench, &line);
}

#[test]
fn altered() {
    let bench = Bench::new();
    let line = archive(&bench);
    let file = line.path(&bench.archives());
    let bytes = fs::read(&file).unwrap();
    let member = usize::try_from(line.rounds[0].bytes).unwrap();
    for position in [3, 9, 500, member / 3, member / 2, member - 5] {
        let mut altered = bytes.clone();
        altered[position] ^= 0x10;
        fs::write(&file, altered).unwrap();
        must_be_found(&bench, &line);
    }
}

#[test]
fn more_than_it_should_be_or_another_archive() {
    let bench = Bench::new();
    let line = archive(&bench);
    let file = line.path(&bench.archives());
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, [bytes.as_slice(), b"more"].concat()).unwrap();
    assert!(verify(&bench.archives(), &line, &Watch::new()).is_err());
    fs::write(&file, &bytes).unwrap();
    verify(&bench.archives(), &line, &Watch::new()).unwrap();
    let other = ArchiveLine { entries: line.entries + 1, ..line.clone() };
    let error = verify(&bench.archives(), &other, &Watch::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    let error = bench.apply(&line, 2).unwrap_err();
    assert!(matches!(error, ArchiveError::NoSuchRound { round: 2, .. }), "{error}");
}

#[test]
fn a_damaged_index_is_not_believed() {
    let bench = Bench::new();
    let mut capture = bench.begin(everything());
    put(&bench.old(), "a", "1");
    bench.round(&mut capture, RoundKind::Live);
    let index = bench.archives().join("data.index");
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&index, bytes).unwrap();
    let error = capture.round(&bench.old_handle(), RoundKind::Final, &Watch::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Sidecar { .. }), "{error}");
}

#[test]
fn a_full_disk_and_a_full_allowance_are_told_apart() {
    let bench = Bench::new();
    put(
        &bench.old(),
        "noise",
        (0..400_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<u8>>(),
    );
    let small = crate::archive::PackOptions { archive_bytes_max: 50_000, ..options() };
    let mut capture =
        crate::archive::Capture::begin(&bench.archives(), "small", everything(), small).unwrap();
    let error = capture.round(&bench.old_handle(), RoundKind::Final, &Watch::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::ArchiveTooLarge { bytes_max: 50_000, .. }), "{}", told(&error));
    let full = std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
    assert!(ArchiveError::host("write", std::path::Path::new("/x"))(full).is_disk_full());
    let quota = rustix::io::Errno::DQUOT;
    assert!(ArchiveError::guest("create", "root", &path("/x"))(quota).is_disk_full());
    assert!(!ArchiveError::guest("create", "root", &path("/x"))(rustix::io::Errno::IO).is_disk_full());
    let few = crate::archive::PackOptions { entries_max: 1, ..options() };
    let mut capture = crate::archive::Capture::begin(&bench.archives(), "few", everything(), few).unwrap();
    let error = capture.round(&bench.old_handle(), RoundKind::Final, &Watch::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::TooManyEntries { .. }), "{}", told(&error));
}
