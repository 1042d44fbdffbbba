//! Containers that try to make us read or write outside their root, or wait forever.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use super::tree::*;
use crate::archive::{Capture, RoundKind, Watch};

const CANARY: &str = "outside: nobody may read or change this";

/// A directory right beside the root, which every link tries to reach.
fn canary(bench: &Bench) -> std::path::PathBuf {
    let outside = bench.path().join("outside");
    put(&outside, "secret", CANARY);
    outside
}

fn holds_no_canary(bench: &Bench, capture: Capture) {
    let line = capture.finish().unwrap();
    let packed = fs::File::open(line.path(&bench.archives())).unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(packed), &mut plain).unwrap();
    assert!(!plain.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
}

#[test]
fn links_out_of_the_root_lead_nowhere() {
    let bench = Bench::new();
    let outside = canary(&bench);
    symlink(&outside, bench.old().join("absolute")).unwrap();
    symlink("../outside", bench.old().join("climbing")).unwrap();
    symlink("/../../../../../../../../", bench.old().join("top")).unwrap();
    let selection = only(&["/absolute/secret", "/climbing/secret", "/top/outside/secret", "/top/absolute"]);
    let mut capture = bench.begin(selection);
    bench.round(&mut capture, RoundKind::Final);
    holds_no_canary(&bench, capture);
}

#[test]
fn links_in_the_target_do_not_lead_writes_outside() {
    let bench = Bench::new();
    let outside = canary(&bench);
    put(&bench.old(), "a/secret", "from the container");
    put(&bench.old(), "b/c/secret", "from the container");
    symlink(&outside, bench.new_root().join("a")).unwrap();
    symlink("../outside", bench.new_root().join("b")).unwrap();
    let mut capture = bench.begin(only(&["/a", "/b/c"]));
    bench.round(&mut capture, RoundKind::Final);
    bench.apply(capture.line(), 1).unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), CANARY);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(bench.new_root().join("a/secret")).unwrap(), "from the container");
    assert_eq!(fs::read_to_string(bench.new_root().join("b/c/secret")).unwrap(), "from the container");
}

#[test]
fn deleting_does_not_follow_links_either() {
    let bench = Bench::new();
    let outside = canary(&bench);
    put(&bench.old(), "d/secret", "1");
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Live);
    bench.apply(capture.line(), 1).unwrap();
    fs::remove_dir_all(bench.old().join("d")).unwrap();
    symlink("../outside", bench.old().join("d")).unwrap();
    bench.round(&mut capture, RoundKind::Final);
    bench.apply(capture.line(), 2).unwrap();
    // Now `d` is a link; its old contents are deleted once more, and not through it.
    bench.apply(capture.line(), 2).unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), CANARY);
    assert_eq!(fs::read_link(bench.new_root().join("d")).unwrap(), Path::new("../outside"));
}

#[test]
fn a_directory_swapped_for_a_link_while_we_walk_shows_nothing_outside() {
    let bench = Bench::new();
    let outside = canary(&bench);
    for n in 0..50 {
        put(&bench.old(), &format!("dir/{n}/secret"), "inside");
    }
    symlink(&outside, bench.old().join("link")).unwrap();
    let (dir, link) = (bench.old().join("dir/25"), bench.old().join("link"));
    let (inner, inner_link) = (bench.old().join("dir/30/secret"), bench.old().join("to-secret"));
    symlink(outside.join("secret"), &inner_link).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                rustix::fs::renameat_with(CWD, &inner, CWD, &inner_link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut capture = bench.begin(only(&["/dir"]));
        for _ in 0..20 {
            bench.round(&mut capture, RoundKind::Live);
        }
        stop.store(true, Ordering::Relaxed);
        holds_no_canary(&bench, capture);
    });
}

#[test]
fn nobody_waits_for_a_fifo_and_no_device_is_opened() {
    let bench = Bench::new();
    for n in 0..3 {
        let fifo = bench.old().join(format!("fifo{n}"));
        rustix::fs::mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    let device = bench.old().join("device");
    rustix::fs::mknodat(CWD, device, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(5, 0))
        .unwrap();
    let mut capture = bench.begin(everything());
    let round = bench.round(&mut capture, RoundKind::Final);
    assert_eq!((round.names, round.skipped_count), (4, 1));
    bench.apply(capture.line(), 1).unwrap();
    assert_eq!(fs::read_dir(bench.new_root()).unwrap().count(), 3);
}

#[test]
fn a_file_swapped_for_a_fifo_does_not_make_us_wait() {
    let bench = Bench::new();
    put(&bench.old(), "d/file", "1");
    let (file, fifo) = (bench.old().join("d/file"), bench.old().join("fifo"));
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &file, CWD, &fifo, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut capture = bench.begin(only(&["/d"]));
        for _ in 0..20 {
            bench.round(&mut capture, RoundKind::Live);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_no_path_can_name_fails_the_last_round_and_is_noted_before() {
    let bench = Bench::new();
    let mut dir = rustix::fs::open(bench.old(), rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..25 {
        let name = "n".repeat(200);
        rustix::fs::mkdirat(&dir, name.as_str(), Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, name.as_str(), rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let mut capture = bench.begin(everything());
    let round = bench.round(&mut capture, RoundKind::Live);
    assert_eq!((round.skipped_count, round.names), (1, 21));
    assert!(capture.round(&bench.old_handle(), RoundKind::Final, &Watch::new()).is_err());
}
