//! What has been done on this host: every redeploy's plan, journal and state, read from the data directory.
//!
//! Flows in: the data directory. Flows out: entries, newest first. Must never change anything, and never give up
//! on all entries because one is damaged.

use std::path::PathBuf;

use jiff::Timestamp;
use redeploy_proto::RedeployId;
use walkdir::WalkDir;

use crate::paths::{DataDir, RedeployDir};
use crate::plan::Plan;
use crate::saga::{Event, JournalError, Outcome, Record, State, read_journal, state_of};
use crate::steps::steps_of_plan;

/// One redeploy or revert.
#[derive(Debug)]
pub struct Entry {
    /// Its directory.
    pub dir: RedeployDir,
    /// Its plan.
    pub plan: Plan,
    /// Its journal.
    pub records: Vec<Record>,
    /// Where it stands.
    pub state: State,
}

/// An entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is none of that name.
    #[error("no redeploy matches {text:?}: `redeploy-agent history` lists them")]
    NoSuch {
        /// What was asked for.
        text: String,
    },
    /// More than one.
    #[error("{text:?} matches {count} redeploys: write more of the id")]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// How many.
        count: usize,
    },
    /// The plan cannot be read.
    #[error("cannot read the plan {path}: {detail}", path = path.display())]
    Plan {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Plans are a few dozen kilobytes; anything near this is not ours.
const PLAN_BYTES_MAX: u64 = 64 << 20;

/// Every redeploy that has begun, newest first; damaged ones as errors.
pub fn load(data: &DataDir) -> Vec<Result<Entry, HistoryError>> {
    let mut ids: Vec<RedeployId> = ids(data).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.into_iter().filter_map(|id| load_one(data, id).transpose()).collect()
}

/// A saga that works on this node, as the container itself or as a dependent, and has not ended, or cannot be read
/// and so might not have.
#[must_use]
pub fn may_be_open(data: &DataDir, node: &str) -> Option<RedeployId> {
    let concerns =
        |plan: &Plan| plan.node == node || plan.dependents.iter().any(|dependent| dependent.node == node);
    ids(data).find(|id| match load_one(data, *id) {
        Ok(None) => false,
        Ok(Some(entry)) => !entry.has_ended() && concerns(&entry.plan),
        // Whose it is may still be told by its plan; if not, it may be anybody's.
        Err(_) => read_plan(&data.redeploy(*id)).map_or(true, |plan| concerns(&plan)),
    })
}

/// Ids of containers that are parked now, as far as history can be read.
#[must_use]
pub fn parked(data: &DataDir) -> Vec<(String, String)> {
    let entries = load(data).into_iter().flatten().filter(Entry::is_committed);
    let parked = entries.flat_map(|entry| {
        let plans: Vec<Plan> = entry.plan.dependents.iter().cloned().chain([entry.plan.clone()]).collect();
        plans.into_iter().map(|plan| (plan.outgoing.id, plan.outgoing.parked_name))
    });
    parked.collect()
}

/// The readable entries of one node, newest first.
#[must_use]
pub fn of_node(data: &DataDir, node: &str) -> Vec<Entry> {
    load(data).into_iter().flatten().filter(|entry| entry.plan.node == node).collect()
}

/// One entry; `None` if its directory holds a plan that was never begun.
///
/// # Errors
/// [`HistoryError`]
pub fn load_one(data: &DataDir, id: RedeployId) -> Result<Option<Entry>, HistoryError> {
    let dir = data.redeploy(id);
    if !dir.journal().exists() {
        return Ok(None);
    }
    let plan = read_plan(&dir)?;
    let records = read_journal(&dir.journal())?;
    let state = state_of(&dir.journal(), &records, steps_of_plan(&plan))?;
    Ok(Some(Entry { dir, plan, records, state }))
}

/// The entry whose id is, begins with or ends with `text`.
///
/// # Errors
/// [`HistoryError::NoSuch`], [`HistoryError::Ambiguous`], or why it cannot be read.
pub fn find(data: &DataDir, text: &str) -> Result<Entry, HistoryError> {
    let matches = |id: &RedeployId| {
        let id = id.to_string();
        !text.is_empty() && (id.starts_with(text) || id.ends_with(text))
    };
    let found: Vec<RedeployId> = ids(data).filter(matches).collect();
    let no_such = || HistoryError::NoSuch { text: text.to_owned() };
    match found.as_slice() {
        [] => Err(no_such()),
        [id] => load_one(data, *id)?.ok_or_else(no_such),
        several => Err(HistoryError::Ambiguous { text: text.to_owned(), count: several.len() }),
    }
}

/// Every directory that bears an id, begun or not, in no order.
pub fn ids(data: &DataDir) -> impl Iterator<Item = RedeployId> {
    let entries = WalkDir::new(data.redeploys()).min_depth(1).max_depth(1).into_iter().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read_plan(dir: &RedeployDir) -> Result<Plan, HistoryError> {
    use std::io::Read;
    let path = dir.plan();
    let wrong = |detail: String| HistoryError::Plan { path: path.clone(), detail };
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(|error| wrong(error.to_string()))?;
    file.take(PLAN_BYTES_MAX).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

impl Entry {
    /// Is nothing left to do?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.state.is_open()
    }

    /// Is the new state the state, tidied up or not?
    #[must_use]
    pub fn is_committed(&self) -> bool {
        match &self.state {
            State::Retiring | State::Closed(Outcome::Done | Outcome::DoneUntidy) => true,
            State::Forward { .. }
            | State::Backward { .. }
            | State::Stuck { .. }
            | State::Closed(Outcome::Undone) => false,
        }
    }

    /// When its last record was written.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.records.last().map_or(self.plan.made_at, |record| record.at)
    }

    /// When it began.
    #[must_use]
    pub fn began_at(&self) -> Timestamp {
        let opened = self.records.iter().find(|record| matches!(record.event, Event::Opened { .. }));
        opened.map_or(self.plan.made_at, |record| record.at)
    }
}
