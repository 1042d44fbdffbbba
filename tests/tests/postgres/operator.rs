//! Whoever gives the orders, through the command line: redeploys, reverts, kills the agent half way, recovers, calls
//! it off, and prints how long nothing served.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::steps::Step;
use redeploy_tests::agent::Agent;
use redeploy_tests::postgres::{Database, Version, Writer};
use redeploy_tests::process::Running;
use redeploy_tests::wait;
use serde_json::Value;

const CONFIG: &str = "settle_time = \"2s\"\nverify_timeout = \"60s\"\n";

/// One redeploy of this database is a matter of seconds, on a busy machine of a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the agent is killed: as soon as its journal says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// This step is about to act.
    In(&'static str),
    /// The new server has accepted the client, and is not yet verified.
    Served,
    /// The point of no return.
    Committed,
}

/// The orders for one database.
pub(crate) struct Operator {
    agent: Agent,
    container: String,
}

impl Operator {
    pub(crate) fn new(database: &Database) -> Result<Self> {
        let agent = database.sandbox().agent_configured(CONFIG)?;
        Ok(Self { agent, container: database.container().to_owned() })
    }

    pub(crate) fn redeploy(&self, version: Version, wanted: Verdict, writer: &Writer) -> Result<()> {
        self.order(&self.words_to(version.image()?.as_str()), wanted, writer)
    }

    pub(crate) fn revert(&self, wanted: Verdict, writer: &Writer) -> Result<()> {
        self.order(&["revert", "--container", &self.container, "--volumes", "keep", "--json"], wanted, writer)
    }

    /// Kills the agent at a moment of a redeploy, lets another one recover, and gives how that ended. Forward if and only
    /// if the new server may have served.
    pub(crate) fn killed(&self, version: Version, moment: Moment, writer: &Writer) -> Result<Verdict> {
        let before = writer.count();
        let running = self.agent.spawn(&self.words_to(version.image()?.as_str()))?;
        wait_for(moment, &running, version, writer)?;
        let killed = running.kill()?;
        ensure!(killed.signal == Some(9), "it ended before it could be killed: {}", killed.describe());
        let recovered = self.agent.spawn(&["recover", "--json"])?.wait(PATIENCE)?;
        let Some(report) = report_in(&recovered.stdout)? else {
            // Nothing was left to do: it was killed between its last record and its end.
            ensure!(recovered.code == Some(0) && moment == Moment::Committed, "{}", recovered.describe());
            return Ok(Verdict::Done);
        };
        println!("killed at {moment:?}:");
        tell(&report, writer, before)?;
        let began = report.steps.iter().any(|time| time.step == Step::Start);
        ensure!(began == (report.verdict == Verdict::Done), "{report:#?}");
        Ok(report.verdict)
    }

    /// Calls a redeploy off after the new server has accepted the client.
    pub(crate) fn called_off(&self, version: Version, writer: &Writer) -> Result<()> {
        let before = writer.count();
        let running = self.agent.spawn(&self.words_to(version.image()?.as_str()))?;
        wait_for(Moment::Served, &running, version, writer)?;
        running.terminate()?;
        let outcome = running.wait(PATIENCE)?.expect_code(1)?;
        let report = report_in(&outcome.stdout)?.with_context(|| outcome.describe())?;
        ensure!(report.verdict == Verdict::Undone, "{report:#?}");
        println!("called off after the new one served:");
        tell(&report, writer, before)
    }

    fn words_to<'a>(&'a self, image: &'a str) -> [&'a str; 8] {
        ["redeploy", "--container", &self.container, "--image", image, "--pull", "never", "--json"]
    }

    fn order(&self, words: &[&str], wanted: Verdict, writer: &Writer) -> Result<()> {
        let before = writer.count();
        let outcome = self.agent.spawn(words)?.wait(PATIENCE)?;
        let report = report_in(&outcome.stdout)?.with_context(|| outcome.describe())?;
        ensure!(report.verdict == wanted, "expected {wanted:?}: {report:#?}");
        ensure!(outcome.code == Some(i32::from(wanted != Verdict::Done)), "{}", outcome.describe());
        tell(&report, writer, before)
    }
}

/// The events the agent has printed by now; a line that is not whole yet is none.
fn events(stdout: &str) -> impl Iterator<Item = Value> {
    stdout.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn report_in(stdout: &str) -> Result<Option<Report>> {
    let Some(mut event) = events(stdout).find(|event| event["event"] == "report") else { return Ok(None) };
    if let Some(fields) = event.as_object_mut() {
        fields.remove("event");
    }
    Ok(Some(serde_json::from_value(event)?))
}

fn wait_for(moment: Moment, running: &Running, version: Version, writer: &Writer) -> Result<()> {
    let record = |what: &str, step: Option<&str>| {
        let is_it = |event: Value| {
            event["event"] == "record"
                && event["what"] == what
                && step.is_none_or(|step| event["step"] == step)
        };
        wait::until(PATIENCE, &format!("the record {what} {step:?}"), || {
            Ok(events(&running.stdout_so_far()).any(is_it))
        })
        .with_context(|| format!("{}\n{}", running.stdout_so_far(), running.stderr_so_far()))
    };
    match moment {
        Moment::In(step) => record("started", Some(step)),
        Moment::Served => {
            record("started", Some("start"))?;
            writer.expect_more(20, version.word())
        }
        Moment::Committed => record("committed", None),
    }
}

/// Prints what the agent measured and what the client felt.
fn tell(report: &Report, writer: &Writer, before: usize) -> Result<()> {
    let done = report.verdict == Verdict::Done;
    let (from, to) = (version_of(&report.from), version_of(&report.to));
    writer.expect_more(1, if done { to } else { from })?;
    let downtime =
        report.downtime_ms.map_or_else(|| "was not interrupted".to_owned(), |ms| format!("down {ms} ms"));
    let silence = writer.ledger().longest_silence(before).as_millis();
    let steps = report.steps.iter().map(|time| match time.took_ms {
        Some(ms) => format!("{} {ms}", time.step),
        None => format!("{} -", time.step),
    });
    let steps = steps.collect::<Vec<_>>().join(", ");
    println!(
        "{:?} {from} > {to}: {:?}, {downtime}, client waited {silence} ms; {steps}",
        report.kind, report.verdict
    );
    Ok(())
}

/// `v2` of `redeploy-test/postgres:v2-0123456789ab`.
fn version_of(image: &str) -> &str {
    let tag = image.rsplit_once(':').map_or(image, |(_, tag)| tag);
    tag.split_once('-').map_or(tag, |(version, _)| version)
}
