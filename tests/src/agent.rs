//! The real `redeploy-agent` program, run as its users run it.
//!
//! Flows in: arguments. Flows out: exit code and outputs, or a running process to kill. Must never test an agent
//! other than the one these sources build: an older binary is refused with the command that builds it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::freshness;
use crate::process::{Outcome, Running};

/// A whole redeploy of a small container takes a few seconds; no command of a test takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How to start the agent for one sandbox.
#[derive(Debug, Clone)]
pub struct Agent {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Agent {
    /// The agent with its data in `data_dir`, and nothing from the caller's environment that would move it.
    ///
    /// # Errors
    /// It is not built, or older than its sources; the error names the command to run.
    pub fn new(data_dir: &Path) -> Result<Self> {
        let program = built_beside_tests("redeploy-agent")?;
        let data_dir = data_dir.to_str().context("the data directory's path is not UTF-8")?;
        Ok(Self { program, arguments: vec!["--data-dir".into(), data_dir.into()], variables: Vec::new() })
    }

    /// The same agent with one more global option and its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// The same agent with one more environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Copies the program into a directory, for users who may not reach where it was built, and gives its path.
    ///
    /// # Errors
    /// The file system refused.
    pub fn copied_to(&self, dir: &Path) -> Result<PathBuf> {
        let copy = dir.join("redeploy-agent");
        std::fs::copy(&self.program, &copy)?;
        Ok(copy)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// It cannot be started, or does not end in two minutes. An exit code is no error: see
    /// [`Outcome::expect_code`].
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        self.spawn(arguments)?.wait(PATIENCE)
    }

    /// Starts it and leaves it running: for tests that kill it, or watch it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = Command::new(&self.program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REDEPLOY_"))
        {
            command.env_remove(name);
        }
        command.args(&self.arguments).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Running::spawn(command)
    }
}

/// `target/<profile>/NAME`, given that this test runs from `target/<profile>/deps`.
pub fn built_beside_tests(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("the test runs from an unusual place")?;
    let program = profile.join(name);
    freshness::check(&program)
        .map_err(|stale| anyhow!("{stale}; build the programs first: cargo build --workspace --bins"))?;
    Ok(program)
}
