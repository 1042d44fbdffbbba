//! The processes of a run: the coordinator, and this program again as agents or as the floor.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redeploy_tests::agent::built_beside_tests;
use serde::{Deserialize, Serialize};

use super::machine::Usage;
use super::prepare::Room;

/// A child that says lines. Dropping it kills it.
pub(crate) struct Child {
    process: std::process::Child,
    lines: BufReader<ChildStdout>,
}

impl Child {
    /// This program with these words.
    pub(crate) fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("no output")?;
        Ok(Self { process, lines: BufReader::new(stdout) })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What follows this word in the next line that begins with it.
    pub(crate) fn after(&mut self, word: &str) -> Result<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line)? > 0 {
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
            line.clear();
        }
        bail!("a child ended before it said {word:?}")
    }

    fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.process.stdin.as_mut().context("no input")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The real program.
pub(crate) struct Coordinator {
    child: Child,
    /// Where agents dial.
    pub(crate) agents: String,
    /// Where operators call.
    pub(crate) operators: String,
}

impl Coordinator {
    pub(crate) fn start(room: &Room) -> Result<Self> {
        let mut command = Command::new(built_beside_tests("redeploy-coordinator")?);
        command.arg("--data-dir").arg(room.coordinator());
        command.args(["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--log-level", "warn"]);
        let mut child = Child::spawn(command)?;
        let (agents, operators) = (child.after("agents ")?, child.after("operators ")?);
        Ok(Self { child, agents, operators })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id())
    }
}

/// The agents.
pub(crate) struct Swarm {
    child: Child,
    began: Instant,
}

/// What they were told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Redeploy orders.
    pub(crate) orders: u64,
    /// When the first came.
    pub(crate) first_ms: i64,
    /// When the last came.
    pub(crate) last_ms: i64,
    /// Reports that were acknowledged.
    pub(crate) acknowledged: u64,
}

impl Swarm {
    pub(crate) fn start(room: &Room, address: &str) -> Result<Self> {
        let child = Child::start(&["agents", room.path(), address])?;
        Ok(Self { child, began: Instant::now() })
    }

    /// Waits until all have a session, and gives how long that took.
    pub(crate) fn all_connected(&mut self) -> Result<Duration> {
        self.child.after("connected")?;
        Ok(self.began.elapsed())
    }

    pub(crate) fn told(&mut self) -> Result<Told> {
        self.child.say("told")?;
        Ok(serde_json::from_str(&self.child.after("told ")?)?)
    }
}
