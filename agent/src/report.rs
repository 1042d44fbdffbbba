//! The report of one redeploy: pure, from its plan, its journal and its manifest. What it says happened, happened.

mod balancer;
mod dependents;

use jiff::Timestamp;
use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};

pub use balancer::BalancerReport;
pub use dependents::DependentReport;

use crate::archive::{Manifest, Skipped};
use crate::plan::{Incoming, Plan};
use crate::recreate::FieldSource;
use crate::saga::{Event, Interference, Outcome, Reason, Record, SagaKind, State, add_note};
use crate::steps::{Step, StepOutput};

/// How it ended, or where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new container serves.
    Done,
    /// The new container serves; tidying up will be tried again.
    DoneUntidy,
    /// It failed, and everything is as it was, but for what [`Failure::made_anew`] and [`Failure::notes`] say.
    Undone,
    /// An undo failed: a human is needed.
    Stuck,
    /// Another process works on it, or it was interrupted: `recover` ends it.
    Unfinished,
}

/// What one step took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// The step.
    pub step: Step,
    /// From its start to its end, in milliseconds; `None` if it did not end.
    pub took_ms: Option<u64>,
    /// What its undo took, in milliseconds.
    pub undo_ms: Option<u64>,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReport {
    /// File name in the archive directory.
    pub file: String,
    /// Size on disk.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// Of the file.
    pub sha256: String,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What turned the saga back.
    pub reason: String,
    /// What somebody else did, if that turned it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interference: Option<Interference>,
    /// What the failed undo said; only when stuck.
    pub stuck: Option<String>,
    /// The new container's last output, with its exit code.
    pub last_words: Option<String>,
    /// How to finish by hand.
    pub recovery_sheet: Option<String>,
    /// What is not as it was before although it was undone: the old container had to be made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_anew: Option<String>,
    /// What else an undo left as it is, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose.
    pub id: RedeployId,
    /// Redeploy or revert.
    pub kind: SagaKind,
    /// The container's name.
    pub node: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Image before.
    pub from: String,
    /// Image after.
    pub to: String,
    /// Digest of the new image, where it has one.
    pub digest: Option<String>,
    /// First record.
    pub began_at: Timestamp,
    /// Last record.
    pub ended_at: Timestamp,
    /// How long nothing served, in milliseconds: from the order to stop the one container to the engine's word that
    /// the other, or the same again, was started. `None` if nothing was stopped.
    pub downtime_ms: Option<u64>,
    /// By step.
    pub steps: Vec<StepTime>,
    /// Archives kept on this host.
    pub archives: Vec<ArchiveReport>,
    /// `.backup` files that the new container has.
    pub backups: Vec<String>,
    /// Where the new container's settings came from.
    pub sources: Vec<FieldSource>,
    /// Remarks of the plan.
    pub warnings: Vec<String>,
    /// Where the previous container is parked, if it is.
    pub parked: Option<String>,
    /// The containers that went along because they lean on this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<DependentReport>,
    /// The server that stands for the node at the load balancer; `None`: there is none, and nothing was drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<BalancerReport>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// What only the disk can tell.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// The manifest, if archives are there.
    pub manifest: Option<Manifest>,
    /// The failed container's last output.
    pub last_words: Option<String>,
    /// The recovery sheet, if one was written.
    pub recovery_sheet: Option<String>,
    /// The same of each dependent, in the plan's order.
    pub dependents: Vec<Leftovers>,
}

/// Puts a report together.
#[must_use]
pub fn report(plan: &Plan, records: &[Record], state: &State, leftovers: Leftovers) -> Report {
    let verdict = verdict(state);
    let first = records.first().map_or(plan.made_at, |record| record.at);
    let last = records.last().map_or(plan.made_at, |record| record.at);
    let committed = matches!(verdict, Verdict::Done | Verdict::DoneUntidy);
    let (digest, sources) = match &plan.incoming {
        Incoming::New(new) => (new.digest.clone(), new.recreation.sources.clone()),
        Incoming::Parked { .. } => (None, Vec::new()),
    };
    Report {
        id: plan.id,
        kind: plan.kind,
        node: plan.node.clone(),
        verdict,
        from: plan.outgoing.image.clone(),
        to: plan.incoming.image().to_owned(),
        digest,
        began_at: first,
        ended_at: last,
        downtime_ms: downtime_ms(records),
        steps: step_times(records),
        archives: leftovers.manifest.as_ref().map(archives).unwrap_or_default(),
        // What an undone container had went with it.
        backups: if committed { backups(records) } else { Vec::new() },
        sources,
        warnings: plan.warnings.clone(),
        parked: committed.then(|| plan.outgoing.parked_name.clone()),
        dependents: dependents::reports(plan, records, committed, &leftovers.dependents),
        balancer: balancer::report(plan, records),
        failure: failure(records, leftovers),
    }
}

impl Report {
    /// Somebody removed the old container before it could be a way back.
    pub fn parked_is_gone(&mut self) {
        if let Some(name) = self.parked.take() {
            self.warnings.push(format!(
                "the old container, to be parked as {name}, was removed by somebody: there is nothing to revert to"
            ));
        }
    }
}

fn verdict(state: &State) -> Verdict {
    match state {
        State::Closed(Outcome::Done) => Verdict::Done,
        State::Closed(Outcome::DoneUntidy) => Verdict::DoneUntidy,
        State::Closed(Outcome::Undone) => Verdict::Undone,
        State::Stuck { .. } => Verdict::Stuck,
        State::Forward { .. } | State::Backward { .. } | State::Retiring => Verdict::Unfinished,
    }
}

fn archives(manifest: &Manifest) -> Vec<ArchiveReport> {
    let archives = manifest.archives.iter();
    let report = archives.map(|line| ArchiveReport {
        file: line.file.clone(),
        bytes: line.bytes,
        entries: line.entries,
        sha256: line.sha256.clone(),
        skipped: line.skipped.clone(),
    });
    report.collect()
}

fn step_times(records: &[Record]) -> Vec<StepTime> {
    let mut times: Vec<StepTime> = Vec::new();
    let mut began: Option<Timestamp> = None;
    for record in records {
        match &record.event {
            Event::Started { step } => {
                began = Some(record.at);
                // One that was interrupted goes on with a step that it had begun.
                if let Some(again) = times.iter().position(|time| time.step == *step) {
                    times.truncate(again);
                }
                times.push(StepTime { step: *step, took_ms: None, undo_ms: None });
            }
            Event::Undoing { .. } => began = Some(record.at),
            Event::Done { .. } => {
                if let Some(time) = times.last_mut() {
                    time.took_ms = began.map(|began| ms_between(began, record.at));
                }
            }
            Event::Undone { step, .. } => {
                if let Some(time) = times.iter_mut().find(|time| time.step == *step) {
                    time.undo_ms = began.map(|began| ms_between(began, record.at));
                }
            }
            Event::Opened { .. }
            | Event::TurnedBack { .. }
            | Event::Stuck { .. }
            | Event::Committed
            | Event::Resumed
            | Event::Closed { .. } => {}
        }
    }
    times
}

/// From the order to stop to the start that made it serve again.
fn downtime_ms(records: &[Record]) -> Option<u64> {
    let mut stopped: Option<Timestamp> = None;
    let mut serving: Option<Timestamp> = None;
    for record in records {
        match &record.event {
            // An interrupted stop may have stopped it; its output never became known.
            Event::Started { step: Step::Stop } => stopped = Some(record.at),
            Event::Done { output, .. } => match output.own() {
                StepOutput::Stopped(output) => stopped = output.asked_at,
                StepOutput::Started(output) => serving = output.at,
                StepOutput::Nothing
                | StepOutput::Created(_)
                | StepOutput::Packed(_)
                | StepOutput::Drained(_)
                | StepOutput::Admitted(_)
                | StepOutput::Settled(_)
                | StepOutput::Crew(_) => {}
            },
            Event::Undoing { step: Step::Start } => serving = None,
            Event::Undone { step: Step::Stop, serving_since, .. } => serving = *serving_since,
            Event::Opened { .. }
            | Event::Started { .. }
            | Event::TurnedBack { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Stuck { .. }
            | Event::Committed
            | Event::Resumed
            | Event::Closed { .. } => {}
        }
    }
    Some(ms_between(stopped?, serving?))
}

fn backups(records: &[Record]) -> Vec<String> {
    let settled = records.iter().rev().find_map(|record| {
        let Event::Done { output, .. } = &record.event else { return None };
        let StepOutput::Settled(settled) = output.own() else { return None };
        Some(settled.backups.clone())
    });
    settled.unwrap_or_default()
}

/// From the records, because an ended saga's state no longer says why it turned back.
fn failure(records: &[Record], leftovers: Leftovers) -> Option<Failure> {
    let mut reason = None;
    let mut interference = None;
    let mut stuck = None;
    let mut made_anew = None;
    let mut told: Vec<String> = Vec::new();
    for record in records {
        match &record.event {
            Event::TurnedBack { reason: why } => {
                reason = Some(why.to_string());
                interference = interference_of(why);
            }
            Event::Stuck { step, error } => stuck = Some(format!("undo of {step} failed: {error}")),
            Event::Resumed => stuck = None,
            Event::Undone { note, notes, .. } => {
                made_anew = made_anew.or_else(|| note.clone());
                notes.iter().for_each(|note| add_note(&mut told, note.clone()));
            }
            Event::Opened { .. }
            | Event::Started { .. }
            | Event::Done { .. }
            | Event::Undoing { .. }
            | Event::Committed
            | Event::Closed { .. } => {}
        }
    }
    let Leftovers { last_words, recovery_sheet, .. } = leftovers;
    let notes = told;
    reason.map(|reason| Failure { reason, interference, stuck, last_words, recovery_sheet, made_anew, notes })
}

fn interference_of(reason: &Reason) -> Option<Interference> {
    match reason {
        Reason::Failed { interference, .. } => interference.clone(),
        Reason::Interrupted | Reason::Cancelled => None,
    }
}

fn ms_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed { step, error, .. } => write!(f, "step {step} failed: {error}"),
            Self::Interrupted => f.write_str("the agent was interrupted"),
            Self::Cancelled => f.write_str("it was cancelled"),
        }
    }
}
