//! The suites as programs that can be run elsewhere, and what they say at the end.
//!
//! Flows in: what cargo built. Flows out: program and directory of each suite. Cargo itself is asked, and builds
//! what is stale: must never run tests of older sources.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::debian::workspace;
use crate::engine::text_at;
use crate::images;

/// How much of a suite's output an error shows.
const TAIL_BYTES: usize = 12_000;

/// One suite.
#[derive(Debug, Clone)]
pub struct Suite {
    /// As in `cargo test --test NAME`.
    pub name: String,
    pub(super) program: String,
    pub(super) directory: String,
}

/// All suites of the workspace, by name.
#[derive(Debug)]
pub struct Suites(BTreeMap<String, Suite>);

impl Suites {
    /// Has everything built that the suites need, and finds them.
    ///
    /// # Errors
    /// It does not build; the compiler's words are in the error.
    pub fn build() -> Result<Self> {
        // They have no compiler where they run.
        images::bare_subject_is_built()?;
        let mut command = Command::new("cargo");
        command.args(["test", "--no-run", "--locked", "--workspace", "--message-format=json"]);
        if cfg!(not(debug_assertions)) {
            command.arg("--release");
        }
        // What cargo tells this test about itself is not meant for another cargo.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        let output = command.current_dir(workspace()?).output().context("cannot start cargo")?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "building the suites: {}", tail(&words));
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let tests = messages.filter(|message| message["target"]["kind"][0] == "test");
        let suites = tests.map(|message| read(&message).map(|suite| (suite.name.clone(), suite)));
        Ok(Self(suites.collect::<Result<_>>()?))
    }

    /// The suite of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<&Suite> {
        self.0.get(name).with_context(|| format!("there is no suite {name}"))
    }
}

fn read(message: &Value) -> Result<Suite> {
    let manifest = text_at(message, "/manifest_path")?;
    let directory = Path::new(&manifest).parent().context("a manifest without a directory")?;
    Ok(Suite {
        name: text_at(message, "/target/name")?,
        program: text_at(message, "/executable")?,
        directory: directory.display().to_string(),
    })
}

/// How many tests passed, as the last line of a suite says.
pub(super) fn passed(output: &str) -> Option<u32> {
    let line = output.lines().rev().find(|line| line.starts_with("test result: "))?;
    let (before, _) = line.split_once(" passed")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// The end of a long text.
pub(super) fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(TAIL_BYTES);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    text.get(start..).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_is_read() {
        let output = "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        assert_eq!(passed(output), Some(2));
        assert_eq!(passed("test a has been running for over 60 seconds"), None);
        assert_eq!(tail(&"é".repeat(TAIL_BYTES)).len(), TAIL_BYTES);
    }
}
