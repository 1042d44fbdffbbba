//! Other engines than this machine's: the suites run inside hosts that have one of their own.
//!
//! The first test runs always, a part of each suite on the newest engine with the containerd store, which is what
//! new installations have. `make engines` runs the others, which are the whole suites on each engine.

use std::time::Duration;

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::engine_host::{EngineHost, Release, Store, Suites};

/// No suite takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A suite, and which of its tests: those whose names contain one of these, all if there is none.
type Choice = (&'static str, &'static [&'static str]);

/// What differs most between engines.
const PART: &[Choice] = &[
    ("engine_conformance", &["real"]),
    ("oracle", &["storage", "special"]),
    ("redeploy", &["failing::", "backwards::", "data::", "removed::it_is"]),
    ("networks", &["overlay::", "several_networks", "mac_address"]),
];

/// Everything that speaks with an engine, but for the database and the longest loops.
const WHOLE: &[Choice] = &[
    ("engine_conformance", &["real"]),
    ("oracle", &[]),
    ("redeploy", &[]),
    ("networks", &[]),
    ("dependents", &[]),
    ("refusals", &[]),
    ("interference", &[]),
    ("mishaps", &[]),
    ("hostile", &[]),
    ("loops", &["real_redeploy", "real_revert"]),
];

fn prove(release: Release, store: Store, choices: &[Choice]) -> Result<()> {
    let suites = Suites::build()?;
    let host = EngineHost::start(release, store)?;
    let about = host.about()?;
    println!("{release:?}: Engine {}, API 1.{}, {}", about.version, about.api_minor, about.driver);
    ensure!(about.api_minor >= 44, "an engine that is hardly newer than this machine's: {about:?}");
    ensure!(about.containerd_store == (store == Store::Containerd), "{store:?} was asked for: {about:?}");
    let mut failures = Vec::new();
    for (name, filters) in choices {
        match host.run(suites.get(name)?, filters, PATIENCE) {
            Ok(passed) => println!("{release:?} {store:?} {name}: {passed} passed"),
            Err(failure) => failures.push(format!("{failure:#}")),
        }
    }
    ensure!(failures.is_empty(), "on {about:?}:\n{}", failures.join("\n\n"));
    Ok(())
}

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

#[test]
#[ignore = "make engines: 10 minutes"]
fn all_of_it_on_trixie_with_overlay2() -> Result<()> {
    prove(Release::Trixie, Store::Overlay2, WHOLE)
}

#[test]
#[ignore = "make engines: 10 minutes"]
fn all_of_it_on_sid_with_overlay2() -> Result<()> {
    prove(Release::Sid, Store::Overlay2, WHOLE)
}

#[test]
#[ignore = "make engines: 10 minutes"]
fn all_of_it_on_sid_with_the_containerd_store() -> Result<()> {
    prove(Release::Sid, Store::Containerd, WHOLE)
}
