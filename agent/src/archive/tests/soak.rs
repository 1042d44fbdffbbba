//! Very many names: the time a name takes must not grow with their number, nor the memory by more than a list of
//! the names of one directory. Few names unless `REDEPLOY_SOAK` is set (`make soak`); then times are printed too.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::tree::*;
use crate::archive::{Aside, RoundKind, Watch, put_back, seal, verify};

/// What this process may have held in memory at most, in KiB, whatever the number of names.
const RESIDENT_KIB_MAX: u64 = 256 * 1024;

#[test]
fn one_directory_of_many_names() {
    let names = if is_soak() { 300_000 } else { 3000 };
    whole_life(1, names);
}

#[test]
fn a_tree_of_many_files() {
    if is_soak() { whole_life(1000, 1000) } else { whole_life(50, 100) }
}

fn is_soak() -> bool {
    std::env::var_os("REDEPLOY_SOAK").is_some()
}

/// Everything an archive can be asked for, of `directories` with `files` each, of which few change.
fn whole_life(directories: u32, files: u32) {
    let bench = Bench::new();
    let mut clock = Clock(Instant::now());
    for directory in 0..directories {
        let dir = bench.old().join(format!("directory-{directory:04}"));
        fs::create_dir(&dir).unwrap();
        for file in 0..files {
            fs::write(dir.join(format!("a-file-{file:06}")), file.to_le_bytes()).unwrap();
        }
    }
    clock.tell("made");
    let mut capture = bench.begin(everything());
    let first = bench.round(&mut capture, RoundKind::Live);
    clock.tell("first round");
    bench.apply(capture.line(), 1).unwrap();
    clock.tell("applied");
    change_a_few(&bench.old());
    let last = bench.round(&mut capture, RoundKind::Final);
    clock.tell("last round");
    assert!(last.written < first.hot + 100, "{last:?}");
    bench.apply(capture.line(), 2).unwrap();
    clock.tell("last round applied");
    let line = capture.finish().unwrap();
    verify(&bench.archives(), &line, &Watch::new()).unwrap();
    clock.tell("verified");
    let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
    clock.tell("sealed");
    change_a_few(&bench.old());
    let (dir, options) = (bench.archives(), options());
    let aside = Aside { dir: &dir, stem: "failed", options: &options };
    let done = put_back(&dir, &sealed, &bench.old_handle(), Some(aside), &Watch::new()).unwrap();
    clock.tell("put back");
    assert!(done.restored < 100 && done.failed.is_some(), "{done:?}");
    fs::remove_file(dir.join("data.index")).unwrap();
    let done = put_back(&dir, &sealed, &bench.old_handle(), None, &Watch::new()).unwrap();
    clock.tell("put back without index");
    assert_eq!(done.restored, sealed.entries);
    drop(bench);
    clock.tell("removed");
}

fn change_a_few(old: &Path) {
    for change in 0..5 {
        let dir = old.join("directory-0000");
        fs::write(dir.join(format!("a-file-{:06}", change * 7)), "changed").unwrap();
        fs::write(dir.join(format!("new-{change}")), "new").unwrap();
    }
}

/// Tells how long each thing took, and what it took in memory.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, what: &str) {
        let seconds = self.0.elapsed().as_secs_f64();
        if is_soak() {
            let resident = resident_kib_max();
            eprintln!("{what}: {seconds:.1} s, {} MiB resident at most", resident / 1024);
            assert!(resident < RESIDENT_KIB_MAX, "{what}: {resident} KiB");
        }
        self.0 = Instant::now();
    }
}

/// `VmHWM` of proc(5): only right where each test is a process of its own.
fn resident_kib_max() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
