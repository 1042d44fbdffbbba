//! Trees of Debian packages, of which the larger test images are made.
//!
//! Flows in: a command to make or pack one. Flows out: nothing, or all it printed as an error. Must never leave a
//! missing program unexplained.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started or failed; the error carries its output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}: run `make need` first"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name}: {out}{err}");
    Ok(())
}

/// What takes long to make is kept or made here.
///
/// # Errors
/// The file system refused.
pub(crate) fn kept_dir() -> Result<PathBuf> {
    let dir = workspace()?.join("target/test-hosts");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The directory of the workspace these tests were built in.
///
/// # Errors
/// The crate was moved out of it.
pub(crate) fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests crate has no parent")
}
