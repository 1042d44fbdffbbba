//! Carries orders out, each in a task of its own, whether a session is up or not.
//!
//! Flows in: orders. Flows out: what is on disk, and news in the outbox. One job per container; the data directory's
//! lock is held while there is any job, so that a local command and a job never act at once. Whoever takes the lock
//! first ends what an earlier process left open. Must never do an order that is not written down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redeploy_proto::{RedeployId, v1};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Note, Standing};
use super::outbox::{Outbox, Watcher};
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
use crate::saga::{Faults, State};

/// How often the lock of a local command is looked at.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// Preflights at once; each may pull an image.
const PREFLIGHTS_MAX: usize = 4;

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
    ledger: Ledger,
    jobs: Mutex<HashMap<RedeployId, Job>>,
    lock: AsyncMutex<Weak<Lock>>,
    preflights: Semaphore,
    tasks: Mutex<JoinSet<()>>,
    /// Nothing new is begun.
    closing: CancellationToken,
}

struct Job {
    container: String,
    cancel: CancellationToken,
}

impl Worker {
    /// `closing` ends what only looks; jobs are ended by [`Worker::stop`].
    pub(super) fn new(means: Means, closing: CancellationToken) -> Self {
        Self {
            ledger: Ledger::load(&means.data),
            means,
            outbox: Arc::default(),
            jobs: Mutex::default(),
            lock: AsyncMutex::default(),
            preflights: Semaphore::new(PREFLIGHTS_MAX),
            tasks: Mutex::default(),
            closing,
        }
    }

    /// Ends what an earlier process left open.
    pub(super) async fn recover(&self) -> Result<(), Refused> {
        self.hold(true, &self.closing).await.map(drop)
    }

    /// The orders that are being worked on.
    pub(super) fn running(&self) -> Vec<RedeployId> {
        jobs(&self.jobs).keys().copied().collect()
    }

    pub(super) fn cancel(&self, id: RedeployId) {
        if let Some(job) = jobs(&self.jobs).get(&id) {
            tracing::info!(%id, "cancelled by the coordinator");
            job.cancel.cancel();
        }
    }

    /// Turns every job back and waits for their ends.
    pub(super) async fn stop(&self) {
        jobs(&self.jobs).values().for_each(|job| job.cancel.cancel());
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// Takes an order in and begins it. `true`: it was begun or refused before, and is not running.
    pub(super) fn order(self: &Arc<Self>, order: Order) -> bool {
        let Order { id, note, deadline, task } = order;
        if jobs(&self.jobs).contains_key(&id) {
            self.outbox.accepted(id);
            return false;
        }
        match self.ledger.accept(id, &note) {
            Ok(Standing::New) => self.begin(id, note, deadline, task),
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

    fn begin(
        self: &Arc<Self>,
        id: RedeployId,
        note: Note,
        deadline: Option<Duration>,
        task: Result<Task, String>,
    ) {
        self.outbox.accepted(id);
        let task = task.and_then(|task| self.book(id, &note.container).map(|cancel| (task, cancel)));
        match task {
            Ok((task, cancel)) => {
                let worker = Arc::clone(self);
                self.spawn(async move { worker.work(id, note, task, deadline, cancel).await });
            }
            Err(why) => self.refuse(id, &note, vec![why]),
        }
    }

    /// A place for a job, if its container has none.
    fn book(&self, id: RedeployId, container: &str) -> Result<CancellationToken, String> {
        let mut jobs = jobs(&self.jobs);
        if let Some((other, _)) = jobs.iter().find(|(_, job)| job.container == container) {
            return Err(format!("container {container} is being worked on by {other}"));
        }
        let cancel = CancellationToken::new();
        jobs.insert(id, Job { container: container.to_owned(), cancel: cancel.clone() });
        Ok(cancel)
    }

    async fn work(
        self: Arc<Self>,
        id: RedeployId,
        note: Note,
        task: Task,
        deadline: Option<Duration>,
        cancel: CancellationToken,
    ) {
        let timer = deadline.map(|deadline| {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                tracing::warn!(%id, "its deadline is over");
                cancel.cancel();
            })
        });
        let result = self.carry_out(id, task, &cancel).await;
        if let Some(timer) = timer {
            timer.abort();
        }
        if let Err(error) = result {
            if self.means.data.redeploy(id).journal().exists() {
                tracing::error!(%id, error = explain(&error), "did not come to its end; `recover` ends it");
            } else {
                self.refuse(id, &note, reasons(&error));
            }
        }
        jobs(&self.jobs).remove(&id);
        self.outbox.over(id);
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
        let worker = Arc::clone(self);
        self.spawn(async move {
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
                let mut shared = self.lock.lock().await;
                if let Some(lock) = shared.upgrade() {
                    return Ok(lock);
                }
                match Lock::take(&self.means.data) {
                    Ok(lock) => {
                        let lock = Arc::new(lock);
                        if even_stuck || self.is_any_open() {
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

    /// Did a process die in the middle of something? What is stuck waits for a human.
    fn is_any_open(&self) -> bool {
        history::load(&self.means.data).iter().flatten().any(|entry| match &entry.state {
            State::Forward { .. } | State::Backward { .. } | State::Retiring => true,
            State::Stuck { .. } | State::Closed(_) => false,
        })
    }

    fn refuse(&self, id: RedeployId, note: &Note, reasons: Vec<String>) {
        tracing::warn!(%id, ?reasons, "refused");
        if let Err(error) = self.ledger.refuse(id, note, reasons.clone()) {
            tracing::error!(%id, error = explain(&error), "a refusal cannot be written down");
            let note = Note { refusals: reasons, ..note.clone() };
            self.outbox.answer(refused(id, &note));
        }
        self.outbox.over(id);
    }

    fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(job);
    }
}

fn jobs(jobs: &Mutex<HashMap<RedeployId, Job>>) -> MutexGuard<'_, HashMap<RedeployId, Job>> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
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
