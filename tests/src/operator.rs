//! An operator of one sandbox: gives the agent's orders on its command line and hears how they ended.
//!
//! Flows in: a container, an image, the words of a command line. Flows out: an exit code, the report if something
//! was done, the reasons if nothing was. Must never look at the engine: what really happened is for the test to
//! find out.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use redeploy_agent::paths::{DataDir, RedeployDir};
use redeploy_agent::report::{Report, Verdict};
use redeploy_proto::RedeployId;
use serde_json::Value;

use crate::agent::Agent;
use crate::process::{Outcome, Running};
use crate::sandbox::Sandbox;

/// Short waits, so that tests are quick.
const QUICK: &str = "settle_time = \"300ms\"\nverify_timeout = \"30s\"\ncompression_level = 1\n";

/// The variable by which a debug build is told what is to go wrong.
const FAULTS: &str = "REDEPLOY_TEST_FAULTS";

/// SIGKILL.
const KILLED: i32 = 9;

/// Gives orders to the agent of one sandbox.
#[derive(Debug, Clone)]
pub struct Operator {
    data: PathBuf,
    agent: Agent,
}

/// How an order ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code; `None` when a signal ended the agent.
    pub code: Option<i32>,
    /// What was done, one report for each redeploy or revert.
    pub reports: Vec<Report>,
    /// Why nothing was done.
    pub reasons: Vec<String>,
    /// Parked containers that `prune` removed.
    pub pruned: Vec<String>,
    /// Everything there is to see.
    pub outcome: Outcome,
}

impl Answer {
    /// Insists that the new container serves.
    ///
    /// # Errors
    /// It ended otherwise; the error says how.
    pub fn done(self) -> Result<Report> {
        self.verdict(0, Verdict::Done)
    }

    /// Insists that it failed and everything is as it was.
    ///
    /// # Errors
    /// It ended otherwise; the error says how.
    pub fn undone(self) -> Result<Report> {
        self.verdict(1, Verdict::Undone)
    }

    /// Insists that nothing was done, and gives the reasons, one on a line.
    ///
    /// # Errors
    /// Something was done.
    pub fn refused(self) -> Result<String> {
        let refused = self.code == Some(2) && self.reports.is_empty() && !self.reasons.is_empty();
        ensure!(refused, "expected a refusal: {}", self.outcome.describe());
        Ok(self.reasons.join("\n"))
    }

    /// Insists that the words or the configuration were wrong, and gives the complaint.
    ///
    /// # Errors
    /// They were understood.
    pub fn misunderstood(self) -> Result<String> {
        let misunderstood =
            self.code == Some(64) && self.reports.is_empty() && self.outcome.stdout.is_empty();
        ensure!(misunderstood, "expected a complaint: {}", self.outcome.describe());
        Ok(self.outcome.stderr)
    }

    /// The only report, whatever it says.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn report(mut self) -> Result<Report> {
        ensure!(self.reports.len() == 1, "expected one report: {}", self.outcome.describe());
        self.reports.pop().context("no report")
    }

    fn verdict(self, code: i32, verdict: Verdict) -> Result<Report> {
        let is_so = self.code == Some(code) && self.reports.iter().all(|report| report.verdict == verdict);
        ensure!(is_so, "expected {verdict:?} with exit code {code}: {}", self.outcome.describe());
        self.report()
    }

    fn from(outcome: Outcome) -> Result<Self> {
        let (mut reports, mut reasons, mut pruned) = (Vec::new(), Vec::new(), Vec::new());
        for line in outcome.stdout.lines() {
            let event: Value = serde_json::from_str(line).with_context(|| outcome.describe())?;
            match event["event"].as_str() {
                Some("report") => reports.push(serde_json::from_value(event)?),
                Some("refused") => reasons.extend(texts(&event["reasons"])),
                Some("pruned") => pruned.extend(texts(&event["containers"])),
                _ => {}
            }
        }
        Ok(Self { code: outcome.code, reports, reasons, pruned, outcome })
    }
}

impl Operator {
    /// One for this sandbox, with short waits.
    ///
    /// # Errors
    /// The configuration cannot be written, or the agent is not built.
    pub fn new(sandbox: &Sandbox) -> Result<Self> {
        Self::configured(sandbox, "")
    }

    /// One whose configuration says this too.
    ///
    /// # Errors
    /// As [`Operator::new`].
    pub fn configured(sandbox: &Sandbox, toml: &str) -> Result<Self> {
        let agent = sandbox.agent_configured(&format!("{QUICK}{toml}"))?;
        Ok(Self { data: sandbox.data_dir(), agent })
    }

    /// One whose containers must run for two seconds before they count as well: time for a test to act.
    ///
    /// # Errors
    /// As [`Operator::new`].
    pub fn configured_slowly(sandbox: &Sandbox) -> Result<Self> {
        let agent = sandbox.agent_configured(&QUICK.replace("300ms", "2s"))?;
        Ok(Self { data: sandbox.data_dir(), agent })
    }

    /// Any words, with `--json` at their end.
    ///
    /// # Errors
    /// The agent could not be run, or printed something else.
    pub fn ask(&self, words: &[&str]) -> Result<Answer> {
        Answer::from(self.agent.run(&[words, &["--json"]].concat())?)
    }

    /// `redeploy` to an image of this host, and more words: `--pull` among them counts instead.
    ///
    /// # Errors
    /// As [`Operator::ask`].
    pub fn redeploy(&self, container: &str, image: &str, words: &[&str]) -> Result<Answer> {
        self.ask(&redeploy_words(container, image, words))
    }

    /// A redeploy that goes on while the test does something else; [`Operator::end_of`] waits for it.
    ///
    /// # Errors
    /// The agent could not be started.
    pub fn begin_redeploy(&self, container: &str, image: &str, words: &[&str]) -> Result<Running> {
        self.agent.spawn(&[redeploy_words(container, image, words).as_slice(), &["--json"]].concat())
    }

    /// How what was begun ended.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn end_of(&self, running: Running) -> Result<Answer> {
        Answer::from(running.wait(crate::agent::PATIENCE)?)
    }

    /// As [`Operator::end_of`], for what takes long.
    ///
    /// # Errors
    /// It did not end in this time.
    pub fn end_of_long(&self, running: Running, deadline: std::time::Duration) -> Result<Answer> {
        Answer::from(running.wait(deadline)?)
    }

    /// `revert`, and more words.
    ///
    /// # Errors
    /// As [`Operator::ask`].
    pub fn revert(&self, container: &str, words: &[&str]) -> Result<Answer> {
        self.ask(&[&["revert", "--container", container], words].concat())
    }

    /// A redeploy whose agent is killed right after this record of its journal.
    ///
    /// # Errors
    /// The agent ended before.
    pub fn redeploy_killed_at(&self, container: &str, image: &str, record: u32) -> Result<()> {
        let doomed = self.agent.clone().variable(FAULTS, &format!("kill-at={record}"));
        let words = redeploy_words(container, image, &["--json"]);
        let outcome = doomed.run(&words)?;
        ensure!(outcome.signal == Some(KILLED), "it should have been killed: {}", outcome.describe());
        Ok(())
    }

    /// `recover`: one report for each redeploy that was left open.
    ///
    /// # Errors
    /// As [`Operator::ask`].
    pub fn recover(&self) -> Result<Answer> {
        self.ask(&["recover"])
    }

    /// The directory of one redeploy.
    #[must_use]
    pub fn dir_of(&self, id: RedeployId) -> RedeployDir {
        DataDir::new(&self.data).redeploy(id)
    }
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned()))
}

fn redeploy_words<'a>(container: &'a str, image: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let pull: &[&str] =
        if words.iter().any(|word| word.starts_with("--pull")) { &[] } else { &["--pull=never"] };
    [&["redeploy", "--container", container, "--image", image], pull, words].concat()
}
