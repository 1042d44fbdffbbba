//! Undo of a volume: the captured state comes back, what the failed container wrote is kept aside.

use std::fs;
use std::os::unix::fs::symlink;

use super::tree::*;
use crate::archive::{ArchiveError, ArchiveLine, Aside, PutBack, RoundKind, Watch, put_back, seal, verify};

fn captured(bench: &Bench) -> ArchiveLine {
    fill_with_everything(&bench.old());
    bench
        .two_rounds(everything(), |old| {
            put(old, "etc/app.conf", "as captured");
            fs::remove_file(old.join("etc/empty")).unwrap();
        })
        .finish()
        .unwrap()
}

fn run(bench: &Bench, line: &ArchiveLine) -> Result<PutBack, ArchiveError> {
    run_watched(bench, line, &Watch::new())
}

fn run_watched(bench: &Bench, line: &ArchiveLine, watch: &Watch) -> Result<PutBack, ArchiveError> {
    let (dir, options) = (bench.archives(), options());
    let aside = Aside { dir: &dir, stem: "data.failed", options: &options };
    put_back(&dir, line, &bench.old_handle(), Some(aside), watch)
}

fn damage(bench: &Bench) {
    let old = bench.old();
    put(&old, "etc/app.conf", "broken by the new container");
    put(&old, "etc/extra/file", "new");
    fs::remove_dir_all(old.join("data/inherits")).unwrap();
    symlink("/etc", old.join("data/inherits")).unwrap();
    fs::remove_file(old.join("bin/tool")).unwrap();
    chmod(&old.join("data/acl"), 0o777);
    fs::remove_file(old.join("data/same.conf")).unwrap();
}

/// By the commands of docs/rescue.md.
#[test]
fn base_less_what_was_removed_and_the_difference_over_it_is_what_the_failed_one_had() {
    let bench = Bench::new();
    let line = captured(&bench);
    damage(&bench);
    let damaged = digest(&bench.old());
    let failed = run(&bench, &line).unwrap().failed.unwrap();
    let scratch = bench.untar(&seal(&bench.archives(), &line, &Watch::new()).unwrap());
    let removed = fs::read(bench.archives().join("data.failed.removed")).unwrap();
    for name in removed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let path = scratch.join(std::str::from_utf8(name).unwrap());
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).ok();
    }
    bench.untar_into(&failed, &scratch);
    assert_same(&digest(&scratch), &damaged);
}

#[test]
fn nothing_differs_nothing_is_done() {
    let bench = Bench::new();
    let line = captured(&bench);
    let before = digest(&bench.old());
    assert_eq!(run(&bench, &line).unwrap(), PutBack::default());
    assert_same(&digest(&bench.old()), &before);
    assert!(!bench.archives().join("data.failed.tar.gz").exists());
}

#[test]
fn the_captured_state_comes_back_and_the_failed_one_is_kept() {
    let bench = Bench::new();
    let line = captured(&bench);
    let before = digest(&bench.old());
    damage(&bench);
    let failed_state = digest(&bench.old());
    let done = run(&bench, &line).unwrap();
    assert_same(&digest(&bench.old()), &before);
    assert_eq!(done.removed, 1, "a directory goes as one: {done:?}");
    let failed = done.failed.unwrap();
    verify(&bench.archives(), &failed, &Watch::new()).unwrap();
    let plain = digest(&bench.untar(&failed));
    for name in ["etc/app.conf", "etc/extra/file", "data/acl", "data/inherits"] {
        let name = std::path::Path::new(name);
        assert_eq!(
            plain.get(name).map(|line| line.split(" as ").next()),
            failed_state.get(name).map(|line| line.split(" as ").next())
        );
    }
    assert!(!plain.contains_key(std::path::Path::new("data/holes")), "what did not differ is not in it");
    // Again: nothing to do, the first archive stays, and its line is told again: whoever asked first may have died.
    put(&bench.archives(), "data.failed.index", "left by one who died right after");
    let again = run(&bench, &line).unwrap();
    assert_eq!(again, PutBack { failed: Some(failed.clone()), ..PutBack::default() });
    assert!(!bench.archives().join("data.failed.index").exists());
    assert_same(&digest(&bench.old()), &before);
    verify(&bench.archives(), &failed, &Watch::new()).unwrap();
}

#[test]
fn interrupted_anywhere_it_ends_the_same_and_keeps_the_first_failed_archive() {
    let bench = Bench::new();
    let line = captured(&bench);
    let before = digest(&bench.old());
    damage(&bench);
    let mut first_failed = None;
    // Cancel after more and more entries until one attempt gets through.
    for entries in (0..).step_by(3) {
        let watch = Watch::new();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if watch.files() >= entries {
                        watch.cancel();
                    }
                    std::hint::spin_loop();
                }
            });
            let outcome = run_watched(&bench, &line, &watch);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            outcome
        });
        let failed = fs::read(bench.archives().join("data.failed.tar.gz")).ok();
        if first_failed.is_some() {
            assert_eq!(failed, first_failed);
        }
        first_failed = failed;
        match outcome {
            Ok(_) => break,
            Err(ArchiveError::Cancelled) => {}
            Err(error) => panic!("{error}: {error:?}"),
        }
    }
    assert_same(&digest(&bench.old()), &before);
    assert!(first_failed.is_some());
    let again = run(&bench, &line).unwrap();
    assert_eq!((again.restored, again.removed, again.failed.is_some()), (0, 0, true));
}

#[test]
fn a_volume_that_only_gained_names_loses_only_those() {
    let bench = Bench::new();
    let line = captured(&bench);
    let before = digest(&bench.old());
    put(&bench.old(), "new/dir/file", "1");
    let done = run(&bench, &line).unwrap();
    // The file and the two directories; the root's time is put right.
    assert_eq!((done.removed, done.restored), (1, 1), "{done:?}");
    assert_same(&digest(&bench.old()), &before);
}

#[test]
fn a_hot_last_round_is_still_believed() {
    let (bench, line) = captured_while_hot();
    assert_eq!(run(&bench, &line).unwrap(), PutBack::default());
    put(&bench.old(), "a", "written right after the last round.");
    let done = run(&bench, &line).unwrap();
    assert_eq!(done.restored, 1, "{done:?}");
    assert_eq!(fs::read_to_string(bench.old().join("a")).unwrap(), "written right before the last round");
}

/// A file captured so soon after it was written that the clock had not moved: on a busy machine it takes several
/// attempts to be that quick.
fn captured_while_hot() -> (Bench, ArchiveLine) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let bench = Bench::new();
        put(&bench.old(), "a", "written right before the last round");
        let mut capture = bench.begin(everything());
        if bench.round(&mut capture, RoundKind::Final).hot == 2 {
            return (bench, capture.finish().unwrap());
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn what_a_failed_container_nested_without_end_does_not_stop_the_undo() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let bench = Bench::new();
    let line = captured(&bench);
    let before = digest(&bench.old());
    fs::create_dir(bench.old().join("abyss")).unwrap();
    let mut dir = rustix::fs::open(bench.old().join("abyss"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..2500 {
        mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = openat(&dir, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let done = run(&bench, &line).unwrap();
    assert_eq!(done.removed, 1, "{done:?}");
    assert_eq!(done.failed.unwrap().skipped.len(), 1);
    assert_same(&digest(&bench.old()), &before);
}
