//! The data directory's lock, and what an earlier process, or a job that could not go on, has left open: whoever takes
//! the lock first ends that. What cannot be ended is tried again; nobody waits for it but orders.

use std::sync::Arc;
use std::time::Duration;

use redeploy_proto::RedeployId;
use tokio_util::sync::CancellationToken;

use super::super::ledger::is_unended;
use super::super::pause::pause;
use super::Worker;
use crate::explain::explain;
use crate::history;
use crate::lock::{Lock, LockError};
use crate::orders::Refused;

/// How often the lock of a local command is looked at.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

impl Worker {
    /// Ends what was left open, as soon as the lock is to be had, and tries again while that does not succeed. The session
    /// does not wait for it: a host that says nothing is one that nobody knows anything of. Orders do.
    pub(in super::super) fn recover(self: &Arc<Self>, mut even_stuck: bool) {
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
    pub(super) async fn look_after(self: &Arc<Self>, id: RedeployId) {
        let data = self.means.data.clone();
        let looking = tokio::task::spawn_blocking(move || match history::load_one(&data, id) {
            Ok(entry) => entry.is_some_and(|entry| is_unended(&entry.state)),
            Err(_) => false,
        });
        if looking.await.unwrap_or_default() && !self.closing.is_cancelled() {
            self.recover(false);
        }
    }

    /// The orders that have begun and not ended, worked on or not. Reads the disk.
    pub(in super::super) async fn open(&self) -> Vec<RedeployId> {
        let (ledger, running) = (Arc::clone(&self.ledger), self.running());
        let left = tokio::task::spawn_blocking(move || ledger.open()).await.unwrap_or_default();
        running.iter().copied().chain(left.into_iter().filter(|id| !running.contains(id))).collect()
    }

    /// The data directory's lock, shared by all jobs. Waits while a local command has it.
    pub(super) async fn hold(
        &self,
        even_stuck: bool,
        cancel: &CancellationToken,
    ) -> Result<Arc<Lock>, Refused> {
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
}
