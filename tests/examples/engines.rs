//! `make engines`: the suites on every engine that Debian has, one after another. Prints version, API, storage and counts,
//! and ends with an error if a suite fails on one of them.

use anyhow::{Result, ensure};
use redeploy_tests::engine_host::{Choice, Release, Store, prove};

/// Everything that speaks with an engine, but for the database and the longest loops.
const WHOLE: &[Choice] = &[
    ("engine_conformance", &["real"]),
    ("oracle", &[]),
    ("redeploy", &[]),
    ("networks", &[]),
    ("dependents", &[]),
    ("compose", &[]),
    ("refusals", &[]),
    ("interference", &[]),
    ("mishaps", &[]),
    ("hostile", &[]),
    ("loops", &["real_redeploy", "real_revert"]),
];

/// From the oldest to the newest.
const ENGINES: [(Release, Store); 3] =
    [(Release::Trixie, Store::Overlay2), (Release::Sid, Store::Overlay2), (Release::Sid, Store::Containerd)];

fn main() -> Result<()> {
    let failures: Vec<String> = ENGINES
        .iter()
        .filter_map(|(release, store)| prove(*release, *store, WHOLE).err())
        .map(|failure| format!("{failure:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}
