//! The proof on another engine: chosen suites, run in a host that has it.
//!
//! Flows in: which engine, which suites. Flows out: a line per suite with its counts, or all that failed. Must never
//! run on another engine than it was asked for.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{EngineHost, Release, Store, Suites};

/// No suite takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A suite, and which of its tests: those whose names contain one of these, all if there is none.
pub type Choice = (&'static str, &'static [&'static str]);

/// Runs `choices` in a host of `release` whose engine keeps images in `store`.
///
/// # Errors
/// There is no such host here, its engine is not what was asked for, or a suite fails.
pub fn prove(release: Release, store: Store, choices: &[Choice]) -> Result<()> {
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
