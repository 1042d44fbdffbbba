//! jelastic-client, a client of Jelastic's API from PyPI, against a coordinator of a test.
//!
//! Flows in: a coordinator, an environment. Flows out: what the client got, step by step. Its virtual environment is in
//! `target/`; `scripts/need` makes it. Must never be called without: a test that cannot run says how to make it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::debian::workspace;
use crate::fleet::Fleet;
use crate::process::Running;

/// The whole script, with its redeploys.
const PATIENCE: Duration = Duration::from_secs(120);

fn python() -> Result<PathBuf> {
    let venv = workspace()?.join("target/jelastic-client");
    let (wanted, is) =
        (workspace()?.join("tests/jelastic-client/requirements.txt"), venv.join("requirements.txt"));
    let made = std::fs::read(is).ok() == Some(std::fs::read(wanted)?);
    ensure!(made, "{} is not there, or of other versions: run `make need` first", venv.display());
    Ok(venv.join("bin/python"))
}

/// What the client got, by step.
///
/// # Errors
/// It is not installed, or the script broke off.
pub fn drive(fleet: &Fleet<'_>, env: &str, group: &str) -> Result<BTreeMap<String, Value>> {
    let mut command = Command::new(python()?);
    command.arg(workspace()?.join("tests/jelastic-client/drive.py"));
    command.env("COORDINATOR", fleet.operators()?).env("ENVIRONMENT", env).env("GROUP", group);
    command.env("SSL_CERT_FILE", fleet.data_dir().join("pki/ca.crt"));
    command.env("TOKEN_FILE", fleet.data_dir().join("admin.token"));
    let outcome = Running::spawn(command)?.wait(PATIENCE)?.expect_code(0)?;
    let step = |line: &str| -> Result<(String, Value)> {
        let told: Value = serde_json::from_str(line).with_context(|| outcome.describe())?;
        Ok((told["step"].as_str().context("no step")?.to_owned(), told))
    };
    outcome.stdout.lines().map(step).collect()
}
