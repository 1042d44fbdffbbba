//! Any changes in any order between rounds: what comes out is what a cold copy of the last state would be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, RenameFlags};

use super::tree::*;
use crate::archive::{RoundKind, Watch, put_back, seal, verify};

#[derive(Debug, Clone)]
enum Op {
    Write(PathBuf, Vec<u8>),
    Append(PathBuf),
    Truncate(PathBuf),
    Delete(PathBuf),
    Rename(PathBuf, PathBuf),
    Swap(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf),
    MakeDir(PathBuf),
    Mode(PathBuf, u32),
    Time(PathBuf, i64),
    Round,
}

/// Few names, so that operations meet.
fn name() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(prop::sample::select(vec!["a", "a-b", "b", "c"]), 1..4)
        .prop_map(|names| names.iter().collect())
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (name(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(name, bytes)| Op::Write(name, bytes)),
        2 => name().prop_map(Op::Append),
        1 => name().prop_map(Op::Truncate),
        3 => name().prop_map(Op::Delete),
        3 => (name(), name()).prop_map(|(from, to)| Op::Rename(from, to)),
        2 => (name(), name()).prop_map(|(one, two)| Op::Swap(one, two)),
        3 => (name(), name()).prop_map(|(from, to)| Op::Link(from, to)),
        1 => name().prop_map(Op::Symlink),
        2 => name().prop_map(Op::MakeDir),
        1 => (name(), 0o100..0o777u32).prop_map(|(name, mode)| Op::Mode(name, mode)),
        1 => (name(), 0..1_700_000_000i64).prop_map(|(name, secs)| Op::Time(name, secs)),
        3 => Just(Op::Round),
    ]
}

/// Does it if it can be done; what cannot is no change.
fn perform(root: &Path, op: &Op) {
    let at = |name: &PathBuf| root.join(name);
    let _ = match op {
        Op::Write(name, bytes) => {
            let _ = fs::create_dir_all(at(name).parent().unwrap());
            fs::write(at(name), bytes)
        }
        Op::Append(name) => fs::OpenOptions::new()
            .append(true)
            .open(at(name))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"more")),
        Op::Truncate(name) => {
            fs::OpenOptions::new().write(true).open(at(name)).and_then(|file| file.set_len(1))
        }
        Op::Delete(name) => fs::remove_dir_all(at(name)).or_else(|_| fs::remove_file(at(name))),
        Op::Rename(from, to) => fs::rename(at(from), at(to)),
        Op::Swap(one, two) => {
            rustix::fs::renameat_with(CWD, at(one), CWD, at(two), RenameFlags::EXCHANGE).map_err(Into::into)
        }
        Op::Link(from, to) => fs::hard_link(at(from), at(to)),
        Op::Symlink(name) => symlink("a/b", at(name)),
        Op::MakeDir(name) => fs::create_dir_all(at(name)),
        Op::Mode(name, mode) => {
            if fs::symlink_metadata(at(name)).is_ok_and(|meta| !meta.is_symlink()) {
                chmod(&at(name), *mode);
            }
            Ok(())
        }
        Op::Time(name, secs) => {
            if fs::symlink_metadata(at(name)).is_ok() {
                set_mtime(&at(name), *secs, 7);
            }
            Ok(())
        }
        Op::Round => Ok(()),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rounds_add_up_to_the_last_state(ops in prop::collection::vec(op(), 1..60), after in prop::collection::vec(op(), 0..15), lost in any::<bool>()) {
        let bench = Bench::new();
        let mut capture = bench.begin(everything());
        for op in &ops {
            perform(&bench.old(), op);
            if matches!(op, Op::Round) && capture.line().rounds.len() < 10 {
                let round = bench.round(&mut capture, RoundKind::Live);
                bench.apply(capture.line(), round.number).unwrap();
            }
        }
        let round = bench.round(&mut capture, RoundKind::Final);
        bench.apply(capture.line(), round.number).unwrap();
        let captured = digest(&bench.old());
        assert_same(&digest(&bench.new_root()), &captured);

        let line = capture.finish().unwrap();
        verify(&bench.archives(), &line, &Watch::new()).unwrap();
        if lost {
            std::fs::remove_file(bench.archives().join("data.index")).unwrap();
        }
        let back = |line| {
            after.iter().for_each(|op| perform(&bench.old(), op));
            put_back(&bench.archives(), line, &bench.old_handle(), None, &Watch::new()).unwrap();
            assert_same(&digest(&bench.old()), &captured);
        };
        back(&line);
        let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
        verify(&bench.archives(), &sealed, &Watch::new()).unwrap();
        assert_same(&digest(&bench.untar(&sealed)), &captured);
        back(&sealed);
    }
}

/// Cheap randomness for a thread that must not stop to think.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn name(&mut self) -> PathBuf {
        let names = ["a", "a-b", "b", "c", "d"];
        (0..=self.roll(3)).map(|_| names[usize::try_from(self.roll(5)).unwrap()]).collect()
    }

    fn op(&mut self) -> Op {
        match self.roll(12) {
            0..=3 => {
                let len = usize::try_from(self.roll(5000)).unwrap();
                Op::Write(self.name(), vec![b'x'; len])
            }
            4 => Op::Append(self.name()),
            5 => Op::Truncate(self.name()),
            6 => Op::Delete(self.name()),
            7 => Op::Rename(self.name(), self.name()),
            8 => Op::Swap(self.name(), self.name()),
            9 => Op::Link(self.name(), self.name()),
            10 => Op::Symlink(self.name()),
            _ => Op::MakeDir(self.name()),
        }
    }
}

#[test]
fn changes_that_never_stop_until_the_last_round() {
    for seed in 0..6 {
        let bench = Bench::new();
        let mut capture = bench.begin(everything());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut dice = Dice(seed);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    perform(&bench.old(), &dice.op());
                }
            });
            for _ in 0..12 {
                let round = bench.round(&mut capture, RoundKind::Live);
                bench.apply(capture.line(), round.number).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let round = bench.round(&mut capture, RoundKind::Final);
        bench.apply(capture.line(), round.number).unwrap();
        let captured = digest(&bench.old());
        assert_same(&digest(&bench.new_root()), &captured);
        let line = capture.finish().unwrap();
        verify(&bench.archives(), &line, &Watch::new()).unwrap();
        let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
        assert_same(&digest(&bench.untar(&sealed)), &captured);
    }
}
