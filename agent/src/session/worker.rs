//! Carries orders out, each in a task of its own, whether a session is up or not.
//!
//! Flows in: orders. Flows out: what is on disk, and news in the outbox. One job per container; the data directory's
//! lock is held while there is any job, so that a local command and a job never act at once. Whoever takes the lock
//! first ends what was left open, by an earlier process or by a job that did not come to its end. Must never do an order
//! that is not written down, nor keep the session waiting.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redeploy_proto::{RedeployId, v1};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::ledger::{Ledger, Note, Standing, is_unended};
use super::outbox::{Outbox, Watcher};
use super::pause::pause;
use super::wire::{self, Order, Task};
use crate::config::Config;
use crate::docker::Engine;
use crate::explain::explain;
use crate::history;
use crate::lock::{Lock, LockError};
use crate::orders::{Agent, Refused};
use crate::paths::DataDir;
use crate::plan;
use crate::progress::Nobody;
use crate::report::Report;
use crate::reporter::{cut, refused};
use crate::saga::Faults;

/// How often the lock of a local command is looked at.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// Preflights at once; each may pull an image.
const PREFLIGHTS_MAX: usize = 4;

/// Preflights that are made or wait to be.
const PREFLIGHTS_WAITING_MAX: usize = 256;

/// Paths named in one preflight.
const PATHS_MAX: usize = 200;

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
            preflights: Semaphore::new(PREFLIGHTS_MAX),
            checked: Mutex::default(),
            tasks: Mutex::default(),
            closing,
        }
    }

    /// Ends what was left open, as soon as the lock is to be had, and tries again while that does not succeed. The session
    /// does not wait for it: a host that says nothing is one that nobody knows anything of. Orders do.
    pub(super) fn recover(self: &Arc<Self>, mut even_stuck: bool) {
        let worker = Arc::clone(self);
        self.spawn(async move {
            for attempt in 0.. {
                match worker.hold(even_stuck, &worker.closing).await {
                    Ok(_lock) => even_stuck = false,
                    Err(Refused::Cancelled) => return,
                    Err(error) => {
                        tracing::error!(error = explain(&error), "what was left open was not looked at");
                    }
                }
                worker.outbox.ended.notify_one();
                if !worker.is_any_open().await {
                    return;
                }
                tokio::select! {
                    () = worker.closing.cancelled() => return,
                    () = tokio::time::sleep(pause(attempt)) => {}
                }
            }
        });
    }

    /// A job that did not come to its end has left something open, and nobody else here would take care of it.
    async fn look_after(self: &Arc<Self>, id: RedeployId) {
        let data = self.means.data.clone();
        let looking = tokio::task::spawn_blocking(move || match history::load_one(&data, id) {
            Ok(entry) => entry.is_some_and(|entry| is_unended(&entry.state)),
            Err(_) => false,
        });
        if looking.await.unwrap_or_default() && !self.closing.is_cancelled() {
            self.recover(false);
        }
    }

    /// The orders that are being worked on.
    pub(super) fn running(&self) -> Vec<RedeployId> {
        lock(&self.jobs).keys().copied().collect()
    }

    /// The orders that have begun and not ended, worked on or not. Reads the disk.
    pub(super) async fn open(&self) -> Vec<RedeployId> {
        let (ledger, running) = (Arc::clone(&self.ledger), self.running());
        let left = tokio::task::spawn_blocking(move || ledger.open()).await.unwrap_or_default();
        running.iter().copied().chain(left.into_iter().filter(|id| !running.contains(id))).collect()
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

    /// Plans, and touches nothing but the image store.
    pub(super) fn preflight(self: &Arc<Self>, id: RedeployId, order: v1::PreflightOrder) {
        let deadline = Duration::from_millis(order.deadline_ms.max(1));
        let v1::PreflightOrder { container, image, options, login, .. } = order;
        let options = options.unwrap_or_default();
        let task = wire::redeploy_task(container, image, options, login, &self.means.config);
        let Some(checked) = self.check(id) else { return };
        let worker = Arc::clone(self);
        self.spawn(async move {
            let _checked = checked;
            let planning = tokio::time::timeout(deadline, worker.plan(id, task));
            let planned = tokio::select! {
                () = worker.closing.cancelled() => return,
                planned = planning => planned,
            };
            let preflight =
                planned.unwrap_or_else(|_| speaks_against(vec!["the preflight took too long".to_owned()]));
            worker.outbox.preflight(id, preflight);
        });
    }

    /// A place for a preflight, if it is not under way. Too many are refused: each may be asked for again.
    fn check(self: &Arc<Self>, id: RedeployId) -> Option<Checked> {
        let mut checked = lock(&self.checked);
        if checked.len() >= PREFLIGHTS_WAITING_MAX {
            self.outbox
                .preflight(id, speaks_against(vec!["this host has too many preflights to make".to_owned()]));
            return None;
        }
        checked.insert(id).then(|| Checked { worker: Arc::clone(self), id })
    }

    async fn plan(&self, id: RedeployId, task: Result<Task, String>) -> v1::Preflight {
        let (request, pull, login) = match task {
            Ok(Task::Redeploy { request, pull, login }) => (request, pull, login),
            Ok(Task::Revert(_)) => return speaks_against(vec!["a revert has no preflight".to_owned()]),
            Err(why) => return speaks_against(vec![why]),
        };
        let Ok(_place) = self.preflights.acquire().await else { return speaks_against(Vec::new()) };
        let agent = self.looker();
        match Box::pin(agent.plan(id, &request, pull, login.as_ref())).await {
            Ok((plan, refusals)) => planned(&plan, refusals.iter().map(ToString::to_string).collect()),
            Err(error) => speaks_against(reasons(&error)),
        }
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

    /// The data directory's lock, shared by all jobs. Waits while a local command has it.
    async fn hold(&self, even_stuck: bool, cancel: &CancellationToken) -> Result<Arc<Lock>, Refused> {
        loop {
            {
                // Who has it may be ending what was left open, which takes as long as it takes.
                let mut shared = tokio::select! {
                    () = cancel.cancelled() => return Err(Refused::Cancelled),
                    shared = self.lock.lock() => shared,
                };
                if let Some(lock) = shared.upgrade() {
                    return Ok(lock);
                }
                let data = self.means.data.clone();
                let taken = tokio::task::spawn_blocking(move || Lock::take(&data)).await;
                match taken.map_err(|_| Refused::Cancelled)? {
                    Ok(lock) => {
                        let lock = Arc::new(lock);
                        if even_stuck || self.is_any_open().await {
                            self.end_what_is_open().await;
                        }
                        *shared = Arc::downgrade(&lock);
                        return Ok(lock);
                    }
                    Err(LockError::Held { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(Refused::Cancelled),
                () = tokio::time::sleep(LOCK_PAUSE) => {}
            }
        }
    }

    /// One that cannot be ended keeps only its own container from being redeployed.
    async fn end_what_is_open(&self) {
        if let Err(error) = Box::pin(self.looker().recover()).await {
            tracing::error!(error = explain(&error), "not everything that was left open could be ended");
        }
    }

    /// Did a process die, or a job end, in the middle of something? What is stuck waits for a human.
    async fn is_any_open(&self) -> bool {
        let (data, running) = (self.means.data.clone(), self.running());
        let looking = tokio::task::spawn_blocking(move || {
            let entries = history::load(&data).into_iter().flatten();
            let mut others = entries.filter(|entry| !running.contains(&entry.plan.id));
            others.any(|entry| is_unended(&entry.state))
        });
        looking.await.unwrap_or_default()
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

// === impl Checked ===

/// A preflight's place.
struct Checked {
    worker: Arc<Worker>,
    id: RedeployId,
}

impl Drop for Checked {
    fn drop(&mut self) {
        lock(&self.worker.checked).remove(&self.id);
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

fn speaks_against(refusals: Vec<String>) -> v1::Preflight {
    v1::Preflight { is_ok: false, refusals, ..v1::Preflight::default() }
}

fn planned(plan: &plan::Plan, refusals: Vec<String>) -> v1::Preflight {
    let (image_id, digest) = match &plan.incoming {
        plan::Incoming::New(new) => (new.image_id.clone(), new.digest.clone().unwrap_or_default()),
        plan::Incoming::Parked { .. } => (String::new(), String::new()),
    };
    v1::Preflight {
        is_ok: refusals.is_empty(),
        refusals,
        warnings: plan.warnings.clone(),
        image_id,
        digest,
        lost_paths: plan.coverage.not_kept.iter().take(PATHS_MAX).cloned().collect(),
        archive_bytes: plan.space.to_archive,
        plan_text: cut(plan::show(plan)),
    }
}

#[cfg(test)]
mod tests;
