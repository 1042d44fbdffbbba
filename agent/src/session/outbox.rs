//! What waits to be said in a session: little, newest first in importance, and none of it durable. Reports are not in
//! here: they are on disk.
//!
//! Flows in: jobs, from any thread. Flows out: messages for whoever holds the session now. Must never make a job wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use redeploy_proto::v1::agent_message::Message;
use redeploy_proto::{RedeployId, v1};
use tokio::sync::Notify;

use crate::plan::Plan;
use crate::progress::Audience;
use crate::report::Report;
use crate::saga::{Event, Record};
use crate::steps::Step;

#[derive(Default)]
struct Waiting {
    accepted: BTreeSet<RedeployId>,
    progress: HashMap<RedeployId, v1::Progress>,
    preflights: HashMap<RedeployId, v1::Preflight>,
    /// Answers to orders that are not written down, or were reported before.
    answers: Vec<v1::Report>,
}

/// See above.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Something is to be said at once. Progress can wait.
    pub(super) news: Notify,
    /// A job is over: a report may be on disk.
    pub(super) ended: Notify,
}

impl Outbox {
    pub(super) fn accepted(&self, id: RedeployId) {
        self.lock().accepted.insert(id);
        self.news.notify_one();
    }

    pub(super) fn preflight(&self, id: RedeployId, preflight: v1::Preflight) {
        self.lock().preflights.insert(id, preflight);
        self.news.notify_one();
    }

    pub(super) fn answer(&self, report: v1::Report) {
        self.lock().answers.push(report);
        self.news.notify_one();
    }

    fn progress(&self, progress: v1::Progress, id: RedeployId) {
        self.lock().progress.insert(id, progress);
    }

    /// Forgets how far a job was, because it is over.
    pub(super) fn over(&self, id: RedeployId) {
        self.lock().progress.remove(&id);
        self.ended.notify_one();
    }

    /// A new session: what an old one did not say is asked for again.
    pub(super) fn clear(&self) {
        *self.lock() = Waiting::default();
    }

    /// Everything that waits.
    pub(super) fn take(&self) -> Vec<Message> {
        let waiting = std::mem::take(&mut *self.lock());
        let accepted =
            waiting.accepted.iter().map(|id| Message::Accepted(v1::Accepted { redeploy_id: id.to_string() }));
        let preflights = waiting.preflights.into_iter().map(|(id, preflight)| {
            Message::Preflight(v1::PreflightResult {
                redeploy_id: id.to_string(),
                preflight: Some(preflight),
            })
        });
        let progress = waiting.progress.into_values().map(Message::Progress);
        let answers = waiting.answers.into_iter().map(Message::Report);
        accepted.chain(preflights).chain(answers).chain(progress).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches one job for the coordinator.
pub(super) struct Watcher {
    pub(super) id: RedeployId,
    pub(super) outbox: Arc<Outbox>,
    /// Its plan stands: from here on a saga runs.
    pub(super) is_planned: AtomicBool,
}

impl Watcher {
    fn tell(&self, step: &str, is_undoing: bool, what: &str, (done, total): (u64, u64), files: u64) {
        let progress = v1::Progress {
            redeploy_id: self.id.to_string(),
            step: step.to_owned(),
            is_undoing,
            what: what.to_owned(),
            done_bytes: done,
            total_bytes: total,
            done_files: files,
            at_ms: Timestamp::now().as_millisecond(),
        };
        self.outbox.progress(progress, self.id);
    }
}

impl Audience for Watcher {
    fn pulling(&self, reference: &str, bytes_done: u64, bytes_total: u64) {
        self.tell("pull", false, reference, (bytes_done, bytes_total), 0);
    }

    fn plan(&self, _: &Plan) {
        self.is_planned.store(true, Ordering::SeqCst);
    }

    fn record(&self, record: &Record) {
        match &record.event {
            Event::Started { step } => {
                tracing::info!(id = %self.id, %step, "begins");
                self.tell(step.word(), false, "", (0, 0), 0);
            }
            Event::Undoing { step } => {
                tracing::info!(id = %self.id, %step, "is being undone");
                self.tell(step.word(), true, "", (0, 0), 0);
            }
            Event::Opened { .. }
            | Event::Done { .. }
            | Event::TurnedBack { .. }
            | Event::Undone { .. }
            | Event::Stuck { .. }
            | Event::Committed
            | Event::Resumed
            | Event::Closed { .. } => {}
        }
    }

    fn progress(&self, step: Step, what: &str, bytes: u64, files: u64) {
        self.tell(step.word(), false, what, (bytes, 0), files);
    }

    fn report(&self, report: &Report) {
        tracing::info!(id = %self.id, verdict = ?report.verdict, "ended");
    }
}
