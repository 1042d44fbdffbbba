//! Carries orders out, each in a task of its own, whether a session is up or not.
//!
//! Flows in: orders. Flows out: what is on disk, and news in the outbox. One job per container; the data directory's
//! lock is held while there is any job, so that a local command and a job never act at once. Whoever takes the lock
//! first ends what was left open, by an earlier process or by a job that did not come to its end. Must never do an order
//! that is not written down, nor keep the session waiting.

mod left_open;
mod preflight;
mod pruning;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redeploy_proto::{RedeployId, v1};
use tokio::sync::{Mutex as AsyncMutex, RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::ledger::{Ledger, Note, Standing};
use super::outbox::{Outbox, Watcher};
use super::wire::{Order, Task};
use crate::config::Config;
use crate::docker::Engine;
use crate::explain::explain;
use crate::lock::Lock;
use crate::orders::{Agent, Refused};
use crate::paths::DataDir;
use crate::progress::Nobody;
use crate::report::Report;
use crate::reporter::refused;
use crate::saga::Faults;
pub(super) use pruning::Pauses;

/// Preflights at once; each may pull an image.
const PREFLIGHTS_MAX: usize = 4;

/// What every job is done with.
pub struct Means {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The configuration.
    pub config: Config,
    /// Where everything is written.
    pub data: DataDir,
    /// What tests order to go wrong.
    pub faults: Faults,
}

/// See above.
pub(super) struct Worker {
    pub(super) means: Means,
    pub(super) outbox: Arc<Outbox>,
    ledger: Arc<Ledger>,
    jobs: Mutex<HashMap<RedeployId, Job>>,
    lock: AsyncMutex<Weak<Lock>>,
    /// Shared by jobs, had alone by pruning.
    quiet: RwLock<()>,
    preflights: Semaphore,
    /// Whose preflight is made, or waits to be.
    checked: Mutex<HashSet<RedeployId>>,
    tasks: Mutex<JoinSet<()>>,
    /// Nothing new is begun.
    closing: CancellationToken,
}

struct Job {
    container: String,
    cancel: CancellationToken,
}

impl Worker {
    /// `closing` ends what only looks or waits; jobs are ended by [`Worker::stop`], which sets it, too.
    pub(super) fn new(means: Means, closing: CancellationToken) -> Self {
        Self {
            ledger: Arc::new(Ledger::load(&means.data)),
            means,
            outbox: Arc::default(),
            jobs: Mutex::default(),
            lock: AsyncMutex::default(),
            quiet: RwLock::default(),
            preflights: Semaphore::new(PREFLIGHTS_MAX),
            checked: Mutex::default(),
            tasks: Mutex::default(),
            closing,
        }
    }

    /// The orders that are being worked on.
    pub(super) fn running(&self) -> Vec<RedeployId> {
        lock(&self.jobs).keys().copied().collect()
    }

    pub(super) fn cancel(&self, id: RedeployId) {
        if let Some(job) = lock(&self.jobs).get(&id) {
            tracing::info!(%id, "cancelled by the coordinator");
            job.cancel.cancel();
        }
    }

    /// Turns every job back and waits for their ends.
    pub(super) async fn stop(&self) {
        self.closing.cancel();
        lock(&self.jobs).values().for_each(|job| job.cancel.cancel());
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// Takes an order in and begins it. `true`: it was begun or refused before, and is not running.
    pub(super) async fn order(self: &Arc<Self>, order: Order) -> bool {
        let Order { id, note, deadline, task } = order;
        if lock(&self.jobs).contains_key(&id) {
            self.outbox.accepted(id);
            return false;
        }
        let (ledger, written) = (Arc::clone(&self.ledger), note.clone());
        let standing = tokio::task::spawn_blocking(move || ledger.accept(id, &written)).await;
        // One that panicked has not written it down, as far as we know.
        let Ok(standing) = standing else { return false };
        match standing {
            Ok(Standing::New) => self.begin(id, note, deadline, task).await,
            Ok(Standing::Known) => {
                self.outbox.accepted(id);
                return true;
            }
            Ok(Standing::Stale(why)) => self.outbox.answer(refusal(id, &note, why)),
            // Not written down, so it is not begun: it is sent again.
            Err(error) => tracing::error!(%id, error = explain(&error), "an order cannot be written down"),
        }
        false
    }

    async fn begin(
        self: &Arc<Self>,
        id: RedeployId,
        note: Note,
        deadline: Option<Duration>,
        task: Result<Task, String>,
    ) {
        self.outbox.accepted(id);
        let task = task.and_then(|task| self.book(id, &note.container).map(|booked| (task, booked)));
        match task {
            Ok((task, booked)) => {
                let worker = Arc::clone(self);
                self.spawn(async move {
                    // In a task of its own, so that a panic ends there.
                    let job = tokio::spawn(booked.work(note, task, deadline));
                    if AbortOnDropHandle::new(job).await.is_err() {
                        tracing::error!(%id, "the work on it ended abnormally");
                    }
                    worker.look_after(id).await;
                });
            }
            Err(why) => self.refuse(id, &note, vec![why]).await,
        }
    }

    /// A place for a job, if its container has none.
    fn book(self: &Arc<Self>, id: RedeployId, container: &str) -> Result<Booked, String> {
        let mut jobs = lock(&self.jobs);
        if let Some((other, _)) = jobs.iter().find(|(_, job)| job.container == container) {
            return Err(format!("container {container} is being worked on by {other}"));
        }
        let cancel = CancellationToken::new();
        jobs.insert(id, Job { container: container.to_owned(), cancel: cancel.clone() });
        Ok(Booked { worker: Arc::clone(self), id, cancel })
    }

    async fn carry_out(
        &self,
        id: RedeployId,
        task: Task,
        cancel: &CancellationToken,
    ) -> Result<Report, Refused> {
        let _held = self.hold(false, cancel).await?;
        let _not_quiet = tokio::select! {
            () = cancel.cancelled() => return Err(Refused::Cancelled),
            working = self.quiet.read() => working,
        };
        let is_planned = AtomicBool::new(false);
        let watcher = Arc::new(Watcher { id, outbox: Arc::clone(&self.outbox), is_planned });
        let agent = Agent {
            engine: Arc::clone(&self.means.engine),
            config: self.means.config.clone(),
            data: self.means.data.clone(),
            audience: Arc::clone(&watcher) as _,
            cancel: cancel.clone(),
            faults: self.means.faults.clone(),
        };
        let mut order = Box::pin(async {
            match &task {
                Task::Redeploy { request, pull, login } => {
                    agent.redeploy(id, request, *pull, login.as_ref()).await
                }
                Task::Revert(request) => agent.revert(id, request).await,
            }
        });
        tokio::select! {
            biased;
            result = &mut order => return result,
            () = cancel.cancelled() => {}
        }
        // Before the plan stands nothing has begun, and a long pull need not be waited for.
        if watcher.is_planned.load(Ordering::SeqCst) { order.await } else { Err(Refused::Cancelled) }
    }

    fn looker(&self) -> Agent {
        Agent {
            engine: Arc::clone(&self.means.engine),
            config: self.means.config.clone(),
            data: self.means.data.clone(),
            audience: Arc::new(Nobody),
            cancel: CancellationToken::new(),
            faults: Faults::default(),
        }
    }

    async fn refuse(&self, id: RedeployId, note: &Note, reasons: Vec<String>) {
        tracing::warn!(%id, ?reasons, "refused");
        let (ledger, written, why) = (Arc::clone(&self.ledger), note.clone(), reasons.clone());
        let refusing = tokio::task::spawn_blocking(move || ledger.refuse(id, &written, why)).await;
        if let Ok(Err(error)) = &refusing {
            tracing::error!(%id, error = explain(error), "a refusal cannot be written down");
        }
        if !matches!(refusing, Ok(Ok(()))) {
            let note = Note { refusals: reasons, ..note.clone() };
            self.outbox.answer(refused(id, &note));
        }
        self.outbox.over(id);
    }

    fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(job);
    }
}

/// Never held across an await.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Booked ===

/// A job's place. However the job ends, also if it panics, its container is free again and its end is told.
struct Booked {
    worker: Arc<Worker>,
    id: RedeployId,
    cancel: CancellationToken,
}

impl Booked {
    async fn work(self, note: Note, task: Task, deadline: Option<Duration>) {
        let (worker, id) = (&self.worker, self.id);
        let timer = deadline.map(|deadline| {
            let cancel = self.cancel.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                tracing::warn!(%id, "its deadline is over");
                cancel.cancel();
            }))
        });
        let result = worker.carry_out(id, task, &self.cancel).await;
        drop(timer);
        if let Err(error) = result {
            if worker.means.data.redeploy(id).journal().exists() {
                tracing::error!(%id, error = explain(&error), "did not come to its end; that is tried again");
            } else {
                worker.refuse(id, &note, reasons(&error)).await;
            }
        }
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        lock(&self.worker.jobs).remove(&self.id);
        self.worker.outbox.over(self.id);
    }
}

fn refusal(id: RedeployId, note: &Note, why: String) -> v1::Report {
    refused(id, &Note { refusals: vec![why], ..note.clone() })
}

fn reasons(error: &Refused) -> Vec<String> {
    if let Refused::Checks(refusals) = error {
        return refusals.iter().map(ToString::to_string).collect();
    }
    vec![explain(error)]
}

#[cfg(test)]
mod tests;
