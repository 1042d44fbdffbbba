//! Retention by the clock: what it no longer holds goes also on a host where nothing is redeployed any more. Not beside
//! jobs, which may be going back to what would be removed.
//!
//! Flows in: time. Flows out: a pruned data directory and engine. Must never remove anything while a job is at work.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use crate::explain::explain;
use crate::orders::Refused;

/// How long the clock waits.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Pauses {
    pub(super) first: Duration,
    pub(super) every: Duration,
    pub(super) put_off: Duration,
}

impl Default for Pauses {
    /// Hosts that start together are busy then, and need nothing removed at once; retention counts days.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self { first: minutes(10), every: minutes(6 * 60), put_off: minutes(5) }
    }
}

impl Worker {
    /// Prunes now and then, until this worker is to stop.
    pub(in super::super) fn prune_by_the_clock(self: &Arc<Self>, pauses: Pauses) {
        let worker = Arc::clone(self);
        self.spawn(async move {
            let mut pause = pauses.first;
            loop {
                tokio::select! {
                    () = worker.closing.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = if worker.prune_if_quiet().await { pauses.every } else { pauses.put_off };
            }
        });
    }

    /// Removes what retention no longer holds, unless there is work. `false`: there is; orders that come meanwhile wait.
    pub(super) async fn prune_if_quiet(&self) -> bool {
        let _held = match self.hold(false, &self.closing).await {
            Ok(held) => held,
            Err(Refused::Cancelled) => return false,
            Err(error) => {
                tracing::error!(error = explain(&error), "nothing was pruned");
                return false;
            }
        };
        let Ok(_quiet) = self.quiet.try_write() else { return false };
        match self.looker().prune().await {
            Ok(tidied) if tidied.is_nothing() => {}
            Ok(tidied) => tracing::info!(
                containers = ?tidied.containers, archives = tidied.archives.len(), dead = ?tidied.dead,
                "pruned what retention no longer holds"
            ),
            Err(error) => tracing::error!(error = explain(&error), "not everything could be pruned"),
        }
        true
    }
}
