//! The part of a report that is about one dependent: what was made anew, when it stood still, what is kept. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ArchiveReport, Leftovers, archives, ms_between};
use crate::plan::Plan;
use crate::saga::{Event, Record};
use crate::steps::StepOutput;

/// A container that went along because it leans on the one that was redeployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentReport {
    /// Its name.
    pub node: String,
    /// Its image, the same before and after.
    pub image: String,
    /// The full id of the container that was made anew; `None` when that one is gone again.
    pub made_anew: Option<String>,
    /// Where its previous container is parked, if it is.
    pub parked: Option<String>,
    /// When it was ordered to stop, if that is known.
    pub stopped_at: Option<Timestamp>,
    /// When the one made anew was started.
    pub started_at: Option<Timestamp>,
    /// From the one to the other, in milliseconds; `None` if it never stopped, or was brought back by an undo.
    pub downtime_ms: Option<u64>,
    /// Archives kept on this host, in its own directory.
    pub archives: Vec<ArchiveReport>,
    /// The failed container's last output, with its exit code.
    pub last_words: Option<String>,
}

pub(super) fn reports(
    plan: &Plan,
    records: &[Record],
    committed: bool,
    leftovers: &[Leftovers],
) -> Vec<DependentReport> {
    let report = |(index, plan): (usize, &Plan)| {
        let seen = Seen::of(records, index);
        let left = leftovers.get(index);
        DependentReport {
            node: plan.node.clone(),
            image: plan.outgoing.image.clone(),
            made_anew: seen.made_anew.filter(|_| committed),
            parked: committed.then(|| plan.outgoing.parked_name.clone()),
            stopped_at: seen.stopped_at,
            started_at: seen.started_at,
            downtime_ms: seen
                .stopped_at
                .zip(seen.started_at)
                .filter(|_| committed)
                .map(|(a, b)| ms_between(a, b)),
            archives: left.and_then(|left| left.manifest.as_ref()).map(archives).unwrap_or_default(),
            last_words: left.and_then(|left| left.last_words.clone()),
        }
    };
    plan.dependents.iter().enumerate().map(report).collect()
}

/// What the outputs of the steps tell of one dependent.
#[derive(Default)]
struct Seen {
    made_anew: Option<String>,
    stopped_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
}

impl Seen {
    fn of(records: &[Record], index: usize) -> Self {
        let mut seen = Self::default();
        for record in records {
            let Event::Done { output: StepOutput::Crew(outputs), .. } = &record.event else { continue };
            // The container itself comes first.
            match outputs.get(index.saturating_add(1)) {
                Some(StepOutput::Created(created)) => seen.made_anew = Some(created.container.clone()),
                Some(StepOutput::Stopped(stopped)) => seen.stopped_at = stopped.asked_at,
                Some(StepOutput::Started(started)) => seen.started_at = started.at,
                Some(
                    StepOutput::Nothing
                    | StepOutput::Packed(_)
                    | StepOutput::Drained(_)
                    | StepOutput::Admitted(_)
                    | StepOutput::Settled(_)
                    | StepOutput::Crew(_),
                )
                | None => {}
            }
        }
        seen
    }
}
