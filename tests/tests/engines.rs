//! Other engines than this machine's: the suites run inside hosts that have one of their own.
//!
//! A part of some suites on the newest engine with the containerd store, which is what new installations have. The whole
//! suites on each engine are `make engines`, a program of its own (`tests/examples/engines.rs`).

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::engine_host::{Choice, Release, Store, prove};

/// What differs most between engines.
const PART: &[Choice] = &[
    ("engine_conformance", &["real"]),
    ("oracle", &["storage", "special"]),
    ("redeploy", &["failing::", "backwards::", "data::"]),
    ("networks", &["overlay::", "several_networks", "mac_address"]),
    // With version 2 of Compose.
    ("compose", &[]),
];

#[test]
fn the_newest_engine_with_the_containerd_store() -> Result<()> {
    prove(Release::Sid, Store::Containerd, PART)
}

#[test]
fn the_newest_host_has_compose() -> Result<()> {
    let image = Release::Sid.image()?;
    for words in [["docker", "compose"].as_slice(), &["docker-compose"]] {
        let run = [&["run", "--rm", "--network=none", &image], words, &["version", "--short"]].concat();
        let version = Docker.call(&run)?;
        ensure!(version.starts_with(|first: char| first.is_ascii_digit() && first >= '2'), "{version}");
    }
    Ok(())
}
