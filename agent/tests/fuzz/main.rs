//! Readers of strangers' bytes, fed with valid files that were damaged at random: redeploy.conf, journals,
//! manifests, tar streams.
//!
//! Flows in: the seeds in `corpus/`, and `REDEPLOY_FUZZ_SECONDS` (default 2) for each reader; `REDEPLOY_FUZZ_SEED`
//! repeats a run. Flows out: nothing, or the input that broke a promise, as a file to be added to `corpus/`. The
//! promises: no panic, an answer in time, bounded memory, and what was understood says the same when written again.

#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

mod conf;
mod journal;
mod manifest;
mod mutate;
mod tar;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;

/// One input of at most [`mutate::BYTES_MAX`] takes no longer than this, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the whole process may have taken, corpus, mutants and all.
const MEMORY_BYTES_MAX: u64 = 128 << 20;

/// A reader under test.
struct Target {
    /// Its folder in `corpus/`.
    name: &'static str,
    /// Feeds it, and checks every promise.
    check: fn(&[u8]),
    /// Words of its language.
    words: &'static [&'static [u8]],
    /// Makes checksums right again, so that damage reaches what is behind them.
    mend: fn(&mut Vec<u8>),
}

#[test]
fn conf() {
    fuzz(&conf::TARGET);
}

#[test]
fn journal() {
    fuzz(&journal::TARGET);
}

#[test]
fn manifest() {
    fuzz(&manifest::TARGET);
}

#[test]
fn tar() {
    fuzz(&tar::TARGET);
}

/// Every seed as it is, then damaged ones until time is up.
fn fuzz(target: &Target) {
    let seeds = corpus(target.name);
    assert!(!seeds.is_empty(), "corpus/{} is empty", target.name);
    for (path, bytes) in &seeds {
        feed(target, bytes, &path.display().to_string());
    }
    let seed = variable("REDEPLOY_FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| u64::from(now.subsec_nanos()))
    });
    let mut mutator = Mutator::new(seed, seeds.into_iter().map(|(_, bytes)| bytes).collect(), target.words);
    let end = Instant::now() + Duration::from_secs(variable("REDEPLOY_FUZZ_SECONDS").unwrap_or(2));
    let mut inputs: u64 = 0;
    while Instant::now() < end {
        let mut input = mutator.next();
        if mutator.flip() {
            (target.mend)(&mut input);
        }
        feed(target, &input, &format!("REDEPLOY_FUZZ_SEED={seed}, input {inputs}"));
        inputs += 1;
    }
    let peak = peak_bytes();
    assert!(peak <= MEMORY_BYTES_MAX, "{inputs} inputs took {peak} bytes");
    println!("{}: {inputs} inputs, at most {} MiB", target.name, peak >> 20);
}

fn feed(target: &Target, input: &[u8], whence: &str) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let in_time = began.elapsed() <= PATIENCE;
    if outcome.is_ok() && in_time {
        return;
    }
    let kept = std::env::temp_dir().join(format!("redeploy-fuzz-{}-{}", target.name, std::process::id()));
    std::fs::write(&kept, input).unwrap();
    let what = if outcome.is_err() { "broke a promise" } else { "took too long" };
    panic!("{whence} {what}; add it to corpus/{}: {}", target.name, kept.display());
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The highest mark of this process's memory (proc(5), `VmHWM`).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}
