//! The subject's binary, linked statically so that it runs in an image that holds nothing else.
//!
//! Flows in: the sources in `tests/subject`. Flows out: the path of a binary that is as new as they are. Must
//! never be built twice at once: tests run as many processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::lock;
use crate::freshness;

/// Builds the binary if it has to be, and gives its path.
pub(super) fn binary() -> Result<PathBuf> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests crate has no parent")?;
    let target_dir = workspace.join("target/static");
    // As `scripts/build-subject` prints it; asking cargo each time would cost every test a fifth of a second.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let binary = target_dir.join(triple).join("release/subject");
    // The usual case, which needs no lock: a test host has these directories for reading only.
    if freshness::check(&binary).is_ok() {
        return Ok(binary);
    }
    std::fs::create_dir_all(&target_dir)?;
    let _lock = lock(&target_dir.join("subject.lock"))?;
    if freshness::check(&binary).is_err() {
        build(workspace)?;
        freshness::check(&binary).context("the subject was just built")?;
    }
    Ok(binary)
}

fn build(workspace: &Path) -> Result<()> {
    let output = Command::new(workspace.join("scripts/build-subject")).output();
    let output = output.context("cannot start scripts/build-subject")?;
    ensure!(output.status.success(), "building the subject: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
