//! Another process changes the tree all the time, in no step with us: files, names, links, times set back, and memory it
//! has mapped. When it is gone, what came out in rounds is what a cold copy is.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;

use super::tree::*;
use crate::archive::{RoundKind, Watch, seal, verify};

/// Runs until it is dropped.
struct Meddler(Child);

impl Meddler {
    fn begin(bench: &Bench, seed: u32) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", include_str!("second_process.py")])
            .arg(bench.old())
            .arg(seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self(child)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        let alive = matches!(self.0.try_wait(), Ok(None));
        let _ = self.0.kill();
        let _ = self.0.wait();
        assert!(alive || std::thread::panicking(), "the other process ended by itself: nothing was proved");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rounds_beside_another_process_add_up_to_a_cold_copy(seed in any::<u32>(), live in 1..8_u32) {
        let bench = Bench::new();
        let meddler = Meddler::begin(&bench, seed);
        let mut capture = bench.begin(everything());
        for _ in 0..live {
            let round = bench.round(&mut capture, RoundKind::Live);
            bench.apply(capture.line(), round.number).unwrap();
        }
        drop(meddler);
        let round = bench.round(&mut capture, RoundKind::Final);
        bench.apply(capture.line(), round.number).unwrap();
        let cold = digest(&bench.old());
        prop_assert!(!cold.is_empty());
        assert_same(&digest(&bench.new_root()), &cold);

        let line = capture.finish().unwrap();
        verify(&bench.archives(), &line, &Watch::new()).unwrap();
        let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
        assert_same(&digest(&bench.untar(&sealed)), &cold);
    }
}
