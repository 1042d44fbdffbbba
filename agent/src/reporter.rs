//! What the coordinator has not been told yet, or has not said it stored: a function of the disk.
//!
//! Flows in: the history, orders, acknowledgements. Flows out: reports as they go over the wire, of the coordinator's
//! orders and of local commands alike. Must never say anything the journal does not.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use redeploy_proto::{RedeployId, v1};

use crate::durable::{self, DurableError};
use crate::history::{self, Entry};
use crate::orders::leftovers;
use crate::paths::DataDir;
use crate::report::{self, Report, Verdict};
use crate::saga::SagaKind;
use crate::session::Note;

/// Longer texts are cut: they are on this host in full.
const TEXT_BYTES_MAX: usize = 64 << 10;
const LIST_MAX: usize = 500;

/// Finds what is to be reported.
pub struct Reporter {
    data: DataDir,
    /// Local commands before this are nobody's business.
    joined_at: Timestamp,
    /// Ended for good and acknowledged: not looked at again.
    settled: Mutex<HashSet<RedeployId>>,
}

impl Reporter {
    /// Reports of this data directory, for the coordinator that was joined then.
    #[must_use]
    pub fn new(data: &DataDir, joined_at: Timestamp) -> Self {
        Self { data: data.clone(), joined_at, settled: Mutex::default() }
    }

    /// Every report that is not acknowledged, oldest first. Reads the disk.
    #[must_use]
    pub fn due(&self) -> Vec<(RedeployId, v1::Report)> {
        let mut ids: Vec<RedeployId> = {
            let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
            history::ids(&self.data).filter(|id| !settled.contains(id)).collect()
        };
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| Some((id, self.due_of(id)?))).collect()
    }

    fn due_of(&self, id: RedeployId) -> Option<v1::Report> {
        let report = self.report(id)?;
        let word = report.verdict().as_str_name();
        let known = std::fs::read_to_string(self.data.redeploy(id).acknowledged()).ok();
        if known.as_deref() != Some(word) {
            return Some(report);
        }
        // What is stuck or untidy may end otherwise yet.
        if matches!(report.verdict(), v1::Verdict::Done | v1::Verdict::Undone | v1::Verdict::Refused) {
            self.settle(id);
        }
        None
    }

    fn settle(&self, id: RedeployId) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// The report of one that has ended and concerns the coordinator.
    #[must_use]
    pub fn report(&self, id: RedeployId) -> Option<v1::Report> {
        let note = Note::read(&self.data.redeploy(id));
        let entry = match history::load_one(&self.data, id) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%id, error = crate::explain::explain(&error), "cannot be reported");
                return None;
            }
        };
        match (entry, note) {
            (Some(entry), None) if entry.plan.made_at < self.joined_at => {
                self.settle(id);
                None
            }
            (Some(entry), note) => self.ended(&entry, note.as_ref()),
            (None, Some(note)) if !note.refusals.is_empty() => Some(refused(id, &note)),
            (None, _) => None,
        }
    }

    fn ended(&self, entry: &Entry, note: Option<&Note>) -> Option<v1::Report> {
        let report =
            report::report(&entry.plan, &entry.records, &entry.state, leftovers(&self.data, entry.plan.id));
        let verdict = wire_verdict(report.verdict)?;
        Some(wire(report, verdict, note))
    }

    /// The coordinator has stored the report with this verdict.
    ///
    /// # Errors
    /// [`DurableError`]: it will be told again, which does no harm.
    pub fn acknowledge(&self, id: RedeployId, verdict: v1::Verdict) -> Result<(), DurableError> {
        durable::write(&self.data.redeploy(id).acknowledged(), verdict.as_str_name().as_bytes())
    }
}

/// None while it has not ended.
fn wire_verdict(verdict: Verdict) -> Option<v1::Verdict> {
    match verdict {
        Verdict::Done => Some(v1::Verdict::Done),
        Verdict::DoneUntidy => Some(v1::Verdict::DoneUntidy),
        Verdict::Undone => Some(v1::Verdict::Undone),
        Verdict::Stuck => Some(v1::Verdict::Stuck),
        Verdict::Unfinished => None,
    }
}

fn wire_kind(kind: SagaKind) -> v1::RedeployKind {
    match kind {
        SagaKind::Redeploy => v1::RedeployKind::Redeploy,
        SagaKind::Revert => v1::RedeployKind::Revert,
    }
}

/// The report of an order about which nothing was done.
pub(crate) fn refused(id: RedeployId, note: &Note) -> v1::Report {
    let at = note.accepted_at.as_millisecond();
    v1::Report {
        redeploy_id: id.to_string(),
        kind: wire_kind(note.kind).into(),
        verdict: v1::Verdict::Refused.into(),
        container: note.container.clone(),
        node_id: note.node_id,
        generation: note.generation,
        began_at_ms: at,
        ended_at_ms: at,
        refusals: note.refusals.iter().take(LIST_MAX).map(|text| cut(text.clone())).collect(),
        ..v1::Report::default()
    }
}

fn wire(report: Report, verdict: v1::Verdict, note: Option<&Note>) -> v1::Report {
    let steps = report.steps.iter().map(|time| v1::StepTime {
        step: time.step.word().to_owned(),
        took_ms: time.took_ms,
        undo_ms: time.undo_ms,
    });
    let archives = report.archives.into_iter().take(LIST_MAX).map(|archive| v1::ArchiveFile {
        file: archive.file,
        size_bytes: archive.bytes,
        entries: archive.entries,
        sha256: archive.sha256,
        skipped: u64::try_from(archive.skipped.len()).unwrap_or(u64::MAX),
    });
    v1::Report {
        redeploy_id: report.id.to_string(),
        kind: wire_kind(report.kind).into(),
        verdict: verdict.into(),
        container: report.node,
        node_id: note.map_or(0, |note| note.node_id),
        generation: note.map_or(0, |note| note.generation),
        is_local: note.is_none(),
        from_image: report.from,
        to_image: report.to,
        digest: report.digest.unwrap_or_default(),
        began_at_ms: report.began_at.as_millisecond(),
        ended_at_ms: report.ended_at.as_millisecond(),
        downtime_ms: report.downtime_ms,
        steps: steps.collect(),
        archives: archives.collect(),
        backups: report.backups.into_iter().take(LIST_MAX).collect(),
        warnings: report.warnings.into_iter().take(LIST_MAX).map(cut).collect(),
        parked: report.parked.unwrap_or_default(),
        failure: report.failure.map(|failure| v1::Failure {
            reason: cut(failure.reason),
            stuck: cut(failure.stuck.unwrap_or_default()),
            last_words: cut(failure.last_words.unwrap_or_default()),
            recovery_sheet: cut(failure.recovery_sheet.unwrap_or_default()),
        }),
        refusals: Vec::new(),
    }
}

/// At most [`TEXT_BYTES_MAX`], whole characters.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
