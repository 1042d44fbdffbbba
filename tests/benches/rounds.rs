//! What a name costs: in the first round, in a last round that finds nothing or little changed (that is downtime), and
//! when it is restored.
//!
//! Flows in: `BENCH_NAMES` (default `1,20000,200000`; a million takes minutes), how many tiny files; `BENCH_ROUNDS`
//! (default 3) last rounds of each kind. Flows out: time per name and this process's peak of memory, which only grows
//! from one size to the next. No engine is needed.

#![expect(clippy::disallowed_methods, reason = "a benchmark writes plain files")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redeploy_agent::archive::{ApplyMode, Capture, PackOptions, RoundKind, Selection, Watch, apply};
use redeploy_agent::config::Config;
use redeploy_agent::guest_path::GuestPath;
use redeploy_agent::rootfs::Root;
use redeploy_tests::contest::{Goal, Times, Verdict};
use redeploy_tests::peak::Peak;
use redeploy_tests::settings;

const IN_ONE_DIRECTORY: u64 = 1000;
const MIB: f64 = 1048576.0;

fn main() -> Result<()> {
    let rounds = settings::number("BENCH_ROUNDS", 3)?;
    let sizes = std::env::var("BENCH_NAMES").unwrap_or_else(|_| "1,20000,200000".to_owned());
    for size in sizes.split(',') {
        let names = size.trim().parse().with_context(|| format!("BENCH_NAMES: {size} is no number"))?;
        measure(names, rounds)?;
    }
    Ok(())
}

fn measure(names: u64, rounds: u64) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("redeploy-bench-").tempdir_in("/var/tmp")?;
    let (tree, archives, copy) =
        (dir.path().join("tree"), dir.path().join("archives"), dir.path().join("copy"));
    for made in [&tree, &archives, &copy] {
        std::fs::create_dir(made)?;
    }
    fill(&tree, names)?;
    let root = Root::open_dir(&tree, "tree")?;
    // Files younger than the clock's tick are read again: that is not what is measured here.
    std::thread::sleep(Duration::from_millis(100));
    let mut capture = Capture::begin(&archives, "tree", everything(), options()?)?;
    let [mut first, mut idle, mut busy, mut restored] = [const { Times::none() }; 4];
    first.time(|| Ok(capture.round(&root, RoundKind::Live, &Watch::new())?))?;
    for round in 0..rounds {
        idle.time(|| Ok(capture.round(&root, RoundKind::Final, &Watch::new())?))?;
        std::fs::write(tree.join("0/0"), round.to_string())?;
        busy.time(|| Ok(capture.round(&root, RoundKind::Final, &Watch::new())?))?;
    }
    let began = Instant::now();
    let line = capture.finish()?;
    let finish = began.elapsed();
    let to = Root::open_dir(&copy, "copy")?;
    restored.time(|| Ok(apply(&archives, &line, 1, &to, &ApplyMode::Replace, &Watch::new())?))?;
    println!("{names} files");
    for (what, times) in [
        ("first round", &first),
        ("last, all same", &idle),
        ("last, one new", &busy),
        ("restored", &restored),
    ] {
        println!("  {what:<15} {times}: {:.2} µs per name", times.median() * 1e6 / names as f64);
    }
    println!("  finish          {:.3} s", finish.as_secs_f64());
    let peak = Peak::own()? as f64 / MIB;
    println!("{}", Verdict::of("memory: this process's peak so far, MiB", peak, Goal::AtMost(64.0)));
    Ok(())
}

fn options() -> Result<PackOptions> {
    let threads = std::thread::available_parallelism()?.get();
    let level = Config::built_in().compression_level;
    Ok(PackOptions { level, threads, entries_max: 0, archive_bytes_max: 0 })
}

fn everything() -> Selection {
    Selection { include: vec![GuestPath::root()], exclude: Vec::new() }
}

fn fill(tree: &Path, names: u64) -> Result<()> {
    for number in 0..names {
        let dir = tree.join((number / IN_ONE_DIRECTORY).to_string());
        if number % IN_ONE_DIRECTORY == 0 {
            std::fs::create_dir(&dir)?;
        }
        std::fs::write(dir.join(number.to_string()), number.to_string())?;
    }
    Ok(())
}
